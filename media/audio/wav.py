"""WAV files of 16-bit PCM: headers to write and patch, and reading that forgives a writer which died."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from media.audio.errors import WavError

HEADER_BYTES = 44
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_CHUNK = struct.Struct("<4sI")
_PCM = 1
_EXTENSIBLE = 0xFFFE
_LARGEST = 0xFFFFFFFF


def header(rate: int, channels: int, frames: int) -> bytes:
    """The 44 bytes before ``frames`` samples of each of ``channels``. Beyond 4 GiB the sizes stay at their largest."""
    data = min(frames * channels * 2, _LARGEST - HEADER_BYTES)
    return _HEADER.pack(
        b"RIFF",
        data + HEADER_BYTES - 8,
        b"WAVE",
        b"fmt ",
        16,
        _PCM,
        channels,
        rate,
        rate * channels * 2,
        channels * 2,
        16,
        b"data",
        data,
    )


@dataclass(frozen=True, slots=True)
class WavFormat:
    """Where a file's audio lies. ``offset`` in bytes; ``frames`` as many as are really there."""

    rate: int
    channels: int
    offset: int
    frames: int


def parse(data: bytes | memoryview) -> WavFormat:
    """Finds the audio in a whole file (its bytes, or a memory map of them).

    The data chunk reaches to the end of the file if its own size is 0 or more than is there (the writer died, or
    streamed), or less and no other chunks follow (it died after its last patch). Raises WavError.
    """
    view = memoryview(data)
    magic = bytes(view[:12])
    if magic[:4] != b"RIFF" or magic[8:] != b"WAVE":
        raise WavError(f"expected a RIFF/WAVE header, got {magic!r}")
    rate = channels = 0
    at = 12
    while at + _CHUNK.size <= len(view):
        name, length = _CHUNK.unpack_from(view, at)
        at += _CHUNK.size
        if name == b"fmt ":
            rate, channels = _parse_format(view[at : at + length])
        elif name == b"data":
            if not rate:
                raise WavError("expected a fmt chunk before the data chunk")
            there = len(view) - at
            held = length if 0 < length < there and _only_chunks(view, at + length + (length & 1)) else there
            return WavFormat(rate, channels, at, held // (channels * 2))
        at += length + (length & 1)
    raise WavError(f"expected a data chunk, found none in {len(view)} bytes")


def _parse_format(chunk: memoryview) -> tuple[int, int]:
    if len(chunk) < 16:
        raise WavError(f"expected a fmt chunk of at least 16 bytes, got {len(chunk)}")
    coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if coding == _EXTENSIBLE and len(chunk) >= 26:
        (coding,) = struct.unpack_from("<H", chunk, 24)
    if coding != _PCM or bits != 16 or not channels or not rate:
        raise WavError(f"expected 16-bit PCM, got format {coding}, {bits} bits, {channels} channels, {rate} Hz")
    return rate, channels


def _only_chunks(view: memoryview, at: int) -> bool:
    """Whether a chain of chunks (LIST, id3, ...) leads from ``at`` exactly to the end."""
    while at + _CHUNK.size <= len(view):
        name, length = _CHUNK.unpack_from(view, at)
        if not name.strip().isalnum():
            return False
        at += _CHUNK.size + length + (length & 1)
    return at in (len(view), len(view) + 1)


def read(data: bytes) -> tuple[int, npt.NDArray[np.int16]]:
    """Rate and samples [frames, channels] of a whole file's bytes. Raises WavError."""
    form = parse(data)
    count = form.frames * form.channels
    samples = np.frombuffer(data, np.int16, count, form.offset)
    return form.rate, samples.reshape(form.frames, form.channels)
