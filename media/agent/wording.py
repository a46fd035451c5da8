"""A language model's answer on its way to the customer's ear: its words, ours around them, and what was heard of all."""

from __future__ import annotations

import asyncio

from media.agent.answer import Answer
from media.agent.chat import Message
from media.agent.premise import cut_sentence, unheard
from media.agent.sentences import speakable
from shared.clock import Clock

LETTER_SECONDS = 0.25
"""Of speech; a Latin letter or a digit is reckoned with as little patience as any other."""


class Wording:
    """One answer, said in one play or several: what a noise has cut is said on in the next."""

    def __init__(self, answer: Answer | None, clock: Clock, speed: float, *, own: bool = False) -> None:
        """``own``: the answer is not the model's; the agent says it of its own accord, and has added all of its text.

        ``answer``: the play that says it, None before there was any. ``speed``: of our voice, 1.0 being the usual.
        """
        self._clock = clock
        self._speed = speed
        self.answer = answer
        self.own = own
        self.said = answer.text if own and answer is not None else ""
        """The model's words, as far as they have come."""
        self.message: Message | None = None
        """How it stands in the history, once it does."""
        self.cut: str | None = None
        """Our voice was cut, and so much of the answer heard; nobody knows yet whether by words or by a noise."""
        self.certain = asyncio.Event()
        """It is not cut: what the model wants to be done may be done."""
        self.certain.set()
        self._words = self.said
        """All that is to be heard, as far as it is known: the model's words, and what we put around them."""
        self._before = 0
        """So much of that was said by the plays before this one."""
        self._heard = ""
        """The most that was heard of it, if it was cut."""
        self._voice_until = 0.0

    @property
    def begun(self) -> bool:
        """Whether there are words that can be said."""
        return speakable(self.said)

    @property
    def voice_left(self) -> float:
        """Seconds, about, until all that was handed to our voice will have been heard."""
        return max(0.0, self._voice_until - self._clock.monotonic())

    def tell(self, part: str) -> None:
        """More of the model's words."""
        self.said += part
        self.add(part)

    def add(self, text: str) -> None:
        """More that is to be heard; not the model's, unless ``tell`` says so."""
        self._words += text
        self._hand_over(text)

    def pause(self) -> None:
        """What was added is spoken apart from what follows."""
        if self.answer is not None:
            before = len(self.answer.text)
            self.answer.pause()
            self._reckon(self.answer.text[before:])

    def drop_unfinished(self) -> None:
        """Takes back the piece of a sentence whose end will not come: "the price is three hundred" may have been to go on."""
        rest = self.answer.drop() if self.answer is not None else ""
        self._words, self.said = self._words.removesuffix(rest), self.said.removesuffix(rest)

    def cut_off(self, heard: str) -> None:
        """Our voice was cut, when ``heard`` was heard of the play that says it now."""
        self.cut = self._heard = max(self._heard, self._words[: self._before] + heard, key=len)
        self.certain.clear()

    @property
    def unheard(self) -> str | None:
        """What lies behind what was heard; None of our own words, which the model need not say."""
        return None if self.own or self.cut is None else unheard(self._words, self.cut)

    @property
    def rest(self) -> str:
        """What is to be said if it was a noise that has cut us: all from the sentence that was cut."""
        return self._words[cut_sentence(self._words, self.cut or "") :]

    def go_on(self, answer: Answer) -> None:
        """It was a noise: ``answer`` says the rest."""
        rest = self.rest
        self._say_by(answer, len(self._words) - len(rest))
        self._voice_until = 0.0
        self._hand_over(rest)

    def go_again(self, answer: Answer) -> None:
        """Synthesis failed, and ``answer`` says again what the play before it was to say."""
        self._say_by(answer, max(0, self._words.rfind(answer.text)))

    def _say_by(self, answer: Answer, before: int) -> None:
        self.answer, self._before, self.cut = answer, before, None
        self.certain.set()

    def _hand_over(self, text: str) -> None:
        """To our voice, which speaks it as far as it makes sentences."""
        if self.answer is not None:
            before = len(self.answer.text)
            self.answer.add(text)
            self._reckon(self.answer.text[before:])

    def _reckon(self, spoken: str) -> None:
        if spoken:
            seconds = LETTER_SECONDS * sum(map(str.isalnum, spoken)) / self._speed
            self._voice_until = max(self._voice_until, self._clock.monotonic()) + seconds
