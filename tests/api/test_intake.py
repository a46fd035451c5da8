"""The same batch from many at once, on SQLite; tests/integration has the same on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

AT_ONCE = 4


def all_at_once(app: Flask, requests: list[dict[str, Any]]) -> list[Any]:
    """Posts the requests to createTasks from a thread each, released together."""
    together = threading.Barrier(len(requests))

    def send(options: dict[str, Any]) -> Any:
        client = app.test_client()
        together.wait(30)
        return client.post("/api/aicall/createTasks", **options)

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(send, requests))


@pytest.fixture
def batch(ticket: Callable[..., dict[str, Any]]) -> list[dict[str, Any]]:
    return [ticket(ticketNo=f"T{index:03d}") for index in range(200)]


def test_the_same_batch_at_the_same_time_makes_its_tasks_once(
    app: Flask, batch: list[dict[str, Any]], stored: Any
) -> None:
    answers = all_at_once(app, [{"json": batch}] * AT_ONCE)
    assert len({answer.data for answer in answers}) == 1
    assert answers[0].json["code"] == 200
    assert len(stored()) == len(batch)


def test_batches_that_overlap_in_opposite_order_share_their_tasks(
    app: Flask, batch: list[dict[str, Any]], stored: Any
) -> None:
    answers = all_at_once(app, [{"json": batch}, {"json": batch[::-1]}] * 2)
    pairs = [{item["ticketNo"]: item["batchId"] for item in answer.json["data"]} for answer in answers]
    assert all(pair == pairs[0] for pair in pairs)
    assert len(stored()) == len(batch)


def test_the_same_key_at_the_same_time_is_answered_word_for_word(
    app: Flask, batch: list[dict[str, Any]], stored: Any
) -> None:
    answers = all_at_once(app, [{"json": batch, "headers": {"Idempotency-Key": "k"}}] * AT_ONCE)
    assert len({answer.data for answer in answers}) == 1
    assert sorted("Idempotency-Replayed" in answer.headers for answer in answers) == [False] + [True] * (AT_ONCE - 1)
    assert len(stored()) == len(batch)


def test_the_same_key_with_other_bodies_at_the_same_time_lets_one_win(
    app: Flask, ticket: Callable[..., dict[str, Any]], stored: Any
) -> None:
    requests = [
        {"json": [ticket(ticketNo=f"T{index}")], "headers": {"Idempotency-Key": "k"}} for index in range(AT_ONCE)
    ]
    answers = all_at_once(app, requests)
    assert sorted(answer.json["code"] for answer in answers) == [200] + [405] * (AT_ONCE - 1)
    assert len(stored()) == 1


def test_one_ticket_with_other_bodies_at_the_same_time_lets_one_win(
    app: Flask, ticket: Callable[..., dict[str, Any]], stored: Any
) -> None:
    answers = all_at_once(app, [{"json": [ticket(username=f"张{index}")]} for index in range(AT_ONCE)])
    assert sorted(answer.json["code"] for answer in answers) == [200] + [405] * (AT_ONCE - 1)
    assert len(stored()) == 1


def test_expired_keys_leave_with_new_ones(app: Flask, engine: Any, clock: Any, ticket: Any) -> None:
    from sqlalchemy import func, select

    from shared.database import reading
    from shared.schema import idempotency_keys

    client = app.test_client()
    for index in range(5):
        client.post("/api/aicall/createTasks", json=[ticket()], headers={"Idempotency-Key": f"old-{index}"})
    clock.advance(24 * 3600 + 1)
    client.post("/api/aicall/createTasks", json=[ticket()], headers={"Idempotency-Key": "new"})
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(idempotency_keys)).scalar_one() == 1
