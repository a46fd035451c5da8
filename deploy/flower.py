"""Flower, from whatever directory it is started: ``python -m deploy.flower``. How it is served: ``deploy.flower_config``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from workers.app import app

CONFIG = Path(__file__).with_name("flower_config.py")


def arguments(more: Sequence[str]) -> list[str]:
    """What ``celery`` is told. Flower takes its configuration from a file only, by its path."""
    return ["flower", f"--conf={CONFIG}", *more]


if __name__ == "__main__":
    app.start(arguments(sys.argv[1:]))
