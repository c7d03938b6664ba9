# SPDX-License-Identifier: Apache-2.0
"""Devices: what is not on the list can be made, and cannot be opened."""

import pytest

from support import privileged_pod, security, shell


def test_a_device_that_is_not_listed_cannot_be_opened(pod):
    out = shell(pod, "mknod /node c 10 99; head -c 1 /node 2>&1; mknod /disk b 7 0; "
                     "head -c 1 /disk 2>&1")
    assert out.count("Operation not permitted") == 2, out


def test_an_exec_is_confined_as_well(pod):
    container = pod.start("sleep", "1000")
    out = pod.exec(container, "sh", "-c", "mknod /disk b 7 0; head -c 1 /disk 2>&1")
    assert b"Operation not permitted" in out.stdout


def test_the_listed_devices_work(pod):
    out = shell(pod, "for d in null zero full random urandom; do head -c 1 /dev/$d | wc -c; done; "
                     "echo x > /dev/null && echo written")
    assert out == "0\n1\n1\n1\n1\nwritten\n"


@pytest.mark.parametrize("permissions,readable,writable", [
    ("r", True, False), ("w", False, True), ("rw", True, True), ("", True, True)])
def test_the_permissions_of_a_device(node, pod, permissions, readable, writable):
    fuse = node.v1_api.Device(host_path="/dev/fuse", container_path="/dev/fuse",
                              permissions=permissions)
    out = shell(pod, "(exec 3</dev/fuse) && echo r; (exec 3>/dev/fuse) && echo w", devices=[fuse])
    assert ("r" in out, "w" in out) == (readable, writable), out


def test_a_privileged_container_opens_every_device(node, make_pod):
    pod = privileged_pod(node, make_pod)
    out = shell(pod, "mknod /mem c 1 11; exec 3</mem && echo opened",
                linux=security(node, privileged=True))
    assert "opened" in out
