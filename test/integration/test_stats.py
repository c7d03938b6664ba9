# SPDX-License-Identifier: Apache-2.0
"""What containers and pods use: CPU, memory, tasks, network, the writable layer, metrics."""

import json
import subprocess
import time

import grpc
import pytest

from harness import Pod, status_of, wait_for
from test_limits import controllers

pytestmark = pytest.mark.skipif(
    not {"memory", "cpu", "pids"} <= set(controllers()),
    reason="the cgroups of this node have no memory, cpu and pids controllers")

BRIDGE = {
    "cniVersion": "1.0.0", "name": "stats", "plugins": [
        {"type": "bridge", "bridge": "cni-stats", "isGateway": True, "ipMasq": False,
         "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.96.7.0/24"}]]}}]}


def stats_of(node, container):
    return node.v1.ContainerStats(container_id=container).stats


def test_a_container_just_started_has_them(node, pod):
    container = pod.start("sleep", "1000", labels={"a": "b"}, annotations={"c": "d"}, name="counted")
    stats = stats_of(node, container)
    assert stats.attributes.id == container
    assert stats.attributes.metadata.name == "counted"
    assert dict(stats.attributes.labels) == {"a": "b"}
    assert dict(stats.attributes.annotations) == {"c": "d"}
    assert stats.cpu.timestamp > 0 and stats.memory.timestamp > 0


def test_use_is_measured(node, pod):
    container = pod.start("sh", "-c", "head -c 20m /dev/zero >/file; while :; do :; done")

    def busy():
        stats = stats_of(node, container)
        return stats.cpu.usage_core_nano_seconds.value > 10**8 and stats.writable_layer.timestamp \
            and stats.writable_layer.used_bytes.value >= 20 << 20 and stats

    stats = wait_for("a sample of a busy container", busy)
    assert stats.cpu.usage_nano_cores.value > 0
    assert stats.memory.working_set_bytes.value > 0
    assert stats.memory.usage_bytes.value >= stats.memory.working_set_bytes.value
    assert stats.memory.page_faults.value > 0
    assert not stats.memory.HasField("available_bytes"), "there is no limit"
    assert stats.writable_layer.inodes_used.value >= 1
    known = [entry.fs_id.mountpoint for entry in node.v1.ImageFsInfo().image_filesystems]
    assert stats.writable_layer.fs_id.mountpoint in known
    assert stats.swap.timestamp > 0


def test_a_limit_leaves_something_available(node, pod):
    api = node.v1_api
    container = pod.start("sleep", "1000", linux=api.LinuxContainerConfig(
        resources=api.LinuxContainerResources(memory_limit_in_bytes=64 << 20)))
    stats = wait_for("a sample", lambda: (
        s := stats_of(node, container)).memory.HasField("available_bytes") and s)
    assert 0 < stats.memory.available_bytes.value <= 64 << 20


def test_lists_are_of_running_containers_and_filtered(node, pod):
    running = pod.start("sleep", "1000", labels={"kind": "running"})
    created = pod.create("sleep", "1000", labels={"kind": "created"})
    ended, _ = pod.start("true"), None
    pod.wait(ended)

    def listed(**fields):
        request = node.v1_api.ContainerStatsFilter(pod_sandbox_id=pod.id, **fields)
        return [s.attributes.id for s in node.v1.ListContainerStats(filter=request).stats]

    assert listed() == [running]
    assert listed(label_selector={"kind": "running"}) == [running]
    assert listed(label_selector={"kind": "other"}) == []
    assert listed(id=running[:13]) == [running]
    assert not stats_of(node, created).HasField("cpu")
    assert not stats_of(node, ended).HasField("memory")
    streamed = [s.attributes.id for answer in node.v1.StreamContainerStats()
                for s in answer.container_stats]
    assert running in streamed


