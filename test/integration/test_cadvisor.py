# SPDX-License-Identifier: Apache-2.0
"""What the cAdvisor of a kubelet asks CRI-O: /info and /containers/<id>, and the groups it knows."""

import json
import os
import pathlib
import subprocess

import pytest

from harness import Pod, cgroup_parents, wait_for
from test_stats import BRIDGE


@pytest.fixture
def switched_on(node):
    """The socket, once the dispatcher has been started with it."""
    path = node.base / "crio" / "crio.sock"
    node.config.write_text(node.config.read_text() + f"[cadvisor]\nsocket = {path}\n")
    (node.cni / "10-stats.conflist").write_text(json.dumps(BRIDGE))
    node.restart()
    yield path
    (node.cni / "10-stats.conflist").unlink()
    # The plugin keeps it, if there was a pod.
    subprocess.run(["ip", "link", "delete", "cni-stats"], check=False, capture_output=True)
    node.write_config()
    node.restart()


def ask(socket, path, *arguments):
    """(status, body), by a client that is not ours."""
    result = subprocess.run(
        ["curl", "--silent", "--unix-socket", socket, "--max-time", "20", "--write-out",
         "\n%{http_code}", *arguments, f"http://crio{path}"],
        check=True, text=True, stdout=subprocess.PIPE)
    body, status = result.stdout.rsplit("\n", 1)
    return int(status), body


def about(socket, id):
    status, body = ask(socket, f"/containers/{id}")
    assert status == 200, body
    return json.loads(body)


def groups_named(node, name):
    return [path for parent in cgroup_parents(node.parent.strip("/"))
            for path in parent.rglob(name)]


def test_the_node(node, switched_on):
    status, body = ask(switched_on, "/info")
    assert status == 200
    answer = json.loads(body)
    assert answer["storage_root"] == node.v1.ImageFsInfo().image_filesystems[0].fs_id.mountpoint
    assert "overlay" not in answer["storage_driver"], "cAdvisor would walk the layers"
    assert oct(os.stat(switched_on).st_mode & 0o777) == "0o600"


def test_a_pod_and_its_container(node, switched_on):
    labels = {"io.kubernetes.pod.name": "p", "io.kubernetes.pod.namespace": "n",
              "io.kubernetes.pod.uid": "u"}
    pod = Pod(node, network="POD", labels=labels)
    try:
        of_pod = about(switched_on, pod.id)
        assert of_pod["pid"] == 0, "nothing runs in the pod's network"
        assert of_pod["labels"] == labels | {"io.kubernetes.container.name": "POD"}
        ip = node.v1.PodSandboxStatus(pod_sandbox_id=pod.id).status.network.ip
        assert of_pod["ip_address"] == ip and of_pod["ip_addresses"] == [ip]
        container = pod.create("sleep", "1000", name="box", labels=labels | {
            "io.kubernetes.container.name": "box"}, annotations={"a": "b \"c\" \u00e9"})
        assert about(switched_on, container)["pid"] == 0
        node.v1.StartContainer(container_id=container)
        of_container = about(switched_on, container)
        pid = of_container["pid"]
        assert os.readlink(f"/proc/{pid}/exe").endswith("/sleep")
        assert about(switched_on, pod.id)["pid"] == pid
        status = pod.status(container)
        assert of_container["image"] == status.image.image
        assert of_container["created_time"] == pytest.approx(status.created_at, abs=1000)
        assert of_container["log_path"] == status.log_path
        assert of_container["annotations"] == {"a": "b \"c\" \u00e9"}
        assert of_container["labels"]["io.kubernetes.container.name"] == "box"
        assert of_container["name"] == f"k8s_box_{pod.config.metadata.name}_test_{pod.uid}_0"
        network = pathlib.Path(f"/proc/{pid}/net/dev").read_text()
        assert "eth0" in network, "the pid leads to the pod's interfaces"
        node.v1.StopContainer(container_id=container, timeout=0)
        assert about(switched_on, container)["pid"] == about(switched_on, pod.id)["pid"] == 0
    finally:
        pod.remove()


def test_groups_have_names_that_cadvisor_knows(node, switched_on):
    pod = Pod(node)
    try:
        container = pod.start("sleep", "1000")
        pid = about(switched_on, container)["pid"]
        groups = pathlib.Path(f"/proc/{pid}/cgroup").read_text()
        assert f"/crio-{container}.scope" in groups
        if not node.systemd:
            assert groups_named(node, f"crio-{pod.id}.scope")
        assert pod.exec(container, "echo", "in").stdout == b"in\n"
        assert about(switched_on, pod.id)["pid"] == 0, "the host's network is not the pod's"
        node.restart()
        assert about(switched_on, container)["pid"] == pid
        assert wait_for("its figures", lambda: node.v1.ContainerStats(
            container_id=container).stats.cpu.usage_core_nano_seconds.value > 0 or node.systemd)
    finally:
        pod.remove()
    assert not groups_named(node, f"crio-{pod.id}.scope")


def test_what_is_not_there(node, switched_on):
    for path in ("/", "/containers/", "/containers/" + "0" * 64, "/containers/../info",
                 "/containers/" + "x" * 300, "/containers/%00"):
        assert ask(switched_on, path, "--path-as-is")[0] == 404, path
    assert ask(switched_on, "/info", "--request", "POST", "--data", "x")[0] == 405
    status, _ = ask(switched_on, "/info", "--data-binary", "@/dev/null", "--request", "GET")
    assert status == 200


def test_many_connections_are_served_in_turn(node, switched_on):
    """More clients than there are places: those that wait are answered when one leaves."""
    import socket

    idle = []
    for _ in range(64):
        idle.append(socket.socket(socket.AF_UNIX))
        idle[-1].connect(str(switched_on))
        idle[-1].sendall(b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle[-1].recv(4096).startswith(b"HTTP/1.1 200")
    waiting = socket.socket(socket.AF_UNIX)
    waiting.settimeout(20)
    waiting.connect(str(switched_on))
    waiting.sendall(b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n")
    for client in idle:
        client.close()
    assert waiting.recv(4096).startswith(b"HTTP/1.1 200")
    waiting.close()


def test_off_by_default(node, pod):
    container = pod.start("sleep", "1000")
    assert not groups_named(node, "crio-*")
    assert pod.status(container).state == node.v1_api.CONTAINER_RUNNING
