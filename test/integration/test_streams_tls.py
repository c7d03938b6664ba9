# SPDX-License-Identifier: Apache-2.0
"""Streams over TLS: the same sessions, also while the dispatcher dies."""

import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading

import pytest

import harness
import spdy
from harness import wait_for
from test_containers import processes_with
from test_streams import NUMBERS, Server, echo, exec_url, finish_pair, forward, open_pair, run

MIB = 1 << 20


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


class Authority:
    """A certificate authority of the test's own, and certificates by it for 127.0.0.1."""

    def __init__(self, directory):
        self.directory = directory
        self.certificate, self.key = directory / "ca.pem", directory / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=test authority", "-days", "2", "-keyout", self.key, "-out",
                self.certificate)

    def issue(self, name):
        key, request = self.directory / f"{name}.key", self.directory / f"{name}.csr"
        extensions, certificate = self.directory / "names", self.directory / f"{name}.pem"
        extensions.write_text("subjectAltName=IP:127.0.0.1\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", certificate)
        return certificate, key

    def context(self):
        return ssl.create_default_context(cafile=self.certificate)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls_node(apis, authority, tmp_path_factory):
    """A dispatcher with a certificate, and a client that accepts this authority only."""
    certificate, key = authority.issue("server")
    node = harness.Node(*apis)
    with open(node.config, "a") as config:
        config.write(f"[stream]\ntls_cert = {certificate}\ntls_key = {key}\n")
    node.start()
    node.load(harness.busybox_layout(tmp_path_factory.mktemp("image")))
    before, spdy.TLS = spdy.TLS, authority.context()
    yield node
    spdy.TLS = before
    node.destroy()


@pytest.fixture(scope="module")
def tls_pod(tls_node):
    pod = harness.Pod(tls_node)
    yield pod
    pod.remove()


@pytest.fixture(scope="module")
def tls_container(tls_pod):
    return tls_pod.start("sleep", "100000")


def tls_processes():
    found = set()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text() == "podmon-tls\n":
                found.add(int(process.name))
        except OSError:
            pass
    return found


def test_exec(tls_node, tls_container):
    assert exec_url(tls_node, tls_container).startswith("https://127.0.0.1:")
    before = tls_processes()
    data = os.urandom(3 * MIB)
    with run(tls_node, tls_container, "cat", stdin=True) as session:
        writer = threading.Thread(target=session.send, args=(data, True))
        writer.start()
        assert session.code() == 0 and session.output() == data
        writer.join()
    wait_for("the process of the connection is gone", lambda: not tls_processes() - before)


def test_websocket(tls_node, tls_container):
    url = exec_url(tls_node, tls_container, "sh", "-c", "echo -n out; exit 3")
    session = spdy.WebSocket.open(url, "v5.channel.k8s.io")
    messages, code = session.messages()
    assert (spdy.channel(messages, 1), code) == (b"out", 1000)
    session.close()


def test_ports(tls_node, tls_pod):
    data = os.urandom(MIB) * 8
    with Server(echo) as server, forward(tls_node, tls_pod.id) as session:
        error, stream = open_pair(session, server.port, 0)
        writer = threading.Thread(target=session.write, args=(stream, data, True))
        writer.start()
        finish_pair(session, error, stream, data, 60)
        writer.join()


def test_much_output(tls_node, tls_container):
    with run(tls_node, tls_container, "head", "-c", "30000000", "/dev/zero") as session:
        assert session.code() == 0 and len(session.output()) == 30_000_000


def test_a_client_that_goes_with_a_full_stdin(tls_node, tls_container):
    """With a reset: an orderly end would wait, like what was sent before it, for a window that a
    full stdin keeps closed, and nobody could see it."""
    before = tls_processes()
    number = str(next(NUMBERS))
    session = run(tls_node, tls_container, "sleep", number, stdin=True)
    session.send(bytes(600_000))  # more than a pipe, the queues and the socket pair hold
    wait_for("the command runs", lambda: processes_with(number))
    session.stream.reset()
    wait_for("it is gone", lambda: not processes_with(number))
    wait_for("the process of the connection too", lambda: not tls_processes() - before)


@pytest.mark.timeout(300)
def test_sessions_go_on_while_the_dispatcher_dies(tls_node, tls_pod, tls_container):
    with Server(echo) as server, forward(tls_node, tls_pod.id) as ports, \
            run(tls_node, tls_container, "cat", stdin=True) as session:
        error, data = open_pair(ports, server.port, 0)
        url = exec_url(tls_node, tls_container, "echo", "later")
        expected = b""
        for number in range(10):
            tls_node.restart(signal.SIGKILL)
            expected += b"%d " % number
            session.send(b"%d " % number)
            session.wait(lambda: session.output() == expected, "an echo")
            ports.write(data, b"%d " % number)
            ports.wait(lambda: ports.data.get(data) == expected, "an echo")
        session.send(b"", fin=True)
        assert (session.code(), session.output()) == (0, expected)
        ports.write(data, b"", fin=True)
        finish_pair(ports, error, data, expected)
        with spdy.Remote.start(url) as later:
            assert (later.code(), later.output()) == (0, b"later\n")


