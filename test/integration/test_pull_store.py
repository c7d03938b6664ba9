# SPDX-License-Identifier: Apache-2.0
"""What a pull leaves in the store: when it is killed anywhere, when the power may go, when the disk is
full, and what it shows meanwhile."""

import collections
import os
import pty
import random
import re
import select
import shutil
import subprocess

import grpc
import pytest

import harness
from harness import BUILD, status_of, wait_for
from test_pull import pull, spec, stub  # noqa: F401 (a fixture)

# Under a tracer the sanitizer cannot look for leaks.
TRACED = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
PUBLISHING = ["renameat", "linkat", "fsync", "syncfs"]


def podmonctl(root, *arguments):
    return [BUILD / "dispatcher/podmonctl", "--root", root, "--run", root / "run", *arguments]


def output_of(root, *arguments):
    return subprocess.run(podmonctl(root, *arguments), capture_output=True, text=True)


def need_strace():
    if not shutil.which("strace"):
        pytest.skip("strace is not installed here")


@pytest.mark.parametrize("call", PUBLISHING)
def test_killed_at_any_step_the_store_is_before_or_after(tmp_path, stub, call):
    """The N-th such call is the last one, for every N."""
    need_strace()
    found = {True: 0, False: 0}
    for when in range(1, 100):
        root = tmp_path / str(when)
        root.mkdir()
        ended = subprocess.run(
            ["strace", "-o", "/dev/null", "-e", f"trace={call}", "-e",
             f"inject={call}:signal=KILL:when={when}",
             *podmonctl(root, "pull", f"{stub}/lie/good")], env=TRACED,
            capture_output=True).returncode
        if ended == 0:
            break
        checked = output_of(root, "check")
        assert checked.returncode == 0 and " 0 damaged" in checked.stdout, (when, checked)
        found[checked.stdout.startswith("1 images")] += 1
        assert output_of(root, "pull", f"{stub}/lie/good").returncode == 0
        assert "1 images, 0 damaged" in output_of(root, "check").stdout
        assert not list((root / "images/staging").iterdir())
        shutil.rmtree(root)
    # Only what follows the record's own name comes after: its directory is written to the disk.
    assert ended == 0 and found[False] >= 1 and found[True] == (call == "fsync")


def calls_of_a_pull(root, reference):
    """Which system calls one makes: (name, how many of this name so far)."""
    trace = root / "trace"
    subprocess.run(["strace", "-o", trace, *podmonctl(root, "pull", reference)], env=TRACED,
                   check=True, capture_output=True)
    count = collections.Counter()
    for name in (line.split("(", 1)[0] for line in trace.read_text(errors="replace").splitlines()):
        if name.isidentifier() and name not in ("execve", "exit_group", "close", "futex"):
            count[name] += 1
            yield name, count[name]


def test_every_call_of_a_pull_fails_once(tmp_path, stub):
    """Or is its last: the store is whole, and the pull can be done again. Some of the calls; all
    with PODMON_FAULT_FULL set, which takes an hour."""
    need_strace()
    reference = f"{stub}/lie/good"
    (tmp_path / "first").mkdir()
    cases = [(how, *call) for call in calls_of_a_pull(tmp_path / "first", reference)
             for how in ("signal=KILL", "error=ENOSPC", "error=EIO", "error=EMFILE", "error=ENOMEM")]
    if not os.environ.get("PODMON_FAULT_FULL"):
        cases = random.Random(1).sample(cases, 40)
    failed = 0
    for number, (how, call, when) in enumerate(cases):
        print(how, call, when)
        root = tmp_path / str(number)
        root.mkdir()
        failed += subprocess.run(
            ["strace", "-o", "/dev/null", "-e", f"trace={call}", "-e",
             f"inject={call}:{how}:when={when}", *podmonctl(root, "pull", reference)], env=TRACED,
            capture_output=True, timeout=120).returncode != 0
        checked = output_of(root, "check")
        assert checked.returncode == 0 and " 0 damaged" in checked.stdout, checked
        assert output_of(root, "pull", reference).returncode == 0
        assert "1 images, 0 damaged" in output_of(root, "check").stdout
        assert not list((root / "images/staging").iterdir())
        shutil.rmtree(root)
    print(f"{len(cases)} cases, {failed} pulls failed")
    assert failed > 0