def test_unknown_ones(node):
    assert status_of(node.v1.ContainerStats, container_id="0" * 64)[0] == grpc.StatusCode.NOT_FOUND
    assert status_of(node.v1.PodSandboxStats,
                     pod_sandbox_id="0" * 64)[0] == grpc.StatusCode.NOT_FOUND


def test_a_pod_has_its_own(node):
    (node.cni / "10-stats.conflist").write_text(json.dumps(BRIDGE))
    pod = Pod(node, network="POD")
    try:
        container = pod.start("sh", "-c", "ping -c 3 -i 0.2 10.96.7.1; sleep 1000")

        def received():
            linux = node.v1.PodSandboxStats(pod_sandbox_id=pod.id).stats.linux
            return linux.network.default_interface.rx_bytes.value > 200 and linux

        linux = wait_for("received bytes", received)
        assert linux.network.default_interface.name == "eth0"
        assert [i.name for i in linux.network.interfaces] == ["eth0"]
        assert linux.network.default_interface.tx_bytes.value > 0
        assert linux.process.process_count.value >= 1
        assert linux.memory.working_set_bytes.value > 0
        assert [c.attributes.id for c in linux.containers] == [container]
        listed = node.v1.ListPodSandboxStats(
            filter=node.v1_api.PodSandboxStatsFilter(id=pod.id)).stats
        assert [s.attributes.metadata.uid for s in listed] == [pod.uid]
        streamed = [s.attributes.id for answer in node.v1.StreamPodSandboxStats()
                    for s in answer.pod_sandbox_stats]
        assert pod.id in streamed
    finally:
        pod.remove()
        (node.cni / "10-stats.conflist").unlink()
        subprocess.run(["ip", "link", "delete", "cni-stats"], check=True)  # The plugin keeps it.


def test_metrics_fit_their_descriptors(node, pod):
    container = pod.start("sleep", "1000", name="measured")
    keys = {d.name: list(d.label_keys) for d in node.v1.ListMetricDescriptors().descriptors}
    assert "container_cpu_usage_seconds_total" in keys and len(set(keys)) == len(keys)

    def measured():
        for metrics in node.v1.ListPodSandboxMetrics().pod_metrics:
            for own in metrics.container_metrics:
                if own.container_id == container:
                    return metrics, own
        return None

    of_pod, of_container = wait_for("metrics", measured)
    assert of_pod.pod_sandbox_id == pod.id
    for metric in [*of_pod.metrics, *of_container.metrics]:
        assert len(metric.label_values) == len(keys[metric.name]), metric.name
    by_name = {m.name: m for m in of_container.metrics}
    labels = dict(zip(keys["container_memory_working_set_bytes"],
                      by_name["container_memory_working_set_bytes"].label_values))
    assert labels["container"] == "measured" and labels["namespace"] == "test"
    assert by_name["container_start_time_seconds"].value.value == pytest.approx(time.time(), abs=60)
    streamed = [m.pod_sandbox_id for answer in node.v1.StreamPodSandboxMetrics()
                for m in answer.pod_sandbox_metrics]
    assert pod.id in streamed


def test_nobody_is_woken_by_lists(node, pod):
    """Reading what is published does not make the podmon run."""
    container = pod.start("sleep", "1000")
    wait_for("the samples after the start",
             lambda: stats_of(node, container).cpu.HasField("usage_nano_cores"))
    pid = json.loads(node.v1.PodSandboxStatus(pod_sandbox_id=pod.id, verbose=True)
                     .info["info"])["pid"]

    def switches():
        with open(f"/proc/{pid}/status") as status:
            return [line for line in status if "ctxt" in line]

    def woken():
        before = switches()
        for _ in range(20):
            node.v1.ListContainerStats()
            node.v1.ListPodSandboxStats()
        return switches() != before

    # Its own timers (the copy of the state on disk, the next sample) may run meanwhile, but not
    # every time.
    wait_for("a podmon that sleeps while it is read from", lambda: not woken())
