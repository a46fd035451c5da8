"""Call statistics over a range; tests/integration has the same on PostgreSQL."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient

NOON = 1_767_585_600_000  # 2026-01-05 12:00:00 in Shanghai
PATH = "/api/v1/stats/calls"
DAY = "from=2026-01-05 00:00:00&to=2026-01-05 23:59:59"


@pytest.fixture
def day(add_task: Any, add_call: Any) -> None:
    """Two tasks: one answered at the second attempt, one refused; and calls that do not count."""
    first = add_task(ticket_no="A", ticket_type="回访", state="completed")
    second = add_task(ticket_no="B", ticket_type="通知", state="failed")
    add_call(batch_id=first, created_at=NOON, caller="0571")
    add_call(batch_id=first, created_at=NOON + 3_600_000, caller="0571", answered_at=NOON + 3_610_000, time_len=5)
    add_call(batch_id=second, created_at=NOON + 1, caller="0572", state="refused")
    add_call(batch_id=second, created_at=NOON, state="unplaced", number="1")
    add_call(batch_id=second, created_at=NOON, state="ringing", ended_at=None, number="2")
    add_call(batch_id=second, created_at=NOON, call_type="03", number="3")
    add_call(batch_id=second, created_at=NOON - 86_400_000, number="4")


def test_ratios_of_a_day(client: FlaskClient, day: None) -> None:
    document = client.get(f"{PATH}?{DAY}").json
    assert document["from"] == "2026-01-05T00:00:00.000+08:00"
    assert document["rows"] == []
    assert document["total"] == {
        "attempts": 3,
        "answered": 1,
        "refused": 1,
        "lost": 0,
        "shortCalls": 1,
        "answerSeizureRatio": 0.3333,
        "averageCallSeconds": 5.0,
        "tasksDialled": 2,
        "tasksConnected": 1,
        "connectRate": 0.5,
    }
    assert client.get(f"{PATH}?{DAY}&shortSeconds=5").json["total"]["shortCalls"] == 0


def test_groups(client: FlaskClient, day: None) -> None:
    def rows(groups: str) -> list[tuple[Any, ...]]:
        document = client.get(f"{PATH}?{DAY}&groupBy={groups}").json
        return [(*(row[name] for name in groups.split(",")), row["attempts"]) for row in document["rows"]]

    assert rows("hour") == [("2026-01-05T12:00:00.000+08:00", 2), ("2026-01-05T13:00:00.000+08:00", 1)]
    assert rows("caller") == [("0571", 2), ("0572", 1)]
    assert sorted(rows("ticketType,caller")) == [("回访", "0571", 2), ("通知", "0572", 1)]


def test_hours_begin_where_the_zones_do(make_app: Any, day: None) -> None:
    client = make_app(timezone=ZoneInfo("Asia/Kolkata")).test_client()
    hours = [row["hour"] for row in client.get(f"{PATH}?{DAY}&groupBy=hour").json["rows"]]
    assert hours == ["2026-01-05T09:00:00.000+05:30", "2026-01-05T10:00:00.000+05:30"]


def test_nothing_divides_by_nothing(client: FlaskClient) -> None:
    total = client.get(f"{PATH}?{DAY}&groupBy=hour").json["total"]
    assert (total["attempts"], total["answerSeizureRatio"], total["connectRate"]) == (0, None, None)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "from=2026-01-05 00:00:00",
        "from=2026-01-05&to=2026-01-06 00:00:00",
        "from=2026-01-05 00:00:00&to=2026-01-04 00:00:00",
        "from=2020-01-05 00:00:00&to=2026-01-04 00:00:00",
        f"{DAY}&groupBy=number",
        f"{DAY}&groupBy=hour,hour",
        f"{DAY}&shortSeconds=0",
    ],
)
def test_a_question_that_is_none_is_a_400(client: FlaskClient, query: str) -> None:
    assert client.get(f"{PATH}?{query}").status_code == 400


def test_a_grouping_that_is_none_is_shown(client: FlaskClient) -> None:
    assert "收到的是 'hour,hour'" in client.get(f"{PATH}?{DAY}&groupBy=hour,hour").json["detail"]


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_the_ends_of_the_calendar_are_shown_or_refused(make_app: Any, zone: str) -> None:
    client = make_app(timezone=ZoneInfo(zone)).test_client()
    first = client.get(f"{PATH}?from=0001-01-01 00:00:00&to=0001-01-02 00:00:00")
    assert (first.status_code, [item["field"] for item in first.json["errors"]]) == (400, ["from", "to"])
    last = client.get(f"{PATH}?from=9999-12-01 00:00:00&to=9999-12-31 23:59:59&groupBy=hour")
    assert (last.status_code, last.json["rows"]) == (200, [])
