# SPDX-License-Identifier: Apache-2.0
"""D: who a container's processes are, and what they may."""

import re

import grpc
import pytest

from harness import status_of, wait_for
from support import security, shell

# What an image may say for USER, and who that is: "uid:gid", or None where it must be refused.
USERS = {
    "": "0:0", "0": "0:0", "1": "1:1", "root": "0:0", "daemon": "1:1", "user": "1000:1000",
    "1000": "1000:1000", "1000:": "1000:1000", "user:": "1000:1000", "1000:1000": "1000:1000",
    "user:extra": "1000:1234",
    "user:77": "1000:77", "4242": "4242:0", "4242:4242": "4242:4242", "00": "0:0",
    "2147483647": "2147483647:0", "nobody": "65534:65534", "0:0": "0:0",
    **{user: None for user in (
        "-1", "+1", " 1", "1 ", "1\n", "\n1", "1\t", "0x0", "0x1", "1e3", "1.0", "1,2", "1;2", "1|2",
        "2147483648", "4294967295", "4294967296", "4294968296", "18446744073709551615",
        "18446744073709551616", "9" * 40, "9" * 4000, "-0", "--1", "- 1", "ghost", "Root", "ROOT",
        "root ", " root", "root\n", "roo", "rootx", "root:ghost", "user:-1", "user:4294967296",
        "user:2147483648", "user: 1", "user:1 ", "user:0x1", ":::", "user::", "user:1:2", ":user:",
        "user:group:more", "../root", "/root", "root/", "r\u00f6\u00f6t", "\u0661", "\uff11", "$USER",
        "$(id)", "`id`", "%s%s%n", "%d", "*", "?", "[0]", "{0}", "!", "#", "root#", "#root", "~root",
        "\\0", "root\\", "'root'", '"root"', "user,root", "user root", "user;root", "NaN", "inf",
        "null", "nil", "true", "None", "1_000", "1'000", "0b1", "0o1", "\x7f", "\x1b[31m", "a" * 300,
        "user\x01", "user\x7f", "\u200b0", "0\u200b", "\uff10", "0;0", "0/0", "0@host",
        "user:group", "0.", "1:-0", "00:0x0")},
}


@pytest.mark.parametrize("user", USERS, ids=lambda user: ascii(user)[:20])
def test_d1_users_of_images(pod, make_image, user):
    expected = USERS[user]
    image = make_image("user", User=user)
    try:
        out = shell(pod, "echo $(id -u):$(id -g)", image=image)
    except grpc.RpcError as error:
        assert expected is None, error
        assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT,
                                grpc.StatusCode.FAILED_PRECONDITION), error
        return
    assert out.strip() == expected


@pytest.mark.parametrize("uid", [-1, -2, 2**31, 2**32 - 1, 2**32, 2**63 - 1, -2**63])
def test_d1_users_of_requests(node, pod, uid):
    api = node.v1_api
    for fields in ({"run_as_user": api.Int64Value(value=uid)},
                   {"run_as_user": api.Int64Value(value=1),
                    "run_as_group": api.Int64Value(value=uid)},
                   {"supplemental_groups": [uid]}):
        code, text = status_of(pod.create, "true", linux=security(node, **fields))
        assert code == grpc.StatusCode.INVALID_ARGUMENT and str(uid) in text


@pytest.mark.parametrize("uid,policy,extra,expected", [
    (0, 0, [], "0"), (0, 0, [5], "0 5"), (0, 1, [], "0"), (0, 1, [5], "0 5"),
    (1000, 0, [], "1000 1234"), (1000, 0, [5], "1000 1234 5"), (1000, 1, [], "1000"),
    (1000, 1, [5], "1000 5"), (4242, 0, [], "0"), (4242, 0, [5], "0 5"), (4242, 1, [], "0"),
    (4242, 1, [5], "0 5")])
def test_d2_groups(node, pod, uid, policy, extra, expected):
    api = node.v1_api
    linux = security(node, run_as_user=api.Int64Value(value=uid), supplemental_groups=extra,
                     supplemental_groups_policy=policy)
    container = pod.start("sh", "-c", "id -G; sleep 1000", linux=linux)
    wait_for("it has spoken", lambda: pod.output(container))
    of_exec = pod.exec(container, "id", "-G").stdout.decode()
    assert set(pod.output(container).split()) == set(of_exec.split()) == set(expected.split())
    groups = pod.exec(container, "grep", "^Groups", "/proc/self/status").stdout.decode().split()[1:]
    assert set(groups) == set(expected.split())


