# SPDX-License-Identifier: Apache-2.0
"""A dispatcher of the test's own, on directories of its own, and clients of both its APIs."""

import atexit
import contextlib
import importlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

import grpc

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PODMON_BUILD", SOURCE / "build"))
BUSYBOX = "docker.io/library/busybox:latest"
GIB = 1 << 30


def wait_for(what, condition, seconds=30):
    """Polls until `condition` is true; tests wait for states, never for an amount of time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"after {seconds} s still waiting: {what}"
        time.sleep(0.01)


def load_stubs():
    """Generates the stubs of both APIs from the project's own protos; returns (seed, v1)."""
    out = os.environ.get("PODMON_STUBS")
    if not out:
        out = tempfile.mkdtemp(prefix="podmon-stubs-")
        atexit.register(shutil.rmtree, out, ignore_errors=True)
    out = pathlib.Path(out)
    if not (out / "runtime_v1_pb2_grpc.py").exists():
        from grpc_tools import protoc

        arguments = ["protoc", f"-I{SOURCE / 'proto'}", f"--python_out={out}",
                     f"--grpc_python_out={out}", "runtime.proto", "runtime_v1.proto"]
        assert protoc.main(arguments) == 0
    sys.path.insert(0, str(out))
    return Api("runtime"), Api("runtime_v1")


class Api:
    """The messages and services of one of the two protos."""

    def __init__(self, module):
        self.messages = importlib.import_module(module + "_pb2")
        self.stubs = importlib.import_module(module + "_pb2_grpc")

    def __getattr__(self, name):
        return getattr(self.messages, name)


class Client:
    """Calls by method name, whichever service has it: client.Version(version="0.1.0")."""

    def __init__(self, api, address):
        self.api = api
        self.channel = grpc.insecure_channel(
            address, options=[("grpc.max_receive_message_length", 17 << 20),
                              ("grpc.max_send_message_length", 32 << 20),
                              ("grpc.use_local_subchannel_pool", 1),
                              ("grpc.initial_reconnect_backoff_ms", 50),
                              ("grpc.max_reconnect_backoff_ms", 200)])
        self.services = [api.stubs.RuntimeServiceStub(self.channel),
                         api.stubs.ImageServiceStub(self.channel)]

    def __getattr__(self, method):
        for service in self.services:
            if hasattr(service, method):
                call = getattr(service, method)
                request = getattr(self.api.messages, method + "Request")
                return lambda rpc_timeout=60, **fields: call(
                    request(**fields), timeout=rpc_timeout, wait_for_ready=True)
        raise AttributeError(method)

    def close(self):
        self.channel.close()


def status_of(function, *arguments, **fields):
    """The gRPC status code and text that a call ends with; OK is a failure of the test."""
    try:
        function(*arguments, **fields)
    except grpc.RpcError as error:
        return error.code(), error.details()
    raise AssertionError("the call succeeded")


