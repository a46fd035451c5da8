"""Processes are killed while calls go on: nothing that was accepted or heard is lost, and nobody is called twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.outcomes import gather
from shared.recordings import Turn, read_lines, turns
from tests.flow.house import House, until, until_closed
from tests.flow.test_calls import ticket

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CALLS_WITHIN = 150.0


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path) as running:
        yield running


def pids(house: House, words: str) -> list[int]:
    """The house's own processes whose command line holds ``words``, children of the supervisor and theirs."""
    running = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in running if words in _command(Path(f"/proc/{pid}")) and _descends(pid, house.pid)]


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


def test_media_worker_and_redis_are_killed_in_the_midst_of_calls(house: House) -> None:
    numbers = ["0001", "0002", "0003", "0012"]
    with house.api() as api:
        created = api.create_tasks([ticket(number) for number in numbers])
        batch_ids = [task["batchId"] for task in created]
        first = batch_ids[0]
        until(lambda: api.task(first)["status"] == "通话中", 60, house.told)
        until(lambda: turns_of_ours(house) >= 3, 60, house.told)
        for words in ("media.main", "workers.app --quiet worker", "redis-server"):
            for pid in pids(house, words):
                os.kill(pid, signal.SIGKILL)
        until_closed(api, batch_ids, CALLS_WITHIN)
        outcomes = [gather(api, house.sandbox_url, batch_id) for batch_id in batch_ids]
        assert all(outcome.report["startcalls"] == 1 for outcome in outcomes)
        assert all(outcome.task["status"] in ("已完成", "未接通") for outcome in outcomes)
        assert outcomes[-1].task["status"] == "未接通"
        for outcome in outcomes[:-1]:
            assert outcome.assistant, "what was heard before the death is lost"
            assert outcome.recording, "the recording is lost"
        again = api.create_tasks([ticket("0014")])[0]["batchId"]
        until_closed(api, [again], CALLS_WITHIN)
        assert gather(api, house.sandbox_url, again).task["status"] == "已完成"


def turns_of_ours(house: House) -> int:
    """How many calls have a turn of ours written down."""
    root = Path(house.environment["WAIHU_STATE_DIR"]) / "recordings"
    return sum(
        any(isinstance(line, Turn) and line.role == "assistant" for line in read_lines(path))
        for path in root.rglob("*.jsonl")
    )


def test_a_sentence_that_was_being_spoken_when_media_was_killed_is_in_the_record(house: House) -> None:
    with house.api() as api:
        batch_id = api.create_tasks([ticket("0001")])[0]["batchId"]
        until(lambda: bool(unfinished(house)), 90, house.told)
        for pid in pids(house, "media.main"):
            os.kill(pid, signal.SIGKILL)
        broken_off = unfinished(house)
        assert broken_off, "the sentence came to its end before the kill"
        until_closed(api, [batch_id], CALLS_WITHIN)
        outcome = gather(api, house.sandbox_url, batch_id)
        dialogue = [(turn["role"], turn["content"]) for turn in outcome.record["dialogue"]]
        assert [turn for turn in broken_off if turn not in dialogue] == []
        assert outcome.report["startcalls"] == 1


def unfinished(house: House) -> list[tuple[str, str]]:
    """Role and content of what was going on when each transcript was last written."""
    root = Path(house.environment["WAIHU_STATE_DIR"]) / "recordings"
    return [
        (turn.role, turn.content)
        for path in root.rglob("*.jsonl")
        for turn in turns(read_lines(path))
        if turn.so_far and turn.role == "assistant"
    ]
