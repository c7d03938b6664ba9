# SPDX-License-Identifier: Apache-2.0
"""The image service, on images that podmonctl has loaded."""

import fcntl
import json
import shutil
import subprocess
import sys
import threading

import grpc
import pytest

from harness import BUILD, BUSYBOX, SOURCE, status_of


@pytest.fixture
def saved(node, tmp_path):
    """A second name for the same image, from a docker-save archive."""
    archive = tmp_path / "saved.tar"
    subprocess.run([sys.executable, SOURCE / "test/cri/busybox-image", "--docker-save", archive],
                   check=True)
    return archive


def test_list_and_status(node):
    for client, api in ((node.seed, node.seed_api), (node.v1, node.v1_api)):
        listed = [i for i in client.ListImages().images if BUSYBOX in i.repo_tags]
        assert len(listed) == 1
        image = listed[0]
        assert image.id.startswith("sha256:") and image.size > 1_000_000
        for name in ("busybox", BUSYBOX, image.id, image.id[7:], image.id[7:20],
                     *image.repo_digests):
            status = client.ImageStatus(image=api.ImageSpec(image=name))
            assert status.image.id == image.id, name
        one = client.ListImages(filter=api.ImageFilter(image=api.ImageSpec(image="busybox")))
        assert [i.id for i in one.images] == [image.id]


def test_absent_is_empty_not_an_error(node):
    for client, api in ((node.seed, node.seed_api), (node.v1, node.v1_api)):
        assert not client.ImageStatus(image=api.ImageSpec(image="no/such:image")).HasField("image")
        client.RemoveImage(image=api.ImageSpec(image="no/such:image"))


def test_pull_asks_the_registry_even_for_what_is_there(node):
    (node.base / "registries.d").mkdir(exist_ok=True)
    (node.base / "registries.d" / "dead.conf").write_text("[docker.io]\nproxy = http://127.0.0.1:1\n")
    code, text = status_of(node.v1.PullImage, image=node.v1_api.ImageSpec(image="busybox"))
    assert code == grpc.StatusCode.UNAVAILABLE
    assert "https://registry-1.docker.io/v2/library/busybox/manifests/latest" in text


@pytest.mark.parametrize("name", ["", "a/UPPER", "a b", "x@sha256:12", "-x", "a" * 5000])
def test_bad_references(node, name):
    assert status_of(node.v1.PullImage, image=node.v1_api.ImageSpec(image=name))[0] == \
        grpc.StatusCode.INVALID_ARGUMENT


def test_docker_archive_and_removal(node, saved, make_pod):
    assert "busybox:saved" in node.load(saved)
    spec = node.v1_api.ImageSpec(image="busybox:saved")
    image = node.v1.ImageStatus(image=spec).image
    assert "docker.io/library/busybox:saved" in image.repo_tags
    node.v1.RemoveImage(image=node.v1_api.ImageSpec(image="busybox:saved"))
    assert not node.v1.ImageStatus(image=spec).HasField("image")


@pytest.fixture(autouse=True)
def busybox_again(node, tmp_path):
    """RemoveImage takes all names of an image: later tests need it back."""
    yield
    if not node.v1.ImageStatus(image=node.v1_api.ImageSpec(image="busybox")).HasField("image"):
        import harness

        node.load(harness.busybox_layout(tmp_path / "layout"))


def test_removal_leaves_running_containers_alone(node, make_pod):
    pod = make_pod()
    container = pod.start("sleep", "1000")
    node.v1.RemoveImage(image=node.v1_api.ImageSpec(image="busybox"))
    assert not node.v1.ImageStatus(image=node.v1_api.ImageSpec(image="busybox")).HasField("image")
    assert pod.exec(container, "ls", "/bin/ls").stdout == b"/bin/ls\n"
    code, text = status_of(pod.create, "true")
    assert code == grpc.StatusCode.NOT_FOUND and "busybox" in text


