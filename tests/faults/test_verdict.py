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
from tests.faults.house import SECRETS, TICKET, Batch, House
from tests.faults.verdict import (
    BROKEN_OFF,
    compare_files,
    compare_words,
    count_rings,
    count_unfinished,
    left,
    read_logs,
)
from tests.faults.words import Stretch
from tests.table import Verdict
from workers.room import LEASES_KEY

BEGUN = [{"action": "start_stream", "at_ms": 150.0, "code": 0}]
SIGNATURE = "5f0c" * 10
NUMBER, UUID, NOW = "13900000101", "2611201530000000001", 1_795_000_000_000


@dataclass
class Paper:
    """What the judge asks of a house, without processes: one task with one ended call."""

    engine: Engine
    settings: Settings
    logs: Path
    redis: fakeredis.FakeRedis
    rung: list[dict[str, Any]] = field(default_factory=list)
    deaths: list[tuple[int, str]] = field(default_factory=list)
    unwritten: list[Stretch] = field(default_factory=list)
    unheard: list[Stretch] = field(default_factory=list)
    signatures: frozenset[str] = frozenset({SIGNATURE})

    def report(self) -> dict[str, Any]:
        return {"calls": self.rung}

    def ring(self, request_id: str = UUID, startcalls: int = 1, audio: dict[str, Any] | None = None) -> None:
        call = {"callee": NUMBER, "request_id": request_id, "startcalls": startcalls, "audio": audio, "actions": BEGUN}
        self.rung.append(call | {"states": [{"state": "answered", "wall_ms": NOW}] if audio else []})

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
    ticket = {
        "line": NUMBER,
        "ticket_no": "T",
        "username": "张三",
        "ticket_type": "x",
        "ticket_content": "y",
        "digest": b"0" * 16,
    }
    task = {"batch_id": 1, "phone": NUMBER, "number": NUMBER, "state": "completed", "state_at": NOW, "created_at": NOW}
    call = {"uuid": UUID, "batch_id": 1, "call_type": "02", "state": "ended", "caller": "1", "number": NUMBER}
    times = {"line": NUMBER, "telephone": NUMBER, "created_at": NOW, "dialing_at": NOW, "closed_at": NOW}
    made.write(insert(tasks).values(**ticket, **task), insert(calls).values(**call, **times))
    yield made
    engine.dispose()


def judged(paper: Paper) -> list[str]:
    house, batch = cast(House, paper), Batch({NUMBER: 1})
    verdict = verdict_of(paper)
    return verdict.broken + list(left(house, batch))


def verdict_of(paper: Paper) -> Verdict:
    house, batch, verdict = cast(House, paper), Batch({NUMBER: 1}), Verdict("on paper", 1, tasks=1)
    for look in (count_unfinished, count_rings, compare_files, compare_words, read_logs):
        look(house, batch, verdict)
    return verdict


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
    assert judged(paper) == ["1 written turns are in no record"]
    paper.write(calls.update().values(dialogue=[{"role": "user", "content": "喂"}]))
    assert judged(paper) == []


