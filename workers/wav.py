"""WAV files as the recorder leaves them: their headers repaired, their parts laid on one timeline.

The sound is the last chunk of the file, so a header that a crash left behind the sound is told by the file's length.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

HEADER_BYTES = 44
LONGEST_HEADER = 4096
"""Where the sound of a recording of ours begins at the latest."""
LONGEST_CALL_MS = 24 * 3600 * 1000
"""A part that claims to begin later than this after the first has a broken clock; it is put behind the others."""
_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Wav:
    """``offset``: where the sound begins; ``length``: its bytes in the file, whole frames only."""

    path: Path
    rate: int
    channels: int
    frame: int
    offset: int
    length: int
    told: int


def inspect(path: Path) -> Wav | None:
    """What the file holds; None if it is no PCM file whose header can be read."""
    with path.open("rb") as file:
        head = file.read(LONGEST_HEADER)
        size = os.fstat(file.fileno()).st_size
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    position, format_chunk = 12, b""
    while position + 8 <= len(head):
        name, length = struct.unpack_from("<4sI", head, position)
        if name == b"fmt ":
            format_chunk = head[position + 8 : position + 24]
        if name == b"data":
            return _wav(path, format_chunk, position + 8, size, length)
        position += 8 + length + length % 2
    return None


def repair(path: Path) -> Wav | None:
    """Makes the header tell the length that the file has. Safe to repeat, and while the recorder still writes."""
    wav = inspect(path)
    if wav is None or wav.told == wav.length:
        return wav
    with path.open("r+b") as file:
        file.seek(4)
        file.write(struct.pack("<I", wav.offset - 8 + wav.length))
        file.seek(wav.offset - 4)
        file.write(struct.pack("<I", wav.length))
    return inspect(path)


def join(parts: Sequence[tuple[Wav, int | None]], target: Path) -> None:
    """Lays the parts on one timeline, each at its time (milliseconds since 1970), and puts the whole at ``target``.

    Where parts overlap the later one holds; a part whose time is unknown follows the one before it. Joining again,
    with the whole as its first part, changes nothing. Parts of another format than the first are left out.
    """
    first, began = parts[0]
    descriptor, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as whole:
            end = 0
            for part, at in parts:
                if (part.rate, part.channels, part.frame) != (first.rate, first.channels, first.frame):
                    continue
                start = _position(first, began, at, end)
                whole.seek(HEADER_BYTES + start)
                _copy(part, whole)
                end = max(end, start + part.length)
            whole.seek(0)
            whole.write(_header(first, end))
            whole.flush()
            os.fsync(whole.fileno())
        os.chmod(name, first.path.stat().st_mode & 0o777)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _wav(path: Path, format_chunk: bytes, offset: int, size: int, told: int) -> Wav | None:
    if len(format_chunk) < 16:
        return None
    kind, channels, rate, _, frame, _ = struct.unpack("<HHIIHH", format_chunk)
    if kind != 1 or not channels or not rate or not frame:
        return None
    return Wav(path, rate, channels, frame, offset, (size - offset) // frame * frame, told)


def _position(first: Wav, began: int | None, at: int | None, end: int) -> int:
    if began is None or at is None or not 0 <= at - began <= LONGEST_CALL_MS:
        return end
    return round((at - began) * first.rate / 1000) * first.frame


def _copy(part: Wav, whole: BinaryIO) -> None:
    """The part's whole frames and no more: it may have grown since it was looked at."""
    with part.path.open("rb") as file:
        file.seek(part.offset)
        left = part.length
        while left and (piece := file.read(min(left, _COPY_BYTES))):
            whole.write(piece)
            left -= len(piece)


def _header(first: Wav, length: int) -> bytes:
    depth = first.frame // first.channels * 8
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        HEADER_BYTES - 8 + length,
        b"WAVE",
        b"fmt ",
        16,
        1,
        first.channels,
        first.rate,
        first.rate * first.frame,
        first.frame,
        depth,
        b"data",
        length,
    )
