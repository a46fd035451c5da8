"""Files for containers, systemd and dashboards: they name what exists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from deploy import gunicorn_config, procfile
from deploy.cli import main
from shared.settings import PREFIX, load, names
from shared.values import duration

DEPLOY = Path(__file__).parents[2] / "deploy"
SETTINGS = {PREFIX + name.upper() for name in names()}


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "container" / "compose.yaml").read_text())
    return document


def test_the_containers_run_every_line_of_the_procfile() -> None:
    services = compose()["services"]
    run = [service["command"][1] for service in services.values() if service.get("command", [""])[0] == "run"]
    assert sorted(run) == sorted(procfile.read())
    assert services["schema"]["command"] == ["db", "upgrade"]


def test_containers_may_take_as_long_as_they_need_to_leave() -> None:
    """Docker's ten seconds are as long as one startcall may take."""
    services, settings = compose()["services"], load({}, DEPLOY)
    assert duration(services["worker"]["stop_grace_period"]) > settings.phone_timeout
    assert duration(services["web"]["stop_grace_period"]) > gunicorn_config.graceful_timeout
    assert duration(services["media"]["stop_grace_period"]) > settings.drain_timeout


@pytest.mark.parametrize("path", ["container/compose.yaml", "container/Dockerfile", "systemd/waihu@.service"])
def test_every_setting_that_is_named_exists(path: str) -> None:
    named = set(re.findall(r"WAIHU_[A-Z_]+", (DEPLOY / path).read_text()))
    assert named <= SETTINGS


def test_the_units_run_every_line_of_the_procfile() -> None:
    wanted = re.findall(r"waihu@(\w+)\.service", (DEPLOY / "systemd" / "waihu.target").read_text())
    assert sorted(wanted) == sorted(procfile.read())
    assert "waihu run %i" in (DEPLOY / "systemd" / "waihu@.service").read_text()


def test_a_process_that_is_not_in_the_procfile_is_refused_with_those_that_are() -> None:
    result = CliRunner().invoke(main, ["run", "wbe"])
    assert result.exit_code == 2
    assert "web, worker, beat, media, flower" in result.stderr


def test_the_dashboard_asks_for_metrics_that_are_served() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "waihu.json").read_text())
    asked = {name for panel in dashboard["panels"] for target in panel["targets"] for name in metric_names(target)}
    root = DEPLOY.parent
    served = (root / "api" / "metrics.py").read_text()
    media = (root / "media" / "gauges.py").read_text() + (root / "media" / "metrics.py").read_text()
    for name in asked:
        short = name.removeprefix("waihu_media_").removesuffix("_total").removesuffix("_seconds")
        assert f'"{name}"' in served or (name.startswith("waihu_media_") and f'"{short}' in media), name


def metric_names(target: dict[str, str]) -> set[str]:
    return set(re.findall(r"waihu_\w+", target["expr"]))


def test_every_setting_is_in_the_documents() -> None:
    root = DEPLOY.parent
    pages = [root / "README.md", *(root / "docs").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    named = set(re.findall(r"[A-Z][A-Z0-9_]+", text.replace("WAIHU_", " ")))
    assert [name for name in names() if name.upper() not in named] == []
