"""Beat goes by a clock that nobody sets, and sends nothing that nobody takes up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
from celery import Celery
from celery.beat import Scheduler, SchedulingError
from kombu.exceptions import OperationalError

from shared import doorbell
from workers.ticks import MOST_WAITING, Ticks, steady, tick


@pytest.fixture
def beat(redis_url: str) -> Any:
    app = Celery("test", set_as_current=False)
    doorbell.configure(app, redis_url)
    app.conf.beat_schedule = {"sweep": tick(doorbell.SWEEP, 5.0)}
    yield Ticks(app=app, lazy=True)
    app.close()


def test_its_clock_goes_by_the_seconds_that_pass() -> None:
    seconds = [100.0]
    now = steady(lambda: seconds[0])
    first = now()
    seconds[0] += 7
    assert now() - first == timedelta(seconds=7)


def test_ticks_are_sent_until_too_many_wait_and_carry_no_time_at_which_they_expire(beat: Ticks, redis_url: str) -> None:
    beat.setup_schedule()
    entry = beat.schedule["sweep"]
    with redis.Redis.from_url(redis_url) as client:
        for _ in range(MOST_WAITING + 5):
            beat.apply_async(entry, advance=False)
        assert client.llen("dispatch") == MOST_WAITING
        assert b'"expires": null' in client.lindex("dispatch", 0)
        client.delete("dispatch")
        beat.apply_async(entry, advance=False)
        assert client.llen("dispatch") == 1


def test_it_goes_by_its_own_clock_whatever_the_machines_says(beat: Ticks) -> None:
    beat.setup_schedule()
    entry = beat.schedule["sweep"]
    assert entry.schedule.nowfun is not None
    assert entry.default_now() == pytest.approx(entry.schedule.nowfun(), abs=timedelta(seconds=1))


def test_redis_away_is_said_once_and_so_is_its_return(
    beat: Ticks, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat.setup_schedule()
    entry = beat.schedule["sweep"]
    caplog.set_level("INFO", "workers.ticks")
    with monkeypatch.context() as away:
        away.setattr(Scheduler, "apply_async", _refused)
        for _ in range(3):
            beat.apply_entry(entry)
    beat.apply_entry(entry)
    beat.apply_entry(entry)
    assert [record.message for record in caplog.records if record.name == "workers.ticks"] == [
        "Redis is away; no tick is sent",
        "ticks are sent again",
    ]


def _refused(*_: Any, **__: Any) -> None:
    try:
        raise OperationalError("refused")
    except OperationalError as error:
        raise SchedulingError("could not apply") from error


def test_a_bug_is_not_taken_for_redis(beat: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: Any, **__: Any) -> None:
        raise SchedulingError("could not apply") from ValueError("a bug")

    beat.setup_schedule()
    monkeypatch.setattr(Scheduler, "apply_async", bug)
    with pytest.raises(SchedulingError):
        beat.apply_async(beat.schedule["sweep"])
