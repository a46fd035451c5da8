"""Whether this process lives (``/healthz``) and whether the house can work (``/readyz``)."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any
from urllib.parse import urlsplit

import redis
from flask import Response
from sqlalchemy.exc import SQLAlchemyError

from api import house_documents
from api.envelope import answer
from api.house import House, house
from api.routes import Route
from shared import dial_gate
from shared.bus import open_redis
from shared.clock import skew_problem
from shared.database import reading, require_current
from shared.dial_gate import DialGate
from shared.errors import DatabaseUnavailable
from shared.moments import iso
from shared.recordings import filesystem_id
from shared.settings import Settings

PROBE_SECONDS = 2.0
"""A part that does not answer within this is not ready; whoever asks gets an answer all the same."""
PROBE_THREADS = 8
"""Two rounds of probes may hang at once; a third waits for them, and says "no answer" meanwhile."""
CONNECT_SECONDS = 1.0

_probes = ThreadPoolExecutor(PROBE_THREADS, thread_name_prefix="probe")


def healthz() -> Response:
    """The process answers."""
    return answer({"status": "ok"})


def readyz() -> Response:
    """503 if the database or the broker is down; stand-ins, a phone system that is away and a clock that is wrong are
    named, and no more."""
    at = house()
    gate = _probes.submit(look_at_gate, at)
    checks = run_checks(at)
    checks["clock"] = _check(skew_problem(at.clock.skew_ms()))
    ready = checks["database"]["ok"] and checks["broker"]["ok"]
    document = {
        "status": "ready" if ready else "unready",
        "checks": checks,
        "recordings": _filesystem(at.settings),
        "standins": at.settings.standins,
        "dial_gate": _gate(at, gate),
    }
    return answer(document, 200 if ready else 503)


def run_checks(at: House) -> dict[str, dict[str, Any]]:
    """Asks database, broker and phone system at the same time: for each, ``ok`` and, if not, what to do."""
    probes: dict[str, Callable[[], None]] = {
        "database": lambda: require_current(at.engine),
        "broker": lambda: _reach_broker(at.settings.redis_url),
        "phone": lambda: _reach_phone(at.settings.phone_url),
    }
    running = {name: _probes.submit(probe) for name, probe in probes.items()}
    outcomes = {name: _outcome(future) for name, future in running.items()}
    return {name: _check(problem) for name, problem in outcomes.items()}


def _check(problem: str | None) -> dict[str, Any]:
    return {"ok": False, "problem": problem} if problem else {"ok": True}


def _outcome(future: Future[Any]) -> str | None:
    """What is wrong; None if nothing is."""
    try:
        future.result(timeout=PROBE_SECONDS)
    except FutureTimeoutError:
        future.cancel()
        return f"no answer within {PROBE_SECONDS:g} s"
    except DatabaseUnavailable as error:
        return str(error)
    except (SQLAlchemyError, redis.RedisError, OSError) as error:
        return f"cannot be reached ({type(error).__name__})"
    return None


def _reach_broker(url: str) -> None:
    client = open_redis(url)
    try:
        client.ping()
    finally:
        client.close()


def _reach_phone(url: str) -> None:
    """Opens a TCP connection and closes it: the dialog API has no request that is free of effects."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    socket.create_connection((parts.hostname or "", port), timeout=CONNECT_SECONDS).close()


def _filesystem(settings: Settings) -> str | None:
    """Which recordings directory this process sees, for ``waihu doctor``; null if none."""
    try:
        return filesystem_id(settings.recordings_dir)
    except OSError:
        return None


def _gate(at: House, looking: Future[DialGate]) -> dict[str, Any]:
    """Whether anybody is called now and, if not, why; and who has to wait all the same."""
    problem = _outcome(looking)
    if problem is not None:
        waits = [*dial_gate.broken(at.settings), f"nothing is dialled without database and Redis: {problem}"]
        return {"open": False, "problem": "; ".join(waits)}
    gate = looking.result()
    document: dict[str, Any] = {"open": gate.open}
    if not gate.open:
        document["problem"] = "; ".join(gate.shut)
    return document | {
        "breaker": gate.breaker.standing,
        "paused": list(gate.paused),
        "resting": [
            {"caller": rest.caller, "until": iso(rest.until, at.settings.timezone), "reason": rest.reason}
            for rest in gate.resting
        ],
    }


def look_at_gate(at: House) -> DialGate:
    """Raises what SQLAlchemy and redis raise when one of them is away."""
    client = open_redis(at.settings.redis_url)
    try:
        with reading(at.engine) as connection:
            return dial_gate.look(connection, client, at.settings, at.clock.now_ms())
    finally:
        client.close()


ROUTES = (
    Route("/healthz", "GET", healthz, house_documents.HEALTH),
    Route("/readyz", "GET", readyz, house_documents.READY),
)
