"""Lets the stored lines follow WAIHU_COUNTRY_CODE: what is computed, and by whom it is waited for, is in ``shared.lines``."""

from __future__ import annotations

import logging

from shared import lines
from workers.house import House

PIECES = 50
"""Transactions of one sweep, so that its other steps have their turn: a hundred thousand rows."""

log = logging.getLogger(__name__)


def compute_lines(house: House) -> None:
    """At a process's first sweep: lines of another country than its own are computed anew, and by later sweeps if it takes long.

    Of two processes that have different settings the one that was started last is right; both place calls by its lines.
    """
    with house.read() as connection:
        found = lines.state(connection)
    wanted = house.settings.country_code
    if not house.lines_compared and found.country != wanted:
        house.commit(lambda connection: lines.change_country(connection, wanted))
        log.warning(
            "WAIHU_COUNTRY_CODE has changed: customers' lines are computed anew, and no call is placed meanwhile",
            extra={"before": found.country, "country": wanted},
        )
    elif found.stage == lines.DONE:
        house.lines_compared = True
        return
    house.lines_compared = True
    for _ in range(PIECES):
        if not house.commit(lines.compute_some):
            log.info("all lines are computed anew", extra={"country": wanted})
            return
