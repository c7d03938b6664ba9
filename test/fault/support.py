# SPDX-License-Identifier: Apache-2.0
"""What the tests of faults know of the machine: processes, and sequences nothing may be missing in."""

import contextlib
import os
import pathlib
import signal
import time

from harness import podmon_pid, wait_for

# Writes 1, 2, 3, … to both streams, for ever or until /stop is there; then exits with 7.
COUNT = ("n=0; while [ ! -e /stop -a $n -lt 9999999 ]; do n=$((n+1)); echo $n; echo $n >&2; "
         "[ $((n % {burst})) -ne 0 ] || sleep 0.01; done; echo end; exit 7")


def counter(burst=100):
    return "sh", "-c", COUNT.format(burst=burst)


def start_time(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    return None


def hit_podmon(pod, how):
    """Sends the signal to the podmon that lives; returns its pid and start time. One that was found
    may end before it is hit: then its successor is."""
    def hit():
        pid = podmon_pid(pod)
        begun = pid and start_time(pid)
        if not begun:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
            return pid, begun
        return None

    return wait_for("a podmon to hit", hit)


def kill_podmon(pod, how=signal.SIGKILL):
    """Kills it and waits until it is gone (by a signal that ends it)."""
    pid, begun = hit_podmon(pod, how)
    if how == signal.SIGKILL:
        wait_for("it is gone", lambda: start_time(pid) != begun)
    return pid


def taken_up(node, pod):
    """How often a podmon has taken the pod up again, and what of it crashed last."""
    import json
    status = node.v1.PodSandboxStatus(pod_sandbox_id=pod.id, verbose=True)
    info = json.loads(status.info["info"])
    return info["podmonStarts"], info["podmonCrash"]


def check_sequence(pod, container):
    """Every number that was written is in the log, once and in order, on both streams."""
    for stream in ("stdout", "stderr"):
        lines = pod.output(container, stream.encode()).split("\n")[:-1]
        if stream == "stdout":
            assert lines[-1] == "end"
            lines = lines[:-1]
        numbers = [int(line) for line in lines]
        assert numbers == list(range(1, len(numbers) + 1)), first_gap(numbers)
    return len(numbers)


def first_gap(numbers):
    for index, number in enumerate(numbers):
        if number != index + 1:
            return f"line {index + 1} is {numbers[max(0, index - 2):index + 3]}"
    return "no gap"


def finish_counter(pod, container):
    pod.exec(container, "touch", "/stop")
    status = pod.wait(container)
    return status, check_sequence(pod, container)


def pause(seconds):
    """Lets the load go on; not for waiting until something is so."""
    time.sleep(seconds)
