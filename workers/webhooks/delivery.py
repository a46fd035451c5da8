"""Deliveries: claimed in SQL, sent outside of any transaction, settled in SQL. At least once, with one id for ever.

A claim puts the delivery's next due time behind the longest that sending takes: whoever is killed in between leaves a
row that is simply due again, and two workers never hold the same one at once. Messages are doorbells; the sweep rings
for whatever is due.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import sqlalchemy.exc
from sqlalchemy import Connection, and_, exists, or_, select, text, update

from shared.doorbell import WEBHOOKS
from shared.outbox import DEAD, DELIVERED, TEST, WAITING
from shared.schema import calls, webhook_deliveries, webhook_endpoints
from workers.house import House
from workers.store import Change
from workers.webhooks.letter import body_of, headers_of
from workers.webhooks.post import Outcome

RETRY_MS = tuple(seconds * 1000 for seconds in (10, 60, 5 * 60, 30 * 60, 2 * 3600, 6 * 3600, 12 * 3600))
"""From one failed attempt to the next: a receiver may be away for most of a day. After the last the delivery is dead."""
MOST_CLAIMS = 2 * (len(RETRY_MS) + 1)
"""Twice what any delivery needs: one that was claimed so often kills or fails whoever takes it up, and is put aside."""
CLAIM_MS = 60_000
"""How long a claimed delivery is nobody else's: several times what one POST may take."""
RECORD_WAIT_MS = 60_000
"""From a task's end to telling of it, at most: so long for the last call's record to close, with all that was said."""
LONGEST_ERROR = 300
"""Characters; the width of the column."""
REMOVED = "the endpoint was removed"

_deliveries, _endpoints = webhook_deliveries.c, webhook_endpoints.c
_WAITING = text(f"webhook_deliveries.state = '{WAITING}'")
"""Written out as the partial index writes it: with a bound parameter no database would see that it may use it."""

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claimed:
    """A delivery in hand. ``attempts`` counts this one."""

    id: str
    endpoint_id: int
    batch_id: int
    event: str
    attempts: int
    url: str
    secret: str


def send_webhooks(house: House) -> None:
    """Has couriers set out to every endpoint for which something is due; returns before they are back."""
    with house.read() as connection:
        active, removed = due_endpoints(connection, house.clock.now_ms())
    if removed:
        house.commit(lambda connection: put_aside(connection))
    for endpoint_id in active:
        house.couriers.offer(endpoint_id, partial(deliver_due, house, endpoint_id))


def due_webhooks(house: House) -> None:
    """A step of the sweep: rings if anything is due."""
    with house.read() as connection:
        active, removed = due_endpoints(connection, house.clock.now_ms())
    if active or removed:
        house.bell.ring(WEBHOOKS)


def ring_for(house: House, change: Change) -> None:
    """Rings when a finished task's last record closed, if anybody is to be told. The sweep would, seconds later."""
    closed = change.call.closed_at is not None and change.held.call.closed_at is None
    if closed and change.task is not None and change.task.final_at is not None and house.subscribers.any():
        house.bell.ring(WEBHOOKS)


def due_endpoints(connection: Connection, now: int) -> tuple[list[int], list[int]]:
    """The endpoints for which a delivery is due, and the removed ones for which any still waits."""
    mine = and_(_deliveries.endpoint_id == _endpoints.id, _WAITING)
    removed = _endpoints.disabled_at.is_not(None)
    statement = select(_endpoints.id, removed.label("removed")).where(
        or_(
            and_(~removed, exists().where(mine, _deliveries.due_at <= now)),
            and_(removed, exists().where(mine)),
        )
    )
    rows = connection.execute(statement.order_by(_endpoints.id)).all()
    return [row.id for row in rows if not row.removed], [row.id for row in rows if row.removed]


def put_aside(connection: Connection) -> None:
    """What waits for an endpoint that was removed is dead; it can be looked at, and is never sent."""
    removed = select(_endpoints.id).where(_endpoints.disabled_at.is_not(None))
    connection.execute(
        update(webhook_deliveries)
        .where(_WAITING, _deliveries.endpoint_id.in_(removed))
        .values(state=DEAD, due_at=None, last_error=REMOVED)
    )


