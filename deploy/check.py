"""One thing that ``waihu doctor`` looked at, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """``fix``: what to do, "" if nothing."""

    name: str
    state: State
    detail: str
    fix: str = ""


Checks = Iterator[Check]
