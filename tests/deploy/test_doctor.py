"""The doctor: names what is broken and what to do, also when everything is."""

from __future__ import annotations

import io
import json
import shlex
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import redis
from sqlalchemy import insert

from deploy import probes
from deploy.check import Check
from deploy.doctor import doctor, examine
from deploy.embedded import redis_command, redis_server
from deploy.screen import Console
from shared import bus
from shared.database import open_engine, upgrade, writing
from shared.schema import caller_rests, pauses
from shared.settings import Settings, load


@pytest.fixture
def closed() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def redis_url(tmp_path: Path, closed: int) -> Iterator[str]:
    """The embedded Redis itself."""
    command = [*shlex.split(redis_command(redis_server(), closed, tmp_path)), "--loglevel", "notice"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert any("Ready to accept connections" in line for line in server.stdout)
        yield f"redis://127.0.0.1:{closed}/0"
        server.kill()


def settings(directory: Path, closed: int, **given: str) -> Settings:
    """Every service is away unless it is given."""
    away = {
        "REDIS_URL": f"redis://127.0.0.1:{closed}/0",
        "PHONE_URL": f"http://127.0.0.1:{closed}/dialog",
        "API_LISTEN": f"127.0.0.1:{closed}",
        "ASR_ENDPOINT": f"ws://127.0.0.1:{closed}/asr",
        "TTS_ENDPOINT": f"ws://127.0.0.1:{closed}/tts",
    }
    return load({f"WAIHU_{name}": value for name, value in {**away, **given}.items()}, directory)


def checks(house: Settings) -> dict[str, Check]:
    return {check.name: check for check in examine(house)}


def test_when_everything_is_down_everything_is_named_with_its_fix(tmp_path: Path, closed: int) -> None:
    found = checks(settings(tmp_path, closed))
    for name in ("database", "redis", "workers", "media", "api", "phone system", "speech recognition"):
        assert found[name].state == "fail", name
        assert found[name].fix, name
    assert found["stand-ins"].state == "fail"
    assert "WAIHU_ALLOW_STANDIN" in found["stand-ins"].fix


class PhoneThatSaysSo(socketserver.StreamRequestHandler):
    """Answers every request alike, without looking at it."""

    words = b""

    def handle(self) -> None:
        self.request.recv(1000)
        self.wfile.write(self.words)


@contextmanager
def listening(words: bytes) -> Iterator[str]:
    """The URL of somebody who says ``words`` to whoever asks."""
    handler = type("Saying", (PhoneThatSaysSo,), {"words": words})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/dialog"
        server.shutdown()


@pytest.mark.parametrize(
    ("words", "state", "said"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "ok", "/dialog"),
        (b"-ERR wrong number of arguments\r\n", "fail", "does not speak HTTP"),
        (b"", "fail", "does not speak HTTP"),
    ],
)
def test_a_port_that_is_open_is_not_a_phone_system_yet(
    tmp_path: Path, closed: int, words: bytes, state: str, said: str
) -> None:
    with listening(words) as url:
        found = checks(settings(tmp_path, closed, PHONE_URL=url))["phone system"]
    assert found.state == state
    assert said in found.detail
    assert bool(found.fix) is (state == "fail")


