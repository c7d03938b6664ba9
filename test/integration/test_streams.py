# SPDX-License-Identifier: Apache-2.0
"""Exec, Attach and PortForward, byte by byte."""

import base64
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import struct
import threading
import time
import zlib

import grpc
import pytest

import spdy
from harness import BUILD, status_of, wait_for
from test_containers import processes_with

NUMBERS = itertools.count(10**9 + os.getpid() * 1000)


@pytest.fixture(scope="module")
def shared(node):
    """A pod with a container that does nothing, for all tests that only execute in it."""
    import harness

    pod = harness.Pod(node)
    yield pod, pod.start("sleep", "100000")
    pod.remove()


@pytest.fixture
def container(shared):
    return shared[1]


@pytest.fixture
def pod_id(shared):
    return shared[0].id


def exec_url(node, container, *command, **flags):
    flags.setdefault("stdout", True)
    flags.setdefault("stderr", not flags.get("tty"))
    return node.v1.Exec(container_id=container, cmd=command or ["true"], **flags).url


def run(node, container, *command, versions=spdy.SPDY_VERSIONS, order=None, **flags):
    url = exec_url(node, container, *command, **flags)
    flags.setdefault("stderr", not flags.get("tty"))
    return spdy.Remote.start(url, versions=versions, order=order, **flags)


def shell(node, container, script, **flags):
    return run(node, container, "sh", "-c", script, **flags)


def attach(node, container, **flags):
    flags.setdefault("stdout", True)
    flags.setdefault("stderr", not flags.get("tty"))
    url = node.v1.Attach(container_id=container, **flags).url
    return spdy.Remote.start(url, **flags)


def stream_processes():
    """Of this build: others may test on the machine."""
    found = set()
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if (name.isdigit() and open(f"/proc/{name}/comm").read() == "podmon-stream\n"
                    and os.readlink(f"/proc/{name}/exe").startswith(str(BUILD))):
                found.add(int(name))
    return found


def nothing_left(before):
    wait_for("the processes of streams are gone", lambda: not stream_processes() - before, 10)


# ---- the calls


@pytest.mark.parametrize("method,fields,text", [
    ("Exec", dict(cmd=["true"], stdout=True), "missing required container_id"),
    ("Attach", dict(stdout=True), "missing required container_id"),
    ("Exec", dict(container_id="@", cmd=["true"], stdout=True, stderr=True, tty=True),
     "tty and stderr cannot both be true"),
    ("Attach", dict(container_id="@", stderr=True, tty=True), "tty and stderr cannot both be true"),
    ("Exec", dict(container_id="@", cmd=["true"]), "one of stdin, stdout, or stderr must be set"),
    ("Attach", dict(container_id="@"), "one of stdin, stdout, or stderr must be set"),
    ("Exec", dict(container_id="@", stdout=True), "cmd"),
    ("PortForward", dict(), "missing required pod_sandbox_id"),
    ("PortForward", dict(pod_sandbox_id="@", port=[0]), "port: 0"),
    ("PortForward", dict(pod_sandbox_id="@", port=[70000]), "port: 70000"),
])
def test_refused_calls(node, container, pod_id, method, fields, text):
    fields = dict(fields)
    for key, value in (("container_id", container), ("pod_sandbox_id", pod_id)):
        if fields.get(key) == "@":
            fields[key] = value
    code, details = status_of(getattr(node.v1, method), **fields)
    assert code == grpc.StatusCode.INVALID_ARGUMENT and text in details


@pytest.mark.parametrize("method,fields", [
    ("Exec", dict(container_id="0" * 64, cmd=["true"], stdout=True)),
    ("Attach", dict(container_id="0" * 64, stdout=True)),
    ("PortForward", dict(pod_sandbox_id="0" * 64)),
])
def test_unknown_objects(node, container, method, fields):
    assert status_of(getattr(node.v1, method), **fields)[0] == grpc.StatusCode.NOT_FOUND


def test_what_does_not_run(node, pod):
    container = pod.create("true")
    for call, fields in ((node.v1.Exec, dict(cmd=["true"])), (node.v1.Attach, {})):
        code, _ = status_of(call, container_id=container, stdout=True, **fields)
        assert code == grpc.StatusCode.FAILED_PRECONDITION
    node.v1.StopPodSandbox(pod_sandbox_id=pod.id)
    code, _ = status_of(node.v1.PortForward, pod_sandbox_id=pod.id)
    assert code == grpc.StatusCode.FAILED_PRECONDITION


def test_at_most_a_thousand_tokens(node, make_pod):
    pod = make_pod()
    for _ in range(1000):
        node.v1.PortForward(pod_sandbox_id=pod.id)
    code, text = status_of(node.v1.PortForward, pod_sandbox_id=pod.id)
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED and "in-flight" in text


def test_seed_api(node, container):
    """Which knows no stdout and stderr: both are wanted, or with a terminal the first."""
    for tty, newline in ((False, b"\n"), (True, b"\r\n")):
        url = node.seed.Exec(container_id=container, cmd=["echo", "hi"], tty=tty).url
        with spdy.Remote.start(url, stderr=not tty, tty=tty) as session:
            assert (session.code(), session.output()) == (0, b"hi" + newline)


# ---- HTTP and tokens


V4 = spdy.spdy_headers("v4.channel.k8s.io")


def test_token_is_good_once(node, container):
    url = exec_url(node, container)
    assert spdy.request(url, headers=V4)[0] == 101
    assert spdy.request(url, headers=V4)[0] == 404


