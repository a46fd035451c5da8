"""A house of small processes: started in order, kept, and ended in order."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from pathlib import Path

import pytest

from deploy import child, readiness, supervisor
from deploy.plan import Plan, Service
from deploy.supervisor import House, StartFailed
from shared.settings import load
from tests.deploy.outputs import Remembered

SAYS_WHEN = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("ends", flush=True), sys.exit()))
print("begins", flush=True)
time.sleep(600)
"""


def service(name: str, code: str = SAYS_WHEN) -> Service:
    return Service(name, shlex.join([sys.executable, "-u", "-c", code]))


def plan_of(directory: Path, *services: Service) -> Plan:
    return Plan(load({}, directory), os.environ, directory, services, (), "")


@pytest.fixture(autouse=True)
def _nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """These processes are no Redis and no API; they are ready once they run."""
    for name in list(readiness.QUESTIONS):
        monkeypatch.delitem(readiness.QUESTIONS, name)


def test_redis_comes_first_then_the_schema_then_the_others_and_all_end_in_order(tmp_path: Path) -> None:
    names = ("redis", "sandbox", "web", "worker", "beat", "media", "flower")

    async def scenario() -> list[str]:
        output = Remembered()
        drawn = plan_of(tmp_path, *map(service, names))
        async with House(drawn, output, migrate=lambda url: output.lines.append(f"migrated {url}")) as house:
            await output.heard("begins", times=len(names))
            assert set(house.children) == set(names)
        return output.lines

    lines = asyncio.run(scenario())
    migrated = lines.index(f"migrated sqlite:///{tmp_path / 'var' / 'waihu.db'}")
    assert lines.index("waihu: redis is ready") < migrated
    assert all(migrated < place for place, line in enumerate(lines) if " is ready" in line and "redis" not in line)
    ended = [line.partition(":")[0] for line in lines if line.endswith(": ends")]
    assert set(ended[:3]) == {"beat", "flower", "worker"}
    assert ended[3:] == ["media", "web", "sandbox", "redis"]


def test_it_waits_until_each_can_do_its_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "ASK_AGAIN", 0.01)
    asked: list[int] = []

    def third_time(_plan: Plan) -> str:
        asked.append(1)
        return "" if len(asked) == 3 else "not yet"

    monkeypatch.setitem(readiness.QUESTIONS, "web", third_time)

    async def scenario() -> list[str]:
        output = Remembered()
        async with House(plan_of(tmp_path, service("web"), service("media")), output, migrate=lambda _: None):
            return list(output.lines)

    lines = asyncio.run(scenario())
    assert len(asked) == 3
    assert "waihu: web is ready" in lines
    assert "waihu: media is ready, waiting for web" in lines


def test_one_that_dies_again_and_again_fails_the_start_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "FIRST_PAUSE", 0.01)
    monkeypatch.setitem(readiness.QUESTIONS, "media", lambda _plan: "not yet")

    async def scenario() -> None:
        output = Remembered()
        broken = service("media", "raise SystemExit('no such port')")
        with pytest.raises(StartFailed, match=r"media died \d+ times(.|\n)*no such port"):
            async with House(plan_of(tmp_path, service("web"), broken), output, migrate=lambda _: None):
                pytest.fail("a house with a broken process came up")
        assert "web: ends" in output.lines or not output.count("web: begins")

    asyncio.run(scenario())


def test_one_that_never_gets_ready_fails_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "READY_WITHIN", 0.5)
    monkeypatch.setitem(readiness.QUESTIONS, "web", lambda _plan: "not yet")

    async def scenario() -> None:
        house = House(plan_of(tmp_path, service("web")), Remembered(), migrate=lambda _: None)
        with pytest.raises(StartFailed, match="web was not ready"):
            await house.start()
        await house.stop()

    asyncio.run(scenario())


def test_a_hurried_house_ends_at_once(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('begins', flush=True); time.sleep(600)"

    async def scenario() -> None:
        output = Remembered()
        house = House(plan_of(tmp_path, service("web", deaf), service("media", deaf)), output, migrate=lambda _: None)
        await house.start()
        await output.heard("begins", times=2)
        stopping = asyncio.create_task(house.stop())
        await asyncio.sleep(0)
        house.hurry()
        async with asyncio.timeout(supervisor.GRACE - 1):
            await stopping
        assert house.children == {}

    asyncio.run(scenario())


def test_real_customers_are_given_the_time_to_finish(tmp_path: Path) -> None:
    real = load({"WAIHU_PHONE_URL": "http://pbx/dialog", "WAIHU_DRAIN_TIMEOUT": "5m"}, tmp_path)
    simulated = load({}, tmp_path)
    graces = [
        House(Plan(settings, {}, tmp_path, (), (), ""), Remembered())._grace("media") for settings in (real, simulated)
    ]
    assert graces == [300 + supervisor.TALK, supervisor.TALK]


def test_a_busy_machine_is_given_the_time_to_end_what_is_under_way(tmp_path: Path) -> None:
    house = House(Plan(load({}, tmp_path), {}, tmp_path, (), (), ""), Remembered())
    longest = 30.0  # gunicorn's own wait for a request that is being answered
    assert all(house._grace(name) >= longest for name in ("web", "worker", "beat", "flower", "redis", "sandbox"))


def test_the_time_that_is_set_is_given_to_the_sandbox_too(tmp_path: Path) -> None:
    settings = load({"WAIHU_DRAIN_TIMEOUT": "20s"}, tmp_path)
    house = House(Plan(settings, {}, tmp_path, (), (), ""), Remembered())
    assert house._grace("media") == 20 + supervisor.TALK


@pytest.mark.parametrize(
    ("live", "told"), [(0, False), (1, "waihu: 1 call is live; waiting up to 8 s"), (3, "waihu: 3 calls are live")]
)
def test_whoever_stops_it_is_told_of_live_calls(tmp_path: Path, live: int, told: str | bool) -> None:
    async def scenario() -> list[str]:
        output = Remembered()
        drawn = plan_of(tmp_path, service("media"))
        async with House(drawn, output, migrate=lambda _: None, count_live=lambda _: live):
            await output.heard("begins")
        return output.lines

    lines = asyncio.run(scenario())
    assert any(line.startswith(str(told)) for line in lines) == bool(told)
    assert "media: ends" in lines


PARTS_IN_TWO_STEPS = """
import signal, sys, time
told = []
def end(*_):
    told.append(1)
    print("told", len(told), flush=True)
    if len(told) == 2: sys.exit()
signal.signal(signal.SIGTERM, end)
print("begins", flush=True)
while True: time.sleep(600)
"""


def test_media_is_told_again_before_it_is_killed_so_that_it_hangs_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "TALK", 0.5)

    async def scenario() -> list[str]:
        output = Remembered()
        house = House(plan_of(tmp_path, service("media", PARTS_IN_TWO_STEPS)), output, migrate=lambda _: None)
        async with house:
            await output.heard("begins")
        return output.lines

    lines = asyncio.run(scenario())
    assert "media: told 2" in lines
    assert not any("is killed" in line for line in lines)
