# SPDX-License-Identifier: Apache-2.0
"""E: text that the kubelet hands on stays text."""

import pathlib

import grpc
import pytest

from harness import status_of
from support import loopback_network, shell

INVALID = grpc.StatusCode.INVALID_ARGUMENT
CORE_PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern")


@pytest.fixture
def network(node):
    with loopback_network(node):
        yield


SYSCTLS = [
    ("kernel.core_pattern", "|/evil"), ("kernel.shmmax+kernel.core_pattern", "1"),
    ("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/evil"), ("kernel.shm_rmid_forced", "1\n2"),
    ("kernel.shm_rmid_forced", "1=2\x00"), ("net.ipv4.ip_forward\n", "1"), ("", "1"), (".", "1"),
    ("..", "1"), ("net/../kernel/core_pattern", "x"), ("net.ipv4/../../kernel/core_pattern", "x"),
    ("/net/ipv4/ip_forward", "1"), ("net", "1"), ("kernel.hostname", "x"), ("vm.swappiness", "1"),
    ("fs.file-max", "1"), ("kernel.panic", "1"), ("kernel.shm_rmid_forced", "1" * 5000),
    ("net.ipv4.ip_forward", "1;id"), ("net.ipv4.no_such_setting", "1"), ("kernel.semx", "1"),
    ("fs.mqueue.../../x", "1"), ("net.ipv4.ip_forward=1", "1"),
]


@pytest.mark.parametrize("key,value", SYSCTLS, ids=[str(n) for n in range(len(SYSCTLS))])
def test_e1_sysctls(node, network, make_pod, key, value):
    before = CORE_PATTERN.read_text()
    code, text = status_of(make_pod, network="POD", linux=node.v1_api.LinuxPodSandboxConfig(
        sysctls={key: value}))
    assert code == INVALID and text
    assert CORE_PATTERN.read_text() == before


def test_e1_sysctls_need_a_namespace_of_the_pods_own(node, make_pod):
    api = node.v1_api
    assert status_of(make_pod, linux=api.LinuxPodSandboxConfig(
        sysctls={"net.ipv4.ip_forward": "1"}))[0] == INVALID
    context = api.LinuxSandboxSecurityContext(namespace_options=api.NamespaceOption(
        ipc=api.NamespaceMode.Value("NODE")))
    assert status_of(make_pod, linux=api.LinuxPodSandboxConfig(
        security_context=context, sysctls={"kernel.shm_rmid_forced": "1"}))[0] == INVALID


EVIL_ANNOTATIONS = {
    "io.kubernetes.cri-o.UnsafeUsernsMode": "auto", "run.oci.handler": "wasm",
    "org.systemd.property.ExecStart": "'/bin/evil'", "io.podman.annotations.privileged": "TRUE",
    "run.oci.systemd.force_cgroup_v1": "/x", "io.containerd.runc.v2.group": "../../x",
    "systemd.property.DevicePolicy": "auto", "com.docker.network": "host", "krun.ram": "9999999999",
}


def test_e2_annotations_change_nothing(node, make_pod):
    pod = make_pod(annotations=EVIL_ANNOTATIONS)
    plain = make_pod()
    script = "grep -E '^(Cap|Seccomp|NoNewPrivs)' /proc/self/status; cat /proc/self/uid_map; " \
             "ls /dev; cut -d' ' -f5- /proc/self/mountinfo | wc -l"
    assert shell(pod, script, annotations=EVIL_ANNOTATIONS) == shell(plain, script)
    status = node.v1.PodSandboxStatus(pod_sandbox_id=pod.id).status
    assert dict(status.annotations) == EVIL_ANNOTATIONS


@pytest.mark.parametrize("identity", ["../x", "..", ".", "/", "x" * 10240, "*", "%s", "a\x00b",
                                      "../../etc/passwd", "\x1b[2J", "0" * 65])
def test_e3_ids_are_looked_up(node, identity):
    for method, field in (("PodSandboxStatus", "pod_sandbox_id"), ("ExecSync", "container_id"),
                          ("ContainerStatus", "container_id"), ("StartContainer", "container_id")):
        fields = {field: identity, **({"cmd": ["true"]} if method == "ExecSync" else {})}
        code, text = status_of(getattr(node.v1, method), **fields)
        assert code in (grpc.StatusCode.NOT_FOUND, INVALID), (method, code)
        assert "\x1b" not in text


@pytest.mark.parametrize("name", ["a;IgnoreUnknown=0", "a\nb", "", "a\x00b", "x" * 300])
def test_e4_names_that_would_be_arguments(node, network, make_pod, name):
    metadata = node.v1_api.PodSandboxMetadata(name=name, namespace="test", uid="u", attempt=0)
    assert status_of(make_pod, network="POD", metadata=metadata)[0] == INVALID


def test_e5_nothing_of_a_terminals_in_errors_and_logs(node, pod):
    code, text = status_of(pod.create, "true", image="evil\x1b[2J\x07image")
    assert "\x1b" not in text and "\x07" not in text
    log = (node.base / "dispatcher.log").read_bytes()
    assert b"\x1b" not in log and b"\x07" not in log
