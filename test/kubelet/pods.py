# SPDX-License-Identifier: Apache-2.0
"""Pieces of pod specifications."""

IMAGE = "docker.io/library/busybox:latest"


def container(name, script, **fields):
    return {"name": name, "image": IMAGE, "imagePullPolicy": "Never",
            "command": ["sh", "-c", script], **fields}


def sleeper(name="main", **fields):
    """A container that does nothing, and ends at once when asked to."""
    return container(name, "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done", **fields)