def test_token_is_for_one_operation(node, container):
    url = exec_url(node, container)
    assert spdy.request(url.replace("/exec/", "/attach/"), headers=V4)[0] == 404
    assert spdy.request(url, headers=V4)[0] == 404


def test_other_methods_do_not_use_the_token_up(node, container):
    url = exec_url(node, container)
    for method in ("PUT", "DELETE", "HEAD", "PATCH"):
        status, headers, _ = spdy.request(url, method, V4)
        assert status == 405 and dict(headers)["allow"] == "GET, POST"
    assert spdy.request(url, headers=V4)[0] == 101


@pytest.mark.parametrize("change", [
    lambda url: re.sub("/exec/.*", "/", url),
    lambda url: re.sub("/exec/.*", "/exec/", url),
    lambda url: re.sub("/exec/.*", "/other/" + "0" * 56, url),
    lambda url: url[:-32] + "0" * 32,
    lambda url: url[:-56] + "0" * 56,
    lambda url: url[:-1],
    lambda url: url + "0",
    lambda url: url + "/",
    lambda url: url + "?x=1",
    lambda url: url[:-56] + "../../../etc/passwd",
])
def test_unknown_tokens_and_paths(node, container, change):
    status, headers, body = spdy.request(change(exec_url(node, container)), headers=V4)
    assert status == 404 and body and dict(headers)["content-length"] == str(len(body))


@pytest.mark.parametrize("headers,status", [
    (["Connection: Upgrade", "Upgrade: SPDY/3.1"], 400),
    (["Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version:"], 400),
    (["Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: ,,"], 400),
    (spdy.spdy_headers("v9.channel.k8s.io"), 403),
    (["X-Stream-Protocol-Version: v4.channel.k8s.io"], 400),
    (["Connection: Upgrade", "X-Stream-Protocol-Version: v4.channel.k8s.io"], 400),
    ([*V4, "Transfer-Encoding: chunked"], 400),
    (["Content-Length: 5", *V4[1:]], 400),
    ([*V4, "bad header"], 400),
    ([*V4, "X: " + "y" * 70000], 431),
    ([*V4, *(f"X-{n}: y" for n in range(300))], 431),
    ([*V4, "X: " + "y" * 40000, "X-Forwarded-For: 1.2.3.4", "Origin: http://elsewhere"], 101),
])
def test_heads(node, container, headers, status):
    answer, fields, _ = spdy.request(exec_url(node, container), headers=headers)
    assert answer == status
    if status == 403:
        offered = [value for name, value in fields
                   if name == "x-accepted-stream-protocol-versions"]
        assert offered == list(spdy.SPDY_VERSIONS)


@pytest.mark.parametrize("versions,chosen", [
    (["v5.channel.k8s.io", "v4.channel.k8s.io"], "v4.channel.k8s.io"),
    (["v5.channel.k8s.io, v4.channel.k8s.io , v3.channel.k8s.io"], "v4.channel.k8s.io"),
    (["v2.channel.k8s.io", "v4.channel.k8s.io"], "v2.channel.k8s.io"),
    (["channel.k8s.io"], "channel.k8s.io"),
])
def test_the_clients_order_decides(node, container, versions, chosen):
    with spdy.Spdy.open(exec_url(node, container), *versions) as session:
        assert session.protocol == chosen


def test_ports_are_not_spoken_like_commands(node, pod_id):
    url = node.v1.PortForward(pod_sandbox_id=pod_id).url
    assert spdy.request(url, headers=V4)[0] == 403


def test_a_slow_head(node, container):
    connection, path = spdy.connect(exec_url(node, container))
    with connection:
        connection.sendall(f"POST {path} HT".encode())
        start = time.monotonic()
        assert connection.recv(1) == b""
        assert 8 < time.monotonic() - start < 15


def test_a_head_in_single_bytes(node, container):
    connection, path = spdy.connect(exec_url(node, container))
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in ("\r\n".join([f"POST {path} HTTP/1.1", *V4, "", ""])).encode():
            connection.send(bytes([byte]))
        assert spdy.read_head(connection)[0] == 101


def test_urls_survive_the_dispatcher(node, container):
    url = exec_url(node, container, "echo", "still good")
    node.restart(signal.SIGKILL)
    with spdy.Remote.start(url) as session:
        assert (session.code(), session.output()) == (0, b"still good\n")


# ---- SPDY


class SingleBytes(spdy.Bytes):
    def write(self, data):
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            self.connection.send(bytes([byte]))


def open_raw(node, container, *command, **flags):
    return spdy.Spdy.open(exec_url(node, container, *command, **flags), "v4.channel.k8s.io")


def test_frames_in_single_bytes(node, container):
    with open_raw(node, container, "cat", stdin=True) as session:
        session.stream.__class__ = SingleBytes
        ids = [session.open_stream(streamtype=name)
               for name in ("error", "stdin", "stdout", "stderr")]
        session.write(ids[1], b"hello", fin=True)
        session.wait(lambda: session.goaway, "the end")
        assert session.data[ids[2]] == b"hello"


