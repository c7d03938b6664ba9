# SPDX-License-Identifier: Apache-2.0
"""Sandboxes: their life, what they share, what clients are told of them."""

import os
import pathlib
import signal
import uuid

import grpc
import pytest

from harness import Pod, podmon_pid, status_of, wait_for


def ready(api):
    return api.PodSandboxState.Value("SANDBOX_READY")


def not_ready(api):
    return api.PodSandboxState.Value("SANDBOX_NOTREADY")


def test_life(node, make_pod):
    pod = make_pod(labels={"app": "x", "empty": ""}, annotations={"a/b": "ünïcode \n kept"})
    assert len(pod.id) == 64
    for client, api in ((node.seed, node.seed_api), (node.v1, node.v1_api)):
        status = client.PodSandboxStatus(pod_sandbox_id=pod.id).status
        assert status.id == pod.id
        assert status.state == ready(api)
        assert status.created_at > 1_600_000_000_000_000_000
        assert (status.metadata.name, status.metadata.uid, status.metadata.namespace,
                status.metadata.attempt) == (pod.config.metadata.name, pod.uid, "test", 0)
        assert dict(status.labels) == {"app": "x", "empty": ""}
        assert dict(status.annotations) == {"a/b": "ünïcode \n kept"}
        listed = {p.id: p for p in client.ListPodSandbox().items}
        assert listed[pod.id].metadata == status.metadata
        assert dict(listed[pod.id].labels) == dict(status.labels)
    for client in (node.seed, node.v1, node.seed):
        client.StopPodSandbox(pod_sandbox_id=pod.id)
    for client, api in ((node.seed, node.seed_api), (node.v1, node.v1_api)):
        assert client.PodSandboxStatus(pod_sandbox_id=pod.id).status.state == not_ready(api)
    node.seed.RemovePodSandbox(pod_sandbox_id=pod.id)
    node.v1.RemovePodSandbox(pod_sandbox_id=pod.id)
    assert pod.id not in [p.id for p in node.v1.ListPodSandbox().items]
    assert status_of(node.v1.PodSandboxStatus, pod_sandbox_id=pod.id)[0] == \
        grpc.StatusCode.NOT_FOUND


def test_a_stopped_pod_has_no_process(node, pod):
    assert pod_has_process(node, pod)
    node.v1.StopPodSandbox(pod_sandbox_id=pod.id)
    wait_for("its podmon has ended", lambda: not pod_has_process(node, pod))


def pod_has_process(node, pod):
    """Is there a podmon for it?"""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if pod.id.encode() in (process / "cmdline").read_bytes():
                return True
        except OSError:
            pass
    return False


def test_the_same_request_gets_the_same_sandbox(node, pod):
    again = node.v1.RunPodSandbox(config=pod.config).pod_sandbox_id
    assert again == pod.id
    seed_config = node.seed_api.PodSandboxConfig(
        metadata=node.seed_api.PodSandboxMetadata(
            name=pod.config.metadata.name, uid=pod.uid, namespace="test", attempt=0),
        log_directory=str(pod.log_directory),
        linux=node.seed_api.LinuxPodSandboxConfig(
            security_context=node.seed_api.LinuxSandboxSecurityContext(
                namespace_options=node.seed_api.NamespaceOption(host_network=True))))
    assert node.seed.RunPodSandbox(config=seed_config).pod_sandbox_id == pod.id


def test_another_attempt_is_another_sandbox(node, pod):
    pod.config.metadata.attempt = 1
    other = node.v1.RunPodSandbox(config=pod.config).pod_sandbox_id
    assert other != pod.id
    node.v1.RemovePodSandbox(pod_sandbox_id=other)


@pytest.mark.parametrize("identifier", ["nothing", "0" * 64, "../../etc", "x" * 10240])
def test_unknown_ids_are_fine_for_stop_and_remove(node, identifier):
    for client in (node.seed, node.v1):
        client.StopPodSandbox(pod_sandbox_id=identifier)
        client.RemovePodSandbox(pod_sandbox_id=identifier)


