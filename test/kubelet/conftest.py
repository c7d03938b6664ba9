# SPDX-License-Identifier: Apache-2.0
import json
import os
import pathlib
import shutil

import pytest

import kubelet as library
from cluster import Cluster
from kubelet import harness

# Where a kubelet's log goes: the report's directory, in a test node the only one for writing.
LOGS = pathlib.Path(os.environ.get("PODMON_REPORT", harness.BUILD / "kubelet.xml")).parent


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    node = harness.Node(*harness.load_stubs())
    (node.cni / "10-kubelet.conflist").write_text(json.dumps(library.NETWORK))
    node.start()
    node.load(harness.busybox_layout(tmp_path_factory.mktemp("image")))
    yield node
    node.destroy()


@pytest.fixture(scope="module")
def kubelet(node):
    """Alone, with static pods."""
    kubelet = library.Kubelet(node)
    try:
        yield kubelet.start()
    finally:
        put_away(kubelet)


@pytest.fixture(scope="module")
def cluster(node):
    """A control plane; its node is `worker`."""
    cluster = Cluster(node.base / "cluster")
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def worker(node, cluster):
    kubelet = library.Kubelet(node, cluster.kubeconfig, localStorageCapacityIsolation=True,
                              imageGCHighThresholdPercent=1, imageGCLowThresholdPercent=0,
                              imageMinimumGCAge="1m")
    try:
        yield kubelet.start()
    finally:
        put_away(kubelet, "kubelet-cluster.log")


def put_away(kubelet, log="kubelet.log"):
    if kubelet.process:
        kubelet.stop()
    for pod in kubelet.node.v1.ListPodSandbox().items:
        kubelet.node.v1.RemovePodSandbox(pod_sandbox_id=pod.id)
    kubelet.clean_up()
    shutil.copy(kubelet.log_path, LOGS / log)
