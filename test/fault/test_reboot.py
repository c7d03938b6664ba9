# SPDX-License-Identifier: Apache-2.0
"""A machine that was restarted, as far as that can be had without one: every process is killed, RUN
is empty, the boot id is another."""

import contextlib
import pathlib
import signal
import subprocess
import uuid

import pytest

import harness
from harness import Pod, wait_for
from support import kill_podmon

BOOT_ID = "/proc/sys/kernel/random/boot_id"


@pytest.fixture
def rebooted(node, tmp_path):
    """Ends everything of the node but its disk, and starts the dispatcher of the next boot."""
    def reboot(pods):
        node.stop(signal.SIGKILL)
        for pod in pods:
            with contextlib.suppress(AssertionError):
                kill_podmon(pod)
        for parent in harness.cgroup_parents(node.parent.strip("/")):
            for procs in parent.glob("**/cgroup.procs"):
                for pid in procs.read_text().split():
                    subprocess.run(["kill", "-KILL", pid], stderr=subprocess.DEVNULL)
        for group in harness.cgroup_directories(node.parent.strip("/")):
            for place in sorted(group.glob("**/"), reverse=True):
                wait_for("the group is empty", lambda place=place: rmdir(place))
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            if line.split(" ")[4].startswith(str(node.run)):
                subprocess.run(["umount", "-l", line.split(" ")[4]], check=True)
        subprocess.run(["rm", "-rf", "--one-file-system", node.run / "pods"], check=True)
        other = tmp_path / "boot_id"
        other.write_text(f"{uuid.uuid4()}\n")
        subprocess.run(["mount", "--bind", other, BOOT_ID], check=True)
        node.start()

    yield reboot
    node.stop(signal.SIGKILL)
    subprocess.run(["umount", BOOT_ID], check=True)
    node.start()


def rmdir(path):
    with contextlib.suppress(OSError):
        path.rmdir()
    return not path.exists()


def test_after_a_reboot(node, rebooted):
    pods = [Pod(node), Pod(node)]
    container = pods[0].start("sleep", "1000")
    done = pods[0].start("sh", "-c", "exit 3")
    assert pods[0].wait(done).exit_code == 3
    copy = node.root / "pods" / pods[0].id / "state"
    wait_for("the copy knows both", lambda: all(
        word.encode() in copy.read_bytes() for word in (container, done, "Error")))
    rebooted(pods)
    api = node.v1_api
    items = {item.id: item for item in node.v1.ListPodSandbox().items}
    assert set(items) == {pod.id for pod in pods}
    assert all(item.state == api.SANDBOX_NOTREADY for item in items.values())
    lost, known = pods[0].status(container), pods[0].status(done)
    assert (lost.state, lost.exit_code, lost.reason) == (api.CONTAINER_EXITED, 255, "Unknown")
    assert (known.state, known.exit_code, known.reason) == (api.CONTAINER_EXITED, 3, "Error")
    assert lost.finished_at >= lost.started_at > 0
    for pod in pods:
        pod.remove()
    wait_for("nothing is left", lambda: not [
        path for path in node.leftovers() if any(pod.id in path for pod in pods)])
