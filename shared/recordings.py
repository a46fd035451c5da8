"""Where a call's recording and transcript lie (reading.md, "Recordings"), and what a transcript's lines say.

``ai_call/yyyy/MM/dd/HH/<uuid>.wav`` under one root, the hour in the configured zone. Each media session that held
the call wrote a part of its own: ``<uuid>.wav`` and ``<uuid>.jsonl`` first, then ``<uuid>.2.wav`` and so on. Part
numbers are handed out by the file system (a file is created only where none was), so they survive a wiped Redis.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from shared.errors import RecordingPathError
from shared.ids import is_call_uuid
from shared.unicode import storable

ROOT = "ai_call"
MAX_PARTS = 50
"""More sessions than this for one call mean a socket that comes and goes for ever, not a call."""
LOOKS = 20
"""For files of a call that is erased; more than a few times nobody finds any."""
MARKER = ".filesystem"
_NAME = re.compile(r"ai_call/\d{4}/\d{2}/\d{2}/\d{2}/(?P<uuid>\d{19})(?:\.\d{1,2})?\.wav", re.ASCII)


def stem(uuid: str, created_at: int, zone: ZoneInfo) -> str:
    """The name without its ending, relative to the recordings root. Raises RecordingPathError for what is no call's uuid."""
    if not is_call_uuid(uuid):
        raise RecordingPathError(f"expected a call's uuid of 19 digits, got {len(uuid)} characters")
    return f"{ROOT}/{datetime.fromtimestamp(created_at / 1000, zone):%Y/%m/%d/%H}/{uuid}"


def resolve(root: Path, name: str) -> Path:
    """The file that ``name`` (as in wavFileUrl) means. Raises RecordingPathError unless it is a recording under ``root``."""
    if _NAME.fullmatch(name) is None:
        raise RecordingPathError("expected ai_call/yyyy/MM/dd/HH/<uuid>.wav")
    base = root.resolve()
    path = (base / name).resolve()
    if not path.is_relative_to(base):
        raise RecordingPathError("the name leaves the recordings directory")
    return path


def uuid_of(name: str) -> str:
    """The call's uuid in a recording's name. Raises RecordingPathError."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise RecordingPathError("expected ai_call/yyyy/MM/dd/HH/<uuid>.wav")
    return match["uuid"]


def part(root: Path, name_stem: str, number: int, ending: Literal["wav", "jsonl"]) -> Path:
    """The path of part ``number`` (1, 2, …) of a call's recording or transcript."""
    return root / f"{name_stem}.{ending}" if number == 1 else root / f"{name_stem}.{number}.{ending}"


def parts(root: Path, name_stem: str, ending: Literal["wav", "jsonl"]) -> list[Path]:
    """The parts that exist, in order."""
    found = []
    for number in range(1, MAX_PARTS + 1):
        path = part(root, name_stem, number, ending)
        if not path.is_file():
            break
        found.append(path)
    return found


def torn(place: Path) -> list[Path]:
    """Whole recordings of a call that somebody is joining, or was when they died; ``place`` is its files' path without
    an ending."""
    return sorted(place.parent.glob(f".{place.name}.*.tmp"))


def remove(place: Path) -> None:
    """Removes every file of a call; ``place`` is their path without an ending. Raises OSError.

    Until two looks in a row find none: a recording that is being joined changes its name once, which one look may miss.
    Nobody can begin to join what is gone.
    """
    quiet = 0
    for _ in range(LOOKS):
        found = [*place.parent.glob(f"{place.name}.*"), *torn(place)]
        for path in found:
            path.unlink(missing_ok=True)
        quiet = 0 if found else quiet + 1
        if quiet == 2:
            return


def filesystem_id(root: Path) -> str:
    """An id that lies in the root itself, made by whoever asks first: who reads the same one sees the same directory.

    Raises OSError if the root cannot be written or read.
    """
    root.mkdir(parents=True, exist_ok=True)
    marker = root / MARKER
    if not marker.exists():
        draft = root / f"{MARKER}.{secrets.token_hex(8)}"
        try:
            draft.write_text(secrets.token_hex(8), encoding="ascii")
            os.link(draft, marker)  # in one step, and only if nobody was faster
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)  # a full disk may have taken its name and no more
    return marker.read_text(encoding="ascii")


def time_ms(root: Path) -> int:
    """What time it is where the recordings lie, in milliseconds: by it files are dated, and by no other can be told how
    long ago one grew. Raises OSError."""
    with tempfile.TemporaryFile(dir=root) as probe:
        os.utime(probe.fileno())
        return os.fstat(probe.fileno()).st_mtime_ns // 1_000_000


# --- the transcript's lines --------------------------------------------------------------------------------------------


class Begin(msgspec.Struct, frozen=True, tag="begin", kw_only=True):
    """A session took the call; ``at`` is when its first audio came: the zero of the part's recording."""

    at: int
    call_id: str
    part: int


class Turn(msgspec.Struct, frozen=True, tag="turn", kw_only=True):
    """One turn as it was heard. ``start`` and ``end``: milliseconds since 1970. ``cut``: interrupted there.

    ``so_far``: it went on when this was written. A later line of the same role and ``start`` takes its place (``turns``),
    if its writer lived to write one; without content that says that nothing of it was heard after all.
    """

    role: Literal["assistant", "user"]
    content: str
    start: int
    end: int
    cut: bool = False
    so_far: bool = False


class Tag(msgspec.Struct, frozen=True, tag="tag", kw_only=True):
    """An outcome the agent noted, such as ``do_not_call``, ``callback_wanted`` or ``voicemail``."""

    at: int
    name: str
    value: str = ""


class End(msgspec.Struct, frozen=True, tag="end", kw_only=True):
    """The session is over. ``initiator``: ``callee`` (they hung up), ``system`` (we did), ``error``."""

    at: int
    reason: str
    initiator: str


Line = Begin | Turn | Tag | End

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)


def encode_line(line: Line) -> bytes:
    """One line of a transcript, with its newline. Whatever was said or noted can be written, and read into SQL later."""
    return _encoder.encode(_storable(line)) + b"\n"


def turns(lines: Iterable[Line]) -> list[Turn]:
    """The turns in one part's lines, each once; of one that went on when the part broke off, what it was so far."""
    found: list[Turn] = []
    going: dict[tuple[str, int], int] = {}
    for line in lines:
        if not isinstance(line, Turn):
            continue
        place = going.pop((line.role, line.start), len(found))
        found[place : place + 1] = [line]
        if line.so_far:
            going[line.role, line.start] = place
    return [turn for turn in found if turn.content]


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of one part. A last line that was cut by a crash, or any that cannot be read, is passed over."""
    with path.open("rb") as file:
        for raw in file:
            try:
                yield _storable(_decoder.decode(raw))
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue


def _storable(line: Line) -> Line:
    """The line with shared.unicode.storable texts; itself if they are."""
    texts = {name: value for name in line.__struct_fields__ if isinstance(value := getattr(line, name), str)}
    changed = {name: stored for name, value in texts.items() if (stored := storable(value)) != value}
    return msgspec.structs.replace(line, **changed) if changed else line