def deliver_due(house: House, endpoint_id: int) -> bool:
    """Sends what is due for one endpoint, one after the other. False if the receiver could not be reached or is busy:
    then it is left alone until the next ring, so that a backlog does not hammer it, nor spend its attempts at once."""
    try:
        while not house.couriers.closing:
            claimed = _at_desk(house, lambda connection: claim(connection, endpoint_id, house.clock.now_ms()))
            if claimed is None:
                return True
            house.couriers.join_in(endpoint_id, partial(deliver_due, house, endpoint_id))  # there may be more
            outcome = _send(house, claimed)
            _settle(house, claimed, outcome)
            if not outcome.reached:
                return False
    except (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError, sqlalchemy.exc.TimeoutError) as error:
        log.warning(
            "the database is away; deliveries wait", extra={"endpoint_id": endpoint_id, "error": type(error).__name__}
        )
        return False
    return True


def claim(connection: Connection, endpoint_id: int, now: int) -> Claimed | None:
    """The delivery that has been due longest, taken in hand; None if there is none that nobody else has."""
    unfinished = exists().where(
        calls.c.batch_id == _deliveries.batch_id,
        calls.c.closed_at.is_(None) | (calls.c.answered_at.is_not(None) & calls.c.dialogue.is_(None)),
    )
    patient = or_(_deliveries.attempts > 0, _deliveries.created_at <= now - RECORD_WAIT_MS, ~unfinished)
    chosen = (
        select(
            _deliveries.id,
            _deliveries.batch_id,
            _deliveries.event,
            _deliveries.attempts,
            _endpoints.url,
            _endpoints.secret,
        )
        .join_from(webhook_deliveries, webhook_endpoints, _endpoints.id == _deliveries.endpoint_id)
        .where(_endpoints.id == endpoint_id, _endpoints.disabled_at.is_(None))
        .where(_WAITING, _deliveries.due_at <= now, patient)
        .order_by(_deliveries.due_at)
        .limit(1)
        .with_for_update(of=webhook_deliveries, skip_locked=True)
    )
    row = connection.execute(chosen).one_or_none()
    if row is None:
        return None
    if row.attempts >= MOST_CLAIMS:
        hopeless = {"state": DEAD, "due_at": None, "last_error": "it was taken up again and again and never settled"}
        connection.execute(update(webhook_deliveries).where(_deliveries.id == row.id).values(hopeless))
        return None
    attempts = row.attempts + 1
    connection.execute(
        update(webhook_deliveries).where(_deliveries.id == row.id).values(attempts=attempts, due_at=now + CLAIM_MS)
    )
    return Claimed(row.id, endpoint_id, row.batch_id, row.event, attempts, row.url, row.secret)


def settle(connection: Connection, claimed: Claimed, outcome: Outcome, now: int) -> str:
    """Stores what came of an attempt; returns the delivery's state. What somebody else knows better by now stays."""
    mine = and_(_deliveries.id == claimed.id, _WAITING)
    if outcome.delivered:
        values = {"state": DELIVERED, "delivered_at": now, "due_at": None, "last_error": ""}
        connection.execute(update(webhook_deliveries).where(mine).values(values))
        return DELIVERED
    delays = () if claimed.event == TEST else RETRY_MS
    over = claimed.attempts > len(delays)
    due_at = None if over else now + delays[claimed.attempts - 1]
    values = {"state": DEAD if over else WAITING, "due_at": due_at, "last_error": outcome.error[:LONGEST_ERROR]}
    connection.execute(update(webhook_deliveries).where(mine, _deliveries.attempts == claimed.attempts).values(values))
    return str(values["state"])


def _send(house: House, claimed: Claimed) -> Outcome:
    now = house.clock.now_ms()
    with house.couriers.desk, house.read() as connection:
        body = body_of(
            connection, house.settings, claimed.endpoint_id, claimed.id, claimed.event, claimed.batch_id, now
        )
    if body is None:
        return Outcome(False, "the task is gone")
    return house.post.send(claimed.url, headers_of(claimed.id, claimed.secret, body, now), body)


def _settle(house: House, claimed: Claimed, outcome: Outcome) -> None:
    state = _at_desk(house, lambda connection: settle(connection, claimed, outcome, house.clock.now_ms()))
    fields = {"delivery_id": claimed.id, "endpoint_id": claimed.endpoint_id, "attempts": claimed.attempts}
    if state == DELIVERED:
        log.info("webhook delivered", extra=fields)
    elif state == DEAD:
        log.error("webhook given up; it can be replayed", extra=fields | {"error": outcome.error})
    else:
        log.warning("webhook not delivered; it is tried again", extra=fields | {"error": outcome.error})


def _at_desk(house: House, work: Callable[[Connection], T]) -> T:
    with house.couriers.desk:
        return house.commit(work)
