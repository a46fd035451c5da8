"""How our voice gives way to the caller's: reversible barge-in (media.bargein), and the driver's own pause."""

from __future__ import annotations

from media.bargein import Action, BargeIn, BargeInRule
from media.playout import Playout
from media.session.moments import Moments
from media.session.timers import Timers
from media.session.track import Track
from media.session.voice import Voice


class Yielding:
    """One call's. Without ``barge_in`` only the driver pauses and interrupts."""

    def __init__(
        self, voice: Voice, playout: Playout, moments: Moments, timers: Timers, *, barge_in: bool, turns: bool
    ) -> None:
        """``turns``: ``turn_over`` is told."""
        self._voice = voice
        self._playout = playout
        self._moments = moments
        self._barge_in = BargeIn(BargeInRule(turns=turns)) if barge_in else None
        self._verdict = timers.alarm(self._verdict_due)
        self._held = False

    def hold(self) -> None:
        """The driver pauses our voice: no verdict on a barge-in resumes it."""
        self._held = True
        self._playout.pause(self._moments.now())

    def release(self) -> None:
        """The driver lets our voice go on."""
        self._held = False
        self._playout.resume(self._moments.now())

    def voice_started(self, track: Track) -> None:
        """A track of ours is heard."""
        if self._barge_in is not None:
            self._act(self._barge_in.play_started(self._moments.now(), interruptible=track.interruptible))

    def voice_ended(self) -> None:
        """It is over, and so is any pause: it was this track's, and nobody would ever end it for the next one."""
        self._held = False
        self._playout.resume(self._moments.now())
        if self._barge_in is not None:
            self._barge_in.play_ended()
            self._verdict.set(self._barge_in.deadline)

    def speech_started(self) -> None:
        """The caller begins to speak."""
        if self._barge_in is not None:
            self._act(self._barge_in.speech_started(self._moments.now()))

    def speech_ended(self) -> None:
        """The caller falls silent."""
        if self._barge_in is not None:
            self._act(self._barge_in.speech_ended())

    def said(self, text: str) -> None:
        """The caller was understood so far."""
        if self._barge_in is not None:
            self._act(self._barge_in.text(text))

    def turn_over(self) -> None:
        """The caller's turn is over: what comes next is our answer."""
        if self._barge_in is not None:
            self._barge_in.turn_over()

    def _verdict_due(self) -> None:
        if self._barge_in is not None:
            self._act(self._barge_in.poll(self._moments.now()))

    def _act(self, action: Action | None) -> None:
        if action is Action.PAUSE:
            self._playout.pause(self._moments.now())
        elif action is Action.RESUME and not self._held:
            self._playout.resume(self._moments.now())
        elif action is Action.INTERRUPT:
            self._voice.interrupt()
        if self._barge_in is not None:
            self._verdict.set(self._barge_in.deadline)
