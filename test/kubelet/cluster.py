# SPDX-License-Identifier: Apache-2.0
"""A control plane of the test's own: etcd, an API server, and kubectl. No scheduler and no
controllers: pods name their node, and what controllers would make is made here."""

import json
import os
import secrets
import ssl
import subprocess
import urllib.error
import urllib.request

from kubelet import ADDRESS, CACHE, LONG, harness

SERVER = "https://127.0.0.1:6443"
NAMESPACE = "test"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
STRATEGIC = "application/strategic-merge-patch+json"


class Cluster:
    def __init__(self, base):
        self.base = base
        self.token = secrets.token_hex(16)
        self.kubeconfig = base / "kubeconfig"
        self.processes = []
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(base),
                            "KUBECONFIG": str(self.kubeconfig)}

    def spawn(self, program, *arguments):
        with open(self.base / f"{program}.log", "ab") as log:
            self.processes.append(subprocess.Popen(
                [CACHE / "bin" / program, *map(str, arguments)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=self.environment))

    def start(self):
        self.base.mkdir()
        self.write_kubeconfig()
        self.spawn("etcd", "--data-dir", self.base / "etcd", "--unsafe-no-fsync",
                   "--listen-peer-urls", "http://127.0.0.1:2380")
        key = self.base / "service-accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True,
                       stderr=subprocess.DEVNULL)
        tokens = self.base / "tokens.csv"
        tokens.write_text(f"{self.token},admin,admin,system:masters\n")
        self.spawn("kube-apiserver", "--etcd-servers", "http://127.0.0.1:2379",
                   "--bind-address", "127.0.0.1", "--advertise-address", ADDRESS,
                   "--cert-dir", self.base / "pki", "--token-auth-file", tokens,
                   "--authorization-mode", "AlwaysAllow", "--kubelet-preferred-address-types", "InternalIP",
                   "--service-account-issuer", "https://kubernetes.default.svc",
                   "--service-account-key-file", key, "--service-account-signing-key-file", key,
                   "--service-cluster-ip-range", "10.93.0.0/24")
        harness.wait_for("the API server", self.is_ready, seconds=LONG)
        self.make_namespace()
        return self

    def write_kubeconfig(self):
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": SERVER, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [{"name": "test", "context": {
                "cluster": "test", "user": "admin", "namespace": NAMESPACE}}]}))

    def is_ready(self):
        for process in self.processes:
            assert process.poll() is None, f"{process.args[0]} has ended; see its log"
        try:
            return self.request("GET", "/readyz", raw=True) == b"ok"
        except OSError:
            return False

    def make_namespace(self):
        """With what controllers would put in it for its pods."""
        self.create("/api/v1/namespaces", "Namespace", NAMESPACE)
        self.create(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", "ServiceAccount", "default")
        certificate = (self.base / "pki/apiserver.crt").read_text()
        self.create(f"/api/v1/namespaces/{NAMESPACE}/configmaps", "ConfigMap",
                    "kube-root-ca.crt", data={"ca.crt": certificate})

    def request(self, method, path, body=None, kind="application/json", raw=False):
        context = ssl._create_unverified_context()
        request = urllib.request.Request(
            SERVER + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": kind})
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            data = answer.read()
        return data if raw else json.loads(data)

    def create(self, path, kind, name, version="v1", labels=None, **fields):
        return self.request("POST", path, {
            "apiVersion": version, "kind": kind,
            "metadata": {"name": name, "labels": labels or {"app": name}}, **fields})

    def kubectl(self, *arguments, check=True, **options):
        """Text in and out, unless `text=False`; `env` adds to its environment."""
        options = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                   "timeout": 120, **options}
        options["env"] = {**self.environment, **options.get("env", {})}
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        result = subprocess.run([CACHE / "bin/kubectl", *map(str, arguments)], **options)
        assert not check or result.returncode == 0, result
        return result

    def start_kubectl(self, *arguments, env=None, **options):
        return subprocess.Popen([CACHE / "bin/kubectl", *map(str, arguments)],
                                env={**self.environment, **(env or {})}, **options)

    # Pods

    def run(self, name, spec):
        return self.create(PODS, "Pod", name, spec={
            "nodeName": "node", "terminationGracePeriodSeconds": 5, **spec})

    def pod(self, name):
        try:
            return self.request("GET", f"{PODS}/{name}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def container(self, name, container):
        """Its status, of whatever kind it is, or an empty dictionary."""
        status = (self.pod(name) or {}).get("status", {})
        every = [c for kind in ("containerStatuses", "initContainerStatuses",
                                "ephemeralContainerStatuses") for c in status.get(kind, [])]
        return next((c for c in every if c["name"] == container), {})

    def pod_is_ready(self, name):
        conditions = (self.pod(name) or {}).get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def wait_ready(self, *names):
        for name in names:
            harness.wait_for(f"pod {name} to be ready", lambda name=name: self.pod_is_ready(name),
                             seconds=LONG)

    def delete(self, name):
        self.request("DELETE", f"{PODS}/{name}")

    def wait_gone(self, name):
        harness.wait_for(f"the end of pod {name}", lambda: not self.pod(name), seconds=LONG)

    def events(self, name):
        """What was told of a pod, as (reason, message)."""
        items = self.request("GET", f"/api/v1/namespaces/{NAMESPACE}/events")["items"]
        return [(e["reason"], e.get("message", "")) for e in items
                if e["involvedObject"].get("name") == name]

    def node(self):
        try:
            return self.request("GET", "/api/v1/nodes/node")
        except urllib.error.HTTPError:
            return None

    def node_is_ready(self):
        conditions = (self.node() or {}).get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def summary(self):
        """The kubelet's figures, by way of the API server."""
        return self.request("GET", "/api/v1/nodes/node/proxy/stats/summary")

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(timeout=60)