def test_all_frames_in_one_segment(node, container):
    url = exec_url(node, container, "cat", stdin=True)
    connection, path = spdy.connect(url)
    session = spdy.Spdy(spdy.Bytes(connection))
    sent = []
    session.stream.write = sent.append
    ids = [session.syn({"streamtype": name}) for name in ("error", "stdin", "stdout", "stderr")]
    session.write(ids[1], b"early", fin=True)
    head = "\r\n".join([f"POST {path} HTTP/1.1", *V4, "", ""]).encode()
    connection.sendall(head + b"".join(sent))
    status, _, session.stream.buffer[:] = spdy.read_head(connection)
    assert status == 101
    session.wait(lambda: session.goaway, "the end")
    assert session.data[ids[2]] == b"early"
    assert json.loads(session.data[ids[0]]) == {"status": "Success"}
    session.close()


def test_numbers_that_are_refused(node, container):
    with open_raw(node, container) as session:
        session.open_stream(streamtype="error")
        for id in (1, 2):
            session.syn({"streamtype": "stdout"}, id=id)
            session.wait(lambda: session.resets.pop(id, None) == 1, "a reset")
        session.next_id = 9
        stdout = session.open_stream(streamtype="stdout")
        session.open_stream(streamtype="stderr")
        session.wait(lambda: session.goaway, "the end")
        assert stdout in session.ended


@pytest.mark.parametrize("type", ["stdin", "resize", "stdout", "unknown", "Error", ""])
def test_streams_that_are_refused(node, container, type):
    with open_raw(node, container) as session:
        session.open_stream(streamtype="error")
        session.open_stream(streamtype="stdout")
        id = session.syn({"streamtype": type})
        session.wait(lambda: session.resets.get(id) == 3, "a reset")
        session.open_stream(streamtype="stderr")
        session.wait(lambda: session.goaway, "the end")


def test_pings(node, container):
    with run(node, container, "sleep", "1000", stdin=True) as session:
        session.send(b"x" * 150_000)  # more than a pipe holds, and nobody reads it
        session.ping(2)
        session.ping(1)
        session.ping(4)
        session.ping(0xFFFFFFFF)
        session.wait(lambda: len(session.pings) == 2, "the answers", 3)
        assert session.pings == [1, 0xFFFFFFFF]


def test_frames_that_are_passed_over(node, container):
    with run(node, container, "cat", stdin=True) as session:
        session.control(spdy.SETTINGS, struct.pack(">IBBHI", 1, 0, 0, 4, 100))
        session.control(spdy.WINDOW, struct.pack(">II", 1, 5))
        session.control(spdy.HEADERS, struct.pack(">I", 3) + session.block({"a": "b"}))
        late = session.syn({"streamtype": "stdin"})  # decoded behind the headers
        session.wait(lambda: late in session.resets, "a reset")
        session.write(99, b"to nobody")
        session.write(late, b"to a stream that was refused")
        session.stream.write(struct.pack(">II", 99, 0xFFFFFF))
        for _ in range(255):
            session.stream.write(bytes(65536))
        session.stream.write(bytes(0xFFFFFF - 255 * 65536))
        session.send(b"alive", fin=True)
        assert (session.code(), session.output()) == (0, b"alive")


@pytest.mark.parametrize("frame", [
    "8003000500000000", "8003000a00000000", "8003000000000000", "8002000100000000",
    "800300010000000900000001000000000000", "80030001000200000000",
    "8003000300000007", "8003000600000003", "8003000700000004", "8003000900000007",
    "8003000800000003", "800300010000000e00000001000000000000ffffffff",
    "8003000100000010000000010000000000007801ffffffff",
    "800300010000001000000001000000000000" "78f900000001",
])
def test_frames_that_end_the_connection(node, container, frame):
    before = stream_processes()
    with open_raw(node, container) as session:
        session.stream.write(bytes.fromhex(frame) + bytes(64))
        session.wait(lambda: session.goaway is not None, "a goaway")
        assert session.goaway[1] == 1
        session.drain()
        assert not session.after_goaway
    nothing_left(before)


