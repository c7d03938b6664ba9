# SPDX-License-Identifier: Apache-2.0
"""A kernel that takes its time: processes that no signal reaches, mounts that do not go away."""

import contextlib
import pathlib
import signal
import subprocess

import grpc
import pytest

from harness import Pod, info, wait_for
from support import podmon_pid

FREEZER = pathlib.Path("/sys/fs/cgroup/freezer")


@pytest.fixture
def frozen(node):
    """frozen(pid): the process is in the kernel and takes no signal, not even SIGKILL, as one that
    waits for a disk that has gone; until thaw()."""
    if not (FREEZER / "cgroup.procs").exists():
        pytest.skip("needs the freezer of cgroup v1: that of v2 lets a process be killed")
    group = FREEZER / f"podmon-stuck-{node.process.pid}"
    group.mkdir()

    def thaw():
        (group / "freezer.state").write_text("THAWED")

    def freeze(pid):
        (group / "cgroup.procs").write_text(str(pid))
        (group / "freezer.state").write_text("FROZEN")
        wait_for("it is frozen", lambda: (group / "freezer.state").read_text() == "FROZEN\n")
        return thaw

    yield freeze
    thaw()
    wait_for("it has ended", lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


def test_what_cannot_be_killed_holds_up_nobody_else(node, make_pod, frozen):
    """Stopping it ends with the client's deadline; asked again when the process has ended, it is
    done."""
    stuck, other = make_pod(), make_pod()
    container = stuck.start("sleep", "1000")
    status = node.v1.ContainerStatus(container_id=container, verbose=True)
    thaw = frozen(info(status)["pid"])
    with pytest.raises(grpc.RpcError) as error:
        node.v1.StopPodSandbox(pod_sandbox_id=stuck.id, rpc_timeout=3)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert other.run("echo", "fine")[1] == "fine\n"
    assert len(node.v1.ListPodSandbox().items) == 2
    thaw()
    node.v1.StopPodSandbox(pod_sandbox_id=stuck.id)
    assert stuck.status(container).exit_code == 137


@pytest.mark.parametrize("how", ["error=EBUSY", "delay_enter=3s"])
def test_mounts_that_do_not_go_away_at_once(node, make_pod, tmp_path, how):
    """Every umount of the podmon fails, or takes long: the pod is removed in the end, and nothing
    of it is left. Others do not wait."""
    pod, other = Pod(node, network="NODE"), make_pod()
    pod.start("sleep", "1000")
    pid = podmon_pid(pod)
    strace = subprocess.Popen(["strace", "-f", "-q", "-p", str(pid), "-o", tmp_path / "calls",
                               "-e", f"inject=umount2:{how}"], stderr=subprocess.DEVNULL)
    try:
        wait_for("strace", lambda: f"TracerPid:\t{strace.pid}" in
                 pathlib.Path(f"/proc/{pid}/status").read_text())
        stopping = node.v1.services[0].StopPodSandbox.future(
            node.v1_api.StopPodSandboxRequest(pod_sandbox_id=pod.id), timeout=60)
        assert other.run("echo", "fine")[1] == "fine\n"
        with contextlib.suppress(grpc.RpcError):
            stopping.result()
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait()
    assert "umount2(" in (tmp_path / "calls").read_text()
    pod.remove()
    wait_for("nothing is left",
             lambda: not [path for path in node.leftovers() if pod.id in path])
