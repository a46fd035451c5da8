"""finish_call: transcript and recording become the record."""

from __future__ import annotations

import os
import struct
import wave
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from shared import recordings
from shared.database import reading, writing
from shared.doorbell import FINISH_CALL, STOP_CALLS
from shared.erasure import Found, erase
from shared.recordings import Begin, End, Line, Tag, Turn
from shared.schema import do_not_call
from tests.workers.test_events import dialled, tell
from tests.workers.twins import Office, cdr
from workers import record, store
from workers.dispatch import dispatch
from workers.record import GROWING_MS, audio_flows, finish_call
from workers.sweep import sweep

FRAME = 4


def stem(office: Office, uuid: str) -> str:
    return recordings.stem(uuid, office.call(uuid).created_at, office.settings.timezone)


def write_lines(office: Office, uuid: str, lines: Sequence[Line], part: int = 1, tail: bytes = b"") -> Path:
    path = recordings.part(office.settings.recordings_dir, stem(office, uuid), part, "jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(map(recordings.encode_line, lines)) + tail)
    return path


def write_wav(office: Office, uuid: str, milliseconds: int, level: int, part: int = 1) -> Path:
    """A stereo part in which every sample has ``level``."""
    path = recordings.part(office.settings.recordings_dir, stem(office, uuid), part, "wav")
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack("<hh", level, -level) * (milliseconds * 8))
    return path


def levels(path: Path, *milliseconds: int) -> list[int]:
    """The left channel at these times."""
    with wave.open(str(path)) as file:
        data = file.readframes(file.getnframes())
    return [struct.unpack_from("<h", data, at * 8 * FRAME)[0] for at in milliseconds]


def talk(at: int) -> list[Line]:
    return [
        Begin(at=at, call_id="c", part=1),
        Turn(role="assistant", content="您好", start=at + 100, end=at + 900),
        Turn(role="user", content="你好", start=at + 1_000, end=at + 1_500),
        Tag(at=at + 1_600, name="do_not_call"),
        Turn(role="assistant", content="再见，祝您", start=at + 1_700, end=at + 2_500, cut=True),
        End(at=at + 2_600, reason="hangup", initiator="callee"),
    ]


