#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The edges of the gRPC layer, from outside: requests that no real client sends, and more of the
ordinary ones than usual.

    grpc_edge.py SERVER     starts this grpc-edge-server (grpc-edge-server.c) and tries everything
    grpc_edge.py --socket PATH    tries what any server of the CRI has to answer, on its socket

Exit status 0: passed, 1: something failed, 77: there is no grpcio to test with."""

import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

VENV = pathlib.Path(os.environ.get("PODMON_CACHE", "/var/cache/podmon-test")) / "venv/bin/python"
try:
    import grpc
except ImportError:
    if VENV.exists() and pathlib.Path(sys.executable) != VENV:
        os.execv(VENV, [VENV, *sys.argv])
    print("skipped: there is no grpcio")
    sys.exit(77)

import h2_client as h2
from h2_client import Connection, message

VERSION = "/runtime.v1.RuntimeService/Version"
IMAGE_STATUS = "/runtime.v1.ImageService/ImageStatus"
MESSAGE_MAX = 16 << 20
STREAMS_MAX = 1000
OK, CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED = 0, 1, 3, 4
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 8, 12, 13, 14

cri_cases, edge_cases = [], []


def cri(function):
    """A case for the CRI server, which has Version."""
    cri_cases.append(function)
    return function


def edge(function):
    """A case for grpc-edge-server."""
    edge_cases.append(function)
    return function


def equal(actual, expected, what=""):
    assert actual == expected, f"{what or 'it'} is {actual!r}, expected {expected!r}"


def edge_path(name):
    return "/test.Edge/" + name


def channel_to(path, **options):
    """A connection of its own for each channel, whose method calls take and give bytes."""
    arguments = {"grpc.use_local_subchannel_pool": 1, "grpc.max_send_message_length": -1,
                 "grpc.max_receive_message_length": -1, **options}
    return grpc.insecure_channel(f"unix:{path}", options=list(arguments.items()))


def status_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code().value[0], error.details()
    return OK, ""


def wait_for(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"after {seconds} s still waiting: {what}"
        time.sleep(0.01)


def stats(path):
    """Open calls, calls that went early, descriptors."""
    with channel_to(path) as channel:
        return [int(word) for word in channel.unary_unary(edge_path("Stats"))(b"").split()]


def check_message_framing(path, method):
    """Every wrong body gets its status, and the connection goes on."""
    cases = [
        (b"", INTERNAL),
        (b"\0\0\0", INTERNAL),
        (message(b"", size=1), INTERNAL),
        (message(b"abc", size=2), INTERNAL),
        (message(b"") + message(b""), INTERNAL),
        (message(b"", flag=1), UNIMPLEMENTED),
        (message(b"", flag=7), INTERNAL),
        (message(b"", size=MESSAGE_MAX + 1), RESOURCE_EXHAUSTED),
        (message(b"", size=0xFFFFFFFF), RESOURCE_EXHAUSTED),
        (message(b""), OK),
    ]
    with Connection(path) as connection:
        for body, status in cases:
            answer = connection.call(method, body)
            equal(answer.status, status, f"the status for {body!r}")
            equal(answer.headers[":status"], "200")
            equal(answer.headers["content-type"], "application/grpc")
        # Trailers of a request, which nobody reads, end it as well.
        stream = connection.open(method)
        connection.data(stream, message(b""), end=False)
        connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream,
                                 h2.encode_headers([("x-late", "1")])))
        equal(connection.wait(stream).status, OK)
        # One byte at a time.
        stream = connection.open(method)
        connection.data(stream, message(b""), piece=1)
        equal(connection.wait(stream).status, OK)


@cri
def wrong_framing_is_answered(path):
    check_message_framing(path, VERSION)


@edge
def wrong_framing_is_answered_by_the_layer(path):
    check_message_framing(path, edge_path("Echo"))


def check_foreign_requests(path, method):
    with Connection(path) as connection:
        def http(**options):
            answer = connection.call(method, message(b""), **options)
            assert not answer.body and answer.status is None, "a foreign request got gRPC"
            return answer.headers

        for kind in ("GET", "PUT", "OPTIONS"):
            headers = http(method=kind)
            equal(headers[":status"], "405")
            equal(headers["allow"], "POST")
        for content in ("application/json", "application/grpcfoo", "text/plain", "application/gr"):
            equal(http(headers={"content-type": content})[":status"], "415")
        equal(http(without=["content-type"])[":status"], "415")
        for content in ("application/grpc+proto", "application/grpc;charset=utf-8"):
            answer = connection.call(method, message(b""), headers={"content-type": content})
            equal(answer.status, OK)
        equal(connection.call(method, message(b""), without=["te"]).status, OK)
        equal(connection.call(method, message(b""), without=[":authority"]).status, OK)


@cri
def foreign_requests_are_refused(path):
    check_foreign_requests(path, VERSION)


@edge
def foreign_requests_are_refused_by_the_layer(path):
    check_foreign_requests(path, edge_path("Echo"))


@cri
def other_protocols_are_hung_up_on(path):
    for greeting in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00" * 20):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(10)
            stranger.connect(str(path))
            stranger.sendall(greeting)
            while stranger.recv(4096):
                pass


@cri
def unknown_methods_are_unimplemented(path):
    with Connection(path) as connection:
        for method in ("/runtime.v1.RuntimeService/Frobnicate", "/runtime.v1.Nothing/Version",
                       "/runtime.v2.RuntimeService/Version", "/runtime.RuntimeService/ListPods",
                       "/runtime.RuntimeService/ReopenContainerLog", "/", "/runtime.v1.",
                       "/runtime.v1.RuntimeService", "/runtime.v1.RuntimeService/Version/",
                       "/runtime.v1.RuntimeService/version", "/grpc.health.v1.Health/Check"):
            answer = connection.call(method, message(b""))
            equal(answer.status, UNIMPLEMENTED, f"the status of {method}")
            assert answer.headers["grpc-message"].endswith(" is not implemented")


@cri
def malformed_messages_are_invalid(path):
    with Connection(path) as connection:
        for body, text in ((b"\x0a\xff", "malformed runtime.v1.ImageStatusRequest"),
                           (b"\x0b", "malformed runtime.v1.ImageStatusRequest"),
                           (b"\x0a\x03\x0a\x01\xff", "runtime.v1.ImageSpec.image is not UTF-8"),
                           (b"\x0a\x05\x0a\x03a\0b", "runtime.v1.ImageSpec.image has a NUL byte")):
            answer = connection.call(IMAGE_STATUS, message(body))
            equal(answer.status, INVALID_ARGUMENT, f"the status for {body!r}")
            equal(answer.headers["grpc-message"], text)


@cri
def both_apis_answer(path):
    with channel_to(path) as channel:
        for method in (VERSION, VERSION.replace("v1.", "")):
            assert b"podmon" in channel.unary_unary(method)(b"")


@cri
def timeouts_have_a_form(path):
    with Connection(path) as connection:
        for text in ("1", "S", "1s", "-1S", "123456789S", "1.5S"):
            answer = connection.call(VERSION, message(b""), headers={"grpc-timeout": text})
            equal(answer.status, INTERNAL, f"the status for the timeout {text}")
        for text in ("99999999H", "10S", "20000000u"):
            answer = connection.call(VERSION, message(b""), headers={"grpc-timeout": text})
            equal(answer.status, OK, f"the status for the timeout {text}")


@edge
def messages_up_to_16_mib_pass(path):
    body = os.urandom(1 << 20) * 16
    with channel_to(path) as channel:
        echo = channel.unary_unary(edge_path("Echo"))
        for size in (0, 1, 16384, 65535, 65536, MESSAGE_MAX - 1, MESSAGE_MAX):
            assert echo(body[:size]) == body[:size], f"{size} bytes came back changed"
        code, text = status_of(lambda: echo(body + b"x"))
        equal(code, RESOURCE_EXHAUSTED)
        equal(text, "the request has 16777217 bytes, the limit is 16777216")
        equal(echo(b"and on"), b"and on")
        equal(len(channel.unary_unary(edge_path("Blob"))(b"33554432")), 32 << 20)


@edge
def boundless_messages_are_cut_off(path):
    """h2o resets the stream some MiB above the limit; the connection goes on."""
    with Connection(path) as connection:
        stream = connection.open(edge_path("Echo"))
        answer, room = connection.answers[stream], b"\0" * h2.FRAME_MAX
        for _ in range(2048):
            if answer.reset is not None:
                break
            connection.data(stream, room, end=False)
            connection.socket.setblocking(False)
            try:
                connection.read_some()
            except BlockingIOError:
                pass
            connection.socket.settimeout(20)
        connection.read_until(lambda: answer.reset is not None)
        equal(connection.call(edge_path("Echo"), message(b"on")).body, message(b"on"))


@edge
def statuses_arrive_with_their_text(path):
    with channel_to(path) as channel:
        for code in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14):
            equal(status_of(lambda: channel.unary_unary(edge_path("Fail"))(b"%d" % code)),
                  (code, '100% of "ü"\n'))
            equal(status_of(lambda: channel.unary_unary(edge_path("Late"))(b"%d" % code)),
                  (code, "too late"))


@edge
def answers_are_headers_data_trailers(path):
    with Connection(path) as connection:
        answer = connection.call(edge_path("Echo"), message(b"hello"))
        equal(answer.body, message(b"hello"))
        equal(answer.trailers, {"grpc-status": "0"})
        assert "grpc-status" not in answer.headers
        equal(answer.headers["grpc-accept-encoding"], "identity")
        answer = connection.call(edge_path("Fail"), message(b"5"))
        equal(answer.trailers, None, "what follows a failure without message")
        equal(answer.headers["grpc-message"], "100%25 of \"%C3%BC\"%0A")
        connection.send(h2.frame(h2.PING, 0, 0, b"12345678"))
        connection.read_until(lambda: connection.pongs == 1)


@edge
def deadlines_end_calls(path):
    gone = stats(path)[1]
    with channel_to(path) as channel:
        begin = time.monotonic()
        call = channel.unary_unary(edge_path("Sleep"))
        equal(status_of(lambda: call(b"10000", timeout=0.2))[0], DEADLINE_EXCEEDED)
        assert time.monotonic() - begin < 2
    # The server keeps to them also when the client does not.
    with Connection(path) as connection:
        answer = connection.call(edge_path("Sleep"), message(b"10000"),
                                 headers={"grpc-timeout": "50m"})
        equal(answer.status, DEADLINE_EXCEEDED)
        equal(answer.headers["grpc-message"], "the deadline has passed")
        answer = connection.call(edge_path("Tick"), message(b"10"),
                                 headers={"grpc-timeout": "200m"})
        equal(answer.status, DEADLINE_EXCEEDED)
        assert answer.body.startswith(message(b"tick"))
        equal(connection.call(edge_path("Sleep"), message(b"10"),
                              headers={"grpc-timeout": "5S"}).status, OK)
    wait_for("three calls are gone", lambda: stats(path)[:2] == [0, gone + 3])


@edge
def deadlines_end_calls_held_up_by_their_client(path):
    """No window for the answer: the stream is reset, nothing stays."""
    window = [(h2.INITIAL_WINDOW_SIZE, 10)]
    with Connection(path, settings=window, gives_windows=False) as connection:
        answer = connection.call(edge_path("Blob"), message(b"100000"),
                                 headers={"grpc-timeout": "200m"})
        equal(answer.reset, 8, "the reset's code")
        equal(len(answer.body), 10)
    with Connection(path, settings=window) as connection:
        # Ten bytes of window are enough for an answer of five and one of ten, and windows that
        # come late do no harm to a stream that has ended.
        for body in (b"", b"12345"):
            answer = connection.call(edge_path("Echo"), message(body))
            equal(answer.status, OK)
        for _ in range(20):
            stream = connection.request(edge_path("Echo"), message(b"123456789"))
            for _ in range(4):
                connection.send(h2.frame(h2.WINDOW_UPDATE, 0, stream, struct.pack(">I", 1)))
            equal(connection.wait(stream).status, OK)


@edge
def windows_that_jump_are_survived(path):
    """Settings move the window of every open stream, also below zero."""
    with Connection(path) as connection:
        streams = [connection.request(edge_path("Blob"), message(b"200000")) for _ in range(8)]
        for size in (0, 1, 1 << 30, 0, 65535, 0, 1 << 20):
            payload = struct.pack(">HI", h2.INITIAL_WINDOW_SIZE, size)
            connection.send(h2.frame(h2.SETTINGS, 0, 0, payload))
            for stream in streams:
                connection.send(h2.frame(h2.WINDOW_UPDATE, 0, stream, struct.pack(">I", 1000)))
        for stream in streams:
            answer = connection.wait(stream)
            assert answer.reset is not None or len(answer.body) == 200005
    equal(stats(path)[0], 0, "the number of open calls")


@edge
def cancelled_calls_are_gone(path):
    gone = stats(path)[1]
    with channel_to(path) as channel:
        calls = [channel.unary_unary(edge_path("Sleep")).future(b"20000") for _ in range(50)]
        calls += [channel.unary_stream(edge_path("Tick"))(b"5") for _ in range(50)]
        for call in calls[50:]:
            next(call)
        wait_for("all are open", lambda: stats(path)[0] == 100)
        for call in calls:
            call.cancel()
        wait_for("all are gone", lambda: stats(path)[:2] == [0, gone + 100])
    # And with their connection.
    with Connection(path) as connection:
        for name in ("Sleep", "Tick"):
            connection.request(edge_path(name), message(b"20000"))
        wait_for("both are open", lambda: stats(path)[0] == 2)
    wait_for("both are gone", lambda: stats(path)[:2] == [0, gone + 102])


@edge
def a_thousand_streams_share_a_connection(path):
    with Connection(path) as connection:
        equal(connection.call(edge_path("Echo"), message(b"")).status, OK)
        equal(connection.settings[h2.MAX_CONCURRENT_STREAMS], STREAMS_MAX)
        streams = [connection.request(edge_path("Tick"), message(b"500"))
                   for _ in range(STREAMS_MAX - 1)]
        connection.read_until(lambda: all(connection.answers[s].body for s in streams))
        begin = time.monotonic()
        equal(connection.call(edge_path("Echo"), message(b"x")).status, OK)
        assert time.monotonic() - begin < 0.5, "an answer beside open streams took too long"
        # One more than that, from a client that does not care, is told so.
        streams.append(connection.request(edge_path("Tick"), message(b"500")))
        connection.read_until(lambda: connection.answers[streams[-1]].body)
        equal(connection.call(edge_path("Echo"), message(b"x")).status, RESOURCE_EXHAUSTED)
        equal(stats(path)[0], STREAMS_MAX)
        for stream in streams:
            connection.send(h2.frame(h2.RST_STREAM, 0, stream, struct.pack(">I", 8)))
        wait_for("all are gone", lambda: stats(path)[0] == 0)
        equal(connection.call(edge_path("Echo"), message(b"x")).status, OK)


@edge
def a_thousand_streams_of_a_real_client(path):
    with channel_to(path) as channel:
        echo = channel.unary_unary(edge_path("Echo"))
        echo(b"")
        calls = [channel.unary_stream(edge_path("Tick"))(b"200") for _ in range(STREAMS_MAX - 1)]
        for call in calls:
            next(call)
        times = []
        for _ in range(200):
            begin = time.monotonic()
            echo(b"x", timeout=5)
            times.append(time.monotonic() - begin)
        slow = sorted(times)[int(len(times) * 0.99) - 1]
        assert slow < 0.1, f"the 99th percentile beside open streams is {slow * 1000:.0f} ms"
        for call in calls:
            call.cancel()
    wait_for("all are gone", lambda: stats(path)[0] == 0)


@edge
def a_thousand_connections_are_served(path):
    connections = [Connection(path) for _ in range(STREAMS_MAX)]
    try:
        streams = [connection.request(edge_path("Echo"), message(b"x"))
                   for connection in connections]
        for connection, stream in zip(connections, streams):
            equal(connection.wait(stream).status, OK)
    finally:
        for connection in connections:
            connection.socket.close()
    wait_for("their descriptors are closed", lambda: stats(path)[2] < 50)


@edge
def floods_of_resets_end_the_connection(path):
    """CVE-2023-44487: requests that are cancelled as they are sent."""
    calls, slow = [], []

    def bystander():
        with channel_to(path) as channel:
            echo = channel.unary_unary(edge_path("Echo"))
            while not calls:
                begin = time.monotonic()
                echo(b"x", timeout=10)
                slow.append(time.monotonic() - begin)

    thread = threading.Thread(target=bystander)
    thread.start()
    try:
        with Connection(path) as connection:
            connection.socket.settimeout(20)
            reset = struct.pack(">I", 8)
            for _ in range(40000):
                stream = connection.open(edge_path("Sleep"))
                connection.try_send(h2.frame(h2.DATA, h2.END_STREAM, stream, message(b"10000")) +
                                    h2.frame(h2.RST_STREAM, 0, stream, reset))
                if connection.closed:
                    break
    except OSError:
        connection.closed = True
    finally:
        calls.append(True)
        thread.join()
    assert connection.closed, "the flood was never stopped"
    slow.sort()
    assert slow[int(len(slow) * 0.99) - 1] < 0.1, "others had to wait for the flood"
    wait_for("nothing is left of it", lambda: stats(path)[0] == 0)


@edge
def clients_that_do_not_read_are_bounded(path):
    """Their stream waits, others do not, and what they leave behind goes with them."""
    with Connection(path, settings=[(h2.INITIAL_WINDOW_SIZE, 0x7FFFFFFF)]) as silent:
        silent.send(h2.frame(h2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7FFF0000 - 65535)))
        for _ in range(4):
            silent.request(edge_path("Pour"), message(b"200000"))
        wait_for("they are open", lambda: stats(path)[0] == 4)
        time.sleep(0.3)
        with channel_to(path) as channel:
            echo = channel.unary_unary(edge_path("Echo"))
            for _ in range(50):
                begin = time.monotonic()
                echo(b"x")
                assert time.monotonic() - begin < 0.5
    wait_for("they are gone", lambda: stats(path)[0] == 0)


@edge
def slow_readers_get_everything(path):
    with channel_to(path) as channel:
        size = 0
        for number, piece in enumerate(channel.unary_stream(edge_path("Pour"))(b"20000")):
            size += len(piece)
            if number % 2000 == 0:
                time.sleep(0.05)
        equal(size, 20000 * 1024)


@edge
def broken_connections_are_told_why(path):
    for bad in (h2.frame(h2.HEADERS, h2.END_HEADERS, 2, h2.encode_headers([(":method", "GET")])),
                h2.frame(h2.SETTINGS, 0, 0, b"12345"),
                h2.frame(h2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 0)),
                h2.frame(h2.CONTINUATION, h2.END_HEADERS, 1, b""),
                h2.frame(h2.HEADERS, h2.END_HEADERS, 1, b"\xff" * 20)):
        with Connection(path) as connection:
            connection.send(bad)
            connection.read_until(lambda: connection.closed)
            assert connection.goaway and connection.goaway[1] != 0


def start(server, *arguments):
    """A server of the test's own on a socket of its own."""
    directory = tempfile.mkdtemp(prefix="grpc-edge-")
    path = pathlib.Path(directory) / "edge.sock"
    process = subprocess.Popen([server, path, *arguments])
    wait_for("the server listens", lambda: path.exists() or process.poll() is not None)
    assert process.poll() is None, "the server did not start"
    return process, path


