"""The process itself: it starts, says that it is ready, drains on SIGTERM, and leaves."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx2
import pytest
import redis

from shared import bus
from tests.workers.twins import running_redis

HOUSE = Path(__file__).parents[2]
PATIENCE = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(directory: Path, port: int) -> Mapping[str, str]:
    """Settings of a process that finds no Redis."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WAIHU_")} | {
        "WAIHU_STATE_DIR": str(directory),
        "WAIHU_MEDIA_LISTEN": f"127.0.0.1:{port}",
        "WAIHU_REDIS_URL": "redis://127.0.0.1:1/0",
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
    assert (ready.status_code, ready.json()["redis"], ready.json()["stand_ins"]) == (
        200,
        "away",
        ["phone", "asr", "tts"],
    )
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


def test_the_last_process_stays_until_the_phone_that_rings_is_answered_elsewhere_or_given_up(tmp_path: Path) -> None:
    with running_redis(tmp_path) as url:
        client = redis.Redis.from_url(url)
        settings = {**environment(tmp_path, free_port()), "WAIHU_REDIS_URL": url, "WAIHU_ALLOW_STANDIN": "1"}
        settings["WAIHU_PHONE_URL"] = "http://127.0.0.1:1/dialog"
        client.zadd(bus.LEASES_KEY, {"2512311203000000001": (time.time() + 600) * 1000})
        with (tmp_path / "log").open("wb") as log:
            running = subprocess.Popen([sys.executable, "-m", "media.main"], cwd=tmp_path, env=settings, stderr=log)
        try:
            until(lambda: b'"draining":false' in b"".join(client.hvals(bus.MEDIA_KEY)))
            running.send_signal(signal.SIGTERM)
            until(lambda: b'"draining":true' in b"".join(client.hvals(bus.MEDIA_KEY)))
            with pytest.raises(subprocess.TimeoutExpired):
                running.wait(2.0)
            client.zrem(bus.LEASES_KEY, "2512311203000000001")
            assert running.wait(PATIENCE) == 0
            assert client.hvals(bus.MEDIA_KEY) == []
        finally:
            running.kill()
            running.wait()
            client.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
