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


def _each(stems: str, endings: str = "") -> tuple[str, ...]:
    """Every stem with nothing behind it, and with every ending."""
    return tuple(stem + ending for stem in stems.split() for ending in ("", *endings.split()))


_BACKCHANNELS = (
    *_each("嗯 恩 嗯哼 啊 哦 噢 喔 哎 诶 欸 唉 呃 额 哈 呵 嘿 哇 哇哦 哎呀 哎哟 哎呦"),
    *_each("好 好的 行 是 对 可以 没错 那好 那行 那可以", "的 啊 呀 哦 嘞 咧 哒 滴"),
    *_each("好吧 好的吧 行吧 是吧 那好吧 那行吧 好了 行了 是吗 是嘛 确实 确实是 的确 了解了解"),
    *_each("没事 没关系 没问题", "的 啊"),
    *_each("知道 明白 了解 清楚 懂 收到 记住 记下 听懂 听清 听清楚 听明白", "了 啦 的"),
    *_each("我知道 我明白 我了解 我清楚 我懂 我收到 我记住 我记下 我听懂 我听清楚 我听明白", "了 啦 的"),
    *_each("谢谢 多谢 谢 感谢", "你 您 你们 啊 了 啦 哈"),
    *_each("辛苦了 您辛苦了 你辛苦了 辛苦您了 辛苦你了"),
    *_each("这样 这样子 是这样 是这样子 原来这样 原来是这样 原来如此", "啊 呀"),
    *_each("你说 您说 你讲 您讲 请讲 请说 继续 你继续 您继续 继续说 你继续说 您继续说 接着说", "吧"),
    *_each("在听 我在听 听着呢 我听着呢 我在 在呢 我在呢"),
)
"""What listeners say, and those who urge us to go on; "好吗" and "可以吗" are questions, "对了" begins something new."""
_ENOUGH = re.compile(r"(好了|行了)\W*\1")
"""Once it is an "all right", said twice it is the wish that we stop."""
_ALPHABETIC = frozenset((
    "uh", "huh", "mm", "mmm", "mhm", "hmm", "hm", "um", "ah", "oh", "yeah", "yep", "yes", "yup", "ok", "okay", "right", "sure",
    "fine", "good", "great", "alright", "aha", "i", "see",
))  # fmt: skip
_COURTESIES = re.compile(
    r"\b(?:thank you|thanks|got it|i understand|understood|no problem|of course|sounds good|go on|go ahead)\b"
)
_LONGEST_FIRST = re.compile("|".join(sorted(map(re.escape, _BACKCHANNELS), key=len, reverse=True)))
_IDEOGRAPHIC = re.compile(r"[^\W\d_a-zA-Z]+")


def real_words(text: str) -> int:
    """How many words of an utterance are no backchannel. A CJK character is a word.

    Chinese has no spaces, so a run of characters is read from the left, longest backchannel first; as soon as
    something else comes, the rest counts ("对不起" and "好像不对" are no agreement).
    """
    count = len(_ENOUGH.findall(text))
    for run in _IDEOGRAPHIC.finditer(text):
        count += _real_in_run(run.group())
    alphabetic = _COURTESIES.sub(" ", _IDEOGRAPHIC.sub(" ", text).lower())
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
