# SPDX-License-Identifier: Apache-2.0
"""Clients that lose patience, vanish, come in crowds or talk nonsense; a dispatcher that is stopped
or replaced while they ask."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import uuid

import grpc
import pytest

import harness
from harness import wait_for
from support import counter, finish_counter, podmon_pid


def request(node, uid, attempt=0):
    api = node.v1_api
    return api.PodSandboxConfig(
        metadata=api.PodSandboxMetadata(name="client", uid=uid, namespace="test", attempt=attempt),
        linux=api.LinuxPodSandboxConfig(security_context=api.LinuxSandboxSecurityContext(
            namespace_options=api.NamespaceOption(network=api.NamespaceMode.Value("NODE")))))


def remove(node, pod):
    node.v1.StopPodSandbox(pod_sandbox_id=pod)
    node.v1.RemovePodSandbox(pod_sandbox_id=pod)


def test_impatient_clients_get_the_same_pod_in_the_end(node, full):
    """RunPodSandbox with deadlines from nothing upwards; the request that waits joins what the
    others have begun."""
    for milliseconds in range(1, full(40, 400), 3):
        config = request(node, f"impatient-{milliseconds}")
        with contextlib.suppress(grpc.RpcError):
            node.v1.RunPodSandbox(config=config, rpc_timeout=milliseconds / 1000)
        pod = node.v1.RunPodSandbox(config=config).pod_sandbox_id
        same = [item.id for item in node.v1.ListPodSandbox().items
                if item.metadata.uid == config.metadata.uid]
        assert same == [pod]
        remove(node, pod)
    assert not [item for item in node.v1.ListPodSandbox().items if item.metadata.name == "client"]


def test_impatient_clients_get_the_same_container(node, pod, full):
    api = node.v1_api
    for milliseconds in range(1, full(40, 400), 3):
        config = api.ContainerConfig(
            metadata=api.ContainerMetadata(name=f"c-{milliseconds}"),
            image=api.ImageSpec(image=harness.BUSYBOX), command=["true"])
        fields = dict(pod_sandbox_id=pod.id, config=config, sandbox_config=pod.config)
        with contextlib.suppress(grpc.RpcError):
            node.v1.CreateContainer(**fields, rpc_timeout=milliseconds / 1000)
        container = node.v1.CreateContainer(**fields).container_id
        same = [item.id for item in node.v1.ListContainers().containers
                if item.metadata.name == config.metadata.name]
        assert same == [container]


def test_vanished_clients_take_nothing_along(node, pod):
    """Connections that are cut in the middle of a command: the command ends, nothing stays open."""
    container = pod.start("sleep", "1000")
    descriptors = lambda: len(os.listdir(f"/proc/{node.process.pid}/fd"))  # noqa: E731
    before = descriptors()
    for _ in range(20):
        client = harness.Client(node.v1_api, f"unix:{node.socket}")
        call = client.services[0].ExecSync.future(node.v1_api.ExecSyncRequest(
            container_id=container, cmd=["sleep", "54321"]), timeout=60)
        client.services[0].Version(node.v1_api.VersionRequest(), timeout=60)
        client.close()
        with contextlib.suppress(grpc.RpcError, grpc.FutureCancelledError):
            call.result()
    wait_for("the commands end", lambda: b"54321" not in pod.exec(container, "ps").stdout)
    wait_for("the descriptors are closed", lambda: descriptors() <= before)


def test_a_client_killed_while_it_asks(node, pod):
    """The connection ends without a word of HTTP/2."""
    container = pod.start("sleep", "1000")
    tool = os.path.join(os.environ["PODMON_CACHE"], "bin/crictl")
    for _ in range(3):
        client = subprocess.Popen(
            [tool, "--runtime-endpoint", f"unix://{node.socket}", "exec", "--sync", container,
             "sleep", "65432"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("it runs", lambda: b"65432" in pod.exec(container, "ps").stdout)
        client.kill()
        client.wait()
        wait_for("it ends", lambda: b"65432" not in pod.exec(container, "ps").stdout)


def test_a_crowd(node, pod, full):
    """Requests of all sorts at once, on one connection and on many: each is answered."""
    container = pod.start("sleep", "1000")
    api, count = node.v1_api, full(200, 1000)
    service = node.v1.services[0]
    asked = [
        lambda s: s.ListPodSandbox.future(api.ListPodSandboxRequest(), timeout=120),
        lambda s: s.ListContainers.future(api.ListContainersRequest(), timeout=120),
        lambda s: s.ContainerStatus.future(
            api.ContainerStatusRequest(container_id=container), timeout=120),
        lambda s: s.Status.future(api.StatusRequest(), timeout=120),
        lambda s: s.ContainerStats.future(
            api.ContainerStatsRequest(container_id=container), timeout=120),
    ]
    calls = [asked[number % len(asked)](service) for number in range(count)]
    clients = [harness.Client(api, f"unix:{node.socket}") for _ in range(count // 4)]
    calls += [asked[number % 2](client.services[0]) for number, client in enumerate(clients)]
    commands = [service.ExecSync.future(api.ExecSyncRequest(
        container_id=container, cmd=["echo", str(number)]), timeout=120) for number in range(50)]
    for call in calls:
        assert call.result() is not None
    for number, call in enumerate(commands):
        assert call.result().stdout == f"{number}\n".encode()
    for client in clients:
        client.close()
    assert node.process.poll() is None


def test_a_stopped_dispatcher_only_delays(node, pod):
    """SIGSTOP: pods and logs go on; what was asked meanwhile is answered afterwards."""
    container = pod.start(*counter())
    os.kill(node.process.pid, signal.SIGSTOP)
    try:
        waiting = [node.v1.services[0].ListPodSandbox.future(
            node.v1_api.ListPodSandboxRequest(), timeout=60) for _ in range(20)]
        log = node.logs / pod.uid
        size = lambda: sum(file.stat().st_size for file in log.iterdir())  # noqa: E731
        before = size()
        wait_for("the log goes on", lambda: size() > before)
        assert not any(call.done() for call in waiting)
    finally:
        os.kill(node.process.pid, signal.SIGCONT)
    for call in waiting:
        assert pod.id in [item.id for item in call.result().items]
    assert finish_counter(pod, container)[0].exit_code == 7


class Activated:
    """Dispatchers that get their socket as systemd gives it: it stays, they come and go."""

    def __init__(self, node):
        self.node = node
        self.path = node.base / "activated.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(128)
        self.processes = []

    def start(self):
        listener = self.listener.fileno()

        # LISTEN_PID has to be the dispatcher's own: a shell says it and becomes the dispatcher.
        self.processes.append(subprocess.Popen(
            ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh",
             harness.BUILD / "dispatcher" / "podmon-dispatcher", "--run", self.node.run, "--root",
             self.node.root, "--config", self.node.config],
            preexec_fn=lambda: os.dup2(listener, 3), pass_fds=[3], stdin=subprocess.DEVNULL,
            stdout=self.node.log, stderr=self.node.log))

    def stop(self, how):
        process = self.processes.pop()
        process.send_signal(how)
        return process.wait(timeout=20)


def test_upgraded_under_load(node, pod, full):
    """The dispatcher ends by SIGTERM and another begins, again and again, on systemd's socket: no
    request of those who ask all the time fails."""
    container = pod.start("sleep", "1000")
    node.stop()
    activated = Activated(node)
    activated.start()
    failures, answered, ended = [], [0], threading.Event()

    def ask():
        # As the kubelet: a call is sent again when its connection was said goodbye to.
        client = harness.Client(node.v1_api, f"unix:{activated.path}")
        while not ended.is_set():
            word = uuid.uuid4().hex
            try:
                assert client.ListPodSandbox(filter={"id": pod.id}).items
                answer = client.ExecSync(container_id=container, cmd=["echo", word], timeout=20)
                assert answer.stdout.decode() == word + "\n"
                answered[0] += 1
            except (grpc.RpcError, AssertionError) as error:
                failures.append(error)
                break
        client.close()

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(full(10, 100)):
            count = answered[0]
            wait_for("answers", lambda: answered[0] > count + 5 or failures)
            assert activated.stop(signal.SIGTERM) == 0
            activated.start()
    finally:
        ended.set()
        for asker in askers:
            asker.join()
        activated.stop(signal.SIGTERM)
        activated.listener.close()
        node.start()
    assert not failures, failures


def test_events_end_with_their_dispatcher_and_begin_again(node, make_pod):
    """A subscriber that reads nothing disturbs nobody; after a kill a new one hears what is new."""
    subscribe = lambda: node.v1.services[0].GetContainerEvents(  # noqa: E731
        node.v1_api.GetEventsRequest(), timeout=60, wait_for_ready=True)
    lazy = subscribe()
    pods = [make_pod() for _ in range(3)]
    for pod in pods:
        assert pod.run("true")[0].exit_code == 0
    node.restart(signal.SIGKILL)
    with pytest.raises(grpc.RpcError):
        for _ in lazy:
            pass
    events = subscribe()
    node.v1.Version()
    container = pods[0].create("true")
    node.v1.StartContainer(container_id=container)
    kinds = []
    for event in events:
        if event.container_id == container:
            kinds.append(event.container_event_type)
            if event.container_event_type == node.v1_api.CONTAINER_STOPPED_EVENT:
                break
    events.cancel()
    assert node.v1_api.CONTAINER_STARTED_EVENT in kinds


def test_a_hung_podmon_costs_its_own_callers_only(node, make_pod):
    """Calls to it end with their deadline; calls to others are answered; then it goes on."""
    hung, well = make_pod(), make_pod()
    one, two = hung.start("sleep", "1000"), well.start("sleep", "1000")
    pid = podmon_pid(hung)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(grpc.RpcError) as error:
            node.v1.ExecSync(container_id=one, cmd=["true"], rpc_timeout=1)
        assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert well.exec(two, "echo", "well").stdout == b"well\n"
        assert hung.status(one).state == node.v1_api.CONTAINER_RUNNING
    finally:
        os.kill(pid, signal.SIGCONT)
    assert hung.exec(one, "echo", "awake").stdout == b"awake\n"
