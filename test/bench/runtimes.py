# SPDX-License-Identifier: Apache-2.0
"""The runtimes that are compared: each is started on directories of its own and ended by its pid."""

import json
import os
import pathlib
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("PODMON_CACHE", "/var/cache/podmon-test"))
LAYOUT = CACHE / "images/oci"
IMAGE = "registry.k8s.io/e2e-test-images/busybox:1.29-2"
PAUSE = "registry.k8s.io/pause:3.9"
REF_NAME = "org.opencontainers.image.ref.name"
NETWORK = {
    "cniVersion": "1.0.0", "name": "bench", "plugins": [
        {"type": "bridge", "bridge": "cni-bench", "isGateway": True, "ipMasq": False,
         "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.96.0.0/16"}]],
                  "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "portmap", "capabilities": {"portMappings": True}}],
}
CONTAINERD_CONFIG = """\
version = 2
root = "{base}/root"
state = "/run/{base.name}"
disabled_plugins = ["io.containerd.internal.v1.tracing", "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs", "io.containerd.nri.v1.nri"]
[grpc]
address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{base}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = {restrict}
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{cni}"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "{name}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}.options]
BinaryName = "{binary}"
"""
CAP_SYS_RESOURCE = 24

sys.path.insert(0, str(HERE.parent / "integration"))
import harness  # noqa: E402  it is beside this directory


def version(*command):
    first = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return " ".join(first.splitlines()[0].split()[:4])


def read_blob(digest):
    return LAYOUT / "blobs" / digest.replace(":", "/")


def find_manifest(reference):
    for entry in json.loads((LAYOUT / "index.json").read_text())["manifests"]:
        if entry["annotations"][REF_NAME] == reference:
            return entry
    raise SystemExit(f"bench: no image '{reference}' in {LAYOUT}; run test/cri/make-images")


def unpack_image(reference, directory):
    """The image's files, for the floor program."""
    manifest = json.loads(read_blob(find_manifest(reference)["digest"]).read_text())
    for layer in manifest["layers"]:
        with tarfile.open(read_blob(layer["digest"])) as archive:
            archive.extractall(directory)


def make_small_layout(directory):
    """A layout of the two images that the runtimes need, so that all load the same quickly."""
    (directory / "blobs/sha256").mkdir(parents=True)
    entries = [find_manifest(IMAGE), find_manifest(PAUSE)]
    for entry in entries:
        # containerd's importer takes the whole reference from this annotation.
        entry["annotations"]["io.containerd.image.name"] = entry["annotations"][REF_NAME]
        manifest = json.loads(read_blob(entry["digest"]).read_text())
        for blob in [entry, manifest["config"], *manifest["layers"]]:
            target = directory / "blobs" / blob["digest"].replace(":", "/")
            target.write_bytes(read_blob(blob["digest"]).read_bytes())
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    return directory


def process_parents():
    """{pid: (ppid, argv)} of everything that runs."""
    found = {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text().rpartition(") ")[2].split()
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        found[int(process.name)] = (int(stat[1]), arguments)
    return found


def descendants(roots, parents):
    found, new = set(), set(roots)
    while new:
        found |= new
        new = {pid for pid, (ppid, _) in parents.items() if ppid in found} - found
    return found


class Runtime:
    """start(), stop(), `socket`, `pid` of the daemon; is_supervisor() tells which argv are its, and
    so does `marker`, an argument that all of them have and nobody else."""

    def supervisors(self):
        """What the runtime keeps running for its pods: all but the containers' own processes."""
        parents = process_parents()
        roots = [pid for pid, (_, arguments) in parents.items() if self.is_supervisor(arguments)]
        return [pid for pid in descendants(roots, parents) if parents[pid][1][0] != b"sleep"]


class Podmon(Runtime):
    name = "podmon"

    def __init__(self, base, layout, network):
        os.environ["PODMON_TEST_DIR"] = str(base)
        self.node = harness.Node(*harness.load_stubs())
        self.node.run = pathlib.Path("/run/podmon")  # in memory, as on a real machine
        (self.node.cni / "10-bench.conflist").write_text(json.dumps(network))
        self.parent, self.socket, self.layout = self.node.parent, self.node.socket, layout
        self.marker = self.node.run

    def start(self):
        self.node.start()
        self.node.load(self.layout)
        self.pid = self.node.process.pid
        answer = self.node.v1.Version(version="0.1.0")
        self.version = f"{answer.runtime_name} {answer.runtime_version}"

    def is_supervisor(self, arguments):
        return arguments[0] == b"podmon" and os.fsencode(self.node.run) in arguments

    def stop(self):
        self.node.destroy()


class Containerd(Runtime):
    def __init__(self, binary, base, layout, network):
        self.name = binary
        self.base = base / f"containerd-{binary}"
        self.layout = layout
        self.socket = self.marker = self.base / "containerd.sock"
        self.parent = f"/podmon-bench-{os.getpid()}"
        (self.base / "cni").mkdir(parents=True)
        (self.base / "cni/10-bench.conflist").write_text(json.dumps(network))
        (self.base / "config.toml").write_text(CONTAINERD_CONFIG.format(
            base=self.base, socket=self.socket, pause=PAUSE, cni=self.base / "cni", name=binary,
            binary=f"/usr/bin/{binary}" if binary == "crun" else f"/usr/sbin/{binary}",
            restrict="false" if has_capability(CAP_SYS_RESOURCE) else "true"))
        self.version = f"{version('containerd', '--version')}, {version(binary, '--version')}"

    def start(self):
        with open(self.base / "containerd.log", "wb") as log:
            self.process = subprocess.Popen(
                [*self.hide_controllers(), "containerd", "--config", self.base / "config.toml"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid
        harness.wait_for("containerd answers", lambda: self.ctr("version").returncode == 0)
        archive = self.base / "images.tar"
        with tarfile.open(archive, "w") as images:
            for path in sorted(self.layout.rglob("*")):
                images.add(path, path.relative_to(self.layout), recursive=False)
        imported = self.ctr("-n", "k8s.io", "images", "import", "--all-platforms", archive)
        if imported.returncode != 0:
            raise SystemExit(f"bench: ctr images import: {imported.stderr}")

    def hide_controllers(self):
        """Debian's crun refuses a machine with v1 where v2 has a controller, if only hugetlb. It
        uses none of them there, so it is shown an empty list, in a mount namespace of its own."""
        file = "/sys/fs/cgroup/unified/cgroup.controllers"
        if self.name != "crun" or not os.path.exists(file):
            return []
        return ["unshare", "--mount", "--propagation", "slave", "--", "sh", "-c",
                f'mount --bind /dev/null {file} && exec "$@"', "sh"]

    def ctr(self, *arguments):
        return subprocess.run(["ctr", "--address", self.socket, *arguments], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

    def is_supervisor(self, arguments):
        return arguments[0].endswith(b"containerd-shim-runc-v2") and \
            os.fsencode(self.socket) in arguments

    def stop(self):
        """Shims of pods that an aborted run left behind are ended too, and what runs below them."""
        parents = process_parents()
        shims = [pid for pid, (_, arguments) in parents.items() if self.is_supervisor(arguments)]
        for pid in descendants(shims, parents):
            os.kill(pid, 9)
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def has_capability(number):
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False
