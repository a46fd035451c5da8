"""One step's work on many things, each on its own: what is wrong with one of them must not hold up the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from workers.house import DATABASE_AWAY

T = TypeVar("T", int, str)

log = logging.getLogger(__name__)


def each(ids: Sequence[T], work: Callable[[T], object], *, name: str = "uuid") -> None:
    """Does ``work`` for every one of ``ids``; what fails is logged, and the first failure raised when all are done.

    ``name``: what the ids are called in the log. Raises one of DATABASE_AWAY at once: the others would fare no better.
    """
    failures: list[Exception] = []
    for one in ids:
        try:
            work(one)
        except DATABASE_AWAY:
            raise
        except Exception as error:
            log.exception("this one is left for the next round; the others go on", extra={name: one})
            failures.append(error)
    if failures:
        log.error("a round left some undone", extra={"failed": len(failures), "of": len(ids)})
        raise failures[0]
