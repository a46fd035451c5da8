"""What is kept only so long, and what stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from shared import recordings
from shared.database import reading, writing
from shared.outbox import DEAD, DELIVERED, TASK_FINISHED, WAITING, row
from shared.schema import calls, phone_events, webhook_deliveries, webhook_endpoints
from tests.workers.twins import Office
from workers import retention
from workers.retention import retain

DAY = 86_400


def recorded(office: Office, uuid: str, age_days: float) -> Path:
    """An ended call with a recording and a transcript; the recording's path."""
    at = office.now - round(age_days * DAY * 1000)
    stem = recordings.stem(uuid, at, office.settings.timezone)
    with writing(office.house.engine) as connection:
        connection.execute(
            insert(calls).values(
                uuid=uuid,
                call_type="02",
                state="ended",
                caller="1",
                number=uuid[:11],
                line=uuid[:11],
                telephone=uuid[:11],
                created_at=at,
                ended_at=at,
                closed_at=at,
                wav_file=f"{stem}.wav",
                dialogue=[{"role": "user", "content": "好"}],
            )
        )
    path = office.settings.recordings_dir / f"{stem}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending in (".wav", ".jsonl"):
        path.with_suffix(ending).write_bytes(b"x")
    return path


def events(office: Office) -> int:
    with reading(office.house.engine) as connection:
        return int(connection.execute(select(func.count()).select_from(phone_events)).scalar_one())


def test_by_default_recordings_and_words_are_kept_for_ever(office: Office) -> None:
    path = recorded(office, "1" * 19, 360)
    retain(office.house)
    assert path.exists()
    assert office.call("1" * 19).dialogue


def test_each_goes_at_its_own_time(open_office: Callable[..., Office]) -> None:
    office = open_office(keep_recordings="30d", keep_dialogues="60d")
    new, old, ancient = (recorded(office, str(n) * 19, age) for n, age in ((1, 29), (2, 31), (3, 61)))
    retain(office.house)
    assert [path.exists() for path in (new, old, ancient)] == [True, False, False]
    assert [path.with_suffix(".jsonl").exists() for path in (new, old, ancient)] == [True, True, False]
    assert [bool(office.call(str(n) * 19).wav_file) for n in (1, 2, 3)] == [True, False, False]
    assert [office.call(str(n) * 19).dialogue is None for n in (1, 2, 3)] == [False, False, True]
    assert office.call("3" * 19).state == "ended"
    assert not ancient.parent.exists()
    assert office.settings.recordings_dir.exists()


def test_a_recording_that_nobody_joined_to_its_end_goes_with_the_others(open_office: Callable[..., Office]) -> None:
    office = open_office(keep_recordings="30d")
    torn = [recorded(office, str(n) * 19, age).with_name(f".{str(n) * 19}.a1b2c3.tmp") for n, age in ((1, 29), (2, 31))]
    for path in torn:
        path.write_bytes(b"x")
    retain(office.house)
    assert [path.exists() for path in torn] == [True, False]


def test_events_go_once_they_are_applied_and_old(open_office: Callable[..., Office]) -> None:
    office = open_office(keep_events="1d")
    for applied in (office.now, office.now, None):
        event_id = office.event("cdr", at=office.now - 2 * DAY * 1000)
        with writing(office.house.engine) as connection:
            connection.execute(phone_events.update().where(phone_events.c.id == event_id).values(applied_at=applied))
    office.event("cdr")
    retain(office.house)
    assert events(office) == 2


def test_a_round_is_due_once_an_hour(open_office: Callable[..., Office]) -> None:
    office = open_office(keep_recordings="1d")
    retain(office.house)
    path = recorded(office, "1" * 19, 2)
    retain(office.house)
    assert path.exists()
    office.house.redis.delete(retention.RAN_KEY)
    retain(office.house)
    assert not path.exists()


def test_more_than_one_batch_goes_on_at_the_next_sweep(open_office: Callable[..., Office]) -> None:
    office = open_office(keep_recordings="1d")
    for number in range(retention.BATCH + 1):
        recorded(office, f"25{number:017d}", 2)
    retain(office.house)
    left = list(office.settings.recordings_dir.rglob("*.wav"))
    assert len(left) == 1
    retain(office.house)
    assert list(office.settings.recordings_dir.rglob("*.wav")) == []


def add_delivery(office: Office, number: int, state: str, age_days: float) -> str:
    at = office.now - round(age_days * DAY * 1000)
    made = row(1, number, TASK_FINISHED, at) | {"state": state, "due_at": at if state == WAITING else None}
    with writing(office.house.engine) as connection:
        connection.execute(insert(webhook_deliveries).values(made))
    return str(made["id"])


def test_deliveries_go_once_they_are_settled_and_old(open_office: Callable[..., Office]) -> None:
    office = open_office(keep_events="30d")
    with writing(office.house.engine) as connection:
        connection.execute(insert(webhook_endpoints).values(url="http://x", secret="s", created_at=0))
    states = ((DELIVERED, 31), (DEAD, 31), (WAITING, 31), (DELIVERED, 29), (DEAD, 29))
    ids = [add_delivery(office, number, state, age) for number, (state, age) in enumerate(states, 1)]
    retain(office.house)
    with reading(office.house.engine) as connection:
        left = set(connection.execute(select(webhook_deliveries.c.id)).scalars())
    assert left == set(ids[2:])


def test_calls_that_never_left_go_when_they_are_old_and_no_others(open_office: Callable[..., Office]) -> None:
    office = open_office(keep_events="30d")
    for number, (state, age) in enumerate((("unplaced", 31), ("unplaced", 29), ("ended", 31), ("lost", 400)), 1):
        recorded(office, str(number) * 19, age)
        with writing(office.house.engine) as connection:
            connection.execute(calls.update().where(calls.c.uuid == str(number) * 19).values(state=state))
    retain(office.house)
    with reading(office.house.engine) as connection:
        assert set(connection.execute(select(calls.c.uuid)).scalars()) == {str(number) * 19 for number in (2, 3, 4)}


def test_with_no_limit_on_events_nothing_of_it_goes(open_office: Callable[..., Office]) -> None:
    office = open_office(keep_events="0")
    with writing(office.house.engine) as connection:
        connection.execute(insert(webhook_endpoints).values(url="http://x", secret="s", created_at=0))
    add_delivery(office, 1, DELIVERED, 4000)
    retain(office.house)
    with reading(office.house.engine) as connection:
        assert connection.execute(select(func.count()).select_from(webhook_deliveries)).scalar_one() == 1


@pytest.mark.parametrize(
    ("key", "which", "index"),
    [
        (webhook_deliveries.c.id, retention._SETTLED, "ix_webhook_deliveries_created_at"),
        (calls.c.uuid, retention._UNPLACED, "ix_calls_unplaced"),
    ],
)
def test_what_is_old_is_found_by_an_index(office: Office, key: Any, which: Any, index: str) -> None:
    query = retention.old_rows(key, which, 1).compile(office.house.engine, compile_kwargs={"literal_binds": True})
    with reading(office.house.engine) as connection:
        plan = [step[3] for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query.string}")]
    assert [step for step in plan if "TEMP B-TREE" in step] == []
    assert any(index in step for step in plan), plan
