# SPDX-License-Identifier: Apache-2.0
"""Pods with a user namespace of their own: their root is nobody on the host."""

import os
import pathlib

import grpc
import pytest

from harness import status_of, wait_for
from support import loopback_network, shell

BASE, LENGTH = 1310720, 65536


def options(api, network="POD", pid="CONTAINER"):
    mapping = [api.IDMapping(host_id=BASE, container_id=0, length=LENGTH)]
    return api.NamespaceOption(
        network=api.NamespaceMode.Value(network), pid=api.NamespaceMode.Value(pid),
        userns_options=api.UserNamespace(mode=api.NamespaceMode.Value("POD"), uids=mapping,
                                         gids=mapping))


def linux(api, **fields):
    namespaces = options(api, **{key: fields.pop(key) for key in ("network", "pid")
                                 if key in fields})
    return api.LinuxContainerConfig(security_context=api.LinuxContainerSecurityContext(
        namespace_options=namespaces, **fields))


@pytest.fixture
def make_mapped_pod(node, make_pod):
    def make(network="NODE", pid="CONTAINER", **fields):
        api = node.v1_api
        return make_pod(network=network, linux=api.LinuxPodSandboxConfig(
            security_context=api.LinuxSandboxSecurityContext(
                namespace_options=options(api, network, pid)), **fields))
    return make


@pytest.fixture
def network(node):
    with loopback_network(node):
        yield


@pytest.fixture
def pod(make_mapped_pod):
    return make_mapped_pod()


def pids(node, pod, container):
    """The container's processes, on the host."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if container in path.read_text():
                found.append(path.parent)
        except OSError:
            pass
    return found


def test_root_is_nobody_on_the_host(node, pod):
    container = pod.start("sh", "-c", "id -u; cat /proc/self/uid_map /proc/self/gid_map; sleep 1000")
    wait_for("it has spoken", lambda: len(pod.output(container).splitlines()) == 3)
    lines = [line.split() for line in pod.output(container).splitlines()]
    assert lines == [["0"], ["0", str(BASE), str(LENGTH)], ["0", str(BASE), str(LENGTH)]]
    processes = pids(node, pod, container)
    assert processes and all(os.stat(process).st_uid == BASE for process in processes)


def test_users_groups_and_an_exec(node, pod):
    api = node.v1_api
    container = pod.start("sh", "-c", "id -u; id -g; id -G; sleep 1000", linux=linux(
        api, network="NODE", run_as_user=api.Int64Value(value=1000), supplemental_groups=[4321]))
    wait_for("it has spoken", lambda: len(pod.output(container).splitlines()) == 3)
    assert pod.output(container).split("\n")[:2] == ["1000", "1000"]
    out = pod.exec(container, "sh", "-c", "id -u; cat /proc/self/uid_map; echo x > /dev/stdout; "
                   "grep CapEff /proc/self/status").stdout.decode().splitlines()
    assert out[0] == "1000" and out[1].split()[1] == str(BASE) and out[2] == "x"
    assert {os.stat(process).st_uid for process in pids(node, pod, container)} == {BASE + 1000}


def test_an_unmapped_user_is_refused(node, pod):
    api = node.v1_api

    def attempt():
        node.v1.StartContainer(container_id=pod.create("true", linux=linux(
            api, network="NODE", run_as_user=api.Int64Value(value=LENGTH))))

    code, text = status_of(attempt)
    assert code == grpc.StatusCode.INVALID_ARGUMENT and str(LENGTH) in text


def test_the_image_belongs_to_the_containers_root(pod):
    out = shell(pod, "stat -c %u:%g / /bin /bin/busybox /etc/passwd /dev /dev/shm /new; "
                     "touch /file /etc/other && rm /bin/ls && chown 5:6 /file && "
                     "stat -c %u:%g /file && echo written > /etc/passwd && echo done",
                working_dir="/new")
    assert out == "0:0\n" * 7 + "5:6\ndone\n"


def test_a_volume_with_the_pods_mapping(node, pod, tmp_path):
    api = node.v1_api
    mapping = [api.IDMapping(host_id=BASE, container_id=0, length=LENGTH)]
    volume = pathlib.Path(node.base) / "volume"  # on a file system that can map ids
    volume.mkdir(exist_ok=True)
    (volume / "file").write_text("x")
    os.chown(volume / "file", 7, 8)
    mounts = [api.Mount(container_path="/mapped", host_path=str(volume), uidMappings=mapping,
                        gidMappings=mapping),
              api.Mount(container_path="/plain", host_path=str(volume), readonly=True)]
    out = shell(pod, "stat -c %u:%g /mapped/file /plain/file; touch /mapped/new && echo made; "
                     "touch /plain/new || echo refused", mounts=mounts)
    assert out == "7:8\n65534:65534\nmade\nrefused\n"
    assert (os.stat(volume / "new").st_uid, os.stat(volume / "file").st_uid) == (0, 7)


def test_another_mapping_of_a_volume_is_refused(node, pod, tmp_path):
    api = node.v1_api
    other = [api.IDMapping(host_id=BASE + 1, container_id=0, length=LENGTH)]
    code, text = status_of(pod.create, "true", mounts=[api.Mount(
        container_path="/v", host_path=str(tmp_path), uidMappings=other, gidMappings=other)])
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "mounts[0]" in text


def test_its_root_has_power_over_its_own_namespaces_only(node, network, make_mapped_pod):
    api = node.v1_api
    pod = make_mapped_pod(network="POD", sysctls={"net.ipv4.ip_forward": "1",
                                                  "kernel.shm_rmid_forced": "1"})
    out = shell(pod, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced; "
                     "ip link set lo down && echo down; hostname other && hostname; "
                     "mkdir -p /mnt && mount -t tmpfs x /mnt && echo mounted; "
                     "umount /proc/kcore 2>/dev/null || echo locked; "
                     "mount -o remount,rw /proc/sys 2>/dev/null || echo locked; "
                     "date -s 2000-01-01 2>&1 >/dev/null | grep -q permitted && echo refused; "
                     "echo x > /proc/sysrq-trigger || echo refused",
                linux=linux(api, capabilities=api.Capability(
                    add_capabilities=["SYS_ADMIN", "NET_ADMIN", "SYS_TIME"])))
    assert out.splitlines() == ["1", "1", "down", "other", "mounted", "locked", "locked", "refused",
                                "refused"]


def test_a_shared_pid_namespace(make_mapped_pod):
    pod = make_mapped_pod(pid="POD")
    out = shell(pod, "cat /proc/1/comm; echo $$; ps | wc -l")
    assert out.split()[0].endswith("init") and int(out.split()[1]) > 1


def test_a_terminal(pod):
    out = shell(pod, "tty; stat -c %u:%g $(tty); test -w /dev/pts/0 && echo mine", tty=True)
    assert [line.strip() for line in out.splitlines()][1:] == ["0:5", "mine"]


def test_it_survives_its_podmon_and_dispatcher(node, pod):
    container = pod.start("sleep", "1000")
    node.restart()
    assert pod.exec(container, "id", "-u").stdout == b"0\n"


def test_the_node_says_so(node):
    status = node.v1.Status()
    assert status.runtime_handlers[0].features.user_namespaces
    assert status.runtime_handlers[0].features.recursive_read_only_mounts
    assert status.features.user_namespaces_host_network and status.features.mount_options
