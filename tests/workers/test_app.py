"""The entry point as production starts it: real processes, a real broker, a real phone system over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared import doorbell
from shared.clock import SystemClock
from shared.settings import Settings
from tests.workers.phone_server import PhoneServer
from tests.workers.twins import Office, cdr, wait_for
from tests.workers.webhooks.desk import SECRET, finish, register
from tests.workers.webhooks.receiver import Receiver

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def celery(settings: dict[str, str], directory: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """``celery -A workers.app …`` with these settings; told to leave at the end of the block."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WAIHU_")}
    log = (directory / f"{command[0]}.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "workers.app", *command],
        cwd=directory,
        env=kept | settings | {"PYTHONPATH": str(ROOT)},
        stdout=log,
        stderr=log,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
        log.close()


def environment(office: Office, phone: PhoneServer) -> dict[str, str]:
    settings: Settings = office.settings
    return {
        "WAIHU_DATABASE_URL": settings.database_url,
        "WAIHU_REDIS_URL": settings.redis_url,
        "WAIHU_STATE_DIR": str(settings.state_dir),
        "WAIHU_PHONE_URL": phone.url,
        "WAIHU_ALLOW_STANDIN": "1",
        "WAIHU_LOG_FORMAT": "json",
        "WAIHU_WEBHOOK_PRIVATE": "1",
    }


@pytest.fixture
def phone() -> Iterator[PhoneServer]:
    with PhoneServer() as server:
        yield server


def test_a_worker_and_beat_dial_a_task_apply_its_events_and_leave(
    open_office: Callable[..., Office], phone: PhoneServer, tmp_path: Path
) -> None:
    office = open_office(clock=SystemClock())
    office.media(at=office.now + 600_000)
    batch_id = office.ticket("13800138000")
    bell = doorbell.Doorbell(office.settings.redis_url)
    settings = environment(office, phone)
    with celery(settings, tmp_path, "worker") as worker, celery(settings, tmp_path, "beat"):
        call = wait_for(lambda: in_state(office, batch_id, "ringing"), 60)
        assert phone.rings == {call.uuid: 1}
        assert phone.bodies[0]["callee"] == "13800138000"
        office.house.waiting.put([call.uuid], office.now)  # twice is once
        assert bell.ring(doorbell.DIAL)
        answered = office.event("firstAnswer", request_id=call.uuid, call_id=call.call_id)
        assert bell.ring_chunks(doorbell.APPLY_EVENTS, [answered])
        wait_for(lambda: in_state(office, batch_id, "answered"))
        ended = office.event("cdr", request_id=call.uuid, call_id=call.call_id, pay_load=cdr(1_000, 5_000))
        assert bell.ring_chunks(doorbell.APPLY_EVENTS, [ended])
        wait_for(lambda: office.task(batch_id).state == "completed")
        wait_for(lambda: office.call(call.uuid).dialogue == [])
        assert phone.rings == {call.uuid: 1}
        bell.close()
        worker.terminate()
        assert worker.wait(30) == 0
    said = (tmp_path / "worker.log").read_text() + (tmp_path / "beat.log").read_text()
    assert "13800138000" not in said
    assert "Traceback" not in said
    assert '"process": "beat"' not in (tmp_path / "worker.log").read_text()


def test_a_worker_tells_a_real_receiver_of_a_finished_task(
    open_office: Callable[..., Office], phone: PhoneServer, tmp_path: Path
) -> None:
    office = open_office(clock=SystemClock())
    with Receiver(500) as receiver, celery(environment(office, phone), tmp_path, "worker") as worker:
        register(office, receiver.url)
        batch_id = office.ticket("13800138000", due_at=None)
        finish(office, batch_id)
        bell = doorbell.Doorbell(office.settings.redis_url)
        assert bell.ring(doorbell.WEBHOOKS)
        receiver.wait(1)
        with celery(environment(office, phone), tmp_path, "beat"):  # its sweep rings when the next attempt is due
            receiver.wait(2)
        bell.close()
        assert [one.body["task"]["batchId"] for one in receiver.received] == [batch_id] * 2
        assert all(one.signed_with(SECRET) for one in receiver.received)
        assert len(set(receiver.ids)) == 1
        worker.terminate()
        assert worker.wait(30) == 0
    said = (tmp_path / "worker.log").read_text()
    assert "webhook delivered" in said
    assert SECRET not in said
    assert "Traceback" not in said


def in_state(office: Office, batch_id: int, state: str) -> Any:
    return next((call for call in office.calls(batch_id) if call.state == state), None)
