"""Opens calls and closes them: everything of this process that a session needs comes together here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from media.bell import Bell
from media.briefing import Briefings
from media.control import Control
from media.driver import Casting, SessionOptions
from media.ears.bank import EarsFullError
from media.legs.actions import StreamActions
from media.legs.door import DoorClosedError
from media.legs.phone import PhoneLeg
from media.owner import Owners
from media.pacer import Pacer, Sink
from media.registry import Registry
from media.session.equipment import Equipment
from media.session.ports import RecordingPort
from media.session.session import Session
from shared import doorbell
from shared.bus import Briefing, Hint
from shared.errors import PhoneError, RecordingPathError

REPLACED = "replaced"
"""Why a session ended that a later one took the call from: its end is not the call's."""
MAX_REMEMBERED = 4_096
"""Calls that ended here and whose sockets are turned away: hours of them at a hundred calls a minute or so."""

log = logging.getLogger(__name__)


class Recorders(Protocol):
    """What makes recordings: media.recorder.Recorder."""

    async def open(self, stem: str, *, rate: int = 8000, audio: bool = True) -> RecordingPort:
        """Raises OSError, RecordingPathError."""


@dataclass(frozen=True, kw_only=True)
class Plant:
    """What the exchange works with. ``control`` and ``owners`` are Redis's side, and may be away."""

    equipment: Equipment
    pacer: Pacer
    recorder: Recorders
    registry: Registry
    briefings: Briefings
    control: Control
    owners: Owners
    bell: Bell
    phone: StreamActions
    casting: Casting
    defaults: SessionOptions
    stem: Callable[[Briefing], str]
    """Where a call's recording lies, relative to the root."""


