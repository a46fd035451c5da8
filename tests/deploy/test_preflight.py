"""What ``waihu up`` refuses before it starts anything."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.cli import main
from deploy.preflight import StartRefused, require_startable
from shared.settings import Settings, load

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"


@pytest.fixture
def closed() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def settings(directory: Path, **given: str) -> Settings:
    house = {"PLAYBOOKS_DIR": str(PLAYBOOKS), **given}
    return load({f"WAIHU_{name}": value for name, value in house.items()}, directory)


def refusal(house: Settings) -> str:
    with pytest.raises(StartRefused) as raised:
        require_startable(house)
    return str(raised.value)


def test_without_settings_nothing_is_refused(tmp_path: Path) -> None:
    require_startable(settings(tmp_path))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"DATABASE_URL": "postgresql://waihu:hunter2@127.0.0.1:1/waihu"},
            "correct host and port in WAIHU_DATABASE_URL",
        ),
        ({"DATABASE_URL": "sqlite:////nonexistent/dir/x.db"}, "the directory /nonexistent/dir does not exist"),
        ({"REDIS_URL": "redis://:hunter2@127.0.0.1:1/0"}, "WAIHU_REDIS_URL: Redis does not answer"),
        ({"API_LISTEN": "192.0.2.1:8899"}, "WAIHU_API_LISTEN: 192.0.2.1 is no address of this machine"),
        ({"API_LISTEN": "0.0.0.0:8899"}, "set WAIHU_API_KEYS and WAIHU_PHONE_SECRET first"),
        ({"MEDIA_LISTEN": "no.such.host.invalid:8080"}, "WAIHU_MEDIA_LISTEN: listening on no.such.host.invalid"),
        ({"PLAYBOOKS_DIR": "/nonexistent"}, "expected at least one playbook (*.md); set WAIHU_PLAYBOOKS_DIR"),
        ({"RECORDINGS_DIR": "/proc/nothing"}, "WAIHU_RECORDINGS_DIR: /proc/nothing cannot be written"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(tmp_path: Path, given: dict[str, str], said: str) -> None:
    keys = {"API_KEYS": "k", "PHONE_SECRET": "s"} if given.get("API_LISTEN") == "192.0.2.1:8899" else {}
    line = refusal(settings(tmp_path, **given, **keys))
    assert said in line
    assert "hunter2" not in line
    assert len(line.splitlines()) == 1


def test_all_that_is_wrong_is_named_at_once(tmp_path: Path, closed: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = refusal(settings(tmp_path, API_LISTEN=f"127.0.0.1:{port}", REDIS_URL=f"redis://127.0.0.1:{closed}/0"))
    assert f"WAIHU_API_LISTEN: port {port} is in use" in told
    assert "WAIHU_REDIS_URL" in told


def test_who_is_left_out_needs_no_address(tmp_path: Path) -> None:
    require_startable(settings(tmp_path, FLOWER_LISTEN="0.0.0.0:5555"), frozenset({"flower"}))


RAIN = Path(__file__).parents[2] / "docs" / "examples" / "scenarios" / "rough-weather.yaml"


def test_a_scenario_is_for_simulated_people_alone(tmp_path: Path) -> None:
    require_startable(settings(tmp_path), scenario=RAIN)
    with pytest.raises(StartRefused, match="calls real phones; leave it out, or unset WAIHU_PHONE_URL"):
        require_startable(settings(tmp_path, PHONE_URL="http://127.0.0.1:9/dialog"), scenario=RAIN)


@pytest.mark.parametrize(
    ("text", "said"),
    [("phone: [", "expected YAML"), ("weather: rough", "got weather"), ("faults: {share: much}", "$.share")],
)
def test_a_wrong_scenario_is_one_line_that_names_the_file(tmp_path: Path, text: str, said: str) -> None:
    scenario = tmp_path / "mine.yaml"
    scenario.write_text(text)
    with pytest.raises(StartRefused) as raised:
        require_startable(settings(tmp_path), scenario=scenario)
    assert str(raised.value).startswith(f"--scenario: {scenario}: ")
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "arguments", "said"),
    [
        ({"WAIHU_STATE_DIR": "/proc/nothing"}, (), "WAIHU_STATE_DIR"),
        ({"WAIHU_REDIS_URL": "redis://127.0.0.1:1/0"}, (), "WAIHU_REDIS_URL"),
        ({}, ("--without", "nonsense"), "expected any of web"),
        ({"WAIHU_PHONE_URL": "http://127.0.0.1:9/dialog"}, ("--scenario", str(RAIN)), "leave it out"),
    ],
)
def test_up_ends_before_anything_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(main, ["up", *arguments])
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit)
    assert said in result.output
    assert not (tmp_path / "var" / "waihu.db").exists()
