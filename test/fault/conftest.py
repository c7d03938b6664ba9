# SPDX-License-Identifier: Apache-2.0
import importlib.util
import os
import pathlib
import sys

import pytest

INTEGRATION = pathlib.Path(__file__).resolve().parents[1] / "integration"
sys.path.insert(0, str(INTEGRATION))
_spec = importlib.util.spec_from_file_location("integration_conftest", INTEGRATION / "conftest.py")
_conftest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_conftest)
machine, apis, node = _conftest.machine, _conftest.apis, _conftest.node
make_pod, pod = _conftest.make_pod, _conftest.pod


@pytest.fixture(scope="session", autouse=True)
def fault_file(tmp_path_factory):
    """Where the programs look for faults; of no effect in a build without them."""
    path = tmp_path_factory.mktemp("faults") / "faults"
    path.write_text("")
    os.environ["PODMON_FAULTS"] = str(path)
    return path


@pytest.fixture
def fault(fault_file):
    """fault("place=1*kill"): the next who comes there, once. None are left afterwards."""
    def set_faults(*lines):
        fault_file.write_text("".join(line + "\n" for line in lines))

    yield set_faults
    fault_file.write_text("")


@pytest.fixture
def full(request):
    """How often to do it: few times, or as often as the figures of README.md say."""
    return lambda few, many: many if os.environ.get("PODMON_FAULT_FULL") else few
