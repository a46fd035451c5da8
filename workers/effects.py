"""What is done once a change is committed. Each effect is safe to do twice, and found again by the sweep if it was lost."""

from __future__ import annotations

import logging

import msgspec
import redis

from shared import bus
from shared.doorbell import DISPATCH, FINISH_CALL
from shared.lifecycle import Call
from workers.house import House
from workers.room import Lease
from workers.store import Change, Held
from workers.webhooks.delivery import ring_for

DISPATCH_RUNG_KEY = "waihu:rung:dispatch"
DISPATCH_QUIET_MS = 200
"""Calls that end together ring once: a dispatch takes all the room there is, and beat rings every second anyway."""

log = logging.getLogger(__name__)


def carry_out(house: House, change: Change) -> None:
    """Everything ``change`` asks for: hang up, brief, free its room, finish its record, tell who watches."""
    call, effects = change.call, change.effects
    if effects.hang_up:
        house.hangups.ask(call.call_id)
    try:
        _tell(house, change)
    except redis.RedisError as error:
        log.warning(
            "Redis is away; the sweep makes up for it", extra={"uuid": call.uuid, "error": type(error).__name__}
        )
    if effects.free_room:
        ring_dispatch(house)
    if effects.finish:
        house.bell.ring(FINISH_CALL, call.uuid)
    ring_for(house, change)


def brief(house: House, held: Held, call: Call) -> bool:
    """Writes what media must know under both of the call's ids; False if no task made it. Raises redis.RedisError."""
    briefing = held.briefing(call)
    if briefing is None:
        return False
    pipeline = house.redis.pipeline(transaction=False)
    _write_briefing(pipeline, briefing)
    pipeline.execute()
    return True


def ring_dispatch(house: House) -> None:
    """Rings for a dispatch, unless that was done a moment ago."""
    try:
        first = house.redis.set(DISPATCH_RUNG_KEY, 1, nx=True, px=DISPATCH_QUIET_MS)
    except redis.RedisError:
        first = True
    if first:
        house.bell.ring(DISPATCH)


def _tell(house: House, change: Change) -> None:
    """All that goes to Redis, in one round trip."""
    call, effects = change.call, change.effects
    pipeline = house.redis.pipeline(transaction=False)
    stopped = call.stop_asked and not change.held.call.stop_asked
    # A stop is in the briefing too: media reads it again after it could not hear the hint.
    briefing = change.held.briefing(call) if effects.brief or stopped else None
    if briefing is not None:
        _write_briefing(pipeline, briefing)
    if effects.hang_up or stopped:
        hint = bus.Hint(type="stopped") if call.stop_asked else bus.Hint(type="hangup", reason="deadline")
        pipeline.publish(bus.call_channel(call.uuid), msgspec.json.encode(hint))
    if call.state is not change.held.call.state:
        pipeline.publish(bus.LIVE_CHANNEL, msgspec.json.encode(_live_event(house, change)))
    if len(pipeline):
        pipeline.execute()
    if effects.free_room:
        house.room.release([Lease(call.uuid, change.held.caller)])


def _write_briefing(pipeline: redis.client.Pipeline, briefing: bus.Briefing) -> None:
    encoded = msgspec.json.encode(briefing)
    for identity in filter(None, (briefing.uuid, briefing.call_id)):
        pipeline.set(bus.briefing_key(identity), encoded, ex=bus.BRIEFING_TTL_SECONDS)


def _live_event(house: House, change: Change) -> bus.LiveEvent:
    data: dict[str, object] = {"state": str(change.call.state)}
    if change.task is not None:
        data |= {"batchId": change.task.batch_id, "taskState": str(change.task.state)}
    return bus.LiveEvent(uuid=change.call.uuid, at=house.clock.now_ms(), event="state", data=data)
