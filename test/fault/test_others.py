# SPDX-License-Identifier: Apache-2.0
"""Hung pods, killed dispatchers, damaged records, full disks: others do not notice."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from harness import Pod, info, wait_for
from support import (counter, finish_counter, kill_podmon, pause, podmon_pid, start_time, taken_up)


def test_hung_pods_do_not_slow_the_others(node, make_pod, full):
    count = full(20, 100)
    pods = [make_pod() for _ in range(count)]
    hung = pods[::10]
    stopped = [podmon_pid(pod) for pod in hung]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        waiting = [node.v1.services[0].StopPodSandbox.future(
            node.v1_api.StopPodSandboxRequest(pod_sandbox_id=pod.id), timeout=60) for pod in hung]
        slowest = 0
        for _ in range(20):
            begin = time.monotonic()
            assert len(node.v1.ListPodSandbox().items) >= count
            assert node.v1.PodSandboxStatus(pod_sandbox_id=hung[0].id).status.id == hung[0].id
            slowest = max(slowest, time.monotonic() - begin)
        begin = time.monotonic()
        other = Pod(node)
        assert other.run("echo", "fine")[1] == "fine\n"
        other.remove()
        assert slowest < 1 and time.monotonic() - begin < 5
        assert not any(call.done() for call in waiting)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    for call in waiting:
        call.result()


@pytest.fixture
def impatient(node):
    """A dispatcher that soon loses patience with a podmon."""
    directory = node.base / "podmon.conf.d"
    directory.mkdir()
    (directory / "patience.conf").write_text("[dispatcher]\npodmon_timeout_ms = 6000\n")
    node.restart(signal.SIGTERM)
    yield node
    shutil.rmtree(directory)
    node.restart(signal.SIGTERM)


def silence(pod):
    return info(pod.node.v1.PodSandboxStatus(pod_sandbox_id=pod.id,
                                             verbose=True))["podmonSilentSeconds"]


def test_a_hung_podmon_is_told_and_begins_anew(impatient, pod, make_pod):
    """Stopped: its silence is in the pod's status; then it goes on in its own process."""
    container = pod.start(*counter())
    pid = podmon_pid(pod)
    begun = start_time(pid)
    os.kill(pid, signal.SIGSTOP)
    wait_for("its silence is told", lambda: silence(pod) > 1)
    assert make_pod().run("echo", "fine")[1] == "fine\n"
    wait_for("it has begun anew", lambda: taken_up(impatient, pod)[0] > 0)
    assert "SIGABRT" in taken_up(impatient, pod)[1]
    assert podmon_pid(pod) == pid and start_time(pid) == begun
    wait_for("it answers", lambda: silence(pod) < 1)
    status, lines = finish_counter(pod, container)
    assert status.exit_code == 7 and lines > 0


def test_a_podmon_that_hangs_in_a_request(impatient, pod, fault):
    """Nobody continues it: the one that begins anew carries the request out."""
    fault("container-recorded=1*delay(3600000)")
    assert pod.run("echo", "done")[1] == "done\n"
    assert taken_up(impatient, pod)[0] > 0


def test_the_dispatcher_is_killed_again_and_again(node, pod, full):
    container = pod.start(*counter())
    for _ in range(full(20, 1000)):
        node.restart(signal.SIGKILL)
        assert pod.exec(container, "true").exit_code == 0
    status, lines = finish_counter(pod, container)
    assert status.exit_code == 7 and lines > 0


def test_both_die_and_a_new_dispatcher_finds_the_pod(node, pod):
    container = pod.start(*counter())
    node.process.kill()
    node.process.wait()
    kill_podmon(pod)
    pause(0.2)
    node.start()
    wait_for("a podmon", lambda: podmon_pid(pod))
    status, lines = finish_counter(pod, container)
    assert status.exit_code == 7 and lines > 0


@pytest.mark.parametrize("part", range(5))
def test_a_damaged_record_has_a_copy(node, make_pod, full, part):
    """The state file of a pod without podmon, damaged: the copy in ROOT has to do. In five parts,
    because a podmon that dies fifty times is not replaced at once any more."""
    pod = make_pod()
    container = pod.start("sleep", "1000")
    state = node.run / "pods" / pod.id / "state"
    wait_for("the copy", lambda: (node.root / "pods" / pod.id / "state").exists())
    pause(1.2)
    whole = state.read_bytes()
    step = max(1, len(whole) // full(2, 40))
    for at in range(part * step // 5, len(whole) - step // 5, step):
        state.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
        kill_podmon(pod)
        wait_for("it is repaired", lambda: podmon_pid(pod) and state.read_bytes() != b"" and
                 node.v1.ListPodSandbox(filter={"id": pod.id}).items)
        assert pod.status(container).state == node.v1_api.CONTAINER_RUNNING


@pytest.mark.parametrize("damage", [b"", bytes(4096)])
def test_a_damaged_record_and_nobody_who_knew_it(node, make_pod, damage):
    """Dispatcher and podmon die, the state file is worthless: the pod is listed and taken up."""
    pod = make_pod()
    container = pod.start(*counter())
    copy = node.root / "pods" / pod.id / "state"
    wait_for("the copy knows the container", lambda: container.encode() in copy.read_bytes())
    node.stop(signal.SIGKILL)
    kill_podmon(pod)
    (node.run / "pods" / pod.id / "state").write_bytes(damage)
    node.start()
    assert [item.id for item in node.v1.ListPodSandbox(filter={"id": pod.id}).items] == [pod.id]
    wait_for("a podmon", lambda: podmon_pid(pod))
    assert pod.exec(container, "true").exit_code == 0
    assert finish_counter(pod, container)[0].exit_code == 7


@pytest.mark.parametrize("place", ["pod-signed", "container-mounted", "container-recorded",
                                   "container-cloned", "pod-undone"])
@pytest.mark.parametrize("how", ["kill", "segv"])
def test_a_podmon_that_dies_half_way(node, fault, full, place, how):
    """At every named place: the request is carried out all the same, by another podmon."""
    for _ in range(full(1, 50)):
        fault(f"{place}=1*{how}")
        pod = Pod(node)
        assert pod.run("echo", "done")[1] == "done\n"
        pod.remove()
        assert not [path for path in node.leftovers() if pod.id in path]


def test_a_full_log_disk_stops_nobody(node, make_pod, tmp_path):
    pod = make_pod()
    pod.log_directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "logs", pod.log_directory], check=True)
    try:
        container = pod.start("sh", "-c", "n=0; while [ $n -lt 20000 ]; do n=$((n+1)); "
                              "echo a line that takes some of the space; done; exit 4")
        assert pod.wait(container).exit_code == 4
    finally:
        subprocess.run(["umount", "-l", pod.log_directory], check=True)
