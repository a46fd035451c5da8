"""Clips over HTTP: what is played, and what is said of what cannot be."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from media.audio import wav
from media.session.clips import HttpClips, clip_audio
from media.speech.ports import SpeechFailure
from tests.media.speech.conftest import Heard

SECOND = np.arange(16_000, dtype=np.int16)


def file_of(samples: bytes, rate: int = 8000, channels: int = 1) -> bytes:
    return wav.header(rate, channels, len(samples) // 2 // channels) + samples


def fetched(answer: bytes, path: str = "/a.wav") -> Heard:
    """What a listener hears of a clip whose server gives this HTTP answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def scenario() -> Heard:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        clips, heard = HttpClips(), Heard()
        clips.open(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}", heard)
        await heard.end()
        await clips.close()
        server.close()
        return heard

    return asyncio.run(scenario())


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body


def test_a_wav_file_is_heard_at_the_calls_rate() -> None:
    assert clip_audio(file_of(SECOND.tobytes())) == SECOND.tobytes()
    assert abs(len(clip_audio(file_of(SECOND.tobytes(), rate=16_000))) - 16_000) <= 4
    stereo = np.repeat(SECOND, 2).tobytes()
    assert clip_audio(file_of(stereo, channels=2)) == SECOND.tobytes()


def test_a_clip_is_fetched_and_handed_over_whole() -> None:
    heard = fetched(ok(file_of(SECOND.tobytes())))
    assert heard.audio == SECOND.tobytes()
    assert heard.failure is None


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"ID3\x04" + bytes(40), "MP3"),
        (b"\xff\xfb\x90\x64" + bytes(40), "MP3"),
        (b"\xff\xf3\x40\xc4" + bytes(40), "MP3"),
        (b"\xff\xf1\x50\x80" + bytes(40), "AAC"),
        (b"\0\0\0\x20ftypM4A " + bytes(40), "AAC"),
        (b"OggS" + bytes(40), "Ogg"),
        (b"fLaC" + bytes(40), "FLAC"),
        (b"\n<!DOCTYPE html>", "HTML"),
        (b"not audio at all", "RIFF"),
        (b"", "RIFF"),
    ],
)
def test_what_cannot_be_played_is_named(body: bytes, name: str) -> None:
    failure = fetched(ok(body)).failure
    assert failure is not None
    assert name in str(failure)
    assert "WAV" in str(failure)


def test_a_server_that_refuses_is_a_failure() -> None:
    failure = fetched(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").failure
    assert failure is not None
    assert "404" in str(failure)


def test_only_http_is_fetched() -> None:
    with pytest.raises(SpeechFailure, match="http"):
        HttpClips().open("file:///etc/passwd", Heard())