def test_a_prefix_finds_the_pod(node, pod):
    status = node.v1.PodSandboxStatus(pod_sandbox_id=pod.id[:12]).status
    assert status.id == pod.id


def test_filters(node, make_pod):
    one = make_pod(labels={"app": "filter", "n": "1"})
    two = make_pod(labels={"app": "filter", "n": "2"})
    node.v1.StopPodSandbox(pod_sandbox_id=two.id)

    def ids(client, **fields):
        return {p.id for p in client.ListPodSandbox(**fields).items} & {one.id, two.id}

    for client, api in ((node.seed, node.seed_api), (node.v1, node.v1_api)):
        def state(value):
            return value(api) if api is node.seed_api else \
                api.PodSandboxStateValue(state=value(api))

        assert ids(client) == {one.id, two.id}
        assert ids(client, filter=api.PodSandboxFilter()) == {one.id, two.id}
        assert ids(client, filter=api.PodSandboxFilter(id=one.id)) == {one.id}
        assert ids(client, filter=api.PodSandboxFilter(state=state(ready))) == {one.id}
        assert ids(client, filter=api.PodSandboxFilter(state=state(not_ready))) == {two.id}
        assert ids(client, filter=api.PodSandboxFilter(label_selector={"app": "filter"})) == \
            {one.id, two.id}
        assert ids(client, filter=api.PodSandboxFilter(
            label_selector={"app": "filter", "n": "2"})) == {two.id}
        assert ids(client, filter=api.PodSandboxFilter(
            id=one.id, label_selector={"n": "2"})) == set()


def test_host_namespaces(node, make_pod):
    api = node.v1_api
    options = api.NamespaceOption(pid=api.NamespaceMode.Value("NODE"),
                                  ipc=api.NamespaceMode.Value("NODE"))
    pod = make_pod(linux=api.LinuxPodSandboxConfig(
        security_context=api.LinuxSandboxSecurityContext(namespace_options=options)))
    context = api.LinuxContainerSecurityContext(namespace_options=api.NamespaceOption(
        network=api.NamespaceMode.Value("NODE"), pid=api.NamespaceMode.Value("NODE"),
        ipc=api.NamespaceMode.Value("NODE")))
    _, out = pod.run("sh", "-c", "for n in net ipc pid; do readlink /proc/self/ns/$n; done",
                     linux=api.LinuxContainerConfig(security_context=context))
    assert out.split() == [os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "ipc", "pid")]


def test_own_namespaces(node, pod):
    _, out = pod.run("sh", "-c", "for n in ipc pid mnt cgroup; do readlink /proc/self/ns/$n; done")
    for line, kind in zip(out.split(), ("ipc", "pid", "mnt", "cgroup")):
        assert line.startswith(kind) and line != os.readlink(f"/proc/self/ns/{kind}")


def test_containers_of_a_pod_share_ipc_and_shm(pod):
    first = pod.start("sh", "-c", "echo shared > /dev/shm/f; exec sleep 1000")
    wait_for("the file is written", lambda: pod.exec(first, "cat", "/dev/shm/f").exit_code == 0)
    _, out = pod.run("cat", "/dev/shm/f")
    assert out == "shared\n"


def test_each_container_has_its_own_pids_by_default(node, make_pod):
    api = node.v1_api
    options = api.NamespaceOption(pid=api.NamespaceMode.Value("CONTAINER"))
    pod = make_pod(linux=api.LinuxPodSandboxConfig(
        security_context=api.LinuxSandboxSecurityContext(namespace_options=options)))
    pod.start("sleep", "1000")
    context = api.LinuxContainerSecurityContext(namespace_options=options)
    _, out = pod.run("sh", "-c", "echo $$", linux=api.LinuxContainerConfig(
        security_context=context))
    assert out == "1\n"