def test_a_header_bomb(node, container):
    with open_raw(node, container) as session:
        packer = zlib.compressobj(9)
        bomb = packer.compress(bytes(30 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert len(bomb) < 65000
        session.control(spdy.SYN_STREAM, struct.pack(">IIH", 1, 0, 0) + bomb)
        session.wait(lambda: session.goaway is not None, "a goaway")
        assert session.goaway[1] == 1


def test_goaway_of_the_client(node, container):
    number = str(next(NUMBERS))
    before = stream_processes()
    with run(node, container, "sleep", number) as session:
        wait_for("the command runs", lambda: processes_with(number))
        session.control(spdy.GOAWAY, bytes(8))
        session.drain()
    wait_for("the command is gone", lambda: not processes_with(number))
    nothing_left(before)


def test_reset_of_an_output(node, container):
    with shell(node, container, "head -c 3000000 /dev/zero; echo -n end >&2; exit 4") as session:
        session.reset(session.ids["stdout"])
        session.resets[session.ids["stdout"]] = 5
        assert session.code() == 4
        assert session.output("stderr") == b"end"


# ---- exec


@pytest.mark.parametrize("script,code", [("true", 0), ("exit 1", 1), ("exit 3", 3),
                                         ("exit 255", 255), ("kill -9 $$", 137),
                                         ("kill -15 $$", 143)])
@pytest.mark.parametrize("tty", [False, True])
def test_exit_codes(node, container, script, code, tty):
    with shell(node, container, script, tty=tty) as session:
        assert session.code() == code


def test_exec_without_privileges_in_its_server(node, container):
    before = stream_processes()
    with run(node, container, "sleep", "1000"):
        process, = wait_for("the process", lambda: stream_processes() - before)
        status = open(f"/proc/{process}/status").read()
        assert re.search(r"^Uid:(\t65534){4}$", status, re.M)
        assert re.search(r"^Gid:(\t65534){4}$", status, re.M)
        assert re.search(r"^CapEff:\t0+$", status, re.M) and "NoNewPrivs:\t1" in status
        links = [os.readlink(f"/proc/{process}/fd/{fd}") for fd in os.listdir(f"/proc/{process}/fd")]
        assert sum("socket" in link for link in links) == 2
        assert not [link for link in links if link.startswith("/") and link[:5] != "/dev/"
                    and not link.endswith("dispatcher.log")], links


def test_missing_program(node, container):
    for tty in (False, True):
        with run(node, container, "/no/such/program", tty=tty) as session:
            status = session.status()
            assert status["reason"] == "InternalError" and status["code"] == 500
            assert "/no/such/program" in status["message"]


def test_streams_are_separate_and_exact(node, container):
    with shell(node, container, "echo -n out; echo -n err >&2; exit 5") as session:
        assert session.code() == 5
        assert (session.output(), session.output("stderr")) == (b"out", b"err")


@pytest.mark.parametrize("flags", [dict(stderr=False), dict(stdout=False, stderr=True),
                                   dict(stdin=True, stdout=False, stderr=False)])
def test_some_streams_only(node, container, flags):
    with shell(node, container, "echo out; echo err >&2; exit 2", **flags) as session:
        assert session.code() == 2
        assert session.output() == (b"out\n" if flags.get("stdout", True) else b"")


def test_stdin(node, container):
    data = os.urandom(3_000_000)
    with run(node, container, "cat", stdin=True) as session:
        writer = threading.Thread(target=session.send, args=(data, True))
        writer.start()
        assert session.code() == 0
        writer.join()
        assert session.output() == data


def test_no_stdin_is_empty(node, container):
    with run(node, container, "cat") as session:
        assert (session.code(), session.output()) == (0, b"")


def test_status_comes_although_stdin_is_not_read(node, container):
    with shell(node, container, "echo done; exit 6", stdin=True) as session:
        with contextlib.suppress(OSError):
            for _ in range(64):
                session.send(bytes(65536))
        assert (session.code(), session.output()) == (6, b"done\n")


def test_much_output_and_a_slow_reader(node, container):
    with shell(node, container, "head -c 100000000 /dev/zero; exit 7") as session:
        time.sleep(1)
        assert session.code() == 7
        assert len(session.output()) == 100_000_000


@pytest.mark.parametrize("tty", [False, True])
def test_nothing_is_lost_at_the_end(node, container, tty):
    for number in range(25):
        with shell(node, container, f"head -c 60000 /dev/zero | tr '\\0' x; echo {number}",
                   tty=tty) as session:
            assert session.code() == 0
            assert session.output().replace(b"\r", b"") == b"x" * 60000 + b"%d\n" % number


def test_streams_in_any_order(node, container):
    names = ["stderr", "stdin", "error", "stdout"]
    with run(node, container, "cat", stdin=True, order=names) as session:
        session.send(b"x", fin=True)
        assert (session.code(), session.output()) == (0, b"x")


def test_the_command_starts_with_the_last_stream(node, container):
    number = str(next(NUMBERS))
    with open_raw(node, container, "sleep", number) as session:
        session.open_stream(streamtype="error")
        session.open_stream(streamtype="stdout")
        time.sleep(0.3)
        assert not processes_with(number)


def test_terminal(node, container):
    with shell(node, container, "echo $TERM; tty; stty size; read line; stty size; exit 8",
               tty=True, stdin=True) as session:
        session.wait_for(b"/dev/pts/")
        session.write(session.ids["resize"], b'{"Wid')
        session.write(session.ids["resize"], b'th":120,"Height":40}\n{"Width":0,"Height":9}')
        time.sleep(0.2)
        session.send(b"\n")
        assert session.code() == 8
        lines = session.output().decode().split("\r\n")
        assert lines[0] == "xterm" and "40 120" in lines


def test_size_before_the_start(node, container):
    with open_raw(node, container, "sh", "-c", "sleep 0.3; stty size", tty=True) as session:
        ids = [session.open_stream(streamtype=name) for name in ("error", "resize")]
        session.write(ids[1], b'{"Width":100,"Height":30}')
        out = session.open_stream(streamtype="stdout")
        session.wait(lambda: session.goaway, "the end")
        assert session.data[out] == b"30 100\r\n"


def test_garbage_for_a_size(node, container):
    with shell(node, container, "read line; echo $line", tty=True, stdin=True) as session:
        session.write(session.ids["resize"], b"garbage" * 1000)
        session.send(b"fine\n")
        session.wait_for(b"fine\r\nfine\r\n")
        assert session.code() == 0


def test_terminal_input_ends_and_output_goes_on(node, container):
    with shell(node, container, "sleep 0.5; echo later", tty=True, stdin=True) as session:
        session.send(b"", fin=True)
        assert (session.code(), session.output()) == (0, b"later\r\n")


def test_a_background_child_keeps_the_output(node, container):
    number = str(next(NUMBERS))
    start = time.monotonic()
    with shell(node, container, f"echo begun; sleep {number} & exit 9") as session:
        assert (session.code(), session.output()) == (9, b"begun\n")
        assert time.monotonic() - start < 15
    assert processes_with(number)  # and lives on
    with shell(node, container, f"kill $(pgrep -f {number})") as session:
        session.status()


def test_client_dies(node, container):
    number = str(next(NUMBERS))
    before = stream_processes()
    session = shell(node, container, f"sleep {number} & sleep {number}", stdin=True)
    wait_for("the commands run", lambda: len(processes_with(number)) >= 2)
    session.close()
    wait_for("all of it is gone", lambda: not processes_with(number))
    nothing_left(before)


def test_client_dies_with_a_full_stdin(node, container):
    number = str(next(NUMBERS))
    before = stream_processes()
    session = run(node, container, "sleep", number, stdin=True)
    session.send(bytes(380_000))  # more than a pipe and we hold; the rest is in the socket
    wait_for("the command runs", lambda: processes_with(number))
    session.stream.reset()
    wait_for("it is gone", lambda: not processes_with(number))
    nothing_left(before)


def test_client_of_a_terminal_dies(node, container):
    number = str(next(NUMBERS))
    before = stream_processes()
    session = shell(node, container, f"sleep {number}", tty=True, stdin=True)
    wait_for("the command runs", lambda: processes_with(number))
    session.close()
    wait_for("it was hung up", lambda: not processes_with(number))
    nothing_left(before)


@pytest.mark.parametrize("version", ["v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"])
def test_old_versions(node, container, version):
    with shell(node, container, "echo -n x; exit 3", versions=[version]) as session:
        assert session.finish().endswith("exit code 3")
        assert session.output() == b"x"
    with shell(node, container, "true", versions=[version]) as session:
        assert session.finish() == ""


def test_the_end_of_a_container_ends_its_execs(node, pod):
    container = pod.start("sleep", "1000")
    with shell(node, container, "echo up; exec sleep 1000") as session:
        session.wait_for(b"up")
        node.v1.StopContainer(container_id=container, timeout=0)
        assert session.code() == 137


def test_streams_that_never_come(node, container, pod_id):
    """What takes 30 seconds, all at once."""
    before = stream_processes()
    with open_raw(node, container) as some, \
            spdy.Spdy.open(node.v1.PortForward(pod_sandbox_id=pod_id).url,
                           "portforward.k8s.io") as ports:
        some.open_stream(streamtype="error")
        error = ports.open_stream(streamtype="error", port=80, requestid=0)
        start = time.monotonic()
        some.wait(lambda: some.goaway is not None, "the end", 40)
        assert 25 < time.monotonic() - start < 35
        ports.wait(lambda: error in ports.ended, "the end of the error stream", 10)
        assert b"not opened" in ports.data[error]
        ports.ping(1)
        ports.wait(lambda: ports.pings, "the connection lives")
    nothing_left(before)


def test_two_hundred_at_once(node, container):
    before = stream_processes()
    sessions = [run(node, container, "cat", stdin=True) for _ in range(200)]
    for number, session in enumerate(sessions):
        session.send(b"%d" % number, fin=True)
    for number, session in enumerate(sessions):
        assert (session.code(), session.output()) == (0, b"%d" % number)
    nothing_left(before)


# ---- attach


def test_attach_stdin_once(node, pod):
    container = pod.start("sh", stdin=True, stdin_once=True, log_path="")
    with attach(node, container, stdin=True) as session:
        session.send(b"echo -n hello\n")
        session.wait_for(b"hello")
        session.send(b"", fin=True)
        assert session.status() == {"status": "Success"}
        assert (session.output(), session.output("stderr")) == (b"hello", b"")
    assert pod.wait(container).exit_code == 0


def test_attach_detaches_at_the_end_of_stdin(node, pod):
    container = pod.start("sh", stdin=True)
    for number in range(2):
        with attach(node, container, stdin=True) as session:
            session.send(b"echo %d\n" % number)
            session.wait_for(b"%d\n" % number)
            session.send(b"", fin=True)
            assert session.status() == {"status": "Success"}
    assert pod.status(container).state == node.v1_api.CONTAINER_RUNNING
    assert pod.output(container) == "0\n1\n"


def test_attach_to_a_terminal(node, pod):
    container = pod.start("sh", stdin=True, tty=True)
    with attach(node, container, stdin=True, tty=True) as session:
        session.resize(111, 44)
        session.send(b"stty size\n")
        session.wait_for(b"44 111")
        session.send(b"", fin=True)
        assert session.status() == {"status": "Success"}
    assert pod.status(container).state == node.v1_api.CONTAINER_RUNNING


def test_a_disconnect_ends_stdin_once(node, pod):
    container = pod.start("cat", stdin=True, stdin_once=True)
    session = attach(node, container, stdin=True)
    other = attach(node, container, stdin=True)
    session.send(b"x\n")
    other.wait_for(b"x\n")
    session.close()
    assert other.status() == {"status": "Success"}
    pod.wait(container)


def test_two_clients(node, pod):
    container = pod.start("cat", stdin=True)
    with attach(node, container, stdin=True) as one, attach(node, container, stdin=True) as two:
        one.send(b"from one\n")
        two.wait_for(b"from one\n")
        two.send(b"from two\n")
        for session in (one, two):
            session.wait_for(b"from two\n")
        assert one.output() == two.output() == b"from one\nfrom two\n"


def test_attach_until_the_end(node, pod):
    container = pod.start("sh", "-c", "read x; echo end; echo bad >&2; exit 3", stdin=True)
    with attach(node, container) as watching, attach(node, container, stdin=True) as typing:
        typing.send(b"\n")
        for session in (watching, typing):
            assert session.status() == {"status": "Success"}
            assert (session.output(), session.output("stderr")) == (b"end\n", b"bad\n")
    assert pod.wait(container).exit_code == 3


def test_input_for_a_container_that_takes_none(node, pod):
    container = pod.start("sh", "-c", "sleep 1; echo end")
    with attach(node, container, stdin=True) as session:
        session.send(b"ignored" * 50000)
        assert session.status() == {"status": "Success"}
        assert session.output() == b"end\n"


def test_a_client_that_does_not_read_is_let_go(node, pod):
    container = pod.start("sh", "-c", "read x; head -c 60000000 /dev/zero | tr '\\0' 'a\\n'; read x",
                          stdin=True)
    stalled = attach(node, container)
    start = time.monotonic()
    with attach(node, container, stdin=True) as typing:
        typing.send(b"\n")
        path = pod.status(container).log_path
        wait_for("the whole output is in the log", lambda: os.path.getsize(path) >= 60_000_000)
    assert time.monotonic() - start < 20
    status = stalled.status()
    assert status["reason"] == "InternalError" and "too slow" in status["message"]
    assert 0 < len(stalled.output()) < 60_000_000
    stalled.close()


# ---- port-forward


class Server:
    """TCP servers of the test, in the network that the pods of these tests share with it."""

    def __init__(self, handler, family=socket.AF_INET, port=0):
        host = "127.0.0.1" if family == socket.AF_INET else "::1"
        self.socket = socket.create_server((host, port), family=family, backlog=256)
        self.port = self.socket.getsockname()[1]
        self.handler = handler
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            self.handler(connection)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


def forward(node, pod_id):
    return spdy.Spdy.open(node.v1.PortForward(pod_sandbox_id=pod_id).url, "portforward.k8s.io")


def open_pair(session, port, number):
    error = session.open_stream(streamType="error", port=port, requestID=number)
    session.write(error, b"", fin=True)
    return error, session.open_stream(streamType="data", port=port, requestID=number)


def finish_pair(session, error, data, expected, seconds=20):
    session.wait(lambda: {error, data} <= session.ended, "the end of a pair", seconds)
    assert session.data.get(data, b"") == expected
    assert not session.data.get(error)


def test_many_pairs(node, pod_id):
    with Server(echo) as server, forward(node, pod_id) as session:
        pairs = [open_pair(session, server.port, number) for number in range(100)]
        for number, (_, data) in enumerate(pairs):
            session.write(data, b"%d" % number)
        for number, (_, data) in enumerate(pairs):
            session.write(data, b"!", fin=True)
        for number, (error, data) in enumerate(pairs):
            finish_pair(session, error, data, b"%d!" % number)


@pytest.mark.parametrize("headers", [
    dict(streamtype="data", port="0", requestid="0"),
    dict(streamtype="data", port="70000", requestid="0"),
    dict(streamtype="data", port="abc", requestid="0"),
    dict(streamtype="data", requestid="0"),
    dict(streamtype="x", port="80", requestid="0"),
    dict(port="80", requestid="0"),
])
def test_bad_streams_of_ports(node, pod_id, headers):
    with forward(node, pod_id) as session:
        id = session.syn(headers)
        session.wait(lambda: session.resets.get(id) == 5, "a reset")
        assert id not in session.replied


def test_pairs_without_request_ids(node, pod_id):
    with Server(echo) as server, forward(node, pod_id) as session:
        for number in range(2):
            error = session.open_stream(streamtype="error", port=server.port)
            data = session.open_stream(streamtype="data", port=server.port)
            session.write(data, b"%d" % number, fin=True)
            finish_pair(session, error, data, b"%d" % number)


def test_a_stream_twice(node, pod_id):
    with Server(echo) as server, forward(node, pod_id) as session:
        error, data = open_pair(session, server.port, 0)
        again = session.syn({"streamtype": "data", "port": str(server.port), "requestid": "0"})
        session.wait(lambda: again in session.resets, "a reset")
        session.wait(lambda: b"already assigned" in session.data.get(error, b""), "a text")
        session.write(data, b"works", fin=True)
        session.wait(lambda: {error, data} <= session.ended, "the end")
        assert session.data[data] == b"works"


def test_data_before_the_error_stream(node, pod_id):
    with Server(echo) as server, forward(node, pod_id) as session:
        data = session.open_stream(streamtype="data", port=server.port, requestid=0)
        session.write(data, b"early", fin=True)
        error = session.open_stream(streamtype="error", port=server.port, requestid=0)
        finish_pair(session, error, data, b"early")


def test_a_closed_port(node, pod_id):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with forward(node, pod_id) as session:
        error, data = open_pair(session, port, 0)
        session.wait(lambda: error in session.ended and data in session.resets, "the end")
        text = session.data[error].decode()
        assert f"error forwarding port {port} to pod" in text and "refused" in text
        session.ping(1)
        session.wait(lambda: session.pings, "the connection lives")


def test_half_close(node, pod_id):
    def answer_at_the_end(connection):
        total = 0
        while part := connection.recv(65536):
            total += len(part)
        time.sleep(2)
        connection.sendall(b"%d" % total * 100_000)

    with Server(answer_at_the_end) as server, forward(node, pod_id) as session:
        error, data = open_pair(session, server.port, 0)
        session.write(data, b"x" * 100_000, fin=True)
        finish_pair(session, error, data, b"100000" * 100_000)


def test_a_target_that_ends_first(node, pod_id):
    with Server(lambda connection: connection.sendall(b"bye")) as server, \
            forward(node, pod_id) as session:
        error, data = open_pair(session, server.port, 0)
        session.wait(lambda: data in session.ended, "the end of data")
        session.write(data, b"", fin=True)
        finish_pair(session, error, data, b"bye")


def test_a_target_that_resets(node, pod_id):
    def reset(connection):
        connection.sendall(b"data")
        time.sleep(0.3)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with Server(reset) as server, forward(node, pod_id) as session:
        error, data = open_pair(session, server.port, 0)
        finish_pair(session, error, data, b"data")


def test_a_client_that_resets_data(node, pod_id):
    closed = threading.Event()

    def watch(connection):
        while connection.recv(65536):
            pass
        closed.set()

    with Server(watch) as server, forward(node, pod_id) as session:
        error, data = open_pair(session, server.port, 0)
        session.reset(data)
        session.wait(lambda: error in session.ended, "the end of the error stream")
        assert not session.data.get(error)
        assert closed.wait(5)
        other = open_pair(session, server.port, 1)
        session.write(other[1], b"", fin=True)
        finish_pair(session, *other, b"")


def test_only_ipv6(node, pod_id):
    with Server(echo, socket.AF_INET6) as server, forward(node, pod_id) as session:
        error, data = open_pair(session, server.port, 0)
        session.write(data, b"six", fin=True)
        finish_pair(session, error, data, b"six")


def test_much_both_ways(node, pod_id):
    data = os.urandom(1 << 20) * 16
    with Server(echo) as server, forward(node, pod_id) as session:
        error, stream = open_pair(session, server.port, 0)
        writer = threading.Thread(target=session.write, args=(stream, data, True))
        writer.start()
        finish_pair(session, error, stream, data, 60)
        writer.join()


def test_ports_go_when_the_client_does(node, pod_id):
    before = stream_processes()
    closed = threading.Event()

    def watch(connection):
        connection.sendall(b"x")
        while connection.recv(65536):
            pass
        closed.set()

    with Server(watch) as server:
        session = forward(node, pod_id)
        _, data = open_pair(session, server.port, 0)
        session.wait(lambda: session.data.get(data), "a byte")
        session.close()
        assert closed.wait(5)
    nothing_left(before)


def test_a_pod_that_stops_ends_its_ports(node, pod):
    with Server(echo) as server, forward(node, pod.id) as session:
        open_pair(session, server.port, 0)
        node.v1.StopPodSandbox(pod_sandbox_id=pod.id)
        session.wait(lambda: session.goaway is not None, "a goaway")


# ---- WebSocket


def web_exec(node, container, *command, protocol="v5.channel.k8s.io", **flags):
    url = exec_url(node, container, *command, **flags)
    socket_ = spdy.WebSocket.open(url, *([protocol] if protocol else []))
    assert socket_.protocol == (protocol or None)
    return socket_


@pytest.mark.parametrize("method,headers,status", [
    ("POST", [], 405),
    ("GET", ["Sec-WebSocket-Key:"], 400),
    ("GET", ["Sec-WebSocket-Version: 8"], 400),
    ("GET", ["Sec-WebSocket-Protocol: v2.channel.k8s.io"], 403),
])
def test_websocket_heads(node, container, method, headers, status):
    given = {line.split(":")[0] for line in headers}
    usual = ["Connection: Upgrade", "Upgrade: websocket",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
             "Sec-WebSocket-Protocol: v4.channel.k8s.io"]
    lines = [line for line in usual if line.split(":")[0] not in given] + headers
    assert spdy.request(exec_url(node, container), method, lines)[0] == status


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io",
                                      "channel.k8s.io", None])
