"""What each command does to a session."""

from __future__ import annotations

import binascii
import itertools
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from media.audio.resample import resample
from media.driver import SessionOptions
from media.legs.leg import RATE
from media.protocol import events
from media.protocol.commands import (
    Accept,
    AnyCommand,
    Custom,
    Hangup,
    History,
    Interrupt,
    Invite,
    Message,
    Mute,
    Pause,
    Play,
    Refer,
    Reject,
    Resume,
    Ringing,
    Tts,
    Unmute,
    wait_input_seconds,
)
from media.protocol.options import SynthesisOption
from media.session import resolve
from media.session.equipment import Equipment
from media.session.listening import Listening
from media.session.moments import Moments
from media.session.track import Track
from media.session.utterance import Source, Utterance
from media.session.voice import Voice
from media.session.yielding import Yielding
from media.speech.ports import SpeechFailure, SynthesisOptions

MAX_TEXT = 4_000
"""Characters in one text: a quarter of an hour of speech. Longer ones are no answer in a conversation."""
DEFAULT_RATE = 16_000
"""Samples a second of base64 audio whose option does not say (SynthesisOption.samplerate)."""


class Commanded(Protocol):
    """The session that commands are for."""

    id: str
    options: SessionOptions
    moments: Moments
    listening: Listening
    voice: Voice
    yielding: Yielding

    def emit(self, event: events.AnyEvent) -> None:
        """One event for the driver."""

    def end(self, reason: str, initiator: str) -> None:
        """Ends the call, once."""


