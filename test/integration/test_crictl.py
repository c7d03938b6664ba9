# SPDX-License-Identifier: Apache-2.0
"""crictl, as a user types it, against pods that seed clients see as well."""

import contextlib
import json
import os
import pathlib
import select
import subprocess
import sys
import time
import urllib.request

import pytest

from harness import BUSYBOX, busybox_layout, wait_for
from test_limits import controllers

needs_controllers = pytest.mark.skipif(
    not {"memory", "cpu", "pids"} <= set(controllers()),
    reason="the cgroups of this node have no memory, cpu and pids controllers")

TOOL = pathlib.Path(os.environ.get("PODMON_CACHE", "/var/cache/podmon-test")) / "bin/crictl"
pytestmark = pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL} is not built: test/cri/build-tools")


def test_a_whole_day(node, tmp_path):
    sandbox = tmp_path / "sandbox.json"
    container = tmp_path / "container.json"
    sandbox.write_text(json.dumps({
        "metadata": {"name": "crictl", "uid": "u-1", "namespace": "day", "attempt": 1},
        "log_directory": str(tmp_path / "logs"), "labels": {"made": "by-crictl"},
        "linux": {"security_context": {"namespace_options": {"network": 2}}}}))
    container.write_text(json.dumps({
        "metadata": {"name": "box"}, "image": {"image": "busybox"}, "log_path": "box.log",
        "command": ["sh", "-c", "echo hello from crictl; sleep 1000"], "linux": {}}))
    pod = node.crictl("runp", str(sandbox)).stdout.strip()
    assert len(pod) == 64
    box = node.crictl("create", pod, str(container), str(sandbox)).stdout.strip()
    node.crictl("start", box)
    assert "crictl" in node.crictl("pods").stdout
    assert "box" in node.crictl("ps").stdout
    assert json.loads(node.crictl("inspect", box).stdout)["status"]["state"] == "CONTAINER_RUNNING"
    assert json.loads(node.crictl("inspectp", pod).stdout)["status"]["metadata"]["name"] == "crictl"
    assert node.crictl("exec", "-s", box, "echo", "sync").stdout.strip() == "sync"
    assert node.crictl("logs", box).stdout == "hello from crictl\n"
    assert box[:13] in node.crictl("ps", "--pod", pod[:13], "-q").stdout
    assert [p.id for p in node.seed.ListPodSandbox().items if p.id == pod]
    assert node.seed.ContainerStatus(container_id=box).status.metadata.name == "box"
    node.crictl("stop", "-t", "1", box)
    assert "Exited" in node.crictl("ps", "-a").stdout
    node.crictl("rm", box)
    node.crictl("stopp", pod)
    assert "NotReady" in node.crictl("pods").stdout
    node.crictl("rmp", pod)
    assert pod[:13] not in node.crictl("pods", "-q").stdout


def test_images_and_info(node):
    assert "docker.io/library/busybox" in node.crictl("images").stdout
    image = json.loads(node.crictl("inspecti", "busybox").stdout)["status"]
    assert BUSYBOX in image["repoTags"]
    assert json.loads(node.crictl("info").stdout)["status"]["conditions"]
    assert "podmon" in node.crictl("version").stdout
    assert node.crictl("imagefsinfo").stdout


def test_errors_are_one_sentence(node):
    result = node.crictl("inspect", "0" * 64, check=False)
    assert result.returncode == 1 and "NotFound" in result.stderr + result.stdout


def command(node, *arguments):
    return [TOOL, "--runtime-endpoint", f"unix://{node.socket}", "--image-endpoint",
            f"unix://{node.socket}", "--timeout", "30s", *arguments]


