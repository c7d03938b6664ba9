# SPDX-License-Identifier: Apache-2.0
import json
import shutil

import pytest

import kubelet as library
from kubelet import harness


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    node = harness.Node(*harness.load_stubs())
    (node.cni / "10-kubelet.conflist").write_text(json.dumps(library.NETWORK))
    node.start()
    node.load(harness.busybox_layout(tmp_path_factory.mktemp("image")))
    yield node
    node.destroy()


@pytest.fixture(scope="session")
def kubelet(node):
    kubelet = library.Kubelet(node)
    try:
        yield kubelet.start()
    finally:
        if kubelet.process:
            kubelet.stop()
        for pod in node.v1.ListPodSandbox().items:
            node.v1.RemovePodSandbox(pod_sandbox_id=pod.id)
        kubelet.clean_up()
        shutil.copy(kubelet.log_path, harness.BUILD / "kubelet.log")
