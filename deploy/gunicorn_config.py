"""How gunicorn serves the API: ``gunicorn --config python:deploy.gunicorn_config 'api.app:create_app()'``.

Where to listen comes from the settings; the number of processes from ``WEB_CONCURRENCY``, which gunicorn knows itself.
"""

from __future__ import annotations

import os
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from shared import logs
from shared.leaving import leave_quickly
from shared.settings import load, require_safe_listen

_settings = load()
require_safe_listen(_settings, _settings.api_listen)
leave_quickly()  # the master, and its workers, which are copies of it


class RootLogger(Logger):  # type: ignore[misc]
    """gunicorn's logger, without handlers of its own: its lines go where ours go. Requests are not logged one by one."""

    def setup(self, cfg: Any) -> None:
        logs.configure(_settings, "web")
        self.error_log.setLevel(_settings.log_level)


_host, _port = _settings.api_listen
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "deploy.patient_worker.PatientWorker"
threads = 16
"""They wait for the database most of the time."""
timeout = 60
"""Above the longest request: 10,000 tickets on a busy SQLite; a process that says nothing for so long is replaced."""
graceful_timeout = 30
keepalive = 5
max_requests = 0
logger_class = RootLogger
accesslog = None
control_socket_disable = True
