"""How many calls live, for who wants to stop the house."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from shared.database import open_engine, reading
from shared.lifecycle import CallState
from shared.schema import calls

PHONES = (CallState.DIALING, CallState.RINGING, CallState.ANSWERED)
"""States in which a phone rings, or somebody talks, as far as we know."""


def live_calls(url: str) -> int:
    """Calls whose phone rings or which are talked in; 0 if the database does not tell: it may be what is broken."""
    try:
        engine = open_engine(url)
    except SQLAlchemyError:
        return 0
    try:
        with reading(engine) as connection:
            counted = select(func.count()).select_from(calls).where(calls.c.state.in_(PHONES))
            return int(connection.execute(counted).scalar_one())
    except SQLAlchemyError:
        return 0
    finally:
        engine.dispose()