def test_who_never_answers_is_a_warning(tmp_path: Path, closed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "ASK_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as phone:
        url = f"http://127.0.0.1:{phone.getsockname()[1]}/dialog"
        found = checks(settings(tmp_path, closed, PHONE_URL=url))["phone system"]
    assert (found.state, "HEAD" in found.detail) == ("warn", True)


def test_what_works_is_told_too(tmp_path: Path, closed: int) -> None:
    with listening(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n") as url:
        house = settings(tmp_path, closed, PHONE_URL=url, CALL_WINDOW="09:00-12:00,14:00-20:00")
        house.state_dir.mkdir()
        upgrade(house.database_url)
        found = checks(house)
    for name in ("database", "queue", "phone system", "calling window", "disk", "language model"):
        assert found[name].state == "ok", found[name]


def test_a_redis_that_answers_tells_its_version(tmp_path: Path, closed: int, redis_url: str) -> None:
    found = checks(settings(tmp_path, closed, REDIS_URL=redis_url))
    assert found["redis"].state == "ok"
    assert "version" in found["redis"].detail
    assert found["workers"].state == "fail"


def test_clocks_that_are_wrong_are_told_of(tmp_path: Path, closed: int, redis_url: str) -> None:
    """The house goes by the database's; whoever runs it is to know."""
    hour = 3_600_000
    beat = {"capacity": 1, "sessions": 0, "phone_sessions": 0, "draining": False, "listen": "127.0.0.1:1"}
    with redis.Redis.from_url(redis_url) as client:
        now = bus.ms_of(client.time())
        client.set(bus.CLOCK_KEY, hour)
        client.set(f"{bus.SKEW_PREFIX}desk", -hour)
        client.hset(bus.MEDIA_KEY, "media-1", msgspec.json.encode(bus.Heartbeat(at=now, skew_ms=hour, **beat)))
    house = settings(tmp_path, closed, REDIS_URL=redis_url)
    house.state_dir.mkdir()
    upgrade(house.database_url)
    found = checks(house)
    assert found["clock"].state == "ok"
    for name, words in {
        "redis's clock": "Redis' host is 3600 s behind",
        "worker's clock": "worker desk is 3600 s behind",
        "media's clock": "media 127.0.0.1:1 is 3600 s ahead of",
    }.items():
        assert (found[name].state, words in found[name].detail) == ("warn", True), found[name]


@pytest.mark.parametrize(
    ("given", "name", "state"),
    [
        ({"CALL_WINDOW": "morning"}, "gates", "fail"),
        ({"CALL_WINDOW": ""}, "calling window", "warn"),
        ({"ASR_PROVIDER": "aliyun"}, "speech recognition", "fail"),
        ({"API_LISTEN": "0.0.0.0:8899"}, "API's address", "fail"),
        ({"ALLOW_STANDIN": "1"}, "stand-ins", "warn"),
        ({"LLM_ENDPOINT": "http://127.0.0.1:1/v1"}, "language model", "fail"),
    ],
)
def test_settings_that_would_go_wrong_are_named(
    tmp_path: Path, closed: int, given: dict[str, str], name: str, state: str
) -> None:
    assert checks(settings(tmp_path, closed, **given))[name].state == state


def test_who_waits_at_this_moment_is_told(tmp_path: Path, closed: int, redis_url: str) -> None:
    house = settings(tmp_path, closed, REDIS_URL=redis_url, ALLOW_STANDIN="1", CALLERS="0571000001;0571000002")
    house.state_dir.mkdir()
    upgrade(house.database_url)
    assert checks(house)["dial gate"] == Check("dial gate", "ok", "open")
    engine = open_engine(house.database_url)
    with writing(engine) as connection:
        connection.execute(insert(pauses), [{"ticket_type": name, "created_at": 0} for name in ("", "催收")])
        rest = {"caller": "0571000001", "until": 1 << 42, "reason": "answered 2%", "created_at": 0}
        connection.execute(insert(caller_rests).values(rest))
    engine.dispose()
    found = checks(house)
    assert found["dial gate"].state == "warn"
    assert "all calls are paused" in found["dial gate"].detail
    assert "催收" in found["pauses"].detail
    assert "answered 2%" in found["caller numbers"].detail
    assert "0571000001" not in found["caller numbers"].detail


def test_media_that_cannot_record_is_told(tmp_path: Path, closed: int, redis_url: str) -> None:
    house = settings(tmp_path, closed, REDIS_URL=redis_url)
    now = time.time_ns() // 1_000_000
    for process, recording in (("one", True), ("other", False)):
        beat = bus.Heartbeat(
            at=now, capacity=9, sessions=0, phone_sessions=0, draining=False, listen="127.0.0.1:1", recording=recording
        )
        with bus.open_redis(redis_url) as client:
            client.hset(bus.MEDIA_KEY, process, msgspec.json.encode(beat))
    found = checks(house)["media"]
    assert (found.state, found.detail) == ("fail", "1 of 2 cannot record: no new call is placed for them")


def test_media_that_cannot_speak_is_told(tmp_path: Path, closed: int, redis_url: str) -> None:
    house = settings(tmp_path, closed, REDIS_URL=redis_url)
    now = time.time_ns() // 1_000_000
    beat = bus.Heartbeat(
        at=now, capacity=9, sessions=0, phone_sessions=0, draining=False, listen="127.0.0.1:1", speech=False
    )
    with bus.open_redis(redis_url) as client:
        client.hset(bus.MEDIA_KEY, "one", msgspec.json.encode(beat))
    found = checks(house)["media"]
    assert (found.state, found.detail) == ("fail", "1 of 1 cannot speak or understand: no new call is placed for them")


def test_a_recordings_directory_that_cannot_be_written_is_named(tmp_path: Path, closed: int) -> None:
    (tmp_path / "file").write_text("in the way")
    found = checks(settings(tmp_path, closed, RECORDINGS_DIR=str(tmp_path / "file")))
    assert found["recordings"].state == "fail"


def test_programs_read_json_and_the_exit_code_tells(tmp_path: Path, closed: int) -> None:
    stream = io.StringIO()
    assert doctor(Console(file=stream), settings(tmp_path, closed), as_json=True) == 1
    document = json.loads(stream.getvalue())
    assert document["ok"] is False
    assert {"name", "state", "detail", "fix"} == set(document["checks"][0])


def test_piped_it_is_one_line_a_check_and_holds_no_secret(tmp_path: Path, closed: int) -> None:
    stream = io.StringIO()
    house = settings(tmp_path, closed, DATABASE_URL="postgresql://waihu:hunter2@127.0.0.1:1/waihu")
    doctor(Console(file=stream), house)
    lines = stream.getvalue().splitlines()
    assert all(line.split("\t")[0] in ("ok", "warn", "fail") for line in lines)
    assert "hunter2" not in stream.getvalue()


def test_a_mistake_in_a_playbook_is_told_with_its_line_before_media_meets_it(tmp_path: Path, closed: int) -> None:
    path = tmp_path / "good.md"
    steps = 'start: a\nsteps: {a: {say: "再见。", end: true}}'
    path.write_text(f"---\ndefault: true\nkind: scripted\ngreeting: 您好\n{steps}\n---\n", encoding="utf-8")
    house = settings(tmp_path, closed, PLAYBOOKS_DIR=str(tmp_path))
    assert checks(house)["playbooks"] == Check("playbooks", "ok", f"1 in {tmp_path}")
    path.write_text(path.read_text().replace("start: a", "turns: {default: 1500ms}\nstart: a"), encoding="utf-8")
    found = checks(house)["playbooks"]
    assert (found.state, found.fix != "") == ("fail", True)
    assert found.detail.startswith(f"{path}:5: turns: expected complete <= default <= cap")
