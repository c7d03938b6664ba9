# SPDX-License-Identifier: Apache-2.0
"""The streams of other people's clients: crictl, client-go and the Python client, whichever of the
protocols they speak."""

import contextlib
import json
import os
import pathlib
import pty
import select
import signal
import socket
import subprocess
import threading

import pytest

from harness import SOURCE, wait_for
from test_streams import Server, container, echo, exec_url, pod_id, shared  # noqa: F401

CACHE = pathlib.Path(os.environ.get("PODMON_CACHE", "/var/cache/podmon-test"))
CRICTL, GO_CLIENT = CACHE / "bin/crictl", CACHE / "bin/stream-client"
PYTHON, PYTHON_CLIENT = CACHE / "venv-kubernetes/bin/python", SOURCE / "test/cri/stream_client.py"
BOTH = pytest.mark.parametrize("transport", ["spdy", "websocket"])

needs_crictl = pytest.mark.skipif(not CRICTL.exists(), reason="no crictl: test/cri/build-tools")
needs_go = pytest.mark.skipif(not GO_CLIENT.exists(),
                              reason="no stream-client: test/cri/build-tools")
needs_python = pytest.mark.skipif(not PYTHON.exists(), reason=f"no {PYTHON}: test/setup")


def ask(port, data):
    """What an echo at this port of the test's own answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def can_connect(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Terminal:
    """A program that believes a person is typing to it."""

    def __init__(self, *arguments):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(arguments[0], [str(argument) for argument in arguments])
        self.output = b""

    def wait_for(self, text):
        while text not in self.output:
            assert select.select([self.fd], [], [], 20)[0], self.output
            self.output += os.read(self.fd, 65536)

    def type(self, data):
        os.write(self.fd, data)

    def end(self):
        """Its exit code."""
        with contextlib.suppress(OSError):
            while part := os.read(self.fd, 65536):
                self.output += part
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


# ---- crictl


def crictl(node, *arguments):
    return (CRICTL, "--runtime-endpoint", f"unix://{node.socket}", "--image-endpoint",
            f"unix://{node.socket}", *arguments)


@needs_crictl
@BOTH
def test_crictl_with_a_terminal(node, container, transport):
    session = Terminal(*crictl(node, "exec", "-r", transport, "-it", container, "sh"))
    session.wait_for(b"# ")
    session.type(b"echo $((6 * 7)) on $(tty)\n")
    session.wait_for(b"42 on /dev/pts/")
    session.type(b"exit\n")
    assert session.end() == 0


@needs_crictl
@BOTH
def test_crictl_attach(node, pod, transport):
    container = pod.start("sh", stdin=True, stdin_once=True)
    done = subprocess.run(crictl(node, "attach", "-r", transport, "-i", container),
                          input=b"echo attached; echo bad >&2; exit 3\n", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 0 and done.stdout == b"attached\n" and b"bad\n" in done.stderr
    assert pod.wait(container).exit_code == 3


@needs_crictl
@BOTH
def test_crictl_ports(node, pod_id, transport):
    with Server(echo) as server:
        local = free_port()
        process = subprocess.Popen(crictl(node, "port-forward", "-r", transport, pod_id,
                                          f"{local}:{server.port}"),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            wait_for("the port", lambda: can_connect(local))
            data = os.urandom(300_000)
            assert [ask(local, data) for _ in range(3)] == [data] * 3
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)


# ---- client-go


def go_client(*arguments, **options):
    return subprocess.run([GO_CLIENT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60, **options)


@needs_go
@BOTH
def test_go_exec(node, container, transport):
    script = "echo out; echo err >&2; exit 7"
    done = go_client(transport, "exec", exec_url(node, container, "sh", "-c", script))
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    data = os.urandom(5_000_000)
    done = go_client("-stdin", transport, "exec", exec_url(node, container, "cat", stdin=True),
                     input=data)
    assert done.returncode == 0 and done.stdout == data
    done = go_client("-tty", "97x31", transport, "exec",
                     exec_url(node, container, "sh", "-c", "sleep 0.3; stty size", tty=True))
    assert (done.returncode, done.stdout) == (0, b"31 97\r\n")
    done = go_client(transport, "exec", exec_url(node, container, "/no/such/program"))
    assert done.returncode == 125 and b"/no/such/program" in done.stderr


@needs_go
@BOTH
def test_go_attach(node, pod, transport):
    container = pod.start("cat", stdin=True, stdin_once=True)
    url = node.v1.Attach(container_id=container, stdin=True, stdout=True, stderr=True).url
    done = go_client("-stdin", transport, "exec", url, input=b"typed\n")
    assert (done.returncode, done.stdout) == (0, b"typed\n")
    assert pod.wait(container).exit_code == 0


@needs_go
@BOTH
def test_go_ports(node, pod_id, transport):
    with Server(echo) as one, Server(lambda connection: connection.sendall(b"two")) as two:
        url = node.v1.PortForward(pod_sandbox_id=pod_id).url
        process = subprocess.Popen([GO_CLIENT, transport, "ports", url, str(one.port),
                                    str(two.port)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        local = dict(reversed(list(map(int, process.stdout.readline().split())))
                     for _ in range(2))
        data = os.urandom(2_000_000)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(ask(local[one.port], data)))
                   for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert answers == [data] * 5
        assert ask(local[two.port], b"") == b"two"
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0 and errors == b""


# ---- the Python client


def python_client(*arguments):
    done = subprocess.run([PYTHON, PYTHON_CLIENT, *arguments], stdout=subprocess.PIPE, timeout=60)
    assert done.returncode == 0
    return json.loads(done.stdout)


@needs_python
@pytest.mark.parametrize("protocol", [None, "v5.channel.k8s.io", "v4.channel.k8s.io"])
def test_python_exec(node, container, protocol):
    named = ["--protocol", protocol] if protocol else []
    url = exec_url(node, container, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert python_client(*named, "exec", url) == {
        "out": "out\n", "err": "err\n", "code": 7, "protocol": protocol or "v5.channel.k8s.io"}
    url = exec_url(node, container, "head", "-n", "1", stdin=True)
    answer = python_client(*named, "--input", "typed\n", "exec", url)
    assert (answer["out"], answer["code"]) == ("typed\n", 0)


@needs_python
def test_python_stdin_end(node, container):
    answer = python_client("--input", "typed", "exec", exec_url(node, container, "cat", stdin=True))
    assert (answer["out"], answer["code"]) == ("typed", 0)


@needs_python
def test_python_ports(node, pod_id):
    with Server(echo) as one, Server(echo) as two:
        ports = [one.port, two.port]
        url = node.v1.PortForward(pod_sandbox_id=pod_id, port=ports).url
        answer = python_client("--input", "hello", "ports", url, *map(str, ports))
    assert answer == {"answers": {str(port): "hello" for port in ports}, "errors": [None, None]}