def test_websocket_exec(node, container, protocol):
    session = web_exec(node, container, "sh", "-c", "echo -n out; echo -n err >&2; exit 3",
                       protocol=protocol)
    messages, code = session.messages()
    assert messages[0] == (2, b"\1") and code == 1000
    assert all(opcode == 2 for opcode, _ in messages)
    assert spdy.channel(messages, 1) == b"out" and spdy.channel(messages, 2) == b"err"
    assert messages[-1][1][:1] == b"\3"
    if protocol and protocol[0] == "v":
        assert json.loads(spdy.channel(messages, 3))["details"]["causes"][0]["message"] == "3"
    else:
        assert spdy.channel(messages, 3).endswith(b"exit code 3")
    session.close()


@pytest.mark.parametrize("protocol", ["v4.base64.channel.k8s.io", "base64.channel.k8s.io"])
def test_websocket_base64(node, container, protocol):
    session = web_exec(node, container, "head", "-c", "5", protocol=protocol, stdin=True)
    for text in (b"0!!!", b"0abc", b"0", b"9aGVsbG8=", b"0" + base64.b64encode(b"hello")):
        session.send(text, opcode=1)
    messages, code = session.messages()
    assert messages[0] == (1, b"1") and code == 1000
    assert (1, b"1aGVsbG8=") in messages
    session.close()


