# SPDX-License-Identifier: Apache-2.0
"""Containers: their life, their process, their file system."""

import os
import pathlib
import time
import uuid

import grpc
import pytest

from harness import BUSYBOX, status_of, wait_for


def test_life_over_both_apis(node, pod):
    container = pod.create("sh", "-c", "echo out; echo err >&2; exit 3", name="main",
                           labels={"l": "1"}, annotations={"a": "2"})
    names = {}
    for client, api in ((node.seed, node.seed_api), (node.v1, node.v1_api)):
        status = client.ContainerStatus(container_id=container).status
        assert status.state == api.ContainerState.Value("CONTAINER_CREATED")
        assert status.created_at > 0
        assert not status.started_at and not status.finished_at
    node.seed.StartContainer(container_id=container)
    pod.wait(container)
    for client, api in ((node.seed, node.seed_api), (node.v1, node.v1_api)):
        status = client.ContainerStatus(container_id=container).status
        assert status.id == container
        assert (status.metadata.name, status.metadata.attempt) == ("main", 0)
        assert status.state == api.ContainerState.Value("CONTAINER_EXITED")
        assert (status.exit_code, status.reason) == (3, "Error")
        assert status.created_at <= status.started_at <= status.finished_at
        assert status.image.image == BUSYBOX
        assert status.image_ref.startswith("sha256:") or "@sha256:" in status.image_ref
        assert dict(status.labels) == {"l": "1"}
        assert dict(status.annotations) == {"a": "2"}
        listed = {c.id: c for c in client.ListContainers().containers}[container]
        assert listed.pod_sandbox_id == pod.id
        assert listed.metadata == status.metadata
        assert listed.state == status.state
        assert listed.image_ref == status.image_ref
        names[client] = listed.image.image
    assert len(set(names.values())) == 1
    node.seed.RemoveContainer(container_id=container)
    node.v1.RemoveContainer(container_id=container)
    assert container not in [c.id for c in node.v1.ListContainers().containers]


@pytest.mark.parametrize("script,code,reason", [
    ("exit 0", 0, "Completed"), ("exit 1", 1, "Error"), ("exit 255", 255, "Error"),
    ("kill -TERM $$; sleep 5", 143, "Error"), ("kill -KILL $$", 137, "Error"),
])
def test_exit_codes(node, make_pod, script, code, reason):
    # A shell that is PID 1 of its namespace ignores its own signals, so it is not PID 1 here.
    pod = make_pod()
    status, _ = pod.run("sh", "-c", f"sh -c '{script}'; exit $?")
    assert (status.exit_code, status.reason) == (code, reason)


def test_killed_from_outside_is_137(node, pod):
    container = pod.start("sleep", "1000")
    node.v1.StopContainer(container_id=container, timeout=0)
    status = pod.status(container)
    assert (status.exit_code, status.reason) == (137, "Error")


def test_stop_sends_term_and_waits(node, pod):
    container = pod.start("sh", "-c", "trap 'echo bye; exit 7' TERM; echo ready; while :; do "
                          "sleep 0.05; done")
    wait_for("it is ready", lambda: "ready" in pod.output(container))
    node.v1.StopContainer(container_id=container, timeout=20)
    status = pod.status(container)
    assert status.exit_code == 7
    assert pod.output(container) == "ready\nbye\n"
    node.v1.StopContainer(container_id=container, timeout=20)


def test_stop_kills_the_whole_tree_at_last(node, pod):
    container = pod.start("sh", "-c", "trap '' TERM; sleep 54321 & echo ready; while :; do sleep 1; "
                          "done")
    wait_for("it is ready", lambda: "ready" in pod.output(container))
    begin = time.monotonic()
    node.v1.StopContainer(container_id=container, timeout=1)
    assert 0.9 < time.monotonic() - begin
    assert pod.status(container).exit_code == 137
    assert not processes_with("54321")


def processes_with(word):
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (process / "cmdline").read_bytes().split(b"\0"):
                found.append(process.name)
        except OSError:
            pass
    return found


def test_the_images_stop_signal_can_be_overridden(node, pod):
    container = pod.start("sh", "-c", "trap 'echo got usr1; exit 0' USR1; trap '' TERM; echo ready; "
                          "while :; do sleep 0.05; done",
                          stop_signal=node.v1_api.Signal.Value(usr1_name(node.v1_api)))
    wait_for("it is ready", lambda: "ready" in pod.output(container))
    node.v1.StopContainer(container_id=container, timeout=20)
    assert "got usr1" in pod.output(container)


