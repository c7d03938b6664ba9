# SPDX-License-Identifier: Apache-2.0
"""Limits: set where the container's process really is, changed while it runs, told when they hit."""

import os
import pathlib
import uuid

import pytest

from harness import wait_for
from test_containers import processes_with


def controllers():
    """Those of this machine, v1 or v2."""
    v2 = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
    if v2.exists():
        return v2.read_text().split()
    return [name for entry in pathlib.Path("/sys/fs/cgroup").iterdir()
            for name in entry.name.split(",")]


pytestmark = pytest.mark.skipif(
    not {"memory", "cpu", "pids"} <= set(controllers()),
    reason="the cgroups of this node have no memory, cpu and pids controllers")


def resources(node, **fields):
    return node.v1_api.LinuxContainerConfig(
        resources=node.v1_api.LinuxContainerResources(**fields))


def group_file(base, path, name):
    while True:
        file = pathlib.Path(base + path) / name
        if file.exists() and file.read_text().strip() not in ("max",):
            return file.read_text().strip()
        assert path not in ("/", ""), name
        path = os.path.dirname(path)


def start_marked(pod, **fields):
    """A container whose sleep can be found among all processes."""
    number = uuid.uuid4().int % 900000 + 100000
    container = pod.start("sleep", str(number), **fields)
    return container, wait_for("its process", lambda: processes_with(str(number)))[0]


def limit(pid, controller, v1, v2):
    groups = [line.strip().split(":", 2)[1:] for line in open(f"/proc/{pid}/cgroup")]
    for names, path in groups:
        if controller in names.split(","):
            return group_file(f"/sys/fs/cgroup/{names}", path, v1)
    return group_file("/sys/fs/cgroup", dict(groups)[""], v2)


def test_limits_are_set(node, pod):
    _, pid = start_marked(pod, linux=resources(
        node, cpu_period=100000, cpu_quota=50000, cpu_shares=512,
        memory_limit_in_bytes=64 << 20, oom_score_adj=500))
    assert limit(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert limit(pid, "cpu", "cpu.cfs_quota_us", "cpu.max") in ("50000", "50000 100000")
    assert limit(pid, "cpu", "cpu.shares", "cpu.weight") in ("512", "59")
    assert pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "500"


def test_limits_are_changed(node, pod):
    container, pid = start_marked(pod, linux=resources(node, memory_limit_in_bytes=64 << 20))
    node.v1.UpdateContainerResources(
        container_id=container,
        linux=node.v1_api.LinuxContainerResources(memory_limit_in_bytes=96 << 20))
    assert limit(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(96 << 20)
    status = pod.status(container)
    assert status.resources.linux.memory_limit_in_bytes == 96 << 20


def test_out_of_memory_is_told(node, pod):
    status, _ = pod.run("sh", "-c", "head -c 200m /dev/zero | tail", name="oom-child",
                        linux=resources(node, memory_limit_in_bytes=16 << 20))
    container = pod.start("tail", "/dev/zero", linux=resources(
        node, memory_limit_in_bytes=16 << 20))
    status = pod.wait(container)
    assert (status.exit_code, status.reason) == (137, "OOMKilled")


def test_a_plain_kill_is_not_out_of_memory(node, pod):
    container = pod.start("sleep", "1000", linux=resources(node, memory_limit_in_bytes=16 << 20))
    node.v1.StopContainer(container_id=container, timeout=0)
    assert pod.status(container).reason == "Error"
