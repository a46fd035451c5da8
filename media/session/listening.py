"""The caller's side of a call: audio in, and what it means: speech, silence, keys, words, turns."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from media.driver import SessionOptions
from media.ears.ears import Ears
from media.ears.hearing import Hearing
from media.protocol import events
from media.session.moments import Moments
from media.session.ports import SpeechPort
from media.session.recognition import Recognising
from media.session.tail import LOOKED_AT, quiet_tail
from media.session.timers import Timers
from media.session.words import Words
from media.speech.ports import Recognition, SpeechFailure
from media.turns import Turn, TurnDetector

LAST_WORDS_SECONDS = 3.0
"""How long what a caller said last, and the recogniser has not told yet, is waited for when the call is over. Recognisers take
0.3 to 0.8, and on a busy machine two; who says "never call again" hangs up with the last word."""
CHECK_EVERY = 0.25
"""Seconds between looks whether audio still comes; after 1 s without, the ears hear silence."""

PRESSED = "[按键 {digit}]"
"""What stands in the transcript for a key; its dialogue has but a role and a content (callcenter-api.md, dialogue)."""


class ListeningHost(Protocol):
    """What the listening side tells its session."""

    def emit(self, event: events.AnyEvent) -> None:
        """One event for the driver."""

    def input_came(self) -> None:
        """The caller did something: spoke, was understood, pressed a key."""

    def audio_missing(self) -> None:
        """No audio has come for a while: silence was heard instead."""

    def caller_speaks(self) -> None:
        """Speech began; ``speaking`` was emitted."""

    def caller_silent(self) -> None:
        """Speech ended; ``silence`` was emitted."""

    def caller_said(self, text: str) -> None:
        """Words of the turn that is not over."""

    def turn_over(self, turn: Turn) -> None:
        """It is our turn."""


class Listening:
    """One call's. A media.ears.ears.Listener."""

    __slots__ = (
        "_check", "_host", "_moments", "_options", "_recognising", "_silence", "_silent_since", "_spoke_at", "_stopped", "_turn", "_unlooked",
        "_waiting_for_text", "_write_turn", "ears", "muted", "words",
    )  # fmt: skip

    def __init__(
        self,
        host: ListeningHost,
        hearing: Hearing,
        speech: SpeechPort,
        moments: Moments,
        timers: Timers,
        options: SessionOptions,
        write_turn: Callable[[str, float, float], None],
    ) -> None:
        """Raises EarsFullError."""
        self._host = host
        self._moments = moments
        self._options = options
        self._write_turn = write_turn
        self.ears: Ears = hearing.open(self, moments.epoch, options.vad, options.dtmf)
        self.words = Words(TurnDetector(options.turns), write_turn)
        self.muted = False
        self._stopped = False
        self._unlooked = False
        """Whether audio came that had waited, and nothing was recognised since."""
        self._recognising: Recognising | None = None
        if options.asr is not None:
            self._recognising = Recognising(
                speech.recognizers,
                speech.recognition,
                options.asr,
                self.ears,
                timers,
                moments.now,
                self._recognised,
                self._recognition_failed,
            )
        self._spoke_at = moments.epoch
        self._silent_since = moments.epoch
        self._waiting_for_text = False
        self._turn = timers.alarm(self._turn_due)
        self._check = timers.alarm(self._check_audio)
        self._silence = timers.alarm(self._still_silent)

    def start(self) -> None:
        """Audio flows from now on."""
        self._check.set(self._moments.now() + CHECK_EVERY)
        self._arm_silence()
        if self._recognising is not None:
            self._recognising.start()

    def audio(self, pcm: bytes, now: float) -> int:
        """Caller audio. Returns its first sample's place on the timeline. Raises AudioError for what is none."""
        place = self.ears.hear(bytes(len(pcm)) if self.muted else pcm, now)
        recognising = self._recognising
        if recognising is not None and self.ears.ring.written >= recognising.due:
            recognising.pump()
        return place

    def audio_waited(self) -> None:
        """See LegHost: there may be words in it, though the voice detector has not seen any yet."""
        self._unlooked = True

    def stop(self) -> None:
        """The call is over: nothing is heard any more."""
        self._stopped = True
        self._turn.cancel()
        self._check.cancel()
        self._silence.cancel()
        if self._recognising is not None:
            self._recognising.finish()
        self.ears.close()

    @property
    def outstanding(self) -> bool:
        """Whether the caller said something of which the recogniser has not told the last."""
        if self._recognising is None:
            return False
        return self._unlooked or self._waiting_for_text or self.ears.speaking or self.words.open

    async def last_words(self) -> None:
        """After ``stop``: returns when what was said last has been recognised, or has taken too long."""
        if self._recognising is not None and self.outstanding:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await self._recognising.finished()

    async def close(self) -> None:
        """After ``stop``: ends the recognition."""
        if self._recognising is not None:
            await self._recognising.close()

    # --- media.ears.ears.Listener ---

    def speech_started(self, sample: int) -> None:
        """The voice detector is certain that the caller speaks."""
        if self._options.vad is None:
            return
        self._spoke_at = self._moments.moment_heard(self.ears.timeline(sample))
        self._waiting_for_text = True
        self._silence.cancel()
        self._emit(events.Speaking, start_time=self._moments.ms_of(self._spoke_at))
        self.words.speech_started(self._spoke_at)
        self._host.input_came()
        self._host.caller_speaks()
        self._arm_turn()

    def speech_ended(self, sample: int) -> None:
        """It is certain that the caller stopped, at ``sample``."""
        if self._options.vad is None:
            return
        at = self.ears.timeline(sample) - self._quiet_before(sample)
        self._silent_since = max(self._spoke_at, self._moments.moment_heard(at))
        start = self._moments.ms_of(self._silent_since)
        self._emit(events.Silence, start_time=start, duration=max(0, self._moments.now_ms() - start))
        self.words.speech_ended(self._silent_since)
        if self._recognising is not None:
            self._recognising.speech_ended()
        self._host.caller_silent()
        self._arm_turn()
        self._arm_silence()

    def dtmf(self, digit: str, sample: int) -> None:
        """A key was pressed: what the caller did, in a conversation, is what the caller said."""
        at = self._moments.moment_heard(self.ears.timeline(sample))
        self._write_turn(PRESSED.format(digit=digit), at, at)
        self._emit(events.Dtmf, digit=digit)
        self._host.input_came()

    def _quiet_before(self, sample: int) -> int:
        """Samples before ring index ``sample`` that were quiet already."""
        ring = self.ears.ring
        start = max(ring.oldest, sample - LOOKED_AT)
        return quiet_tail(ring.read(start, sample - start)) if start < sample <= ring.written else 0

    # --- recognition ---

    def _recognised(self, recognition: Recognition) -> None:
        if not recognition.text:
            return
        self._unlooked = False
        kind = events.AsrFinal if recognition.final else events.AsrDelta
        self._emit(
            kind,
            index=recognition.index,
            start_time=self._moments.epoch_ms + recognition.start_ms,
            end_time=self._moments.epoch_ms + recognition.end_ms,
            text=recognition.text,
        )
        if self._waiting_for_text and self._recognising is not None:
            self._waiting_for_text = False
            took = int((self._moments.now() - self._spoke_at) * 1000)
            self.metric(f"ttfb.asr.{self._recognising.provider}", took, {"index": recognition.index})
        text = self.words.recognised(recognition, self._moments.now())
        if self._stopped:
            return
        self._host.input_came()
        if text is not None:
            self._host.caller_said(text)
        self._arm_turn()

    def _recognition_failed(self, failure: SpeechFailure, again: bool) -> None:
        self._host.emit(
            events.Error(
                timestamp=self._moments.now_ms(),
                track_id=self._options.caller_track,
                sender="asr",
                error=str(failure) if again else f"{failure}; recognition is given up",
                code=500 if again else 503,
            )
        )

    # --- alarms ---

    def _arm_turn(self) -> None:
        self._turn.set(self.words.deadline)

    def _turn_due(self) -> None:
        turn = self.words.poll(self._moments.now())
        if turn is not None and self._options.turns is not None:
            self._host.turn_over(turn)
        self._arm_turn()

    def _check_audio(self) -> None:
        now = self._moments.now()
        if self.ears.check(now):
            self._host.audio_missing()
            if self._recognising is not None:
                self._recognising.pump()
        self._check.set(now + CHECK_EVERY)

    def _arm_silence(self) -> None:
        if self._options.silence_timeout is not None and self._options.vad is not None:
            self._silence.set(self._moments.now() + self._options.silence_timeout)

    def _still_silent(self) -> None:
        start = self._moments.ms_of(self._silent_since)
        self._emit(events.Silence, start_time=start, duration=self._moments.now_ms() - start)
        self._arm_silence()

    # --- events ---

    def metric(self, key: str, duration: int, data: dict[str, object]) -> None:
        """A ``metrics`` event."""
        self._host.emit(events.Metrics(timestamp=self._moments.now_ms(), key=key, duration=max(0, duration), data=data))

    def _emit(self, kind: Callable[..., events.AnyEvent], **fields: object) -> None:
        self._host.emit(kind(timestamp=self._moments.now_ms(), track_id=self._options.caller_track, **fields))
