# SPDX-License-Identifier: Apache-2.0
"""A: nothing of the host is in reach of what starts in a container."""

import concurrent.futures
import hashlib
import re

import pytest

from harness import BUILD, Pod, status_of
from support import security, shell


def digest():
    return hashlib.sha256((BUILD / "podmon" / "podmon").read_bytes()).hexdigest()


def test_a1_the_runtimes_binary_cannot_be_written(node, pod, make_image):
    before = digest()
    image = make_image("selfexe", {"entry": "#!/proc/self/exe\n"})
    container = pod.start("sh", "-c", "while :; do for e in /proc/[0-9]*/exe; do "
                          "(: >> $e) 2>/dev/null; echo evil 2>/dev/null > $e; done; done",
                          linux=security(node, capabilities=node.v1_api.Capability(
                              add_capabilities=["SYS_PTRACE"])))
    for _ in range(30):
        pod.exec(container, "true")
    status_of(lambda: node.v1.StartContainer(container_id=pod.create("/entry", image=image)))
    assert digest() == before


def test_a2_a_process_on_its_way_in_shows_nothing(node, pod):
    container = pod.start("sh", "-c", "while :; do ls -l /proc/[0-9]*/fd /proc/[0-9]*/cwd "
                          "/proc/[0-9]*/root 2>/dev/null; done", linux=security(
                              node, capabilities=node.v1_api.Capability(
                                  add_capabilities=["SYS_PTRACE"])))
    for _ in range(100):
        pod.exec(container, "true")
    node.v1.StopContainer(container_id=container, timeout=0)
    targets = set(re.findall(r" -> (\S+)", pod.output(container)))
    # The pipes are the container's own, the pidfd is that of its first process.
    odd = {t for t in targets if not re.match(
        r"(pipe:|socket:|anon_inode:\[pidfd\]$|/$|/dev/null|\S+/std(in|out|err)$|/proc(/\d+)?(/fd|/cwd|/root)?$|/bin/|/proc/\d+)", t)}
    assert not odd


@pytest.mark.parametrize("directory", [f"/proc/self/fd/{n}" for n in (*range(3, 20), 63, 255)] +
                         ["/proc/self/cwd", "/proc/thread-self/root", "/proc/1/cwd/../../.."])
def test_a3_a_working_directory_does_not_lead_out(pod, directory):
    container = pod.create("sh", "-c", "pwd -P; ls -1 / | grep -c '^proc$'; ls ..",
                           working_dir=directory)
    try:
        pod.node.v1.StartContainer(container_id=container)
    except Exception:
        return  # refused: as good
    _, out = pod.finish(container)
    assert out.startswith("/") and "unreachable" not in out and "lib64" not in out


def test_a3_only_three_descriptors_are_open(pod):
    container = pod.start("sleep", "1000")
    for out in (shell(pod, "ls -1 /proc/self/fd"),
                pod.exec(container, "ls", "-1", "/proc/self/fd").stdout.decode()):
        assert out.split() == ["0", "1", "2", "3"]  # 3 is the directory that is listed


def test_a4_environments_do_not_mix(node):
    api = node.v1_api

    def environment(number):
        pod = Pod(node)
        try:
            return [pod.run("env", envs=[api.KeyValue(key=f"OWN{number}", value=b"1")])[1]
                    for _ in range(3)]
        finally:
            pod.remove()

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for number, outputs in enumerate(threads.map(environment, range(8))):
            for out in outputs:
                assert re.findall(r"^OWN\d+", out, re.M) == [f"OWN{number}"]