@contextlib.contextmanager
def running(node, *arguments, **options):
    """A crictl that goes on until the block ends."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
               "stderr": subprocess.STDOUT} | options
    process = subprocess.Popen(command(node, *arguments), **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def read_until(fd, what, seconds=20):
    """What has come from the descriptor once `what` is in it."""
    seen, end = b"", time.monotonic() + seconds
    while what not in seen:
        ready, _, _ = select.select([fd], [], [], max(0, end - time.monotonic()))
        assert ready, f"after {seconds} s there is no {what} in {seen}"
        data = os.read(fd, 4096)
        assert data, f"ended without {what}: {seen}"
        seen += data
    return seen


@contextlib.contextmanager
def at_a_terminal(node, *arguments):
    """crictl at a terminal of its own; gives the terminal's other end."""
    master, slave = os.openpty()
    try:
        with running(node, *arguments, stdin=slave, stdout=slave, stderr=slave,
                     start_new_session=True) as process:
            yield master, process
    finally:
        os.close(master)
        os.close(slave)


def test_exec_at_a_terminal(node, pod):
    container = pod.start("sleep", "1000")
    with at_a_terminal(node, "exec", "-i", "-t", container, "sh") as (terminal, process):
        read_until(terminal, b"# ")
        os.write(terminal, b"test -t 0 && echo a terminal $((40 + 2)); exit 7\n")
        read_until(terminal, b"a terminal 42")
        assert process.wait(timeout=20) != 0
    plain = subprocess.run(command(node, "exec", "-i", container, "cat"), input=b"through\n",
                           stdout=subprocess.PIPE, check=True, timeout=30)
    assert plain.stdout == b"through\n"


def test_attach(node, pod):
    container = pod.start("sh", "-c", "while read line; do echo got $line; done", stdin=True)
    with running(node, "attach", "-i", container, stdin=subprocess.PIPE) as process:
        process.stdin.write(b"one\n")
        process.stdin.flush()
        read_until(process.stdout.fileno(), b"got one")


def test_logs_are_followed(node, pod):
    container = pod.start("sh", "-c", "echo first; read line; echo second", stdin=True)
    wait_for("the first line", lambda: "first" in pod.output(container))
    with running(node, "logs", "-f", container) as process:
        read_until(process.stdout.fileno(), b"first\n")
        subprocess.run(command(node, "attach", "-i", container), input=b"go\n", timeout=30,
                       stdout=subprocess.DEVNULL, check=False)
        read_until(process.stdout.fileno(), b"second\n")
        assert process.wait(timeout=20) == 0, "it ends with the container"


def test_ports_are_forwarded(node, make_pod):
    pod = make_pod(network="NODE")
    pod.start("httpd", "-f", "-p", "127.0.0.1:18980", "-h", "/etc")
    with running(node, "port-forward", pod.id, "18981:18980") as process:
        read_until(process.stdout.fileno(), b"Forwarding from")

        def fetched():
            with contextlib.suppress(OSError):
                with urllib.request.urlopen("http://127.0.0.1:18981/passwd", timeout=5) as answer:
                    return b"root:" in answer.read()
            return False

        wait_for("the page", fetched)


@needs_controllers
def test_figures(node, pod):
    container = pod.start("sleep", "1000", name="counted")
    wait_for("a sample", lambda: node.v1.ContainerStats(
        container_id=container).stats.cpu.usage_core_nano_seconds.value)
    stats = json.loads(node.crictl("stats", "-o", "json", "--id", container).stdout)["stats"]
    assert [s["attributes"]["metadata"]["name"] for s in stats] == ["counted"]
    assert "counted" in node.crictl("stats").stdout
    of_pod = json.loads(node.crictl("statsp", "-o", "json", "--id", pod.id).stdout)["stats"]
    assert [s["attributes"]["id"] for s in of_pod] == [pod.id]
    assert pod.id[:13] in node.crictl("statsp").stdout
    assert container in node.crictl("metricsp").stdout
    assert "container_memory_working_set_bytes" in node.crictl("metricdescs").stdout


@needs_controllers
def test_events_and_changes(node, pod):
    container = pod.start("sleep", "1000")
    with running(node, "events", stderr=subprocess.DEVNULL) as process:
        # The subscription is open as soon as a change is told; make changes until one is.
        def told():
            extra = pod.create("true")
            ready, _, _ = select.select([process.stdout], [], [], 0.2)
            return ready and extra
        assert wait_for("an event", told)
        read_until(process.stdout.fileno(), b"CONTAINER_CREATED_EVENT")
    node.crictl("update", "--cpu-share", "512", "--memory", str(96 << 20), container)
    linux = pod.status(container).resources.linux
    assert (linux.cpu_shares, linux.memory_limit_in_bytes) == (512, 96 << 20)
    node.crictl("update-runtime-config", "--pod-cidr", "10.1.0.0/24")
    assert "cgroup driver" in node.crictl("runtime-config").stdout


