# SPDX-License-Identifier: Apache-2.0
"""The fixtures are those of the integration tests: a dispatcher, its pods, its image."""

import importlib.util
import pathlib
import sys

INTEGRATION = pathlib.Path(__file__).resolve().parents[1] / "integration"
sys.path.insert(0, str(INTEGRATION))

_spec = importlib.util.spec_from_file_location("integration_fixtures", INTEGRATION / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
machine, apis, node = _fixtures.machine, _fixtures.apis, _fixtures.node
make_pod, pod = _fixtures.make_pod, _fixtures.pod

import images  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture
def make_image(node, tmp_path):
    """Makes images that are gone with the test."""
    made = []

    def make(name, entries=None, **config):
        directory = tmp_path / f"image-{name}"
        directory.mkdir()
        made.append(images.make(node, directory, name, entries, **config))
        return made[-1]

    yield make
    for reference in made:
        node.v1.RemoveImage(image=node.v1_api.ImageSpec(image=reference))


@pytest.fixture
def canary(tmp_path):
    """A directory of the host's that nothing in a container may change."""
    directory = tmp_path / "canary"
    directory.mkdir()
    (directory / "file").write_text("alive")
    yield directory
    assert [path.name for path in directory.iterdir()] == ["file"]
    assert (directory / "file").read_text() == "alive"
