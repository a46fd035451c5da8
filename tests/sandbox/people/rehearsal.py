"""A talk without sockets or waiting: a scripted robot and somebody from the directory, in simulated time."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from sandbox.people.directory import Directory
from sandbox.people.manner import Manner
from sandbox.people.mouth import Mouth, Sounding
from sandbox.people.person import callee
from sandbox.people.sounds import Pcm
from sandbox.phone.hearing import Hearing
from sandbox.phone.talk import FRAME_SECONDS, Talk
from sandbox.voice.modem import Decoder
from sandbox.voice.speech import CALLEES, utterance


@lru_cache(maxsize=500)
def speech_of(text: str, voice: int) -> Pcm:
    return utterance(text, 8000, CALLEES[voice % len(CALLEES)]).pcm


@lru_cache(maxsize=500)
def robot_speech(text: str) -> Pcm:
    return utterance(text, 8000).pcm


class InstantSpeech:
    """Speech that is ready at once."""

    def prepare(self, text: str, voice: int, ready: Callable[[Pcm], None]) -> None:
        ready(speech_of(text, voice))

    async def line(self, text: str, voice: int) -> Pcm:
        return speech_of(text, voice)


class Rehearsal:
    """A robot says `lines`, each once the callee has been quiet for `wait` seconds; then it hangs up.

    It gives way (clean_stream) as soon as the callee speaks over it for `yields_after` seconds, unless that is None.
    """

    def __init__(
        self, manner: Manner | str, lines: list[str], *, wait: float = 0.9, yields_after: float | None = None
    ) -> None:
        if isinstance(manner, str):
            manner = Directory().manner(manner)
        self.frames: list[Pcm] = []
        self.talk = Talk(
            callee(manner, random.Random(7)), Mouth(manner.noise_dbfs), InstantSpeech(), 0, self.frames.append, 0.0
        )
        self.talk.stream.start()
        self.talk.stream.play()
        self.ended_by = ""
        self.why = ""
        self.heard_by_robot = ""
        self._lines = list(lines)
        self._wait = wait
        self._yields_after = yields_after
        self._decoder = Decoder(8000)
        self._quiet = 0.0
        self._loud = 0.0
        self._listened = 0

    @property
    def hearing(self) -> Hearing:
        return self.talk.hearing

    @property
    def said(self) -> list[Sounding]:
        return self.talk.mouth.said

    def texts(self, *kinds: str) -> list[str]:
        return [sound.text for sound in self.said if not kinds or sound.kind in kinds]

    def run(self, longest: float = 60.0) -> Rehearsal:
        """Play it to the end; `longest` seconds are the robot's patience."""
        for step in range(int(longest / FRAME_SECONDS)):
            now = step * FRAME_SECONDS
            hang_up = self.talk.advance(now)
            if hang_up is not None:
                self.ended_by, self.why = "callee", hang_up.why
                break
            if self._listen() and self._speak(now):
                self.ended_by = "robot"
                break
        self.talk.finish()
        return self

    def _listen(self) -> bool:
        """Hear the frames that are new. Returns whether it is the robot's turn."""
        turn = False
        for frame in self.frames[self._listened :]:
            self.heard_by_robot += "".join(heard.text for heard in self._decoder.feed(frame))
            loud = float(np.mean(frame.astype(np.float64) ** 2)) > 400.0**2
            self._loud = self._loud + FRAME_SECONDS if loud else 0.0
            speaking = self.talk.stream.buffered > 0
            if speaking and self._yields_after is not None and self._loud >= self._yields_after:
                self.talk.stream.clean()
                self.talk.clear()
            self._quiet = 0.0 if loud or speaking else self._quiet + FRAME_SECONDS
            turn = self._quiet >= self._wait
        self._listened = len(self.frames)
        return turn

    def _speak(self, now: float) -> bool:
        """Say the next line. Returns True when there is none left: the robot hangs up."""
        self._quiet = 0.0
        if not self._lines:
            return True
        self.talk.receive(robot_speech(self._lines.pop(0)).tobytes(), now)
        return False
