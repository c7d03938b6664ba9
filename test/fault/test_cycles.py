# SPDX-License-Identifier: Apache-2.0
"""Pods that come and go, and many that stay: nothing grows, nothing is left."""

import json
import os
import pathlib
import signal
import subprocess

from harness import Pod, podmon_processes, wait_for
from support import counter, finish_counter

BRIDGE = {"cniVersion": "1.0.0", "name": "cycles", "plugins": [
    {"type": "bridge", "bridge": "cni-test", "isGateway": True, "ipMasq": False,
     "ipam": {"type": "host-local", "dataDir": "DATA", "ranges": [[{"subnet": "10.98.0.0/24"}]]}}]}


def census(node):
    """How many there are of what a pod is made of. The whole machine's mounts, links and units are
    the suite's audit's."""
    base = str(node.base)
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    links = json.loads(subprocess.run(["ip", "-j", "link"], check=True, capture_output=True).stdout)
    return {
        "descriptors": len(os.listdir(f"/proc/{node.process.pid}/fd")),
        "podmons": len(podmon_processes(node.run)),
        "mounts": len([line for line in mounts if base in line]),
        "links": len(links),
        "leases": len(list((node.base / "ipam").glob("*/*.*.*.*"))),
        "files": len(list((node.run / "pods").rglob("*"))) + len(list((node.root / "pods").rglob("*"))),
        "pods": len(node.v1.ListPodSandbox().items),
    }


def private_memory(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines()
               if line.startswith(("Private_Clean", "Private_Dirty")))


def cycle(node, number):
    pod = Pod(node, network="POD" if number % 10 == 0 else "NODE")
    assert pod.run("echo", str(number))[1] == f"{number}\n"
    pod.remove()


def test_cycles_leave_nothing(node, full):
    """Every tenth has a network of its own."""
    path = node.cni / "10-cycles.conflist"
    path.write_text(json.dumps(BRIDGE).replace("DATA", str(node.base / "ipam")))
    for number in range(0, 30, 5):  # what is made once and kept
        cycle(node, number)
    before, memory = census(node), private_memory(node.process.pid)
    for number in range(full(40, 10000)):
        cycle(node, number)
    wait_for("all is as before", lambda: census(node) == before)
    print(f"{before}, private memory of the dispatcher {memory} -> "
          f"{private_memory(node.process.pid)} KiB")
    path.unlink()
    subprocess.run(["ip", "link", "delete", "cni-test"], check=False, capture_output=True)


def test_many_pods_stay(node, make_pod, full):
    """All run, through the death of the dispatcher, too."""
    pods = [make_pod() for _ in range(full(10, 500))]
    containers = [pod.start("sleep", "1000") for pod in pods]
    last = pods[-1].start(*counter())
    node.restart(signal.SIGKILL)
    assert len(node.v1.ListPodSandbox().items) == len(pods)
    running = node.v1_api.CONTAINER_RUNNING
    assert sum(item.state == running for item in node.v1.ListContainers().containers) == (
        len(pods) + 1)
    for pod, container in list(zip(pods, containers))[::10]:
        assert pod.exec(container, "echo", "there").stdout == b"there\n"
    assert finish_counter(pods[-1], last)[0].exit_code == 7
