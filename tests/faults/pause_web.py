"""``gunicorn --config python:deploy.gunicorn_config 'tests.faults.pause_web:create_app()'``: killed at one step."""

from __future__ import annotations

from api.app import create_app
from tests.faults.pause import prepare

__all__ = ["create_app"]
prepare("web")
