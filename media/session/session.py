"""One call, whoever drives it and whatever carries it. Commands in, events out.

Everything happens on the event loop, and every moment comes from the session's clock: ``frames_due``, called by the
pacer about every 20 ms, is the only thing that makes time pass here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from media.driver import Driver, SessionOptions, Timer
from media.legs.leg import RATE, Leg
from media.playout import Playout
from media.protocol import events
from media.protocol.commands import AnyCommand, Tts
from media.recorder import Closed
from media.session.equipment import Equipment
from media.session.listening import Listening
from media.session.moments import Moments, iso
from media.session.orders import Orders
from media.session.ports import RecordingPort
from media.session.taping import Taping
from media.session.timers import Timers
from media.session.track import Track
from media.session.transcript import SO_FAR_S, Transcript
from media.session.voice import Voice
from media.session.yielding import Yielding
from media.turns import Turn
from shared import recordings
from shared.bus import Briefing
from shared.unicode import storable

TICK = 0.02
"""Seconds between two ticks of the pacer."""
NUDGE = TICK / 2
"""A voice that began at a late tick may have its frames fall due just where ticks are: none at one, two at the next.
Reckoned so much later they fall due in between."""
SILENT_FRAME = memoryview(bytes(RATE // 50 * 2))

log = logging.getLogger(__name__)


class Session:
    """Implements media.driver.SessionPort for its driver, and the hosts of its parts."""

    __slots__ = (
        "_driver", "_ended_at", "_last_sent", "_longest", "_nudge", "_on_end", "_orders", "_outbox", "_polite", "_so_far", "_soon",
        "_taping", "_ticked_at", "_told_end", "_wait_input", "_waiting_since", "briefing", "clock", "id", "initiator",
        "leg", "listening", "moments", "options", "over", "playout", "reason", "recording", "taps", "timers",
        "transcript", "voice", "yielding",
    )  # fmt: skip

    def __init__(
        self,
        identity: str,
        *,
        equipment: Equipment,
        leg: Leg,
        recording: RecordingPort,
        options: SessionOptions,
        began: tuple[float, int],
        briefing: Briefing | None = None,
        on_end: Callable[[Session], None] = lambda session: None,
    ) -> None:
        """``began``: when its first audio came, as monotonic seconds and milliseconds since 1970. Raises EarsFullError."""
        self.id = identity
        self.briefing = briefing
        self.clock = equipment.clock
        self.over = False
        self.options = replace(options, caller_track=options.caller_track or identity)
        self.reason = ""
        self.initiator = ""
        self.recording = recording
        self.leg = leg
        self.moments = Moments(equipment.clock, *began)
        self.timers = Timers()
        self.taps: list[Callable[[events.AnyEvent], None]] = []
        """Who else sees every event, such as the live view. They must not raise."""
        self._soon = equipment.soon
        self._on_end = on_end
        self._driver: Driver | None = None
        self._outbox: list[events.AnyEvent] = []
        self._told_end = False
        self._ended_at = 0.0
        self.transcript = Transcript(recording.line)
        self.listening = Listening(
            self, equipment.hearing, equipment.speech, self.moments, self.timers, self.options, self._write_user
        )
        self._taping = Taping(recording, self.listening.ears.ring)
        self._orders = Orders(self, equipment)
        self.playout = Playout(self.moments.epoch, RATE, delay_ms=leg.delay_ms)
        self.voice = Voice(self, leg, self.playout, self.moments, self.timers, self.options, self._orders.fallback)
        self.yielding = Yielding(
            self.voice,
            self.playout,
            self.moments,
            self.timers,
            barge_in=self.options.barge_in,
            turns=self.options.turns is not None,
        )
        self._wait_input = self.timers.alarm(self._nobody_spoke)
        self._waiting_since = 0
        self._polite = self.timers.alarm(self._ending_soon)
        self._so_far = self.timers.alarm(self._write_so_far)
        self._longest = self.timers.alarm(lambda: self.end("max_duration", "system"))
        self._ticked_at: float | None = None
        self._nudge = 0.0
        self._last_sent = 0

    def start(self, driver: Driver, call_id: str = "") -> None:
        """The call is answered and audio flows: the driver takes over."""
        self._driver = driver
        self.transcript.begin(self.moments.epoch_ms, call_id or self.id, self.recording.part)
        self._longest.set(self.moments.epoch + self.options.longest)
        self._polite.set(self.moments.epoch + max(0.0, self.options.longest - self.options.polite))
        self._so_far.set(self.moments.epoch + SO_FAR_S)
        self._orders.prepare()
        self.emit(events.Answer(timestamp=self.moments.now_ms(), track_id=self.options.caller_track, sdp=""))
        self.listening.start()

    # --- media.driver.SessionPort ---

    def submit(self, command: AnyCommand) -> None:
        """See SessionPort."""
        if not self.over:
            self._orders.carry_out(command)

    def say(
        self,
        text: str,
        *,
        play_id: str | None = None,
        more: bool = False,
        interruptible: bool = True,
        auto_hangup: bool = False,
        wait_input: float | None = None,
    ) -> str:
        """See SessionPort."""
        name = play_id if play_id is not None else self._orders.new_play_id()
        if not self.over:
            command = Tts(text=storable(text), play_id=name, auto_hangup=auto_hangup)
            self._orders.say(command, more=more, interruptible=interruptible, wait_input=wait_input)
        return name

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """See SessionPort."""
        alarm = self.timers.alarm(lambda: self._guard(call))
        if not self.over:
            alarm.set(self.moments.now() + max(0.0, seconds))
        return alarm

    def heard(self) -> Sequence[recordings.Turn]:
        """See SessionPort."""
        return tuple(self.transcript.turns)

    def note_tag(self, name: str, value: str = "") -> None:
        """See SessionPort."""
        self.transcript.tag(self.moments.now_ms(), name, value)

    # --- media.legs.leg.LegHost ---

    def audio(self, pcm: bytes, now: float) -> None:
        """See LegHost."""
        if self.over:
            return
        place = self.listening.audio(pcm, now)
        if self.listening.muted:
            self._taping.heard_apart(place, pcm)
        else:
            self._taping.heard(place, len(pcm) >> 1)

    def audio_waited(self) -> None:
        """See LegHost."""
        self.listening.audio_waited()

    def leg_ended(self, reason: str) -> None:
        """See LegHost."""
        self.end(reason, "callee", hang_up=False)

    def leg_failed(self, reason: str) -> None:
        """See LegHost."""
        self.end(reason, "error")

    # --- media.pacer.Sink ---

    def frames_due(self, now: float) -> None:
        """Time has passed: sends what is due, and does what is due."""
        if self.over:
            return
        self._ticked_at = now
        if not self._send(now):
            self.voice.look(now)
        if now >= self.timers.next:
            self.timers.run(now)

    def _send(self, now: float) -> bool:
        """True if the voice has nothing to look at: what it says goes on, and that is all."""
        if self.leg.ready:
            frames = self.playout.take(now + self._nudge)
            if len(frames) == 2 and not self._last_sent:
                self._nudge = NUDGE - self._nudge
            self._last_sent = len(frames)
            if frames:
                if self.voice.muted:
                    frames = [SILENT_FRAME] * len(frames)
                self.leg.send(frames)
                self._taping.said(self.playout.taken_at, frames)
            return self.playout.still
        return False

    # --- the end ---

    def end(self, reason: str, initiator: str, *, hang_up: bool = True) -> None:
        """Ends the session, once. ``initiator``: callee, system or error. ``hang_up``: also ends the call at the far end.

        The driver is told, and the transcript's last line written, when what the caller said last is known: at once, or
        within LAST_WORDS_SECONDS by ``close``.
        """
        if self.over:
            return
        self.over = True
        self.reason, self.initiator = reason, initiator
        try:
            self.voice.stop()
            self._taping.flush()
            self.listening.stop()
        finally:  # a session that failed may fail here too: its call must not stay open, nor its place taken
            self._end_call(hang_up=hang_up)

    def _end_call(self, *, hang_up: bool) -> None:
        self.timers.clear()
        if hang_up:
            self.leg.hangup()
        self._ended_at = self.moments.now()
        if not (self.listening.outstanding or self.listening.words.so_far):
            self._conclude()
        self._soon(lambda: self._on_end(self))

    def _conclude(self) -> None:
        """All that will be known is known. Once. What was said last is told before the end, while it can be noted what it meant."""
        if self._told_end:
            return
        turn = self.listening.words.end(self._ended_at)
        if turn is not None and self.options.turns is not None:
            self._tell_turn(turn, overlapped=False)
            self._deliver()
        at = self.moments.ms_of(self._ended_at)
        reason, initiator = self.reason, self.initiator
        self.transcript.end(at, reason, initiator if initiator in ("callee", "error") else "system")
        self.emit(
            events.Hangup(
                timestamp=at,
                track_id=self.options.caller_track,
                reason=reason,
                initiator=initiator,
                start_time=iso(self.moments.epoch_ms),
                answer_time=iso(self.moments.epoch_ms),
                hangup_time=iso(at),
            )
        )
        self._told_end = True

    async def close(self) -> Closed:
        """After the end: gives everything back, and returns when all that was heard is on the disk."""
        try:
            try:
                await self.listening.last_words()
            finally:
                self._conclude()
                await self.listening.close()
        finally:
            try:
                await self.leg.close()
            finally:
                closed = await self.recording.close()
        return closed

    # --- events ---

    def emit(self, event: events.AnyEvent) -> None:
        """Queues an event for the driver: it is told after what happens now. Nothing comes after ``hangup``."""
        if self._told_end:
            return
        self._outbox.append(event)
        if len(self._outbox) == 1:
            self._soon(self._deliver)

    def _deliver(self) -> None:
        outbox, self._outbox = self._outbox, []
        driver = self._driver
        for event in outbox:
            for tap in self.taps:
                tap(event)
            if driver is not None:
                self._guard(lambda driver=driver, event=event: driver.on_event(event))  # type: ignore[misc]

    def _guard(self, call: Callable[[], None]) -> None:
        """Runs a driver's code. The boundary between drivers and the process: what escapes ends this call alone."""
        try:
            call()
        except Exception:
            log.exception("a call's driver raised; the call is ended", extra={"session": self.id})
            self.end("driver_failed", "error")

    # --- media.session.voice.VoiceHost ---

    def voice_started(self, track: Track) -> None:
        """See VoiceHost."""
        self._wait_input.cancel()
        self.yielding.voice_started(track)

    def voice_heard(self, text: str, start: int, end: int, *, cut: bool) -> None:
        """See VoiceHost."""
        self.listening.words.flush()
        self.transcript.assistant(text, start, end, cut=cut)

    def voice_ended(self, track: Track) -> None:
        """See VoiceHost."""
        self.yielding.voice_ended()
        if self.over:
            return
        if track.auto_hangup:
            self.end("autohangup", "system")
        elif track.wait_input is not None:
            self._waiting_since = self.moments.now_ms()
            self._wait_input.set(self.moments.now() + track.wait_input)

    def voice_flushed(self, start: int, end: int) -> None:
        """See VoiceHost."""
        self._taping.erase(start, end)

    def voice_sounded(self, wait: float) -> None:
        """See VoiceHost."""
        provider = (self.options.tts.provider if self.options.tts else None) or self._orders.provider
        self.listening.metric(f"ttfb.tts.{provider}", int(wait * 1000), {})
        self._soon(self._send_now)

    def _send_now(self) -> None:
        """A first frame does not wait for the next tick. It is reckoned as that tick's, so that those which follow are
        due in the middle between two ticks and never at one."""
        if not self.over and self._ticked_at is not None:
            self._send(max(self.moments.now(), self._ticked_at + TICK))

    # --- media.session.listening.ListeningHost ---

    def input_came(self) -> None:
        """See ListeningHost."""
        self._wait_input.cancel()

    def audio_missing(self) -> None:
        """See ListeningHost. What came before is recorded before the ring forgets it."""
        self._taping.flush()

    def caller_speaks(self) -> None:
        """See ListeningHost."""
        self.yielding.speech_started()

    def caller_silent(self) -> None:
        """See ListeningHost."""
        self.yielding.speech_ended()

    def caller_said(self, text: str) -> None:
        """See ListeningHost."""
        self.yielding.said(text)

    def turn_over(self, turn: Turn) -> None:
        """See ListeningHost."""
        track = self.voice.track
        self.yielding.turn_over()
        self._tell_turn(turn, overlapped=track is not None and track.started_at is not None and not track.cut)

    def _tell_turn(self, turn: Turn, *, overlapped: bool) -> None:
        self.emit(
            events.Eou(
                timestamp=self.moments.now_ms(),
                track_id=self.options.caller_track,
                text=turn.text,
                start_time=self.moments.ms_of(turn.started),
                end_time=self.moments.ms_of(turn.ended),
                overlapped=overlapped,
            )
        )

    # --- alarms ---

    def _nobody_spoke(self) -> None:
        at = self.moments.now_ms()
        self.emit(
            events.Silence(
                timestamp=at,
                track_id=self.options.our_track,
                start_time=self._waiting_since,
                duration=at - self._waiting_since,
            )
        )

    def _ending_soon(self) -> None:
        self.emit(
            events.Other(
                timestamp=self.moments.now_ms(),
                track_id=self.options.caller_track,
                sender="session",
                extra={"ending": int(self.options.polite)},
            )
        )

    def _write_so_far(self) -> None:
        """A process that dies says nothing any more: what is known now is written now."""
        now = self.moments.now()
        if (ours := self.voice.so_far(now)) is not None:
            self.transcript.so_far("assistant", *ours, self.moments.ms_of(now))
        for text, began, ended in self.listening.words.unwritten(now):
            self.transcript.so_far("user", text, self.moments.ms_of(began), self.moments.ms_of(ended))
        self._so_far.set(now + SO_FAR_S)

    def _write_user(self, text: str, began: float, ended: float) -> None:
        self.transcript.user(text, self.moments.ms_of(began), self.moments.ms_of(ended))
