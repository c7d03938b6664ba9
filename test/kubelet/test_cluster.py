# SPDX-License-Identifier: Apache-2.0
"""What a kubelet in a cluster does with pods. The tests share one node and go in order."""

import base64
import gzip
import hashlib
import json
import re

import pytest

from cluster import NAMESPACE, PODS, STRATEGIC
from kubelet import LONG, controllers, harness, hierarchies
from pods import container, sleeper

HERE = f"/api/v1/namespaces/{NAMESPACE}"
wait_for = harness.wait_for


@pytest.fixture(scope="module")
def spare(node):
    """An image that nobody uses. A kubelet lets one go that it saw on an earlier look."""
    node.load(spare_image(node.base / "spare"))
    assert has_image(node, "spare")


def test_the_node_is_ready(spare, cluster, worker):
    """From here on one pod holds the image that all others use."""
    wait_for("the node to be ready", cluster.node_is_ready, seconds=LONG)
    cluster.run("steady", {"containers": [sleeper()]})
    cluster.wait_ready("steady")
    status = cluster.node()["status"]
    assert status["nodeInfo"]["containerRuntimeVersion"].startswith("podmon://")
    assert status["nodeInfo"]["kubeletVersion"].startswith("v1.")
    default = next(h for h in status["runtimeHandlers"] if not h.get("name"))
    assert default["features"] == {"recursiveReadOnlyMounts": True, "userNamespaces": True}


def test_the_cgroup_driver_is_ours(cluster, worker, node):
    """The runtime's answer wins over the configured cgroupfs."""
    driver = "systemd" if node.systemd else "cgroupfs"
    assert re.search(f'cgroup driver.*"?{driver}"?', worker.log(), re.IGNORECASE)
    if node.systemd:
        assert any((base / "kubepods.slice").is_dir() for base in hierarchies())


