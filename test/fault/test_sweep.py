# SPDX-License-Identifier: Apache-2.0
"""System calls of a request fail once, or are the last of their process: the request can be sent
again, the pod lives on as if nothing had been, and nothing of it is left in the end. Which calls a
request makes is taken from one that nothing happens to; in full each of them is struck on its own,
with every error."""

import random

import pytest

import sweep
from harness import wait_for

ERRORS = ["KILL", "ENOSPC", "EIO", "EMFILE", "ENOMEM"]
STEPS = ["RunPodSandbox", "CreateContainer", "StartContainer", "StopPodSandbox",
         "RemovePodSandbox"]
FEW = 25  # calls of each request and process, where it is not in full


def carry_out(node, fault, target, step, *failure):
    """The life of a pod with a failure in this step; the Injection."""
    life = sweep.Life(node, "-".join([target, step, *map(str, failure)]))
    print(f"{target} {step}: {failure}")
    sweep.revive(node)
    life.until(step)
    injection = sweep.strike(node, life, step, target, fault, *failure)
    life.rest(step)
    # A removal that failed is carried on without being asked again.
    wait_for("nothing is left",
             lambda: not [path for path in node.leftovers() if life.id in path])
    return injection


@pytest.mark.parametrize("target", ["podmon", "dispatcher"])
@pytest.mark.parametrize("step", STEPS)
def test_every_call_fails_once(node, fault, full, target, step):
    calls = list(carry_out(node, fault, target, step, None).calls())
    # A SIGKILL to a child of one's own does not fail, and there is nothing to be done if it does.
    cases = [(error, number, kind) for kind, number in calls for error in ERRORS
             if kind != "kill" or error == "KILL"]
    cases = random.Random(1).sample(cases, min(full(FEW, len(cases)), len(cases)))
    struck = sum(carry_out(node, fault, target, step, *case).has_struck() for case in cases)
    print(f"{target} {step}: {len(calls)} calls, {len(cases)} cases, {struck} struck")
    assert struck > len(cases) // 2  # not every one: no two requests are quite the same
    assert not [pod for pod in node.v1.ListPodSandbox().items if pod.metadata.name == "sweep"]
