# SPDX-License-Identifier: Apache-2.0
"""What a stream whose other end does not read may cost: memory of its process, and of the kernel."""

import contextlib
import fcntl
import os
import select
import socket
import struct
import termios
import threading

import pytest

import spdy
from harness import wait_for
from test_streams import (Server, exec_url, forward, open_pair, shared,  # noqa: F401
                          stream_processes)

# What waits for one side is 256 KiB at most. Beside that there are buffers that are used by turns:
# 128 KiB to read into, 64 KiB to copy, 64 KiB of growth ahead.
PROCESS_KIB = 512


@pytest.fixture
def container(shared):  # noqa: F811
    return shared[1]


@pytest.fixture
def pod_id(shared):  # noqa: F811
    return shared[0].id


def bound_kib(pid):
    """A sanitizer keeps for a while what has been freed."""
    with open(f"/proc/{pid}/maps") as file:
        return PROCESS_KIB * (16 if "libasan" in file.read() else 1)


def memory_kib(pid):
    """What it has for itself."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))


def received(connection):
    """Bytes that have come and are not read: FIONREAD."""
    return struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))[0]


def settled(measure):
    """When it has come to more than nothing and stays the same, its value."""
    last = [None, 0]

    def is_settled():
        value = measure()
        last[1] = last[1] + 1 if value and value == last[0] else 0
        last[0] = value
        return last[1] >= 50

    wait_for("all stands still", is_settled)
    return last[0]


class Filler:
    """Writes to a connection, without end, what it takes."""

    def __init__(self, connection, data):
        self.connection, self.data, self.written = connection, data, 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.fill, daemon=True)
        self.thread.start()

    def fill(self):
        position = 0
        while not self.stop.is_set():
            if not select.select([], [self.connection], [], 0.05)[1]:
                continue
            try:
                size = self.connection.send(self.data[position:], socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError:
                return
            position = (position + size) % len(self.data)
            self.written += size

    def end(self):
        self.stop.set()
        self.thread.join()


def processes(node):
    """Those that serve streams of this dispatcher's pods."""
    found = []
    for pid in stream_processes():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            if os.fsencode(node.run) in file.read().split(b"\0"):
                found.append(pid)
    return found


def only_process(node):
    return wait_for("its process", lambda: processes(node))[0]


def close(node, session, connection):
    """With a reset, which also passes what is not read."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    session.close()
    wait_for("its process is gone", lambda: not processes(node))


def frames(stream):
    return (struct.pack(">II", stream, 32768) + bytes(32768)) * 8


@pytest.mark.parametrize("transport", ["spdy", "websocket"])
def test_output_that_is_not_read(node, container, transport):
    command = ("sh", "-c", "read x; exec cat /dev/zero")
    url = exec_url(node, container, *command, stdin=True, stderr=False)
    if transport == "spdy":
        session = spdy.Remote.start(url, stdin=True, stderr=False)
        connection = session.stream.connection
    else:
        session = spdy.WebSocket.open(url, "v4.channel.k8s.io")
        connection = session.bytes.connection
    pid = only_process(node)
    least = memory_kib(pid)
    if transport == "spdy":
        session.send(b"\n")
    else:
        session.send(b"\0\n")
    settled(lambda: received(connection))
    assert memory_kib(pid) - least <= bound_kib(pid)
    close(node, session, connection)


def test_stdin_that_is_not_read(node, container):
    url = exec_url(node, container, "sleep", "1000", stdin=True, stderr=False)
    session = spdy.Remote.start(url, stdin=True, stderr=False)
    pid = only_process(node)
    least = memory_kib(pid)
    filler = Filler(session.stream.connection, frames(session.ids["stdin"]))
    settled(lambda: filler.written)
    assert memory_kib(pid) - least <= bound_kib(pid)
    filler.end()
    close(node, session, session.stream.connection)


@pytest.mark.parametrize("direction", ["down", "up"])
def test_a_port_that_is_not_read(node, pod_id, direction):
    fillers, done = [], threading.Event()

    def serve(connection):
        if direction == "down":
            fillers.append(Filler(connection, bytes(1 << 18)))
        done.wait(60)
        for filler in fillers:
            filler.end()

    with Server(serve) as server:
        session = forward(node, pod_id)
        pid = only_process(node)
        least = memory_kib(pid)
        _, data = open_pair(session, server.port, 0)
        if direction == "up":
            fillers.append(Filler(session.stream.connection, frames(data)))
        wait_for("it has begun", lambda: fillers)
        settled(lambda: fillers[0].written)
        assert memory_kib(pid) - least <= bound_kib(pid)
        done.set()
        fillers[0].end()
        close(node, session, session.stream.connection)