def test_websocket_stdin_end(node, container):
    session = web_exec(node, container, "cat", stdin=True)
    session.send(b"\0hel")
    session.frame(2, b"\0", fin=False)
    session.frame(9, b"ping")
    session.frame(0, b"lo")
    session.send(b"")
    session.send(b"\7ignored")
    session.send(b"\xff\0")
    messages, code = session.messages()
    assert (spdy.channel(messages, 1), code) == (b"hello", 1000)
    assert session.pongs == [b"ping"]
    assert json.loads(spdy.channel(messages, 3)) == {"status": "Success"}
    session.close()


@pytest.mark.parametrize("data", [b"\xff\x09", b"\xff", b"\xff\0\0"])
def test_websocket_bad_close_of_a_channel(node, container, data):
    session = web_exec(node, container, "sleep", "1000", stdin=True)
    session.send(data)
    messages, _ = session.messages()
    assert not spdy.channel(messages, 3)
    session.close()


def test_websocket_that_breaks_the_rules(node, container):
    session = web_exec(node, container, "sleep", "1000", stdin=True)
    session.frame(2, b"\0x", masked=False)
    assert session.messages()[1] == 1002
    session.close()
    session = web_exec(node, container, "sleep", "1000", stdin=True)
    with contextlib.suppress(OSError):
        session.frame(2, bytes((1 << 20) + 1))
    assert session.messages()[1] == 1009
    session.close()


