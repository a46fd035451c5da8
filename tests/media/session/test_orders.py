"""Commands and their refusals."""

from __future__ import annotations

from base64 import b64encode

import numpy as np
import pytest

from media.protocol import events
from media.protocol.commands import (
    AnyCommand,
    Custom,
    History,
    Invite,
    Message,
    Mute,
    Refer,
    Reject,
    Tts,
)
from media.protocol.options import CallOption, SynthesisOption
from tests.media.twins import Scene, with_options


@pytest.mark.parametrize(
    "command",
    [
        Invite(option=CallOption()),
        Reject(reason="busy"),
        Refer(caller="sip:a@x", callee="sip:b@x"),
        Message(body="x"),
    ],
)
def test_what_this_call_cannot_do_is_an_error_and_the_call_goes_on(command: AnyCommand) -> None:
    scene = Scene()
    scene.session.submit(command)
    scene.run(0.1)
    error = scene.of(events.Error)[0]
    assert (error.sender, error.code) == ("command", 501)
    assert not scene.session.over


def test_history_and_custom_come_back_as_events() -> None:
    scene = Scene()
    scene.session.submit(History(speaker="user", text="您好"))
    scene.session.submit(Custom(data={"a": 1}, sender="me"))
    scene.drain()
    assert scene.names == ["answer", "addHistory", "custom"]
    assert scene.of(events.Custom)[0].data == {"a": 1}


def test_base64_audio_is_heard_at_its_rate() -> None:
    scene = Scene()
    pcm = (np.sin(np.arange(16_000) / 10) * 8000).astype("<i2").tobytes()
    scene.session.submit(Tts(text=b64encode(pcm).decode(), base64=True, play_id="a"))
    scene.run(2)
    assert abs(scene.of(events.TrackEnd)[0].duration - 1000) <= 2
    assert scene.synthesizer.streams == []


@pytest.mark.parametrize("text", ["not base64!", "AA==", b64encode(b"odd").decode()])
def test_what_is_no_base64_audio_is_an_error(text: str) -> None:
    scene = Scene()
    scene.session.submit(Tts(text=text, base64=True, play_id="a"))
    scene.run(0.1)
    assert scene.names == ["answer", "error"]


def test_an_endless_text_is_refused() -> None:
    scene = Scene()
    scene.session.submit(Tts(text="长" * 5000))
    scene.drain()
    assert scene.of(events.Error)[0].code == 413


def test_without_any_tts_option_speaking_is_an_error() -> None:
    scene = Scene(with_options(tts=None))
    scene.session.submit(Tts(text="您好"))
    scene.drain()
    assert "option" in scene.of(events.Error)[0].error
    scene.session.submit(Tts(text="您好", option=SynthesisOption(speaker="x")))
    scene.run(1)
    assert scene.names[-1] == "trackEnd"


def test_a_commands_voice_is_laid_over_the_calls() -> None:
    scene = Scene(with_options(tts=SynthesisOption(speaker="call", speed=1.2)))
    scene.session.submit(Tts(text="一", speaker="mine"))
    scene.session.submit(Tts(text="二", option=SynthesisOption(volume=99)))
    scene.drain()
    first, second = (stream.options for stream in scene.synthesizer.streams)
    assert (first.speaker, first.speed, first.provider, first.samplerate) == ("mine", 1.2, "twin", 8000)
    assert (second.speaker, second.volume) == ("call", 10)


def test_another_provider_never_gets_the_configured_key() -> None:
    scene = Scene(with_options(tts=SynthesisOption(provider="tencent")))
    scene.session.submit(Tts(text="一"))
    scene.drain()
    options = scene.synthesizer.streams[0].options
    assert (options.provider, options.key, options.endpoint, options.model) == ("tencent", "", "", "")


def test_muting_an_unknown_track_is_an_error() -> None:
    scene = Scene()
    scene.session.submit(Mute(track_id="nobody"))
    scene.drain()
    assert scene.of(events.Error)[0].code == 404


def test_too_many_texts_on_one_track_are_refused() -> None:
    scene = Scene()
    scene.synthesizer.instant = False
    for _ in range(70):
        scene.session.say("一。", play_id="a", more=True)
    scene.drain()
    assert {error.code for error in scene.of(events.Error)} == {429}
    assert len(scene.of(events.Error)) == 6
