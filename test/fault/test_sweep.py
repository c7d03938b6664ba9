# SPDX-License-Identifier: Apache-2.0
"""System calls of a request fail once, or are the last of their process: the request can be sent
again, the pod lives on as if nothing had been, and nothing of it is left in the end. An ordinal
means: the n-th call of every kind."""

import pytest

import sweep
from harness import wait_for

ERRORS = ["KILL", "ENOSPC", "EIO", "EMFILE", "ENOMEM"]
STEPS = ["RunPodSandbox", "CreateContainer", "StartContainer", "StopPodSandbox",
         "RemovePodSandbox"]


def carry_out(node, fault, target, step, error, ordinal):
    """True if it came to a fault."""
    life = sweep.Life(node, f"{target}-{step}-{error}-{ordinal}")
    print(f"{step}: {error} at call {ordinal}")
    sweep.revive(node)
    life.until(step)
    struck = sweep.strike(node, life, step, target, error, ordinal, fault)
    life.rest(step)
    # A removal that failed is carried on without being asked again.
    wait_for("nothing is left",
             lambda: not [path for path in node.leftovers() if life.id in path])
    return struck


@pytest.mark.parametrize("step", STEPS)
def test_every_call_of_podmon_fails_once(node, fault, full, step):
    cases = 0
    # Few: each error begins elsewhere, so that together they touch more of the calls.
    stride = full(23, 1)
    for error in ERRORS:
        ordinal = 1 + ERRORS.index(error) * stride // len(ERRORS)
        while carry_out(node, fault, "podmon", step, error, ordinal):
            cases += 1
            ordinal += stride
    print(f"{step}: {cases} cases")
    assert cases > 0


@pytest.mark.parametrize("step", STEPS)
def test_the_dispatcher_dies_at_every_call(node, fault, full, step):
    cases, ordinal, stride = 0, 1, full(4, 1)
    while carry_out(node, fault, "dispatcher", step, "KILL", ordinal):
        cases += 1
        ordinal += stride
    print(f"{step}: {cases} cases")
    assert cases > 0