def test_of_two_who_finish_a_call_the_later_one_does_not_write_what_it_had_read_before(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = dialled(office)
    lines = talk(office.clock.now_ms())
    write_lines(office, uuid, lines[:1])
    finish, once = record._finish_recording, [True]

    def overtaken(*arguments: object) -> str:
        """Between reading and writing, media writes its last line, and another worker finishes the call."""
        if once.pop() if once else False:
            write_lines(office, uuid, lines)
            finish_call(office.house, uuid)
        return finish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(record, "_finish_recording", overtaken)
    finish_call(office.house, uuid)
    expected = [{"role": line.role, "content": line.content} for line in lines if isinstance(line, Turn)]
    assert office.call(uuid).dialogue == expected


def test_a_recording_that_came_while_another_worker_looked_for_it_stays_in_the_record(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = dialled(office)
    write_lines(office, uuid, talk(office.clock.now_ms()))
    finish, once = record._finish_recording, [True]

    def overtaken(*arguments: object) -> str:
        found = finish(*arguments)  # type: ignore[arg-type]
        if once.pop() if once else False:
            write_wav(office, uuid, 500, 9)
            finish_call(office.house, uuid)
        return found

    monkeypatch.setattr(record, "_finish_recording", overtaken)
    finish_call(office.house, uuid)
    assert office.call(uuid).wav_file == f"{stem(office, uuid)}.wav"


def test_a_character_that_no_database_stores_costs_no_record(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    lines: list[Line] = [
        Begin(at=office.now, call_id="c", part=1),
        Turn(role="user", content="别再打\0了", start=office.now, end=office.now),
        Tag(at=office.now, name="do_not_call"),
        Tag(at=office.now, name="satis\0faction", value="\0"),
    ]
    write_lines(office, uuid, lines)
    finish_call(office.house, uuid)
    call = office.call(uuid)
    assert call.dialogue == [{"role": "user", "content": "别再打\ufffd了"}]
    assert [(tag["name"], tag["value"]) for tag in call.tags][1:] == [("satis\ufffdfaction", "\ufffd")]
    with reading(office.house.engine) as connection:
        assert connection.execute(select(do_not_call.c.number)).scalar_one() == "13800138000"


def test_a_sentence_that_was_being_spoken_when_media_died_is_kept_as_far_as_it_was_heard(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    at = office.now + 500
    spoken = [("您好", 900), ("您好，我是", 1_700), ("您好，我是活动", 2_500)]
    lines: list[Line] = [Begin(at=at, call_id="c", part=1)]
    lines += [Turn(role="assistant", content=text, start=at, end=at + end, so_far=True) for text, end in spoken]
    lines.append(Turn(role="user", content="你", start=at + 2_600, end=at + 2_900, so_far=True))
    write_lines(office, uuid, lines)
    finish_call(office.house, uuid)
    assert office.call(uuid).dialogue == [
        {"role": "assistant", "content": "您好，我是活动"},
        {"role": "user", "content": "你"},
    ]


def test_a_call_whose_end_nobody_saw_lasted_as_long_as_what_is_known_of_it(office: Office) -> None:
    """Everything was killed in mid call and started again when its time was long over."""
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    began = office.now
    write_lines(
        office,
        uuid,
        [
            Begin(at=began, call_id="c", part=1),
            Turn(role="assistant", content="您好", start=began + 100, end=began + 13_900, so_far=True),
        ],
    )
    write_wav(office, uuid, 14_400, 7)
    for path in Path(office.settings.recordings_dir, stem(office, uuid)).parent.iterdir():
        os.utime(path, (began / 1000 + 14.4, began / 1000 + 14.4))
    for seconds in (700, 60, 60):
        office.advance(seconds)
        sweep(office.house)
        finish_call(office.house, uuid)
    call = office.call(uuid)
    assert (call.state, call.hangup_cause) == ("ended", "NORMAL_CLEARING:sip:200")
    assert (call.time_len, call.ended_at) == (15, began + 14_400)
    task = office.task(call.batch_id)
    assert (task.state, task.connected) == ("completed", True)
    tell(office, uuid, "cdr", pay_load=cdr(1_000, 15_000))
    call = office.call(uuid)
    assert (call.hangup_cause, call.time_len) == ("NORMAL_CLEARING:sip:200", 14)


def test_a_call_that_only_media_said_is_over_is_hung_up_once_more(office: Office) -> None:
    """Media's own hangup may have failed, and the customer be there still."""
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    at = office.now
    write_lines(office, uuid, [Begin(at=at, call_id="c", part=1), End(at=at + 500, reason="done", initiator="system")])
    finish_call(office.house, uuid)
    assert (office.call(uuid).state, office.phone.hung_up) == ("ended", [])
    office.advance(30)
    sweep(office.house)
    assert office.phone.hung_up == [f"call-{uuid}"]
    office.advance(60)
    sweep(office.house)
    assert office.phone.hung_up == [f"call-{uuid}"]


def test_what_was_heard_becomes_the_record_and_ends_the_call(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    began = office.now + 500
    write_lines(office, uuid, talk(began))
    write_wav(office, uuid, 2_600, 7)
    office.advance(4)
    finish_call(office.house, uuid)
    call = office.call(uuid)
    assert call.dialogue == [
        {"role": "assistant", "content": "您好"},
        {"role": "user", "content": "你好"},
        {"role": "assistant", "content": "再见，祝您"},
    ]
    assert call.tags == [{"name": "do_not_call", "value": "", "at": began + 1_600}]
    assert call.wav_file == f"{stem(office, uuid)}.wav"
    assert (call.state, call.ended_at, call.time_len, call.closed_at) == ("ended", began + 2_600, 3, None)
    task = office.task(call.batch_id)
    assert (task.state, task.connected) == ("completed", True)
    tell(office, uuid, "cdr", pay_load=cdr(1, 2_700))
    assert office.call(uuid).closed_at == office.now


def test_finishing_again_changes_nothing_and_rings_for_no_other(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    write_lines(office, uuid, talk(office.now))
    write_wav(office, uuid, 100, 7)
    finish_call(office.house, uuid)
    first = office.call(uuid)
    finish_call(office.house, uuid)
    assert office.call(uuid) == first
    assert office.bell.take(FINISH_CALL) == []


def test_a_call_without_files_gets_an_empty_record_that_a_later_run_amends(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    tell(office, uuid, "cdr", pay_load=cdr(1, 2_000))
    finish_call(office.house, uuid)
    call = office.call(uuid)
    assert (call.dialogue, call.tags, call.wav_file, call.state) == ([], [], "", "ended")
    write_lines(office, uuid, talk(office.now)[:3])
    finish_call(office.house, uuid)
    assert len(office.call(uuid).dialogue) == 2
    assert office.call(uuid).media_ended_at is None
    write_lines(office, uuid, talk(office.now))
    finish_call(office.house, uuid)
    assert len(office.call(uuid).dialogue) == 3
    assert office.call(uuid).closed_at == office.now


def suppressed(office: Office) -> list[tuple[str, str, str | None]]:
    with reading(office.house.engine) as connection:
        rows = connection.execute(select(do_not_call.c.number, do_not_call.c.source, do_not_call.c.call_uuid))
        return [tuple(row) for row in rows]


def test_who_asks_not_to_be_called_again_is_on_the_list_and_no_task_of_theirs_waits_any_more(office: Office) -> None:
    uuid = dialled(office)
    number = office.call(uuid).number
    waiting, other = office.ticket(number), office.ticket("13900000009")
    again = office.ticket(number, state="retry_wait", due_at=office.now + 60_000)
    tell(office, uuid, "firstAnswer")
    write_lines(office, uuid, talk(office.now))
    finish_call(office.house, uuid)
    assert suppressed(office) == [(number, "customer", uuid)]
    assert (office.task(office.call(uuid).batch_id).state, office.task(other).state) == ("completed", "pending")
    for batch_id in (waiting, again):
        task = office.task(batch_id)
        assert (task.state, task.connected, task.due_at) == ("stopped", False, None)
    assert office.bell.take(STOP_CALLS) == []


def test_a_live_call_to_the_same_number_is_hung_up(office: Office) -> None:
    uuid = dialled(office)
    number = office.call(uuid).number
    tell(office, uuid, "firstAnswer")
    tell(office, uuid, "cdr", pay_load=cdr(1, 2_000))
    batch_id = office.ticket(number)
    dispatch(office.house)
    write_lines(office, uuid, talk(office.now))
    finish_call(office.house, uuid)
    assert office.task(batch_id).state == "stopping"
    assert office.bell.take(STOP_CALLS) == [[batch_id]]


def test_a_customer_who_is_still_talking_is_put_on_the_list_and_not_cut_off(office: Office) -> None:
    uuid = dialled(office)
    write_lines(office, uuid, talk(office.now)[:-1])
    finish_call(office.house, uuid)
    assert suppressed(office)[0][2] == uuid
    assert office.task(office.call(uuid).batch_id).state == "dialing"
    assert office.bell.take(STOP_CALLS) == []


def test_who_was_taken_off_the_list_is_not_put_back_by_an_old_record(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    write_lines(office, uuid, talk(office.now))
    finish_call(office.house, uuid)
    with office.house.write() as connection:
        connection.execute(delete(do_not_call))
    finish_call(office.house, uuid)
    assert suppressed(office) == []


def test_other_wishes_put_nobody_on_the_list(office: Office) -> None:
    uuid = dialled(office)
    lines = talk(office.now)
    lines[3] = Tag(at=office.now, name="callback_wanted")
    write_lines(office, uuid, lines)
    finish_call(office.house, uuid)
    assert suppressed(office) == []


def test_a_record_survives_its_files(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    path = write_lines(office, uuid, talk(office.now))
    finish_call(office.house, uuid)
    path.unlink()
    finish_call(office.house, uuid)
    assert len(office.call(uuid).dialogue) == 3


def test_a_transcript_cut_by_a_crash_keeps_its_whole_lines(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    write_lines(office, uuid, talk(office.now)[:2], tail=b'{"type":"turn","role":"us')
    finish_call(office.house, uuid)
    assert office.call(uuid).dialogue == [{"role": "assistant", "content": "您好"}]
    assert office.call(uuid).state == "answered"


def test_parts_are_laid_on_one_timeline(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    at = office.now
    write_lines(office, uuid, [Begin(at=at, call_id="c", part=1), turn("一", at + 10)])
    write_lines(office, uuid, [Begin(at=at + 3_000, call_id="c", part=2), turn("三", at + 3_500)], part=2)
    last: list[Line] = [
        Begin(at=at + 1_000, call_id="c", part=3),
        turn("二", at + 1_100),
        End(at=at + 4_000, reason="", initiator="callee"),
    ]
    write_lines(office, uuid, last, part=3)
    whole = write_wav(office, uuid, 1_500, 100)
    write_wav(office, uuid, 500, 200, part=2)
    write_wav(office, uuid, 1_000, 300, part=3)
    for _ in range(2):  # joined again, the whole is its own first part
        finish_call(office.house, uuid)
        assert levels(whole, 0, 999, 1_000, 1_999, 2_000, 2_999, 3_000, 3_499) == [100, 100, 300, 300, 0, 0, 200, 200]
        with wave.open(str(whole)) as file:
            assert (file.getnframes(), file.getnchannels(), file.getframerate()) == (3_500 * 8, 2, 8000)
    call = office.call(uuid)
    assert [turn["content"] for turn in call.dialogue] == ["一", "二", "三"]
    assert (call.ended_at, call.time_len) == (at + 4_000, 4)
    assert list(whole.parent.glob("*.tmp")) == [] == list(whole.parent.glob(".*"))


def turn(content: str, start: int) -> Turn:
    return Turn(role="user", content=content, start=start, end=start + 50)


def test_a_first_part_without_sound_or_words_does_not_hide_the_second(office: Office) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    write_lines(office, uuid, [])
    write_lines(office, uuid, talk(office.now), part=2)
    write_wav(office, uuid, 200, 9, part=2)
    finish_call(office.house, uuid)
    call = office.call(uuid)
    assert len(call.dialogue) == 3
    assert levels(office.settings.recordings_dir / call.wav_file, 0, 199) == [9, 9]


@pytest.mark.parametrize("told", [0, 800, 0xFFFFFFFF])
def test_a_header_that_a_crash_left_behind_is_repaired(office: Office, told: int) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    write_lines(office, uuid, talk(office.now))
    path = write_wav(office, uuid, 1_000, 5)
    raw = bytearray(path.read_bytes()) + b"\x01\x02"  # and half a frame
    raw[40:44] = struct.pack("<I", told)
    path.write_bytes(raw)
    finish_call(office.house, uuid)
    with wave.open(str(path)) as file:
        assert file.getnframes() == 8_000
    assert office.call(uuid).wav_file


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\0" * 100, b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0"])
def test_a_recording_that_is_none_does_not_hold_up_the_record(office: Office, content: bytes) -> None:
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    write_lines(office, uuid, talk(office.now))
    write_wav(office, uuid, 10, 5).write_bytes(content)
    finish_call(office.house, uuid)
    call = office.call(uuid)
    assert (call.state, len(call.dialogue), call.wav_file) == ("ended", 3, "")


def test_unknown_and_malformed_uuids_are_passed_over(office: Office) -> None:
    finish_call(office.house, "9" * 19)
    finish_call(office.house, "../../etc/passwd")


def test_the_ring_deadline_does_not_end_a_call_that_is_being_recorded(office: Office) -> None:
    uuid = dialled(office)
    write_lines(office, uuid, talk(office.now)[:1])
    path = write_wav(office, uuid, 100, 5)
    office.advance(60)
    os.utime(path, (office.now / 1000, office.now / 1000))
    sweep(office.house)
    assert office.call(uuid).state == "answered"
    assert office.phone.hung_up == []


def test_a_recording_is_as_old_as_its_file_system_says(office: Office) -> None:
    """Whose clock may be another than the house's: an hour behind, nothing would ever seem to grow."""
    uuid = dialled(office)
    write_lines(office, uuid, talk(office.now)[:1])
    path = write_wav(office, uuid, 100, 5)
    office.advance(60)
    there = office.now - 3_600_000
    for file in path.parent.iterdir():
        os.utime(file, (there / 1000, there / 1000))
    office.house.file_time = lambda: there + 1_000
    with office.house.read() as connection:
        held = store.read(connection, uuid=uuid)
    assert held is not None
    assert audio_flows(office.house, held.call)
    office.house.file_time = lambda: there + GROWING_MS
    assert not audio_flows(office.house, held.call)


def test_the_ring_deadline_ends_a_call_of_which_nothing_was_heard(office: Office) -> None:
    uuid = dialled(office)
    for path in (write_lines(office, uuid, []), write_wav(office, uuid, 100, 5)):
        os.utime(path, (office.now / 1000, office.now / 1000))
    office.advance(60)
    sweep(office.house)
    assert office.phone.hung_up == [f"call-{uuid}"]


# --- erased meanwhile, killed meanwhile --------------------------------------------------------------------------------


def in_two_parts(office: Office) -> tuple[str, Path]:
    """An answered call that is over, and whose recording and transcript have two parts; its hour's directory."""
    uuid = dialled(office)
    tell(office, uuid, "firstAnswer")
    for part in (1, 2):
        write_lines(office, uuid, talk(office.now + part * 3_000), part)
        path = write_wav(office, uuid, 1_000, part, part)
    tell(office, uuid, "cdr", pay_load=cdr(1_000, 7_000))
    return uuid, path.parent


def forget(office: Office, number: str = "13800138000") -> Found:
    root, zone = office.settings.recordings_dir, office.settings.timezone
    with writing(office.house.engine) as connection:
        proof = erase(connection, number, root, zone, office.now, reason="asked", actor="test")
    return proof.remaining


@pytest.mark.parametrize("moment", ["_finish_recording", "parts_of"])
def test_nothing_of_a_customer_who_is_erased_meanwhile_comes_back(
    office: Office, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """``parts_of``: before the parts are joined. ``_finish_recording``: when they are, and the whole is back in its place."""
    uuid, place = in_two_parts(office)
    work = getattr(record, moment)

    def then_erase(*args: object) -> object:
        done = work(*args)
        forget(office)
        if moment == "_finish_recording":
            (place / f"{uuid}.wav").write_bytes(b"the whole talk")
        return done

    monkeypatch.setattr(record, moment, then_erase)
    finish_call(office.house, uuid)
    call = office.call(uuid)
    assert (call.number, call.dialogue, call.tags, call.wav_file) == ("", [], [], "")
    assert [path.name for path in place.iterdir()] == []
    with reading(office.house.engine) as connection:
        assert connection.execute(select(do_not_call.c.number)).all() == []


def test_a_customer_who_is_erased_while_the_whole_is_put_in_its_place_stays_erased(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid, place = in_two_parts(office)
    replaced = os.replace

    def late(source: str, target: Path) -> None:
        forget(office)
        replaced(source, target)

    monkeypatch.setattr(os, "replace", late)
    finish_call(office.house, uuid)
    assert [path.name for path in place.iterdir()] == []


def test_what_a_worker_left_that_was_killed_while_it_joined_goes_with_the_next_record(office: Office) -> None:
    uuid, place = in_two_parts(office)
    old, new, others = (place / f".{name}.tmp" for name in (f"{uuid}.a1", f"{uuid}.b2", f"{'9' * 19}.c3"))
    for path, age in ((old, 16), (new, 14), (others, 99)):
        path.write_bytes(b"the whole talk")
        os.utime(path, (office.now / 1000 - age, office.now / 1000 - age))
    finish_call(office.house, uuid)
    assert [path.exists() for path in (old, new, others)] == [False, True, True]
    assert forget(office).recordings == 0
    assert [path.name for path in place.iterdir()] == [others.name]
