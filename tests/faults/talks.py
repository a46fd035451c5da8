"""The attacks on live conversations: media killed, without room on its disk; providers that stall."""

from __future__ import annotations

import random
import time
import wave
from typing import Any

import httpx2
from sqlalchemy import select

from shared.database import reading
from shared.schema import calls
from tests.faults.attacks import BRIEF, TALKER
from tests.faults.house import Batch, House, wait_for
from tests.faults.verdict import Struck
from tests.table import Verdict

DISK_FULL = 5.0
"""Seconds of a conversation without room for it on the disk."""
MEDIA = ("media1", "media2")
ASKED = 30
SPOKEN = 20
"""Words of one call of somebody who talks, at least: the robot's first sentence has as many."""


def media_killed(house: House, seed: int, rounds: int = 2) -> Struck:
    """Both media processes killed in turn while people talk: their sockets come back to the other one."""
    luck = random.Random(seed)
    batch, before = Batch(), len(house.deaths)
    for _ in range(rounds):
        some = house.submit([TALKER] * 4)
        batch += some
        wait_for(lambda some=some: len(house.live(some)) == 4, 60, "four people do not talk")  # type: ignore[misc]
        for role in luck.sample(MEDIA, 2):
            time.sleep(luck.uniform(2, 4))
            house.restart(role)
            wait_for(house.ready, 60, "media does not come back")

    def talked(verdict: Verdict) -> str:
        return "" if verdict.words > SPOKEN * verdict.answered else "people talked, and hardly a word was heard"

    return Struck("media killed in mid-call", batch, len(house.deaths) - before, checks=[talked])


def disk_full(house: House, seed: int) -> Struck:
    """No file of media may grow for a while in mid-call, and new calls come in meanwhile; then there is room again."""
    luck = random.Random(seed)
    talking = house.submit([TALKER] * 4)
    wait_for(lambda: len(house.live(talking)) == 4, 60, "four people do not talk")
    time.sleep(luck.uniform(1.5, 3))
    house.fill_disk(*MEDIA)
    meanwhile = house.submit([BRIEF] * 3)
    time.sleep(DISK_FULL)
    survived = len(house.live(talking))
    house.clear_disk(*MEDIA)
    after = house.submit([BRIEF] * 3)
    struck = Struck("disk full for media in mid-call", talking + meanwhile + after, 3 + len(MEDIA))
    struck.broken += [] if survived == 4 else [f"{4 - survived} calls ended with the room on the disk"]

    def recorded(_verdict: Verdict) -> str:
        """Each call that began or ended with room has its recording; it is as long as the talk was."""
        missing = [
            uuid
            for uuid, row in _records(house, talking + after).items()
            if not row.wav_file or seconds_of(house, row.wav_file) < row.time_len - 2
        ]
        return f"recordings missing or short: {missing}" if missing else ""

    struck.broken += [] if _told_of_failures(house) else ["no process said that it could not write"]
    struck.checks.append(recorded)
    return struck


def stalled_speech(house: House, seed: int) -> Struck:
    """Recognition and synthesis hang or break off in mid-stream; the calls go on, and say so in the end."""
    luck = random.Random(seed)
    faults = [
        ("asr", "hang_stream"),
        ("asr", "hang_start"),
        ("tts", "hang_stream"),
        ("tts", "hang_start"),
        ("tts", "close"),
    ]
    batch = Batch()
    try:
        for service, fault in luck.sample(faults, len(faults)):
            house.speech_fault(service, fault, times=luck.randint(1, 3))
            batch += house.submit([TALKER, TALKER])
            time.sleep(luck.uniform(1, 3))
    finally:
        house.speech_fault()
    return Struck("speech providers that stall or break off", batch, len(faults))


def _records(house: House, batch: Batch) -> dict[str, Any]:
    """The answered calls of these tasks."""
    statement = select(calls.c.uuid, calls.c.wav_file, calls.c.time_len).where(
        calls.c.batch_id.in_(list(batch.ids.values())), calls.c.answered_at.is_not(None)
    )
    with reading(house.engine) as connection:
        return {row.uuid: row for row in connection.execute(statement).all()}


def _told_of_failures(house: House) -> bool:
    """By the metrics of media; both processes share a port, so each is met in time."""
    url = f"http://127.0.0.1:{house.ports['media']}/metrics"
    for _ in range(ASKED):
        page = httpx2.get(url, timeout=10, trust_env=False).text
        values = [line.split()[-1] for line in page.splitlines() if "recording_failures" in line and line[0] != "#"]
        if any(float(value) > 0 for value in values):
            return True
    return False


def seconds_of(house: House, name: str) -> float:
    with wave.open(str(house.settings.recordings_dir / name)) as sound:
        return sound.getnframes() / sound.getframerate()
