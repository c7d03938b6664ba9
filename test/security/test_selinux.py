# SPDX-License-Identifier: Apache-2.0
"""SELinux: labels of processes and files, a level for every pod, and relabelling as it was asked.

With it on (test/node/run-suites has a machine) the tests see the labels and that they are enforced;
without, that what was asked for is refused and the rest goes without a word."""

import os
import pathlib
import re

import grpc
import pytest

from harness import status_of
from support import privileged_pod, security, shell

ON = pathlib.Path("/sys/fs/selinux/enforce").exists()
needs_selinux = pytest.mark.skipif(not ON, reason="this kernel runs without SELinux")
needs_none = pytest.mark.skipif(ON, reason="this kernel runs with SELinux")
CURRENT = "tr -d '\\0' < /proc/self/attr/current"
LEVEL = r"s0:c\d+,c\d+"


def options(node, **fields):
    return node.v1_api.SELinuxOption(**fields)


def label(path):
    return os.getxattr(path, "security.selinux", follow_symlinks=False).rstrip(b"\0").decode()


def level_of(pod, **fields):
    out = shell(pod, CURRENT, **fields)
    found = re.fullmatch(rf"system_u:system_r:container_t:({LEVEL})\s*", out)
    assert found, out
    return found[1]


@pytest.fixture
def volume(tmp_path):
    """Files with links out of the tree, as a hostile owner of the volume would leave them."""
    volume = tmp_path / "volume"
    (volume / "deep" / "er").mkdir(parents=True)
    (volume / "deep" / "er" / "file").write_text("x")
    (tmp_path / "outside").write_text("x")
    (volume / "link").symlink_to(tmp_path / "outside")
    (volume / "directory").symlink_to(tmp_path)
    return volume


def tree(volume):
    return [volume, *sorted(volume.rglob("*"))]


@needs_selinux
def test_every_pod_has_a_level_of_its_own(node, make_pod):
    pods = [make_pod() for _ in range(4)]
    levels = [level_of(pod) for pod in pods]
    assert len(set(levels)) == len(levels)
    node.restart()  # the level is in the record
    assert [level_of(pod) for pod in pods] == levels


@needs_selinux
def test_an_exec_has_the_containers_label(node, pod):
    container = pod.start("sleep", "1000")
    out = pod.exec(container, "sh", "-c", CURRENT).stdout.decode()
    assert out.strip().endswith(level_of(pod))


@needs_selinux
def test_parts_that_are_asked_for_replace_the_defaults(node, make_pod):
    api = node.v1_api
    pod = make_pod(linux=api.LinuxPodSandboxConfig(security_context=api.LinuxSandboxSecurityContext(
        selinux_options=options(node, level="s0:c7,c8"))))
    assert level_of(pod) == "s0:c7,c8"
    out = shell(pod, CURRENT, linux=security(node, selinux_options=options(node, type="spc_t")))
    assert out.strip() == "system_u:system_r:spc_t:s0:c7,c8"
    out = shell(pod, CURRENT, linux=security(node, selinux_options=options(node, level="s0:c1.c3")))
    assert out.strip() == "system_u:system_r:container_t:s0:c1.c3"


@needs_selinux
def test_what_the_policy_does_not_know_is_refused_at_once(node, make_pod):
    pod = privileged_pod(node, make_pod)
    for fields in ({"level": "s0,c4,c5"}, {"level": "s1"}, {"level": "s0:c1024"},
                   {"type": "nosuch_t"}, {"user": "nobody_u"}, {"role": "x"}):
        for privileged in (False, True):
            code, text = status_of(pod.create, "true", linux=security(
                node, privileged=privileged, selinux_options=options(node, **fields)))
            assert code == grpc.StatusCode.INVALID_ARGUMENT and list(fields.values())[0] in text


@needs_selinux
def test_a_privileged_container_is_not_confined(node, make_pod):
    pod = privileged_pod(node, make_pod)
    out = shell(pod, CURRENT, linux=security(node, privileged=True, selinux_options=options(
        node, type="container_t", level="s0:c1,c2")))
    assert out.strip() == "system_u:system_r:spc_t:s0"


@needs_selinux
def test_file_systems_carry_the_label(pod):
    level = level_of(pod)
    out = shell(pod, "cat /proc/self/mountinfo")
    expected = f'context="system_u:object_r:container_file_t:{level}"'
    for place in ("/", "/dev", "/dev/pts", "/dev/shm"):
        line = next(line for line in out.splitlines() if f" {place} " in line)
        assert expected in line, line


