# SPDX-License-Identifier: Apache-2.0
"""C: what an image says about itself is only about itself. Evil layers are test/unit/test-unpack's."""

import grpc
import pytest

from harness import status_of
from support import shell

LABELS = {"io.kubernetes.cri-containerd.kind": "sandbox", "io.kubernetes.container.logPath": "/evil",
          "podmon.privileged": "true", "binary:///evil": "x", "org.opencontainers.log": "binary:///x"}


def test_c7_labels_of_an_image_are_not_the_containers(node, pod, make_image, canary):
    image = make_image("labels", Labels={**LABELS, "logger": f"binary://{canary}/file"})
    container = pod.start("sh", "-c", "grep CapEff /proc/self/status", image=image)
    status, out = pod.finish(container)
    assert not status.labels and not status.annotations
    assert out.split()[1] == "00000000a80425fb"


def test_c8_checkpoints_are_not_taken_in(node, pod):
    container = pod.start("sleep", "1000")
    assert status_of(node.v1.CheckpointContainer, container_id=container,
                     location="/tmp/checkpoint.tar")[0] == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("entry", [None, ["/proc/self/exe"], ["/bin/sh", "-c", "exit 3"]])
def test_an_image_without_its_own_files_is_still_confined(pod, make_image, entry):
    image = make_image("bare", {"etc/passwd": False, "etc/group": False, "tmp": False},
                       **({"Entrypoint": entry} if entry else {}))
    assert "00000000a80425fb" in shell(pod, "grep CapEff /proc/self/status", image=image)
