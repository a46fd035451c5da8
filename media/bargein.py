"""Barge-in that can be taken back. Pure: time comes with every call.

The first sign of speech pauses our voice at once. Within half a second that becomes an interruption, or our voice
goes on: a listener's "嗯" and a cough are not meant to stop us. Our voice is in exactly one state, so it can never be
"speaking" while nothing leaves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from media.subtitle import words

VERDICT_S = 0.5
"""A pause of half a second still sounds like a breath; longer, and a resumed sentence sounds broken."""

_BACKCHANNELS = (
    "嗯", "恩", "啊", "哦", "噢", "喔", "哎", "诶", "欸", "唉", "呃", "额", "哈", "对", "对的", "对啊", "对呀", "好", "好的", "好吧", "好啊",
    "好嘞", "好了", "是", "是的", "是吧", "是啊", "行", "行吧", "行的", "行了", "可以", "可以的", "没错", "明白", "明白了", "知道", "知道了", "我知道了",
    "了解", "了解了", "清楚", "清楚了", "收到", "没事", "没关系", "谢谢", "谢谢你", "谢谢您", "谢谢啊", "这样", "这样啊", "原来如此", "嗯嗯", "哦哦",
)  # fmt: skip
_ALPHABETIC = frozenset((
    "uh", "huh", "mm", "mmm", "mhm", "hmm", "hm", "um", "ah", "oh", "yeah", "yep", "yes", "yup", "ok", "okay", "right", "sure",
    "fine", "good", "great", "alright", "aha", "i", "see",
))  # fmt: skip
_LONGEST_FIRST = re.compile("|".join(sorted(map(re.escape, _BACKCHANNELS), key=len, reverse=True)))
_IDEOGRAPHIC = re.compile(r"[^\W\d_a-zA-Z]+")


def real_words(text: str) -> int:
    """How many words of an utterance are no backchannel. A CJK character is a word.

    Chinese has no spaces, so a run of characters is read from the left, longest backchannel first; as soon as
    something else comes, the rest counts ("对不起" and "好像不对" are no agreement).
    """
    count = 0
    for run in _IDEOGRAPHIC.finditer(text):
        count += _real_in_run(run.group())
    alphabetic = _IDEOGRAPHIC.sub(" ", text).lower()
    for start, end in words(alphabetic):
        word = alphabetic[start:end]
        if not all(part in _ALPHABETIC for part in word.split("-")):
            count += 1
    return count


def _real_in_run(run: str) -> int:
    at = 0
    while at < len(run):
        match = _LONGEST_FIRST.match(run, at)
        if match is None:
            return max(1, len(words(run[at:])))
        at = match.end()
    return 0


class BargeInState(Enum):
    """What our voice is doing."""

    IDLE = "idle"
    """Nothing to say."""
    PLAY = "play"
    """Frames leave."""
    PAUSED = "paused"
    """Held back until the verdict."""
    DROPPED = "dropped"
    """Interrupted; nothing leaves until the next play."""


class Action(Enum):
    """What the session must do now."""

    PAUSE = "pause"
    RESUME = "resume"
    INTERRUPT = "interrupt"


@dataclass(frozen=True, slots=True)
class BargeInRule:
    """``min_words``: real words that interrupt at once, counted per utterance. ``verdict_s``: the longest pause.

    ``turns``: ``turn_over`` is told. Then a play that begins into words of a turn that is not over is none that answers
    them, and they interrupt it as if they came now.
    """

    min_words: int = 1
    verdict_s: float = VERDICT_S
    turns: bool = False

    def __post_init__(self) -> None:
        if self.min_words < 1 or self.verdict_s <= 0:
            raise ValueError(f"expected at least one word and a positive time, got {self}")


class BargeIn:
    """One call's. Every method that takes an event returns what to do, or None."""

    def __init__(self, rule: BargeInRule | None = None) -> None:
        self._rule = rule or BargeInRule()
        self._interruptible = True
        self._speaking = False
        self._onset = 0.0
        self._text = ""
        self._deadline: float | None = None
        self.state = BargeInState.IDLE

    @property
    def deadline(self) -> float | None:
        """When ``poll`` decides; None unless paused."""
        return self._deadline

    def play_started(self, now: float, *, interruptible: bool = True) -> Action | None:
        """A play begins. If the customer has just begun to speak, it is paused like any other.

        Speech that has gone on for longer does not hold it back: in a noisy line the VAD may never stop, and then
        words alone interrupt.
        """
        self._interruptible = interruptible
        if self.state is BargeInState.PAUSED:
            return None if interruptible else self._resume()
        self.state = BargeInState.PLAY
        if self._rule.turns and real_words(self._text) >= self._rule.min_words:
            return self._pause(now, now)
        return self._pause(now) if self._speaking and now - self._onset < self._rule.verdict_s else None

    def play_ended(self) -> None:
        """All that was to be said has been heard, or was cut on someone's order."""
        self._deadline = None
        if self.state is not BargeInState.DROPPED:
            self.state = BargeInState.IDLE

    def speech_started(self, now: float) -> Action | None:
        """VAD onset: a new utterance, whose words are counted from none."""
        self._speaking = True
        self._onset = now
        self._text = ""
        return self._pause(now) if self.state is BargeInState.PLAY else None

    def speech_ended(self) -> Action | None:
        """VAD stop. Nothing but noise or a backchannel so far: go on. Words that come late can still interrupt."""
        self._speaking = False
        return self._resume() if self.state is BargeInState.PAUSED else None

    def turn_over(self) -> None:
        """What was said is being answered, and interrupts nothing any more."""
        self._text = ""

    def text(self, text: str) -> Action | None:
        """What ASR makes of the current utterance so far (all of it, not the new part)."""
        self._text = text
        if self.state not in (BargeInState.PLAY, BargeInState.PAUSED) or not self._interruptible:
            return None
        if real_words(text) >= self._rule.min_words:
            return self._interrupt()
        return None

    def poll(self, now: float) -> Action | None:
        """The verdict, when the deadline has come: speech that still goes on interrupts, unless all of it is backchannel."""
        if self.state is not BargeInState.PAUSED or self._deadline is None or now < self._deadline:
            return None
        real = real_words(self._text)
        agreeing = bool(words(self._text)) and not real
        meant = real >= self._rule.min_words or (self._speaking and not agreeing)
        return self._interrupt() if meant else self._resume()

    def _pause(self, now: float, until: float | None = None) -> Action | None:
        if not self._interruptible:
            return None
        self.state = BargeInState.PAUSED
        self._deadline = now + self._rule.verdict_s if until is None else until
        return Action.PAUSE

    def _resume(self) -> Action:
        self.state = BargeInState.PLAY
        self._deadline = None
        return Action.RESUME

    def _interrupt(self) -> Action:
        self.state = BargeInState.DROPPED
        self._deadline = None
        return Action.INTERRUPT
