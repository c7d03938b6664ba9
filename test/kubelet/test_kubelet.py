# SPDX-License-Identifier: Apache-2.0
"""What a kubelet does with pods, done with ours. The tests share one kubelet and go in order.

Without an API server a kubelet waits 10 s for it in each step of a pod: hence the long waits."""

import json
import time

import pytest

from kubelet import LONG, harness
from pods import IMAGE, container

wait_for = harness.wait_for


def test_a_whole_pod(kubelet, node):
    """Init container, two containers, all kinds of probes and hooks, volumes, limits, logs."""
    trace = node.base / "trace"
    trace.mkdir()
    mounts = [{"name": "web", "mountPath": "/web"}, {"name": "trace", "mountPath": "/trace"}]
    kubelet.run("whole", {
        "volumes": [
            {"name": "web", "emptyDir": {}}, {"name": "trace", "hostPath": {"path": str(trace)}},
            {"name": "about", "downwardAPI": {"items": [
                {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}],
        "initContainers": [container(
            "first", "echo hello >/web/index.html; echo initialised", volumeMounts=mounts)],
        "containers": [
            container(
                "server", "trap 'echo term >>/trace/order; exit 0' TERM; echo serving; "
                "httpd -f -p 8080 -h /web & cat /about/labels; echo; while :; do sleep 0.1; done",
                volumeMounts=[*mounts, {"name": "about", "mountPath": "/about"}],
                env=[{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                resources={"limits": {"memory": "64Mi", "cpu": "500m"}},
                startupProbe={"exec": {"command": ["test", "-e", "/trace/started"]},
                              "periodSeconds": 1, "failureThreshold": 30, "timeoutSeconds": 10},
                readinessProbe={"httpGet": {"path": "/index.html", "port": 8080},
                                "periodSeconds": 1, "timeoutSeconds": 10},
                livenessProbe={"exec": {"command": ["true"]}, "periodSeconds": 1,
                               "timeoutSeconds": 10},
                lifecycle={
                    "postStart": {"exec": {"command": ["sh", "-c", "touch /trace/started"]}},
                    "preStop": {"exec": {"command": ["sh", "-c", "echo stop >>/trace/order"]}}}),
            container("other", "exec httpd -f -p 9090",
                      readinessProbe={"tcpSocket": {"port": 9090}, "periodSeconds": 1}),
        ]})
    wait_for("the pod to be ready", lambda: kubelet.is_ready("whole"), seconds=LONG)
    first = kubelet.container("whole", "first")
    assert first["state"]["terminated"]["exitCode"] == 0
    assert first["state"]["terminated"]["reason"] == "Completed"
    assert kubelet.pod("whole")["status"]["podIP"].startswith("10.94.")
    assert kubelet.logs("whole", "first") == "initialised\n"
    wait_for("the log", lambda: 'app="whole"' in kubelet.logs("whole", "server"))
    assert kubelet.logs("whole", "server").startswith("serving\n")
    server = kubelet.container("whole", "server")
    assert server["restartCount"] == 0 and server["started"]
    assert server["resources"]["limits"]["memory"] == "64Mi"


def test_figures(kubelet):
    """/stats/summary has what our ListContainerStats says."""
    if "cannot find filesystem info for device" in kubelet.log():
        pytest.skip("the kubelet does not know the file system of this machine")

    def summary():
        pods = json.loads(kubelet.get("/stats/summary")).get("pods") or []
        found = next((p for p in pods if p["podRef"]["name"] == "whole-node"), None)
        containers = {c["name"]: c for c in (found or {}).get("containers", [])}
        server = containers.get("server", {})
        return server.get("memory", {}).get("workingSetBytes") and \
            server.get("rootfs", {}).get("usedBytes") is not None and \
            server.get("cpu", {}).get("usageCoreNanoSeconds") and server

    server = wait_for("figures of a container", summary, seconds=LONG)
    assert server["memory"]["workingSetBytes"] < 64 << 20


def test_a_crashing_container_is_restarted(kubelet):
    kubelet.run("crash", {"containers": [container("main", "echo once; exit 3")]})
    try:
        check_restarts(kubelet)
    finally:
        kubelet.delete("crash")


def check_restarts(kubelet):
    def restarted():
        status = kubelet.container("crash", "main")
        return status.get("restartCount", 0) >= 2 and status

    status = wait_for("two restarts", restarted, seconds=LONG)
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["lastState"]["terminated"]["reason"] == "Error"
    wait_for("back-off", lambda: kubelet.container("crash", "main").get("state", {}).get(
        "waiting", {}).get("reason") == "CrashLoopBackOff", seconds=LONG)
    assert kubelet.logs("crash", "main", previous="true") == "once\n"


def test_a_failing_liveness_probe_restarts(kubelet):
    kubelet.run("ill", {"containers": [container(
        "main", "touch /healthy; sleep 3; rm /healthy; sleep 1000",
        livenessProbe={"exec": {"command": ["test", "-e", "/healthy"]}, "periodSeconds": 1,
                       "failureThreshold": 1, "initialDelaySeconds": 1},
        terminationMessagePath="/dev/termination-log")]})
    status = wait_for("a restart", lambda: (
        c := kubelet.container("ill", "main")).get("restartCount", 0) >= 1 and c, seconds=LONG)
    assert status["lastState"]["terminated"]["exitCode"] == 137
    kubelet.delete("ill")


def test_out_of_memory_is_told(kubelet):
    kubelet.run("greedy", {"restartPolicy": "Never", "containers": [container(
        "main", "exec tail /dev/zero", resources={"limits": {"memory": "20Mi"}})]})
    state = wait_for("its end", lambda: kubelet.container("greedy", "main").get("state", {}).get(
        "terminated"), seconds=LONG)
    assert (state["reason"], state["exitCode"]) == ("OOMKilled", 137)
    kubelet.delete("greedy")


def test_termination_messages(kubelet):
    kubelet.run("last-words", {"restartPolicy": "Never", "containers": [container(
        "main", "echo farewell >/dev/termination-log; exit 7")]})
    state = wait_for("its end", lambda: kubelet.container("last-words", "main").get(
        "state", {}).get("terminated"), seconds=LONG)
    assert (state["message"], state["exitCode"]) == ("farewell\n", 7)
    kubelet.delete("last-words")


def test_a_bad_command_is_a_start_error(kubelet):
    kubelet.run("bad", {"restartPolicy": "Never", "containers": [{
        "name": "main", "image": IMAGE, "imagePullPolicy": "Never", "command": ["/no/such"]}]})
    state = wait_for("its end", lambda: kubelet.container("bad", "main").get("state", {}).get(
        "terminated"), seconds=LONG)
    assert (state["reason"], state["exitCode"]) == ("StartError", 128)
    kubelet.delete("bad")


def test_the_hosts_namespaces(kubelet):
    kubelet.run("open", {"hostNetwork": True, "hostPID": True, "hostIPC": True, "containers": [
        container("main", "ip address show uplink; ls -d /proc/1/task; sleep 1000",
                  securityContext={"privileged": True})]})
    wait_for("its log", lambda: kubelet.is_ready("open") and
             "/proc/1/task" in kubelet.logs("open", "main"), seconds=LONG)
    assert "10.95.0.2" in kubelet.logs("open", "main")
    kubelet.delete("open")


def test_logs_are_rotated(kubelet, node):
    kubelet.run("talker", {"containers": [container(
        "main", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done; sleep 1000")]})
    directory = wait_for("its log", lambda: next(
        (kubelet.base / "logs").glob("test_talker-node_*/main"), None), seconds=LONG)
    wait_for("a second file", lambda: len(list(directory.iterdir())) >= 2, seconds=LONG)
    kubelet.delete("talker")


def test_a_pod_is_deleted_gracefully(kubelet, node):
    """The hook before the signal, and the signal before the end of the grace period."""
    kubelet.delete("whole")
    order = node.base / "trace" / "order"
    wait_for("hook and signal", lambda: order.exists() and order.read_text() == "stop\nterm\n",
             seconds=LONG)
    wait_for("the end of the pod", lambda: not kubelet.pod("whole"), seconds=LONG)


def test_a_restarted_dispatcher_changes_nothing(kubelet, node):
    kubelet.run("steady", {"containers": [container("main", "sleep 1000")]})
    wait_for("the pod to be ready", lambda: kubelet.is_ready("steady"), seconds=LONG)
    before = kubelet.container("steady", "main")["containerID"]
    node.restart()
    end = time.monotonic() + 8
    while time.monotonic() < end:
        assert kubelet.container("steady", "main").get("restartCount", 0) == 0
        time.sleep(1)
    assert kubelet.container("steady", "main")["containerID"] == before
    kubelet.delete("steady")


def test_everything_goes_in_the_end(kubelet, node):
    """The kubelet removes what it has stopped; nothing is left in its pods' cgroups."""
    wait_for("the end of all pods", lambda: not json.loads(kubelet.get("/pods")).get("items"),
             seconds=LONG)
    ready = node.v1_api.PodSandboxStateValue(state=node.v1_api.SANDBOX_READY)
    wait_for("no sandbox to be ready", lambda: not node.v1.ListPodSandbox(
        filter=node.v1_api.PodSandboxFilter(state=ready)).items)


def test_no_error_of_ours_in_its_log(kubelet):
    expected = ("the client has gone", "Unavailable", "EOF", "connection refused",  # our restart
                "/no/such", "context canceled",
                "code = NotFound desc = there is no container",  # which it has just removed
                "container runtime status check may not have completed yet",  # its first second
                "filesystem info")  # of machines that it does not know
    assert not [line for line in kubelet.errors() if not any(word in line for word in expected)]
