# SPDX-License-Identifier: Apache-2.0
"""What clients get who ask verbosely: the process, and the plan that was carried out."""

import json
import os


def info_of(answer):
    return json.loads(answer.info["info"])


def test_a_container_says_what_was_done_for_it(node, pod):
    api = node.v1_api
    container = pod.start(
        "sleep", "1000", envs=[api.KeyValue(key="SECRET", value=b"swordfish")],
        mounts=[api.Mount(host_path=str(node.logs), container_path="/logs", readonly=True)],
        linux=api.LinuxContainerConfig(
            resources=api.LinuxContainerResources(oom_score_adj=123),
            security_context=api.LinuxContainerSecurityContext(no_new_privs=True)))
    answer = node.v1.ContainerStatus(container_id=container, verbose=True)
    info = info_of(answer)
    assert os.readlink(f"/proc/{info['pid']}/exe") == "/bin/sleep"
    plan = info["plan"]
    assert plan["argv"] == ["sleep", "1000"]
    mount = next(m for m in plan["mounts"] if m["destination"] == "/logs")
    assert mount["source"] == str(node.logs) and mount["read_only"] is True
    assert plan["resources"]["oom_score_adj"] == "123"
    assert plan["security"]["no_new_privileges"] is True
    assert "swordfish" not in str(answer)
    assert not node.v1.ContainerStatus(container_id=container).info


def test_a_pod_says_what_was_done_for_it(node, pod):
    container = pod.create("true")
    answer = node.v1.PodSandboxStatus(pod_sandbox_id=pod.id, verbose=True)
    info = info_of(answer)
    assert os.path.basename(os.readlink(f"/proc/{info['pid']}/exe")) == "podmon"
    assert info["plan"]["namespaces"]["network"] == "NAMESPACE_NODE"
    assert info["plan"]["name"]["uid"] == pod.uid
    assert [status.id for status in answer.containers_statuses] == [container]
    assert answer.timestamp > 0
