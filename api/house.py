"""What every request handler needs, put together once by ``create_app`` and found through the current application."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app
from sqlalchemy import Engine

from api.bell import Ringer
from api.census import Census
from api.keys import KeyRing
from api.rate import RateLimiter
from shared.clock import Clock
from shared.settings import Settings

EXTENSION = "waihu"


@dataclass(frozen=True)
class House:
    settings: Settings
    engine: Engine
    ringer: Ringer
    clock: Clock
    census: Census
    keys: KeyRing
    limiter: RateLimiter


def house() -> House:
    """The house of the application that handles this request."""
    found: House = current_app.extensions[EXTENSION]
    return found