def finish(process, path):
    process.send_signal(signal.SIGTERM)
    status = process.wait(timeout=20)
    path.unlink()
    path.parent.rmdir()
    equal(status, 0, "the server's exit status")


def descriptors_run_out(server):
    """Accepting rests, does not spin, and goes on; calls on open connections do not notice."""
    process, path = start(server, "40")
    held = []
    try:
        with channel_to(path) as channel:
            echo = channel.unary_unary(edge_path("Echo"))
            echo(b"x")
            for _ in range(60):
                held.append(socket.socket(socket.AF_UNIX))
                held[-1].connect(str(path))
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
                before = sum(int(word) for word in file.read().rsplit(")", 1)[1].split()[11:13])
            end = time.monotonic() + 1
            while time.monotonic() < end:
                equal(echo(b"x"), b"x")
                time.sleep(0.02)
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
                after = sum(int(word) for word in file.read().rsplit(")", 1)[1].split()[11:13])
            used = (after - before) / os.sysconf("SC_CLK_TCK")
            assert used < 0.5, f"without descriptors it used {used} s of a second"
            for stranger in held:
                stranger.close()
            with channel_to(path) as other:
                equal(other.unary_unary(edge_path("Echo"))(b"y", timeout=10), b"y")
    finally:
        finish(process, path)


