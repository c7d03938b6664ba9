# SPDX-License-Identifier: Apache-2.0
"""System calls that fail, one after the other: strace at one process for the time of one request."""

import collections
import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time

import grpc

from harness import BUSYBOX, wait_for
from support import podmon_pid

# What no program can do anything about: its own end, the locks of its memory, waiting for events.
SPARED = "exit,exit_group,rt_sigreturn,futex,restart_syscall,execve,close,epoll_wait,poll"


class Injection:
    """The `ordinal`-th of the process's calls of one kind, or of every kind, fails with `error`, or
    is its last ("KILL"). Without an error nothing fails."""

    def __init__(self, pid, error, ordinal=0, kind=f"!{SPARED}"):
        self.pid = pid
        how = "signal=KILL" if error == "KILL" else f"error={error}"
        self.out = tempfile.NamedTemporaryFile(prefix="sweep-")
        self.strace = subprocess.Popen(
            ["strace", "-q", "-p", str(pid), "-o", self.out.name, "-e",
             f"inject={kind}:{how}:when={ordinal}" if error else f"trace={kind}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def __enter__(self):
        tracer = lambda: f"TracerPid:\t{self.strace.pid}" in read(self.pid, "status")  # noqa: E731
        wait_for("strace", lambda: tracer() or self.strace.poll() is not None)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.strace.send_signal(signal.SIGINT)
        self.strace.communicate(timeout=20)

    def has_struck(self):
        text = pathlib.Path(self.out.name).read_text(errors="replace")
        return "(INJECTED)" in text or "= ?\n" in text  # of a call that never came back

    def calls(self):
        """What was called, in order: (kind, how many of this kind so far)."""
        count = collections.Counter()
        names = (line.split("(", 1)[0] for line in
                 pathlib.Path(self.out.name).read_text(errors="replace").splitlines())
        for name in (name for name in names if name.isidentifier()):
            count[name] += 1
            yield name, count[name]


def read(pid, name):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/{name}").read_text()
    return ""


class Life:
    """One pod with one container, request by request; each can be sent again."""

    def __init__(self, node, uid):
        api = node.v1_api
        self.node = node
        self.config = api.PodSandboxConfig(
            metadata=api.PodSandboxMetadata(name="sweep", uid=uid, namespace="test"),
            log_directory=str(node.logs / uid),
            linux=api.LinuxPodSandboxConfig(security_context=api.LinuxSandboxSecurityContext(
                namespace_options=api.NamespaceOption(network=api.NamespaceMode.Value("NODE")))))
        self.container_config = api.ContainerConfig(
            metadata=api.ContainerMetadata(name="c"), image=api.ImageSpec(image=BUSYBOX),
            command=["sh", "-c", "echo one; sleep 1000"], log_path="c.log")
        self.id = self.container = self.problem = ""
        self.steps = {"RunPodSandbox": self.run, "CreateContainer": self.create,
                      "StartContainer": self.start, "StopPodSandbox": self.stop,
                      "RemovePodSandbox": self.remove}

    def run(self, timeout=20):
        self.id = self.node.v1.RunPodSandbox(config=self.config, rpc_timeout=timeout).pod_sandbox_id

    def create(self, timeout=20):
        self.container = self.node.v1.CreateContainer(
            pod_sandbox_id=self.id, config=self.container_config, sandbox_config=self.config,
            rpc_timeout=timeout).container_id

    def start(self, timeout=20):
        state = self.node.v1.ContainerStatus(container_id=self.container,
                                             rpc_timeout=timeout).status.state
        if state != self.node.v1_api.CONTAINER_RUNNING:
            self.node.v1.StartContainer(container_id=self.container, rpc_timeout=timeout)

    def stop(self, timeout=20):
        self.node.v1.StopPodSandbox(pod_sandbox_id=self.id, rpc_timeout=timeout)

    def remove(self, timeout=20):
        self.node.v1.RemovePodSandbox(pod_sandbox_id=self.id, rpc_timeout=timeout)

    def until(self, step):
        for name, function in self.steps.items():
            if name == step:
                return
            function()

    def rest(self, step):
        """The step again, until it succeeds, and all that follow."""
        names = list(self.steps)
        for name in names[names.index(step):]:
            end = time.monotonic() + 30
            while not self.attempt(name):
                assert time.monotonic() < end, f"{name} still fails: {self.problem}"

    def attempt(self, name):
        """True if it has succeeded. A container that could not be started is replaced, as the
        kubelet does it."""
        revive(self.node)
        try:
            self.steps[name](timeout=3)
            return True
        except grpc.RpcError as error:
            self.problem = error.details()
            if name == "StartContainer" and error.code() != grpc.StatusCode.UNAVAILABLE:
                with contextlib.suppress(grpc.RpcError):
                    self.node.v1.RemoveContainer(container_id=self.container, rpc_timeout=3)
                    self.container_config.metadata.attempt += 1
                    self.create(timeout=3)
            return False


def revive(node):
    """A dispatcher that the fault has ended is started again."""
    if node.process.poll() is not None:
        node.start()


def strike(node, life, step, target, fault, *failure):
    """Carries the step out under an Injection(pid, *failure) of the target, which is returned."""
    if step == "RemovePodSandbox":  # the podmon that has stopped the pod is on its way out
        wait_for("no podmon", lambda: not podmon_pid(life))
    if target == "podmon" and step in ("RunPodSandbox", "RemovePodSandbox"):
        return strike_newborn(node, life, step, fault, *failure)
    pid = podmon_pid(life) if target == "podmon" else node.process.pid
    with Injection(pid, *failure) as injection:
        with contextlib.suppress(grpc.RpcError):
            life.steps[step](timeout=5)
    return injection


def strike_newborn(node, life, step, fault, *failure):
    """The podmon that this step starts is stopped at its first breath, until strace is there."""
    request = life.steps[step]
    fault("podmon-begun=1*stop")
    before = set(stopped_podmons(node))
    caller = threading.Thread(target=quietly, args=[request])
    caller.start()
    pid = wait_for("the new podmon", lambda: next(iter(set(stopped_podmons(node)) - before), None))
    with Injection(pid, *failure) as injection:
        fault()  # its successors are not to be stopped
        os.kill(pid, signal.SIGCONT)
        caller.join()
    return injection


def quietly(request):
    with contextlib.suppress(grpc.RpcError):
        request(timeout=5)


def stopped_podmons(node):
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if (arguments[0] == b"podmon" and str(node.run).encode() in arguments
                    and "\nState:\tT" in (process / "status").read_text()):
                yield int(process.name)
