"""Recordings: names, the way to a file and never out of the root, and the transcript's lines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import recordings
from shared.errors import RecordingPathError
from tests.small_disk import small_disk

SHANGHAI = ZoneInfo("Asia/Shanghai")
UUID = "2508162111590110001"
NAME = f"ai_call/2025/08/16/21/{UUID}.wav"


def test_the_name_is_the_hour_in_the_configured_zone() -> None:
    assert recordings.stem(UUID, 1_755_349_919_000, SHANGHAI) + ".wav" == NAME


def test_it_is_now_by_the_clock_that_dates_files_and_nothing_is_left_of_the_question(tmp_path: Path) -> None:
    before = recordings.time_ms(tmp_path)
    (tmp_path / "grown").write_text("more")
    written = (tmp_path / "grown").stat().st_mtime_ns // 1_000_000
    assert before <= written <= recordings.time_ms(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["grown"]
    with pytest.raises(OSError, match="No such"):
        recordings.time_ms(tmp_path / "away")


@pytest.mark.parametrize("uuid", ["", "../../x", "2508162111590110001/..", "250816211159011000a"])
def test_only_a_calls_uuid_names_a_recording(uuid: str) -> None:
    with pytest.raises(RecordingPathError):
        recordings.stem(uuid, 0, SHANGHAI)


@pytest.mark.parametrize("name", [NAME, f"ai_call/2025/08/16/21/{UUID}.2.wav"])
def test_a_recordings_name_leads_under_the_root(tmp_path: Path, name: str) -> None:
    assert recordings.resolve(tmp_path, name) == tmp_path / name
    assert recordings.uuid_of(name) == UUID


def test_a_recording_that_is_renamed_while_its_call_is_removed_is_gone_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that comes by both names at the wrong moments finds neither."""
    place = tmp_path / UUID
    (tmp_path / f".{UUID}.x1.tmp").write_bytes(b"joined")
    (tmp_path / f"{UUID}2.wav").write_bytes(b"of another call")
    looks = []
    torn = recordings.torn

    def renamed(place: Path) -> list[Path]:
        looks.append(place)
        if len(looks) == 1:
            (tmp_path / f".{UUID}.x1.tmp").rename(place.with_suffix(".wav"))
        return torn(place)

    monkeypatch.setattr(recordings, "torn", renamed)
    recordings.remove(place)
    assert [path.name for path in tmp_path.iterdir()] == [f"{UUID}2.wav"]


ATTACKS = [
    "",
    "/",
    ".",
    "..",
    "/etc/passwd",
    "../../etc/passwd",
    "ai_call/../../etc/passwd",
    f"../ai_call/2025/08/16/21/{UUID}.wav",
    f"ai_call/2025/08/16/../../../../{UUID}.wav",
    f"ai_call/2025/08/16/21/{UUID}.wav/../../x",
    f"ai_call/2025/08/16/21/{UUID}.jsonl",
    f"ai_call/2025/08/16/21/{UUID}.wav\x00.txt",
    f"ai_call/2025/08/16/21/{UUID}.wav\n",
    f"ai_call\\2025\\08\\16\\21\\{UUID}.wav",
    f"AI_CALL/2025/08/16/21/{UUID}.wav",
    f"ai_call/2025/8/16/21/{UUID}.wav",
    f"ai_call/2025/08/16/21/{UUID}.123.wav",
    f"%2e%2e/ai_call/2025/08/16/21/{UUID}.wav",
    f"/ai_call/2025/08/16/21/{UUID}.wav",
    f"ai_call//2025/08/16/21/{UUID}.wav",
    "ai_call/２０２５/08/16/21/" + UUID + ".wav",
    "waihu.db",
    "😀",
]


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_else_is_a_recording(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordingPathError):
        recordings.resolve(tmp_path, name)
    with pytest.raises(RecordingPathError):
        recordings.uuid_of(name)


def test_a_link_that_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tmp_path / "root"
    (root / "ai_call/2025/08/16").mkdir(parents=True)
    (root / "ai_call/2025/08/16/21").symlink_to(outside)
    with pytest.raises(RecordingPathError, match="leaves"):
        recordings.resolve(root, NAME)


@given(st.text(max_size=80))
def test_whatever_is_asked_for_stays_under_the_root(name: str) -> None:
    root = Path("/srv/recordings")
    try:
        path = recordings.resolve(root, name)
    except RecordingPathError:
        return
    assert path.is_relative_to(root)


