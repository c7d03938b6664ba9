# SPDX-License-Identifier: Apache-2.0
"""Container logs: the CRI format byte for byte, rotation, bad paths."""

import os
import pathlib
import re

import grpc
import pytest

from harness import status_of, wait_for

TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z\Z")


def test_records(pod):
    container = pod.start("sh", "-c", "echo one; echo two >&2; echo; printf 'no newline'")
    pod.wait(container)
    records = pod.records(container)
    assert all(TIME.match(record[0]) for record in records)
    assert [record[1:] for record in records if record[1] == b"stdout"] == [
        (b"stdout", b"F", b"one"), (b"stdout", b"F", b""), (b"stdout", b"P", b"no newline")]
    assert [record[1:] for record in records if record[1] == b"stderr"] == [
        (b"stderr", b"F", b"two")]


@pytest.mark.parametrize("size,expected", [
    (16383, [16383]), (16384, [16384]), (16385, [16384, 1]), (50000, [16384, 16384, 16384, 848])])
def test_long_lines_are_split(pod, size, expected):
    container = pod.start("sh", "-c", f"head -c {size} /dev/zero | tr '\\0' x; echo")
    pod.wait(container)
    records = pod.records(container)
    assert [len(record[3]) for record in records] == expected
    assert [record[2] for record in records] == [b"P"] * (len(expected) - 1) + [b"F"]


def test_everything_is_in_the_log_when_the_exit_is_told(pod):
    container = pod.start("sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done")
    pod.wait(container)
    assert [int(record[3]) for record in pod.records(container)] == list(range(20000))


def test_reopen(node, pod):
    container = pod.start("sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); done")
    path = pathlib.Path(pod.status(container).log_path)
    wait_for("output", lambda: path.stat().st_size > 10000)
    rotated = []
    for n in range(5):
        rotated.append(path.with_suffix(f".{n}"))
        path.rename(rotated[-1])
        node.v1.ReopenContainerLog(container_id=container)
        size = rotated[-1].stat().st_size
        assert path.exists()
        wait_for("output in the new file", lambda: path.stat().st_size > 1000)
        assert rotated[-1].stat().st_size == size
    node.v1.StopContainer(container_id=container, timeout=0)
    records = [line.split(b" ", 3) for file in [*rotated, path]
               for line in file.read_bytes().splitlines()]
    # A line that was unfinished when the file changed is a partial record in the old one.
    text = b"".join(part + (b"\n" if tag == b"F" else b"") for _, _, tag, part in records)
    numbers = [int(line) for line in text.split(b"\n")[:-1]]
    assert numbers == list(range(len(numbers)))


def test_reopen_of_a_container_that_does_not_run(node, pod):
    container = pod.start("true")
    pod.wait(container)
    path = pathlib.Path(pod.status(container).log_path)
    path.unlink()
    code, _ = status_of(node.v1.ReopenContainerLog, container_id=container)
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert not path.exists()


def test_mode_and_place(pod):
    container = pod.start("echo", "x", log_path="sub/dir/0.log")
    status = pod.wait(container)
    path = pathlib.Path(status.log_path)
    assert path == pod.log_directory / "sub/dir/0.log"
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("path", ["../escape.log", "/absolute.log", "a/../../b.log", "a\nb.log"])
def test_paths_that_lead_out_are_refused(pod, path):
    code, text = status_of(pod.create, "true", log_path=path)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "log_path" in text


@pytest.mark.parametrize("kind", ["link", "fifo", "directory", "parent"])
def test_what_lies_in_the_way_is_not_followed(node, pod, tmp_path, kind):
    target = tmp_path / "victim"
    target.write_text("untouched")
    pod.log_directory.mkdir(parents=True, exist_ok=True)
    path = pod.log_directory / "evil.log"
    name = "evil.log"
    if kind == "link":
        path.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        (pod.log_directory / "sub").symlink_to(tmp_path)
        name = "sub/victim"

    def attempt():
        container = pod.create("echo", "x", log_path=name)
        node.v1.StartContainer(container_id=container)

    status_of(attempt)
    assert target.read_text() == "untouched"


def test_no_log_path_no_log(pod):
    container = pod.start("echo", "x", log_path="")
    status = pod.wait(container)
    assert status.log_path == "" and status.exit_code == 0


def test_output_of_both_streams_to_one_program_that_reopens_them(pod):
    _, out = pod.run("sh", "-c", "echo first > /dev/stdout; echo second > /proc/self/fd/1")
    assert out == "first\nsecond\n"
