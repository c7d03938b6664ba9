# SPDX-License-Identifier: Apache-2.0
"""Malformed requests: the status a Kubernetes client expects, one sentence that names the field,
and nothing left behind."""

import uuid

import grpc
import pytest

from harness import BUSYBOX, status_of

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND


def sandbox(api, **changes):
    """A good sandbox configuration with some fields changed, as a dictionary for the request."""
    config = {
        "metadata": {"name": "bad", "uid": str(uuid.uuid4()), "namespace": "test", "attempt": 0},
        "log_directory": "/tmp/podmon-bad-input",
        "linux": {"security_context": {"namespace_options": {"network": 2}}},
    }
    for path, value in changes.items():
        place = config
        *parents, last = path.split("__")
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return api.PodSandboxConfig(**config)


SANDBOXES = [
    ({"metadata": None}, "metadata"),
    ({"metadata__name": ""}, "name"),
    ({"metadata__namespace": ""}, "namespace"),
    ({"metadata__uid": ""}, "uid"),
    ({"metadata__name": "a\nb"}, "name"),
    ({"hostname": "a\nb"}, "hostname"),
    ({"hostname": "x" * 65}, "hostname"),
    ({"hostname": "a/b"}, "hostname"),
    ({"log_directory": "relative/path"}, "log_directory"),
    ({"dns_config": {"servers": ["1.1.1.1\nnameserver 6.6.6.6"]}}, "dns_config.servers"),
    ({"dns_config": {"searches": ["a b"]}}, "dns_config.searches"),
    ({"dns_config": {"options": ["x\ny"]}}, "dns_config.options"),
    ({"port_mappings": [{"container_port": -1}]}, "port_mappings[0].container_port"),
    ({"port_mappings": [{"container_port": 70000}]}, "port_mappings[0].container_port"),
    ({"port_mappings": [{"container_port": 80, "host_port": 65536}]}, "port_mappings[0].host_port"),
    ({"port_mappings": [{"container_port": 80, "host_port": 80, "host_ip": "nope"}]},
     "port_mappings[0].host_ip"),
    ({"linux__cgroup_parent": "../../escape"}, "cgroup_parent"),
    ({"linux__cgroup_parent": "/a/../../b"}, "cgroup_parent"),
    ({"linux__sysctls": {"kernel.core_pattern": "x"}}, "kernel.core_pattern"),
    ({"linux__sysctls": {"kernel.msgmax": "1\n2"}}, "kernel.msgmax"),
    ({"linux__sysctls": {"kernel/../../x": "1"}}, "kernel"),
    ({"linux__sysctls": {"net.core.somaxconn": "1"}}, "net.core.somaxconn"),
    ({"linux__security_context__namespace_options__network": 1}, "network"),
    ({"linux__security_context__namespace_options__network": 3}, "network"),
    ({"linux__security_context__namespace_options__ipc": 1}, "ipc"),
    ({"linux__security_context__namespace_options__network": 77}, "network"),
]


@pytest.mark.parametrize("changes,field", SANDBOXES)
def test_sandbox(node, changes, field):
    before = node.leftovers()
    code, text = status_of(node.v1.RunPodSandbox, config=sandbox(node.v1_api, **changes))
    assert code == INVALID, text
    assert field in text
    assert node.leftovers() == before
    assert len(text.splitlines()) == 1


def test_no_configuration(node):
    assert status_of(node.v1.RunPodSandbox)[0] == INVALID
    assert status_of(node.seed.RunPodSandbox)[0] == INVALID


def test_unknown_handler(node):
    code, text = status_of(node.v1.RunPodSandbox, config=sandbox(node.v1_api),
                           runtime_handler="kata")
    assert code in (INVALID, NOT_FOUND) and "kata" in text


@pytest.fixture(scope="module")
def shared_pod(node):
    from harness import Pod

    pod = Pod(node)
    yield pod
    pod.remove()