@pytest.mark.parametrize("kind", ["shared", "exclusive"])
def test_a_sweep_is_waited_for(node, pod, kind):
    """Whoever sweeps the store has its lock for a moment, other users of it disturb nobody."""
    with open(node.root / "images" / "use", "a") as use:
        fcntl.flock(use, fcntl.LOCK_EX if kind == "exclusive" else fcntl.LOCK_SH)
        release = threading.Timer(0.3, fcntl.flock, (use, fcntl.LOCK_UN))
        release.start()
        pod.create("true")
        release.join()


def podmonctl(node, *arguments):
    return subprocess.run([BUILD / "dispatcher/podmonctl", "--root", node.root, *arguments],
                          capture_output=True, text=True)


@pytest.mark.parametrize("source", ["oci", "docker-save"])
def test_save_is_read_by_others_and_by_load(node, saved, tmp_path, source):
    for tool in ("skopeo",):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed here")
    if source == "docker-save":
        node.load(saved)
    name = "busybox:saved" if source == "docker-save" else "busybox"
    image = node.v1.ImageStatus(image=node.v1_api.ImageSpec(image=name)).image
    whole = next(tag for tag in image.repo_tags if tag.endswith(name.rpartition("busybox")[2]))
    path = tmp_path / "saved-again.tar"
    assert podmonctl(node, "save", name, str(path)).returncode == 0
    streamed = subprocess.run([BUILD / "dispatcher/podmonctl", "--root", node.root, "save", name],
                              check=True, stdout=subprocess.PIPE).stdout
    assert streamed == path.read_bytes()
    for transport in ("oci-archive", "docker-archive"):
        out = tmp_path / transport
        reference = f"{path}:{whole}" if transport == "docker-archive" else path
        if transport == "oci-archive" and len(image.repo_tags) > 1:
            reference = f"{path}:{whole.rpartition(':')[2]}"
        subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", f"{transport}:{reference}",
                        f"dir:{out}"], check=True)
        config = json.loads((out / "manifest.json").read_text())["config"]["digest"]
        assert config == image.id
    elsewhere = tmp_path / "root"
    loaded = subprocess.run([BUILD / "dispatcher/podmonctl", "--root", elsewhere, "load", path],
                            check=True, capture_output=True, text=True).stdout
    assert whole in loaded and image.id[7:19] in loaded


def test_save_is_all_or_nothing(node, tmp_path):
    result = podmonctl(node, "save", "no/such:image", str(tmp_path / "out.tar"))
    assert result.returncode == 1 and 'no image "no/such:image"' in result.stderr
    root = tmp_path / "root"
    shutil.copytree(node.root / "images", root / "images")
    blob = max((root / "images/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    with open(blob, "r+b") as file:
        file.seek(1000)
        file.write(b"other bytes")
    result = subprocess.run([BUILD / "dispatcher/podmonctl", "--root", root, "save", "busybox",
                             tmp_path / "out.tar"], capture_output=True, text=True)
    assert result.returncode == 1 and blob.name in result.stderr
    assert [path.name for path in tmp_path.iterdir() if "out.tar" in path.name] == []


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\x1f\x8b" + b"garbage" * 100,
                                     b"{}" * 4000])
def test_what_is_no_image_is_refused_in_a_sentence(node, tmp_path, content):
    path = tmp_path / "bad.tar"
    path.write_bytes(content)
    before = sorted(str(p) for p in node.root.rglob("*") if "lock" not in p.name)
    result = podmonctl(node, "load", str(path))
    assert result.returncode == 1
    assert "bad.tar" in result.stderr
    assert sorted(str(p) for p in node.root.rglob("*") if "lock" not in p.name) == before


def test_a_changed_blob_is_refused(node, tmp_path):
    import harness

    layout = harness.busybox_layout(tmp_path / "layout")
    blobs = sorted((layout / "blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)
    data = bytearray(blobs[-1].read_bytes())
    data[len(data) // 2] ^= 1
    blobs[-1].write_bytes(data)
    node.v1.RemoveImage(image=node.v1_api.ImageSpec(image="busybox"))
    result = podmonctl(node, "load", str(layout))
    assert result.returncode == 1 and "digest" in result.stderr
    assert not node.v1.ListImages().images or all(
        BUSYBOX not in i.repo_tags for i in node.v1.ListImages().images)
