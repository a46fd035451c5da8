"""Erasing one customer: nothing is left, nobody else is touched, and a live call forbids it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, insert, select, update

from shared import recordings
from shared.database import open_engine, reading, upgrade, writing
from shared.erasure import ErasureRefused, Proof, erase, search
from shared.schema import (
    audit,
    calls,
    do_not_call,
    metadata,
    phone_events,
    tasks,
    webhook_deliveries,
    webhook_endpoints,
)

NOW = 1_767_153_838_953
ZONE = ZoneInfo("Asia/Shanghai")
THEIRS, OTHERS = "13800138000", "13900139000"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'waihu.db'}"
    upgrade(url)
    made = open_engine(url)
    yield made
    made.dispose()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


def fill(engine: Engine, root: Path, number: str, prefix: str) -> None:
    """A customer with a finished and a waiting task, a call, its files and events, and an entry on the list."""
    uuid = f"{prefix}".ljust(19, "0")
    with writing(engine) as connection:
        ticket = {"phone": number, "number": number, "username": "张三", "ticket_type": "回访", "created_at": NOW}
        ticket |= {"ticket_content": f"请致电 {number}", "digest": b"1" * 16, "state_at": NOW}
        ids = [
            connection.execute(
                insert(tasks)
                .values(ticket | {"ticket_no": f"{prefix}{state}", "state": state})
                .returning(tasks.c.batch_id)
            ).scalar_one()
            for state in ("completed", "retry_wait")
        ]
        connection.execute(
            insert(calls).values(
                uuid=uuid,
                batch_id=ids[0],
                call_type="02",
                state="ended",
                call_id=f"call-{prefix}",
                caller="0571",
                number=number,
                telephone=number,
                created_at=NOW,
                wav_file=f"{recordings.stem(uuid, NOW, ZONE)}.wav",
                record_file=f"{number}.wav",
                dialogue=[{"role": "user", "content": "我是张三"}],
                tags=[{"name": "callback_wanted", "value": "明天"}],
            )
        )
        event = {"received_at": NOW, "event_name": "cdr", "body": {"callee": number}}
        connection.execute(insert(phone_events).values(event | {"call_uuid": uuid}))
        connection.execute(insert(phone_events).values(event | {"call_id": f"call-{prefix}"}))
        connection.execute(insert(phone_events).values(event | {"body": {"callee": int(number), "x": 1}}))
        connection.execute(insert(do_not_call).values(number=number, source="person", created_at=NOW))
        endpoint = connection.execute(
            insert(webhook_endpoints)
            .values(url="https://x", secret="s", created_at=1)
            .returning(webhook_endpoints.c.id)
        ).scalar_one()
        connection.execute(
            insert(webhook_deliveries).values(
                id=prefix, endpoint_id=endpoint, batch_id=ids[0], event="task.finished", state="waiting", created_at=NOW
            )
        )
    for number_of_part in (1, 2):
        for ending in ("wav", "jsonl"):
            path = recordings.part(root, recordings.stem(uuid, NOW, ZONE), number_of_part, ending)  # type: ignore[arg-type]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("我是张三")


def forget(engine: Engine, root: Path, *, drop: bool = False) -> Proof:
    with writing(engine) as connection:
        return erase(
            connection, THEIRS, root, ZONE, NOW, reason=f"{THEIRS} 来函", actor="cli:test", drop_do_not_call=drop
        )


def everything(engine: Engine) -> str:
    """Every row of every table as text."""
    with reading(engine) as connection:
        return "\n".join(repr(row) for table in metadata.sorted_tables for row in connection.execute(select(table)))


def test_nothing_of_the_customer_is_left_and_nothing_of_others_is_touched(engine: Engine, root: Path) -> None:
    fill(engine, root, OTHERS, "26")
    others = search_all(engine, root, OTHERS)
    fill(engine, root, THEIRS, "25")
    proof = forget(engine, root, drop=True)
    assert asdict(proof.erased) == {
        "tasks": 2,
        "calls": 1,
        "events": 3,
        "recordings": 2,
        "transcripts": 2,
        "webhook_deliveries": 1,
        "do_not_call": 1,
    }
    assert proof.remaining.total == 0
    assert proof.vendor == ["call-25"]
    assert search_all(engine, root, OTHERS) == others
    text = everything(engine)
    assert THEIRS not in text
    assert OTHERS in text
    assert [path.name for path in root.rglob("25*")] == []
    with reading(engine) as connection:
        erased = connection.execute(select(tasks).where(tasks.c.number == "").order_by(tasks.c.batch_id)).all()
        states = [(row.state, row.username, row.ticket_content, row.ticket_type) for row in erased]
        note = connection.execute(select(audit)).one()
    assert states == [("completed", "", "", "回访"), ("stopped", "", "", "回访")]
    assert (note.actor, note.action, note.subject) == ("cli:test", "erase", proof.mark)
    assert note.detail["reason"] == "138****8000 来函"
    assert note.detail["erased"]["calls"] == 1


def search_all(engine: Engine, root: Path, number: str) -> dict[str, int]:
    with reading(engine) as connection:
        return asdict(search(connection, number, root, ZONE))


def test_the_do_not_call_entry_stays_by_default_because_it_protects_them(engine: Engine, root: Path) -> None:
    fill(engine, root, THEIRS, "25")
    proof = forget(engine, root)
    assert (proof.erased.do_not_call, proof.remaining.do_not_call, proof.remaining.total) == (0, 1, 1)


def test_erasing_again_finds_nothing_and_is_noted_under_the_same_mark(engine: Engine, root: Path) -> None:
    fill(engine, root, THEIRS, "25")
    first, second = forget(engine, root, drop=True), forget(engine, root)
    assert second.erased.total == 0
    assert first.mark == second.mark
    assert THEIRS not in first.mark


@pytest.mark.parametrize("what", ["call", "task"])
def test_while_a_call_lives_everything_stays(engine: Engine, root: Path, what: str) -> None:
    fill(engine, root, THEIRS, "25")
    with writing(engine) as connection:
        if what == "call":
            connection.execute(update(calls).values(state="answered"))
        else:
            connection.execute(update(tasks).where(tasks.c.state == "retry_wait").values(state="queued"))
    before = everything(engine)
    with pytest.raises(ErasureRefused, match=what):
        forget(engine, root)
    assert everything(engine) == before
    assert len(list(root.rglob("25*"))) == 4