CONTAINERS = [
    ({"metadata": None}, INVALID, "metadata"),
    ({"metadata": {"name": ""}}, INVALID, "name"),
    ({"metadata": {"name": "a\x01b"}}, INVALID, "name"),
    ({"image": None}, INVALID, "image"),
    ({"image": {"image": ""}}, INVALID, "image"),
    ({"image": {"image": "no/such:image"}}, NOT_FOUND, "no/such:image"),
    ({"image": {"image": "Bad Name"}}, INVALID, "Bad Name"),
    ({"working_dir": "relative"}, INVALID, "working_dir"),
    ({"envs": [{"key": "", "value": b"x"}]}, INVALID, "envs[0]"),
    ({"envs": [{"key": "A=B", "value": b"x"}]}, INVALID, "envs[0]"),
    ({"envs": [{"key": "A", "value": b"x\0y"}]}, INVALID, "envs[0]"),
    ({"mounts": [{"container_path": "", "host_path": "/tmp"}]}, INVALID, "mounts[0]"),
    ({"mounts": [{"container_path": "relative", "host_path": "/tmp"}]}, INVALID, "mounts[0]"),
    ({"mounts": [{"container_path": "/", "host_path": "/tmp"}]}, INVALID, "mounts[0]"),
    ({"mounts": [{"container_path": "/a", "host_path": ""}]}, INVALID, "mounts[0]"),
    ({"mounts": [{"container_path": "/a", "host_path": "relative"}]}, INVALID, "mounts[0]"),
    ({"mounts": [{"container_path": "/a", "host_path": "/tmp", "propagation": 9}]}, INVALID,
     "propagation"),
    ({"mounts": [{"container_path": "/proc/sys", "host_path": "/tmp"}]}, INVALID, "/proc"),
    ({"mounts": [{"container_path": "/a", "host_path": "/tmp", "recursive_read_only": True}]},
     INVALID, "recursive_read_only"),
    ({"mounts": [{"container_path": f"/m{n}", "host_path": "/tmp"} for n in range(5000)]}, INVALID,
     "mounts"),
    ({"devices": [{"container_path": "dev/x", "host_path": "/dev/null"}]}, INVALID, "devices[0]"),
    ({"devices": [{"container_path": "/dev/x", "host_path": "null"}]}, INVALID, "devices[0]"),
    ({"devices": [{"container_path": "/dev/x", "host_path": "/dev/null", "permissions": "q"}]},
     INVALID, "permissions"),
    ({"linux": {"security_context": {"capabilities": {"add_capabilities": ["CAP_NONSENSE"]}}}},
     INVALID, "CAP_NONSENSE"),
    ({"linux": {"security_context": {"run_as_group": {"value": 5}}}}, INVALID, "run_as_group"),
    ({"linux": {"security_context": {"run_as_user": {"value": -1}}}}, INVALID, "run_as_user"),
    ({"linux": {"security_context": {"run_as_user": {"value": 1 << 40}}}}, INVALID, "run_as_user"),
    ({"linux": {"security_context": {"run_as_user": {"value": 1}, "run_as_username": "x"}}},
     INVALID, "run_as_user"),
    ({"linux": {"security_context": {"supplemental_groups": [-5]}}}, INVALID,
     "supplemental_groups"),
    ({"linux": {"security_context": {"masked_paths": ["relative"]}}}, INVALID, "masked_paths"),
    ({"linux": {"security_context": {"privileged": True}}}, INVALID, "privileged"),
    ({"linux": {"security_context": {"namespace_options": {"pid": 3}}}}, INVALID, "target_id"),
    ({"linux": {"resources": {"cpu_quota": 100}}}, INVALID, "cpu_quota"),
    ({"linux": {"resources": {"cpu_shares": -4}}}, INVALID, "cpu_shares"),
    ({"linux": {"resources": {"memory_limit_in_bytes": -4}}}, INVALID, "memory_limit_in_bytes"),
    ({"linux": {"resources": {"oom_score_adj": 2000}}}, INVALID, "oom_score_adj"),
    ({"linux": {"resources": {"cpuset_cpus": "x\ny"}}}, INVALID, "cpuset_cpus"),
    ({"linux": {"resources": {"unified": {"../x": "1"}}}}, INVALID, "unified"),
    ({"log_path": "/absolute"}, INVALID, "log_path"),
    ({"stop_signal": 999}, INVALID, "stop_signal"),
]


