"""The doorbell: it rings if it can, says so if it cannot, and keeps nobody waiting."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator

import pytest
import redis
from celery import Celery
from fakeredis import TcpFakeServer

from shared import doorbell
from shared.doorbell import CHUNK, DIAL, DISPATCH, QUEUE_OF, QUEUES, Doorbell

BROKER_WAIT = 5.0
"""Far above what ringing takes, and below the 6 s for which kombu, left alone, tries to reach a broker that is away."""


@pytest.fixture
def broker() -> Iterator[str]:
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{server.server_address[1]}/0"
    server.shutdown()
    server.server_close()
    thread.join(5)


def received(url: str, queue: str) -> list[tuple[str, list[object]]]:
    """What waits in a queue, oldest first, as a worker would take it."""
    app = Celery("reader", set_as_current=False)
    doorbell.configure(app, url)
    found = []
    with app.connection_for_read() as connection:
        simple = connection.SimpleQueue(queue)
        for _ in range(simple.qsize()):
            message = simple.get(timeout=5)
            message.ack()
            found.append((message.headers["task"], message.payload[0]))
        simple.close()
    app.close()
    return found


def test_a_ring_lands_in_its_own_queue_with_ids_only(broker: str) -> None:
    bell = Doorbell(broker)
    assert bell.ring(DIAL, "2508162111590110001")
    assert bell.ring(DISPATCH)
    bell.close()
    assert received(broker, "dial") == [(DIAL, ["2508162111590110001"])]
    assert received(broker, "dispatch") == [(DISPATCH, [])]


def test_many_ids_go_out_in_chunks_in_their_order(broker: str) -> None:
    bell = Doorbell(broker)
    ids = list(range(2 * CHUNK + 1))
    assert bell.ring_chunks(doorbell.APPLY_EVENTS, ids)
    bell.close()
    chunks = [args[0] for _, args in received(broker, "events")]
    assert [len(chunk) for chunk in chunks] == [CHUNK, CHUNK, 1]  # type: ignore[arg-type]
    assert [number for chunk in chunks for number in chunk] == ids  # type: ignore[attr-defined]


def test_every_task_has_a_queue_that_exists() -> None:
    assert {QUEUE_OF[name] for name in QUEUE_OF} <= {queue.name for queue in QUEUES}


def ring_in_time(url: str) -> bool:
    """Whether the ring succeeded; fails the test if it did not come back at all."""
    answer: list[bool] = []

    def ring() -> None:
        bell = Doorbell(url)
        answer.append(bell.ring(DISPATCH))
        bell.close()

    thread = threading.Thread(target=ring, daemon=True)
    thread.start()
    thread.join(BROKER_WAIT)
    assert answer, "the ring hangs"
    return answer[0]


def test_a_broker_that_is_down_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with caplog.at_level(logging.WARNING, "shared.doorbell"):
        assert ring_in_time(f"redis://127.0.0.1:{port}/0") is False
    assert [record.message for record in caplog.records] == ["the doorbell did not ring; the sweep will"]


def test_a_broker_that_accepts_and_never_speaks_keeps_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert ring_in_time(f"redis://127.0.0.1:{listener.getsockname()[1]}/0") is False


def test_a_broker_that_went_away_and_came_back_is_rung_again(broker: str) -> None:
    bell = Doorbell(broker)
    assert bell.ring(DISPATCH)
    client = redis.Redis.from_url(broker)
    client.flushall()
    client.close()
    assert bell.ring(DISPATCH)
    bell.close()
    assert len(received(broker, "dispatch")) == 1


def test_a_worker_waits_for_its_broker_for_ever(broker: str) -> None:
    """Celery by itself ends a worker whose broker is away for longer than a hundred tries take."""
    app = Celery("worker", set_as_current=False)
    doorbell.configure(app, broker)
    assert app.conf.broker_connection_max_retries is None
    app.close()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "unix:///nowhere/redis.sock"])
def test_a_worker_takes_a_full_broker_for_one_that_is_away(url: str) -> None:
    """Celery connects anew after these errors; any other ends the worker."""
    app = Celery("worker", set_as_current=False)
    doorbell.configure(app, url)
    with app.connection_for_read() as connection:
        assert redis.exceptions.OutOfMemoryError in connection.connection_errors
    app.close()