def usr1_name(api):
    return next(name for name in api.Signal.keys() if name.endswith("SIGUSR1"))


def test_children_that_stay_behind_are_killed(pod):
    container = pod.start("sh", "-c", "sleep 65432 >/dev/null 2>&1 & exit 0")
    assert pod.wait(container).exit_code == 0
    wait_for("nothing is left", lambda: not processes_with("65432"))


def test_start_failure(node, pod):
    container = pod.create("/no/such/program")
    code, text = status_of(node.v1.StartContainer, container_id=container)
    assert "/no/such/program" in text and "no such file" in text.lower()
    status = pod.status(container)
    assert status.state == node.v1_api.ContainerState.Value("CONTAINER_EXITED")
    assert (status.reason, status.exit_code) == ("StartError", 128)


def test_start_twice(node, pod):
    container = pod.start("sleep", "1000")
    assert status_of(node.v1.StartContainer, container_id=container)[0] == \
        grpc.StatusCode.FAILED_PRECONDITION


def test_the_same_create_gets_the_same_container(node, pod):
    first = pod.create("sleep", "1", name="same")
    assert pod.create("sleep", "1", name="same") == first
    assert pod.create("sleep", "1", name="same", attempt=1) != first


def test_create_in_a_stopped_pod(node, pod):
    node.v1.StopPodSandbox(pod_sandbox_id=pod.id)
    assert status_of(pod.create, "true")[0] == grpc.StatusCode.FAILED_PRECONDITION


def test_image_entry_is_used_without_a_command(pod):
    status, _ = pod.run(args=["sh", "-c", "exit 9"])
    assert status.exit_code == 9


def test_working_directory_and_environment(node, pod):
    api = node.v1_api
    _, out = pod.run("sh", "-c", 'pwd; echo "$FOO|$EMPTY|$PATH|$HOME"', working_dir="/new/dir",
                     envs=[api.KeyValue(key="FOO", value=b"a b=c"),
                           api.KeyValue(key="EMPTY", value=b"")])
    assert out == "/new/dir\na b=c||/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
                  "|/root\n"


def security(node, **fields):
    api = node.v1_api
    options = api.NamespaceOption(network=api.NamespaceMode.Value("NODE"),
                                  pid=api.NamespaceMode.Value("CONTAINER"))
    context = api.LinuxContainerSecurityContext(namespace_options=options, **fields)
    return api.LinuxContainerConfig(security_context=context)


@pytest.mark.parametrize("fields,expected", [
    ({}, "0:0:0"),
    ({"run_as_user": 1000}, "1000:1000:1000 1234"),
    ({"run_as_user": 4242}, "4242:0:0"),
    ({"run_as_username": "user"}, "1000:1000:1000 1234"),
    ({"run_as_user": 1000, "run_as_group": 77}, "1000:77:77 1234"),
    ({"run_as_user": 1000, "supplemental_groups": [5555]}, "1000:1000:1000 1234 5555"),
    ({"run_as_user": 1000, "supplemental_groups": [5555], "supplemental_groups_policy": 1},
     "1000:1000:1000 5555"),
])
def test_users_and_groups(node, pod, fields, expected):
    api = node.v1_api
    for name in ("run_as_user", "run_as_group"):
        if name in fields:
            fields = {**fields, name: api.Int64Value(value=fields[name])}
    _, out = pod.run("sh", "-c", 'echo "$(id -u):$(id -g):$(id -G)"',
                     linux=security(node, **fields))
    uid, gid, groups = out.strip().split(":")
    want_uid, want_gid, want_groups = expected.split(":")
    assert (uid, gid, set(groups.split())) == (want_uid, want_gid, set(want_groups.split()))


def test_an_unknown_user_name_is_refused(node, pod):
    code, text = status_of(pod.create, "true", linux=security(node, run_as_username="ghost"))
    assert "ghost" in text


def capabilities(out):
    return {line.split(":")[0]: int(line.split()[1], 16) for line in out.splitlines()}


