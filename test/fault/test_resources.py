# SPDX-License-Identifier: Apache-2.0
"""A machine that runs out of something: what runs goes on, what cannot be had is refused with a
reason, and afterwards everything works again."""

import contextlib
import os
import pathlib
import resource
import signal
import subprocess

import grpc
import pytest

import harness
from harness import Pod, status_of, wait_for
from support import counter, finish_counter, podmon_pid

REFUSALS = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL,
            grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE)


@pytest.fixture
def small_node(apis, tmp_path):
    """A node whose run directory is a file system of the test's own: small_node("size=1m")."""
    made = []

    def make(options, settings=""):
        node = harness.Node(*apis)
        node.parent += "-small"
        node.write_config()
        node.config.write_text(node.config.read_text() + settings)
        node.run.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "run", node.run], check=True)
        made.append(node)
        node.start()
        node.load(harness.busybox_layout(tmp_path / "image"))
        return node

    yield make
    for node in made:
        for pod in node.v1.ListPodSandbox().items:
            node.v1.RemovePodSandbox(pod_sandbox_id=pod.id)
        left = lambda: [item for item in node.leftovers() if " - tmpfs run " not in item]  # noqa: E731
        wait_for("nothing is left", lambda: not left())
        assert node.stop() == 0
        node.log.close()
        subprocess.run(["umount", node.run], check=True)
        for parent in harness.cgroup_parents(node.parent.strip("/")):
            with contextlib.suppress(OSError):
                parent.rmdir()


def goes_on(pod, container):
    """Its output, its end, and its removal need nothing that is not there."""
    count = len(pod.records(container))
    wait_for("the log goes on", lambda: len(pod.records(container)) > count)


def fill(directory):
    """Leaves not a byte."""
    path = directory / "filler"
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(65536))
    with open(path, "ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x")
    return path


def occupy_inodes(directory):
    directory = directory / "filler"
    directory.mkdir()
    with contextlib.suppress(OSError):
        for number in range(100000):
            (directory / str(number)).touch()
    return directory


@pytest.mark.parametrize("options, occupy", [("size=2m", fill), ("size=64m,nr_inodes=200",
                                                                 occupy_inodes)])
def test_a_full_run_directory(small_node, options, occupy):
    node = small_node(options)
    pod, doomed = Pod(node), Pod(node)
    container = pod.start(*counter())
    code = doomed.start("sh", "-c", "while [ ! -e /stop ]; do sleep 0.01; done; exit 3")
    filler = occupy(node.run)
    assert status_of(Pod, node)[0] in REFUSALS
    assert status_of(pod.create, "true")[0] in REFUSALS
    goes_on(pod, container)
    assert len(node.v1.ListPodSandbox().items) == 2
    # An end is not forgotten, and what makes room is possible.
    pathlib.Path(f"/proc/{first_process(node, doomed)}/root/stop").touch()
    subprocess.run(["rm", "-rf", filler], check=True)
    assert doomed.wait(code).exit_code == 3
    filler = occupy(node.run)
    doomed.remove()
    assert [item.id for item in node.v1.ListPodSandbox().items] == [pod.id]
    subprocess.run(["rm", "-rf", filler], check=True)
    assert finish_counter(pod, container)[0].exit_code == 7
    assert Pod(node).run("echo", "again")[1] == "again\n"


def first_process(node, pod):
    """The first process of the pod's only container, as its cgroup has it."""
    for parent in harness.cgroup_parents(node.parent.strip("/")):
        for file in parent.glob(f"pod-*-{pod.id[:12]}/*/cgroup.procs"):
            for line in file.read_text().split():
                return int(line)
    raise AssertionError("no process")


def test_a_read_only_run_directory(small_node):
    """As long as a pod lives the kernel refuses to make it so: its podmon has files open."""
    node = small_node("size=16m")
    read_only = ["mount", "-o", "remount,ro", node.run]
    pod = Pod(node)
    assert subprocess.run(read_only, stderr=subprocess.DEVNULL).returncode != 0
    pod.remove()
    wait_for("nobody writes", lambda: subprocess.run(read_only).returncode == 0)
    try:
        code, text = status_of(Pod, node)
        assert code in REFUSALS and "Read-only file system" in text
        assert not node.v1.ListPodSandbox().items
    finally:
        subprocess.run(["mount", "-o", "remount,rw", node.run], check=True)
    assert Pod(node).run("echo", "again")[1] == "again\n"


def test_no_descriptors_for_the_dispatcher(node, pod):
    """Calls under way and new ones wait or are refused; all of them work when there are some."""
    container = pod.start("sleep", "1000")
    pid = node.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, before[1]))
    try:
        assert len(node.v1.ListPodSandbox().items) >= 1  # on a connection there is
        code, text = status_of(pod.exec, container, "true")
        assert code in REFUSALS and text
        late = harness.Client(node.v1_api, f"unix:{node.socket}")
        waiting = late.services[0].Version.future(node.v1_api.VersionRequest(), timeout=60,
                                                  wait_for_ready=True)
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert pod.exec(container, "echo", "again").stdout == b"again\n"
    assert waiting.result().runtime_name == "podmon"
    late.close()