def test_websocket_ping_during_output(node, container):
    session = web_exec(node, container, "head", "-c", "100000000", "/dev/zero")
    session.frame(9, b"now")
    total, answered_at = 0, None
    while True:
        opcode, data = session.receive()
        if opcode == 8:
            break
        total += len(data) - 1 if data[0] == 1 else 0
        if session.pongs and answered_at is None:
            answered_at = total
    assert total == 100_000_000 and answered_at < 90_000_000
    session.close()


def test_websocket_client_closes(node, container):
    number = str(next(NUMBERS))
    session = web_exec(node, container, "sleep", number, stdin=True)
    wait_for("the command runs", lambda: processes_with(number))
    session.frame(8, struct.pack(">H", 1000))
    session.messages()
    wait_for("it is gone", lambda: not processes_with(number))
    session.close()


def test_websocket_terminal(node, container):
    session = web_exec(node, container, "sh", stdin=True, tty=True)
    session.send(b'\4{"Width":90,"Height":20}')
    session.send(b"\0stty size; exit 3\n")
    messages, _ = session.messages()
    assert b"20 90\r\n" in spdy.channel(messages, 1)
    session.close()


def test_websocket_attach(node, pod):
    container = pod.start("cat", stdin=True, stdin_once=True)
    url = node.v1.Attach(container_id=container, stdin=True, stdout=True, stderr=True).url
    session = spdy.WebSocket.open(url, "v5.channel.k8s.io")
    session.send(b"\0hello\n")
    session.send(b"\xff\0")
    messages, code = session.messages()
    assert (spdy.channel(messages, 1), code) == (b"hello\n", 1000)
    session.close()


