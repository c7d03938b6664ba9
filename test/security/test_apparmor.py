# SPDX-License-Identifier: Apache-2.0
"""AppArmor: the default profile, profiles of the node, and the refusal of what is not loaded."""

import pathlib
import subprocess

import grpc
import pytest

from harness import status_of
from support import privileged_pod, security, shell

PROFILES = pathlib.Path("/sys/kernel/security/apparmor/profiles")
CURRENT = "cat /proc/self/attr/apparmor/current"
ON = PROFILES.exists()
needs_apparmor = pytest.mark.skipif(not ON, reason="this kernel runs without AppArmor")
DENY_TMP = """#include <tunables/global>
profile podmon-test-deny flags=(attach_disconnected) {
  #include <abstractions/base>
  file,
  deny /denied/** w,
}
"""


@pytest.fixture
def deny_profile(tmp_path):
    """A profile of the node's, loaded, and gone with the test."""
    file = tmp_path / "profile"
    file.write_text(DENY_TMP)
    subprocess.run(["apparmor_parser", "--replace", file], check=True)
    yield "podmon-test-deny"
    subprocess.run(["apparmor_parser", "--remove", file], check=True)


def profile(node, kind, name=""):
    api = node.v1_api
    return api.SecurityProfile(profile_type=api.SecurityProfile.ProfileType.Value(kind),
                               localhost_ref=name)


@needs_apparmor
def test_the_default_profile_is_loaded_by_the_dispatcher(node):
    subprocess.run(["apparmor_parser", "--remove"], input=b"profile podmon-default {}", check=True)
    assert "podmon-default (" not in PROFILES.read_text()
    node.restart()
    assert "podmon-default (enforce)" in PROFILES.read_text()


@needs_apparmor
@pytest.mark.parametrize("kind", [None, "RuntimeDefault"])
def test_the_default_profile_confines(node, pod, kind):
    fields = {"apparmor": profile(node, kind)} if kind else {}
    linux = security(node, capabilities=node.v1_api.Capability(add_capabilities=["ALL"]), **fields)
    out = shell(pod, f"{CURRENT}; mkdir /m; mount -t tmpfs x /m || echo refused; "
                     "echo x > /file && echo written", linux=linux)
    assert out == "podmon-default (enforce)\nrefused\nwritten\n"


@needs_apparmor
def test_an_exec_is_confined_too(node, pod):
    container = pod.start("sleep", "1000")
    out = pod.exec(container, "cat", "/proc/self/attr/apparmor/current").stdout
    assert out == b"podmon-default (enforce)\n"


@needs_apparmor
def test_unconfined_and_privileged(node, make_pod):
    pod = privileged_pod(node, make_pod)
    for fields in ({"apparmor": profile(node, "Unconfined")},
                   {"privileged": True, "apparmor": profile(node, "RuntimeDefault")}):
        assert shell(pod, CURRENT, linux=security(node, **fields)) == "unconfined\n"


@needs_apparmor
@pytest.mark.parametrize("prefix", ["", "localhost/"])
def test_a_profile_of_the_node(node, pod, deny_profile, prefix):
    linux = security(node, apparmor=profile(node, "Localhost", prefix + deny_profile))
    container = pod.start("sh", "-c", "mkdir /denied; touch /denied/x || echo refused; "
                          "touch /x && echo written; sleep 1000", linux=linux)
    out = pod.exec(container, "sh", "-c", f"{CURRENT}; touch /denied/y || echo refused").stdout
    assert out == b"podmon-test-deny (enforce)\nrefused\n"
    assert pod.output(container).splitlines()[-2:] == ["refused", "written"]


@pytest.mark.parametrize("name", ["podmon-is-not-loaded", "podmon-defaul", "podmon-default2"])
def test_what_is_not_loaded_is_refused_at_once(node, pod, name):
    code, text = status_of(pod.create, "true", linux=security(
        node, apparmor=profile(node, "Localhost", name)))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert f'"{name}"' in text and ("is not loaded" if ON else "without AppArmor") in text
    assert not node.v1.ListContainers(filter=node.v1_api.ContainerFilter(
        pod_sandbox_id=pod.id)).containers


@needs_apparmor
def test_the_deprecated_string(node, pod, deny_profile):
    out = shell(pod, CURRENT, linux=security(node, apparmor_profile=f"localhost/{deny_profile}"))
    assert out == "podmon-test-deny (enforce)\n"
    assert shell(pod, CURRENT, linux=security(node, apparmor_profile="unconfined")) == "unconfined\n"
    out = shell(pod, CURRENT, linux=security(
        node, apparmor_profile="localhost/is-not-loaded", apparmor=profile(node, "Unconfined")))
    assert out == "unconfined\n"
