"""A process that leaves is not held up by what the kernel takes back anyway."""

from __future__ import annotations

import subprocess
import sys

import pytest

RING = """
import gc, sys
gc.disable()
class Ring:
    def __init__(self): self.me = self
    def __del__(self): print("collected")
def make(): Ring()
make()
{}
"""


@pytest.mark.parametrize(
    ("line", "said"), [("", "collected\n"), ("import shared.leaving; shared.leaving.leave_quickly()", "")]
)
def test_nothing_is_collected_at_the_end(line: str, said: str) -> None:
    ran = subprocess.run([sys.executable, "-c", RING.format(line)], capture_output=True, text=True, check=True)
    assert ran.stdout == said