def test_what_is_published_is_on_the_disk_before(tmp_path, stub):
    """The order of calls that a power cut leaves nothing half there with."""
    need_strace()
    trace = tmp_path / "trace"
    subprocess.run(["strace", "-y", "-o", trace, "-e", f"trace={','.join(PUBLISHING)}",
                    *podmonctl(tmp_path / "root", "pull", f"{stub}/lie/good")], check=True,
                   env=TRACED, stdout=subprocess.DEVNULL)
    calls = trace.read_text().splitlines()

    def places(pattern):
        found = [i for i, call in enumerate(calls) if re.match(pattern, call)]
        assert found, (pattern, calls)
        return found

    everything = places(r"syncfs\(")[-1]
    layers = places(r'renameat2?\(.*images/staging/\w+/layers>.*images/layers>')
    blobs = places(r'renameat2?\(.*/blobs/sha256>.*images/blobs/sha256>')
    layers_synced = places(r"fsync\(\d+<[^>]*images/layers>")
    blobs_synced = places(r"fsync\(\d+<[^>]*images/blobs/sha256>")
    record = places(r'renameat2?\(\d+<[^>]*images/records>')[-1]
    record_synced = places(r"f(data)?sync\(\d+<[^>]*images/records/[^>]+>")
    names_synced = places(r"fsync\(\d+<[^>]*images/records>")
    assert len(layers) == 2 and len(blobs) == 4
    assert everything < min(layers + blobs)
    assert max(layers) < max(layers_synced) < record and max(blobs) < max(blobs_synced) < record
    assert max(record_synced) < record < max(names_synced)


@pytest.fixture
def ext4(tmp_path):
    """A file system of 40 MB on a disk of its own."""
    image, path = tmp_path / "disk.img", tmp_path / "disk"
    path.mkdir()
    image.touch()
    os.truncate(image, 40 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, path], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no loop devices here: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", path], check=True)


def fill(directory):
    """To the last byte."""
    with open(directory / "filler", "wb", buffering=0) as filler:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError:
                pass


def test_a_full_disk_is_told_and_emptied(apis, ext4, stub):
    node = harness.Node(*apis)
    node.root = ext4 / "root"
    node.start()
    try:
        name = f"{stub}/lie/good"
        pull(node, name)
        fill(ext4)
        assert os.statvfs(ext4).f_bavail == 0
        for mode in ("index", "big-once"):
            code, text = status_of(pull, node, f"{stub}/lie/{mode}")
            assert code == grpc.StatusCode.RESOURCE_EXHAUSTED, text
            assert "No space left on device" in text
        assert not list((node.root / "images/partial").iterdir())
        assert len(node.v1.ListImages().images) == 1
        assert node.v1.ImageStatus(image=spec(node, name)).HasField("image")
        node.v1.RemoveImage(image=spec(node, name))
        assert not node.v1.ListImages().images
        wait_for("room again", lambda: os.statvfs(ext4).f_bavail * 4096 > 1 << 20)
        assert not list((node.root / "images/layers").iterdir())
        (ext4 / "filler").unlink()
        pull(node, name)
    finally:
        node.destroy()
        wait_for("nobody uses the disk", lambda: subprocess.run(
            ["umount", ext4], capture_output=True).returncode == 0)
        subprocess.run(["mount", "-o", "loop", ext4.parent / "disk.img", ext4], check=True)


def test_bars_on_a_terminal(tmp_path, stub):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(podmonctl(tmp_path, "pull", f"{stub}/lie/big-once"), stdout=theirs,
                               close_fds=True)
    os.close(theirs)
    shown = b""
    try:
        while select.select([ours], [], [], 60)[0]:
            shown += os.read(ours, 65536)
    except OSError:
        pass  # how a terminal ends whose other side is closed
    finally:
        os.close(ours)
    assert process.wait() == 0
    lines = shown.decode().split("\033[K")[1:]
    bar = re.compile(r"[0-9a-f]{12} \[(=* *)\] \S+ \S?B/\S+ \S?B (waiting|downloading|unpacking|done)"
                     r"\033\[[12]B")
    assert all(bar.match(line) and len(bar.match(line)[1]) == 30 for line in lines), lines
    states = [bar.match(line)[2] for line in lines]
    assert {"downloading", "done"} <= set(states) and states.count("done") == 2
    fullest = [bar.match(line)[1] for line in lines if bar.match(line)[2] == "done"]
    assert fullest == ["=" * 30] * 2
    last = shown.decode().splitlines()[-1]
    assert re.search(rf"{stub}/lie/big-once sha256:[0-9a-f]{{64}}$", last), last
