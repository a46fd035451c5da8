"""What a local house consists of, for given settings."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from deploy import embedded, plan
from deploy.ports import PortTaken
from shared.settings import load

PHONE = {"WAIHU_PHONE_URL": "http://127.0.0.1:9/dialog"}
SPEECH = {"WAIHU_ASR_PROVIDER": "aliyun", "WAIHU_TTS_PROVIDER": "aliyun"}


def names(drawn: plan.Plan) -> list[str]:
    return [service.name for service in drawn.services]


def prepare(directory: Path) -> Path:
    (directory / "var").mkdir()
    return directory


def test_without_settings_redis_and_the_sandbox_are_embedded(tmp_path: Path) -> None:
    drawn = plan.draw({}, prepare(tmp_path))
    assert names(drawn) == ["redis", "sandbox", "web", "worker", "beat", "media", "flower"]
    assert drawn.settings == load({}, tmp_path)
    assert drawn.settings.phone_url == f"{drawn.sandbox_url}/np/sandbox/dialog"
    assert drawn.settings.sources["redis_url"] == "embedded"


def test_with_real_services_only_the_procfile_runs(tmp_path: Path) -> None:
    drawn = plan.draw({**PHONE, **SPEECH, "WAIHU_REDIS_URL": "redis://127.0.0.1:9/0"}, prepare(tmp_path))
    assert names(drawn) == ["web", "worker", "beat", "media", "flower"]
    assert (drawn.sandbox_url, drawn.settings.standins) == ("", ())


def test_a_real_phone_system_keeps_its_url_while_the_sandbox_gives_the_voices(tmp_path: Path) -> None:
    drawn = plan.draw(PHONE, prepare(tmp_path))
    assert "sandbox" in names(drawn)
    assert drawn.settings.phone_url == PHONE["WAIHU_PHONE_URL"]
    assert drawn.settings.asr_endpoint.startswith("ws://127.0.0.1:")


def test_the_language_model_is_played_only_on_demand(tmp_path: Path) -> None:
    assert plan.draw({}, prepare(tmp_path)).settings.llm_endpoint == ""
    drawn = plan.draw({}, tmp_path, stand_in_llm=True)
    assert drawn.settings.llm_endpoint.endswith("/v1")
    assert "llm" in drawn.settings.standins


def test_a_documented_port_that_is_taken_is_replaced_and_that_is_said(tmp_path: Path) -> None:
    taken = []
    try:
        for port in (8899, 16379):
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
                listener.listen()
            except OSError:
                pass  # taken by somebody else, which serves as well
            taken.append(listener)
        drawn = plan.draw({}, prepare(tmp_path))
    finally:
        for listener in taken:
            listener.close()
    port = drawn.settings.api_listen[1]
    assert port != 8899
    assert drawn.settings.public_url == f"http://127.0.0.1:{port}"
    assert f"port 8899 is taken: the API is on {port}" in drawn.notes
    assert any(note.startswith("port 16379 is taken: Redis is on") for note in drawn.notes)


def test_a_port_that_a_setting_demands_is_not_replaced(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=r"WAIHU_API_LISTEN: port .* is in use"):
            plan.draw({"WAIHU_API_LISTEN": f"127.0.0.1:{port}"}, prepare(tmp_path))


def test_a_command_in_another_terminal_finds_addresses_that_were_set_for_the_house_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    drawn = plan.draw({"WAIHU_API_LISTEN": f"127.0.0.1:{port}"}, prepare(tmp_path))
    elsewhere = load({}, tmp_path)
    for name in ("api_listen", "media_listen", "flower_listen", "public_url"):
        assert getattr(elsewhere, name) == getattr(drawn.settings, name)
    assert elsewhere.api_listen == ("127.0.0.1", port)
    assert load({"WAIHU_API_LISTEN": "127.0.0.1:9"}, tmp_path).api_listen == ("127.0.0.1", 9)


def test_processes_find_each_other_and_their_own_python(tmp_path: Path) -> None:
    drawn = plan.draw({"PATH": "/usr/bin"}, prepare(tmp_path), without=frozenset({"flower"}))
    assert "flower" not in names(drawn)
    assert drawn.environment["WAIHU_STATE_DIR"] == str(tmp_path / "var")
    assert drawn.environment["PATH"].endswith(":/usr/bin")
    assert drawn.environment["PYTHONWARNINGS"].startswith("ignore:You're running the worker")
    assert (Path(drawn.environment["PATH"].split(":")[0]) / "celery").exists()
    written = json.loads((tmp_path / "var" / "endpoints.json").read_text())
    assert len({address.rpartition(":")[2] for name, address in written.items() if name.endswith("listen")}) == 3


def test_the_phone_secret_reaches_the_sandbox_by_environment_and_not_by_argument(tmp_path: Path) -> None:
    drawn = plan.draw({"WAIHU_PHONE_SECRET": "hunter2"}, prepare(tmp_path))
    sandbox = next(service for service in drawn.services if service.name == "sandbox")
    assert sandbox.environment == {"SANDBOX_SECRET": "hunter2"}
    assert "hunter2" not in sandbox.command


def test_the_embedded_redis_keeps_nothing_and_listens_on_loopback(tmp_path: Path) -> None:
    command = embedded.redis_command(Path("/bin/redis-server"), 16379, tmp_path)
    assert "--bind 127.0.0.1" in command
    assert "--save ''" in command
    assert "--appendonly no" in command


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        (("0.0.0.0", 80), "127.0.0.1:80"),
        (("::", 80), "[::1]:80"),
        (("::1", 80), "[::1]:80"),
        (("10.0.0.5", 80), "10.0.0.5:80"),
    ],
)
def test_what_listens_everywhere_is_reached_on_loopback(listen: tuple[str, int], address: str) -> None:
    assert embedded.reachable(listen) == address
