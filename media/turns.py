"""When the customer's turn is over. Pure: time comes with every call.

A turn ends a while after the customer fell silent: a short while if the words look complete, a longer one if not, and
never later than the cap. ASR alone can end one too, for words so short or quiet that the VAD missed them, and for a
VAD that hears speech in a noisy line for ever.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

UNFINISHED_S = 0.15
"""A turn does not end so soon after a new interim text: it takes a VAD 128 ms to hear that speech goes on."""


@dataclass(frozen=True, slots=True)
class TurnRule:
    """Delays in seconds, from the end of speech or, if that was missed, from the last new text."""

    complete_s: float = 0.3
    default_s: float = 0.6
    cap_s: float = 1.2

    def __post_init__(self) -> None:
        if not 0 <= self.complete_s <= self.default_s <= self.cap_s:
            raise ValueError(f"expected 0 <= complete <= default <= cap, got {self}")


@dataclass(frozen=True, slots=True)
class Turn:
    """What the customer said, and when. ``text`` is empty if there was speech but no words came of it."""

    text: str
    started: float
    ended: float


_CLOSED = re.compile(r"[。！？!?…]$|(?<!\d)\.$")
_PARTICLE = re.compile(
    r"(?:吗|呢|吧|啊|呀|啦|嘛|哦|了|谢谢|再见|拜拜|可以|不行|不用|不要|不需要|没有|没事|是的|对的|好的|好|行|知道|明白)$"
    r"|\b(?:yes|no|ok|okay|thanks|thank you|bye|goodbye|please)$",
    re.IGNORECASE,
)
_OPEN = re.compile(
    r"[，、,：:]$"
    r"|(?:那个|这个|就是|就是说|然后|还有|因为|所以|但是|可是|不过|如果|或者|而且|比如|嗯|呃|我想|(?<=[^，,、])我是|我的)$"
    r"|\b(?:and|but|so|or|because|if|the|a|an|to|of|my|um|uh|er)$",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(r"(?<!我)(?<![是对好行])(?<!可以)的$")
"""的 joins what comes before to a noun that is still to come, unless the recogniser closed the sentence there:
"我会去的。" is whole, and very common."""
_CLOSING_MARKS = " ”’」』）)\"'"


def looks_complete(text: str) -> bool:
    """Whether a sentence seems to be over: its final mark, or a final particle or phrase without any mark."""
    text = text.rstrip(_CLOSING_MARKS)
    return bool(_CLOSED.search(text)) or (not looks_open(text) and bool(_PARTICLE.search(text)))


def looks_open(text: str) -> bool:
    """Whether it seems to go on: a comma, or a word after which more must come. A final mark does not hide that word:
    recognisers put one wherever there is a pause."""
    bare = text.rstrip(_CLOSING_MARKS)
    unmarked = bare.rstrip("。.…")
    if _ATTRIBUTE.search(unmarked):
        return unmarked == bare
    return bool(_OPEN.search(bare)) or bool(_OPEN.search(unmarked))


class TurnDetector:
    """One call's. Feed it what happens, and ask ``poll`` when ``deadline`` has come."""

    def __init__(self, rule: TurnRule | None = None) -> None:
        self._rule = rule or TurnRule()
        self._speaking = False
        self._started: float | None = None
        self._ended: float | None = None
        self._texted: float | None = None
        self._final = ""
        self._partial = ""

    @property
    def text(self) -> str:
        """What was said so far."""
        return join(self._final, self._partial)

    @property
    def started(self) -> float | None:
        """When the turn that is not over began; None if nobody has spoken."""
        return self._started

    def speech_started(self, now: float) -> None:
        """VAD onset; ``now`` may be the moment it really was."""
        self._speaking = True
        self._ended = None
        if self._started is None:
            self._started = now

    def speech_ended(self, now: float) -> None:
        """VAD stop; ``now`` may be the moment the speech really ended, which lies a little back."""
        if self._speaking:
            self._speaking = False
            self._ended = now

    def partial(self, text: str, now: float) -> None:
        """An interim ASR result: replaces the one before it. What brings nothing new moves no deadline."""
        self._note(text.strip() != self._partial, now)
        self._partial = text.strip()

    def final(self, text: str, now: float) -> None:
        """A stable ASR result: joins the turn, in place of the interim one."""
        self._note(text.strip() != self._partial, now)
        self._final = join(self._final, text.strip())
        self._partial = ""

    def _note(self, news: bool, now: float) -> None:
        if not news:
            return
        self._texted = now
        if self._started is None:
            self._started = now

    @property
    def deadline(self) -> float | None:
        """When ``poll`` may have a turn, if nothing happens before; None if nothing was said."""
        text = self.text
        if self._speaking:
            return self._texted + self._rule.cap_s if text and self._texted is not None else None
        since = self._ended if self._ended is not None else self._texted
        if since is None:
            return None
        over = since + self._delay(text)
        if self._partial and self._texted is not None:  # perhaps the first word of more, which the VAD has yet to hear
            over = max(over, self._texted + UNFINISHED_S)
        return over

    def _delay(self, text: str) -> float:
        if not text or looks_open(text):
            return self._rule.cap_s
        return self._rule.complete_s if looks_complete(text) else self._rule.default_s

    def poll(self, now: float) -> Turn | None:
        """The turn, once, when it is over; the next one begins afresh.

        While the VAD hears speech, a turn ends only when the text has stood still for the cap.
        """
        deadline = self.deadline
        if deadline is None or now < deadline:
            return None
        ended = self._ended if self._ended is not None else self._texted
        started = self._started if self._started is not None else now
        turn = Turn(self.text, started, now if ended is None else ended)
        speaking = self._speaking
        self.reset()
        self._speaking = speaking
        self._started = now if speaking else None
        return turn

    def reset(self) -> None:
        """Forgets what was said, and that anybody speaks."""
        self._speaking = False
        self._started = self._ended = self._texted = None
        self._final = self._partial = ""


def join(before: str, after: str) -> str:
    """Texts that follow one another: with a space only between letters of an alphabet, if they bring none themselves."""
    if before and after and _is_printed(before[-1]) and after[0].isascii() and after[0].isalnum():
        return f"{before} {after}"
    return before + after


def _is_printed(character: str) -> bool:
    return character.isascii() and not character.isspace()
