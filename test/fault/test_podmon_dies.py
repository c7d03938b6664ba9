# SPDX-License-Identifier: Apache-2.0
"""A podmon crashes or is killed: no container notices, no line is lost, no exit code."""

import contextlib
import os
import random
import signal
import time

import grpc
import pytest

from harness import wait_for
from support import (counter, finish_counter, kill_podmon, pause, podmon_pid, start_time, taken_up)

CRASHES = [signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL]


@pytest.mark.parametrize("how", CRASHES)
def test_a_crashed_podmon_goes_on_in_its_own_process(node, pod, how):
    container = pod.start(*counter())
    before = pod.status(container)
    pid = kill_podmon(pod, how)
    begun = start_time(pid)
    wait_for("the crash is told", lambda: taken_up(node, pod)[0] == 1)
    assert podmon_pid(pod) == pid and start_time(pid) == begun
    assert f"SIG{how.name[3:]}" in taken_up(node, pod)[1]
    assert pod.status(container) == before
    assert pod.exec(container, "echo", "there").stdout == b"there\n"
    status, lines = finish_counter(pod, container)
    assert status.exit_code == 7 and lines > 0


def test_a_killed_podmon_is_started_again_at_once(node, pod):
    container = pod.start(*counter())
    before = pod.status(container)
    begin = time.monotonic()
    old = kill_podmon(pod)
    new = wait_for("another podmon", lambda: podmon_pid(pod), seconds=5)
    assert new != old and time.monotonic() - begin < 2
    assert pod.status(container) == before
    status, lines = finish_counter(pod, container)
    assert status.exit_code == 7 and lines > 0


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL])
def test_no_line_is_lost_or_doubled(node, pod, full, how):
    """At any moment, with a container that never rests: between reading and writing, too."""
    container = pod.start(*counter(burst=1000000))
    # Fifty restarts of a pod's podmon are at once; a crash takes two, because it is killed after it.
    for _ in range(full(10, 50 if how == signal.SIGKILL else 20)):
        pause(random.uniform(0.05, 0.3))
        pid = kill_podmon(pod, how)
        if how == signal.SIGSEGV:  # more than three in a minute are a loop; each is a new process
            wait_for("it runs on", lambda: podmon_pid(pod))
            kill_podmon(pod)
        wait_for("another podmon", lambda: podmon_pid(pod) not in (None, pid))
    status, lines = finish_counter(pod, container)
    assert status.exit_code == 7 and lines > 1000


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL])
def test_exit_codes_of_the_meantime_are_known(node, pod, how):
    """The container ends while nobody looks after it: podmon is stopped, then dies."""
    for code in (0, 3, 255):
        container = pod.start("sh", "-c", f"while [ ! -e /stop ]; do sleep 0.01; done; exit {code}")
        pod.exec(container, "sh", "-c", "(sleep 0.3; touch /stop) >/dev/null 2>&1 &")
        pid = podmon_pid(pod)
        os.kill(pid, signal.SIGSTOP)
        pause(0.6)
        os.kill(pid, how)
        with contextlib.suppress(ProcessLookupError):  # killed, and no longer there to be continued
            os.kill(pid, signal.SIGCONT)
        status = pod.wait(container)
        assert (status.exit_code, status.reason) == (code, "Error" if code else "Completed")
        wait_for("a podmon", lambda: podmon_pid(pod))


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL])
def test_a_terminal_outlives_its_podmon(node, pod, how):
    container = pod.start("sh", "-c", "trap 'exit 99' HUP; n=0; while [ ! -e /stop ]; do "
                          "n=$((n+1)); echo $n; sleep 0.01; done; tty; exit 5", tty=True)
    for _ in range(3):
        pause(0.1)
        kill_podmon(pod, how)
        wait_for("a podmon", lambda: podmon_pid(pod))
        assert pod.exec(container, "true").exit_code == 0
    pod.exec(container, "touch", "/stop")
    status, out = pod.finish(container)
    assert status.exit_code == 5
    lines = out.replace("\r", "").split("\n")[:-1]
    assert lines[-1].startswith("/dev/"), lines[-1]
    assert [int(line) for line in lines[:-1]] == list(range(1, len(lines)))


def test_three_crashes_in_a_minute_end_it_and_another_begins(node, pod):
    container = pod.start(*counter())
    pid = podmon_pid(pod)
    begun = start_time(pid)
    for _ in range(4):
        if start_time(pid) == begun:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSEGV)
        pause(0.2)
    wait_for("another process", lambda: podmon_pid(pod) not in (None, pid))
    status, _ = finish_counter(pod, container)
    assert status.exit_code == 7


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL])
def test_a_command_under_way_ends_with_its_connection(node, pod, how):
    container = pod.start("sleep", "1000")
    call = node.v1.services[0].ExecSync.future(node.v1_api.ExecSyncRequest(
        container_id=container, cmd=["sleep", "34567"], timeout=100), timeout=60)
    inside = lambda: b"34567" in pod.exec(container, "ps").stdout  # noqa: E731
    wait_for("the command runs", inside)
    kill_podmon(pod, how)
    with pytest.raises(grpc.RpcError) as error:
        call.result()
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    wait_for("it is gone", lambda: not inside())
