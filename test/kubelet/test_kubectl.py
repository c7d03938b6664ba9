# SPDX-License-Identifier: Apache-2.0
"""What kubectl's users do: kubectl → API server → kubelet → our streams, by both protocols.

Between kubelet and us it is SPDY in any case: the kubelet translates what comes as WebSocket."""

import concurrent.futures
import fcntl
import hashlib
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
import urllib.request

import pytest

from kubelet import LONG, harness
from pods import IMAGE, container, sleeper

wait_for = harness.wait_for
TRANSPORTS = {name: {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": value,
                     "KUBECTL_PORT_FORWARD_WEBSOCKETS": value}
              for name, value in (("websocket", "true"), ("spdy", "false"))}


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return TRANSPORTS[request.param]


@pytest.fixture(scope="module")
def pod(cluster, worker):
    """The name of a pod with a web server, whose root has a file of 8 MiB."""
    wait_for("the node to be ready", cluster.node_is_ready, seconds=LONG)
    cluster.run("web", {"containers": [
        container("main", "mkdir /web; dd if=/dev/urandom of=/web/big bs=1M count=8 2>/dev/null; "
                  "echo hello >/web/index.html; httpd -p 8080 -h /web; "
                  "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"),
        container("echo", "exec nc -ll -p 9090 -e cat")]})
    cluster.wait_ready("web")
    yield "web"
    cluster.delete("web")
    cluster.wait_gone("web")


def test_exec(cluster, pod, transport):
    """Output and errors apart and complete, and the exit code."""
    done = cluster.kubectl("exec", pod, "-c", "main", "--", "sh", "-c",
                           "echo out; echo err >&2; exit 7", check=False, env=transport)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert done.stderr.startswith("err\n")
    assert "exit code 7" in done.stderr


def test_exec_with_standard_input(cluster, pod, transport):
    """What goes in comes out, and its end reaches the command."""
    data = os.urandom(3 << 20)
    done = cluster.kubectl("exec", "-i", pod, "-c", "main", "--", "sh", "-c", "cat; echo done >&2",
                           input=data, text=False, env=transport)
    assert done.stdout == data and done.stderr == b"done\n"


def test_exec_of_what_is_not_there(cluster, pod, transport):
    done = cluster.kubectl("exec", pod, "-c", "main", "--", "/no/such", check=False, env=transport)
    assert done.returncode != 0 and "/no/such" in done.stderr


class Terminal:
    """kubectl on a terminal of 40 rows and 100 columns."""

    def __init__(self, cluster, transport, *arguments):
        self.ours, theirs = pty.openpty()
        self.resize(40, 100)
        self.process = cluster.start_kubectl(
            *arguments, stdin=theirs, stdout=theirs, stderr=theirs,
            env={**transport, "TERM": "dumb"}, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)
        self.seen = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.ours, text.encode())

    def expect(self, text, seconds=60):
        """Waits for that text, and forgets what came up to it."""
        end = time.monotonic() + seconds
        while text.encode() not in self.seen:
            ready, _, _ = select.select([self.ours], [], [], max(0, end - time.monotonic()))
            assert ready, f"{text!r} does not come after {self.seen!r}"
            self.seen += os.read(self.ours, 4096)
        self.seen = self.seen.partition(text.encode())[2]

    def close(self):
        """Returns kubectl's exit code."""
        code = self.process.wait(timeout=60)
        os.close(self.ours)
        return code


def test_exec_on_a_terminal(cluster, pod, transport):
    screen = Terminal(cluster, transport, "exec", "-it", pod, "-c", "main", "--", "sh")
    screen.type("tty; stty size\n")
    screen.expect("/dev/pts/")
    screen.expect("40 100")
    screen.resize(24, 132)
    screen.type("while [ \"$(stty size)\" != '24 132' ]; do sleep 0.1; done; echo new''size\n")
    screen.expect("newsize")
    screen.type("sh -c \"echo go''ing; exec sleep 1000\"\n")
    screen.expect("going")
    screen.type("\x03")  # the terminal makes it an interrupt
    screen.type("echo still''here; exit 3\n")
    screen.expect("stillhere")
    assert screen.close() == 3


def test_what_a_lost_client_has_started_ends(cluster, pod, transport):
    screen = Terminal(cluster, transport, "exec", "-it", pod, "-c", "main", "--",
                      "sh", "-c", "echo up; exec sleep 4321")
    screen.expect("up")
    assert "sleep 4321" in processes(cluster, pod)
    screen.process.kill()
    screen.close()
    wait_for("its end", lambda: "sleep 4321" not in processes(cluster, pod), seconds=60)


def processes(cluster, pod):
    return cluster.kubectl("exec", pod, "-c", "main", "--", "ps").stdout


def test_copying_both_ways(cluster, pod, transport, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "random").write_bytes(os.urandom(2 << 20))
    (source / "deep" / "er" / "text").write_text("leaf\n")
    (source / "deep" / "empty").touch()
    target = f"/tmp/copy-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]}"
    cluster.kubectl("cp", source, f"{pod}:{target}", "-c", "main", env=transport)
    cluster.kubectl("cp", f"{pod}:{target}", back, "-c", "main", env=transport)
    files = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    assert sorted(path.relative_to(back) for path in back.rglob("*") if path.is_file()) == \
        sorted(files)
    for file in files:
        assert (back / file).read_bytes() == (source / file).read_bytes()


