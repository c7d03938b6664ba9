# SPDX-License-Identifier: Apache-2.0
"""Clients whose machine or network is gone: no end, no reset, no answer ever comes from there."""

import contextlib
import ctypes
import os
import subprocess
import threading

import pytest

import spdy
from harness import Node, Pod, busybox_layout, load_stubs, wait_for

CLONE_NEWNET = 0x40000000
SERVER, CLIENT = "10.97.0.1", "10.97.0.2"
SECONDS = 150  # podmon/stream/link.c: 30 + 3 x 10 of keepalive; 60 unacknowledged, seen within 60


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Elsewhere:
    """A network namespace of a client's, and the one wire that leads there."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
        path = f"/proc/{self.holder.pid}/ns/net"
        here = os.stat("/proc/self/ns/net").st_ino
        wait_for("the namespace", lambda: os.stat(path).st_ino != here)
        self.fd = os.open(path, os.O_RDONLY)
        peer = str(self.holder.pid)
        ip("link", "add", "vanish0", "type", "veth", "peer", "name", "vanish1", "netns", peer)
        ip("addr", "add", SERVER + "/24", "dev", "vanish0")
        ip("link", "set", "vanish0", "up")
        inside = ["nsenter", f"--net={path}", "ip"]
        subprocess.run([*inside, "addr", "add", CLIENT + "/24", "dev", "vanish1"], check=True)
        subprocess.run([*inside, "link", "set", "vanish1", "up"], check=True)

    def call(self, function):
        """In a thread that is there; its sockets stay there."""
        results = []

        def work():
            assert ctypes.CDLL(None, use_errno=True).setns(self.fd, CLONE_NEWNET) == 0
            results.append(function())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return results[0]

    def cut(self):
        ip("link", "set", "vanish0", "down")

    def close(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", "vanish0")
        os.close(self.fd)
        self.holder.kill()
        self.holder.wait()


@pytest.fixture
def elsewhere():
    place = Elsewhere()
    yield place
    place.close()


@pytest.fixture
def reachable(elsewhere, tmp_path):
    """A dispatcher whose streams can be had from there."""
    node = Node(*load_stubs())
    with node.config.open("a") as config:
        config.write(f"[stream]\naddress = {SERVER}\n")
    node.start()
    node.load(busybox_layout(tmp_path))
    yield node
    node.destroy()


def commands(container_marker):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if container_marker in file.read().split(b"\0"):
                    found.append(int(name))
    return found


@pytest.mark.timeout(400)
def test_the_sessions_of_vanished_clients_end(reachable, elsewhere):
    """One that says nothing, one with output under way, one with more than it takes: commands are
    killed as if the client had closed. Who is still there keeps its session, read or not."""
    pod = Pod(reachable)
    container = pod.start("sleep", "100000")
    scripts = {"idle": "exec sleep 98761",
               "chatty": "while :; do echo x; sleep 1; done; sleep 98762",
               "flood": "cat /dev/zero; sleep 98763"}

    def start(script):
        url = reachable.v1.Exec(container_id=container, cmd=["sh", "-c", script, "vanish"],
                                stdout=True).url
        return spdy.Remote.start(url, stderr=False)

    sessions = [elsewhere.call(lambda script=script: start(script)) for script in scripts.values()]
    stalled = start(scripts["flood"] + "; : present")
    wanted = [script.encode() for script in scripts.values()]
    idle, *others = wanted
    wait_for("all run", lambda: all(commands(script) for script in others) and commands(b"98761"))
    elsewhere.cut()
    wait_for("the commands are gone",
             lambda: not commands(b"98761") and not any(commands(script) for script in others),
             SECONDS)
    assert commands(others[1] + b"; : present"), "a client that only does not read was let go"
    for session in (*sessions, stalled):
        session.stream.close()
    pod.remove()