@pytest.mark.parametrize("changes,expected,field", CONTAINERS)
def test_container(node, shared_pod, changes, expected, field):
    api = node.v1_api
    config = {"metadata": {"name": "c-" + uuid.uuid4().hex[:8]}, "image": {"image": BUSYBOX},
              "command": ["true"]}
    config.update(changes)
    config = {key: value for key, value in config.items() if value is not None}
    before = [c.id for c in node.v1.ListContainers().containers]
    code, text = status_of(node.v1.CreateContainer, pod_sandbox_id=shared_pod.id,
                           config=api.ContainerConfig(**config), sandbox_config=shared_pod.config)
    assert code == expected, text
    assert field in text
    assert [c.id for c in node.v1.ListContainers().containers] == before


UNKNOWN = [
    ("PodSandboxStatus", {"pod_sandbox_id": "0" * 64}), ("PodSandboxStatus", {}),
    ("ContainerStatus", {"container_id": "0" * 64}), ("ContainerStatus", {"container_id": "../x"}),
    ("StartContainer", {"container_id": "f" * 64}),
    ("ExecSync", {"container_id": "f" * 64, "cmd": ["true"]}),
    ("CreateContainer", {"pod_sandbox_id": "f" * 64, "config": {
        "metadata": {"name": "x"}, "image": {"image": BUSYBOX}}}),
]


@pytest.mark.parametrize("method,fields", UNKNOWN)
def test_unknown_ids(node, method, fields):
    for client in (node.seed, node.v1):
        code, text = status_of(getattr(client, method), **fields)
        assert code in (NOT_FOUND, INVALID), text


@pytest.mark.parametrize("method", ["ReopenContainerLog", "UpdateContainerResources"])
def test_unknown_ids_of_newer_methods(node, method):
    assert status_of(getattr(node.v1, method), container_id="f" * 64)[0] == NOT_FOUND


@pytest.mark.parametrize("identifier", ["0" * 64, "../..", "zzz"])
def test_unknown_containers_are_fine_for_stop_and_remove(node, identifier):
    for client in (node.seed, node.v1):
        client.StopContainer(container_id=identifier, timeout=1)
        client.RemoveContainer(container_id=identifier)


@pytest.mark.parametrize("method,field", [
    ("StopPodSandbox", "pod_sandbox_id"), ("RemovePodSandbox", "pod_sandbox_id"),
    ("StopContainer", "container_id"), ("RemoveContainer", "container_id")])
def test_no_id_at_all_is_a_mistake(node, method, field):
    for client in (node.seed, node.v1):
        code, text = status_of(getattr(client, method))
        assert code == INVALID and field in text


@pytest.mark.parametrize("fields", [{"cmd": []}, {"cmd": ["true"], "timeout": -1}])
def test_bad_exec(node, shared_pod, fields):
    container = shared_pod.start("sleep", "1000")
    assert status_of(node.v1.ExecSync, container_id=container, **fields)[0] == INVALID
    node.v1.RemoveContainer(container_id=container)


def test_names_from_outside_never_become_paths(node):
    """Evil metadata makes a pod like any other, or is refused; nothing appears outside."""
    for name in ("../../../etc/x", "a/b", "$(touch /tmp/podmon-pwned)", "-rf", "%n%s", "ünï" * 20,
                 "x" * 253):
        config = sandbox(node.v1_api, metadata__name=name)
        try:
            pod = node.v1.RunPodSandbox(config=config).pod_sandbox_id
        except grpc.RpcError as error:
            assert error.code() == INVALID, name
            continue
        assert node.v1.PodSandboxStatus(pod_sandbox_id=pod).status.metadata.name == name
        node.v1.RemovePodSandbox(pod_sandbox_id=pod)
