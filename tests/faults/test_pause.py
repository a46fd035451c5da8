"""The steps at which the attacks kill are there: a renamed function is found here, and not in a house that survives."""

from __future__ import annotations

import inspect

import pytest

from tests.faults.pause import STEPS, Step, find


@pytest.mark.parametrize("step", [step for steps in STEPS.values() for step in steps.values()], ids=str)
def test_a_step_is_a_function_of_the_product(step: Step) -> None:
    _, _, function = find(step)
    assert callable(function)
    # Whoever calls a coroutine function gets a coroutine, whose work has not begun: there is no "after" to stop at.
    assert not (step.after and inspect.iscoroutinefunction(function))
