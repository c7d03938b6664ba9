# SPDX-License-Identifier: Apache-2.0
"""GetContainerEvents: every change once, in order, with the pod as it is."""

import queue
import threading

import grpc

from harness import Client, wait_for


class Events:
    """What a subscriber has received so far."""

    def __init__(self, node):
        self.api = node.v1_api
        self.client = Client(node.v1_api, f"unix:{node.socket}")
        stub = self.client.services[0]
        self.stream = stub.GetContainerEvents(self.api.GetEventsRequest(), wait_for_ready=True)
        self.stream.initial_metadata()  # from here on nothing is missed
        self.received = queue.Queue()
        self.end = None
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            for event in self.stream:
                self.received.put(event)
        except grpc.RpcError as error:
            self.end = error.code()

    def next(self):
        return self.received.get(timeout=20)

    def named(self, event):
        return (event.container_id, self.api.ContainerEventType.Name(event.container_event_type))

    def take(self, count):
        return [self.named(self.next()) for _ in range(count)]

    def close(self):
        self.stream.cancel()
        self.thread.join(timeout=10)
        self.client.close()


def short(*events):
    return [(i, f"CONTAINER_{what}_EVENT") for i, what in events]


def test_a_whole_life(node, make_pod):
    events = Events(node)
    pod = make_pod()
    assert events.take(2) == short((pod.id, "CREATED"), (pod.id, "STARTED"))
    container = pod.create("true")
    created = events.next()
    assert events.named(created) == short((container, "CREATED"))[0]
    assert created.pod_sandbox_status.id == pod.id
    assert [status.id for status in created.containers_statuses] == [container]
    node.v1.StartContainer(container_id=container)
    assert events.take(1) == short((container, "STARTED"))
    stopped = events.next()
    assert events.named(stopped) == short((container, "STOPPED"))[0]
    assert stopped.created_at == pod.status(container).finished_at
    assert stopped.containers_statuses[0].state == node.v1_api.CONTAINER_EXITED
    assert stopped.containers_statuses[0].reason == "Completed"
    other = pod.start("sleep", "1000")
    assert events.take(2) == short((other, "CREATED"), (other, "STARTED"))
    node.v1.RemoveContainer(container_id=container)
    assert events.take(1) == short((container, "DELETED"))
    pod.remove()
    last = events.take(4)
    assert set(last[:2]) == set(short((other, "STOPPED"), (pod.id, "STOPPED")))
    assert last[2:] == short((other, "DELETED"), (pod.id, "DELETED"))
    assert events.received.empty()
    events.close()


def test_other_calls_take_no_events_away(node, pod):
    """Lists look at the pods too; what they find out is still told, and once."""
    events = Events(node)
    containers = []
    for _ in range(10):
        containers.append(pod.start("true"))
        node.v1.ListContainers()
        node.v1.ListPodSandbox()
    for container in containers:
        pod.wait(container)
    seen = events.take(30)
    for container in containers:
        assert [e for e in seen if e[0] == container] == short(
            (container, "CREATED"), (container, "STARTED"), (container, "STOPPED"))
    assert events.received.empty()
    events.close()


def test_two_subscribers_see_the_same(node, pod):
    first, second = Events(node), Events(node)
    container = pod.start("true")
    pod.wait(container)
    assert first.take(3) == second.take(3)
    first.close()
    other = pod.create("true")
    assert second.take(1) == short((other, "CREATED"))
    second.close()


def test_a_restarted_dispatcher_has_it_all_in_its_lists(node, pod):
    events = Events(node)
    running = pod.start("sleep", "1000")
    events.take(2)
    node.restart()
    wait_for("the end of the stream", lambda: events.end)
    again = Events(node)
    assert pod.status(running).state == node.v1_api.CONTAINER_RUNNING
    node.v1.StopContainer(container_id=running, timeout=0)
    assert again.take(1) == short((running, "STOPPED"))
    assert again.received.empty()
    events.close()
    again.close()


def test_a_slow_subscriber_is_dropped(node, pod):
    """One that takes nothing is told to list again; the others go on."""
    slow = Client(node.v1_api, f"unix:{node.socket}")
    stream = slow.services[0].GetContainerEvents(node.v1_api.GetEventsRequest())
    stream.initial_metadata()
    quick = Events(node)
    big = {"big": "x" * 500_000}
    created = [pod.create("true", annotations=big) for _ in range(12)]
    assert quick.take(12) == short(*[(c, "CREATED") for c in created])
    quick.close()
    received = 0
    try:
        for _ in stream:
            received += 1
        raise AssertionError("the stream ended well")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
    assert received < 12
    slow.close()
