"""The ``waihu`` command in a directory of its own, and a running API for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import make_server

from api.app import create_app
from deploy.cli import main
from shared.database import upgrade
from shared.settings import load
from tests.api.servers import serving

Waihu = Callable[..., Result]


class SilentBell:
    """A doorbell that nobody hears: no broker is there."""

    def ring(self, name: str, *args: object) -> bool:
        return False


@pytest.fixture
def waihu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Waihu:
    """Runs the command in a directory and with settings of its own."""
    for name in [name for name in os.environ if name.startswith("WAIHU_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return lambda *args, **options: CliRunner().invoke(main, list(args), **options)


@pytest.fixture
def api(tmp_path: Path, waihu: Waihu, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The API itself, on a database of its own; the command finds it by its settings."""
    settings = load({"WAIHU_API_KEYS": "the-key"}, tmp_path)
    settings.state_dir.mkdir()
    upgrade(settings.database_url)
    app = create_app(settings, doorbell=SilentBell())
    with serving(make_server("127.0.0.1", 0, app, threaded=True)) as port:
        monkeypatch.setenv("WAIHU_API_LISTEN", f"127.0.0.1:{port}")
        monkeypatch.setenv("WAIHU_API_KEYS", "the-key")
        yield
