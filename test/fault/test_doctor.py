# SPDX-License-Identifier: Apache-2.0
"""podmonctl doctor: every kind of litter is planted, found and cleared up; pods that are well are
left alone."""

import contextlib
import os
import pathlib
import secrets
import signal
import subprocess

import pytest

from harness import BUILD, cgroup_parents, wait_for
from support import kill_podmon, podmon_pid

LEASES = pathlib.Path("/var/lib/cni/networks/doctor")


def doctor(node, *arguments):
    """Its exit code, and what it has found: {"cgroup /…": "there is no such pod…"}."""
    done = subprocess.run(
        [BUILD / "dispatcher" / "podmonctl", "--config", node.config, "--run", node.run, "--root",
         node.root, "doctor", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = done.stdout.splitlines()
    assert lines and "findings" in lines[-1], done.stderr
    return done.returncode, dict(line.split(": ", 1) for line in lines[:-1]), done.stderr


def groups(node, name):
    return [parent / name for parent in cgroup_parents(node.parent.strip("/"))]


def mounts_below(path):
    table = pathlib.Path("/proc/self/mountinfo").read_text()
    return [line for line in table.splitlines() if line.split(" ")[4].startswith(str(path))]


@pytest.fixture
def healthy(make_pod):
    """A pod with a container that runs, one that is stopped, and a check that both are as before."""
    pod, stopped = make_pod(), make_pod()
    container = pod.start("sleep", "1000")
    stopped.node.v1.StopPodSandbox(pod_sandbox_id=stopped.id)
    before = pod.status(container)
    pid = podmon_pid(pod)
    yield pod, stopped
    assert podmon_pid(pod) == pid and pod.status(container) == before
    assert pod.exec(container, "echo", "well").stdout == b"well\n"


def test_a_machine_in_order(node, healthy):
    assert doctor(node) == (0, {}, "")
    assert doctor(node, "--repair") == (0, {}, "")


def test_directories_without_a_record(node, healthy):
    first, second, third = (secrets.token_hex(32) for _ in range(3))
    planted = [node.run / "pods" / first, node.root / "pods" / second,
               node.run / "pods" / f".{third}.new"]
    for path in planted:
        (path / "deep" / "er").mkdir(parents=True)
    (planted[0] / "state").write_bytes(b"podmonR1" + bytes(40))
    (planted[0] / "out").symlink_to(node.base)
    code, found, problem = doctor(node)
    assert code == 1 and "doctor --repair" in problem
    assert found == {
        f"directory {planted[0]}": "the record of its pod cannot be read",
        f"directory {planted[1]}": "the record of its pod cannot be read",
        f"directory {planted[2]}": "there is no such pod"}
    assert all(path.exists() for path in planted)
    code, found, _ = doctor(node, "--repair")
    assert code == 0 and len(found) == 3
    assert all(what.endswith(": repaired") for what in found.values())
    assert not any(path.exists() for path in planted) and node.config.exists()
    assert doctor(node) == (0, {}, "")


def test_cgroups_of_nobody_and_of_a_stopped_pod(node, healthy):
    _, stopped = healthy
    nobody = f"pod-a-b-{secrets.token_hex(6)}"
    ended = f"pod-test-x-{stopped.id[:12]}"
    strangers = ["pod-without-digits", "kubelet"]
    for name in (nobody, ended, *strangers):
        for group in groups(node, name):
            (group / "leaf").mkdir(parents=True)
            for file in ("cpuset.cpus", "cpuset.mems"):
                for place in (group, group / "leaf"):
                    with contextlib.suppress(OSError):
                        (place / file).write_text((group.parent / file).read_text())
    inside = subprocess.Popen(["sleep", "1000"])
    try:
        for group in groups(node, nobody):
            (group / "leaf" / "cgroup.procs").write_text(str(inside.pid))
        assert doctor(node)[:2] == (1, {f"cgroup {node.parent}/{nobody}": "there is no such pod",
                                        f"cgroup {node.parent}/{ended}": "its pod has been stopped"})
        assert inside.poll() is None
        assert doctor(node, "--repair")[0] == 0
        assert inside.wait(timeout=10) == -signal.SIGKILL
        assert not [group for name in (nobody, ended) for group in groups(node, name)
                    if group.exists()]
        assert all(group.exists() for name in strangers for group in groups(node, name))
    finally:
        inside.kill()
        inside.wait()
        for name in (nobody, ended, *strangers):
            for group in groups(node, name):
                for place in (group / "leaf", group):
                    with contextlib.suppress(OSError):
                        place.rmdir()


def test_mounts_and_pinned_namespaces(node, healthy):
    _, stopped = healthy
    pod = node.run / "pods" / secrets.token_hex(32)
    (pod / "shm").mkdir(parents=True)
    (pod / "netns").touch()
    spare = node.run / "pods" / stopped.id / "spare"
    spare.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "planted", pod / "shm"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "planted", pod / "shm"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "planted", spare], check=True)
    subprocess.run(["unshare", "-n", "sh", "-c",
                    f"nsenter -t {os.getpid()} -m mount --bind /proc/$$/ns/net {pod}/netns"],
                   check=True)
    try:
        assert len(mounts_below(pod)) == 3
        code, found, _ = doctor(node, "--repair")
        assert code == 0 and set(found) == {f"mount {pod}/shm", f"mount {pod}/netns",
                                            f"mount {spare}", f"directory {pod}"}
        assert not mounts_below(pod) and not mounts_below(spare) and not pod.exists()
        assert spare.parent.exists()
    finally:
        for line in mounts_below(pod) + mounts_below(spare):
            subprocess.run(["umount", "-l", line.split(" ")[4]])
        with contextlib.suppress(OSError):
            spare.rmdir()