def test_a_whole_pod(cluster, worker, node):
    """Init container, two containers, all kinds of probes and hooks, limits, every kind of volume."""
    trace = node.base / "trace"
    trace.mkdir()
    cluster.create(f"{HERE}/configmaps", "ConfigMap", "settings", data={"colour": "green"})
    cluster.create(f"{HERE}/secrets", "Secret", "keys",
                   data={"key": base64.b64encode(b"open sesame").decode()})
    mounts = [{"name": "web", "mountPath": "/web"}, {"name": "trace", "mountPath": "/trace"}]
    about = {"name": "about", "projected": {"sources": [
        {"configMap": {"name": "settings"}}, {"secret": {"name": "keys"}},
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "memory", "resourceFieldRef": {"containerName": "server",
                                                    "resource": "limits.memory"}}]}}]}}
    cluster.run("whole", {
        "volumes": [{"name": "web", "emptyDir": {}}, about,
                    {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                    {"name": "trace", "hostPath": {"path": str(trace)}}],
        "initContainers": [container(
            "first", "echo hello >/web/index.html; echo initialised", volumeMounts=mounts)],
        "containers": [
            container(
                "server", "trap 'echo term >>/trace/order; exit 0' TERM; echo serving; "
                "httpd -f -p 8080 -h /web & while :; do sleep 0.1; done",
                volumeMounts=[*mounts, {"name": "about", "mountPath": "/about"},
                              {"name": "memory", "mountPath": "/memory"}],
                env=[{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                     {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {
                         "name": "settings", "key": "colour"}}}],
                resources={"limits": {"memory": "64Mi", "cpu": "500m"}},
                startupProbe={"exec": {"command": ["test", "-e", "/trace/started"]},
                              "periodSeconds": 1, "failureThreshold": 60},
                readinessProbe={"httpGet": {"path": "/index.html", "port": 8080},
                                "periodSeconds": 1},
                livenessProbe={"exec": {"command": ["true"]}, "periodSeconds": 1},
                lifecycle={
                    "postStart": {"exec": {"command": ["sh", "-c", "touch /trace/started"]}},
                    "preStop": {"exec": {"command": ["sh", "-c", "echo stop >>/trace/order"]}}}),
            container("other", "exec httpd -f -p 9090",
                      readinessProbe={"tcpSocket": {"port": 9090}, "periodSeconds": 1}),
        ]})
    cluster.wait_ready("whole")
    first = cluster.container("whole", "first")["state"]["terminated"]
    assert (first["exitCode"], first["reason"]) == (0, "Completed")
    status = cluster.pod("whole")["status"]
    assert status["podIP"].startswith("10.94.")
    server = cluster.container("whole", "server")
    assert server["restartCount"] == 0 and server["started"]
    assert server["resources"]["limits"] == {"cpu": "500m", "memory": "64Mi"}
    assert cluster.kubectl("logs", "whole", "-c", "server").stdout == "serving\n"
    assert cluster.kubectl("logs", "whole", "-c", "first").stdout == "initialised\n"

    def inside(script):
        return cluster.kubectl("exec", "whole", "-c", "server", "--", "sh", "-c", script).stdout

    assert inside("cat /about/colour /about/key") == "greenopen sesame"
    assert inside("cat /about/memory /about/labels") == f'{64 << 20}app="whole"'
    assert inside("echo $COLOUR $IP") == f"green {status['podIP']}\n"
    assert inside("cat /var/run/secrets/kubernetes.io/serviceaccount/namespace") == NAMESPACE
    assert inside("df -m /memory | awk 'NR == 2 { print $2 }'") == "1\n"
    review = cluster.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": inside("cat /about/token")}})
    assert review["status"]["user"]["username"] == f"system:serviceaccount:{NAMESPACE}:default"

    cluster.request("PATCH", f"{HERE}/configmaps/settings", {"data": {"colour": "blue"}}, STRATEGIC)
    wait_for("the new colour", lambda: inside("cat /about/colour") == "blue", seconds=LONG)


def test_figures(cluster, worker):
    """What eviction decides by: of the node, its file systems, pods and containers."""
    def complete():
        summary = cluster.summary()
        pod = next((p for p in summary.get("pods", []) if p["podRef"]["name"] == "whole"), {})
        containers = {c["name"]: c for c in pod.get("containers", [])}
        server = containers.get("server", {})
        return pod.get("memory", {}).get("workingSetBytes") and \
            pod.get("ephemeral-storage", {}).get("usedBytes") and "other" in containers and \
            pod.get("volume") and \
            server.get("memory", {}).get("workingSetBytes") and \
            server.get("cpu", {}).get("usageCoreNanoSeconds") and \
            server.get("rootfs", {}).get("usedBytes") is not None and \
            server.get("logs", {}).get("usedBytes") and (summary["node"], pod, server)

    machine, pod, server = wait_for("all figures", complete, seconds=LONG)
    assert server["memory"]["workingSetBytes"] < 64 << 20
    assert machine["memory"]["workingSetBytes"] > 0 and machine["cpu"]["usageCoreNanoSeconds"] > 0
    for place in (machine["fs"], machine["runtime"]["imageFs"], machine["runtime"]["containerFs"]):
        assert 0 < place["availableBytes"] < place["capacityBytes"] and place["inodesFree"] > 0
    assert machine["runtime"]["imageFs"]["usedBytes"] > 1 << 20  # busybox
    assert {v["name"] for v in pod["volume"]} >= {"web", "about", "memory"}


def test_a_full_writable_layer_evicts(cluster, worker):
    """By our figures of it: the kubelet cannot see into it."""
    cluster.run("big", {"restartPolicy": "Never", "containers": [container(
        "main", "dd if=/dev/zero of=/big bs=1M count=20 2>/dev/null; sleep 1000",
        resources={"limits": {"ephemeral-storage": "10Mi"}})]})
    status = wait_for("its eviction", lambda: (
        s := cluster.pod("big")["status"]).get("reason") == "Evicted" and s, seconds=LONG)
    assert "ephemeral local storage usage exceeds" in status["message"]
    cluster.delete("big")


def test_a_sidecar_lasts_as_long_as_the_others(cluster, worker):
    cluster.run("sidecar", {
        "restartPolicy": "Never",
        "volumes": [{"name": "shared", "emptyDir": {}}],
        "initContainers": [container(
            "side", "trap 'echo bye; exit 0' TERM; touch /shared/up; echo up; "
            "while :; do sleep 0.1; done", restartPolicy="Always",
            volumeMounts=[{"name": "shared", "mountPath": "/shared"}],
            startupProbe={"exec": {"command": ["test", "-e", "/shared/up"]}, "periodSeconds": 1})],
        "containers": [container(
            "main", "ls /shared; while ! [ -e /shared/end ]; do sleep 0.1; done",
            volumeMounts=[{"name": "shared", "mountPath": "/shared"}])]})
    cluster.wait_ready("sidecar")
    assert "running" in cluster.container("sidecar", "side")["state"]
    assert cluster.kubectl("logs", "sidecar", "-c", "main").stdout == "up\n"
    cluster.kubectl("exec", "sidecar", "-c", "main", "--", "touch", "/shared/end")
    wait_for("its end", lambda: cluster.pod("sidecar")["status"]["phase"] == "Succeeded",
             seconds=LONG)
    assert cluster.kubectl("logs", "sidecar", "-c", "side").stdout == "up\nbye\n"
    cluster.delete("sidecar")


def test_a_crashing_container_is_restarted_with_back_off(cluster, worker):
    cluster.run("crash", {"containers": [container("main", "echo once; exit 3")]})
    status = wait_for("two restarts", lambda: (
        c := cluster.container("crash", "main")).get("restartCount", 0) >= 2 and c, seconds=LONG)
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["lastState"]["terminated"]["reason"] == "Error"
    wait_for("back-off", lambda: cluster.container("crash", "main").get("state", {}).get(
        "waiting", {}).get("reason") == "CrashLoopBackOff", seconds=LONG)
    assert cluster.kubectl("logs", "crash", "--previous").stdout == "once\n"
    cluster.delete("crash")


def limits_in_force(cluster, name):
    """(bytes of memory, CPUs in thousands), as the container's cgroup has them."""
    script = ("cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes; "
              "cat cpu.max cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us")
    words = cluster.kubectl("exec", name, "--", "sh", "-c", script + " 2>/dev/null; true"
                            ).stdout.split()
    return (int(words[0]), int(words[1]) * 1000 // int(words[2])) if len(words) == 3 else words


def resize(cluster, name, cpu, memory):
    amount = {"cpu": cpu, "memory": memory}
    cluster.request("PATCH", f"{PODS}/{name}/resize", {"spec": {"containers": [
        {"name": "main", "resources": {"limits": amount, "requests": amount}}]}}, STRATEGIC)
    wait_for(f"{name} to have {amount}", lambda: cluster.container(name, "main").get(
        "resources", {}).get("limits") == amount and not any(
        c["type"].startswith("PodResize") for c in cluster.pod(name)["status"]["conditions"]),
        seconds=LONG)


def test_resizing_in_place(cluster, worker, node):
    amount = {"cpu": "100m", "memory": "64Mi"}
    cluster.run("elastic", {"containers": [sleeper(
        resources={"limits": amount, "requests": amount})]})
    cluster.wait_ready("elastic")
    before = cluster.container("elastic", "main")
    held = "memory" in controllers()
    assert not held or limits_in_force(cluster, "elastic") == (64 << 20, 100)
    for cpu, memory, figures in (("200m", "128Mi", (128 << 20, 200)),
                                 ("50m", "32Mi", (32 << 20, 50)),
                                 ("50m", "48Mi", (48 << 20, 50)),
                                 ("80m", "48Mi", (48 << 20, 80))):
        resize(cluster, "elastic", cpu, memory)
        assert not held or limits_in_force(cluster, "elastic") == figures
    after = cluster.container("elastic", "main")
    assert after["containerID"] == before["containerID"] and after["restartCount"] == 0
    assert after["state"] == before["state"]
    cluster.delete("elastic")


def test_logs_are_rotated_without_losing_a_line(cluster, worker):
    count = 12000
    cluster.run("talker", {"containers": [container(
        "main", f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo line $i; "
        "[ $((i % 1000)) -ne 0 ] || sleep 1; done; sleep 1000")]})
    directory = wait_for("its log", lambda: next(
        (worker.base / "logs").glob(f"{NAMESPACE}_talker_*/main"), None), seconds=LONG)
    text = wait_for("the last line", lambda: (
        text := whole_log(directory)).endswith(f" line {count}\n") and text, seconds=LONG)
    assert len(list(directory.iterdir())) >= 3
    assert re.findall(r" stdout F line (\d+)\n", text) == [str(n + 1) for n in range(count)]
    cluster.delete("talker")


def whole_log(directory):
    """All of its files, oldest first; nothing while a rotation goes on."""
    names = sorted(path.name for path in directory.iterdir())
    if "0.log" not in names or any(name.endswith(".tmp") for name in names):
        return ""
    names.append(names.pop(names.index("0.log")))
    try:
        data = [(directory / name).read_bytes() for name in names]
    except FileNotFoundError:
        return ""
    return b"".join(gzip.decompress(part) if name.endswith(".gz") else part
                    for name, part in zip(names, data)).decode()


def test_a_user_namespace(cluster, worker):
    """The pod's root is nobody of the machine's, and owns its volumes all the same."""
    cluster.run("mapped", {"hostUsers": False, "volumes": [{"name": "data", "emptyDir": {}}],
                           "containers": [sleeper(volumeMounts=[
                               {"name": "data", "mountPath": "/data"}])]})
    cluster.wait_ready("mapped")
    words = cluster.kubectl("exec", "mapped", "--", "cat", "/proc/self/uid_map").stdout.split()
    assert words[0] == "0" and int(words[1]) >= 65536 and words[2] == "65536"
    told = cluster.kubectl("exec", "mapped", "--", "sh", "-c",
                           "touch /data/file && stat -c %u:%g /data/file /etc/hosts").stdout
    assert told == "0:0\n0:0\n"
    cluster.delete("mapped")


def test_an_unknown_runtime_handler_is_refused(cluster, worker):
    cluster.create("/apis/node.k8s.io/v1/runtimeclasses", "RuntimeClass", "exotic",
                   version="node.k8s.io/v1", handler="exotic")
    cluster.run("exotic", {"runtimeClassName": "exotic", "containers": [sleeper()]})
    messages = wait_for("the refusal", lambda: [
        message for reason, message in cluster.events("exotic")
        if reason == "FailedCreatePodSandBox"], seconds=LONG)
    assert "exotic" in messages[0] and "handler" in messages[0]
    cluster.delete("exotic")
    cluster.wait_gone("exotic")


def test_a_pod_is_deleted_gracefully(cluster, worker, node):
    """The hook before the signal, and the signal before the end of the grace period."""
    cluster.delete("whole")
    cluster.wait_gone("whole")
    assert (node.base / "trace/order").read_text() == "stop\nterm\n"


def test_unused_images_go(spare, worker, node):
    """The kubelet looks every five minutes; its high mark is below what any disk has in use."""
    wait_for("the unused image to go", lambda: not has_image(node, "spare"), seconds=330)
    assert has_image(node, "busybox")


def test_a_new_kubelet_finds_its_pods(cluster, worker):
    before = cluster.container("steady", "main")
    worker.restart()
    wait_for("the node to be ready", cluster.node_is_ready, seconds=LONG)
    cluster.wait_ready("steady")
    cluster.run("after", {"containers": [sleeper()]})
    cluster.wait_ready("after")
    after = cluster.container("steady", "main")
    assert (after["containerID"], after["state"]) == (before["containerID"], before["state"])
    cluster.delete("after")
    cluster.delete("steady")


def has_image(node, name):
    return any(f"/{name}:" in tag for image in node.v1.ListImages().images
               for tag in image.repo_tags)


def spare_image(directory):
    """Busybox under another name and with another configuration, so that it is another image."""
    harness.busybox_layout(directory)
    blobs = directory / "blobs/sha256"
    index = json.loads((directory / "index.json").read_text())
    entry = index["manifests"][0]
    manifest = json.loads((blobs / entry["digest"][7:]).read_text())
    configuration = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())
    configuration["config"]["Env"].append("SPARE=yes")
    manifest["config"].update(put_blob(blobs, configuration))
    entry.update(put_blob(blobs, manifest))
    entry["annotations"]["org.opencontainers.image.ref.name"] = "docker.io/library/spare:latest"
    (directory / "index.json").write_text(json.dumps(index))
    return directory


def put_blob(blobs, value):
    data = json.dumps(value).encode()
    name = hashlib.sha256(data).hexdigest()
    (blobs / name).write_bytes(data)
    return {"digest": f"sha256:{name}", "size": len(data)}


def test_everything_goes_in_the_end(cluster, worker, node):
    wait_for("the end of all pods", lambda: not cluster.request("GET", PODS)["items"],
             seconds=LONG)
    ready = node.v1_api.PodSandboxStateValue(state=node.v1_api.SANDBOX_READY)
    wait_for("no sandbox to be ready", lambda: not node.v1.ListPodSandbox(
        filter=node.v1_api.PodSandboxFilter(state=ready)).items)


def test_no_error_of_ours_in_its_log(cluster, worker):
    expected = ("exotic",  # refused on purpose
                "code = NotFound desc = there is no container",  # which it has just removed
                "imagefs label",  # which only CRI-O's socket has for it
                "container runtime status check may not have completed yet")  # its first second
    assert not [line for line in worker.errors() if not any(word in line for word in expected)]
