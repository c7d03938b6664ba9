# SPDX-License-Identifier: Apache-2.0
"""Open streams while the dispatcher dies, and while podmon becomes another program."""

import os
import shutil
import signal
import threading

import pytest

import spdy
from harness import BUILD, wait_for
from test_containers import processes_with
from test_streams import (NUMBERS, Server, attach, echo, exec_url, finish_pair, forward, open_pair,
                          run, shell)

KILLS = int(os.environ.get("PODMON_STREAM_KILLS", "50"))


class Load(threading.Thread):
    """Carries numbered blocks both ways until it is told to stop; `error` says what went wrong."""

    BLOCK = 512

    def __init__(self, stop):
        super().__init__(daemon=True)
        self.stop, self.error, self.blocks = stop, None, 0

    def block(self, number):
        return (b"%08d " % number * (self.BLOCK // 9 + 1))[:self.BLOCK - 1] + b"\n"

    def run(self):
        try:
            while not self.stop.is_set():
                self.round(self.block(self.blocks))
                self.blocks += 1
            self.finish()
        except BaseException as error:  # a failure of any kind is the test's
            self.error = error

    def check(self, session, id, expected):
        session.wait(lambda: len(session.data.get(id, b"")) >= len(expected), "an echo")
        assert session.data[id] == expected, "bytes lost or doubled"
        session.data[id].clear()


class ExecLoad(Load):
    def __init__(self, stop, node, container):
        super().__init__(stop)
        self.session = run(node, container, "cat", stdin=True)

    def round(self, block):
        self.session.send(block)
        self.check(self.session, self.session.ids["stdout"], block)

    def finish(self):
        self.session.send(b"", fin=True)
        assert self.session.code() == 0 and self.session.output() == b""


class AttachLoad(Load):
    """Each has a container of its own, so that what it reads is what it wrote."""

    def __init__(self, stop, node, pod):
        super().__init__(stop)
        self.session = attach(node, pod.start("cat", stdin=True, stdin_once=True), stdin=True)

    round = ExecLoad.round

    def finish(self):
        self.session.send(b"", fin=True)
        assert self.session.status() == {"status": "Success"} and self.session.output() == b""


class ForwardLoad(Load):
    def __init__(self, stop, node, pod, port):
        super().__init__(stop)
        self.session = forward(node, pod.id)
        self.error_id, self.data_id = open_pair(self.session, port, 0)

    def round(self, block):
        self.session.write(self.data_id, block)
        self.check(self.session, self.data_id, block)

    def finish(self):
        self.session.write(self.data_id, b"", fin=True)
        finish_pair(self.session, self.error_id, self.data_id, b"")
        self.session.close()


def copy_of(directory, program):
    """Another file with the same program: what an upgrade installs."""
    directory.mkdir(exist_ok=True)
    return shutil.copy(BUILD / program, directory)


class Loads:
    """20 execs, 5 attaches, 5 port-forwards at work in one pod."""

    def __init__(self, node, pod, server):
        self.stop = threading.Event()
        container = pod.start("sleep", "100000")
        self.all = [ExecLoad(self.stop, node, container) for _ in range(20)]
        self.all += [AttachLoad(self.stop, node, pod) for _ in range(5)]
        self.all += [ForwardLoad(self.stop, node, pod, server.port) for _ in range(5)]
        for load in self.all:
            load.start()

    def all_go_on(self):
        before = [load.blocks for load in self.all]
        wait_for("every session goes on", lambda: all(
            load.error or load.blocks > old for load, old in zip(self.all, before)))
        assert not [load.error for load in self.all if load.error]

    def finish(self):
        self.stop.set()
        for load in self.all:
            load.join(60)
            assert not load.is_alive() and load.error is None, load.error
        return sum(load.blocks for load in self.all)


@pytest.mark.timeout(7200)
def test_kills_and_an_upgrade(node, make_pod, tmp_path):
    """PODMON_STREAM_KILLS=1000 for the whole proof."""
    with Server(echo) as server:
        loads = Loads(node, make_pod(), server)
        for number in range(KILLS):
            if number == KILLS // 2:
                done = node.upgrade(copy_of(tmp_path, "podmon/podmon"))
                assert done.returncode == 0, done.stdout
                node.program = copy_of(tmp_path, "dispatcher/podmon-dispatcher")
            node.restart(signal.SIGKILL)
            loads.all_go_on()
        blocks = loads.finish()
    node.program = BUILD / "dispatcher" / "podmon-dispatcher"
    node.restart(signal.SIGTERM)
    print(f"{KILLS} kills and an upgrade, {blocks} blocks of {Load.BLOCK} bytes")


def upgrade(node):
    done = node.upgrade()
    assert done.returncode == 0, done.stdout


def test_a_url_is_good_after_an_upgrade(node, pod):
    container = pod.start("sleep", "1000")
    url = exec_url(node, container, "echo", "still good")
    upgrade(node)
    with spdy.Remote.start(url) as session:
        assert (session.code(), session.output()) == (0, b"still good\n")
    assert spdy.request(url, headers=spdy.spdy_headers("v4.channel.k8s.io"))[0] == 404


@pytest.mark.parametrize("tty", [False, True])
def test_a_status_comes_after_upgrades(node, pod, tty):
    container = pod.start("sleep", "1000")
    with shell(node, container, "echo up; read line; echo $line; exit 5", stdin=True,
               tty=tty) as session:
        session.wait_for(b"up")
        for _ in range(3):
            upgrade(node)
        session.send(b"down\n")
        assert session.code() == 5
        assert session.output().split()[-1] == b"down"


def test_a_client_that_goes_after_an_upgrade(node, pod):
    """Takes its command along, as before one; what others have goes on."""
    container = pod.start("sleep", "1000")
    with run(node, container, "cat", stdin=True) as other:
        number = str(next(NUMBERS))
        session = run(node, container, "sleep", number, stdin=True)
        wait_for("it runs", lambda: processes_with(number))
        upgrade(node)
        session.close()
        wait_for("it is gone", lambda: not processes_with(number))
        other.send(b"untouched", fin=True)
        assert (other.code(), other.output()) == (0, b"untouched")


def test_a_container_ends_after_an_upgrade(node, pod):
    container = pod.start("sh", "-c", "read line; echo end; echo bad >&2; exit 3", stdin=True)
    with attach(node, container, stdin=True) as session, \
            run(node, container, "sleep", "1000") as command:
        upgrade(node)
        session.send(b"\n")
        assert session.status() == {"status": "Success"}
        assert (session.output(), session.output("stderr")) == (b"end\n", b"bad\n")
        assert command.code() == 137
    assert pod.wait(container).exit_code == 3
    assert pod.output(container) == "end\n"
