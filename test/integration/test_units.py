# SPDX-License-Identifier: Apache-2.0
"""The units of a real installation, on a test node that is thrown away: activation by socket, a
service that is ready when it says so, restarts that neither pods nor callers notice."""

import os
import pathlib
import shutil
import subprocess
import threading

import grpc
import pytest

import harness
from harness import BUILD, Client, wait_for

SOCKET = pathlib.Path("/run/podmon/podmon.sock")
ROOT = pathlib.Path("/var/lib/node/installed")  # The node's own /var/lib cannot carry overlays.
CONFIG = pathlib.Path("/etc/podmon/podmon.conf")
RESTARTS = 5

pytestmark = pytest.mark.skipif(
    os.environ.get("PODMON_TEST_DIR") != "/var/lib/node"
    or not pathlib.Path("/run/systemd/system").is_dir(),
    reason="installs units: only on a test node with systemd, which test/node makes")


def systemctl(*arguments):
    return subprocess.run(["systemctl", *arguments], check=True, stdout=subprocess.PIPE, text=True,
                          timeout=60).stdout


def property_of(unit, name):
    return systemctl("show", "--value", "-p", name, unit).strip()


class Installed:
    """The dispatcher of the units, with the interface that harness.Pod needs of a node."""

    def __init__(self, apis, logs):
        self.seed_api, self.v1_api = apis
        self.seed, self.v1 = (Client(api, f"unix:{SOCKET}") for api in apis)
        self.logs, self.systemd = logs, True

    def close(self):
        for client in (self.seed, self.v1):
            client.close()


@pytest.fixture(scope="module")
def installed(machine, apis, tmp_path_factory):
    subprocess.run(["cmake", "--install", BUILD], check=True, stdout=subprocess.DEVNULL)
    CONFIG.parent.mkdir()
    CONFIG.write_text(f"[dispatcher]\nroot_dir = {ROOT}\n")
    systemctl("daemon-reload")
    systemctl("start", "podmon-dispatcher.socket")
    image = harness.busybox_layout(tmp_path_factory.mktemp("image"))
    subprocess.run(["/usr/local/bin/podmonctl", "--root", ROOT, "load", image], check=True,
                   stdout=subprocess.DEVNULL)
    node = Installed(apis, tmp_path_factory.mktemp("logs"))
    yield node
    for pod in node.v1.ListPodSandbox().items:
        node.v1.RemovePodSandbox(pod_sandbox_id=pod.id)
    node.close()
    systemctl("stop", "podmon-dispatcher.socket", "podmon-dispatcher.service", "podmon.slice")
    assert not SOCKET.exists()
    assert property_of("podmon-dispatcher.service", "Result") == "success"
    for path in (BUILD / "install_manifest.txt").read_text().splitlines():
        pathlib.Path(path).unlink()
    shutil.rmtree(CONFIG.parent)
    systemctl("daemon-reload")


def test_systemd_has_nothing_to_say_about_the_units(installed):
    directory = pathlib.Path("/usr/local/lib/systemd/system")
    units = [str(path) for path in directory.glob("podmon*")]
    assert len(units) == 3
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], timeout=60,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ours = [line for line in result.stdout.splitlines() if "podmon" in line]
    assert result.returncode == 0 and not ours, result.stdout


def test_the_first_caller_starts_the_service(installed):
    assert installed.v1.Version().runtime_name == "podmon"
    # With this type, active means that it has said so itself.
    assert property_of("podmon-dispatcher.service", "Type") == "notify"
    assert property_of("podmon-dispatcher.service", "ActiveState") == "active"
    assert SOCKET.stat().st_mode & 0o777 == 0o600


def call_until(stop, api, calls, failures):
    """Each time a connection of its own: it is the connecting that may be refused."""
    while not stop.is_set():
        client = Client(api, f"unix:{SOCKET}")
        try:
            stub = client.services[0].Version
            stub(api.messages.VersionRequest(version="v1"), timeout=30)  # does not wait for ready
            calls.append(1)
        except grpc.RpcError as error:
            failures.append((error.code(), error.details()))
        client.close()


def test_restarts_refuse_nobody_and_touch_no_pod(installed):
    pod = harness.Pod(installed)
    container = pod.start("sh", "-c", "while :; do date; sleep 0.1; done")
    pid = harness.podmon_pid(pod)
    stop, calls, failures = threading.Event(), [], []
    callers = [threading.Thread(target=call_until,
                                args=(stop, installed.v1_api, calls, failures)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for _ in range(RESTARTS):
        before = len(calls)
        systemctl("restart", "podmon-dispatcher.service")
        wait_for("more calls", lambda: len(calls) > before + 4)
    stop.set()
    for caller in callers:
        caller.join()
    assert not failures, failures
    assert harness.podmon_pid(pod) == pid
    assert pod.status(container).state == installed.v1_api.CONTAINER_RUNNING
    pod.remove()


def test_a_killed_service_comes_back_by_itself(installed):
    pod = harness.Pod(installed)
    before = property_of("podmon-dispatcher.service", "MainPID")
    systemctl("kill", "-s", "KILL", "podmon-dispatcher.service")
    wait_for("another process", lambda: property_of("podmon-dispatcher.service", "MainPID")
             not in ("0", before))
    client = Client(installed.v1_api, f"unix:{SOCKET}")  # The old one's connection has died.
    assert [item.id for item in client.ListPodSandbox().items] == [pod.id]
    client.close()
    assert property_of("podmon-dispatcher.service", "ActiveState") == "active"
    pod.remove()
