# SPDX-License-Identifier: Apache-2.0
"""A kubelet of the test's own, fed with static pods or by a cluster, and what its own API says."""

import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import harness  # noqa: E402

CACHE = pathlib.Path(os.environ.get("PODMON_CACHE", "/var/cache/podmon-test"))
PORT = 10250
ADDRESS = "10.95.0.2"  # of `run`
LONG = 180 * int(os.environ.get("PODMON_PATIENCE", "1"))  # seconds; more where all is slow
CGROUPS = pathlib.Path("/sys/fs/cgroup")
NETWORK = {
    "cniVersion": "1.0.0", "name": "kubelet", "plugins": [
        {"type": "bridge", "bridge": "cni-kubelet", "isGateway": True, "ipMasq": False,
         "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.94.0.0/16"}]],
                  "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "portmap", "capabilities": {"portMappings": True}}],
}


def hierarchies():
    """Where cgroups can be made: the one of v2, or all of v1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def controllers():
    """Which limits hold on this machine."""
    if hierarchies() == [CGROUPS]:
        return (CGROUPS / "cgroup.controllers").read_text().split()
    return [path.name for path in hierarchies()]


class Kubelet:
    def __init__(self, node, kubeconfig=None, **settings):
        self.node = node
        self.kubeconfig = kubeconfig
        self.settings = settings
        self.base = node.base / "kubelet"
        self.manifests = self.base / "manifests"
        self.manifests.mkdir(parents=True)
        # With systemd it makes slices from the top; a node of its own is the place for that.
        self.root = "" if node.systemd else f"podmon-kubelet-{os.getpid()}"
        self.log_path = self.base / "kubelet.log"
        self.process = None

    def configuration(self):
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "address": "0.0.0.0", "port": PORT, "readOnlyPort": 0, "healthzPort": 0,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": f"unix://{self.node.socket}",
            "staticPodPath": str(self.manifests), "podLogsDir": str(self.base / "logs"),
            "cgroupRoot": "/" + self.root, "cgroupDriver": "cgroupfs", "failCgroupV1": False,
            "failSwapOn": False, "enforceNodeAllocatable": ["none"], "fileCheckFrequency": "1s",
            "syncFrequency": "5s", "resolvConf": "", "localStorageCapacityIsolation": False,
            "evictionHard": {"memory.available": "1Mi"}, "imageGCHighThresholdPercent": 100,
            "containerLogMaxSize": "100Ki", "containerLogMonitorInterval": "3s",
            # Otherwise it asks for memory.oom.group=1, which needs the controller, and v2.
            "singleProcessOOMKill": "memory" not in controllers() or hierarchies() != [CGROUPS],
            **self.settings,
        }

    def start(self):
        if self.root and not (hierarchies()[0] / self.root).exists():
            self.make_cgroups()
        return self.launch()

    def make_cgroups(self):
        for hierarchy in hierarchies():
            (hierarchy / self.root).mkdir()
            for name in ("cpus", "mems"):  # a v1 cpuset is of no use before it has both
                file = hierarchy / self.root / f"cpuset.{name}"
                if file.exists() and not file.read_text().strip():
                    file.write_text((hierarchy / f"cpuset.{name}").read_text())
        if hierarchies() == [CGROUPS]:
            controllers = (CGROUPS / self.root / "cgroup.controllers").read_text().split()
            (CGROUPS / self.root / "cgroup.subtree_control").write_text(
                " ".join("+" + name for name in controllers))

    def launch(self):
        configuration = self.base / "kubelet.json"
        configuration.write_text(json.dumps(self.configuration()))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [CACHE / "bin/kubelet", "--config", configuration, "--root-dir",
                 self.base / "root", "--cert-dir", self.base / "pki", "--hostname-override",
                 "node", "--v=2",
                 *(["--kubeconfig", self.kubeconfig, "--node-ip", ADDRESS]
                   if self.kubeconfig else [])], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        harness.wait_for("the kubelet's API", self.is_healthy, seconds=LONG)
        return self

    def is_healthy(self):
        assert self.process.poll() is None, self.log()[-4000:]
        try:
            return self.get("/healthz") == b"ok"
        except OSError:
            return False

    def get(self, path):
        context = ssl._create_unverified_context()
        with urllib.request.urlopen(f"https://127.0.0.1:{PORT}{path}", context=context,
                                    timeout=30) as answer:
            return answer.read()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def errors(self):
        """What it says of calls that failed, and why."""
        return [line for line in self.log().splitlines()
                if re.match(r"[EF]\d{4} ", line) and ("rpc error" in line or "CRI" in line
                                                      or "untime" in line)]

    def run(self, name, spec):
        pod = {"apiVersion": "v1", "kind": "Pod",
               "metadata": {"name": name, "namespace": "test", "labels": {"app": name}},
               "spec": {"terminationGracePeriodSeconds": 5, **spec}}
        temporary = self.base / f"{name}.new"
        temporary.write_text(json.dumps(pod))
        temporary.rename(self.manifests / f"{name}.json")

    def delete(self, name):
        (self.manifests / f"{name}.json").unlink()

    def pod(self, name):
        pods = json.loads(self.get("/pods")).get("items") or []
        return next((p for p in pods if p["metadata"]["name"] == f"{name}-node"), None)

    def container(self, name, container):
        """Its status, also of an init container, or an empty dictionary."""
        status = (self.pod(name) or {}).get("status", {})
        every = status.get("containerStatuses", []) + status.get("initContainerStatuses", [])
        return next((c for c in every if c["name"] == container), {})

    def is_ready(self, name):
        conditions = (self.pod(name) or {}).get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def logs(self, name, container, **query):
        text = "&".join(f"{key}={value}" for key, value in query.items())
        return self.get(f"/containerLogs/test/{name}-node/{container}?{text}").decode()

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)

    def restart(self, **settings):
        self.stop()
        self.settings.update(settings)
        self.launch()

    def clean_up(self):
        """Its cgroups, and the volumes that it has mounted."""
        mounts = [line.split()[4] for line in open("/proc/self/mountinfo")
                  if line.split()[4].startswith(str(self.base))]
        for mount in reversed(mounts):
            subprocess.run(["umount", mount], check=True)
        for hierarchy in hierarchies() if self.root else []:
            for directory, _, _ in os.walk(hierarchy / self.root, topdown=False):
                os.rmdir(directory)