def test_d3_nothing_is_inheritable(node, pod):
    for fields in ({}, {"run_as_user": node.v1_api.Int64Value(value=1000)}):
        container = pod.start("sh", "-c", "grep ^Cap /proc/self/status; sleep 1000",
                              linux=security(node, **fields))
        wait_for("it has spoken", lambda: pod.output(container).count("\n") == 5)
        of_exec = pod.exec(container, "grep", "^Cap", "/proc/self/status").stdout.decode()
        for out in (pod.output(container), of_exec):
            sets = dict(line.split() for line in out.splitlines())
            assert int(sets["CapInh:"], 16) == int(sets["CapAmb:"], 16) == 0
            assert int(sets["CapBnd:"], 16) == 0xa80425fb


def test_d4_text_that_would_become_a_line(node, make_pod, make_image):
    for name, config in (("home", {"Env": ["HOME=/a\nroot2:x:0:0"]}),):
        pod = make_pod()
        image = make_image(name, **config)
        try:
            out = shell(pod, "cat /etc/passwd", image=image)
        except grpc.RpcError:
            continue
        assert "root2" not in out
    for hostname in ("a\nb", "a b", "a\tb", "a#b", "x" * 65, "-a", "a\x1b[2J"):
        assert status_of(make_pod, network="POD", hostname=hostname)[0] == \
            grpc.StatusCode.INVALID_ARGUMENT
    api = node.v1_api
    for dns in ({"servers": ["1.1.1.1\nnameserver 6.6.6.6"]}, {"searches": ["a\nb"]},
                {"options": ["ndots:1\nnameserver 6.6.6.6"]}):
        assert status_of(make_pod, dns_config=api.DNSConfig(**dns))[0] == \
            grpc.StatusCode.INVALID_ARGUMENT


def test_d5_the_mask_of_new_files(pod):
    container = pod.start("sleep", "1000")
    assert pod.exec(container, "sh", "-c", "umask").stdout == b"0022\n"
    assert shell(pod, "umask") == "0022\n"


def test_d6_control_groups_cannot_be_written(node, pod):
    out = shell(pod, "find /sys/fs/cgroup -type f -name 'cgroup.procs' | head -20 | while read f; do "
                     "(echo 0 > $f) 2>/dev/null && echo written $f; done; "
                     "find /sys/fs/cgroup -name release_agent | while read f; do "
                     "(echo /evil > $f) 2>/dev/null && echo written $f; done; "
                     "mkdir -p /m; mount -t cgroup -o rdma x /m 2>/dev/null && echo mounted; "
                     "mount -t cgroup2 x /m 2>/dev/null && echo mounted; echo end")
    assert out == "end\n"




def test_d7_a_keyring_and_a_terminal_of_its_own(pod):
    first = shell(pod, "cat /proc/keys 2>/dev/null | wc -l; sed -n 's/^.*tty_nr//p' /proc/self/stat; "
                       "cut -d' ' -f7 /proc/self/stat; (: < /dev/tty) 2>/dev/null || echo none")
    assert first.split() == ["0", "0", "none"]


MASKED = ["/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
          "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
          "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def test_d8_the_usual_paths_are_hidden_and_protected(pod):
    """The lists are those of containerd, whose users expect them."""
    script = "".join(
        f"if [ -d {p} ]; then ls -A {p} | grep -q . && echo OPEN {p}; elif [ -e {p} ]; then "
        f"[ -n \"$(head -c 1 {p} 2>/dev/null)\" ] && echo OPEN {p}; fi; " for p in MASKED)
    script += "find /proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger /sys -type f 2>/dev/null " \
              "| while read f; do (exec 3>>$f) 2>/dev/null && echo WRITABLE $f; done; echo end"
    assert shell(pod, script) == "end\n"
    out = shell(pod, "cat /proc/self/mountinfo")
    for path in READ_ONLY:
        line = re.search(rf"^\S+ \S+ \S+ \S+ {path} (\S+)", out, re.M)
        assert line is None or line[1].split(",")[0] == "ro", path