@needs_selinux
def test_our_files_carry_the_label(node, pod):
    expected = f"system_u:object_r:container_file_t:{level_of(pod)}"
    container = pod.start("sh", "-c", "echo out; echo err >&2; cat /etc/hosts /etc/resolv.conf "
                          ">/dev/null && ls /dev/mqueue && echo done > /dev/stdout; sleep 1000")
    directory = node.run / "pods" / pod.id
    for name in ("hosts", "hostname", "resolv.conf"):
        assert label(directory / name) == expected
    for name in ("stdout", "stderr"):
        assert label(directory / container / name) == expected
    assert b"done" in pod.exec(container, "sh", "-c", "ls -d /dev/mqueue && echo done").stdout


@needs_selinux
def test_one_pod_does_not_open_the_files_of_another(node, make_pod, volume):
    """The guard that all this is for: the policy denies it, because the levels differ."""
    api = node.v1_api
    first, second = make_pod(), make_pod()
    mount = {"container_path": "/v", "host_path": str(volume)}
    read = "cat /v/deep/er/file || echo denied; echo y > /v/deep/er/file || echo denied"
    assert shell(first, read, mounts=[api.Mount(selinux_relabel=True, **mount)]) == "x"
    (volume / "deep" / "er" / "file").write_text("x")
    out = shell(second, read + " 2>/dev/null", mounts=[api.Mount(**mount)])
    assert out.splitlines() == ["denied", "denied"]


@needs_selinux
def test_only_what_was_asked_for_is_relabelled(node, pod, volume, tmp_path):
    api = node.v1_api
    other = tmp_path / "other"
    other.mkdir()
    before = [label(path) for path in (other, tmp_path, tmp_path / "outside")]
    shell(pod, "true", mounts=[
        api.Mount(container_path="/v", host_path=str(volume), selinux_relabel=True, readonly=True),
        api.Mount(container_path="/o", host_path=str(other))])
    expected = f"system_u:object_r:container_file_t:{level_of(pod)}"
    assert {label(path) for path in tree(volume)} == {expected}
    assert [label(path) for path in (other, tmp_path, tmp_path / "outside")] == before


@needs_selinux
def test_directories_of_the_host_keep_their_labels(node, pod):
    def start(path):
        node.v1.StartContainer(container_id=pod.create("true", mounts=[node.v1_api.Mount(
            container_path="/v", host_path=path, selinux_relabel=True)]))

    for path in ("/", "/etc", "/usr/../usr", "/var/lib", "/etc/passwd", "/tmp"):
        before = label(path)
        code, text = status_of(start, path)
        assert code == grpc.StatusCode.INVALID_ARGUMENT and f'"{path}"' in text
        assert label(path) == before


@needs_selinux
def test_an_image_as_a_volume_carries_the_label(node, pod, make_image):
    api = node.v1_api
    image = make_image("labelled", {"file": "from the image"})
    out = shell(pod, "cat /v/file; grep ' /v ' /proc/self/mountinfo", mounts=[
        api.Mount(container_path="/v", image=api.ImageSpec(image=image))])
    assert out.startswith("from the image")
    assert f"container_file_t:{level_of(pod)}" in out


@needs_none
def test_without_selinux_what_was_asked_for_is_refused(node, make_pod, pod):
    api = node.v1_api
    for fields in ({"level": "s0"}, {"type": "container_t"}, {"user": "u"}, {"role": "r"}):
        code, text = status_of(pod.create, "true", linux=security(
            node, selinux_options=options(node, **fields)))
        assert code == grpc.StatusCode.FAILED_PRECONDITION and "without SELinux" in text
        code, text = status_of(make_pod, linux=api.LinuxPodSandboxConfig(
            security_context=api.LinuxSandboxSecurityContext(
                selinux_options=options(node, **fields))))
        assert code == grpc.StatusCode.FAILED_PRECONDITION and "without SELinux" in text


@needs_none
def test_without_selinux_the_rest_goes_without_a_word(node, make_pod, volume):
    pod = privileged_pod(node, make_pod)
    log = node.base / "dispatcher.log"
    before = log.stat().st_size
    mount = node.v1_api.Mount(container_path="/v", host_path=str(volume), selinux_relabel=True)
    assert shell(pod, "cat /v/deep/er/file", mounts=[mount]) == "x"
    assert shell(pod, "echo fine", linux=security(node, privileged=True, selinux_options=options(
        node, level="s0"))) == "fine\n"
    assert b"SELinux" not in log.read_bytes()[before:]
