# SPDX-License-Identifier: Apache-2.0
"""What many pods leave behind: nothing, in the dispatcher neither."""

import os

from harness import Pod, status_of, wait_for


def descriptors(node):
    return len(os.listdir(f"/proc/{node.process.pid}/fd"))


def cycle(node):
    pod = Pod(node)
    container = pod.start("sleep", "1000")
    pod.exec(container, "true")
    status_of(pod.exec, container, "/no/such/program")
    status_of(pod.create, "true", image="no/such:image")
    node.v1.StopContainer(container_id=container, timeout=0)
    pod.remove()


def test_descriptors_of_the_dispatcher(node):
    cycle(node)
    before = descriptors(node)
    for _ in range(20):
        cycle(node)
    wait_for("the last podmon is reaped", lambda: descriptors(node) <= before)


def test_nothing_of_a_pod_is_left(node):
    before = node.leftovers()
    cycle(node)
    wait_for("its podmon has ended", lambda: set(node.leftovers()) <= set(before))


def test_no_zombies(node):
    cycle(node)

    def children():
        with open(f"/proc/{node.process.pid}/task/{node.process.pid}/children") as file:
            return [pid for pid in file.read().split()
                    if open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z"]

    wait_for("every ended child is reaped", lambda: not children())
