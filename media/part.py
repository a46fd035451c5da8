"""The two files of one owner's part of a call: a stereo WAV file and a transcript. Blocking: for the recorder's thread."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from media.audio.wav import HEADER_BYTES, header
from media.stage import Block, Late


class PartFiles:
    """The open files of one part. Only the thread touches them. Its methods raise OSError."""

    def __init__(self, number: int, rate: int, transcript: Path, wav: Path | None) -> None:
        """Creates both files, or neither. Raises FileExistsError if another owner has one of them."""
        self.number = number
        self.rate = rate
        self.transcript = transcript
        self.wav = wav
        self.frames = 0
        """Frames that the file holds."""
        self._line: bytes | None = None
        """The line that could not be written whole, and what of it is still to be written."""
        self._left = b""
        self._lines = os.open(transcript, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._audio: int | None = None
        if wav is None:
            return
        try:
            self._audio = os.open(wav, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            _write_at(self._audio, header(rate, 2, 0), 0)
        except OSError:
            self._discard()
            raise

    def append_line(self, encoded: bytes) -> None:
        """A line that a full disk broke off goes on there if it is tried again; before another one it is closed with a
        newline, so that only it is lost."""
        if encoded is not self._line:
            self._left = b"\n" + encoded if self._left else encoded
            self._line = encoded
        while self._left:
            self._left = self._left[os.write(self._lines, self._left) :]
        self._line = None

    def write(self, piece: Block | Late) -> None:
        """Puts audio where it belongs, and patches the header if the file has grown."""
        if self._audio is None:
            return
        offset = HEADER_BYTES + piece.start * 4
        if isinstance(piece, Block):
            stereo = np.empty((len(piece.customer) // 2, 2), np.int16)
            stereo[:, 0] = np.frombuffer(piece.customer, np.int16)
            stereo[:, 1] = np.frombuffer(piece.ours, np.int16)
        else:
            stereo = self._read(offset, len(piece.pcm) // 2)
            stereo[:, piece.channel] = np.frombuffer(piece.pcm, np.int16)
        _write_at(self._audio, stereo.data.cast("B"), offset)
        end = piece.start + len(stereo)
        if end > self.frames:
            self.frames = end
            _write_at(self._audio, header(self.rate, 2, end), 0)

    def _read(self, offset: int, frames: int) -> npt.NDArray[np.int16]:
        """Both channels at ``offset``; zeros where the file does not reach."""
        assert self._audio is not None, "`write` has looked"
        there = os.pread(self._audio, frames * 4, offset)
        return np.frombuffer(bytearray(there.ljust(frames * 4, b"\0")), np.int16).reshape(frames, 2)

    def close(self) -> None:
        """Makes all of it durable. The files are closed even if that fails."""
        try:
            for descriptor in self._descriptors():
                os.fsync(descriptor)
        finally:
            for descriptor in self._descriptors():
                os.close(descriptor)

    def _descriptors(self) -> list[int]:
        return [self._lines] if self._audio is None else [self._lines, self._audio]

    def _discard(self) -> None:
        """Undoes a creation that went half way; a WAV file of another owner stays."""
        self.transcript.unlink()
        if self._audio is not None and self.wav is not None:
            self.wav.unlink()
        for descriptor in self._descriptors():
            os.close(descriptor)


def _write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """All of ``data``, at ``offset``. Raises OSError; part of it may have been written then."""
    view = memoryview(data)
    while view:
        wrote = os.pwrite(descriptor, view, offset)
        view = view[wrote:]
        offset += wrote
