"""finish_call: what media left in the recordings directory becomes the call's record. Safe to repeat; later runs amend."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update

from shared import recordings
from shared.doorbell import STOP_CALLS
from shared.ids import is_call_uuid
from shared.lifecycle import Answered, AudioLost, Call, MediaEnded
from shared.schema import calls
from shared.suppression import CUSTOMER, suppress
from workers import store, wav
from workers.effects import carry_out
from workers.house import House
from workers.store import Change, Held

GROWING_MS = 15_000
"""A recording that did not grow for so long is nobody's any more: the recorder writes several times a second."""

DO_NOT_CALL = "do_not_call"
"""The tag by which the agent notes that the customer asked not to be called again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """One media session's files. ``began`` is None if its first line is missing."""

    number: int
    transcript: Path | None
    wav: Path | None
    lines: tuple[recordings.Line, ...]

    @property
    def began(self) -> int | None:
        return next((line.at for line in self.lines if isinstance(line, recordings.Begin)), None)

    @property
    def end(self) -> recordings.End | None:
        return next((line for line in reversed(self.lines) if isinstance(line, recordings.End)), None)


def finish_call(house: House, uuid: str) -> None:
    """Joins transcript and recording into the call's row; if media is done with the call, the call is over.

    The customer may be erased meanwhile: then nothing is written, and whatever was put back into the directory goes.
    """
    if not is_call_uuid(uuid):
        return
    with house.read() as connection:
        held = store.read(connection, uuid=uuid)
    if held is None:
        return
    parts = parts_of(house, held.call)
    recording = _finish_recording(house, held.call, parts)
    change, unwanted = house.commit(lambda connection: _save(connection, house, uuid, recording))
    if change is not None:
        carry_out(house, change)
    if unwanted:
        house.bell.ring_chunks(STOP_CALLS, unwanted)


def read_parts(root: Path, stem: str) -> list[Part]:
    """All sessions' parts, in order, with those that miss one of their files."""
    parts = []
    for number in range(1, recordings.MAX_PARTS + 1):
        transcript = recordings.part(root, stem, number, "jsonl")
        sound = recordings.part(root, stem, number, "wav")
        if not transcript.is_file() and not sound.is_file():
            break
        lines = tuple(recordings.read_lines(transcript)) if transcript.is_file() else ()
        parts.append(
            Part(number, transcript if transcript.is_file() else None, sound if sound.is_file() else None, lines)
        )
    return parts


def parts_of(house: House, call: Call) -> list[Part]:
    """What media wrote of the call. Raises OSError."""
    return read_parts(house.settings.recordings_dir, _stem(house, call))