def podmon_pid(pod):
    """The process that looks after the pod now, or None."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if (arguments[0] == b"podmon" and pod.id.encode() in arguments
                    and (process / "comm").read_text() == "podmon\n"):  # not a keeper of terminals
                return int(process.name)
    return None


class Node:
    """A dispatcher with its run and root directories, and what a test needs to talk to it."""

    def __init__(self, seed_api, v1_api):
        base = os.environ.get("PODMON_TEST_DIR")
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="podmon-it-", dir=base))
        self.run, self.root = self.base / "run", self.base / "root"
        self.logs, self.cni = self.base / "logs", self.base / "cni"
        self.socket = self.base / "podmon.sock"
        self.config = self.base / "podmon.conf"
        self.parent = f"/podmon-it-{os.getpid()}"
        for directory in (self.logs, self.cni):
            directory.mkdir()
        self.systemd = pathlib.Path("/run/systemd/system").is_dir()
        self.write_config()
        self.seed_api, self.v1_api = seed_api, v1_api
        self.program = BUILD / "dispatcher" / "podmon-dispatcher"
        self.process = None
        self.seed = self.v1 = None
        self.log = open(self.base / "dispatcher.log", "ab")

    def write_config(self):
        slice_name = "podmonit.slice" if self.systemd else self.parent
        self.config.write_text(
            f"[dispatcher]\npodmon = {BUILD / 'podmon' / 'podmon'}\n"
            f"[cgroup]\nslice = {slice_name}\n"
            f"[network]\ncni_conf_dir = {self.cni}\ncni_bin_dirs = /usr/lib/cni\n"
            f"[image]\nregistries_dir = {self.base / 'registries.d'}\n")

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "--listen", self.socket, "--run", self.run,
             "--root", self.root, "--config", self.config],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        address = f"unix:{self.socket}"
        self.seed, self.v1 = Client(self.seed_api, address), Client(self.v1_api, address)
        self.v1.Version(rpc_timeout=20)
        return self

    def stop(self, how=signal.SIGTERM):
        for client in (self.seed, self.v1):
            client.close()
        self.process.send_signal(how)
        return self.process.wait(timeout=20)

    def restart(self, how=signal.SIGKILL):
        self.stop(how)
        self.start()

    def upgrade(self, *program):
        """podmonctl upgrade, of every podmon that runs."""
        return subprocess.run(
            [BUILD / "dispatcher" / "podmonctl", "--config", self.config, "--run", self.run,
             "--root", self.root, "upgrade", *program],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def load(self, path, *arguments):
        return subprocess.run(
            [BUILD / "dispatcher" / "podmonctl", "--root", self.root, "--run", self.run, "load",
             path, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout

    def crictl(self, *arguments, check=True, **options):
        tool = pathlib.Path(os.environ.get("PODMON_CACHE", "/var/cache/podmon-test")) / "bin/crictl"
        return subprocess.run(
            [tool, "--runtime-endpoint", f"unix://{self.socket}", "--image-endpoint",
             f"unix://{self.socket}", "--timeout", "30s", *arguments],
            check=check, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def destroy(self):
        """Ends everything of this node. What a test forgot is removed; what cannot be is told."""
        for pod in self.v1.ListPodSandbox().items:
            self.v1.RemovePodSandbox(pod_sandbox_id=pod.id)
        assert self.stop() == 0, "the dispatcher did not end well"
        self.log.close()
        report = (self.base / "dispatcher.log").read_text(errors="replace")
        left = self.leftovers()
        for parent in cgroup_parents(self.parent.strip("/")):
            with contextlib.suppress(OSError):
                parent.rmdir()
        shutil.rmtree(self.base, ignore_errors=True)
        assert not left, f"left behind: {left}"
        for sign in ("AddressSanitizer", "runtime error:", "LeakSanitizer"):
            assert sign not in report, report

    def leftovers(self):
        """Every trace of a pod outside the image store."""
        left = [str(path) for base in (self.run / "pods", self.root / "pods")
                if base.is_dir() for path in base.iterdir()]
        left += [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                 if str(self.base) in line]
        left += [str(path) for path in cgroup_directories(self.parent.strip("/"))]
        left += podmon_processes(self.run)
        return left


def cgroup_parents(name):
    """The directories that the test's pods are put under, one in each hierarchy."""
    base = pathlib.Path("/sys/fs/cgroup")
    hierarchies = [base, *(path for path in base.iterdir() if not path.is_symlink())]
    return [path / name for path in hierarchies if (path / name).is_dir()]


def cgroup_directories(name):
    """The cgroups of pods under that parent."""
    return [child for parent in cgroup_parents(name) for child in parent.iterdir()
            if child.is_dir()]


def podmon_processes(run):
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if arguments[0] == b"podmon" and str(run).encode() in arguments:
                found.append(f"process {process.name}")
    return found


