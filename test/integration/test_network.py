# SPDX-License-Identifier: Apache-2.0
"""Pods with a network of their own, by CNI: Debian's plugins, and plugins that misbehave. The whole
suite runs in a network namespace made for it, so the bridge is never made on the machine."""

import ipaddress
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess

import grpc
import pytest

from harness import podmon_pid, status_of, wait_for

PLUGINS = pathlib.Path("/usr/lib/cni")
BRIDGE = {
    "cniVersion": "1.0.0", "name": "testnet", "plugins": [
        {"type": "bridge", "bridge": "cni-test", "isGateway": True, "ipMasq": False,
         "ipam": {"type": "host-local", "dataDir": "DATA",
                  "ranges": [[{"subnet": "10.99.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "portmap", "capabilities": {"portMappings": True}}],
}


def own_network():
    """Is this a network namespace that the test made?"""
    links = json.loads(subprocess.run(["ip", "-j", "link"], check=True, capture_output=True).stdout)
    return all(link["ifname"] == "lo" or link["ifname"].startswith(("cni-test", "veth", "tunl", "sit",
               "gre", "erspan", "ip_vti", "ip6", "dummy")) for link in links)


@pytest.fixture
def bridge(node):
    if not own_network():
        pytest.skip("not in a network namespace of its own: test/integration/run makes one")
    data = node.base / "ipam"
    path = node.cni / "10-bridge.conflist"
    path.write_text(json.dumps(BRIDGE).replace("DATA", str(data)))
    yield data
    path.unlink()
    leases = [p for p in data.glob("testnet/*") if p.name[0].isdigit()]
    subprocess.run(["ip", "link", "delete", "cni-test"], check=False, capture_output=True)
    assert not leases, "addresses were not given back"


def test_address_and_loopback(node, bridge, make_pod):
    pod = make_pod(network="POD", hostname="my-host")
    for client in (node.seed, node.v1):
        ip = client.PodSandboxStatus(pod_sandbox_id=pod.id).status.network.ip
        assert ipaddress.ip_address(ip) in ipaddress.ip_network("10.99.0.0/24")
    status, out = pod.run("sh", "-c", "ip -o -4 addr; hostname; cat /etc/hostname; cat /etc/hosts; "
                          "ping -c 1 -W 5 127.0.0.1 >/dev/null && echo lo; "
                          "ping -c 1 -W 5 10.99.0.1 >/dev/null && echo gateway")
    assert f"{ip}/24" in out and "127.0.0.1/8" in out
    assert out.count("my-host\n") >= 2 and f"{ip}\tmy-host" in out.replace(" ", "\t")
    assert "lo\n" in out and "gateway\n" in out


def test_the_namespaces_path_is_told_to_seed_clients(node, bridge, make_pod):
    pod = make_pod(network="POD")
    status = node.seed.PodSandboxStatus(pod_sandbox_id=pod.id).status
    path = pathlib.Path(status.linux.namespaces.network)
    assert path.exists()
    assert not status.linux.namespaces.options.host_network


def test_pods_reach_each_other(node, bridge, make_pod):
    server = make_pod(network="POD")
    container = server.start("sh", "-c", "while :; do echo hello | nc -l -p 80; done")
    ip = node.v1.PodSandboxStatus(pod_sandbox_id=server.id).status.network.ip
    client = make_pod(network="POD")
    _, out = client.run("sh", "-c", f"for i in 1 2 3 4 5 6 7 8 9; do "
                        f"nc -w 5 {ip} 80 </dev/null && exit; sleep 0.2; done")
    assert out == "hello\n"
    node.v1.StopContainer(container_id=container, timeout=0)


def test_containers_share_the_network(node, bridge, make_pod):
    pod = make_pod(network="POD")
    outs = {pod.run("readlink", "/proc/self/ns/net")[1] for _ in range(2)}
    assert len(outs) == 1


def test_port_mapping(node, bridge, make_pod):
    api = node.v1_api
    pod = make_pod(network="POD", port_mappings=[api.PortMapping(container_port=80,
                                                                 host_port=18080)])
    pod.start("sh", "-c", "while :; do echo mapped | nc -l -p 80; done")
    ip = next(line.split()[3].split("/")[0] for line in subprocess.run(
        ["ip", "-o", "-4", "addr", "show", "cni-test"], check=True, capture_output=True,
        text=True).stdout.splitlines())

    def ask():
        try:
            with socket.create_connection((ip, 18080), timeout=2) as connection:
                return connection.recv(100) == b"mapped\n"
        except OSError:
            return False

    wait_for("the mapped port answers", ask)


def test_net_sysctls(node, bridge, make_pod):
    pod = make_pod(network="POD", linux=node.v1_api.LinuxPodSandboxConfig(
        sysctls={"net.ipv4.ip_local_port_range": "20000 30000"}))
    _, out = pod.run("cat", "/proc/sys/net/ipv4/ip_local_port_range")
    assert out.split() == ["20000", "30000"]


def test_stop_gives_the_address_back(node, bridge, make_pod):
    pod = make_pod(network="POD")
    assert [p for p in bridge.glob("testnet/*") if p.name[0].isdigit()]
    node.v1.StopPodSandbox(pod_sandbox_id=pod.id)
    assert not [p for p in bridge.glob("testnet/*") if p.name[0].isdigit()]
    assert node.v1.PodSandboxStatus(pod_sandbox_id=pod.id).status.metadata.name


def test_without_configuration_a_pod_network_is_refused(node):
    from harness import Pod

    before = node.leftovers()
    code, text = status_of(lambda: Pod(node, network="POD"))
    assert str(node.cni) in text
    wait_for("nothing is left", lambda: set(node.leftovers()) <= set(before))


EVIL = {
    "fails": ("echo '{\"cniVersion\":\"1.0.0\",\"code\":11,\"msg\":\"no luck today\"}'; exit 1",
              "no luck today"),
    "garbage": ("echo 'this is not json'; exit 0", "plugin"),
    "empty": ("exit 1", "plugin"),
    "flood": ("exec head -c 100000000 /dev/zero", "plugin"),
    "killed": ("kill -9 $$", "plugin"),
}


@pytest.fixture
def own_plugin(node):
    """make(name, script, version): a network of one plugin, a shell script."""
    made = []
    directory = node.base / "plugins"
    directory.mkdir(exist_ok=True)

    def make(name, script, version="1.0.0"):
        path = directory / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        conf = node.cni / "10-own.conflist"
        conf.write_text(json.dumps({"cniVersion": version, "name": "own",
                                    "plugins": [{"type": name}]}))
        made.append(conf)

    text = node.config.read_text()
    node.config.write_text(text.replace("cni_bin_dirs = /usr/lib/cni",
                                        f"cni_bin_dirs = {directory}\ncni_timeout_ms = 2000"))
    node.restart()
    yield make
    for conf in made:
        conf.unlink(missing_ok=True)
    node.config.write_text(text)
    node.restart()


@pytest.fixture
def evil_plugin(own_plugin, tmp_path):
    """A network whose plugin misbehaves on ADD and notes each DEL."""
    def make(name, script):
        notes = tmp_path / f"{name}.calls"
        own_plugin(name, f"echo $CNI_COMMAND >> {notes}\ncat >/dev/null\n"
                         f"[ $CNI_COMMAND = ADD ] || exit 0\n{script}")
        return notes

    return make


@pytest.mark.parametrize("name", [*EVIL, "hangs"])
def test_plugins_that_misbehave(node, evil_plugin, name):
    from harness import Pod

    script, word = EVIL.get(name, ("sleep 1000", "plugin"))
    notes = evil_plugin(name, script)
    before = node.leftovers()
    code, text = status_of(lambda: Pod(node, network="POD"))
    assert word in text and name in text, text
    if name == "hangs":
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "DEL" in notes.read_text().split()
    wait_for("nothing is left", lambda: set(node.leftovers()) <= set(before))


@pytest.fixture
def notes(own_plugin, tmp_path):
    """A plugin of CNI 1.1.0, which Debian's are not. It notes each call: the command and what it
    was given."""
    path = tmp_path / "calls"
    path.touch()
    own_plugin("careful", f"""
        {{ printf '%s ' $CNI_COMMAND; cat; echo; }} >>{path}
        [ $CNI_COMMAND = ADD ] && echo '{{"cniVersion": "1.1.0", "ips": []}}'
        [ $CNI_COMMAND != CHECK ]""", "1.1.0")

    def calls(command):
        lines = (line.split(" ", 1) for line in path.read_text().split("\n")[:-1])
        return [json.loads(given) for said, given in lines if said == command]

    return calls


def test_garbage_is_collected_when_the_dispatcher_starts(node, notes, make_pod):
    gone, there = make_pod(network="POD"), make_pod(network="POD")
    gone.remove()
    node.restart()
    wait_for("the plugin is asked", lambda: notes("GC"))
    [given] = notes("GC")
    valid = given["cni.dev/valid-attachments"]
    assert {"containerID": there.id, "ifname": "eth0"} in valid
    assert gone.id not in json.dumps(valid)
    assert given["type"] == "careful" and given["name"] == "own"


def test_a_network_is_checked_when_podmon_comes_back(node, notes, make_pod):
    pod = make_pod(network="POD")
    assert notes("CHECK") == []
    os.kill(podmon_pid(pod), signal.SIGKILL)
    wait_for("the plugin is asked", lambda: notes("CHECK"))
    assert notes("CHECK")[0]["prevResult"] == {"cniVersion": "1.1.0", "ips": []}
    # It was not content, which is for the administrator to read and changes nothing.
    wait_for("it is in the log", lambda: node.systemd or "the pod's network is not as it was made: network plugin "
             "careful ended with status 1" in (node.base / "dispatcher.log").read_text())
    assert node.v1.PodSandboxStatus(pod_sandbox_id=pod.id).status.state == 0
    pod.remove()
    assert len(notes("DEL")) == 1