def test_leases_of_ours_and_of_others(node, healthy):
    pod, _ = healthy
    lost, other = secrets.token_hex(32), secrets.token_hex(32)
    (node.run / "pods" / lost).mkdir()
    LEASES.mkdir(parents=True)
    for number, owner in enumerate((lost, other, pod.id), 2):
        (LEASES / f"10.99.0.{number}").write_text(f"{owner}\r\neth0")
    (LEASES / "lock").touch()
    code, found, _ = doctor(node, "--repair")
    assert code == 0
    assert found == {
        f"directory {node.run}/pods/{lost}": "the record of its pod cannot be read: repaired",
        f"lease {LEASES}/10.99.0.2": "the record of its pod cannot be read: repaired",
        f"lease {LEASES}/10.99.0.3": "there is no such pod; it may be another runtime's and is "
                                     "left alone"}
    assert sorted(path.name for path in LEASES.iterdir()) == ["10.99.0.3", "10.99.0.4", "lock"]
    for path in LEASES.iterdir():
        path.unlink()
    LEASES.rmdir()


def test_podmons_whose_pods_are_gone(node, healthy):
    ours, others = secrets.token_hex(32), secrets.token_hex(32)
    start = lambda pod, run: subprocess.Popen(  # noqa: E731
        ["podmon", "-c", "sleep 1000; :", "--pod", pod, "--run", str(run), "--root", "/x"],
        executable="/bin/sh", start_new_session=True)
    lost, stranger = start(ours, node.run), start(others, "/run/elsewhere")
    # What a podmon of other directories looks after is nobody's litter.
    theirs = groups(node, f"pod-a-b-{others[:12]}")
    for group in theirs:
        group.mkdir()
    try:
        assert doctor(node, "--repair")[:2] == (
            0, {f"process {lost.pid}": "there is no such pod: repaired"})
        assert lost.wait(timeout=10) == -signal.SIGKILL and stranger.poll() is None
        assert all(group.exists() for group in theirs)
    finally:
        for process in (lost, stranger):
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for group in theirs:
            group.rmdir()


def test_a_pod_without_podmon_gets_one(node, make_pod):
    pod = make_pod()
    container = pod.start("sleep", "1000")
    node.stop(signal.SIGKILL)
    try:
        kill_podmon(pod)
        assert not podmon_pid(pod)
        assert doctor(node, "--repair")[:2] == (
            0, {f"pod {pod.id}": "no podmon looks after it: repaired"})
        new = wait_for("a podmon", lambda: podmon_pid(pod))
        assert doctor(node)[:2] == (0, {})
    finally:
        node.start()
    assert podmon_pid(pod) == new
    assert pod.exec(container, "echo", "there").stdout == b"there\n"