class Leaks:
    """The audit of test/lib/leaks over a whole suite: processes, mounts, network namespaces, links,
    packet filter rules, cgroups, units, leases of addresses."""

    TOOL = SOURCE / "test/lib/leaks"
    # What is not one pod's: what the network plugins make once and keep, too.
    KEPT = [r"podmon(it)?\.slice( active active)?$",  # parents of pods
            r"iptables -A (PREROUTING|OUTPUT|POSTROUTING) .*CNI-HOSTPORT",
            r"iptables -A CNI-HOSTPORT-(MASQ|SETMARK) ",
            r"/var/lib/cni/networks(/[^/]+(/(lock|last_reserved_ip\.\d+))?)?$"]

    def __init__(self, path):
        self.path = path
        # A node with systemd is the suite's own; elsewhere others may be at work.
        others = ([] if pathlib.Path("/run/systemd/system").is_dir()
                  else ["--cgroup", f"podmon-it-{os.getpid()}"])
        subprocess.run([sys.executable, self.TOOL, "snapshot", path, "--program", BUILD, *others,
                        *(f"--ignore={item}" for item in self.KEPT)],
                       check=True)

    def check(self):
        result = subprocess.run([sys.executable, self.TOOL, "compare", self.path,
                                 "--within", "30"],
                                stdout=subprocess.PIPE, text=True)
        assert result.returncode == 0, result.stdout


class Pod:
    """A sandbox with unique metadata, and its containers; host network unless told otherwise."""

    def __init__(self, node, network="NODE", **config):
        self.node = node
        api = node.v1_api
        self.uid = str(uuid.uuid4())
        self.log_directory = node.logs / self.uid
        linux = config.pop("linux", None) or api.LinuxPodSandboxConfig()
        options = linux.security_context.namespace_options
        options.network = api.NamespaceMode.Value(network)
        if network != "NODE":
            config.setdefault("hostname", "test-pod")
        metadata = config.pop("metadata", None) or api.PodSandboxMetadata(
            name="pod-" + self.uid[:8], uid=self.uid, namespace="test", attempt=0)
        self.config = api.PodSandboxConfig(metadata=metadata, linux=linux,
                                           log_directory=str(self.log_directory), **config)
        self.id = node.v1.RunPodSandbox(config=self.config).pod_sandbox_id

    def create(self, *command, name=None, image=BUSYBOX, **fields):
        api = self.node.v1_api
        name = name or "c-" + uuid.uuid4().hex[:8]
        fields.setdefault("log_path", f"{name}.log")
        config = api.ContainerConfig(
            metadata=api.ContainerMetadata(name=name, attempt=fields.pop("attempt", 0)),
            image=api.ImageSpec(image=image), command=command, **fields)
        return self.node.v1.CreateContainer(
            pod_sandbox_id=self.id, config=config, sandbox_config=self.config).container_id

    def start(self, *command, **fields):
        container = self.create(*command, **fields)
        self.node.v1.StartContainer(container_id=container)
        return container

    def run(self, *command, **fields):
        """Runs to the end; returns (status, text of the log's stdout)."""
        container = self.start(*command, **fields)
        return self.finish(container)

    def finish(self, container):
        status = self.wait(container)
        return status, self.output(container)

    def status(self, container):
        return self.node.v1.ContainerStatus(container_id=container).status

    def wait(self, container, state="CONTAINER_EXITED"):
        value = self.node.v1_api.ContainerState.Value(state)
        return wait_for(f"{container} is {state}",
                        lambda: (s := self.status(container)).state == value and s)

    def records(self, container):
        """The container's log as (time, stream, tag, content) tuples."""
        data = pathlib.Path(self.status(container).log_path).read_bytes()
        assert not data or data.endswith(b"\n")
        return [tuple(line.split(b" ", 3)) for line in data.split(b"\n")[:-1]]

    def output(self, container, stream=b"stdout"):
        pieces = [content + (b"\n" if tag == b"F" else b"")
                  for _, name, tag, content in self.records(container) if name == stream]
        return b"".join(pieces).decode(errors="replace")

    def exec(self, container, *command, timeout=20):
        return self.node.v1.ExecSync(container_id=container, cmd=command, timeout=timeout)

    def remove(self):
        self.node.v1.StopPodSandbox(pod_sandbox_id=self.id)
        self.node.v1.RemovePodSandbox(pod_sandbox_id=self.id)


def busybox_layout(directory):
    """An OCI layout of one image, made from Debian's busybox-static."""
    script = SOURCE / "test" / "cri" / "busybox-image"
    subprocess.run([sys.executable, script, directory], check=True)
    return directory


def info(response):
    return json.loads(response.info["info"])