class Orders:
    """One session's."""

    def __init__(self, session: Commanded, equipment: Equipment) -> None:
        self._session = session
        self._equipment = equipment
        self._numbers = itertools.count(1)

    @property
    def provider(self) -> str:
        """The configured synthesis provider's name, for metrics."""
        return self._equipment.speech.synthesis.provider or "default"

    def new_play_id(self) -> str:
        """A playId for a driver that gave none."""
        return f"say-{next(self._numbers)}"

    def prepare(self) -> None:
        """The call begins: the synthesis connects before it is needed."""
        option = self._session.options.tts
        if option is not None:
            speech = self._equipment.speech
            speech.synthesizer.prepare(resolve.synthesis(option, speech.synthesis))

    def carry_out(self, command: AnyCommand) -> None:
        """Does it; what cannot be done becomes an ``error`` event."""
        match command:
            case Tts():
                self._tts(command)
            case Play():
                self._play(command)
            case Interrupt():
                self._session.voice.interrupt(graceful=command.graceful)
            case Hangup():
                self._session.end(command.reason or "hangup", command.initiator or "system")
            case Mute() | Unmute():
                self._mute(command.track_id, muted=isinstance(command, Mute))
            case Pause() | Resume():
                self._hold(held=isinstance(command, Pause))
            case History():
                self._emit_history(command)
            case Custom():
                self._session.emit(events.Custom(timestamp=self._now_ms(), data=command.data, sender=command.sender))
            case Invite() | Accept() | Reject() | Ringing() | Refer() | Message():
                name = str(type(command).__struct_config__.tag)
                self._error(f"{name}: not available on this call", 501)

    # --- speech ---

    def say(self, command: Tts, *, more: bool, interruptible: bool, wait_input: float | None) -> None:
        """A piece of speech of a driver in this process; ``more`` keeps its track open."""
        options = self._synthesis(command)
        if options is None:
            return
        track = self._session.voice.track_for(command.play_id, "tts", interruptible=interruptible)
        track.auto_hangup = track.auto_hangup or command.auto_hangup
        track.wait_input = wait_input
        track.open = more and not track.failed
        if command.text:
            self._session.voice.add(track, command.text, self._synthesizing(options))
        self._session.voice.settle(track)

    def fallback(self, piece: Utterance) -> Source:
        """Opens the synthesis of the fallback text; the cache has it, or it fails."""
        option = self._session.options.tts or SynthesisOption()
        return self._synthesizing(resolve.synthesis(option, self._equipment.speech.synthesis))(piece)

    def _tts(self, command: Tts) -> None:
        options = self._synthesis(command)
        if options is None:
            return
        opener: Callable[[Utterance], Source] = self._synthesizing(options)
        if command.base64:
            pcm = self._decoded(command)
            if pcm is None:
                return
            opener = _Ready(pcm, self._equipment.soon).open
        voice = self._session.voice
        track = voice.track_for(command.play_id, "tts")
        track.auto_hangup = track.auto_hangup or command.auto_hangup
        track.wait_input = wait_input_seconds(command.wait_input_timeout)
        if command.streaming and not command.base64:
            self._stream(track, command, opener)
        elif command.text:
            voice.add(track, "" if command.base64 else command.text, opener)
        voice.settle(track)

    def _stream(self, track: Track, command: Tts, opener: Callable[[Utterance], Source]) -> None:
        voice = self._session.voice
        last = command.end_of_stream
        track.open = not last and not track.failed
        if track.streaming is not None:
            voice.extend(track, track.streaming, command.text, complete=last)
            if last:
                track.streaming = None
        elif command.text:
            piece = voice.add(track, command.text, opener, complete=last)
            track.streaming = None if last else piece

    def _synthesis(self, command: Tts) -> SynthesisOptions | None:
        call_option = self._session.options.tts
        if len(command.text) > MAX_TEXT and not command.base64:
            self._error(f"tts: field text: expected at most {MAX_TEXT} characters, got {len(command.text)}", 413)
            return None
        if call_option is None and command.option is None:
            self._error("tts: field option: expected a TTS option here or in the call's own option", 400)
            return None
        option = (command.option or SynthesisOption()).over(call_option)
        if command.speaker:
            option = SynthesisOption(speaker=command.speaker).over(option)
        options = resolve.synthesis(option, self._equipment.speech.synthesis)
        return replace(options, subtitle=True) if command.streaming else options

    def _synthesizing(self, options: SynthesisOptions) -> Callable[[Utterance], Source]:
        return lambda piece: self._equipment.speech.synthesizer.open(options, piece)

    def _decoded(self, command: Tts) -> bytes | None:
        """The audio in a base64 text, at RATE."""
        rate = (command.option.samplerate if command.option else None) or DEFAULT_RATE
        try:
            pcm = b64decode(command.text, validate=True)
        except (binascii.Error, ValueError):
            self._error("tts: field text: expected base64", 400)
            return None
        if len(pcm) % 2 or not 4_000 <= rate <= 48_000:
            self._error("tts: field text: expected base64 of whole 16-bit samples at 4000 to 48000 Hz", 400)
            return None
        return resample(np.frombuffer(pcm, np.int16), rate, RATE).tobytes()

    def _play(self, command: Play) -> None:
        voice = self._session.voice
        play_id = command.url if command.play_id is None else command.play_id
        track = voice.track_for(play_id, "play")
        track.auto_hangup = command.auto_hangup
        track.wait_input = wait_input_seconds(command.wait_input_timeout)
        voice.add(track, "", lambda piece: self._equipment.clips.open(command.url, piece))
        voice.settle(track)

    # --- the rest ---

    def _mute(self, track_id: str | None, *, muted: bool) -> None:
        session = self._session
        if track_id not in (None, session.options.our_track, session.options.caller_track):
            self._error("mute: field trackId: expected a track of this call", 404)
            return
        if track_id in (None, session.options.our_track):
            session.voice.mute(muted=muted)
        if track_id in (None, session.options.caller_track):
            session.listening.muted = muted

    def _hold(self, *, held: bool) -> None:
        if held:
            self._session.yielding.hold()
        else:
            self._session.yielding.release()

    def _emit_history(self, command: History) -> None:
        self._session.emit(
            events.AddHistory(
                timestamp=self._now_ms(), sender=self._session.id, speaker=command.speaker, text=command.text
            )
        )

    def _error(self, message: str, code: int) -> None:
        self._session.emit(
            events.Error(
                timestamp=self._now_ms(),
                track_id=self._session.options.caller_track,
                sender="command",
                error=message,
                code=code,
            )
        )

    def _now_ms(self) -> int:
        return self._session.moments.now_ms()


class _Ready:
    """A source whose audio is there already."""

    def __init__(self, pcm: bytes, soon: Callable[[Callable[[], None]], object]) -> None:
        self._pcm = pcm
        self._soon = soon
        self._wanted = True

    def open(self, piece: Utterance) -> Source:
        """Hands it over, later."""
        self._soon(lambda: self._hand_over(piece))
        return self

    def send(self, text: str) -> None:
        """It has no text."""

    def finish(self) -> None:
        """It has no text."""

    def cancel(self) -> None:
        """Nothing more is wanted."""
        self._wanted = False

    def _hand_over(self, piece: Utterance) -> None:
        if not self._wanted:
            return
        if not self._pcm:
            piece.on_failure(SpeechFailure("session", "first_audio", "the audio is empty"))
            return
        piece.on_audio(self._pcm)
        piece.on_done()
