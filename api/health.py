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
from shared.bus import open_redis
from shared.database import require_current
from shared.errors import DatabaseUnavailable
from shared.recordings import filesystem_id
from shared.settings import Settings

PROBE_SECONDS = 2.0
"""A part that does not answer within this is not ready; whoever asks gets an answer all the same."""
PROBE_THREADS = 6
"""Two rounds of probes may hang at once; a third waits for them, and says "no answer" meanwhile."""
CONNECT_SECONDS = 1.0

_probes = ThreadPoolExecutor(PROBE_THREADS, thread_name_prefix="probe")


def healthz() -> Response:
    """The process answers."""
    return answer({"status": "ok"})


def readyz() -> Response:
    """503 if the database or the broker is down; stand-ins and a phone system that is away are named, and no more."""
    at = house()
    checks = run_checks(at)
    ready = checks["database"]["ok"] and checks["broker"]["ok"]
    document = {
        "status": "ready" if ready else "unready",
        "checks": checks,
        "recordings": _filesystem(at.settings),
        "standins": at.settings.standins,
        "dial_gate": _gate(at.settings),
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
    return {name: _outcome(future) for name, future in running.items()}


def _outcome(future: Future[None]) -> dict[str, Any]:
    try:
        future.result(timeout=PROBE_SECONDS)
    except FutureTimeoutError:
        future.cancel()
        return {"ok": False, "problem": f"no answer within {PROBE_SECONDS:g} s"}
    except DatabaseUnavailable as error:
        return {"ok": False, "problem": str(error)}
    except (SQLAlchemyError, redis.RedisError, OSError) as error:
        return {"ok": False, "problem": f"cannot be reached ({type(error).__name__})"}
    return {"ok": True}


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


def _gate(settings: Settings) -> dict[str, Any]:
    if not settings.standins_forbidden:
        return {"open": True}
    names = ", ".join(settings.standins)
    return {"open": False, "problem": f"stand-ins beside real services: {names}; set them up, or WAIHU_ALLOW_STANDIN=1"}


ROUTES = (
    Route("/healthz", "GET", healthz, house_documents.HEALTH),
    Route("/readyz", "GET", readyz, house_documents.READY),
)
