"""Reading commands: tolerant, exact in what it complains of, and never surprised."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.protocol.commands import (
    COMMANDS,
    MAX_COMMAND_BYTES,
    CommandError,
    Interrupt,
    Invite,
    Tts,
    decode_command,
    encode_command,
    wait_input_seconds,
)
from media.protocol.options import SynthesisOption

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(sorted(COMMANDS))
fields = st.sampled_from(["text", "option", "playId", "streaming", "url", "asr", "reason", "code", "caller", "callee"])


def test_the_documents_examples_are_read() -> None:
    decoded = decode_command(
        '{"command":"tts","text":"Hello","speaker":"xiaoyan","playId":"p","autoHangup":false,"streaming":false,'
        '"endOfStream":false,"waitInputTimeout":30,"option":{"provider":"tencent","volume":5,"speed":1.0}}'
    )
    assert decoded.unknown == ()
    assert decoded.command == Tts(
        text="Hello",
        speaker="xiaoyan",
        play_id="p",
        wait_input_timeout=30,
        option=SynthesisOption(provider="tencent", volume=5, speed=1.0),
    )


def test_an_invite_with_its_options_is_read() -> None:
    decoded = decode_command(
        '{"command":"invite","option":{"denoise":true,"callee":"sip:a@x","vad":{"type":"silero","silenceTimeout":5000},'
        '"asr":{"provider":"tencent"},"tts":{"provider":"tencent","speaker":"601003"},"sip":{},"handshakeTimeout":"30s"}}'
    )
    assert isinstance(decoded.command, Invite)
    option = decoded.command.option
    assert option.vad is not None
    assert option.vad.silence_timeout == 5000
    assert (option.codec, option.handshake_timeout) == ("pcmu", "30s")


def test_unknown_fields_are_passed_over_and_named_with_their_path() -> None:
    decoded = decode_command('{"command":"tts","text":"a","cacheKey":"k","option":{"speaker":"s","pitch":1}}')
    assert decoded.unknown == ("cacheKey", "option.pitch")


def test_other_spellings_are_understood() -> None:
    decoded = decode_command('{"command":"invite","option":{"asr":{"apiKey":"k","model":"m"},"tts":{"voice":"v"}}}')
    assert isinstance(decoded.command, Invite)
    option = decoded.command.option
    assert option.asr is not None
    assert option.tts is not None
    assert (option.asr.secret_key, option.asr.model_type, option.tts.speaker) == ("k", "m", "v")
    assert decoded.unknown == ()


def test_null_is_absent_and_a_whole_float_is_an_integer() -> None:
    decoded = decode_command('{"command":"invite","option":{"asr":{"samplerate":8000.0,"language":null}}}')
    assert isinstance(decoded.command, Invite)
    assert decoded.command.option.asr is not None
    assert decoded.command.option.asr.samplerate == 8000


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ('{"command":"tts"}', "text"),
        ('{"command":"tts","text":5}', "text"),
        ('{"command":"tts","text":"a","autoHangup":"yes"}', "autoHangup"),
        ('{"command":"invite"}', "option"),
        ('{"command":"invite","option":[]}', "option"),
        ('{"command":"invite","option":{"asr":{"samplerate":"8k"}}}', "option.asr.samplerate"),
        ('{"command":"invite","option":{"recorder":{}}}', "option.recorder.recorderFile"),
        ('{"command":"fly"}', "command"),
        ('{"text":"a"}', "command"),
        ('{"command":7}', "command"),
    ],
)
def test_what_is_wrong_is_named(message: str, field: str) -> None:
    with pytest.raises(CommandError) as caught:
        decode_command(message)
    assert caught.value.field == field
    assert field in str(caught.value)


@pytest.mark.parametrize("message", ["", "{", "[]", "null", "5", '"tts"', b"\xff\xfe", "[" * 100_000])
def test_what_is_no_object_is_refused(message: str | bytes) -> None:
    with pytest.raises(CommandError):
        decode_command(message)


def test_a_message_beyond_the_bound_is_refused() -> None:
    with pytest.raises(CommandError, match="at most"):
        decode_command(b" " * (MAX_COMMAND_BYTES + 1))


@given(names, st.dictionaries(fields | st.text(max_size=6), json_values, max_size=6))
def test_anything_is_a_command_or_a_command_error(name: str, rest: dict[str, Any]) -> None:
    try:
        decoded = decode_command(json.dumps({"command": name} | {k: v for k, v in rest.items() if k != "command"}))
    except CommandError:
        return
    assert decode_command(encode_command(decoded.command)).command == decoded.command


@given(st.binary(max_size=64))
def test_any_bytes_are_a_command_or_a_command_error(message: bytes) -> None:
    with contextlib.suppress(CommandError):
        decode_command(message)


def test_defaults_are_left_out_when_written() -> None:
    assert encode_command(Interrupt()) == b'{"command":"interrupt"}'
    assert encode_command(Tts(text="a", play_id="p")) == b'{"command":"tts","text":"a","playId":"p"}'


def test_an_option_is_laid_over_another() -> None:
    over = SynthesisOption(volume=3).over(SynthesisOption(volume=5, speaker="s"))
    assert (over.volume, over.speaker) == (3, "s")


@pytest.mark.parametrize(
    ("given_value", "seconds"), [(None, None), (0, None), (-1, None), (30, 30), (999, 999), (1000, 1.0), (5000, 5.0)]
)
def test_wait_input_is_seconds_below_1000(given_value: float | None, seconds: float | None) -> None:
    assert wait_input_seconds(given_value) == seconds