def test_parts_are_found_in_order_and_end_at_the_first_gap(tmp_path: Path) -> None:
    stem = NAME.removesuffix(".wav")
    wanted = [recordings.part(tmp_path, stem, number, "wav") for number in (1, 2, 3, 5)]
    wanted[0].parent.mkdir(parents=True)
    for path in wanted:
        path.touch()
    assert recordings.parts(tmp_path, stem, "wav") == wanted[:3]
    assert [path.name for path in wanted[:2]] == [f"{UUID}.wav", f"{UUID}.2.wav"]
    assert recordings.parts(tmp_path, stem, "jsonl") == []


def test_everyone_who_sees_the_directory_reads_the_same_id(tmp_path: Path) -> None:
    root = tmp_path / "recordings"
    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(lambda _: recordings.filesystem_id(root), range(40)))
    assert len(ids) == 1
    assert ids != {recordings.filesystem_id(tmp_path / "other")}
    assert [path.name for path in root.iterdir()] == [recordings.MARKER]


LINES: list[recordings.Line] = [
    recordings.Begin(at=1, call_id="c", part=1),
    recordings.Turn(role="assistant", content="您好\n“引号”", start=2, end=3),
    recordings.Turn(role="user", content="😀", start=4, end=5, cut=True),
    recordings.Tag(at=6, name="do_not_call"),
    recordings.End(at=7, reason="goodbye", initiator="system"),
]


def turn_of(content: str, start: int = 2, *, so_far: bool = False) -> recordings.Turn:
    return recordings.Turn(role="assistant", content=content, start=start, end=start + 1, so_far=so_far)


def test_of_a_turn_that_went_on_its_end_counts_or_else_what_was_written_last() -> None:
    lines = [turn_of("您", so_far=True), turn_of("您好", so_far=True), turn_of("请问", 9, so_far=True)]
    assert recordings.turns(lines) == [lines[1], lines[2]]
    assert recordings.turns([*lines, turn_of("您好！")]) == [turn_of("您好！"), lines[2]]


def test_turns_that_are_over_never_take_each_others_place() -> None:
    lines = [turn_of("您", so_far=True), turn_of("您好"), turn_of("喂")]
    assert recordings.turns(lines) == lines[1:]


def test_a_turn_of_which_nothing_was_heard_after_all_is_none() -> None:
    assert recordings.turns([LINES[0], turn_of("您", so_far=True), turn_of("")]) == []


def test_a_transcript_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"".join(map(recordings.encode_line, LINES)))
    assert list(recordings.read_lines(path)) == LINES


def test_a_transcript_cut_at_any_byte_loses_at_most_its_last_line(tmp_path: Path) -> None:
    whole = b"".join(map(recordings.encode_line, LINES))
    path = tmp_path / "x.jsonl"
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        kept = whole[: cut + 1].count(b"\n")
        assert list(recordings.read_lines(path)) in (LINES[: whole[:cut].count(b"\n")], LINES[:kept])


def test_lines_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xff\xfe\n{}\nnull\n" + recordings.encode_line(LINES[0]) + b'{"type":"other"}\n')
    assert list(recordings.read_lines(path)) == LINES[:1]


def test_a_full_disk_leaves_no_draft_of_the_id_behind(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            recordings.filesystem_id(disk.root)
        disk.clear()
        assert list(disk.root.iterdir()) == []
        assert recordings.filesystem_id(disk.root) == recordings.filesystem_id(disk.root)


def test_a_line_can_be_written_whatever_was_said_and_read_into_sql(tmp_path: Path) -> None:
    said = recordings.Turn(role="user", content="a\0b\ud83d", start=1, end=2)
    noted = recordings.Tag(at=1, name="callback_wanted", value="\ude00")
    earlier = b'{"type":"tag","at":2,"name":"x","value":"\\u0000"}\n'
    path = tmp_path / "a.jsonl"
    path.write_bytes(recordings.encode_line(said) + recordings.encode_line(noted) + earlier)
    turn, *tags = recordings.read_lines(path)
    assert isinstance(turn, recordings.Turn)
    assert turn.content == "a\ufffdb\ufffd"
    assert [tag.value for tag in tags if isinstance(tag, recordings.Tag)] == ["\ufffd", "\ufffd"]
