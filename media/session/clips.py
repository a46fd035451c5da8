"""Audio that is played from a URL (Active Call's ``play``)."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Protocol

import httpx2
import numpy as np

from media.audio import wav
from media.audio.errors import WavError
from media.audio.resample import resample
from media.legs.leg import RATE
from media.session.utterance import Source
from media.speech.ports import SpeechFailure, SynthesisListener

MAX_CLIP_BYTES = 16 << 20
"""A stereo WAV of 48 kHz and 80 s; what is played on a phone is shorter."""
FETCH_SECONDS = 10.0
"""From the request to the last byte: a caller who waits longer has hung up."""

_OTHERS = (
    (re.compile(rb"ID3|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]"), "MP3"),
    (re.compile(rb"\xff[\xf0\xf1\xf8\xf9]|....ftyp", re.DOTALL), "AAC"),
    (re.compile(rb"OggS"), "Ogg"),
    (re.compile(rb"fLaC"), "FLAC"),
    (re.compile(rb"\s*<"), "a page of HTML or XML"),
)
"""How files begin that people try to have played."""

log = logging.getLogger(__name__)


class Clips(Protocol):
    """Opens clips."""

    def open(self, url: str, listener: SynthesisListener) -> Source:
        """Fetches ``url`` and hands its audio to ``listener``, later. Raises SpeechFailure for what can never be played."""


class HttpClips:
    """WAV files over HTTP."""

    def __init__(self) -> None:
        self._client = httpx2.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=True, trust_env=False)

    def open(self, url: str, listener: SynthesisListener) -> Source:
        """See Clips."""
        if not url.startswith(("http://", "https://")):
            raise SpeechFailure("clip", "provider", "expected an http:// or https:// URL")
        return _Fetch(self._client, url, listener)

    async def close(self) -> None:
        """Drops every connection."""
        await self._client.aclose()


class _Fetch:
    """One clip on its way."""

    def __init__(self, client: httpx2.AsyncClient, url: str, listener: SynthesisListener) -> None:
        self._listener = listener
        self._task = asyncio.get_running_loop().create_task(self._run(client, url), name="clip")

    def send(self, text: str) -> None:
        """A clip has no text."""

    def finish(self) -> None:
        """A clip has no text."""

    def cancel(self) -> None:
        """Nothing more is wanted."""
        self._task.cancel()

    async def _run(self, client: httpx2.AsyncClient, url: str) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                data = await self._fetch(client, url)
            pcm = await asyncio.to_thread(clip_audio, data)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, WavError) as error:
            self._listener.on_failure(
                SpeechFailure("clip", "fetch", f"cannot be played: {error or type(error).__name__}")
            )
            return
        self._listener.on_audio(pcm)
        self._listener.on_done()

    async def _fetch(self, client: httpx2.AsyncClient, url: str) -> bytes:
        data = bytearray()
        async with client.stream("GET", url) as response:
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > MAX_CLIP_BYTES:
                    raise WavError(f"expected at most {MAX_CLIP_BYTES} bytes")
        return bytes(data)


def clip_audio(data: bytes) -> bytes:
    """s16le mono at RATE from a WAV file's bytes. Raises WavError, which names the format that came instead."""
    other = next((name for beginning, name in _OTHERS if beginning.match(data)), None)
    if other is not None:
        raise WavError(f"expected a WAV file of 16-bit PCM, got {other}; convert it, and play the WAV file's URL")
    rate, samples = wav.read(data)
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1).astype(np.int16)
    return resample(np.ascontiguousarray(mono), rate, RATE).tobytes()
