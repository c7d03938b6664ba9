# SPDX-License-Identifier: Apache-2.0
"""Port-forward into a network of the pod's own, where the dispatcher and other pods are not; and the
port where clients come to the dispatcher."""

import ctypes
import hashlib
import os
import random
import signal
import socket
import struct
import threading

import pytest

import spdy
from harness import wait_for
from test_network import bridge  # noqa: F401, a fixture
from test_streams import (V4, Server, echo, exec_url, finish_pair, forward, open_pair)

CLONE_NEWNET = 0x40000000


class PodServer(Server):
    """A server in the pod's network; the test's own threads stay where they are."""

    def __init__(self, node, pod, handler, family=socket.AF_INET, port=0):
        path = node.seed.PodSandboxStatus(pod_sandbox_id=pod.id).status.linux.namespaces.network
        failure = []

        def enter_and_listen():
            try:
                fd = os.open(path, os.O_RDONLY)
                if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                os.close(fd)
                Server.__init__(self, handler, family, port)
            except OSError as error:
                failure.append(error)

        thread = threading.Thread(target=enter_and_listen)
        thread.start()
        thread.join()
        assert not failure, failure


@pytest.fixture
def own_pod(bridge, make_pod):  # noqa: F811
    return make_pod(network="POD")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_pods_own_loopback(node, own_pod, family):
    """127.0.0.1 first, and ::1 where nobody listens there."""
    with PodServer(node, own_pod, echo, family) as server, forward(node, own_pod.id) as session:
        error, data = open_pair(session, server.port, 0)
        session.write(data, b"inside", fin=True)
        finish_pair(session, error, data, b"inside")


def test_both_loopbacks(node, own_pod):
    """Where both listen, 127.0.0.1 is it."""
    with PodServer(node, own_pod, lambda c: c.sendall(b"six"), socket.AF_INET6) as six, \
            PodServer(node, own_pod, lambda c: c.sendall(b"four"), port=six.port), \
            forward(node, own_pod.id) as session:
        error, data = open_pair(session, six.port, 0)
        session.write(data, b"", fin=True)
        finish_pair(session, error, data, b"four")


def test_a_hosts_port_is_not_the_pods(node, own_pod, make_pod):
    host = make_pod()
    with Server(echo) as server:
        with forward(node, own_pod.id) as session:
            error, data = open_pair(session, server.port, 0)
            session.wait(lambda: error in session.ended and data in session.resets, "the end")
            assert b"refused" in session.data[error]
        with forward(node, host.id) as session:
            error, data = open_pair(session, server.port, 0)
            session.write(data, b"outside", fin=True)
            finish_pair(session, error, data, b"outside")


def test_many_ports(node, own_pod):
    servers = [PodServer(node, own_pod, lambda c, n=n: c.sendall(b"%d" % n)) for n in range(40)]
    with forward(node, own_pod.id) as session:
        pairs = [open_pair(session, server.port, number) for number, server in enumerate(servers)]
        for number, (error, data) in enumerate(pairs):
            session.write(data, b"", fin=True)
            finish_pair(session, error, data, b"%d" % number)
    for server in servers:
        server.socket.close()


def test_half_close(node, own_pod):
    def answer_at_the_end(connection):
        total = 0
        while part := connection.recv(65536):
            total += len(part)
        connection.sendall(b"%d bytes" % total)

    with PodServer(node, own_pod, answer_at_the_end) as server, \
            forward(node, own_pod.id) as session:
        error, data = open_pair(session, server.port, 0)
        session.write(data, b"x" * 200_000, fin=True)
        finish_pair(session, error, data, b"200000 bytes")


