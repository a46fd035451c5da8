"""``/metrics`` for Prometheus: tasks and calls by state and the age of the oldest, from the database, so that every
process says the same. No numbers, no names."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import redis
from flask import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from api import house_documents
from api.census import Count, Group
from api.envelope import failure
from api.health import look_at_gate
from api.house import house
from api.routes import Route
from shared.breaker import Standing
from shared.dial_gate import DialGate
from shared.lifecycle import FINAL_TASKS, LIVE_CALLS

log = logging.getLogger(__name__)


def metrics() -> Response:
    """The counts in Prometheus' text format."""
    try:
        count = house().census.take()
    except SQLAlchemyError:
        return failure(503, "数据库不可用，无法统计", status=503)
    registry = CollectorRegistry()
    registry.register(_Counted(count))
    try:
        registry.register(_Gated(look_at_gate(house())))
    except (SQLAlchemyError, redis.RedisError) as error:
        log.warning("the dial gate is not measured", extra={"error": type(error).__name__})
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Counted(Collector):
    """Gauges of one count."""

    def __init__(self, count: Count) -> None:
        self._count = count

    def collect(self) -> Iterable[GaugeMetricFamily]:
        count = self._count
        open_tasks = {state: group for state, group in count.tasks.items() if state not in FINAL_TASKS}
        live_calls = {state: group for state, group in count.calls.items() if state in LIVE_CALLS}
        yield _counts("waihu_tasks", "Tasks by state.", count.tasks)
        yield self._ages("waihu_task_oldest_seconds", "How long the oldest task has been in its state.", open_tasks)
        yield _counts("waihu_calls", "Calls by state.", count.calls)
        yield self._ages(
            "waihu_call_oldest_seconds", "Age of the oldest call in a state, from its creation.", live_calls
        )
        waiting = count.waiting_events
        yield GaugeMetricFamily("waihu_phone_events_unapplied", "Phone events not applied yet.", value=waiting.count)
        yield GaugeMetricFamily(
            "waihu_phone_events_oldest_seconds", "Age of the oldest of them.", value=self._age(waiting)
        )
        yield _counts("waihu_webhooks", "Webhook deliveries that wait, and that were given up.", count.webhooks)
        yield self._ages("waihu_webhook_oldest_seconds", "From the end of the oldest one's task.", count.webhooks)

    def _ages(self, name: str, about: str, groups: Mapping[Any, Group]) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, about, labels=["state"])
        for state, group in groups.items():
            family.add_metric([state], self._age(group))
        return family

    def _age(self, group: Group) -> float:
        return 0.0 if group.oldest_at is None else max(0, self._count.at - group.oldest_at) / 1000


class _Gated(Collector):
    """Gauges of the dial gate."""

    def __init__(self, gate: DialGate) -> None:
        self._gate = gate

    def collect(self) -> Iterable[GaugeMetricFamily]:
        gate = self._gate
        yield GaugeMetricFamily("waihu_dial_gate_open", "1 if anybody may be called now.", value=int(gate.open))
        breaker = GaugeMetricFamily("waihu_breaker", "1 for how the phone system's breaker stands.", labels=["state"])
        for standing in Standing:
            breaker.add_metric([standing], int(standing is gate.breaker.standing))
        yield breaker
        yield GaugeMetricFamily("waihu_callers_resting", "Caller numbers that rest.", value=len(gate.resting))
        yield GaugeMetricFamily(
            "waihu_paused", "Ticket types that are paused; all of them count as one.", value=len(gate.paused)
        )


def _counts(name: str, about: str, groups: Mapping[Any, Group]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=["state"])
    for state, group in groups.items():
        family.add_metric([state], group.count)
    return family


ROUTES = (Route("/metrics", "GET", metrics, house_documents.METRICS),)
