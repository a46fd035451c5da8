"""The judge of the attacks sees what was broken: each promise is broken here once, on paper."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import fakeredis
import pytest
from sqlalchemy import Engine, insert

from shared import recordings
from shared.database import open_engine, upgrade, writing
from shared.schema import calls, phone_events, tasks
from shared.settings import Settings, load
from tests.faults.house import KEY, SECRET, Batch, House
from tests.faults.verdict import Verdict, compare_words, count_rings, left, read_logs
from workers.room import LEASES_KEY

NUMBER, UUID, NOW = "13900000101", "2611201530000000001", 1_795_000_000_000


@dataclass
class Paper:
    """What the judge asks of a house, without processes: one task with one ended call."""

    engine: Engine
    settings: Settings
    logs: Path
    redis: fakeredis.FakeRedis
    rung: list[dict[str, Any]] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        return {"calls": self.rung}

    def ring(self, request_id: str = UUID, startcalls: int = 1) -> None:
        self.rung.append({"callee": NUMBER, "request_id": request_id, "startcalls": startcalls, "states": []})

    def part(self, ending: Literal["wav", "jsonl"]) -> Path:
        """Where media writes the call's first part."""
        stem = recordings.stem(UUID, NOW, self.settings.timezone)
        path = recordings.part(self.settings.recordings_dir, stem, 1, ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, *statements: Any) -> None:
        with writing(self.engine) as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture
def paper(tmp_path: Path) -> Iterator[Paper]:
    url = f"sqlite:///{tmp_path / 'waihu.db'}"
    upgrade(url)
    (tmp_path / "logs").mkdir()
    engine = open_engine(url)
    settings = load({"WAIHU_STATE_DIR": str(tmp_path)}, tmp_path)
    made = Paper(engine, settings, tmp_path / "logs", fakeredis.FakeRedis())
    ticket = {"ticket_no": "T", "username": "张三", "ticket_type": "x", "ticket_content": "y", "digest": b"0" * 16}
    task = {"batch_id": 1, "phone": NUMBER, "number": NUMBER, "state": "completed", "state_at": NOW, "created_at": NOW}
    call = {"uuid": UUID, "batch_id": 1, "call_type": "02", "state": "ended", "caller": "1", "number": NUMBER}
    times = {"telephone": NUMBER, "created_at": NOW, "dialing_at": NOW, "closed_at": NOW}
    made.write(insert(tasks).values(**ticket, **task), insert(calls).values(**call, **times))
    yield made
    engine.dispose()


def judged(paper: Paper) -> list[str]:
    house, batch, verdict = cast(House, paper), Batch({NUMBER: 1}), Verdict("on paper", 1)
    for look in (count_rings, compare_words, read_logs):
        look(house, batch, verdict)
    return verdict.broken + list(left(house, batch))


def test_a_call_that_rang_once_and_left_nothing_behind_is_right(paper: Paper) -> None:
    paper.ring()
    assert judged(paper) == []


def test_a_row_that_rang_twice(paper: Paper) -> None:
    paper.ring()
    paper.ring()
    assert any("call rows that rang twice" in what for what in judged(paper))


def test_a_row_that_was_asked_for_twice(paper: Paper) -> None:
    paper.ring(startcalls=2)
    assert any("call rows that rang twice" in what for what in judged(paper))


def test_a_task_that_rang_twice_under_two_rows_one_of_them_lost(paper: Paper) -> None:
    paper.ring()
    paper.ring("2611201530000000002")
    found = judged(paper)
    assert any("without a row" in what for what in found)
    assert any("tasks with one attempt that rang twice" in what for what in found)


def test_a_turn_that_is_in_no_record(paper: Paper) -> None:
    paper.part("jsonl").write_bytes(recordings.encode_line(recordings.Turn(role="user", content="喂", start=1, end=2)))
    assert judged(paper) == ["1 heard turns are in no record"]
    paper.write(calls.update().values(dialogue=[{"role": "user", "content": "喂"}]))
    assert judged(paper) == []


def test_a_recording_that_nobody_finds(paper: Paper) -> None:
    with wave.open(str(paper.part("wav")), "wb") as sound:
        sound.setparams((2, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(4 * 8000))
    assert judged(paper) == ["1 recordings are lost, or shorter than what was recorded"]
    paper.write(calls.update().values(wav_file=f"{recordings.stem(UUID, NOW, paper.settings.timezone)}.wav"))
    assert judged(paper) == []


@pytest.mark.parametrize("word", [NUMBER, KEY, SECRET, "会员日", "\\u4f1a\\u5458\\u65e5"])
def test_a_word_that_no_log_may_hold(paper: Paper, word: str) -> None:
    (paper.logs / "worker1.log").write_text(f"a line with {word} in it", encoding="utf-8")
    assert judged(paper) == ["worker1.log holds 1 words that no log may hold"]


def test_what_should_be_gone_by_the_end(paper: Paper) -> None:
    event = {"received_at": NOW, "event_name": "cdr", "request_id": UUID, "body": {}}
    paper.write(calls.update().values(state="answered", closed_at=None), insert(phone_events).values(**event))
    paper.redis.zadd(LEASES_KEY, {UUID: NOW})
    assert judged(paper) == ["live calls", "open records", "unapplied events", "leases"]
