# SPDX-License-Identifier: Apache-2.0
"""Images that mean harm: busybox's layer, and one more of the test's own above it."""

import hashlib
import importlib.machinery
import importlib.util
import io
import json
import pathlib
import sys
import tarfile

_path = str(pathlib.Path(__file__).resolve().parents[1] / "cri" / "busybox-image")
sys.dont_write_bytecode = True
_loader = importlib.machinery.SourceFileLoader("busybox_image", _path)
_spec = importlib.util.spec_from_loader("busybox_image", _loader)
busybox = importlib.util.module_from_spec(_spec)
_loader.exec_module(busybox)


def whiteout(name):
    head, _, tail = name.rpartition("/")
    return (f"{head}/" if head else "") + f".wh.{tail}"


def layer(entries):
    """`entries`: name → text of a file; ("->", target): a link; None: a directory; False: gone."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, what in entries.items():
            if what is None:
                busybox.add(archive, name, tarfile.DIRTYPE)
            elif what is False:
                busybox.add(archive, whiteout(name))
            elif isinstance(what, tuple):
                busybox.add(archive, name, tarfile.SYMTYPE, 0o777, link=what[1])
            else:
                busybox.add(archive, name, data=what.encode())
    return out.getvalue()


def make(node, directory, name, entries=None, **config):
    """Loads the image; returns its reference. `config` is that of the image ("User", "Volumes"…)."""
    reference = f"docker.io/evil/{name}:latest"
    layers = [busybox.layer()] + ([layer(entries)] if entries else [])
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def store(data):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    environment = ["PATH=/usr/bin:/sbin:/bin"]
    document = store(json.dumps({
        "architecture": "amd64", "os": "linux", "created": "2023-11-14T22:13:20Z",
        "config": {"Cmd": ["sh"], "Env": environment, **config},
        "rootfs": {"type": "layers",
                   "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest() for data in layers]},
    }).encode())
    kind = "application/vnd.oci.image."
    manifest = store(json.dumps({
        "schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
        "config": {"mediaType": kind + "config.v1+json", **document},
        "layers": [{"mediaType": kind + "layer.v1.tar", **store(data)} for data in layers],
    }).encode())
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
        {"mediaType": kind + "manifest.v1+json", **manifest,
         "annotations": {"org.opencontainers.image.ref.name": reference,
                         "io.containerd.image.name": reference}}]}))
    node.load(directory)
    return reference