def test_a_shared_pid_namespace_has_a_tiny_init(node, make_pod):
    api = node.v1_api
    options = api.NamespaceOption(pid=api.NamespaceMode.Value("POD"))
    pod = make_pod(linux=api.LinuxPodSandboxConfig(
        security_context=api.LinuxSandboxSecurityContext(namespace_options=options)))
    linux = api.LinuxContainerConfig(security_context=api.LinuxContainerSecurityContext(
        namespace_options=options))
    pod.start("sleep", "4321", linux=linux)
    second = pod.start("sleep", "1000", linux=linux)
    shown = pod.exec(second, "ps", "-o", "pid,args").stdout.decode()
    assert "sleep 4321" in shown
    first = [line.split(None, 1) for line in shown.splitlines()[1:]][0]
    assert first[0] == "1" and "sleep" not in first[1]
    orphan = pod.exec(second, "sh", "-c", "(sleep 0.1 &) ; true")
    assert orphan.exit_code == 0
    wait_for("the orphan is reaped", lambda: b"Z" not in pod.exec(
        second, "sh", "-c", "cat /proc/[0-9]*/stat | cut -d' ' -f3").stdout)


def test_pid_of_a_target_container(node, make_pod):
    api = node.v1_api
    pod = make_pod()
    target = pod.start("sleep", "7777")
    options = api.NamespaceOption(network=api.NamespaceMode.Value("NODE"),
                                  pid=api.NamespaceMode.Value("TARGET"), target_id=target)
    status, out = pod.run("ps", "-o", "args", linux=api.LinuxContainerConfig(
        security_context=api.LinuxContainerSecurityContext(namespace_options=options)))
    assert status.exit_code == 0 and "sleep 7777" in out


def test_dns_configuration(node, make_pod):
    api = node.v1_api
    pod = make_pod(dns_config=api.DNSConfig(servers=["10.0.0.10", "fd00::1"],
                                            searches=["a.example", "b.example"],
                                            options=["ndots:5", "edns0"]))
    _, out = pod.run("cat", "/etc/resolv.conf")
    assert out.splitlines() == ["search a.example b.example", "nameserver 10.0.0.10",
                                "nameserver fd00::1", "options ndots:5 edns0"]


def test_without_dns_configuration_the_hosts_is_used(pod):
    _, out = pod.run("cat", "/etc/resolv.conf")
    assert out == pathlib.Path("/etc/resolv.conf").read_text()


def test_ipc_sysctls(node, make_pod):
    pod = make_pod(linux=node.v1_api.LinuxPodSandboxConfig(
        sysctls={"kernel.shm_rmid_forced": "1", "kernel.msgmax": "9000"}))
    _, out = pod.run("cat", "/proc/sys/kernel/shm_rmid_forced", "/proc/sys/kernel/msgmax")
    assert out.split() == ["1", "9000"]
    assert pathlib.Path("/proc/sys/kernel/msgmax").read_text().strip() != "9000"


def test_seed_annotation_sysctls(node):
    api = node.seed_api
    config = api.PodSandboxConfig(
        metadata=api.PodSandboxMetadata(name="s", uid=str(uuid.uuid4()), namespace="n", attempt=0),
        annotations={"security.alpha.kubernetes.io/sysctls": "kernel.shm_rmid_forced=1",
                     "security.alpha.kubernetes.io/unsafe-sysctls": "kernel.msgmax=9001"},
        linux=api.LinuxPodSandboxConfig(security_context=api.LinuxSandboxSecurityContext(
            namespace_options=api.NamespaceOption(host_network=True))))
    pod = node.seed.RunPodSandbox(config=config).pod_sandbox_id
    try:
        container = node.seed.CreateContainer(
            pod_sandbox_id=pod, sandbox_config=config, config=api.ContainerConfig(
                metadata=api.ContainerMetadata(name="c", attempt=0),
                image=api.ImageSpec(image="busybox"), command=["sleep", "1000"])).container_id
        node.seed.StartContainer(container_id=container)
        out = node.seed.ExecSync(container_id=container, cmd=[
            "cat", "/proc/sys/kernel/shm_rmid_forced", "/proc/sys/kernel/msgmax"]).stdout
        assert out.split() == [b"1", b"9001"]
    finally:
        node.seed.RemovePodSandbox(pod_sandbox_id=pod)


