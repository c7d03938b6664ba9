# SPDX-License-Identifier: Apache-2.0
"""Limits: set where the container's process really is, changed while it runs, told when they hit."""

import os
import pathlib
import signal
import uuid

import grpc
import pytest

from harness import info, status_of, wait_for
from test_containers import processes_with


def controllers():
    """Those of this machine, v1 or v2."""
    v2 = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
    if v2.exists():
        return v2.read_text().split()
    return [name for entry in pathlib.Path("/sys/fs/cgroup").iterdir()
            if (entry / "cgroup.procs").exists()  # not only prepared for a hierarchy
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


def swap_limit(pid):
    """Memory and swap together in v1, swap alone in v2."""
    return limit(pid, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max")


def is_v2():
    return pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists()


def has_swap_accounting():
    return is_v2() or pathlib.Path(
        "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists()


def test_a_part_is_changed_and_the_rest_stays(node, pod):
    """A quota without its period, swap without its memory: what is not named is what it was."""
    container, pid = start_marked(pod, linux=resources(
        node, cpu_period=50000, cpu_quota=20000, memory_limit_in_bytes=64 << 20,
        memory_swap_limit_in_bytes=64 << 20))
    node.v1.UpdateContainerResources(
        container_id=container, linux=node.v1_api.LinuxContainerResources(
            cpu_quota=30000, memory_swap_limit_in_bytes=96 << 20))
    assert limit(pid, "cpu", "cpu.cfs_quota_us", "cpu.max") in ("30000", "30000 50000")
    assert limit(pid, "cpu", "cpu.cfs_period_us", "cpu.max") in ("50000", "30000 50000")
    assert limit(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    if has_swap_accounting():
        assert swap_limit(pid) == str((32 if is_v2() else 96) << 20)
    linux = pod.status(container).resources.linux
    assert (linux.cpu_period, linux.cpu_quota) == (50000, 30000)
    assert (linux.memory_limit_in_bytes, linux.memory_swap_limit_in_bytes) == (64 << 20, 96 << 20)


def test_a_refused_change_changes_nothing(node, pod):
    container, pid = start_marked(pod, linux=resources(node, memory_limit_in_bytes=64 << 20))
    before = pod.status(container).resources
    code, text = status_of(
        node.v1.UpdateContainerResources, container_id=container,
        linux=node.v1_api.LinuxContainerResources(memory_limit_in_bytes=96 << 20,
                                                  cpuset_cpus="4000"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "cpuset" in text
    assert limit(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert pod.status(container).resources == before


@pytest.mark.skipif("cpuset" not in controllers(), reason="this node has no cpuset controller")
def test_processors_are_chosen_and_changed(node, pod):
    last = str(max(os.sched_getaffinity(0)))
    container, pid = start_marked(pod, linux=resources(node, cpuset_cpus="0", cpuset_mems="0"))
    assert os.sched_getaffinity(int(pid)) == {0}
    assert limit(pid, "cpuset", "cpuset.mems", "cpuset.mems") == "0"
    node.v1.UpdateContainerResources(
        container_id=container, linux=node.v1_api.LinuxContainerResources(cpuset_cpus=last))
    assert os.sched_getaffinity(int(pid)) == {int(last)}
    assert limit(pid, "cpuset", "cpuset.cpus", "cpuset.cpus") == last
    assert pod.status(container).resources.linux.cpuset_cpus == last


@pytest.mark.skipif("hugetlb" not in controllers(), reason="this node has no hugetlb controller")
def test_huge_pages_are_limited(node, pod):
    api = node.v1_api
    size = "2MB"
    container, pid = start_marked(pod, linux=resources(
        node, hugepage_limits=[api.HugepageLimit(page_size=size, limit=4 << 20)]))
    files = (f"hugetlb.{size}.limit_in_bytes", f"hugetlb.{size}.max")
    assert limit(pid, "hugetlb", *files) == str(4 << 20)
    node.v1.UpdateContainerResources(container_id=container, linux=api.LinuxContainerResources(
        hugepage_limits=[api.HugepageLimit(page_size=size, limit=8 << 20)]))
    assert limit(pid, "hugetlb", *files) == str(8 << 20)
    assert [h.limit for h in pod.status(container).resources.linux.hugepage_limits] == [8 << 20]


def test_huge_pages_of_zero_need_no_controller(node, pod):
    """What a kubelet sends for each size that a pod does not use."""
    api = node.v1_api
    container = pod.start("sleep", "1000", linux=resources(
        node, hugepage_limits=[api.HugepageLimit(page_size="2MB"),
                               api.HugepageLimit(page_size="1GB")]))
    kept = pod.status(container).resources.linux.hugepage_limits
    assert [(h.page_size, h.limit) for h in kept] == [("2MB", 0), ("1GB", 0)]


@pytest.mark.skipif(not is_v2(), reason="unified values are of cgroup v2")
def test_unified_values_are_set_merged_and_win(node, pod):
    api = node.v1_api
    container, pid = start_marked(pod, linux=resources(
        node, memory_limit_in_bytes=64 << 20,
        unified={"memory.high": str(32 << 20), "memory.max": str(48 << 20)}))
    assert limit(pid, "memory", "", "memory.high") == str(32 << 20)
    assert limit(pid, "memory", "", "memory.max") == str(48 << 20)
    node.v1.UpdateContainerResources(container_id=container, linux=api.LinuxContainerResources(
        unified={"memory.high": str(40 << 20), "memory.low": str(1 << 20)}))
    assert limit(pid, "memory", "", "memory.high") == str(40 << 20)
    assert limit(pid, "memory", "", "memory.low") == str(1 << 20)
    assert limit(pid, "memory", "", "memory.max") == str(48 << 20)
    assert dict(pod.status(container).resources.linux.unified) == {
        "memory.high": str(40 << 20), "memory.max": str(48 << 20), "memory.low": str(1 << 20)}


@pytest.mark.skipif(is_v2(), reason="cgroup v2 has unified values")
def test_unified_values_need_v2(node, pod):
    container = pod.start("sleep", "1000")
    code, text = status_of(
        node.v1.UpdateContainerResources, container_id=container,
        linux=node.v1_api.LinuxContainerResources(unified={"memory.high": "1000000"}))
    assert code == grpc.StatusCode.FAILED_PRECONDITION and "memory.high" in text
    assert not pod.status(container).resources.linux.unified


def test_changed_limits_outlive_a_podmon(node, pod):
    api = node.v1_api
    container = pod.create("sleep", "1000", linux=resources(node, memory_limit_in_bytes=64 << 20))
    changed = api.LinuxContainerResources(
        memory_limit_in_bytes=96 << 20, cpu_shares=512,
        hugepage_limits=[api.HugepageLimit(page_size="2MB")],
        unified={"memory.high": str(80 << 20)} if is_v2() else {})
    node.v1.UpdateContainerResources(container_id=container, linux=changed)
    node.v1.UpdatePodSandboxResources(pod_sandbox_id=pod.id, resources=changed)

    def of_pod():
        return info(node.v1.PodSandboxStatus(pod_sandbox_id=pod.id, verbose=True))

    before, kept = of_pod(), pod.status(container).resources
    assert kept.linux == changed
    assert before["plan"]["resources"]["memory_limit"] == str(96 << 20)
    os.kill(before["pid"], signal.SIGKILL)
    wait_for("another podmon", lambda: of_pod()["pid"] not in (0, before["pid"]))
    node.restart()
    assert pod.status(container).resources == kept
    assert of_pod()["plan"]["resources"] == before["plan"]["resources"]
    node.v1.StartContainer(container_id=container)
    pid = info(node.v1.ContainerStatus(container_id=container, verbose=True))["pid"]
    assert limit(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(96 << 20)
    assert limit(pid, "cpu", "cpu.shares", "cpu.weight") in ("512", "59")
    if is_v2():
        assert limit(pid, "memory", "", "memory.high") == str(80 << 20)


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
