# SPDX-License-Identifier: Apache-2.0
"""G: one container cannot take the runtime away from the others."""

import pathlib
import time

import grpc
import pytest

from harness import podmon_processes, status_of
from support import shell

MIB = 1 << 20


def memory(node, key="VmHWM:"):
    """Of the largest podmon, in bytes."""
    sizes = []
    for process in podmon_processes(node.run):
        text = (pathlib.Path("/proc") / process.split()[1] / "status").read_text()
        sizes += [int(line.split()[1]) * 1024 for line in text.splitlines() if key in line]
    return max(sizes)


@pytest.mark.parametrize("command", [("head", "-c", "100m", "/dev/zero"),
                                     ("sh", "-c", "yes | head -c 60m; yes | head -c 60m >&2")])
def test_g1_a_flood_of_output(node, pod, command):
    container = pod.start("sleep", "1000")
    before = memory(node)
    result = pod.exec(container, *command)
    assert len(result.stdout) + len(result.stderr) <= 16 * MIB
    assert memory(node) <= before + 64 * MIB


def test_g4_a_flood_of_log(node, pod):
    container = pod.start("sh", "-c", "head -c 200m /dev/zero; echo; sleep 1000")
    begin = time.monotonic()
    assert pod.exec(container, "echo", "here").stdout == b"here\n"
    assert time.monotonic() - begin < 10
    assert memory(node) < 64 * MIB
    node.v1.StopContainer(container_id=container, timeout=0)


def test_g5_a_storm_of_mounts(node, pod, tmp_path):
    mounts = [node.v1_api.Mount(container_path=f"/m/{number}", host_path=str(tmp_path))
              for number in range(5000)]
    code, text = status_of(pod.create, "true", mounts=mounts)
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "5000" in text
    assert shell(pod, "echo fine") == "fine\n"
