"""Whether each process can do its work, asked the way its users would ask. Every question returns within seconds."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import redis
from kombu.exceptions import OperationalError

from deploy.embedded import reachable
from deploy.plan import Plan
from shared import bus, doorbell
from shared.settings import Settings

ASK_SECONDS = 3.0
"""Longest wait for one answer; who is not ready is asked again."""
PING_SECONDS = 1.0

Question = Callable[[Plan], str]
"""Returns what is still missing, "" if nothing is."""


def redis_answers(plan: Plan) -> str:
    client = bus.open_redis(plan.settings.redis_url)
    try:
        client.ping()
    except redis.RedisError as error:
        return f"Redis does not answer: {type(error).__name__}"
    finally:
        client.close()
    return ""


def sandbox_answers(plan: Plan) -> str:
    return _http(f"{plan.sandbox_url}/np/sandbox/people")


def api_is_ready(plan: Plan) -> str:
    return _http(f"http://{reachable(plan.settings.api_listen)}/readyz")


def media_beats(plan: Plan) -> str:
    """A media process shows its heartbeat, fresh and with room."""
    try:
        beats = heartbeats(plan.settings)
    except redis.RedisError as error:
        return f"Redis does not answer: {type(error).__name__}"
    return "" if any(not beat.draining for beat in beats) else "no heartbeat yet"


def workers_answer(plan: Plan) -> str:
    return "" if ping_workers(plan.settings) else "no worker answers yet"


def flower_answers(plan: Plan) -> str:
    return _http(f"http://{reachable(plan.settings.flower_listen)}/healthcheck")


QUESTIONS: dict[str, Question] = {
    "redis": redis_answers,
    "sandbox": sandbox_answers,
    "web": api_is_ready,
    "media": media_beats,
    "worker": workers_answer,
    "flower": flower_answers,
}
"""By the service's name; what is not here counts as ready once it runs."""


def heartbeats(settings: Settings) -> list[bus.Heartbeat]:
    """Of the media processes that have been heard lately. Raises redis.RedisError."""
    client = bus.open_redis(settings.redis_url)
    try:
        return bus.heartbeats(client)
    finally:
        client.close()


def ping_workers(settings: Settings) -> list[str]:
    """The names of the Celery workers that answer; none if the broker is away."""
    app = doorbell.open_sender(settings.redis_url)
    try:
        return [name for reply in app.control.ping(timeout=PING_SECONDS) or () for name in reply]
    except (OperationalError, OSError, redis.RedisError):  # the last: a pooled connection that Redis has closed
        return []
    finally:
        app.close()


def _http(url: str) -> str:
    try:
        response = httpx2.get(url, timeout=ASK_SECONDS, trust_env=False)
    except httpx2.HTTPError as error:
        return f"no answer: {type(error).__name__}"
    return "" if response.status_code == 200 else f"HTTP {response.status_code}: {response.text[:200]}"
