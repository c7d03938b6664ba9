# SPDX-License-Identifier: Apache-2.0
"""B: paths of an image or a shared volume lead nowhere but into the container."""

import os
import pathlib
import subprocess
import sys
import threading

import grpc
import pytest

from harness import SOURCE, status_of
from support import security, shell

CREATES = int(os.environ.get("PODMON_RACES", "60"))  # of racing containers
CORE_PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern")


@pytest.fixture
def swapper(tmp_path, canary):
    """A volume in which a directory and a link to the host change places as fast as they can."""
    volume = tmp_path / "volume"
    (volume / "target").mkdir(parents=True)
    (volume / "link").symlink_to(canary)
    script = ("import ctypes,sys\nc=ctypes.CDLL(None)\na,b=[p.encode() for p in sys.argv[1:]]\n"
              "print('go',flush=True)\nwhile True: c.renameat2(-100,a,-100,b,2)\n")
    process = subprocess.Popen([sys.executable, "-c", script, volume / "target", volume / "link"],
                               stdout=subprocess.PIPE)
    process.stdout.readline()
    yield volume
    process.kill()
    process.wait()


def start(pod, *command, **fields):
    """Starts it if that goes; a refusal is as good, a crash of podmon is not."""
    try:
        container = pod.create(*command, **fields)
        pod.node.v1.StartContainer(container_id=container)
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.FAILED_PRECONDITION,
                                grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL), error
        return None
    return container


def test_b1_racing_mount_targets(node, pod, swapper, tmp_path):
    api = node.v1_api
    (tmp_path / "data").mkdir()
    mounts = [api.Mount(container_path="/volume", host_path=str(swapper)),
              api.Mount(container_path="/volume/target/made", host_path=str(tmp_path / "data"))]
    started = [start(pod, "true", mounts=mounts, working_dir="/volume/target/deep/er")
               for _ in range(CREATES)]
    assert any(started) or CREATES < 10


@pytest.mark.parametrize("place", ["/proc", "/proc/self", "/proc/self/attr", "/x/../proc/sys",
                                   "/proc/1/ns"])
def test_b2_no_volume_lies_over_proc(node, pod, tmp_path, place):
    assert status_of(pod.create, "true", mounts=[node.v1_api.Mount(
        container_path=place, host_path=str(tmp_path))])[0] == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_b2_a_link_in_place_of_proc(pod, make_image, name, canary):
    image = make_image(f"link-{name}", {name: ("->", str(canary))})
    assert start(pod, "true", image=image) is None


def test_b3_masks_are_the_hosts_null(pod, make_image):
    image = make_image("null", {"dev/null": ("->", "/proc/sysrq-trigger")})
    out = shell(pod, "stat -c %t:%T /dev/null; for f in /proc/kcore /proc/keys /proc/timer_list; do "
                     "test -e $f && head -c 10 $f | wc -c; done; ls -A /sys/firmware /proc/scsi "
                     "2>/dev/null | grep -v : | grep -c .", image=image)
    lines = out.split()
    assert lines[0] == "1:3" and set(lines[1:]) == {"0"}


def test_b3_b4_racing_masks_and_consoles(node, pod, swapper):
    api = node.v1_api
    mounts = [api.Mount(container_path="/volume", host_path=str(swapper))]
    for number in range(CREATES // 2):
        start(pod, "sh", "-c", "ls /volume/target/file && echo LEAK", mounts=mounts, tty=number % 2,
              linux=security(node, masked_paths=["/volume/target", "/volume/target/file"],
                             readonly_paths=["/volume/target"]))


def test_b4_the_console_is_the_containers_own(pod, make_image, canary):
    image = make_image("console", {"dev/console": ("->", str(canary / "file")), "dev/pts": (
        "->", str(canary))})
    _, out = pod.run("sh", "-c", "tty; stat -c %t /dev/console; echo hello > /dev/console",
                     image=image, tty=True)
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0].startswith("/dev/") and lines[1:] == ["88", "hello"]


def test_b5_settings_of_the_host_stay(pod):
    before = CORE_PATTERN.read_text()
    shell(pod, "echo '|/evil' > /proc/sys/kernel/core_pattern; echo b > /proc/sysrq-trigger; "
               "mount -o remount,rw /proc/sys; echo '|/evil' > /proc/sys/kernel/core_pattern")
    assert CORE_PATTERN.read_text() == before


def test_b6_a_link_in_place_of_dev(pod, make_image, canary):
    image = make_image("dev", {"dev": ("->", "../../../.." + str(canary))})
    assert start(pod, "true", image=image) is None


@pytest.mark.parametrize("up", ["", "../../../../../.."])
def test_b7_links_in_place_of_files_that_we_mount(node, pod, make_image, canary, up):
    names = ["etc/hosts", "etc/resolv.conf", "etc/hostname", "etc/mtab", "run/.containerenv"]
    entries = {"run": None, **{name: ("->", up + str(canary / pathlib.Path(name).name))
                               for name in names}}
    image = make_image("files" + str(len(up)), entries)
    container = start(pod, "sh", "-c", "echo evil >> /etc/hosts; echo evil >> /etc/mtab",
                      image=image)
    assert container is None or pod.wait(container)


def test_b7_a_working_directory_behind_a_link(pod, make_image, canary):
    image = make_image("cwd", {"work": ("->", str(canary))})
    container = start(pod, "sh", "-c", "touch /place/made here", image=image,
                      working_dir="/place/below")
    assert container is None or pod.wait(container)


def test_b8_volumes_of_an_image(pod, make_image, canary):
    image = make_image("volumes", {"out": ("->", str(canary))}, Volumes={
        "/../.." + str(canary) + "/new": {}, "/out/new": {}, "/a/../../b": {}})
    container = start(pod, "sh", "-c", f"touch /out/new/x; ls -d /b {canary}", image=image)
    assert container is None or pod.wait(container)


@pytest.mark.parametrize("log_path", ["../x.log", "/etc/x.log", "a/../../x", "link.log",
                                      "dir/x.log", "fifo.log"])
def test_b10_where_a_log_may_be(node, pod, canary, log_path):
    directory = pod.log_directory
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "link.log").symlink_to(canary / "file")
    (directory / "dir").symlink_to(canary)
    os.mkfifo(directory / "fifo.log")
    refused = []

    def attempt():
        try:
            start_refused = start(pod, "echo", "evil", log_path=log_path)
            refused.append(start_refused is None)
        except grpc.RpcError:
            refused.append(True)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(30)
    assert refused == [True]


def test_b11_only_one_module_resolves_paths():
    """No path of a container is given to a call that follows it: in what runs between the clone and
    the execve, files are opened by descriptor, or are the host's own by a constant name."""
    for name in ("attach.c", "stage.c", "capabilities.c"):
        text = (SOURCE / "podmon" / name).read_text()
        for call in ("stat(", "lstat(", "mkdir(", "chown(", "chmod(", "symlink(", "readlink("):
            assert f" {call}" not in text, (name, call)
        for line in text.splitlines():
            if " open(" in line:
                assert ' open("/' in line, (name, line)
