# SPDX-License-Identifier: Apache-2.0
"""ExecSync: output, exit codes, timeouts, and what must not stay behind."""

import grpc
import pytest

from harness import status_of, wait_for
from test_containers import processes_with


@pytest.fixture
def container(pod):
    return pod.start("sleep", "1000")


def test_output_is_exact_and_separate(node, pod, container):
    for client in (node.seed, node.v1):
        answer = client.ExecSync(container_id=container, timeout=20,
                                 cmd=["sh", "-c", "echo -n out; echo -n err >&2; exit 4"])
        assert (answer.stdout, answer.stderr, answer.exit_code) == (b"out", b"err", 4)


@pytest.mark.parametrize("script,code", [("true", 0), ("exit 1", 1), ("exit 255", 255),
                                         ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_exit_codes(pod, container, script, code):
    assert pod.exec(container, "sh", "-c", script).exit_code == code


def test_no_input(pod, container):
    assert pod.exec(container, "cat").stdout == b""


def test_binary_output(pod, container):
    answer = pod.exec(container, "head", "-c", "70000", "/dev/zero")
    assert answer.stdout == b"\0" * 70000


def test_a_missing_program(pod, container):
    code, text = status_of(pod.exec, container, "/no/such/program")
    assert "/no/such/program" in text


def test_timeout_kills_the_whole_tree(pod, container):
    code, text = status_of(pod.exec, container, "sh", "-c", "sleep 98765 & sleep 98765", timeout=1)
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert not processes_with("98765")
    answer = pod.exec(container, "sh", "-c", "ps -o comm | grep -c ^sleep")
    assert answer.stdout == b"1\n"  # the container's own


def test_a_client_that_goes_away_ends_it(node, pod, container):
    code, _ = status_of(node.v1.ExecSync, rpc_timeout=1, container_id=container,
                        cmd=["sleep", "87654"])
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for("the command is gone", lambda: not processes_with("87654"))


def test_output_is_capped_and_the_command_goes_on(pod, container):
    answer = pod.exec(container, "sh", "-c", "head -c 40000000 /dev/zero; exit 6")
    assert answer.exit_code == 6
    assert 4 << 20 < len(answer.stdout) <= 16 << 20


def test_a_daemon_that_keeps_the_output_open_does_not_hold_the_answer(pod, container):
    answer = pod.exec(container, "sh", "-c", "echo started; sleep 30 & exit 0")
    assert answer.stdout == b"started\n"


def test_not_running(node, pod):
    container = pod.create("true")
    assert status_of(pod.exec, container, "true")[0] == grpc.StatusCode.FAILED_PRECONDITION
    node.v1.StartContainer(container_id=container)
    pod.wait(container)
    assert status_of(pod.exec, container, "true")[0] == grpc.StatusCode.FAILED_PRECONDITION


def test_many_at_once(pod, container):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: pod.exec(container, "echo", str(n)).stdout, range(60)))
    assert answers == [f"{n}\n".encode() for n in range(60)]