def test_a_recording_that_nobody_finds(paper: Paper) -> None:
    with wave.open(str(paper.part("wav")), "wb") as sound:
        sound.setparams((2, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(4 * 8000))
    assert judged(paper) == ["1 recordings are lost, or shorter than what was recorded"]
    paper.write(calls.update().values(wav_file=f"{recordings.stem(UUID, NOW, paper.settings.timezone)}.wav"))
    assert judged(paper) == []


SAID, ANSWER, BYE = "喂，你好。", "您好，我是小外。", "您好，请稍等。"
"""Of the person from 0.2 s to 1.2 s, and of the robot from 2 s to 4 s and from 8 s to 10 s."""


def heard(text: str, start: int) -> list[dict[str, Any]]:
    """As the sandbox tells it: a piece every quarter of a second."""
    return [
        {"text": char, "start_ms": start + 250 * place, "end_ms": start + 250 * (place + 1)}
        for place, char in enumerate(text)
    ]


def talk(*carried: tuple[int, int]) -> dict[str, Any]:
    """What the witness tells of a talk of 12 s, of which these stretches had a socket."""
    return {
        "talk_seconds": 12.0,
        "heard": {"words": heard(ANSWER, 2000) + heard(BYE, 8000)},
        "said": [
            {"kind": "greeting", "text": SAID, "start_ms": 200.0, "end_ms": 1200.0},
            {"kind": "digits", "text": "12", "start_ms": 5000.0, "end_ms": 5500.0},
        ],
        "line": {"carried_ms": [list(stretch) for stretch in carried]},
    }


def record(paper: Paper, user: str, *assistant: str) -> None:
    """Also on disk: what no file holds is what the judge must see."""
    turns = [("user", user), *(("assistant", text) for text in assistant)]
    dialogue = [{"role": role, "content": text} for role, text in turns if text]
    paper.write(calls.update().values(dialogue=dialogue))
    lines = [
        recordings.Turn(role=cast(Any, turn["role"]), content=turn["content"], start=at, end=at)
        for at, turn in enumerate(dialogue)
    ]
    paper.part("jsonl").write_bytes(b"".join(map(recordings.encode_line, lines)))


def test_words_that_reached_the_ear_and_no_file(paper: Paper) -> None:
    paper.ring(audio=talk((0, 12_000)))
    for kept, lost in (((SAID, ANSWER, BYE), 0), ((SAID, ANSWER), 5), ((SAID, BYE), 6), (("", ANSWER, BYE), 3)):
        record(paper, *kept)
        verdict = verdict_of(paper)
        assert (verdict.lost_words, verdict.words) == (lost, 14)
        assert verdict.survived == (0 if lost else 1)
        assert (judged(paper) == []) == (lost == 0)


def test_the_end_of_a_sentence_that_was_heard_and_not_written(paper: Paper) -> None:
    paper.ring(audio=talk((0, 12_000)))
    record(paper, SAID, ANSWER[:4], BYE)
    assert verdict_of(paper).lost_words == 3


def test_words_in_another_order_are_not_the_words_that_were_heard(paper: Paper) -> None:
    paper.ring(audio=talk((0, 12_000)))
    record(paper, SAID, ANSWER[::-1], BYE)
    assert verdict_of(paper).lost_words > 0


def test_no_word_but_those_of_the_last_second_may_be_lost_with_a_process(paper: Paper) -> None:
    """The line broke 3.55 s after the answer: 您 had been heard long before that, 好 had not."""
    paper.ring(audio=talk((0, 3550), (5000, 12_000)))
    record(paper, SAID, "您", BYE)
    assert verdict_of(paper).lost_words == 0
    record(paper, SAID, BYE[3:])
    assert verdict_of(paper).lost_words == 3  # 您, of before the last second; 您好 of who took over


def test_what_nobody_could_hear_is_not_lost(paper: Paper) -> None:
    paper.ring(audio=talk((1500, 12_000)))
    record(paper, "", ANSWER, BYE)
    assert judged(paper) == []


def test_a_socket_that_opens_in_mid_sentence_took_the_rest_of_it(paper: Paper) -> None:
    audio = talk((100, 12_000))
    paper.ring(audio=audio)
    record(paper, "", ANSWER, BYE)
    assert verdict_of(paper).lost_words == 3
    audio["line"]["carried_ms"] = [[300, 12_000]]
    assert verdict_of(paper).lost_words == 1  # 好, at 0.8 s; 你 was said at about 0.6 s
    audio["line"]["carried_ms"] = [[600, 12_000]]
    assert verdict_of(paper).lost_words == 0


def test_what_was_said_just_before_a_process_died_is_excused_and_not_what_was_said_earlier(paper: Paper) -> None:
    audio = talk((0, 2000), (2000, 12_000))
    paper.ring(audio=audio)
    record(paper, "", ANSWER, BYE)
    assert verdict_of(paper).lost_words == 0
    audio["line"]["carried_ms"] = [[0, 3000], [3000, 12_000]]
    assert verdict_of(paper).lost_words == 3


def test_a_call_that_ends_keeps_its_last_second_unless_media_died_then(paper: Paper) -> None:
    audio = talk((0, 10_000))
    audio["talk_seconds"] = 10.0
    paper.ring(audio=audio)
    record(paper, SAID, ANSWER, BYE[:4])
    assert verdict_of(paper).lost_words == 2
    paper.deaths.append((NOW + 10_400, "worker1"))
    assert verdict_of(paper).lost_words == 2
    paper.deaths.append((NOW + 10_400, "media1"))
    assert verdict_of(paper).lost_words == 0


def test_words_to_one_that_died_before_it_knew_the_call(paper: Paper) -> None:
    paper.ring(audio=talk((0, 4000), (4000, 12_000)))
    record(paper, "", ANSWER, BYE)
    assert verdict_of(paper).lost_words == 3
    paper.rung[0]["actions"] = [{"action": "start_stream", "at_ms": 4100.0, "code": 0}]
    assert verdict_of(paper).lost_words == 0


def test_words_of_a_call_that_media_never_learned_of(paper: Paper) -> None:
    paper.ring(audio=talk((0, 12_000)))
    record(paper, "", ANSWER, BYE)
    assert verdict_of(paper).lost_words == 3
    paper.rung[0]["actions"] = []
    assert verdict_of(paper).lost_words == 0


def test_who_talks_on_after_we_hung_up_is_not_recorded(paper: Paper) -> None:
    paper.ring(audio=talk((0, 12_000)))
    record(paper, SAID, ANSWER)
    paper.rung[0]["actions"] = [*BEGUN, {"action": "hangup", "at_ms": 7900.0, "code": 1206}]
    assert verdict_of(paper).lost_words == 0
    record(paper, SAID, BYE)
    assert verdict_of(paper).lost_words > 0


def test_words_of_a_time_in_which_nothing_could_be_written_or_understood(paper: Paper) -> None:
    paper.ring(audio=talk((0, 12_000)))
    record(paper, "", ANSWER)
    assert verdict_of(paper).lost_words == 8
    paper.unheard.append(Stretch(NOW - 9000, NOW - 100))
    assert verdict_of(paper).lost_words == 8
    paper.unheard.append(Stretch(NOW + 9000, NOW + 9100))
    assert verdict_of(paper).lost_words == 5 - BROKEN_OFF
    paper.unheard.pop()
    paper.unwritten.append(Stretch(NOW + 9500, NOW + 9550))
    assert verdict_of(paper).lost_words == 8  # there was room again before the call was over
    paper.unwritten[-1] = Stretch(NOW + 9500, NOW + 12_000)
    assert verdict_of(paper).lost_words == 4
    paper.unwritten.append(Stretch(NOW - 100, NOW + 100))
    assert verdict_of(paper).words == 0


def test_a_call_that_says_that_speech_failed_need_not_have_understood(paper: Paper) -> None:
    paper.ring(audio=talk((0, 12_000)))
    record(paper, "", ANSWER, BYE)
    assert verdict_of(paper).lost_words == 3
    paper.write(calls.update().values(tags=[{"name": "speech_failed", "value": "tts", "at": NOW}]))
    assert verdict_of(paper).lost_words == 0


def test_a_task_that_is_not_final(paper: Paper) -> None:
    paper.ring()
    paper.write(tasks.update().values(state="pending"))
    verdict = verdict_of(paper)
    assert (verdict.not_final, verdict.survived) == (1, 0)


@pytest.mark.parametrize(
    ("word", "what"),
    [
        (NUMBER, "a number"),
        (f"0086{NUMBER}7", "a number"),
        *((secret, "a secret") for secret in SECRETS.values()),
        ("d2FpaHU6aG91c2UtdW5kZXItYXR0YWNrLWFwaS1rZXk=", "a secret"),
        (SIGNATURE, "a link's signature"),
        (TICKET["username"], "a name"),
        ("会员日活动", "a ticket"),
        ("\\u4f1a\\u5458\\u65e5\\u6d3b\\u52a8", "a ticket"),
        ("%E4%BC%9A%E5%91%98%E6%97%A5%E6%B4%BB%E5%8A%A8", "a ticket"),
        ("我是小外助手", "dialogue"),
        (repr("我是小外助手".encode()), "dialogue"),
        ("我周末不在家里", "dialogue"),
    ],
)
def test_a_word_that_no_log_may_hold(paper: Paper, word: str, what: str) -> None:
    """The last was said by somebody and is in no record."""
    audio = talk((0, 12_000))
    audio["said"].append({"kind": "answer", "text": "这个，我周末不在家里。", "start_ms": 11_900.0, "end_ms": 13_000.0})
    paper.ring(audio=audio)
    record(paper, SAID, "您好，我是小外助手。", ANSWER, BYE)
    assert judged(paper) == []
    (paper.logs / "sandbox.log").write_text(f"a line with {word} in it, of the witness", encoding="utf-8")
    assert judged(paper) == []
    (paper.logs / "worker1.log").write_text(f"a line with {word} in it", encoding="utf-8")
    assert judged(paper) == [f"worker1.log holds {what}, which no log may hold"]


def test_what_should_be_gone_by_the_end(paper: Paper) -> None:
    event = {"received_at": NOW, "event_name": "cdr", "request_id": UUID, "body": {}}
    paper.write(calls.update().values(state="answered", closed_at=None), insert(phone_events).values(**event))
    paper.redis.zadd(LEASES_KEY, {UUID: NOW})
    assert judged(paper) == ["live calls", "open records", "unapplied events", "leases"]
