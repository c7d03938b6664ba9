# SPDX-License-Identifier: Apache-2.0
"""What the runtime says of itself, over both APIs."""

import grpc
import pytest

from harness import info, status_of


def test_version(node):
    for client in (node.seed, node.v1):
        answer = client.Version(version="0.1.0")
        assert answer.version == "0.1.0"
        assert answer.runtime_name == "podmon"
        assert answer.runtime_version.count(".") == 2
        assert answer.runtime_api_version


def test_status(node):
    for client in (node.seed, node.v1):
        conditions = {c.type: c for c in client.Status().status.conditions}
        assert set(conditions) >= {"RuntimeReady", "NetworkReady"}
        assert conditions["RuntimeReady"].status
        assert not conditions["NetworkReady"].status, "there is no CNI configuration"
        assert str(node.cni) in conditions["NetworkReady"].message
    assert [handler.name for handler in node.v1.Status().runtime_handlers] == [""]


def test_network_ready_follows_the_directory(node):
    def ready():
        return {c.type: c.status for c in node.v1.Status().status.conditions}["NetworkReady"]

    path = node.cni / "10-test.conflist"
    path.write_text('{"cniVersion":"1.0.0","name":"test","plugins":[{"type":"loopback"}]}')
    assert ready()
    path.write_text("not json")
    assert not ready()
    path.unlink()
    assert not ready()


def test_verbose_status_says_how_cgroups_are_made(node):
    answer = node.v1.Status(verbose=True)
    assert answer.info
    assert ("systemd" in "".join(answer.info.values())) == node.systemd or node.systemd is False
    assert not node.v1.Status().info


def test_runtime_config(node):
    driver = node.v1.RuntimeConfig().linux.cgroup_driver
    assert driver == node.v1_api.CgroupDriver.Value("SYSTEMD" if node.systemd else "CGROUPFS")


def test_update_runtime_config(node):
    for client, api in ((node.seed, node.seed_api), (node.v1, node.v1_api)):
        for cidr in ("", "10.1.0.0/24"):
            client.UpdateRuntimeConfig(runtime_config=api.RuntimeConfig(
                network_config=api.NetworkConfig(pod_cidr=cidr)))


@pytest.mark.parametrize("method", ["CheckpointContainer", "CheckpointPod", "RestorePod"])
def test_what_is_not_built_says_so(node, method):
    code, text = status_of(getattr(node.v1, method))
    assert code == grpc.StatusCode.UNIMPLEMENTED
    assert method in text


def test_image_filesystem(node):
    usage = node.v1.ImageFsInfo().image_filesystems
    assert len(usage) == 1
    assert usage[0].fs_id.mountpoint.startswith(str(node.root))
    assert usage[0].used_bytes.value > 1_000_000
    assert usage[0].inodes_used.value > 10
    assert usage[0].timestamp > 0