def stopping_finishes_calls(server):
    """Answers that are due come; streams without an end are told; the process ends with status 0."""
    process, path = start(server)
    try:
        with channel_to(path, **{"grpc.enable_retries": 0}) as channel, Connection(path) as idle:
            equal(idle.call(edge_path("Echo"), message(b"")).status, OK)
            due = channel.unary_unary(edge_path("Sleep")).future(b"500")
            endless = channel.unary_stream(edge_path("Tick"))(b"50")
            next(endless)
            wait_for("both are open", lambda: stats(path)[0] == 2)
            process.send_signal(signal.SIGTERM)
            idle.read_until(lambda: idle.goaway)
            equal(idle.goaway[1], 0, "the reason to go")
            equal(due.result(timeout=10), b"slept")
            equal(status_of(lambda: list(endless)), (UNAVAILABLE, "the server is stopping"))
            begin = time.monotonic()
            equal(process.wait(timeout=20), 0)
            print(f"  ended {time.monotonic() - begin:.3f} s after its last answer")
    finally:
        finish_quietly(process, path)


def finish_quietly(process, path):
    if process.poll() is None:
        process.kill()
        process.wait()
    path.unlink(missing_ok=True)
    path.parent.rmdir()


def run(name, function, *arguments):
    try:
        function(*arguments)
    except Exception as error:  # the report is the point: any failure of a case is one
        text = str(error).strip() or type(error).__name__
        print(f"FAIL {name}: {text}", flush=True)
        return False
    print(f"ok   {name}", flush=True)
    return True


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--socket":
        return all([run(case.__name__, case, sys.argv[2]) for case in cri_cases])
    if len(sys.argv) != 2:
        print(__doc__)
        return False
    server = sys.argv[1]
    passed = [run(case.__name__, case, server) for case in (descriptors_run_out,
                                                            stopping_finishes_calls)]
    process, path = start(server)
    for case in edge_cases:
        passed.append(run(case.__name__, case, path))
        if process.poll() is not None:
            print(f"FAIL the server has ended with status {process.returncode}")
            return False
    passed.append(run("it ends with nothing left", finish, process, path))
    return all(passed)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
