# SPDX-License-Identifier: Apache-2.0
"""Mounts: what a container may do with the files of a volume."""

import subprocess

import grpc
import pytest

from harness import status_of
from support import shell


@pytest.fixture
def volume(tmp_path):
    """A directory with a program in it, and a file system of its own below."""
    directory = tmp_path / "volume"
    (directory / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "below", directory / "below"], check=True)
    (directory / "program").write_text("#!/bin/sh\necho ran\n")
    (directory / "program").chmod(0o4755)
    yield directory
    subprocess.run(["umount", "-l", directory / "below"], check=True)


@pytest.mark.parametrize("option,script,expected", [
    ("noexec", "/v/program 2>/dev/null || echo refused", "refused\n"),
    ("nodev", "mknod /v/null c 1 3; (: > /v/null) 2>/dev/null || echo refused; rm /v/null",
     "refused\n"),
    ("nosuid", "grep -c ' /v .*nosuid' /proc/self/mountinfo", "1\n")])
def test_options(node, pod, volume, option, script, expected):
    mount = node.v1_api.Mount(container_path="/v", host_path=str(volume), mount_options=[option])
    assert shell(pod, script, mounts=[mount]) == expected


@pytest.mark.parametrize("recursive", [False, True])
def test_recursively_read_only_or_not(node, pod, volume, recursive):
    mount = node.v1_api.Mount(container_path="/v", host_path=str(volume), readonly=True,
                              recursive_read_only=recursive)
    out = shell(pod, "touch /v/x 2>/dev/null && echo above; touch /v/below/x 2>/dev/null && "
                     "echo below; echo end", mounts=[mount])
    assert out == ("end\n" if recursive else "below\nend\n")


def test_an_image_as_a_volume(node, pod, make_image, canary):
    """B9: the part that is mounted lies in the image, wherever links point."""
    api = node.v1_api
    image = make_image("volume", {"data": None, "data/file": "from the image",
                                  "out": ("->", str(canary)), "in": ("->", "/data")})

    def read(sub_path):
        mount = api.Mount(container_path="/v", image=api.ImageSpec(image=image),
                          image_sub_path=sub_path)
        return shell(pod, "cat /v/file /v/data/file 2>/dev/null; touch /v/x 2>/dev/null || "
                          "echo refused", mounts=[mount])

    for sub_path in ("", "data", "in"):
        assert read(sub_path) == "from the imagerefused\n"
    for sub_path in ("out", "missing"):
        with pytest.raises(grpc.RpcError) as error:
            read(sub_path)
        assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    mount = api.Mount(container_path="/v", image=api.ImageSpec(image="no/such:image"))
    assert status_of(pod.create, "true", mounts=[mount])[0] == grpc.StatusCode.NOT_FOUND


def test_a_volumes_image_can_be_removed_meanwhile(node, pod, make_image):
    api = node.v1_api
    image = make_image("removed", {"file": "still here"})
    container = pod.start("sleep", "1000", mounts=[api.Mount(
        container_path="/v", image=api.ImageSpec(image=image))])
    node.v1.RemoveImage(image=api.ImageSpec(image=image))
    assert pod.exec(container, "cat", "/v/file").stdout == b"still here"
