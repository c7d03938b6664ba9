# SPDX-License-Identifier: Apache-2.0
"""The dispatcher holds nothing: killed at any moment, it answers as before."""

import contextlib
import os
import pathlib
import signal
import threading

import pytest

from harness import Pod, wait_for
from test_containers import processes_with


def everything(node):
    """All that List and Status say, over both APIs."""
    answers = []
    for client in (node.seed, node.v1):
        pods = client.ListPodSandbox()
        containers = client.ListContainers()
        answers += [pods, containers, client.ListImages()]
        for pod in pods.items:
            status = client.PodSandboxStatus(pod_sandbox_id=pod.id)
            if hasattr(status, "timestamp"):
                status.timestamp = 0  # of the answer
            answers.append(status)
        answers += [client.ContainerStatus(container_id=c.id) for c in containers.containers]
    return answers


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_everything_is_as_before(node, make_pod, how):
    running, stopped = make_pod(), make_pod()
    container = running.start("sh", "-c", "while :; do echo tick; sleep 0.01; done")
    running.run("false")
    running.create("true")
    stopped.run("true")
    node.v1.StopPodSandbox(pod_sandbox_id=stopped.id)
    before = everything(node)
    node.restart(how)
    assert everything(node) == before
    count = len(running.records(container))
    wait_for("the log goes on", lambda: len(running.records(container)) > count)
    assert running.exec(container, "echo", "alive").stdout == b"alive\n"


def test_ends_are_recorded_while_no_dispatcher_runs(node, pod):
    container = pod.start("sh", "-c", "while [ ! -e /stop ]; do sleep 0.01; done; echo last; exit 5")
    pod.exec(container, "sh", "-c", "(sleep 0.5; touch /stop) >/dev/null 2>&1 &")
    log = pod.status(container).log_path
    node.stop(signal.SIGKILL)
    wait_for("it has ended", lambda: "last" in open(log).read())
    node.start()
    status, out = pod.finish(container)
    assert (status.exit_code, out) == (5, "last\n")


def test_killed_while_pods_are_made(node):
    """Whatever moment the kill hits: the same request, sent again, gives one pod that works."""
    for delay in (0.0, 0.001, 0.002, 0.004, 0.008):
        api = node.v1_api
        config = api.PodSandboxConfig(
            metadata=api.PodSandboxMetadata(name="k", uid=f"k-{delay}", namespace="test"),
            linux=api.LinuxPodSandboxConfig(security_context=api.LinuxSandboxSecurityContext(
                namespace_options=api.NamespaceOption(network=api.NamespaceMode.Value("NODE")))))

        def run():
            try:
                node.v1.RunPodSandbox(config=config, rpc_timeout=5)
            except Exception:  # the kill is the point
                pass

        thread = threading.Thread(target=run)
        thread.start()
        threading.Event().wait(delay)
        node.process.kill()
        node.process.wait()
        thread.join()
        node.start()
        pod = node.v1.RunPodSandbox(config=config).pod_sandbox_id
        same = [p for p in node.v1.ListPodSandbox().items if p.metadata.uid == f"k-{delay}"]
        assert [p.id for p in same] == [pod]
        node.v1.RemovePodSandbox(pod_sandbox_id=pod)


def test_requests_go_on_after_twenty_kills(node, make_pod):
    pod = make_pod()
    container = pod.start("sleep", "1000")
    for n in range(20):
        node.restart(signal.SIGKILL)
        assert pod.exec(container, "echo", str(n)).stdout == f"{n}\n".encode()


def kill_podmon(pod):
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if arguments[0] == b"podmon" and pod.id.encode() in arguments:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)
            wait_for("it is gone", lambda: not process.exists())


def test_a_pod_whose_podmon_was_killed_is_taken_up_again(node):
    pod = Pod(node)
    container = pod.start("sleep", "45678")
    kill_podmon(pod)
    assert pod.exec(container, "echo", "still there").stdout == b"still there\n"
    pod.remove()
    assert not processes_with("45678")
