"""The attacks on live conversations: media killed, without room on its disk; providers that stall."""

from __future__ import annotations

import json
import math
import random
import time
import wave
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import select

from shared import recordings
from shared.database import reading
from shared.lifecycle import TaskState
from shared.schema import calls
from tests.faults.attacks import BRIEF, HOLDER, TALKER
from tests.faults.attempts import now_ms, states_of
from tests.faults.house import KEY, Batch, House, wait_for
from tests.faults.verdict import Struck, frames
from tests.faults.words import Stretch
from tests.small_disk import SmallDisk
from tests.table import Verdict
from workers.record import read_parts

DISK_FULL = 5.0
"""Seconds of a conversation without room for it on the disk."""
MEDIA = ("media1", "media2")
HOLDING = "值班热线"
"""The ticket type whose robot answers when it is asked, and waits (tests/faults/playbooks)."""
ASKED = 30
SOON = 30.0
"""Seconds; it is told within two, on a busy machine a few more."""
SECOND = 50
"""Frames of sound."""
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
            sent = _frames(house, some)
            wait_for(lambda some=some, sent=sent: _goes_on(house, some, sent), 60, "no sound comes to media")  # type: ignore[misc]
            time.sleep(luck.uniform(0, 2))  # the moment is the attack
            house.restart(role)
            wait_for(house.ready, 60, "media does not come back")

    def talked(verdict: Verdict) -> str:
        return "" if verdict.words > SPOKEN * verdict.answered else "people talked, and hardly a word was heard"

    return Struck("media killed in mid-call", batch, len(house.deaths) - before, checks=[talked])


def disk_full(house: House, seed: int, disk: SmallDisk | None = None) -> Struck:
    """No room for media's files for a while in mid-call, and tickets come in meanwhile; then there is room again.

    ``disk``: the small one on which the house keeps its recordings, full until people who hold the line have spoken; the
    house must let them. Without one no file of media may grow for a few seconds, which says the same to media and touches
    nobody else.
    """
    luck = random.Random(seed)
    talking = house.post(house.tickets([HOLDER] * 4, HOLDING))
    wait_for(lambda: _recorded(house, talking) == 4, 60, "four people do not talk")
    time.sleep(luck.uniform(0, 1.5))  # the moment is the attack
    caught = house.submit([BRIEF] * 3)
    with _full(house, disk):
        wait_for(lambda: not _may_call(house), SOON, "/readyz does not say that nobody is called")
        wait_for(lambda: not house.queued(caught), SOON, "calls that cannot be recorded wait in a queue")
        waiting, full_until = house.submit([BRIEF] * 3), time.monotonic() + DISK_FULL
        broken = _not_told(house, doctor=disk is not None)
        if disk is None:
            time.sleep(max(0.0, full_until - time.monotonic()))  # so long it is full
        else:
            wait_for(lambda: _said(house, talking) == 4, 2 * SOON, "nobody asks anything")
        survived = len(house.live(talking))
        broken += [] if survived == 4 else [f"{4 - survived} calls ended with the room on the disk"]
        rung = sum(call["callee"] in waiting.ids for call in house.report()["calls"])
        broken += [f"{rung} people were called to be hung up on"] if rung else []
    wait_for(lambda: _may_call(house), SOON, "nobody is called though there is room again")
    after = house.submit([BRIEF] * 3)
    name = "disk full in mid-call" if disk else "no file of media may grow in mid-call"

    def recorded(_verdict: Verdict) -> str:
        """Each call that began or ended with room has its recording; it is as long as the talk was."""
        missing = [
            uuid
            for uuid, row in _records(house, talking + waiting + after).items()
            if not row.wav_file or seconds_of(house, row.wav_file) < row.time_len - 2
        ]
        return f"recordings missing or short: {missing}" if missing else ""

    def completed(_verdict: Verdict) -> str:
        ends = Counter(states_of(house, waiting + after).values())
        return "" if set(ends) == {TaskState.COMPLETED} else f"those who waited or came later: {dict(ends)}"

    def readable(_verdict: Verdict) -> str:
        """Whatever was broken off by the full disk: no recording that a player refuses, no call that is not closed."""
        unread = [path.name for path in house.settings.recordings_dir.rglob("*.wav") if not _plays(path)]
        return f"recordings that cannot be played: {unread}" if unread else ""

    batch = talking + caught + waiting + after
    return Struck(
        name, batch, len(talking.ids) + len(caught.ids) + len(waiting.ids), broken, [recorded, completed, readable]
    )


