"""Erasing one customer: nothing is left, nobody else is touched, and a live call forbids it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select, update

from shared import erasure, recordings
from shared.database import open_engine, reading, upgrade, writing
from shared.erasure import ErasureRefused, Proof, erase, event_queries, search
from shared.numbers import line
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
from shared.stops import stop_tasks

NOW = 1_767_153_838_953
ZONE = ZoneInfo("Asia/Shanghai")
THEIRS, OTHERS = "13800138000", "13900139000"
SWITCHBOARD = "057188001234"


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


def fill(engine: Engine, root: Path, number: str, prefix: str, exten: str = "") -> None:
    """A customer with a finished and a waiting task, a call, its files and events, and an entry on the list, which has
    none for an extension."""
    uuid = f"{prefix}".ljust(19, "0")
    with writing(engine) as connection:
        theirs = line(number, "86")
        ticket = {
            "phone": number,
            "number": number,
            "line": theirs,
            "exten": exten,
            "username": "张三",
            "ticket_type": "回访",
            "created_at": NOW,
        }
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
                line=theirs,
                exten=exten,
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
        if not exten:
            connection.execute(insert(do_not_call).values(number=number, line=theirs, source="person", created_at=NOW))
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
    torn = root / f"{recordings.stem(uuid, NOW, ZONE)}.wav"
    (torn.parent / f".{uuid}.a1b2c3.tmp").write_text(
        "我是张三"
    )  # by a worker that was killed while it joined the parts


def forget(engine: Engine, root: Path, *, drop: bool = False, number: str = THEIRS, exten: str = "") -> Proof:
    with writing(engine) as connection:
        return erase(
            connection,
            number,
            root,
            ZONE,
            NOW,
            reason=f"{THEIRS} 来函",
            actor="cli:test",
            exten=exten,
            drop_do_not_call=drop,
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
        "recordings": 3,
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
    assert [path.name for path in root.rglob("*25*") if path.is_file()] == []
    with reading(engine) as connection:
        erased = connection.execute(select(tasks).where(tasks.c.number == "").order_by(tasks.c.batch_id)).all()
        states = [(row.state, row.username, row.ticket_content, row.ticket_type) for row in erased]
        note = connection.execute(select(audit)).one()
    assert states == [("completed", "", "", "回访"), ("stopped", "", "", "回访")]
    assert (note.actor, note.action, note.subject) == ("cli:test", "erase", proof.mark)
    assert note.detail["reason"] == "138****8000 来函"
    assert note.detail["erased"]["calls"] == 1


def search_all(engine: Engine, root: Path, number: str, exten: str = "") -> dict[str, int]:
    with reading(engine) as connection:
        return asdict(search(connection, number, root, ZONE, exten=exten))


def test_of_a_switchboard_one_extension_is_erased_and_the_others_stay(engine: Engine, root: Path) -> None:
    """The event that belongs to no call names the switchboard, and nobody behind it."""
    fill(engine, root, SWITCHBOARD, "24")
    for prefix, exten in (("25", "8001"), ("26", "8002")):
        fill(engine, root, SWITCHBOARD, prefix, exten)
    others = search_all(engine, root, SWITCHBOARD, "8002")
    assert (others["tasks"], others["calls"], others["events"], others["do_not_call"]) == (2, 1, 2, 0)
    with pytest.raises(ErasureRefused, match="without extension"):
        forget(engine, root, drop=True, number=SWITCHBOARD, exten="8001")
    proof = forget(engine, root, number=SWITCHBOARD, exten="8001")
    assert (proof.erased.tasks, proof.erased.calls, proof.erased.events, proof.erased.recordings) == (2, 1, 2, 3)
    assert (proof.remaining.total, proof.vendor) == (0, ["call-25"])
    assert search_all(engine, root, SWITCHBOARD, "8002") == others
    assert search_all(engine, root, SWITCHBOARD)["tasks"] == 4
    assert [path.name for path in root.rglob("*25*") if path.is_file()] == []
    everybody = forget(engine, root, number=SWITCHBOARD)
    assert (everybody.erased.tasks, everybody.remaining.tasks, everybody.mark == proof.mark) == (4, 0, False)


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


SPELLINGS = ("13800138000", "+8613800138000", "8613800138000", "008613800138000")


@pytest.mark.parametrize("asked", SPELLINGS)
def test_a_customer_is_found_in_every_spelling_of_the_number(engine: Engine, root: Path, asked: str) -> None:
    fill(engine, root, OTHERS, "26")
    for index, spelling in enumerate(SPELLINGS):
        if index == 0:
            fill(engine, root, spelling, f"2{index}")
            continue
        with writing(engine) as connection:  # another spelling is on the list already
            connection.execute(delete(do_not_call).where(do_not_call.c.line == line(spelling, "86")))
        fill(engine, root, spelling, f"2{index}")
    proof = forget(engine, root, drop=True, number=asked)
    assert (proof.erased.tasks, proof.erased.calls, proof.remaining.total) == (8, 4, 0)
    text = everything(engine)
    assert not [spelling for spelling in SPELLINGS if spelling in text]
    assert OTHERS in text
    assert forget(engine, root, number=SPELLINGS[0]).mark == proof.mark


@pytest.mark.parametrize("exten", ["", "8001"])
def test_events_are_looked_for_by_indexes_and_never_in_the_whole_inbox(engine: Engine, exten: str) -> None:
    with reading(engine) as connection:
        for query in event_queries("+8613800138000", exten, "86"):
            text = query.compile(engine, compile_kwargs={"literal_binds": True}).string
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}".replace("%", "%%"))]
            steps = [step for step in plan if "phone_events" in step]
            assert steps, plan
            assert all("USING" in step and "INDEX ix_phone_events_" in step for step in steps), plan


def test_an_event_that_names_the_number_and_is_another_call_s_stays_with_that_call(engine: Engine, root: Path) -> None:
    fill(engine, root, THEIRS, "25")
    theirs = search_all(engine, root, THEIRS)["events"]
    with writing(engine) as connection:
        event = {"received_at": NOW, "event_name": "cdr", "body": {"callee": THEIRS}}
        connection.execute(insert(phone_events).values(event | {"call_uuid": "9" * 19}))
        connection.execute(insert(phone_events).values(event | {"request_id": "25".ljust(19, "0")}))
    assert search_all(engine, root, THEIRS)["events"] == theirs + 1


def test_an_event_of_no_call_is_the_customer_s_if_it_names_the_line_in_any_spelling(engine: Engine, root: Path) -> None:
    theirs = [{"pay_load": [{"callee": f"+86{THEIRS}"}]}, {"callee": int(f"86{THEIRS}")}, {"callee": f"{THEIRS}-12"}]
    others = [{"callee": f"9{THEIRS}"}, {"callee": f"{THEIRS}9"}, {"note": f"about {THEIRS}"}, {"callee": OTHERS}]
    with writing(engine) as connection:
        for body in (*theirs, *others):
            connection.execute(insert(phone_events).values(received_at=NOW, event_name="cdr", body=body))
    assert search_all(engine, root, f"0086{THEIRS}")["events"] == len(theirs)
    assert forget(engine, root).remaining.total == 0
    with reading(engine) as connection:
        assert list(connection.execute(select(phone_events.c.body)).scalars()) == others


def test_a_ticket_that_comes_while_somebody_is_erased_keeps_its_number(
    engine: Engine, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not looked at: a call of it may be about to leave. The proof tells that something is left."""
    fill(engine, root, THEIRS, "25")
    late = {"phone": THEIRS, "number": THEIRS, "line": line(THEIRS, "86"), "username": "张三", "ticket_type": "回访"}
    late |= {"ticket_content": "x", "digest": b"2" * 16, "ticket_no": "late", "state": "pending"}
    late |= {"created_at": NOW, "state_at": NOW}

    def stop_and_let_in(connection: Connection, which: ColumnElement[bool], now: int) -> list[int]:
        """As PostgreSQL shows what another transaction commits between two statements of this one."""
        connection.execute(insert(tasks).values(late))
        return stop_tasks(connection, which, now)

    monkeypatch.setattr(erasure, "stop_tasks", stop_and_let_in)
    proof = forget(engine, root)
    assert (proof.erased.tasks, proof.remaining.tasks) == (2, 1)
    with reading(engine) as connection:
        kept = connection.execute(select(tasks).where(tasks.c.ticket_no == "late")).one()
    assert (kept.number, kept.state) == (THEIRS, "pending")