def test_default_capabilities(node, pod):
    _, out = pod.run("grep", "^Cap", "/proc/self/status")
    sets = capabilities(out)
    assert sets["CapEff"] == sets["CapPrm"] == sets["CapBnd"] == 0xa80425fb
    assert sets["CapInh"] == sets["CapAmb"] == 0


def test_added_and_dropped_capabilities(node, pod):
    api = node.v1_api
    _, out = pod.run("grep", "^Cap", "/proc/self/status", linux=security(
        node, capabilities=api.Capability(add_capabilities=["SYS_ADMIN"],
                                          drop_capabilities=["CAP_CHOWN", "mknod"])))
    assert capabilities(out)["CapBnd"] == 0xa80425fb & ~(1 << 0) & ~(1 << 27) | 1 << 21
    _, out = pod.run("grep", "^Cap", "/proc/self/status", linux=security(
        node, capabilities=api.Capability(drop_capabilities=["ALL"])))
    assert set(capabilities(out).values()) == {0}


def test_exec_has_the_containers_privileges(node, pod):
    api = node.v1_api
    container = pod.start("sleep", "1000", linux=security(
        node, run_as_user=api.Int64Value(value=1000), no_new_privs=True,
        capabilities=api.Capability(drop_capabilities=["ALL"])))
    out = pod.exec(container, "sh", "-c", "id -u; grep -E '^(Cap|NoNewPrivs)' /proc/self/status")
    lines = out.stdout.decode().splitlines()
    assert lines[0] == "1000"
    assert all(line.split()[1].strip("0") == "" for line in lines[1:6])
    assert lines[6].split() == ["NoNewPrivs:", "1"]


def test_nothing_of_the_host_is_open(pod):
    container = pod.start("sleep", "1000")
    for out in (pod.run("ls", "-l", "/proc/self/fd")[1],
                pod.exec(container, "ls", "-l", "/proc/self/fd").stdout.decode()):
        numbers = [line.split()[8] for line in out.splitlines()[1:]]
        assert numbers == ["0", "1", "2", "3"], out  # 3 is the directory that ls itself reads


def test_masked_and_read_only_paths(node, pod):
    _, out = pod.run("sh", "-c", "cat /proc/kcore | wc -c; ls /proc/acpi /sys/firmware 2>/dev/null | "
                     "grep -v : ; echo x > /proc/sysrq-trigger; echo $?; "
                     "echo 1 > /proc/sys/kernel/panic; echo $?")
    assert [line for line in out.splitlines() if line] == ["0", "1", "1"]


def test_default_devices(pod):
    _, out = pod.run("sh", "-c", "cd /dev; ls -1; stat -c %t:%T:%a null zero full random urandom tty; "
                     "echo x > null; head -c 3 zero | wc -c")
    for name in ("null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "mqueue", "ptmx",
                 "fd", "stdin", "stdout", "stderr"):
        assert name in out.split(), name
    assert "1:3:666\n1:5:666\n1:7:666\n1:8:666\n1:9:666\n5:0:666\n3\n" in out


def test_read_only_root(node, pod):
    status, out = pod.run("sh", "-c", "touch /x; echo $?; touch /dev/shm/x; echo $?",
                          linux=security(node, readonly_rootfs=True))
    assert out == "1\n0\n"


def test_writes_stay_in_the_container(pod):
    first = pod.start("sh", "-c", "rm /bin/ls; echo mine > /etc/passwd; sleep 1000")
    wait_for("it has written", lambda: pod.exec(first, "cat", "/etc/passwd").stdout == b"mine\n")
    _, out = pod.run("sh", "-c", "ls /bin/ls; head -1 /etc/passwd")
    assert out.startswith("/bin/ls\nroot:")


def test_volumes(node, pod, tmp_path):
    api = node.v1_api
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in").write_text("from the host\n")
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "file").write_text("a file\n")
    mounts = [api.Mount(container_path="/volume", host_path=str(tmp_path / "data")),
              api.Mount(container_path="/linked", host_path=str(tmp_path / "link")),
              api.Mount(container_path="/etc/one/file", host_path=str(tmp_path / "file"),
                        readonly=True)]
    container = pod.start("sh", "-c", "cat /volume/in /linked/in /etc/one/file; echo out > /volume/out; "
                          "echo x > /etc/one/file; echo $?", mounts=mounts)
    status, out = pod.finish(container)
    assert out == "from the host\nfrom the host\na file\n1\n"
    assert (tmp_path / "data" / "out").read_text() == "out\n"
    assert (tmp_path / "file").read_text() == "a file\n"
    shown = {m.container_path: (m.host_path, m.readonly) for m in status.mounts}
    assert shown == {m.container_path: (m.host_path, m.readonly) for m in mounts}
    seed = node.seed.ContainerStatus(container_id=container).status
    assert {m.container_path for m in seed.mounts} == set(shown)