@contextmanager
def _full(house: House, disk: SmallDisk | None) -> Iterator[None]:
    """Nothing that media write has room, until the end of the block."""
    house.unwritten.append(Stretch(now_ms(), math.inf))
    house.fill_disk(*MEDIA) if disk is None else disk.fill()
    try:
        yield
    finally:
        house.clear_disk(*MEDIA) if disk is None else disk.clear()
        house.unwritten[-1] = replace(house.unwritten[-1], end=now_ms())


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
            some = house.submit([TALKER, TALKER])
            batch += some
            wait_for(lambda some=some: _answered(house, some) == 2, 60, "two people do not pick up")  # type: ignore[misc]
            time.sleep(luck.uniform(0, 2))  # the moment is the attack
    finally:
        house.speech_fault()
    return Struck("speech providers that stall or break off", batch, len(faults))


def _said(house: House, batch: Batch) -> int:
    """How many of those who are on the phone have said anything."""
    return sum(any(saying["text"] for saying in call["audio"]["said"]) for call in house.live(batch))


def _frames(house: House, batch: Batch) -> dict[str, int]:
    """How many frames of sound have left for media, by the calls that people talk on."""
    return {call["request_id"]: call["audio"]["line"]["sent_frames"] for call in house.live(batch)}


def _goes_on(house: House, batch: Batch, sent: dict[str, int]) -> bool:
    """Whether a second of sound of every call that lives on has found a media process since."""
    now = _frames(house, batch)
    return all(now[uuid] >= sent[uuid] + SECOND for uuid in now.keys() & sent.keys())


def _answered(house: House, batch: Batch) -> int:
    return len(_records(house, batch))


def _records(house: House, batch: Batch) -> dict[str, Any]:
    """The answered calls of these tasks."""
    statement = select(calls.c.uuid, calls.c.wav_file, calls.c.time_len).where(
        calls.c.batch_id.in_(list(batch.ids.values())), calls.c.answered_at.is_not(None)
    )
    with reading(house.engine) as connection:
        return {row.uuid: row for row in connection.execute(statement).all()}


def _recorded(house: House, batch: Batch) -> int:
    """How many of these calls are on the disk: something of their sound, and of what was said."""
    statement = select(calls.c.uuid, calls.c.created_at).where(calls.c.batch_id.in_(list(batch.ids.values())))
    with reading(house.engine) as connection:
        rows = connection.execute(statement).all()
    stems = [recordings.stem(row.uuid, row.created_at, house.settings.timezone) for row in rows]
    parts = [part for stem in stems for part in read_parts(house.settings.recordings_dir, stem)[:1]]
    return sum(part.wav is not None and frames(part.wav) > 0 and bool(recordings.turns(part.lines)) for part in parts)


def _may_call(house: House) -> bool:
    """What ``/readyz`` says; nothing else shuts the gate here."""
    gate = httpx2.get(f"{house.api}/readyz", timeout=10, trust_env=False).json()["dial_gate"]
    assert gate["open"] or "cannot record" in gate["problem"], gate
    return bool(gate["open"])


def _not_told(house: House, *, doctor: bool) -> list[str]:
    """By whom it is not said that nothing can be recorded. Both media processes share a port, so each is met in time."""
    media = f"http://127.0.0.1:{house.ports['media']}"
    anew = httpx2.Limits(max_keepalive_connections=0)
    with httpx2.Client(timeout=10, trust_env=False, limits=anew) as client:
        pages = [client.get(f"{media}/metrics").text for _ in range(ASKED)]
        ready = [client.get(f"{media}/readyz").json() for _ in range(ASKED)]
    api = httpx2.get(f"{house.api}/metrics", headers={"X-API-Key": KEY}, timeout=10, trust_env=False).text
    told = {
        "a failure in media's metrics": any(_gauge(page, "recording_failures_total") > 0 for page in pages),
        "recordable 0 in media's metrics": all(_gauge(page, "recordable") == 0 for page in pages),
        "media's /readyz": all(one["recording"] != "ok" for one in ready),
        "the dial gate in the API's metrics": "waihu_dial_gate_open 0" in api,
    }
    if doctor:
        checks = {check["name"]: check for check in json.loads(house.waihu("doctor", "--json"))["checks"]}
        told["waihu doctor"] = checks["media"]["state"] == "fail" and "cannot record" in checks["media"]["detail"]
    return [f"not told by {where}" for where, said in told.items() if not said]


def _gauge(page: str, name: str) -> float:
    return float(next(line.split()[-1] for line in page.splitlines() if line.startswith(f"waihu_media_{name}{{")))


def _plays(path: Path) -> bool:
    """By a reader that believes the header."""
    try:
        with wave.open(str(path)) as sound:
            return len(sound.readframes(sound.getnframes())) == sound.getnframes() * sound.getnchannels() * 2
    except (wave.Error, EOFError):
        return False


def seconds_of(house: House, name: str) -> float:
    with wave.open(str(house.settings.recordings_dir / name)) as sound:
        return sound.getnframes() / sound.getframerate()
