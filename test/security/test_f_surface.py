# SPDX-License-Identifier: Apache-2.0
"""F: who can reach the runtime's sockets and files."""

import os
import pathlib
import stat

from support import shell


def test_f1_no_abstract_sockets(node, pod):
    pod.start("sleep", "1000")
    names = [line.split()[-1] for line in pathlib.Path("/proc/net/unix").read_text().splitlines()]
    assert not [name for name in names if name.startswith("@") and "podmon" in name]


def test_f1_sockets_are_roots(node, pod):
    for path in (node.socket, *node.run.glob("pods/*/control")):
        status = os.stat(path)
        assert stat.S_ISSOCK(status.st_mode) and status.st_uid == 0
        assert stat.S_IMODE(status.st_mode) & 0o007 == 0, path


def test_f2_directories_are_roots(node, pod):
    pod.start("sleep", "1000")
    for path in (node.run, node.root):
        assert stat.S_IMODE(os.stat(path).st_mode) & 0o066 == 0, path
    for path in (*node.run.glob("pods"), *node.run.glob("pods/*"), *node.run.glob("pods/*/*/"),
                 *node.root.glob("pods/*"), *node.root.glob("pods/*/*/")):
        if path.is_dir() and path.name not in ("shm", "upper"):
            assert stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0, path


def test_f2_a_user_of_the_host_sees_nothing(node, pod):
    pod.start("sleep", "1000")
    secret = next(node.run.glob("pods/*/state"))
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        try:
            open(secret, "rb")
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_f1_the_control_socket_is_not_in_a_container(node, pod):
    out = shell(pod, f"ls -d {node.run} {node.root} {node.socket} 2>/dev/null; echo end")
    assert out == "end\n"