def test_a_missing_volume_is_an_error(node, pod):
    def attempt():
        container = pod.create("true", mounts=[node.v1_api.Mount(
            container_path="/v", host_path="/no/such/volume")])
        node.v1.StartContainer(container_id=container)

    code, text = status_of(attempt)
    assert "/no/such/volume" in text


def test_mount_propagation(node, pod, tmp_path):
    api = node.v1_api
    kinds = {name: api.Mount(container_path=f"/{name.lower()}", host_path=str(tmp_path),
                             propagation=api.MountPropagation.Value(name))
             for name in ("PROPAGATION_PRIVATE",)}
    _, out = pod.run("sh", "-c", "grep private /proc/self/mountinfo | grep -c shared:",
                     mounts=list(kinds.values()))
    assert out == "0\n"


def test_devices(node, pod):
    api = node.v1_api
    _, out = pod.run("sh", "-c", "stat -c %t:%T /dev/also-null; echo x > /dev/also-null && echo ok",
                     devices=[api.Device(host_path="/dev/null", container_path="/dev/also-null",
                                         permissions="rw")])
    assert out == "1:3\nok\n"


def test_privileged(node, make_pod):
    api = node.v1_api
    pod = make_pod(linux=api.LinuxPodSandboxConfig(
        security_context=api.LinuxSandboxSecurityContext(privileged=True)))
    _, out = pod.run("sh", "-c", "grep CapEff /proc/self/status; ls /dev | wc -l; "
                     "echo 60 > /proc/sys/kernel/panic_on_warn 2>/dev/null; "
                     "mount -t tmpfs none /mnt 2>/dev/null || mkdir -p /mnt && "
                     "mount -t tmpfs none /mnt && echo mounted",
                     linux=security(node, privileged=True))
    lines = out.splitlines()
    own = int(next(line.split()[1] for line in open("/proc/self/status")
                   if line.startswith("CapEff")), 16)
    assert int(lines[0].split()[1], 16) == own
    assert int(lines[1]) >= len(os.listdir("/dev")) - 10
    assert lines[2] == "mounted"


def test_privileged_needs_a_privileged_sandbox(node, pod):
    assert status_of(pod.create, "true", linux=security(node, privileged=True))[0] == \
        grpc.StatusCode.INVALID_ARGUMENT


def test_container_filters(node, pod):
    api = node.v1_api
    one = pod.start("sleep", "1000", labels={"f": "1"})
    two = pod.create("true", labels={"f": "2"})

    def ids(client, **fields):
        return {c.id for c in client.ListContainers(**fields).containers} & {one, two}

    running = "CONTAINER_RUNNING"
    assert ids(node.v1, filter=api.ContainerFilter(id=one[:13])) == {one}
    assert ids(node.v1, filter=api.ContainerFilter(pod_sandbox_id=pod.id)) == {one, two}
    assert ids(node.v1, filter=api.ContainerFilter(
        state=api.ContainerStateValue(state=api.ContainerState.Value(running)))) == {one}
    assert ids(node.seed, filter=node.seed_api.ContainerFilter(
        state=node.seed_api.ContainerState.Value("CONTAINER_CREATED"))) == {two}
    assert ids(node.v1, filter=api.ContainerFilter(label_selector={"f": "2"})) == {two}
    assert ids(node.v1, filter=api.ContainerFilter(pod_sandbox_id="0" * 64)) == set()


def test_a_terminal(pod):
    _, out = pod.run("sh", "-c", "tty; test -t 0 && test -t 2 && echo terminal; ls -l /dev/console | wc -l",
                     tty=True)
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0].startswith("/dev/") and lines[1:] == ["terminal", "1"]


def test_standard_input_without_a_client_is_empty(pod):
    status, out = pod.run("cat")
    assert (status.exit_code, out) == (0, "")
