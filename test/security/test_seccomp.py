# SPDX-License-Identifier: Apache-2.0
"""Seccomp: the default profile, profiles of the node, and the refusal of what is none."""

import json

import grpc
import pytest

from harness import status_of
from support import privileged_pod, security, shell

BLOCK_CHMOD = {"defaultAction": "SCMP_ACT_ALLOW",
               "syscalls": [{"names": ["chmod", "fchmodat", "fchmodat2"],
                             "action": "SCMP_ACT_ERRNO"}]}


def profile(node, kind, path=""):
    api = node.v1_api
    return api.SecurityProfile(profile_type=api.SecurityProfile.ProfileType.Value(kind),
                               localhost_ref=str(path))


def localhost(node, tmp_path, content):
    file = tmp_path / "profile.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return profile(node, "Localhost", file)


@pytest.mark.parametrize("kind,mode", [(None, "0"), ("Unconfined", "0"), ("RuntimeDefault", "2")])
def test_the_mode(node, pod, kind, mode):
    fields = {"seccomp": profile(node, kind)} if kind else {}
    out = shell(pod, "grep ^Seccomp: /proc/self/status", linux=security(node, **fields))
    assert out.split() == ["Seccomp:", mode]


@pytest.mark.parametrize("script", ["unshare -m true", "unshare -U true", "mount -t tmpfs x /mnt",
                                    "chroot / true && swapoff /x", "hostname other"])
def test_the_default_profile_refuses(node, pod, script):
    status, _ = pod.run("sh", "-c", script, linux=security(
        node, seccomp=profile(node, "RuntimeDefault")))
    assert status.exit_code != 0


def test_a_profile_of_the_node(node, pod, tmp_path):
    linux = security(node, seccomp=localhost(node, tmp_path, BLOCK_CHMOD))
    container = pod.start("sh", "-c", "chmod 400 / 2>&1; sleep 1000", linux=linux)
    out = pod.exec(container, "sh", "-c", "chmod 400 / 2>&1; touch /x && echo touched").stdout
    assert b"Operation not permitted" in out and b"touched" in out
    node.restart()  # the profile is the container's from then on, whatever becomes of the file
    (tmp_path / "profile.json").unlink()
    out = pod.exec(container, "sh", "-c", "chmod 400 / 2>&1").stdout
    assert b"Operation not permitted" in out


def test_a_privileged_container_has_none(node, make_pod, tmp_path):
    pod = privileged_pod(node, make_pod)
    out = shell(pod, "chmod 755 / && grep ^Seccomp: /proc/self/status", linux=security(
        node, privileged=True, seccomp=localhost(node, tmp_path, BLOCK_CHMOD)))
    assert out.split() == ["Seccomp:", "0"]


def start(pod, linux):
    pod.node.v1.StartContainer(container_id=pod.create("true", linux=linux))


@pytest.mark.parametrize("content,problem", [
    ("{\n\n\"defaultAction\" }", "line 3"),
    ({"defaultAction": "SCMP_ACT_MAYBE"}, "SCMP_ACT_MAYBE"),
    ({"defaultAction": "SCMP_ACT_ALLOW",
      "syscalls": [{"names": ["read"], "action": "SCMP_ACT_KILL",
                    "args": [{"index": 9, "op": "SCMP_CMP_EQ"}]}]}, "syscalls[0].args[0].index"),
])
def test_what_is_no_profile_is_refused(node, pod, tmp_path, content, problem):
    code, text = status_of(start, pod, security(node, seccomp=localhost(node, tmp_path, content)))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert problem in text


def test_a_missing_profile_is_refused(node, pod, tmp_path):
    path = tmp_path / "none.json"
    code, text = status_of(pod.create, "true", linux=security(
        node, seccomp=profile(node, "Localhost", path)))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert str(path) in text
    for bad in ("", "relative.json", str(tmp_path)):
        code, _ = status_of(pod.create, "true", linux=security(
            node, seccomp=profile(node, "Localhost", bad)))
        assert code == grpc.StatusCode.INVALID_ARGUMENT, bad
