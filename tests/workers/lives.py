"""What may become of a task, as the world outside tells it: each life is a list of what people and machines do.

The world does not notice that a worker died: events come in, people talk, media writes, tickets are stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from sqlalchemy import func, select

from shared import recordings
from shared.database import reading
from shared.doorbell import APPLY_EVENTS, AUDIO_STARTED, DIAL, DISPATCH, FINISH_CALL, STOP_CALLS, WEBHOOKS
from shared.errors import OutcomeUnknown, Refused, Unplaced
from shared.lifecycle import FINAL_TASKS, stopped
from shared.schema import phone_events, tasks
from tests.workers.twins import Office, cdr
from workers import store
from workers.dial import dial_waiting
from workers.dispatch import dispatch
from workers.events import apply_events, audio_started, stop_calls
from workers.record import finish_call
from workers.room import LEASES_KEY, REBUILD_KEY
from workers.sweep import sweep

NUMBER = "13800138000"
LONGEST_SECONDS = 1_200
LOOK_SECONDS = 20
"""Between two looks of a sweep: leases outlive two of them."""
WORDS = (("user", "喂，你好。"), ("assistant", "您好，这里是客服。"))
BODIES: dict[str, Callable[..., None]] = {
    DISPATCH: dispatch,
    DIAL: dial_waiting,
    APPLY_EVENTS: apply_events,
    AUDIO_STARTED: audio_started,
    FINISH_CALL: finish_call,
    STOP_CALLS: stop_calls,
    WEBHOOKS: lambda house: None,  # nobody has subscribed
}


class World:
    """One task, whose batchId is 1, and what happens about each of its calls that rings.

    ``outside``: an office that never dies, through which the world does and sees things. Its bell is everybody's: what
    was sent stays in the queue when a worker dies.
    """

    def __init__(self, outside: Office, life: Life) -> None:
        self.outside = outside
        self.life = life
        self.heard: set[str] = set()
        """Calls whose words media has written down."""
        self._coming: dict[str, list[Act]] = {}
        life.before(outside)
        outside.ticket(NUMBER)

    def act(self) -> bool:
        """Something happens about one call that rang; False if there is nothing to happen."""
        for uuid in sorted(self.outside.phone.rings):
            if uuid not in self._coming:
                self._coming[uuid] = list(self.life.later if self._coming else self.life.acts)
        for uuid, acts in self._coming.items():
            if acts:
                acts.pop(0)(self, uuid)
                return True
        return False

    def wipe(self) -> None:
        """Redis loses everything; media soon says again that it lives."""
        self.outside.house.redis.flushall()
        self.outside.bell.rung.clear()
        self.outside.media()

    def at_rest(self) -> bool:
        """The task is final, its records are closed, its room is free and every event is applied."""
        office = self.outside
        if office.task(1).state not in FINAL_TASKS or not all(call.closed_at for call in office.calls()):
            return False
        with reading(office.house.engine) as connection:
            waiting = connection.execute(select(func.count()).where(phone_events.c.applied_at.is_(None))).scalar_one()
        return not waiting and office.house.redis.zcard(LEASES_KEY) == 0


Act = Callable[[World, str], None]
"""What the world does next about the call with this uuid."""


def event(name: str, *, answered: bool = False, rung: bool = True) -> Act:
    """The phone system tells the api, which stores it and rings, unless that is lost."""

    def act(world: World, uuid: str) -> None:
        office = world.outside
        payload = cdr(1_000 if answered else None, 4_000) if name == "cdr" else ""
        event_id = office.event(name, request_id=uuid, call_id=f"call-{uuid}", pay_load=payload)
        if rung:
            office.bell.ring(APPLY_EVENTS, [event_id])

    return act


def talk(*tags: str) -> Act:
    """Media hears the customer, writes every turn down, and says so at the beginning and the end.

    A call that nobody knows by the phone system's id has no briefing: media hangs up (reading.md, "Phone system").
    """

    def act(world: World, uuid: str) -> None:
        office = world.outside
        call = office.call(uuid)
        if call.call_id != f"call-{uuid}":
            return
        stem = recordings.stem(uuid, call.created_at, office.settings.timezone)
        path = recordings.part(office.settings.recordings_dir, stem, 1, "jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        lines: list[recordings.Line] = [recordings.Begin(at=office.now, call_id=f"call-{uuid}", part=1)]
        for role, content in WORDS:
            lines.append(recordings.Turn(role=role, content=content, start=office.now, end=office.now))  # type: ignore[arg-type]
        lines += [recordings.Tag(at=office.now, name=tag) for tag in tags]
        lines.append(recordings.End(at=office.now, reason="hangup", initiator="callee"))
        path.write_bytes(b"".join(map(recordings.encode_line, lines)))
        world.heard.add(uuid)
        office.bell.ring(AUDIO_STARTED, f"call-{uuid}")
        office.bell.ring(FINISH_CALL, uuid)

    return act


def stop(world: World, uuid: str) -> None:
    """stopTasks as the api carries it out."""
    office = world.outside
    with office.house.write() as connection:
        row = connection.execute(select(*store.task_columns()).where(tasks.c.batch_id == 1)).one()
        before = store.task_of(row)
        store.save_task(connection, before, stopped(before, office.now), office.now)
    office.bell.ring(STOP_CALLS, [1])


def _fails(error: Exception, *, rings: bool = False) -> Callable[[Office], None]:
    """The first startcall fails so."""

    def prepare(office: Office) -> None:
        def answer(request_id: str) -> NoReturn:
            if not rings:
                office.phone.rings.pop(request_id)
            raise error

        office.phone.answers.append(answer)

    return prepare


@dataclass(frozen=True)
class Life:
    """``final``: what becomes of the task if nobody dies. ``acts``: what happens about its first call, ``later`` about others."""

    final: str
    acts: Sequence[Act] = ()
    later: Sequence[Act] = ()
    before: Callable[[Office], None] = lambda office: None
    """How the phone system is prepared."""
    settings: dict[str, str] = field(default_factory=dict)
    rings: int = 1
    """At most; each under a row of its own."""
    told: bool = True
    """Whether events come, which say which call is which."""


_TALKS = (event("firstStart"), event("firstAnswer"), talk(), event("cdr", answered=True))
_RINGS_OUT = (event("firstStart"), event("cdr"))
_AGAIN = {"retry_no_answer": "20s"}
LIVES = {
    "talks": Life("completed", _TALKS),
    "talks, events backwards": Life("completed", tuple(reversed(_TALKS))),
    "talks, no event": Life("completed", (talk(),), told=False),
    "talks, and the cdr names no answer": Life("completed", (*_TALKS[:3], event("cdr")), settings=_AGAIN),
    "talks, and such a cdr is quicker": Life(
        "completed", (event("firstStart"), event("firstAnswer", rung=False), event("cdr")), settings=_AGAIN
    ),
    "does not answer": Life("not_connected", _RINGS_OUT),
    "answers the second call": Life("completed", _RINGS_OUT, _TALKS, settings=_AGAIN, rings=2),
    "is refused": Life("failed", before=_fails(Refused(1, "no"))),
    "could not be placed": Life("completed", _TALKS, before=_fails(Unplaced("not a byte"))),
    "answers though startcall broke": Life("completed", _TALKS, before=_fails(OutcomeUnknown("broken"), rings=True)),
    "is never heard of": Life("unknown", before=_fails(OutcomeUnknown("broken"), rings=True)),
    "is stopped while it rings": Life("stopped", (event("firstStart"), stop, event("cdr"))),
    "is stopped in mid-talk": Life("stopped", (*_TALKS[:2], stop, talk(), event("cdr", answered=True))),
    "wants no more calls": Life("completed", (*_TALKS[:2], talk("do_not_call"), _TALKS[3])),
}


def live(office: Office, world: World) -> None:
    """Beats tick and ``office`` works, while the world goes on, until all is at rest or far too late."""
    for _ in range(LONGEST_SECONDS // LOOK_SECONDS):
        pass_time(world.outside, LOOK_SECONDS)
        sweep(office.house)
        dispatch(office.house)
        work(office)
        while world.act():
            work(office)
        if world.at_rest():
            return


def pass_time(office: Office, seconds: float) -> None:
    """Media says that it lives, and quiet times end: they do so by Redis's own clock, which stands still here."""
    office.advance(seconds)
    office.media()
    office.house.redis.delete(REBUILD_KEY, *office.house.redis.keys("waihu:rung:*"))


def work(office: Office) -> None:
    """Everything that was rung is done; a message is lost with the worker that had taken it up."""
    while office.bell.rung:
        name, args = office.bell.rung.pop(0)
        BODIES[name](office.house, *args)
