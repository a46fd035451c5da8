"""Whether anybody is to be told: asked seldom, and never wrong for long."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import event

from tests.workers.twins import Office
from tests.workers.webhooks.desk import register, remove
from workers.webhooks.subscribers import FRESH_SECONDS


def test_it_is_asked_once_in_a_few_seconds(open_office: Callable[..., Office]) -> None:
    office = open_office()
    asked: list[str] = []
    event.listen(office.house.engine, "before_cursor_execute", lambda _c, _cursor, text, *_: asked.append(text))
    for _ in range(100):
        assert not office.house.subscribers.any()
    assert len([text for text in asked if text.startswith("SELECT")]) == 1


def test_what_changed_is_known_after_a_few_seconds(open_office: Callable[..., Office]) -> None:
    office = open_office()
    assert not office.house.subscribers.any()
    endpoint_id = register(office, "http://127.0.0.1:9000/")
    assert not office.house.subscribers.any()
    office.advance(FRESH_SECONDS)
    assert office.house.subscribers.any()
    remove(office, endpoint_id)
    office.advance(FRESH_SECONDS)
    assert not office.house.subscribers.any()