def test_a_container_from_nothing(node, tmp_path):
    sandbox, container = tmp_path / "sandbox.json", tmp_path / "container.json"
    sandbox.write_text(json.dumps({
        "metadata": {"name": "run", "uid": "u-2", "namespace": "day", "attempt": 1},
        "log_directory": str(tmp_path / "logs"),
        "linux": {"security_context": {"namespace_options": {"network": 2}}}}))
    container.write_text(json.dumps({
        "metadata": {"name": "box"}, "image": {"image": "busybox"}, "log_path": "box.log",
        "command": ["sleep", "1000"], "linux": {}}))
    box = node.crictl("run", "--no-pull", str(container), str(sandbox)).stdout.strip()
    try:
        assert node.v1.ContainerStatus(container_id=box).status.state == \
            node.v1_api.CONTAINER_RUNNING
        refused = node.crictl("checkpoint", "--export", str(tmp_path / "x.tar"), box, check=False)
        assert refused.returncode != 0 and "Unimplemented" in refused.stderr + refused.stdout
    finally:
        node.crictl("rmp", "-f", *node.crictl("pods", "--name", "run", "-q").stdout.split())


def test_an_image_is_pulled_and_removed(node, tmp_path):
    layout = busybox_layout(tmp_path / "image")
    stub = pathlib.Path(__file__).resolve().parents[1] / "cri" / "registry_stub"
    mirror = subprocess.Popen([sys.executable, stub, layout], stdout=subprocess.PIPE, text=True)
    (node.base / "registries.d").mkdir(exist_ok=True)
    setting = node.base / "registries.d" / "crictl.conf"
    try:
        port = mirror.stdout.readline().strip()
        setting.write_text(f"[docker.io]\nmirror = http://127.0.0.1:{port}\n")
        assert "Image is up to date" in node.crictl("pull", BUSYBOX).stdout
        node.crictl("rmi", "busybox")
        assert "busybox" not in node.crictl("images").stdout
        assert "Image is up to date" in node.crictl("pull", "busybox").stdout
        assert "busybox" in node.crictl("images").stdout
    finally:
        setting.unlink(missing_ok=True)
        mirror.kill()
        mirror.wait()
        mirror.stdout.close()
        node.load(layout)


def test_what_needs_no_runtime(node, tmp_path):
    config = tmp_path / "crictl.yaml"
    config.touch()
    subprocess.run([TOOL, "--config", config, "config", "--set", "timeout=7"], check=True,
                   capture_output=True)
    got = subprocess.run([TOOL, "--config", config, "config", "--get", "timeout"], check=True,
                         text=True, capture_output=True)
    assert got.stdout.strip() == "7s" or got.stdout.strip() == "7"
    assert "complete" in node.crictl("completion").stdout


# A subcommand that crictl has, and where it is tried here: a new one of another version is found.
TRIED = {
    "attach", "checkpoint", "completion", "config", "create", "events", "exec", "imagefsinfo",
    "images", "info", "inspect", "inspecti", "inspectp", "logs", "metricdescs", "metricsp", "pods",
    "port-forward", "ps", "pull", "rm", "rmi", "rmp", "run", "runp", "runtime-config", "start",
    "stats", "statsp", "stop", "stopp", "update", "update-runtime-config", "version",
}


def test_all_of_them_are_tried(node):
    lines = node.crictl("--help").stdout.split("COMMANDS:")[1].split("GLOBAL")[0].splitlines()
    there = {line.split()[0].rstrip(",") for line in lines if line.strip()} - {"help"}
    assert there == TRIED
    source = pathlib.Path(__file__).read_text().split("TRIED = ")[0]
    assert [name for name in TRIED if f'"{name}"' not in source] == []