def test_much_to_several_at_once(node, own_pod):
    """Large frames go from socket to socket, small ones through podmon: every byte is in its place, and
    none in another's, also where one target does not read at first and holds up the rest."""
    go = threading.Event()

    def digest_at_the_end(connection):
        found = hashlib.sha256()
        go.wait(60)
        while part := connection.recv(65536):
            found.update(part)
        connection.sendall(found.hexdigest().encode())

    block = random.Random(7).randbytes(1 << 20)
    sizes = (100_000, 32768, 32768, 32767, 1, 200_000, 40_000, 32769, 5000, 65536) * 3
    with PodServer(node, own_pod, digest_at_the_end) as one, \
            PodServer(node, own_pod, digest_at_the_end) as other, \
            forward(node, own_pod.id) as session:
        pairs = [open_pair(session, server.port, n) for n, server in enumerate((one, other))]
        sent = [hashlib.sha256(), hashlib.sha256()]
        threading.Timer(1, go.set).start()
        for turn, size in enumerate(sizes * 2):
            which = turn // 4 % 2
            sent[which].update(block[turn:turn + size])
            session.write(pairs[which][1], block[turn:turn + size], fin=turn == len(sizes) * 2 - 1)
        which = 1 - (len(sizes) * 2 - 1) // 4 % 2
        session.write(pairs[which][1], b"", fin=True)
        for (error, data), digest in zip(pairs, sent):
            finish_pair(session, error, data, digest.hexdigest().encode())


def test_a_reset_ends_one_connection_only(node, own_pod):
    def reset(connection):
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with PodServer(node, own_pod, reset) as bad, PodServer(node, own_pod, echo) as good, \
            forward(node, own_pod.id) as session:
        before = open_pair(session, good.port, 0)
        broken = open_pair(session, bad.port, 1)
        session.write(broken[1], b"x")
        session.wait(lambda: broken[0] in session.ended, "the end of the broken pair")
        for number, pair in enumerate((before, open_pair(session, good.port, 2))):
            session.write(pair[1], b"%d" % number, fin=True)
            finish_pair(session, *pair, b"%d" % number)


def test_a_pair_long_after_another(node, own_pod):
    """A connection without any pair lives on (idleness itself is four hours)."""
    with PodServer(node, own_pod, echo) as server, forward(node, own_pod.id) as session:
        for number in range(3):
            error, data = open_pair(session, server.port, number)
            session.write(data, b"again", fin=True)
            finish_pair(session, error, data, b"again")
            session.ping(2 * number + 1)
            session.wait(lambda: len(session.pings) == number + 1, "an answer without pairs")


# ---- the dispatcher's port


def port_of(url):
    return int(url.split(":")[2].split("/")[0])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_port_is_kept(node, pod, how):
    container = pod.start("sleep", "1000")
    before = exec_url(node, container)
    node.restart(how)
    assert port_of(exec_url(node, container)) == port_of(before)
    assert spdy.request(before, headers=V4)[0] == 101


def test_a_port_that_is_taken_meanwhile(node, pod):
    """Another is taken then; one that the configuration names is insisted on."""
    container = pod.start("sleep", "1000")
    port = port_of(exec_url(node, container))
    node.stop()
    with socket.create_server(("127.0.0.1", port)) as thief:
        node.start()
        other = exec_url(node, container)
        assert port_of(other) != thief.getsockname()[1]
        assert spdy.request(other, headers=V4)[0] == 101


@pytest.fixture
def settings(node):
    """Adds to the configuration, for one test."""
    before = node.config.read_text()

    def restart_with(text):
        node.stop()
        node.config.write_text(before + text)
        node.start()

    yield restart_with
    node.stop()
    node.config.write_text(before)
    node.start()


def test_the_port_and_address_of_the_configuration(node, pod, settings):
    container = pod.start("sleep", "1000")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings(f"[stream]\nport = {port}\naddress = ::1\n")
    url = exec_url(node, container, "echo", "six")
    assert url.startswith(f"http://[::1]:{port}/exec/")
    with spdy.Remote.start(url) as session:
        assert (session.code(), session.output()) == (0, b"six\n")
    with wait_for("the port", lambda: socket.create_connection(("::1", port))):
        node.restart(signal.SIGKILL)  # with a connection of its own still there
    assert port_of(exec_url(node, container).replace("[::1]", "six")) == port
