"""The numbers we call from: how many calls a day each may still make, and whether its answer rate lets it go on.

Both are counted from SQL: a rebuilt Redis forgets neither. A call counts for the day on which its row was made, which is
the day of its record; one that never left the house counts for none.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Connection, and_, bindparam, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from shared.answer_rate import HealthRule, Slump, judge
from shared.database import is_postgresql
from shared.lifecycle import HANGUP_GRACE_MS, NO_ANSWER, CallState
from shared.numbers import mask
from shared.schema import caller_rests, calls
from shared.settings import Caller
from workers.house import House
from workers.room import Lease

HISTORY_MS = 30 * 24 * 3600 * 1000
"""How far back a number's own past reaches: what was before says little of its lists and hours now."""
JUDGED_KEY = "waihu:rung:health"
JUDGED_EVERY_MS = 30_000
"""Between two looks at all numbers: in that time a number makes fewer calls than a judgement takes."""

log = logging.getLogger(__name__)


_RESTING = select(caller_rests.c.caller).where(caller_rests.c.until > bindparam("now", type_=BigInteger))

# --- calls a day -----------------------------------------------------------------------------------------------------


def openings(connection: Connection, callers: Sequence[Caller], zone: ZoneInfo, now: int) -> dict[str, int]:
    """How many more calls may be given to each number that is limited just now: none to one that rests."""
    daily = {caller.number: caller.daily for caller in callers if caller.daily}
    made = made_today(connection, daily, zone, now)
    left = {number: max(0, most - made[number]) for number, most in daily.items()}
    resting = connection.execute(_RESTING, {"now": now}).scalars()
    return left | dict.fromkeys(resting, 0)


def within_daily(
    connection: Connection, callers: Sequence[Caller], leases: Sequence[Lease], zone: ZoneInfo, now: int
) -> list[Lease]:
    """Those of ``leases`` whose numbers may make these calls today, for the transaction that writes the calls.

    It locks the numbers' counts until it ends: two dispatchers that both see one call left would make two.
    """
    daily = {caller.number: caller.daily for caller in callers if caller.daily}
    asked = sorted({lease.caller for lease in leases} & set(daily))
    if not asked:
        return list(leases)
    if is_postgresql(connection):  # SQLite has one writer at a time
        for number in asked:
            connection.execute(select(func.pg_advisory_xact_lock(_lock_of(number))))
    made = made_today(connection, asked, zone, now)
    kept = []
    for lease in leases:
        if lease.caller in daily and made[lease.caller] >= daily[lease.caller]:
            continue
        made[lease.caller] += 1
        kept.append(lease)
    return kept


def made_today(connection: Connection, numbers: Collection[str], zone: ZoneInfo, now: int) -> Counter[str]:
    """How many calls of these numbers count for the day that it is in ``zone``."""
    if not numbers:
        return Counter()
    statement = (
        select(calls.c.caller, func.count())
        .where(
            calls.c.caller.in_(numbers),
            calls.c.created_at >= day_began(now, zone),
            calls.c.call_type == "02",
            calls.c.state != CallState.UNPLACED,
        )
        .group_by(calls.c.caller)
    )
    return Counter({row[0]: row[1] for row in connection.execute(statement)})


def day_began(now: int, zone: ZoneInfo) -> int:
    """The midnight before ``now``, or where the clock jumped over it, that moment."""
    midnight = datetime.fromtimestamp(now / 1000, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return round(midnight.timestamp() * 1000)


def _lock_of(number: str) -> int:
    """A key for PostgreSQL's advisory locks that nothing else uses: 64 bits, with a sign."""
    digest = hashlib.blake2b(f"waihu:daily:{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


# --- answer rate -----------------------------------------------------------------------------------------------------


def rest_slumped_callers(house: House) -> None:
    """Lets every number rest whose answer rate fell far below its own history; it comes back by itself.

    Each is judged by itself: if all of them fall, all rest, and tasks wait. A rate that falls everywhere at once has a
    cause that calling on would not mend, and a number that carriers mark as spam only gets worse by it.
    """
    rule = house.gate_config.health
    if rule is None or not house.redis.set(JUDGED_KEY, 1, nx=True, px=JUDGED_EVERY_MS):
        return
    now = house.clock.now_ms()
    known = now - house.policies.default.ring_timeout_ms - HANGUP_GRACE_MS
    for caller in house.settings.callers:
        with house.read() as connection:
            slump = slump_of(connection, caller.number, rule, now, known)
        if slump is not None:
            _rest(house, caller.number, rule, slump, now)


def slump_of(connection: Connection, number: str, rule: HealthRule, now: int, known: int) -> Slump | None:
    """How far the number's answer rate fell, if that is far enough; None too while it rests.

    Of calls until ``known`` it is known whether they were answered: those that are later are left out altogether, or
    the ones that nobody answered, which take longest to end, would be missing.
    """
    rest = connection.execute(select(caller_rests.c.until).where(caller_rests.c.caller == number)).scalar()
    if rest is not None and rest > now:
        return None
    nobody = and_(calls.c.state == CallState.ENDED, calls.c.hangup_cause == NO_ANSWER)
    statement = (
        select(calls.c.answered_at.is_not(None), calls.c.created_at)
        .where(
            calls.c.caller == number,
            calls.c.created_at.between(now - HISTORY_MS, known),
            calls.c.call_type == "02",
            or_(calls.c.answered_at.is_not(None), nobody),
        )
        .order_by(calls.c.created_at.desc())
        .limit(rule.reads)
    )
    rows = connection.execute(statement).all()
    fresh = sum(rest is None or row[1] >= rest for row in rows)
    return judge(rule, [bool(row[0]) for row in rows], fresh)


def _rest(house: House, number: str, rule: HealthRule, slump: Slump, now: int) -> None:
    until = now + rule.rest_ms
    reason = f"answered {slump.recent:.0%} of its latest {rule.calls} calls, {slump.usual:.0%} before"
    row = {"caller": number, "until": until, "reason": reason, "created_at": now}

    def write(connection: Connection) -> bool:
        into = postgresql.insert(caller_rests) if is_postgresql(connection) else sqlite.insert(caller_rests)
        over = into.values(row).on_conflict_do_update(
            index_elements=[caller_rests.c.caller], set_=row, where=caller_rests.c.until <= now
        )
        return connection.execute(over).rowcount == 1

    if house.commit(write):
        log.warning(
            "a caller number rests: it is answered far less than before",
            extra={"caller": mask(number), "reason": reason, "until": until},
        )
