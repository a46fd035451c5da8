"""Single questions to one part of the house, for ``waihu doctor``. None raises; each returns within seconds."""

from __future__ import annotations

import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import httpx2
import redis
from kombu.exceptions import OperationalError

from deploy.readiness import ASK_SECONDS, PING_SECONDS
from shared import doorbell
from shared.settings import Settings

FILESYSTEM_PROBE = "waihu_filesystem"
"""The workers' remote-control command that tells which recordings directory they see (workers/app.py)."""
_TLS = ("https", "wss")


def reach(url: str) -> str:
    """Why no connection to a URL's host can be made, "" if one can; with TLS where the URL has it. Sends nothing."""
    parts = urlsplit(url)
    tls = parts.scheme in _TLS
    host, port = parts.hostname or "", parts.port or (443 if tls else 80)
    try:
        with socket.create_connection((host, port), timeout=ASK_SECONDS) as connection:
            if tls:
                ssl.create_default_context().wrap_socket(connection, server_hostname=host).close()
    except OSError as error:
        return f"{type(error).__name__}: {error.strerror or error}"
    return ""


def speaks_http(url: str) -> bool | None:
    """Whether who is reached at a URL answers HTTP, whatever it answers; None if no answer came in time.

    Asked with HEAD, which by HTTP's own rules has no effect anywhere.
    """
    try:
        httpx2.head(url, timeout=ASK_SECONDS, trust_env=False)
    except httpx2.TimeoutException:
        return None
    except httpx2.HTTPError:
        return False
    return True


def get_json(url: str) -> tuple[int, Any]:
    """Status and document of a GET; 0 if nobody answers, and no document if it is not JSON."""
    try:
        response = httpx2.get(url, timeout=ASK_SECONDS, trust_env=False)
        return response.status_code, response.json()
    except httpx2.HTTPError:
        return 0, None
    except ValueError:
        return response.status_code, None


def problems(document: Any) -> str:
    """What a /readyz says is wrong, in one line."""
    checks = document.get("checks") if isinstance(document, dict) else None
    if not isinstance(checks, dict):
        return "it does not say why"
    return "; ".join(f"{name}: {check.get('problem')}" for name, check in checks.items() if not check.get("ok"))


def problem_of(document: Any, name: str) -> str:
    """What a /readyz says of one check, "" if it finds nothing wrong."""
    checks = document.get("checks") if isinstance(document, dict) else None
    check = checks.get(name) if isinstance(checks, dict) else None
    return str(check.get("problem", "")) if isinstance(check, dict) else ""


def api_filesystem(address: str) -> str:
    """The id of the recordings directory that the API sees; "" if it does not tell."""
    return _filesystem(f"http://{address}/readyz")


def media_filesystem(address: str) -> str:
    """As api_filesystem, of the media process that listens at HOST:PORT."""
    return _filesystem(f"http://{address}/readyz")


def worker_filesystems(settings: Settings) -> dict[str, str]:
    """Worker's name -> the id of the recordings directory that it sees; empty if none answers."""
    app = doorbell.open_sender(settings.redis_url)
    try:
        replies = app.control.broadcast(FILESYSTEM_PROBE, reply=True, timeout=PING_SECONDS) or []
        return {name: str(found.get("ok", "")) for reply in replies for name, found in reply.items()}
    except (OperationalError, OSError, redis.RedisError):  # the last: a pooled connection that Redis has closed
        return {}
    finally:
        app.close()


def _filesystem(url: str) -> str:
    _, document = get_json(url)
    found = document.get("recordings") if isinstance(document, dict) else None
    return found if isinstance(found, str) else ""
