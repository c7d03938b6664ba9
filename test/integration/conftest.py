# SPDX-License-Identifier: Apache-2.0
import pytest

import harness


@pytest.fixture(scope="session")
def apis():
    return harness.load_stubs()


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    """What is on the machine at the end of a suite is what was there before."""
    leaks = harness.Leaks(tmp_path_factory.mktemp("leaks") / "before")
    yield
    leaks.check()


@pytest.fixture(scope="session")
def node(machine, apis, tmp_path_factory):
    node = harness.Node(*apis)
    node.start()
    node.load(harness.busybox_layout(tmp_path_factory.mktemp("image")))
    yield node
    node.destroy()


@pytest.fixture
def make_pod(node):
    """Makes pods that are removed with the test, and checks that nothing of them is left."""
    pods = []

    def make(**options):
        pods.append(harness.Pod(node, **options))
        return pods[-1]

    yield make
    for pod in pods:
        pod.remove()
    assert not [path for path in node.leftovers() if any(pod.id in path for pod in pods)]


@pytest.fixture
def pod(make_pod):
    return make_pod()