class Exchange:
    """All calls of this process. Implements media.legs.door.PhoneCalls."""

    def __init__(self, plant: Plant) -> None:
        self.sessions: dict[str, Session] = {}
        """By the session's id."""
        self._plant = plant
        self._bad_frames = 0
        self._legs: dict[str, PhoneLeg] = {}
        self._over: dict[str, None] = {}
        """call_ids of calls that ended here, oldest first."""
        self._closing: set[asyncio.Task[None]] = set()

    # --- media.legs.door.PhoneCalls ---

    def leg_of(self, call_id: str) -> PhoneLeg | None:
        """See PhoneCalls."""
        return self._legs.get(call_id)

    async def open_phone_call(self, call_id: str, heard_at: float) -> PhoneLeg:
        """See PhoneCalls. An audio frame proves that the call was answered, so the workers are told at once."""
        plant = self._plant
        if call_id in self._over:
            self._hang_up(call_id)
            raise DoorClosedError("the call has ended", 1008)
        plant.bell.ring(doorbell.AUDIO_STARTED, call_id)
        try:
            briefing = await self._look_up(call_id)
            try:
                return await self._begin(briefing, call_id, heard_at)
            except BaseException:
                plant.registry.release("phone")
                raise
        except BaseException:
            self._hang_up(call_id)
            raise

    async def _look_up(self, call_id: str) -> Briefing:
        """The briefing of a call, and a place for it. Raises as ``open_phone_call``."""
        registry = self._plant.registry
        if not registry.begin_look_up():
            raise DoorClosedError("expected to look an answered call up, got too many to look up already", 1013)
        try:
            briefing = await self._plant.briefings.find(call_id)
            if briefing.stop_asked:
                raise DoorClosedError("the call was stopped before it was answered", 1000)
            if not registry.admit("phone"):
                raise DoorClosedError("expected room for an answered call, got none left", 1013)
            return briefing
        finally:
            registry.end_look_up()

    @property
    def bad_frames(self) -> int:
        """Frames of all calls so far that were refused."""
        return self._bad_frames + sum(leg.bad_frames for leg in self._legs.values())

    # --- hints and drains ---

    def hint(self, uuid: str, hint: Hint) -> None:
        """A worker, or another media process, has something to say about a call."""
        session = self.sessions.get(uuid)
        if session is None:
            return
        if hint.type == "owner":
            self._plant.owners.lost_to(uuid, hint.part)
        elif hint.type in ("hangup", "stopped"):
            session.end(hint.reason or hint.type, "system")

    def failed(self, sink: Sink, error: Exception) -> None:
        """A session raised in the pacer's tick: it is ended, the others go on."""
        log.error("a session failed; its call is ended", exc_info=error)
        if isinstance(sink, Session):
            sink.end("session_failed", "error")

    def end_all(self, reason: str) -> None:
        """Ends every session."""
        for session in list(self.sessions.values()):
            session.end(reason, "system")

    async def closed(self) -> None:
        """Returns when what has ended is on the disk and told."""
        while self._closing:
            await asyncio.wait(self._closing)

    # --- one call ---

    async def _begin(self, briefing: Briefing, call_id: str, heard_at: float) -> PhoneLeg:
        plant = self._plant
        options = plant.casting.options(briefing, plant.defaults)
        try:
            recording = await plant.recorder.open(plant.stem(briefing), audio=options.record)
        except (OSError, RecordingPathError) as error:
            raise DoorClosedError(f"the call cannot be recorded: {type(error).__name__}", 1011) from error
        leg = PhoneLeg(call_id, plant.phone, plant.equipment.clock.monotonic)
        try:
            session = self._session(briefing, leg, recording, options, heard_at)
        except EarsFullError as error:
            await recording.close()
            raise DoorClosedError("expected a free row in the ears, got none left", 1013) from error
        try:
            driver = plant.casting.driver(session)
        except BaseException:
            session.listening.stop()
            await recording.close()
            raise
        session.taps.append(lambda event: plant.control.tell(briefing.uuid, event))
        self._replace(briefing.uuid)
        self.sessions[briefing.uuid] = session
        self._legs[call_id] = leg
        plant.control.watch(briefing.uuid)
        leg.start(session)
        session.start(driver, call_id)
        plant.pacer.add(session)
        self._later(plant.owners.take(briefing.uuid, recording.part, lambda: self._lost(session)))
        log.info("call begins", extra={"uuid": briefing.uuid, "call_id": call_id, "part": recording.part})
        return leg

    def _session(
        self, briefing: Briefing, leg: PhoneLeg, recording: RecordingPort, options: SessionOptions, heard_at: float
    ) -> Session:
        clock = self._plant.equipment.clock
        return Session(
            briefing.uuid,
            equipment=self._plant.equipment,
            leg=leg,
            recording=recording,
            options=options,
            began=(heard_at, clock.now_ms() - int((clock.monotonic() - heard_at) * 1000)),
            briefing=briefing,
            on_end=self._ended,
        )

    def _replace(self, uuid: str) -> None:
        """A session of the same call that lives here still, under another call_id, gives way."""
        former = self.sessions.get(uuid)
        if former is not None:
            self._lost(former)

    def _lost(self, session: Session) -> None:
        if not session.over:
            session.end(REPLACED, "system", hang_up=False)

    def _ended(self, session: Session) -> None:
        self._plant.pacer.remove(session)
        if self.sessions.get(session.id) is session:
            del self.sessions[session.id]
            self._plant.control.forget(session.id)
        leg = session.leg
        if isinstance(leg, PhoneLeg) and self._legs.get(leg.call_id) is leg:
            del self._legs[leg.call_id]
            self._bad_frames += leg.bad_frames
            if session.reason != REPLACED:
                self._remember(leg.call_id)
        self._later(self._close(session))

    def _remember(self, call_id: str) -> None:
        self._over[call_id] = None
        if len(self._over) > MAX_REMEMBERED:
            del self._over[next(iter(self._over))]

    async def _close(self, session: Session) -> None:
        """What was heard is made durable before anybody is told that the call is over."""
        plant = self._plant
        try:
            closed = await session.close()
            log.info(
                "call ends",
                extra={
                    "uuid": session.id, "reason": session.reason, "initiator": session.initiator,
                    "seconds": closed.samples // 8000, "dropped_samples": closed.dropped_samples,
                },
            )  # fmt: skip
        finally:  # a call that could not be closed as it should is over all the same
            plant.registry.release("phone")
            if session.reason != REPLACED:
                plant.bell.ring(doorbell.FINISH_CALL, session.id)
                await plant.owners.release(session.id, session.recording.part)

    def _hang_up(self, call_id: str) -> None:
        """A call that we cannot carry on must not stay open with nobody at our end."""

        async def hang_up() -> None:
            try:
                await self._plant.phone.hangup(call_id)
            except PhoneError as error:
                log.warning("a call could not be hung up", extra={"call_id": call_id, "error": error.code})

        self._later(hang_up())

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a call could not be closed as it should", exc_info=error)
