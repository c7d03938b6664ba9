# SPDX-License-Identifier: Apache-2.0
"""Lists as streams, resources of pods, and the interface by its older name."""

import grpc

from harness import status_of


def test_streams_have_what_lists_have(node, pod):
    containers = [pod.create("true", labels={"n": str(n)}) for n in range(3)]
    api = node.v1_api
    listed = node.v1.ListContainers().containers
    streamed = [c for answer in node.v1.StreamContainers() for c in answer.containers]
    assert list(listed) == streamed
    assert list(node.v1.ListPodSandbox().items) == [
        p for answer in node.v1.StreamPodSandboxes() for p in answer.pod_sandboxes]
    chosen = [c.id for answer in node.v1.StreamContainers(
        filter=api.ContainerFilter(label_selector={"n": "1"})) for c in answer.containers]
    assert chosen == [containers[1]]
    assert list(node.v1.ListImages().images) == [
        i for answer in node.v1.StreamImages() for i in answer.images]


def test_long_streams_come_in_pieces(node, pod):
    big = {"big": "x" * 300_000}
    containers = [pod.create("true", annotations=big) for _ in range(8)]
    answers = [a for a in node.v1.StreamContainers(
        filter=node.v1_api.ContainerFilter(pod_sandbox_id=pod.id))]
    assert len(answers) > 1
    assert [c.id for a in answers for c in a.containers] == containers


def test_an_empty_stream_ends_well(node):
    api = node.v1_api
    assert list(node.v1.StreamContainers(
        filter=api.ContainerFilter(label_selector={"no": "such"}))) == []


def test_resources_of_a_pod_are_kept(node, pod):
    api = node.v1_api
    node.v1.UpdatePodSandboxResources(
        pod_sandbox_id=pod.id, overhead=api.LinuxContainerResources(cpu_shares=10),
        resources=api.LinuxContainerResources(memory_limit_in_bytes=64 << 20))
    code, text = status_of(node.v1.UpdatePodSandboxResources, pod_sandbox_id=pod.id,
                           resources=api.LinuxContainerResources(oom_score_adj=5000))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "resources.oom_score_adj" in text
    code, _ = status_of(node.v1.UpdatePodSandboxResources, pod_sandbox_id="0" * 64)
    assert code == grpc.StatusCode.NOT_FOUND


def test_the_older_name_of_the_interface(node, pod):
    """Kubelets 1.20 to 1.25 call runtime.v1alpha2."""
    api = node.v1_api
    version = node.v1.channel.unary_unary(
        "/runtime.v1alpha2.RuntimeService/Version",
        request_serializer=api.VersionRequest.SerializeToString,
        response_deserializer=api.VersionResponse.FromString)
    assert version(api.VersionRequest(version="0.1.0"), timeout=20).runtime_name == "podmon"
    listing = node.v1.channel.unary_unary(
        "/runtime.v1alpha2.RuntimeService/ListPodSandbox",
        request_serializer=api.ListPodSandboxRequest.SerializeToString,
        response_deserializer=api.ListPodSandboxResponse.FromString)
    items = listing(api.ListPodSandboxRequest(), timeout=20).items
    assert pod.id in [item.id for item in items]