def test_refusals_come_over_tls(tls_node, tls_container):
    url = exec_url(tls_node, tls_container)
    v4 = spdy.spdy_headers("v4.channel.k8s.io")
    assert spdy.request(url[:-1] + "x", headers=v4)[0] == 404
    assert spdy.request(url, headers=[])[0] == 400
    assert spdy.request(url, headers=v4)[0] == 404  # used up


def test_who_speaks_no_tls(tls_node, tls_container):
    before = tls_processes()
    url = exec_url(tls_node, tls_container)
    connection, path = spdy.connect(url.replace("https:", "http:"))
    with connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\n\r\n".encode())
        try:
            answer = connection.recv(65536)
        except ConnectionResetError:
            answer = b""
        assert b"HTTP" not in answer
    assert spdy.request(url, headers=spdy.spdy_headers("v4.channel.k8s.io"))[0] == 101
    wait_for("its process is gone", lambda: not tls_processes() - before)


def test_a_handshake_that_never_ends(tls_node, tls_container):
    """Has ten seconds like the head of a request, and then nothing of it is left."""
    before = tls_processes()
    connection, _ = spdy.connect(exec_url(tls_node, tls_container).replace("https:", "http:"))
    with connection:
        process, = wait_for("its process", lambda: tls_processes() - before)
        assert connection.recv(1) == b""
    wait_for("it is gone", lambda: not pathlib.Path(f"/proc/{process}").exists())


def test_old_versions_are_refused(tls_node, tls_container, authority):
    context = authority.context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    parts = re.match(r"https://(.*):(\d+)/", exec_url(tls_node, tls_container))
    address = parts.group(1), int(parts.group(2))
    with context.wrap_socket(socket.create_connection(address), server_hostname=address[0]) as ok:
        assert ok.version() == "TLSv1.2"
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        context.wrap_socket(socket.create_connection(address), server_hostname=address[0])


def test_the_process_of_a_connection_has_no_privileges(tls_node, tls_container):
    before = tls_processes()
    with run(tls_node, tls_container, "sleep", "1000"):
        process, = wait_for("the process", lambda: tls_processes() - before)
        status = open(f"/proc/{process}/status").read()
        assert re.search(r"^Uid:(\t65534){4}$", status, re.M)
        assert re.search(r"^CapEff:\t0+$", status, re.M) and "NoNewPrivs:\t1" in status
        links = [os.readlink(f"/proc/{process}/fd/{fd}") for fd in os.listdir(f"/proc/{process}/fd")]
        assert sum(link.startswith("socket:") for link in links) == 2
        assert not [link for link in links if "podmon.sock" in link]


def test_curl_crictl(tls_node, tls_container, authority):
    answer = subprocess.run(
        ["curl", "-sS", "--cacert", authority.certificate, "-X", "POST", "-w", "%{http_code}",
         exec_url(tls_node, tls_container)[:-1] + "x"], stdout=subprocess.PIPE, text=True)
    assert answer.returncode == 0 and answer.stdout.endswith("404")
    for transport in ("spdy", "websocket"):
        answer = tls_node.crictl("exec", "-r", transport, "-i", tls_container, "cat",
                                 input="typed\n")
        assert answer.stdout == "typed\n"


# ---- settings that are no good


def complaint(node, text):
    """What a dispatcher with this [stream] section ends with, instead of serving."""
    config = node.base / "tls.conf"
    config.write_text(node.config.read_text().split("[stream]")[0] + "[stream]\n" + text)
    run_dir = node.base / "other"
    done = subprocess.run(
        [node.program, "--listen", node.base / "other.sock", "--run", run_dir, "--root",
         run_dir / "root", "--config", config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=20)
    assert done.returncode != 0
    return done.stdout


def test_bad_settings(node, authority, tmp_path):
    certificate, key = authority.issue("one")
    _, other_key = authority.issue("other")
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate\n")
    lines = len(node.config.read_text().splitlines())
    text = complaint(node, f"tls_cert = /no/such.pem\ntls_key = {key}\n")
    assert f"tls.conf:{lines + 2}: tls_cert in [stream]: \"/no/such.pem\"" in text
    text = complaint(node, f"tls_cert = {certificate}\n")
    assert "[stream] has tls_cert and no tls_key" in text
    text = complaint(node, f"tls_key = {key}\n")
    assert "[stream] has tls_key and no tls_cert" in text
    text = complaint(node, f"tls_cert = {garbage}\ntls_key = {key}\n")
    assert f"tls_cert in [stream]: \"{garbage}\"" in text
    text = complaint(node, f"tls_cert = {certificate}\ntls_key = {garbage}\n")
    assert f"tls_key in [stream]: \"{garbage}\"" in text
    text = complaint(node, f"tls_cert = {certificate}\ntls_key = {other_key}\n")
    assert f"tls_key in [stream]: \"{other_key}\"" in text and "mismatch" in text