def audio_flows(house: House, call: Call) -> bool:
    """Whether a session still writes: its last part has no end, and grew a moment ago by the clock of the file system.

    What cannot be read is no sign of life: a call must not wait for a file system to be mended.
    """
    try:
        parts = parts_of(house, call)
        if not parts or parts[-1].end is not None:
            return False
        files = [path for path in (parts[-1].transcript, parts[-1].wav) if path is not None]
        youngest = max(path.stat().st_mtime_ns // 1_000_000 for path in files)
        now = house.file_time()
    except OSError as error:
        log.warning("a recording cannot be looked at", extra={"uuid": call.uuid, "error": type(error).__name__})
        return False
    return now - youngest < GROWING_MS


def began(parts: Sequence[Part]) -> int | None:
    """When the first audio came, by media's clock: proof that somebody picked up. None if there was none."""
    return next((part.began for part in parts if part.began is not None), None)


def dialogue_of(parts: Sequence[Part]) -> list[dict[str, str]]:
    """Every heard turn, in the order of time (callcenter-api, ``dialogue``); without what no database stores."""
    turns = [turn for part in parts for turn in recordings.turns(part.lines)]
    turns.sort(key=lambda turn: turn.start)
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def tags_of(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Every outcome the agent noted, in the order of time; without what no database stores."""
    tags = [line for part in parts for line in part.lines if isinstance(line, recordings.Tag)]
    tags.sort(key=lambda tag: tag.at)
    return [{"name": tag.name, "value": tag.value, "at": tag.at} for tag in tags]


def media_ended(parts: Sequence[Part], now: int) -> MediaEnded | None:
    """The fact that media is done: its last session wrote its end, and one of them heard audio."""
    answered_at = began(parts)
    if not parts or parts[-1].end is None or answered_at is None:
        return None
    return MediaEnded(now, answered_at=answered_at, ended_at=max(answered_at, parts[-1].end.at))


def audio_began(call: Call, parts: Sequence[Part]) -> Answered | None:
    """The fact that somebody picked up in a call that ended as not answered, though no session wrote its own end."""
    answered_at = began(parts)
    return Answered(answered_at) if call.unanswered and answered_at is not None else None


def audio_lost(call: Call, parts: Sequence[Part], now: int) -> AudioLost | None:
    """The fact that the end of an answered call was never told, and what its sessions left is the last that is known."""
    if not call.end_untold or call.answered_at is None:
        return None
    began = next((part.began for part in parts if part.began is not None), call.answered_at)
    return AudioLost(now, answered_at=began, last_at=max([began, *map(_last_of, parts)]))


def _last_of(part: Part) -> int:
    """The last moment of which the part holds anything; 0 if it holds nothing that has a time."""
    moments = [line.end if isinstance(line, recordings.Turn) else line.at for line in part.lines]
    try:
        sound = wav.inspect(part.wav) if part.wav is not None and part.began is not None else None
    except OSError:  # noted when the recording was finished
        sound = None
    if sound is not None and part.began is not None:
        moments.append(part.began + sound.length * 1000 // (sound.rate * sound.frame))
    return max(moments, default=0)


def _stem(house: House, call: Call) -> str:
    return recordings.stem(call.uuid, call.created_at, house.settings.timezone)


def _finish_recording(house: House, call: Call, parts: Sequence[Part]) -> str:
    """The name of the whole recording, "" if there is none. What goes wrong with it never holds the record up."""
    root, stem = house.settings.recordings_dir, _stem(house, call)
    target = recordings.part(root, stem, 1, "wav")
    try:
        done = parts[-1].end is not None or not call.live if parts else False
        look = wav.repair if done else wav.inspect
        found = [(sound, part.began) for part in parts if part.wav and (sound := look(part.wav)) and sound.length]
        _clear_torn(house, target.with_suffix(""))
        if not found:
            return ""
        if done and len(parts) > 1:
            wav.join(found, target)
    except OSError as error:
        log.warning("a recording could not be finished", extra={"uuid": call.uuid, "error": type(error).__name__})
    return f"{stem}.wav" if target.is_file() else ""


def _clear_torn(house: House, place: Path) -> None:
    """What a worker left that was killed while it joined this recording: nobody has written to it for a while."""
    for path in recordings.torn(place):
        if house.clock.now_ms() - path.stat().st_mtime * 1000 > GROWING_MS:
            path.unlink(missing_ok=True)


def _save(connection: Connection, house: House, uuid: str, recording: str) -> tuple[Change | None, list[int]]:
    """The change that the end of the session is, and the tasks whose live calls the customer does not want any more.

    The transcript is read under the row's lock: two who finish the same call write one after the other, and the later one
    must not write what it had read before media's last line.
    """
    held = store.hold(connection, uuid=uuid)
    if held is None:
        return None, []
    if not held.number:  # erased since the files were read; under the row's lock, so that it is not erased after this
        recordings.remove(house.settings.recordings_dir / _stem(house, held.call))
        return None, []
    parts = parts_of(house, held.call)
    tags = tags_of(parts)
    unwanted = _suppress(connection, held, house.clock.now_ms()) if _asked(tags) else []
    now, call = house.clock.now_ms(), held.call
    fact = media_ended(parts, now) or audio_began(call, parts) or audio_lost(call, parts, now)
    change = None if fact is None else store.advance(connection, held, fact, house.policies)
    if not recording:  # it may have come since it was looked for, and another has stored it
        recording = _still_there(connection, house, uuid)
    statement = update(calls).where(calls.c.uuid == uuid)
    if not parts:  # files that retention erased are no reason to forget what they said
        statement = statement.where(calls.c.dialogue.is_(None))
    connection.execute(statement.values(dialogue=dialogue_of(parts), tags=tags, wav_file=recording))
    return None if change is None else replace(change, effects=replace(change.effects, finish=False)), unwanted


def _still_there(connection: Connection, house: House, uuid: str) -> str:
    """The recording that stands in the call's row, "" if that, or the file, is not there."""
    stored: str = connection.execute(select(calls.c.wav_file).where(calls.c.uuid == uuid)).scalar() or ""
    return stored if stored and (house.settings.recordings_dir / stored).is_file() else ""


def _asked(tags: Iterable[dict[str, Any]]) -> bool:
    return any(tag["name"] == DO_NOT_CALL for tag in tags)


def _suppress(connection: Connection, held: Held, now: int) -> list[int]:
    """Puts the customer on the do-not-call list, once: whoever is taken off it later is not put back by an old record.

    The call's own task is left to end as it ends; all others for the number are stopped.
    """
    before = connection.execute(select(calls.c.tags).where(calls.c.uuid == held.call.uuid)).scalar()
    if _asked(before or ()) or not held.number:
        return []
    log.info("the customer asked not to be called again", extra={"uuid": held.call.uuid})
    own = held.task.batch_id if held.task else None
    return suppress(
        connection,
        [held.number],
        CUSTOMER,
        now,
        reason="asked in a call",
        call_uuid=held.call.uuid,
        spare=own,
    )
