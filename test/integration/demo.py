# SPDX-License-Identifier: Apache-2.0
"""The tour that test/demo gives."""

import pathlib
import subprocess
import sys
import tempfile
import textwrap

import harness
from harness import Node, Pod, wait_for


def say(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n# {text}")


def show(text):
    print(textwrap.indent(str(text).rstrip(), "    "))


def show_command(*command):
    show("$ " + " ".join(command))
    show(subprocess.run(command, capture_output=True, text=True, timeout=30).stdout)


def seed_container(node, pod, name, command):
    """The second container, made by a client of 2016."""
    api = node.seed_api
    container = node.seed.CreateContainer(pod_sandbox_id=pod.id, config=api.ContainerConfig(
        metadata=api.ContainerMetadata(name=name, attempt=0), image=api.ImageSpec(image="busybox"),
        command=command, log_path=f"{name}.log")).container_id
    node.seed.StartContainer(container_id=container)
    return container


def tour(node):
    say("The dispatcher speaks two APIs on one socket")
    for name, client in (("runtime (the seed)", node.seed), ("runtime.v1", node.v1)):
        answer = client.Version(version="0.1.0")
        show(f"{name}: {answer.runtime_name} {answer.runtime_version}, "
             f"API {answer.runtime_api_version}")
    for condition in node.v1.Status().status.conditions:
        show(f"{condition.type}: {condition.status} {condition.message}")

    say("An image, made from busybox-static, loaded by podmonctl")
    with tempfile.TemporaryDirectory() as directory:
        show(node.load(harness.busybox_layout(pathlib.Path(directory) / "layout")))

    say("A pod with two containers: one made by a v1 client, one by a seed client")
    pod = Pod(node, labels={"app": "demo"})
    first = pod.start("sh", "-c", "i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.2; done",
                      name="ticker")
    second = seed_container(node, pod, "sleeper", ["sh", "-c", "echo asleep; exec sleep 1000"])
    wait_for("the ticker has ticked", lambda: len(pod.records(first)) >= 3)
    wait_for("the sleeper has spoken", lambda: pod.records(second))
    for name, client, api in (("runtime", node.seed, node.seed_api),
                              ("runtime.v1", node.v1, node.v1_api)):
        for container in client.ListContainers().containers:
            state = api.ContainerState.Name(container.state)
            show(f"{name:11} {container.id[:12]} {container.metadata.name:8} {state}")

    say("Its log, in the format of the CRI")
    show("\n".join(pathlib.Path(pod.status(first).log_path).read_text().splitlines()[:3]))

    say("A command in it (ExecSync)")
    answer = pod.exec(first, "sh", "-c", "ps -o pid,args; hostname")
    show(answer.stdout.decode())

    say("What an administrator sees")
    if node.systemd:
        show_command("systemctl", "--no-pager", "list-units", "pod-*")
        show_command("systemd-cgls", "--no-pager", "/podmonit.slice")
    else:
        show("systemd is not PID 1 here, so the pod has cgroups of its own:")
        show("\n".join(sorted(str(p) for p in harness.cgroup_directories(node.parent.strip("/")))))

    say("The dispatcher is killed (SIGKILL) and started again: nothing changes")
    before = node.v1.ListContainers()
    node.restart()
    show(f"the same list as before: {node.v1.ListContainers() == before}")
    ticks = len(pod.records(first))
    wait_for("the ticker ticks on", lambda: len(pod.records(first)) > ticks)
    show(f"and the ticker goes on: {pod.output(first).splitlines()[-1]}")

    say("Stop and remove")
    node.v1.StopContainer(container_id=first, timeout=2)
    status = pod.status(first)
    show(f"ticker: exit code {status.exit_code}, {status.reason}")
    node.seed.StopPodSandbox(pod_sandbox_id=pod.id)
    node.seed.RemovePodSandbox(pod_sandbox_id=pod.id)
    show(f"pods: {len(node.v1.ListPodSandbox().items)}, "
         f"containers: {len(node.v1.ListContainers().containers)}")


def main():
    node = Node(*harness.load_stubs()).start()
    try:
        tour(node)
    finally:
        node.destroy()
    say("No process, mount, cgroup or file is left.")


main()
