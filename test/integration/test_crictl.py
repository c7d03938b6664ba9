# SPDX-License-Identifier: Apache-2.0
"""crictl, as a user types it, against pods that seed clients see as well."""

import json
import os
import pathlib

import pytest

from harness import BUSYBOX

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
