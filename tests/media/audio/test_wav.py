"""WAV headers, and files whose writer died."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.audio.errors import WavError
from media.audio.wav import HEADER_BYTES, header, parse, read

STEREO = np.arange(2000, dtype=np.int16).reshape(1000, 2)


def test_the_standard_library_reads_our_header() -> None:
    with wave.open(io.BytesIO(header(8000, 2, 1000) + STEREO.tobytes())) as file:
        assert file.getparams()[:4] == (2, 2, 8000, 1000)
        assert file.readframes(1000) == STEREO.tobytes()


def test_we_read_the_standard_librarys_file() -> None:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setparams((2, 2, 16000, 0, "NONE", ""))
        file.writeframes(STEREO.tobytes())
    rate, samples = read(target.getvalue())
    assert rate == 16000
    assert (samples == STEREO).all()


@pytest.mark.parametrize("stated", [0, 1, 400, 999, 1000, 5000, 2**30])
def test_a_header_that_was_not_patched_does_not_hide_what_is_there(stated: int) -> None:
    form = parse(header(8000, 2, stated) + STEREO.tobytes())
    assert (form.rate, form.channels, form.offset, form.frames) == (8000, 2, HEADER_BYTES, 1000)


def test_a_frame_that_was_cut_short_is_left_out() -> None:
    assert parse(header(8000, 2, 1000) + STEREO.tobytes()[:-3]).frames == 999


def test_a_trailing_chunk_is_no_audio() -> None:
    trailer = b"LIST" + struct.pack("<I", 6) + b"INFOab"
    assert parse(header(8000, 2, 1000) + STEREO.tobytes() + trailer).frames == 1000


def test_chunks_before_the_audio_are_passed_over() -> None:
    plain = header(8000, 1, 4)
    extra = b"fact" + struct.pack("<I", 3) + b"abc\0"
    data = plain[:36] + extra + plain[36:] + bytes(8)
    assert parse(data).frames == 4


def test_sizes_beyond_four_gibibytes_stay_at_their_largest() -> None:
    assert struct.unpack_from("<I", header(8000, 2, 2**31), 40)[0] <= 0xFFFFFFFF


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF", b"x" * 100, header(8000, 2, 10)[:36], header(8000, 2, 10).replace(b"fmt ", b"fmx ")],
)
def test_what_is_no_wav_file_is_refused(data: bytes) -> None:
    with pytest.raises(WavError):
        parse(data)


def test_only_sixteen_bit_pcm_is_taken() -> None:
    data = bytearray(header(8000, 2, 10))
    data[20] = 7  # mu-law
    with pytest.raises(WavError, match="got format 7"):
        parse(bytes(data))


@given(st.binary(max_size=200), st.integers(0, 44))
def test_garbage_never_raises_anything_else(garbage: bytes, keep: int) -> None:
    try:
        form = parse(header(8000, 2, 10)[:keep] + garbage)
    except WavError:
        return
    assert form.frames >= 0
