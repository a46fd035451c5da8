"""G.711 mu-law and A-law, by table. The tables follow ITU-T G.711; tests hold them against Python's own (<= 3.12).

mu-law works on 14 bits and A-law on 13, so a 16-bit sample first loses its 2 or 3 lowest bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
_Ints = npt.NDArray[np.int32]

_MU_BIAS = 33
_MU_TOP = 8191


def _segment(value: _Ints, first_end: int) -> _Ints:
    """Index of the first of eight segments (ends first_end, 2*first_end+1, ...) that holds each value."""
    ends = (first_end + 1) * (1 << np.arange(8)) - 1
    found: _Ints = np.searchsorted(ends, value).astype(np.int32)
    return found


def _encode_ulaw(samples: _Ints) -> npt.NDArray[np.uint8]:
    value = samples >> 2
    mask = np.where(value < 0, 0x7F, 0xFF)
    biased = np.minimum(np.abs(value) + _MU_BIAS, _MU_TOP)
    segment = _segment(biased, 0x3F)
    code = (segment << 4) | ((biased >> (segment + 1)) & 0xF)
    ulaw: npt.NDArray[np.uint8] = (code ^ mask).astype(np.uint8)
    return ulaw


def _encode_alaw(samples: _Ints) -> npt.NDArray[np.uint8]:
    value = samples >> 3
    mask = np.where(value < 0, 0x55, 0xD5)
    size = np.where(value < 0, -value - 1, value)
    segment = _segment(size, 0x1F)
    code = (segment << 4) | ((size >> np.maximum(segment, 1)) & 0xF)
    return (code ^ mask).astype(np.uint8)


def _decode_ulaw(codes: _Ints) -> Samples:
    flipped = ~codes & 0xFF
    size = ((((flipped & 0xF) << 3) + 0x84) << ((flipped & 0x70) >> 4)) - 0x84
    return np.where(flipped & 0x80, -size, size).astype(np.int16)


def _decode_alaw(codes: _Ints) -> Samples:
    plain = codes ^ 0x55
    segment = (plain & 0x70) >> 4
    mantissa = ((plain & 0xF) << 4) + 8
    size = np.where(segment == 0, mantissa, (mantissa + 0x100) << np.maximum(segment - 1, 0))
    return np.where(plain & 0x80, size, -size).astype(np.int16)


_BY_BITS = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
"""Every int16, ordered by its bits read as an unsigned number: the index into the encoding tables."""
_CODES = np.arange(256, dtype=np.int32)

_TO_ULAW = _encode_ulaw(_BY_BITS)
_TO_ALAW = _encode_alaw(_BY_BITS)
_FROM_ULAW = _decode_ulaw(_CODES)
_FROM_ALAW = _decode_alaw(_CODES)


def ulaw_encode(samples: Samples) -> bytes:
    """One mu-law byte for each int16 sample."""
    return _TO_ULAW[samples.view(np.uint16)].tobytes()


def ulaw_decode(data: bytes | bytearray | memoryview) -> Samples:
    """One int16 sample for each mu-law byte."""
    return _FROM_ULAW[np.frombuffer(data, np.uint8)]


def alaw_encode(samples: Samples) -> bytes:
    """One A-law byte for each int16 sample."""
    return _TO_ALAW[samples.view(np.uint16)].tobytes()


def alaw_decode(data: bytes | bytearray | memoryview) -> Samples:
    """One int16 sample for each A-law byte."""
    return _FROM_ALAW[np.frombuffer(data, np.uint8)]
