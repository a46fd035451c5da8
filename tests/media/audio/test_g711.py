"""The tables, against Python's own where it still has them, and against G.711's own statements everywhere."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from media.audio.g711 import alaw_decode, alaw_encode, ulaw_decode, ulaw_encode

EVERY = np.arange(-32768, 32768).astype(np.int16)
CODES = bytes(range(256))


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="audioop left the standard library in 3.13")
def test_every_value_agrees_with_audioop() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import audioop
    samples = EVERY.tobytes()
    assert ulaw_encode(EVERY) == audioop.lin2ulaw(samples, 2)
    assert alaw_encode(EVERY) == audioop.lin2alaw(samples, 2)
    assert ulaw_decode(CODES).tobytes() == audioop.ulaw2lin(CODES, 2)
    assert alaw_decode(CODES).tobytes() == audioop.alaw2lin(CODES, 2)


def test_a_code_decodes_to_a_value_that_encodes_to_it() -> None:
    again = ulaw_encode(ulaw_decode(CODES))
    # mu-law has two zeros, 0x7F and 0xFF; both decode to 0.
    assert [code for code, back in zip(CODES, again, strict=True) if code != back] == [0x7F]
    assert alaw_encode(alaw_decode(CODES)) == CODES


def test_zero_is_the_standards_idle_code() -> None:
    zero = np.zeros(1, np.int16)
    assert ulaw_encode(zero) == b"\xff"
    assert alaw_encode(zero) == b"\xd5"


def test_decoding_is_monotonic_in_the_encoded_value() -> None:
    for encode, decode in ((ulaw_encode, ulaw_decode), (alaw_encode, alaw_decode)):
        back = decode(encode(EVERY)).astype(np.int32)
        assert (np.diff(back) >= 0).all()
        assert np.abs(back - EVERY)[np.abs(EVERY.astype(np.int32)) < 30000].max() < 1024


def test_takes_memory_views() -> None:
    assert ulaw_decode(memoryview(CODES)[10:20]).tolist() == ulaw_decode(CODES[10:20]).tolist()
