# SPDX-License-Identifier: Apache-2.0
"""Devices of the Container Device Interface."""

import json

import grpc
import pytest

from harness import Pod, status_of

SPEC = {"cdiVersion": "0.6.0", "kind": "test.example/device", "devices": [
    {"name": "nothing", "containerEdits": {
        "env": ["DEVICE=nothing"],
        "deviceNodes": [{"path": "/dev/nothing", "hostPath": "/dev/null"}],
        "mounts": [{"hostPath": "/proc/sys/kernel", "containerPath": "/vendor",
                    "options": ["ro", "bind"]}],
        "additionalGids": [4711]}}]}


YAML = """\
# As a vendor's tool writes it.
cdiVersion: "0.6.0"
kind: test.example/yaml
devices:
- name: "0"
  containerEdits:
    env: [DEVICE=yaml]
    deviceNodes:
    - path: /dev/nothing
      hostPath: /dev/null
    additionalGids: [4712]
"""


@pytest.fixture
def vendor(node):
    """A directory of vendors' files that the dispatcher looks into."""
    directory = node.base / "cdi"
    directory.mkdir(exist_ok=True)
    (directory / "test.json").write_text(json.dumps(SPEC))
    (directory / "other.yaml").write_text(YAML)
    (directory / "broken.yaml").write_text("kind: [")
    (directory / "ignored.yml").write_text(YAML.replace("yaml", "ignored"))
    node.config.write_text(node.config.read_text() + f"[container]\ncdi_dirs = {directory}\n")
    node.restart()
    yield
    node.write_config()
    node.restart()


def test_a_device_brings_what_it_needs(vendor, node):
    pod = Pod(node)
    try:
        device = node.v1_api.CDIDevice(name="test.example/device=nothing")
        status, output = pod.run(
            "sh", "-c", "echo $DEVICE; test -c /dev/nothing && echo node; id -G; "
            "test -e /vendor/ostype && echo mounted", CDI_devices=[device])
        assert output.splitlines() == ["nothing", "node", "0 4711", "mounted"], status
        unknown = node.v1_api.CDIDevice(name="test.example/device=other")
        code, text = status_of(pod.create, "true", CDI_devices=[unknown])
        assert code == grpc.StatusCode.INVALID_ARGUMENT and "device=other" in text
    finally:
        pod.remove()


def test_files_may_be_yaml(vendor, node):
    pod = Pod(node)
    try:
        device = node.v1_api.CDIDevice(name="test.example/yaml=0")
        status, output = pod.run("sh", "-c", "echo $DEVICE; test -c /dev/nothing && id -G",
                                 CDI_devices=[device])
        assert output.splitlines() == ["yaml", "0 4712"], status
        other = node.v1_api.CDIDevice(name="test.example/ignored=0")
        assert status_of(pod.create, "true",
                         CDI_devices=[other])[0] == grpc.StatusCode.INVALID_ARGUMENT
    finally:
        pod.remove()