def test_a_fork_bomb_meets_its_limit(small_node):
    """Bounded by the limit, and by itself: 255 processes at most, each of which ends."""
    node = small_node("size=16m", "[container]\npids_limit = 30\n")
    pod, other = Pod(node), Pod(node)
    container = pod.start("sh", "-c", "b() { if [ $1 -lt 7 ]; then b $(($1+1)) & b $(($1+1)) & fi; "
                          "sleep 60; }; b 0; sleep 60")
    refused = lambda: any(  # noqa: E731
        "max 0" not in file.read_text() for parent in harness.cgroup_parents(node.parent.strip("/"))
        for file in parent.glob(f"*/{container}/pids.events"))
    wait_for("the limit", refused)
    more = "n=0; while [ $n -lt 31 ]; do n=$((n+1)); sleep 5 & done"
    try:
        forks = pod.exec(container, "sh", "-c", more)
        assert forks.exit_code != 0 and b"fork" in forks.stderr
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert other.run("echo", "fine")[1] == "fine\n"
    node.v1.StopContainer(container_id=container, timeout=1)
    assert pod.wait(container).exit_code != 0


@pytest.mark.parametrize("who", ["podmon", "dispatcher"])
def test_no_more_processes(node, pod, who):
    """clone fails with EAGAIN: refused, and nothing half-made."""
    container = pod.start("sleep", "1000")
    pid = podmon_pid(pod) if who == "podmon" else node.process.pid
    strace = subprocess.Popen(
        ["strace", "-f", "-q", "-p", str(pid), "-o", "/dev/null", "-e",
         "inject=clone,clone3,fork,vfork:error=EAGAIN"], stderr=subprocess.DEVNULL)
    try:
        wait_for("strace", lambda: f"TracerPid:\t{strace.pid}" in
                 pathlib.Path(f"/proc/{pid}/status").read_text())
        if who == "podmon":
            code, text = status_of(pod.exec, container, "true")
        else:
            code, text = status_of(Pod, node)
        assert code in REFUSALS and "temporarily unavailable" in text, text
        assert pod.status(container).state == node.v1_api.CONTAINER_RUNNING
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait()
    assert pod.exec(container, "echo", "again").stdout == b"again\n"
    for item in node.v1.ListPodSandbox().items:  # the one refused has come up by now, or will
        if item.id != pod.id:
            node.v1.RemovePodSandbox(pod_sandbox_id=item.id)
    other = Pod(node)
    assert other.run("echo", "fine")[1] == "fine\n"
    other.remove()


def test_no_more_watches(node):
    """inotify_add_watch fails for good: pods are seen all the same, and their changes."""
    strace = subprocess.Popen(
        ["strace", "-q", "-p", str(node.process.pid), "-o", "/dev/null", "-e",
         "inject=inotify_add_watch:error=ENOSPC"], stderr=subprocess.DEVNULL)
    try:
        wait_for("strace", lambda: f"TracerPid:\t{strace.pid}" in
                 pathlib.Path(f"/proc/{node.process.pid}/status").read_text())
        pod = Pod(node)
        assert pod.run("echo", "seen")[1] == "seen\n"
        assert [item.id for item in node.v1.ListPodSandbox().items] == [pod.id]
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait()
    pod.remove()
    assert not node.v1.ListPodSandbox().items


def test_interrupted_at_every_turn(node, pod):
    """Every third read, write, wait and poll of podmon ends with EINTR."""
    strace = subprocess.Popen(
        ["strace", "-q", "-p", str(podmon_pid(pod)), "-o", "/dev/null", "-e",
         "inject=read,write,epoll_wait,poll,recvmsg,sendmsg,openat,pread64,waitid:error=EINTR:"
         "when=2+3"], stderr=subprocess.DEVNULL)
    pid = podmon_pid(pod)
    try:
        wait_for("strace", lambda: f"TracerPid:\t{strace.pid}" in
                 pathlib.Path(f"/proc/{pid}/status").read_text())
        for number in range(5):
            with contextlib.suppress(grpc.RpcError):
                pod.run("echo", str(number))
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait()
    assert pod.run("echo", "after")[1] == "after\n"


def test_podmons_are_the_last_to_be_chosen(node, pod):
    """Where the machine lets a process lower its score, podmon is at −999, its containers are not;
    chosen all the same (a SIGKILL), another takes over."""
    container = pod.start(*counter())
    score = lambda pid: int(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text())  # noqa: E731
    allowed = int(next(line for line in pathlib.Path("/proc/self/status").read_text().splitlines()
                       if line.startswith("CapEff")).split()[1], 16) >> 24 & 1  # CAP_SYS_RESOURCE
    assert score(first_process(node, pod)) == score(os.getpid())
    assert score(podmon_pid(pod)) == (-999 if allowed else score(os.getpid()))
    old = podmon_pid(pod)
    os.kill(old, signal.SIGKILL)
    wait_for("another podmon", lambda: podmon_pid(pod) not in (None, old))
    assert finish_counter(pod, container)[0].exit_code == 7
