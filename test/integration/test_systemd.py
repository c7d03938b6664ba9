# SPDX-License-Identifier: Apache-2.0
"""What an administrator sees and does with systemctl, where systemd is PID 1."""

import pathlib
import subprocess

import pytest

from harness import Pod, wait_for
from test_containers import processes_with

pytestmark = pytest.mark.skipif(not pathlib.Path("/run/systemd/system").is_dir(),
                                reason="systemd is not PID 1 here: test/node runs this")


def systemctl(*arguments, check=True):
    return subprocess.run(["systemctl", "--no-pager", "--plain", "--no-legend", *arguments],
                          check=check, capture_output=True, text=True, timeout=60).stdout


def unit_of(pod):
    """The one unit whose name ends as this pod's id begins."""
    units = [word for word in systemctl("list-units", "--all", "pod-*").split()
             if word.endswith(f"-{pod.id[:12]}.scope")]
    assert len(units) == 1
    return units[0]


def test_a_pod_is_one_scope_with_a_readable_name(node, pod):
    unit = unit_of(pod)
    assert unit.startswith("pod-test-pod-") and unit.isascii()
    shown = dict(line.split("=", 1) for line in systemctl(
        "show", unit, "-p", "Description,Slice,Delegate,CollectMode,ActiveState").splitlines())
    assert pod.config.metadata.name in shown["Description"]
    assert shown["Slice"] == "podmonit.slice"
    assert (shown["Delegate"], shown["CollectMode"], shown["ActiveState"]) == (
        "yes", "inactive-or-failed", "active")


def test_everything_of_the_pod_is_in_its_scope(node, pod):
    pod.start("sleep", "34567")
    unit = unit_of(pod)
    tree = subprocess.run(["systemd-cgls", "--no-pager", "--full", "-u", unit], check=True,
                          capture_output=True, text=True).stdout
    assert "sleep 34567" in tree and "podmon --pod" in tree and "supervisor" in tree


def test_the_scope_is_gone_with_the_pod(node):
    pod = Pod(node)
    unit = unit_of(pod)
    pod.remove()
    wait_for("the unit is collected", lambda: unit not in systemctl("list-units", "--all", "pod-*"))
    assert not systemctl("list-units", "--failed")


def test_systemctl_stop_is_a_graceful_stop(node, pod):
    container = pod.start("sh", "-c", "trap 'echo asked; exit 0' TERM; echo ready; while :; do "
                          "sleep 0.05; done")
    wait_for("it is ready", lambda: "ready" in pod.output(container))
    systemctl("stop", unit_of(pod))
    status = pod.wait(container)
    assert "asked" in pod.output(container)
    state = wait_for("the pod is stopped", lambda: node.v1.PodSandboxStatus(
        pod_sandbox_id=pod.id).status.state == 1)
    assert state and status.finished_at


def test_systemctl_kill_ends_all(node, pod):
    container = pod.start("sleep", "23456")
    systemctl("kill", "-s", "KILL", unit_of(pod))
    wait_for("no process is left", lambda: not processes_with("23456"))
    wait_for("it is told", lambda: pod.status(container).state != 1 or pod_exec_fails(pod, container))


def pod_exec_fails(pod, container):
    import grpc

    try:
        pod.exec(container, "true")
    except grpc.RpcError:
        return True
    return False


def test_reload_and_reexec_do_not_touch_a_pod(node, pod):
    container = pod.start("sh", "-c", "while :; do echo tick; sleep 0.05; done")
    systemctl("daemon-reload")
    systemctl("daemon-reexec")
    count = len(pod.records(container))
    wait_for("the log goes on", lambda: len(pod.records(container)) > count)
    assert pod.exec(container, "echo", "x").stdout == b"x\n"


def test_the_driver_is_told_to_the_kubelet(node):
    assert node.v1.RuntimeConfig().linux.cgroup_driver == node.v1_api.CgroupDriver.Value("SYSTEMD")
