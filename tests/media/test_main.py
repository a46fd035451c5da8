"""The process itself: it starts, says that it is ready, drains on SIGTERM, and leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2
import pytest

from media.main import drain, session_defaults
from media.registry import Heart
from shared.clock import FakeClock
from shared.settings import load
from tests.media.office import Office, answer, office

HOUSE = Path(__file__).parents[2]
PATIENCE = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(directory: Path, port: int) -> Mapping[str, str]:
    """Settings of a process that finds neither Redis nor a phone system."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WAIHU_")} | {
        "WAIHU_STATE_DIR": str(directory),
        "WAIHU_MEDIA_LISTEN": f"127.0.0.1:{port}",
        "WAIHU_REDIS_URL": "redis://127.0.0.1:1/0",
        "WAIHU_PHONE_URL": "http://127.0.0.1:1/dialog",
        "WAIHU_PLAYBOOKS_DIR": str(HOUSE / "playbooks"),
        "PYTHONPATH": str(HOUSE),
    }


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "media.main"], cwd=tmp_path, env=environment(tmp_path, port), stderr=log
        )
        yield running, port
        if running.poll() is None:
            running.kill()
        running.wait()


def page(port: int, path: str) -> httpx2.Response:
    """A page of the process, as soon as it is there."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}{path}", trust_env=False)
        except httpx2.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_it_is_ready_without_redis_and_leaves_when_told(process: tuple[subprocess.Popen[bytes], int]) -> None:
    running, port = process
    assert page(port, "/healthz").json()["status"] == "ok"
    ready = page(port, "/readyz")
    assert (ready.status_code, ready.json()["redis"], ready.json()["stand_ins"]) == (200, "away", ["asr", "tts"])
    assert "waihu_media_sessions{" in page(port, "/metrics").text
    running.send_signal(signal.SIGTERM)
    assert running.wait(PATIENCE) == 0


def test_two_processes_share_a_port(process: tuple[subprocess.Popen[bytes], int], tmp_path: Path) -> None:
    running, port = process
    page(port, "/healthz")
    with (tmp_path / "second.log").open("wb") as log:
        other = subprocess.Popen(
            [sys.executable, "-m", "media.main"], cwd=tmp_path, env=environment(tmp_path, port), stderr=log
        )
    try:
        seen: set[str] = set()
        deadline = time.monotonic() + PATIENCE
        while len(seen) < 2 and time.monotonic() < deadline:
            seen.add(page(port, "/healthz").json()["process"])
        assert len(seen) == 2
    finally:
        other.terminate()
        assert other.wait(PATIENCE) == 0
    assert running.poll() is None


def test_an_unsafe_address_is_refused_with_the_fix(tmp_path: Path) -> None:
    settings = {**environment(tmp_path, 1), "WAIHU_MEDIA_LISTEN": "0.0.0.0:8080"}
    done = subprocess.run(
        [sys.executable, "-m", "media.main"], cwd=tmp_path, env=settings, capture_output=True, timeout=PATIENCE
    )
    assert done.returncode == 2
    assert b"WAIHU_PHONE_SECRET" in done.stderr


def test_a_port_that_is_taken_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = environment(tmp_path, int(taken.getsockname()[1]))
        done = subprocess.run(
            [sys.executable, "-m", "media.main"], cwd=tmp_path, env=settings, capture_output=True, timeout=PATIENCE
        )
    assert done.returncode == 1
    assert b"media cannot start" in done.stderr


def in_drain(tmp_path: Path, *, timeout: float, second_signal: bool) -> tuple[str, bool]:
    """A call that lives while the process drains: why it ended, and whether the drain waited for its own end."""

    async def scenario(here: Office) -> tuple[str, bool]:
        here.know(1)
        stopping = asyncio.Event()
        heart = Heart(here.redis, here.registry, FakeClock(), "p", "x")
        async with here.dial() as phone:
            session = await answer(here, phone, 1)
            draining = asyncio.ensure_future(drain(here.registry, here.exchange, heart, stopping, timeout))
            await here.until(lambda: here.registry.draining)
            assert not session.over
            if second_signal:
                stopping.set()
            elif timeout > 1:
                session.end("done", "system")
            await draining
            return session.reason, here.registry.sessions == 0

    async def run() -> tuple[str, bool]:
        async with asyncio.timeout(PATIENCE), office(tmp_path) as here:
            return await scenario(here)

    return asyncio.run(run())


def test_a_drain_waits_for_live_calls(tmp_path: Path) -> None:
    assert in_drain(tmp_path, timeout=50, second_signal=False) == ("done", True)


def test_a_drain_that_lasts_too_long_ends_what_is_left(tmp_path: Path) -> None:
    assert in_drain(tmp_path, timeout=0.1, second_signal=False) == ("shutdown", True)


def test_a_second_signal_ends_every_call(tmp_path: Path) -> None:
    assert in_drain(tmp_path, timeout=50, second_signal=True) == ("shutdown", True)


def test_the_longest_call_is_the_settings(tmp_path: Path) -> None:
    settings = load({"WAIHU_MAX_CALL_SECONDS": "5m", "WAIHU_STATE_DIR": str(tmp_path)}, tmp_path)
    assert session_defaults(settings).longest == 300.0
    assert session_defaults(settings).barge_in