def test_stop_kills_what_runs_and_keeps_the_records(node, pod):
    container = pod.start("sh", "-c", "trap '' TERM; sleep 1000 & wait; sleep 1000")
    node.v1.StopPodSandbox(pod_sandbox_id=pod.id)
    status = pod.status(container)
    assert status.state == node.v1_api.ContainerState.Value("CONTAINER_EXITED")
    assert status.exit_code == 137
    node.v1.RemoveContainer(container_id=container)
    assert status_of(node.v1.ContainerStatus, container_id=container)[0] == \
        grpc.StatusCode.NOT_FOUND


def test_remove_takes_running_containers_along(node, make_pod):
    pod = make_pod()
    pod.start("sleep", "1000")
    node.v1.RemovePodSandbox(pod_sandbox_id=pod.id)
    assert not [c for c in node.v1.ListContainers().containers if c.pod_sandbox_id == pod.id]


def test_verbose_status(node, pod):
    answer = node.v1.PodSandboxStatus(pod_sandbox_id=pod.id, verbose=True)
    assert answer.info
    assert not node.v1.PodSandboxStatus(pod_sandbox_id=pod.id).info


def test_many_pods_at_once(node):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(10) as pool:
        pods = list(pool.map(lambda _: Pod(node), range(20)))
        assert len({pod.id for pod in pods}) == 20
        containers = list(pool.map(lambda pod: pod.start("sleep", "1000"), pods))
        assert all(node.v1.ContainerStatus(container_id=c).status.state == 1 for c in containers)
        list(pool.map(lambda pod: pod.remove(), pods))


def test_one_request_sent_many_times_at_once(node):
    from concurrent.futures import ThreadPoolExecutor

    api = node.v1_api
    config = api.PodSandboxConfig(
        metadata=api.PodSandboxMetadata(name="same", uid=str(uuid.uuid4()), namespace="test"),
        linux=api.LinuxPodSandboxConfig(security_context=api.LinuxSandboxSecurityContext(
            namespace_options=api.NamespaceOption(network=api.NamespaceMode.Value("NODE")))))
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: node.v1.RunPodSandbox(config=config).pod_sandbox_id,
                           range(8)))
    assert len(ids) == 1
    node.v1.RemovePodSandbox(pod_sandbox_id=ids.pop())


def init_of(pod):
    """The first process of the pod's pid namespace."""
    podmon = podmon_pid(pod)
    children = pathlib.Path(f"/proc/{podmon}/task/{podmon}/children").read_text().split()
    [init] = [int(child) for child in children
              if pathlib.Path(f"/proc/{child}/comm").read_text() == "memfd:init\n"]
    return init


def is_ready(node, pod):
    status = node.v1.PodSandboxStatus(pod_sandbox_id=pod.id).status
    return status.state == ready(node.v1_api)


def test_a_pod_whose_init_is_killed_is_not_ready(node, make_pod):
    pod = make_pod()
    container = pod.start("sleep", "1000")
    assert is_ready(node, pod)
    os.kill(init_of(pod), signal.SIGKILL)
    wait_for("it is not ready", lambda: not is_ready(node, pod))
    assert pod.status(container).state == node.v1_api.ContainerState.Value("CONTAINER_EXITED")


def test_a_pod_whose_init_is_killed_unwatched_is_not_ready(node, make_pod):
    """Both die at once: the next podmon finds no init."""
    pod = make_pod()
    pod.start("sleep", "1000")
    init, podmon = init_of(pod), podmon_pid(pod)
    os.kill(podmon, signal.SIGSTOP)
    os.kill(init, signal.SIGKILL)
    os.kill(podmon, signal.SIGKILL)
    wait_for("it is not ready", lambda: not is_ready(node, pod))
