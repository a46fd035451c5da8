"""A call's recogniser: fed from the ring in blocks, opened again when it fails. The call goes on without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from media.ears.ears import Ears, Uplink
from media.legs.leg import RATE
from media.protocol.options import TranscriptionOption
from media.session import resolve
from media.session.timers import Timers
from media.speech.ports import Recognition, RecognitionOptions, Recognizer, Recognizers, SpeechFailure

REOPEN_AFTER = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each new try; a recogniser that failed so often in a row without a word will not come back."""
UPLINK_SAMPLES = 800
"""100 ms: ten messages a second to the provider rather than fifty."""


class Recognising:
    """One call's. Audio that comes while no recogniser is open waits in the call's ring (10 s), and so does what one that
    failed had taken and not made final: the next one hears it again."""

    __slots__ = (
        "_began", "_configured", "_ears", "_failures", "_first_index", "_last_final", "_last_index", "_now",
        "_on_failure", "_on_recognition", "_open", "_option", "_origin", "_recognizers", "_reopen", "_settled",
        "_unsettled", "_uplink", "due",
    )  # fmt: skip

    def __init__(
        self,
        recognizers: Recognizers,
        configured: RecognitionOptions,
        option: TranscriptionOption,
        ears: Ears,
        timers: Timers,
        now: Callable[[], float],
        on_recognition: Callable[[Recognition], None],
        on_failure: Callable[[SpeechFailure, bool], None],
    ) -> None:
        """``on_failure`` hears of each failure, and whether it will be tried again."""
        self._recognizers = recognizers
        self._configured = configured
        self._option = option
        self._ears = ears
        self._now = now
        self._on_recognition = on_recognition
        self._on_failure = on_failure
        self._uplink: Uplink = ears.uplink(ears.ring.oldest, UPLINK_SAMPLES)
        self._open: Recognizer | None = None
        self._failures = 0
        self._origin = 0
        self._began = self._settled = self._unsettled = self._uplink.position
        """Ring indexes: where the open recogniser's audio begins, up to where all has its final text, and where the
        sentence begins that has none yet."""
        self._first_index = 0
        self._last_index = self._last_final = -1
        self._reopen = timers.alarm(self.start)
        self.due = self._uplink.position + UPLINK_SAMPLES
        """Ring index from which on ``pump`` has something to do."""

    @property
    def provider(self) -> str:
        """The provider's name, for metrics."""
        return self._option.provider or self._configured.provider or "default"

    def start(self) -> None:
        """Opens the recogniser, from the audio that was not recognised yet."""
        self._began = self._uplink.position = max(self._uplink.position, self._ears.ring.oldest)
        self._origin = self._ears.timeline(self._began) * 1000 // RATE
        heard_again = self._began <= self._unsettled
        self._first_index = 1 + (self._last_final if heard_again else self._last_index)
        try:
            self._open = self._recognizers.open(
                resolve.recognition(self._option, self._configured, self._origin), self._recognised, self._failed
            )
        except SpeechFailure as failure:
            self._failed(failure)
            return
        self.pump()

    def pump(self) -> None:
        """Sends the whole blocks that have come."""
        if self._open is None:
            self.due = self._ears.ring.written + UPLINK_SAMPLES
            return
        while (block := self._uplink.take()) is not None:
            self._open.push(block)
        self.due = self._uplink.position + UPLINK_SAMPLES

    def speech_ended(self) -> None:
        """The caller fell silent: a result is due."""
        if self._open is not None:
            self._open.expect_result()

    def finish(self) -> None:
        """No more audio will come: what came last is sent, though it is no whole block."""
        if self._open is not None:
            self.pump()
            if rest := self._uplink.rest():
                self._open.push(rest)
            self._open.finish()

    async def finished(self) -> None:
        """After ``finish``: returns when all is recognised that will be. May take as long as the provider."""
        if self._open is not None:
            await self._open.finished()

    async def close(self) -> None:
        """No callback comes any more."""
        self._reopen.cancel()
        recognizer, self._open = self._open, None
        if recognizer is not None:
            await recognizer.close()

    def _recognised(self, recognition: Recognition) -> None:
        self._failures = 0
        index = self._first_index + recognition.index
        self._last_index = max(self._last_index, index)
        if recognition.final:
            self._last_final = max(self._last_final, index)
            self._settled = max(self._settled, min(self._place(recognition.end_ms), self._uplink.position))
            self._unsettled = self._settled
        else:
            self._unsettled = self._place(recognition.start_ms)
        self._on_recognition(replace(recognition, index=index))

    def _place(self, ms: int) -> int:
        """The ring index of a moment of the call, as the open recogniser counts."""
        return self._began + (ms - self._origin) * RATE // 1000

    def _failed(self, failure: SpeechFailure) -> None:
        """What it was pushed and had no final text for died with it: the ring still has the last 10 s."""
        self._open = None
        self._uplink.position = max(self._settled, self._ears.ring.oldest)
        again = failure.code != "provider" and self._failures < len(REOPEN_AFTER)
        if again:
            self._reopen.set(self._now() + REOPEN_AFTER[self._failures])
        self._failures += 1
        self._on_failure(failure, again)