def test_attach(cluster, worker, transport):
    """What is typed reaches the container, what it says comes back; its end ends the attach."""
    cluster.run("listener", {"restartPolicy": "Never", "containers": [container(
        "main", "echo ready; while read line; do echo got $line; [ $line != end ] || exit 0; done",
        stdin=True, stdinOnce=True)]})
    cluster.wait_ready("listener")
    process = cluster.start_kubectl("attach", "-i", "listener", stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=transport)
    out, _ = process.communicate(b"one\ntwo\nend\n", timeout=60)
    assert process.returncode == 0 and out.endswith(b"got one\ngot two\ngot end\n")
    assert cluster.kubectl("logs", "listener").stdout == "ready\ngot one\ngot two\ngot end\n"
    assert cluster.kubectl("logs", "--tail=2", "listener").stdout == "got two\ngot end\n"
    cluster.delete("listener")
    cluster.wait_gone("listener")


def test_attach_on_a_terminal(cluster, worker, transport):
    cluster.run("shell", {"restartPolicy": "Never", "containers": [
        {"name": "main", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sh"],
         "stdin": True, "tty": True}]})
    cluster.wait_ready("shell")
    screen = Terminal(cluster, transport, "attach", "-it", "shell")
    screen.type("while [ \"$(stty size)\" != '40 100' ]; do sleep 0.1; done; echo mar''ked\n")
    screen.expect("marked")
    screen.type("exit 0\n")
    screen.close()
    assert "marked" in cluster.kubectl("logs", "shell").stdout
    cluster.delete("shell")
    cluster.wait_gone("shell")


def test_forwarding_ports(cluster, pod, transport):
    """Two ports, many connections at once, whole answers, and half-closed connections."""
    expected = cluster.kubectl("exec", pod, "-c", "main", "--", "sha256sum", "/web/big")
    process = cluster.start_kubectl("port-forward", f"pod/{pod}", ":8080", ":9090",
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=transport)
    try:
        ports = {}
        while len(ports) < 2:
            line = process.stdout.readline().decode()
            assert line, "kubectl has ended"
            if found := re.match(r"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)", line):
                ports[int(found[2])] = int(found[1])

        def fetch(path):
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[8080]}{path}",
                                        timeout=60) as answer:
                return answer.read()

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert set(pool.map(fetch, ["/"] * 24)) == {b"hello\n"}
            for data in pool.map(fetch, ["/big"] * 4):
                assert hashlib.sha256(data).hexdigest() == expected.stdout.split()[0]
        data = os.urandom(200000)
        done = subprocess.run(["busybox", "nc", "127.0.0.1", str(ports[9090])], input=data,
                              stdout=subprocess.PIPE, timeout=60, check=True)
        assert done.stdout == data
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_following_a_log(cluster, worker):
    """From the first line to the end of the container, through rotation."""
    count = 6000
    cluster.run("story", {"restartPolicy": "Never", "containers": [container(
        "main", f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo line $i; "
        "[ $((i % 500)) -ne 0 ] || sleep 1; done")]})
    wait_for("its start", lambda: cluster.container("story", "main").get("state", {}).keys() &
             {"running", "terminated"}, seconds=LONG)
    done = cluster.kubectl("logs", "-f", "story")
    assert done.stdout == "".join(f"line {n + 1}\n" for n in range(count))
    cluster.delete("story")
    cluster.wait_gone("story")


def test_run_and_remove(cluster, worker, transport):
    done = cluster.kubectl(
        "run", "once", "--rm", "-i", "--restart=Never", f"--image={IMAGE}",
        "--image-pull-policy=Never", '--overrides={"spec": {"nodeName": "node"}}', "--quiet",
        "--", "sh", "-c", "read x; echo heard $x", input="something\n", env=transport)
    assert "heard something\n" in done.stdout
    cluster.wait_gone("once")


def test_debugging_another_container(cluster, worker):
    """An ephemeral container in the process namespace of its target."""
    cluster.run("patient", {"containers": [sleeper(), sleeper("other")]})
    cluster.wait_ready("patient")
    cluster.kubectl("debug", "patient", f"--image={IMAGE}", "--image-pull-policy=Never",
                    "--target=main", "--container=doctor", "--profile=general", "--",
                    "sh", "-c", "ps -o args")
    wait_for("its end", lambda: cluster.container("patient", "doctor").get("state", {}).get(
        "terminated"), seconds=LONG)
    told = cluster.kubectl("logs", "patient", "-c", "doctor").stdout
    assert told.count("while :") == 1  # its target's first process, not the other's
    cluster.delete("patient")
    cluster.wait_gone("patient")


def test_a_session_outlives_the_dispatcher(cluster, node, pod, transport):
    process = cluster.start_kubectl("exec", "-i", pod, "-c", "main", "--", "cat",
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=transport)
    for turn in range(3):
        text = f"turn {turn}\n".encode()
        process.stdin.write(text)
        process.stdin.flush()
        assert process.stdout.readline() == text
        node.restart()
    out, _ = process.communicate(b"last\n", timeout=60)
    assert (process.returncode, out) == (0, b"last\n")


def test_no_error_of_ours_in_the_kubelets_log(cluster, worker):
    expected = ("/no/such", "imagefs label", "Unavailable", "EOF", "connection refused",
                "code = NotFound desc = there is no container", "context canceled",
                "container runtime status check may not have completed yet")
    assert not [line for line in worker.errors() if not any(word in line for word in expected)]
