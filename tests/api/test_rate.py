"""Requests a minute and key: in Redis, and in the process while Redis is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import fakeredis
import pytest
import redis
from sqlalchemy import Engine

from api.rate import RateLimiter
from shared import api_keys
from shared.bus import open_redis
from shared.clock import FakeClock
from shared.database import writing


@pytest.fixture
def away(closed_port: int) -> Iterator[redis.Redis]:
    client = open_redis(f"redis://127.0.0.1:{closed_port}/0")
    yield client
    client.close()


def test_processes_share_one_bucket_through_redis() -> None:
    server = fakeredis.FakeServer()
    first, second = (RateLimiter(fakeredis.FakeRedis(server=server), FakeClock()) for _ in range(2))
    taken = [limiter.take("key", 3) for limiter in (first, second, first, second)]
    assert taken[:3] == [0, 0, 0]
    assert 1 <= taken[3] <= 20
    assert first.take("other", 3) == 0


def test_without_redis_the_process_counts_and_the_bucket_fills_again(away: redis.Redis) -> None:
    clock = FakeClock()
    limiter = RateLimiter(away, clock)
    assert [limiter.take("key", 2) for _ in range(3)] == [0, 0, 30]
    clock.advance(29)
    assert limiter.take("key", 2) == 1
    clock.advance(1)
    assert [limiter.take("key", 2) for _ in range(2)] == [0, 30]


def test_too_many_requests_are_a_429_that_says_when_to_come_again(
    make_app: Callable[..., Any], closed_port: int, engine: Engine
) -> None:
    with writing(engine) as connection:
        own = api_keys.add(connection, "crm", ["read"], 1, rate=3, actor="cli:test")
    app = make_app(api_keys=("a", "b"), rate_limit=2, redis_url=f"redis://127.0.0.1:{closed_port}/0")
    client = app.test_client()

    def statuses(key: str, times: int) -> list[int]:
        return [client.get("/api/v1/stats", headers={"X-API-Key": key}).status_code for _ in range(times)]

    assert statuses("a", 3) == [200, 200, 429]
    assert statuses("b", 2) == [200, 200]
    assert statuses(own, 4) == [200, 200, 200, 429]
    problem = client.get("/api/v1/stats", headers={"X-API-Key": "a"})
    assert (problem.mimetype, problem.headers["Retry-After"]) == ("application/problem+json", "30")
    envelope = client.post("/api/aicall/createTasks", json=[], headers={"X-API-Key": "a"})
    assert (envelope.status_code, envelope.json["code"], envelope.headers["Retry-After"]) == (429, 429, "30")
    assert client.get("/healthz").status_code == 200
