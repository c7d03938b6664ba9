# SPDX-License-Identifier: Apache-2.0
"""What several of the security tests need."""

import contextlib
import json


def security(node, **fields):
    """The linux part of a container's configuration, with these fields of its security context."""
    api = node.v1_api
    options = api.NamespaceOption(network=api.NamespaceMode.Value("NODE"),
                                  pid=api.NamespaceMode.Value("CONTAINER"))
    return api.LinuxContainerConfig(security_context=api.LinuxContainerSecurityContext(
        namespace_options=options, **fields))


def privileged_pod(node, make_pod):
    api = node.v1_api
    return make_pod(linux=api.LinuxPodSandboxConfig(
        security_context=api.LinuxSandboxSecurityContext(privileged=True)))


def shell(pod, script, **fields):
    """What the script prints, run to its end as a container of its own."""
    return pod.run("sh", "-c", script, **fields)[1]


@contextlib.contextmanager
def loopback_network(node):
    """A CNI network that gives pods nothing but their loopback."""
    path = node.cni / "10-loopback.conflist"
    path.write_text(json.dumps({"cniVersion": "1.0.0", "name": "lo",
                                "plugins": [{"type": "loopback"}]}))
    try:
        yield
    finally:
        path.unlink()
