"""The files of one part."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from media import part as part_module
from media.audio.wav import header, read
from media.part import PartFiles
from media.stage import Block, Late


def ramp(start: int, samples: int) -> bytes:
    return np.arange(start, start + samples, dtype=np.int16).tobytes()


def files_in(folder: Path) -> PartFiles:
    return PartFiles(1, 8000, folder / "call.jsonl", folder / "call.wav")


def test_a_new_recording_is_a_valid_empty_file(tmp_path: Path) -> None:
    files_in(tmp_path).close()
    assert (tmp_path / "call.wav").read_bytes() == header(8000, 2, 0)
    assert (tmp_path / "call.jsonl").read_bytes() == b""


def test_the_channels_are_interleaved_and_the_header_follows(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    files.write(Block(0, ramp(0, 100), ramp(500, 100)))
    # Read while it is open: what a crash now would leave.
    rate, samples = read((tmp_path / "call.wav").read_bytes())
    assert rate == 8000
    assert samples[:, 0].tolist() == list(range(100))
    assert samples[:, 1].tolist() == list(range(500, 600))
    assert (tmp_path / "call.wav").read_bytes()[:44] == header(8000, 2, 100)
    files.close()


def test_late_audio_changes_its_own_channel_only(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    files.write(Block(0, ramp(0, 100), ramp(500, 100)))
    files.write(Late(40, 1, ramp(900, 20)))
    files.close()
    _, samples = read((tmp_path / "call.wav").read_bytes())
    assert samples[:, 0].tolist() == list(range(100))
    assert samples[40:60, 1].tolist() == list(range(900, 920))
    assert samples[60:, 1].tolist() == list(range(560, 600))


def test_late_audio_beyond_the_end_lengthens_the_file(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    files.write(Late(50, 0, ramp(1, 10)))
    files.close()
    _, samples = read((tmp_path / "call.wav").read_bytes())
    assert len(samples) == 60
    assert samples[50:, 0].tolist() == list(range(1, 11))
    assert not samples[:50].any()


@pytest.mark.parametrize("taken", ["call.wav", "call.jsonl"])
def test_another_owners_file_is_never_touched(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        files_in(tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(taken, b"theirs")]


def test_a_transcript_needs_no_recording(tmp_path: Path) -> None:
    files = PartFiles(1, 8000, tmp_path / "call.jsonl", None)
    files.append_line(b"{}\n")
    files.write(Block(0, ramp(0, 10), ramp(0, 10)))
    files.close()
    assert [path.name for path in tmp_path.iterdir()] == ["call.jsonl"]


def test_a_line_broken_off_by_a_full_disk_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_in(tmp_path)
    files.append_line(b'{"n":1}\n')
    real = os.write

    def full(descriptor: int, data: memoryview) -> int:
        if len(data) > 3:
            return real(descriptor, data[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(part_module.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        files.append_line(b'{"n":2}\n'[:6])
    monkeypatch.undo()
    files.append_line(b'{"n":3}\n')
    files.close()
    assert (tmp_path / "call.jsonl").read_bytes().splitlines()[::2] == [b'{"n":1}', b'{"n":3}']


def test_a_line_broken_off_anywhere_goes_on_when_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also right before its newline: what is whole must not be there twice."""
    files, line = files_in(tmp_path), b'{"n":1}\n'
    real = os.write
    for at in range(len(line)):
        left = [at]

        def full(descriptor: int, data: bytes, left: list[int] = left) -> int:
            if not left[0]:
                raise OSError(28, "No space left on device")
            wrote = real(descriptor, data[: left[0]])
            left[0] -= wrote
            return wrote

        monkeypatch.setattr(part_module.os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            files.append_line(line)
        monkeypatch.undo()
        files.append_line(line)
    files.close()
    assert (tmp_path / "call.jsonl").read_bytes() == line * len(line)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    files_in(tmp_path).close()
    with pytest.raises(FileExistsError):
        files_in(tmp_path)
    after = set(os.listdir("/proc/self/fd")) if before else set()
    assert after <= before
