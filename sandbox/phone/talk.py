"""The talk after the answer: the robot's stream goes to the callee's ear, the callee's voice to the audio socket.

Everything is counted in frames of 20 ms since the answer; the caller tells the time. No sockets, no tasks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sandbox.people.mouth import Mouth, Sounding
from sandbox.people.person import Callee, HangUp, Moment, Say, Sound
from sandbox.people.sounds import Pcm, beep, cough, digits
from sandbox.people.speech import Speech
from sandbox.phone.hearing import RATE, Hearing
from sandbox.phone.stream import BYTES_PER_SECOND, Stage, Stream
from sandbox.voice.modem import Decoder

FRAME_SECONDS = 0.02
FRAME_SAMPLES = 160
FRAME_BYTES = 320

MAX_FRAMES_AT_ONCE = 25
"""Frames (half a second) that one call may make up for in one go after a stall, so that the others get their turn too."""

DECODED_FRAMES = 5
"""Frames that are decoded together: a batch costs little more than a frame, and nobody reacts within 100 ms."""


class Talk:
    """One answered call. `advance` is called every few milliseconds until it returns a HangUp or the call ends."""

    def __init__(
        self, callee: Callee, mouth: Mouth, speech: Speech, voice: int, send: Callable[[Pcm], None], began: float
    ) -> None:
        """`send` takes the frames for the audio socket; `voice` picks the callee's voice; `began` is the answer's time."""
        self.stream = Stream()
        self.hearing = Hearing()
        self.mouth = mouth
        self._callee = callee
        self._speech = speech
        self._voice = voice
        self._send = send
        self._began = began
        self._frames = 0
        self._decoder = Decoder(RATE)
        self._undecoded = np.zeros(DECODED_FRAMES * FRAME_SAMPLES, np.int16)
        self._words = ""

    @property
    def samples(self) -> int:
        """Samples of the talk so far."""
        return self._frames * FRAME_SAMPLES

    def receive(self, pcm: bytes, now: float) -> None:
        """Audio from the robot: s16le bytes of any length."""
        next_frame = self._began + self._frames * FRAME_SECONDS
        ahead = max(0.0, next_frame - now) + self.stream.buffered / BYTES_PER_SECOND
        self.hearing.arrive(pcm, now - self._began, ahead, playing=self.stream.stage is Stage.PLAYING)
        self.stream.receive(pcm)

    def clear(self) -> None:
        """The stream's buffer has been dropped by an action."""
        self.hearing.clear(self.samples)

    def advance(self, now: float) -> HangUp | None:
        """Work off the frames that are due. Returns HangUp if the callee puts the receiver down."""
        due = int((now - self._began) / FRAME_SECONDS) + 1 - self._frames
        for _ in range(min(due, MAX_FRAMES_AT_ONCE)):
            hang_up = self._step()
            if hang_up is not None:
                return hang_up
        return None

    def finish(self) -> None:
        """The call has ended: what sounds is cut, and what was played last is still decoded."""
        self.mouth.stop()
        self._decode(self._frames % DECODED_FRAMES)

    def _step(self) -> HangUp | None:
        samples = np.frombuffer(self.stream.take(FRAME_BYTES), "<i2")
        playing = self.stream.stage is Stage.PLAYING
        loud = self.hearing.play(samples, self.samples, FRAME_SAMPLES, playing=playing)
        self._keep_for_decoding(samples)
        moment = Moment(self._frames * FRAME_SECONDS, loud, self.mouth.talking, self._words)
        self._words = ""
        for deed in self._callee.step(moment):
            if isinstance(deed, HangUp):
                return deed
            self._carry_out(deed)
        self._send(self.mouth.speak(FRAME_SAMPLES))
        self._frames += 1
        if self._frames % DECODED_FRAMES == 0:
            self._decode(DECODED_FRAMES)
        return None

    def _carry_out(self, deed: Say | Sound) -> None:
        if isinstance(deed, Say):
            sounding = Sounding(deed.kind, deed.text)
            self.mouth.queue(sounding)
            self._speech.prepare(deed.text, self._voice, lambda pcm: _fill(sounding, pcm))
        elif deed.name == "cough":
            self.mouth.queue(Sounding("cough", "", cough()))
        elif deed.name == "beep":
            self.mouth.queue(Sounding("beep", "", beep(deed.seconds)))
        else:
            self.mouth.queue(Sounding("digits", deed.digits, digits(deed.digits)))

    def _keep_for_decoding(self, samples: Pcm) -> None:
        place = self._frames % DECODED_FRAMES * FRAME_SAMPLES
        self._undecoded[place : place + len(samples)] = samples
        self._undecoded[place + len(samples) : place + FRAME_SAMPLES] = 0

    def _decode(self, frames: int) -> None:
        pieces = self._decoder.feed(self._undecoded[: frames * FRAME_SAMPLES])
        self.hearing.words += pieces
        self._words += "".join(piece.text for piece in pieces)


def _fill(sounding: Sounding, pcm: Pcm) -> None:
    sounding.pcm = pcm