@pytest.mark.parametrize("piece", [1, 65536])
def test_websocket_tunnel(node, pod_id, piece):
    url = node.v1.PortForward(pod_sandbox_id=pod_id).url
    websocket = spdy.WebSocket.open(url, "SPDY/3.1+portforward.k8s.io")
    with Server(echo) as server, spdy.Spdy(spdy.Tunnel(websocket, piece)) as session:
        for number in range(3):
            error, data = open_pair(session, server.port, number)
            session.write(data, b"%d" % number * 3000, fin=True)
            finish_pair(session, error, data, b"%d" % number * 3000)


def test_websocket_ports(node, pod_id):
    with Server(echo) as one, Server(lambda c: c.sendall(b"two")) as two:
        url = node.v1.PortForward(pod_sandbox_id=pod_id, port=[one.port, two.port]).url
        session = spdy.WebSocket.open(url, "v4.channel.k8s.io")
        begin = [session.receive()[1] for _ in range(4)]
        assert begin == [bytes([n]) + struct.pack("<H", (one, two)[n // 2].port) for n in range(4)]
        session.send(b"\0hello")
        got = {session.receive()[1] for _ in range(2)}
        assert got == {b"\0hello", b"\2two"}
        session.close()
    url = node.v1.PortForward(pod_sandbox_id=pod_id).url
    session = spdy.WebSocket.open(url, "v4.channel.k8s.io")
    assert session.messages() == ([], 1000)
    session.close()


# ---- crictl


def test_crictl(node, container):
    for transport in ("spdy", "websocket"):
        answer = node.crictl("exec", "-r", transport, container, "sh", "-c",
                             "echo out; echo err >&2")
        assert answer.stdout == "out\n" and answer.stderr.endswith("err\n")
        answer = node.crictl("exec", "-r", transport, container, "sh", "-c", "exit 3", check=False)
        assert answer.returncode != 0 and "exit code 3" in answer.stderr
        answer = node.crictl("exec", "-r", transport, "-i", container, "cat", input="typed\n")
        assert answer.stdout == "typed\n"


# ---- a crash


def test_a_crash_of_a_stream_ends_nothing_else(node, container):
    before = stream_processes()
    with run(node, container, "cat", stdin=True) as first:
        victim, = wait_for("the process", lambda: stream_processes() - before)
        with run(node, container, "cat", stdin=True) as second:
            os.kill(victim, signal.SIGSEGV)
            first.drain()
            second.send(b"untouched", fin=True)
            assert (second.code(), second.output()) == (0, b"untouched")
    with run(node, container, "echo", "podmon too") as session:
        assert session.output() or session.code() == 0
    nothing_left(before)
