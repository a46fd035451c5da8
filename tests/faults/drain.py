"""SIGTERM to media while hundreds of people are on the phone with it: nobody's call may break."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import func, select

from sandbox.phone.talk import FRAME_SECONDS
from shared import recordings
from shared.database import reading
from shared.schema import calls
from tests.faults.attacks import BRIEF, HOLDER, STAYER, TALKER
from tests.faults.house import READY_WITHIN, Batch, House, wait_for
from tests.faults.talks import HOLDING, MEDIA, seconds_of
from tests.faults.verdict import Struck
from tests.table import Verdict
from workers.record import read_parts

LONG_CALLS = {"MAX_CALL_SECONDS": "90", "DRAIN_TIMEOUT": "90s"}
"""For the house: it ends none of these calls."""
ROOM = {"MAX_CALLS": "300", "CALLERS": "057128167421:concurrency=300,cps=12"}
"""For 200 calls beside the ordinary ones. They come within seventeen seconds, so that not all of them talk at the same
moment: two cores also play the people, who cost five times as much while they are talked to."""
HELD_SECONDS = 60
"""Who holds the line hangs up then (scenario.yaml)."""
EARLY, LATE = ("喂？听得到吗？", "听得到，请您稍等。"), ("你还在吗？", "我还在，请您稍等。")
"""What they ask 20 s after the robot's last word, and again as long after its answer; and what it answers."""
ALL_WITHIN = 40.0
"""Seconds until media is told to leave; above the seventeen that the calls take to come and the few in which new processes
come up, below the 45 after which people begin to ask again."""
ENDED_WITHIN = 100.0
COMING = (BRIEF, BRIEF, BRIEF, TALKER)
"""Who comes, one after another, all the while."""
EVERY_SECONDS = 0.8
"""So often: a dozen or so are on the phone at any time, beside those who stay."""
GONE_AFTER = 6.0
"""Seconds from the end of the last call that lived when media was told to leave, or that reached it while it looked who
else was there, until it has left: its last recording and transcript are written then."""
MORE_SECONDS = 8.0
"""So long calls come in after the last of the old processes has left."""
GIVEN_UP_AFTER = 60.0
"""Above the longest of these talks (a STAYER's takes 40 s), below the drain's time-out, which ends calls."""
SLACK_SECONDS = 1.0
"""By which a recording may be shorter than what the phone system sent of it."""


def media_drained(house: House, seed: int, people: int = 200) -> Struck:
    """Each of so many people is on the phone with one of the two media processes when both are told to leave."""
    holding = house.post(house.tickets([HOLDER] * people, HOLDING))
    until = time.monotonic() + ALL_WITHIN
    wait_for(lambda: on_the_phone(house, holding) == people, ALL_WITHIN, f"{people} people are not all on the phone")
    leaving = {role: f"{role}-leaving" for role in MEDIA}
    for role, name in leaving.items():
        house.processes[name] = house.processes.pop(role)
    house.start(*MEDIA)  # the new ones first, as docs/operations.md says
    left = max(1.0, until - time.monotonic())
    wait_for(lambda: house.ready(media=2 * len(MEDIA)), left, "the new media processes do not come up in time")
    meanwhile = house.submit([TALKER] * (seed % 5 + 3))  # they reach an old process or a new one
    told_at = time.time_ns() // 1_000_000
    for name in leaving.values():
        house.processes[name].terminate()
    after = house.submit([TALKER] * 5)
    codes = [house.processes.pop(name).wait(ENDED_WITHIN) for name in leaving.values()]
    live = sum(_said(house, role, "media drains", "sessions") for role in MEDIA)
    ended = sum(_said(house, role, "media leaves", "sessions_ended", unsaid=people) for role in MEDIA)

    def torn(_verdict: Verdict) -> str:
        lines = [call["audio"]["line"] for call in _reports(house, holding + meanwhile + after).values()]
        broken = [line for line in lines if line["opened"] != 1 or line["failed"]]
        return f"{len(broken)} calls were torn" if broken else ""

    def cut_short(_verdict: Verdict) -> str:
        hows = [(call["ended_by"], call["ended_why"]) for call in _reports(house, holding).values()]
        others = [how for how in hows if how != ("callee", "left")]
        return f"{len(others)} calls did not end when the callee hung up: {others[:3]}" if others else ""

    def lacking(_verdict: Verdict) -> str:
        found = _lacking(house, holding, told_at)
        return f"{len(found)} records lack what was said: {found[:3]}" if found else ""

    struck = Struck(
        f"media told to leave under {live} live calls",
        holding + meanwhile + after,
        live,
        checks=[torn, cut_short, lacking],
    )
    struck.broken += [f"exit codes {codes}"] if any(codes) else []
    struck.broken += [f"{ended} calls were ended by the drain"] if ended else []
    struck.broken += [] if live >= people else [f"only {live} calls lived when media was told to leave"]
    return struck


def media_relieved(house: House, seed: int, people: int = 60) -> Struck:
    """Media is restarted behind one port, as in every rolling deployment, while calls never cease to come in: the old
    processes get none of them, and leave when the talks are over that they had. About half of the people reach those."""
    leaving = {role: f"{role}-leaving" for role in MEDIA}
    for role, name in leaving.items():
        house.processes[name] = house.processes.pop(role)
    house.start(*MEDIA)
    wait_for(lambda: house.ready(media=2 * len(MEDIA)), READY_WITHIN, "the new media processes do not come up")
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(_come, house, over)
        try:
            staying = house.post(house.tickets([STAYER] * people, HOLDING))
            enough = people * 2 // 3  # the first may leave before the last have come
            wait_for(
                lambda: on_the_phone(house, staying) >= enough, ALL_WITHIN, f"{enough} people are not on the phone"
            )
            left_after, codes = _leave(house, *leaving.values())
        finally:
            over.set()
        came = coming.result(ENDED_WITHIN)
    live = sum(_said(house, role, "media drains", "sessions") for role in MEDIA)
    ended = sum(_said(house, role, "media leaves", "sessions_ended", unsaid=people) for role in MEDIA)

    def torn(_verdict: Verdict) -> str:
        lines = [call["audio"]["line"] for call in _reports(house, staying + came).values()]
        broken = [line for line in lines if line["opened"] != 1 or line["failed"]]
        return f"{len(broken)} calls were torn or refused" if broken else ""

    struck = Struck(
        f"media restarted behind one port under {live} live calls, and others that never cease to come",
        staying + came,
        live,
        checks=[torn],
    )
    struck.broken += [f"exit codes {codes}"] if any(codes) else []
    struck.broken += [f"{ended} calls were ended by the drain"] if ended else []
    struck.broken += [] if live >= people // 6 else [f"only {live} calls lived when media was told to leave"]
    struck.broken += [f"the old processes left after {left_after:.1f} s"] if left_after > GONE_AFTER else []
    return struck


def _come(house: House, over: threading.Event) -> Batch:
    """People without end; all of them."""
    batch = Batch()
    while not over.wait(EVERY_SECONDS):
        batch += house.submit([COMING[len(batch.ids) % len(COMING)]])
    return batch


def _leave(house: House, *leaving: str) -> tuple[float, list[int]]:
    """SIGTERM to these. How long after the end of the last talk that had begun when they were told they left, and with
    which exit codes; returns when a little more time has passed."""
    talking = select(calls.c.uuid).where(calls.c.state.in_(("ringing", "answered")))
    with reading(house.engine) as connection:
        theirs = connection.execute(talking).scalars().all()
    old = [house.processes.pop(name) for name in leaving]
    for one in old:
        one.terminate()
    try:
        wait_for(lambda: all(one.poll() is not None for one in old), GIVEN_UP_AFTER, "")
    except TimeoutError:
        for one in old:
            one.terminate()
        return GIVEN_UP_AFTER, [one.wait(ENDED_WITHIN) for one in old]
    at = time.time_ns() // 1_000_000
    latest = select(func.max(calls.c.ended_at)).where(calls.c.uuid.in_(theirs))
    with reading(house.engine) as connection:
        talked_until = int(connection.execute(latest).scalar_one())
    time.sleep(MORE_SECONDS)  # others come meanwhile
    return (at - talked_until) / 1000, [one.wait() for one in old]


def on_the_phone(house: House, batch: Batch) -> int:
    """How many of these calls are answered and not over, by the database: the witness plays hundreds, and is not asked
    for a report of them all again and again."""
    talking = select(func.count()).where(calls.c.batch_id.in_(list(batch.ids.values())), calls.c.state == "answered")
    with reading(house.engine) as connection:
        return int(connection.execute(talking).scalar_one())


def _said(house: House, role: str, message: str, number: str, unsaid: int = 0) -> int:
    """A number in the latest such line of this role's log, or ``unsaid``: its old process alone has been told to leave."""
    lines = (house.logs / f"{role}.log").read_text(encoding="utf-8").splitlines()
    told = [line for line in lines if f'"{message}"' in line]
    return int(json.loads(told[-1])[number]) if told else unsaid


def _reports(house: House, batch: Batch) -> dict[str, dict[str, Any]]:
    """The witness's, by the call's uuid."""
    return {call["request_id"]: call for call in house.report()["calls"] if call["callee"] in batch.ids}


def _lacking(house: House, batch: Batch, told_at: int) -> list[str]:
    """What the records of held calls should have and have not."""
    reports = _reports(house, batch)
    statement = select(calls).where(calls.c.batch_id.in_(list(batch.ids.values())))
    with reading(house.engine) as connection:
        rows = {row.uuid: row for row in connection.execute(statement).all()}
    missing = [f"{len(batch.ids)} tasks, {len(rows)} calls"] if len(rows) != len(batch.ids) else []
    found = {uuid: _lack(house, row, reports[uuid], told_at) for uuid, row in rows.items()}
    return missing + [f"{uuid}: {lack}" for uuid, lack in found.items() if lack]


def _lack(house: House, row: Any, report: dict[str, Any], told_at: int) -> str:
    """A call of its full length, recorded in one piece from its first frame to its last; both questions and answers, the
    later ones after media was told to leave."""
    said = [turn["content"] for turn in row.dialogue or ()]
    if [line for line in said if line in (*EARLY, *LATE)] != [*EARLY, *LATE]:
        return f"the dialogue is {said}"
    stem = recordings.stem(row.uuid, row.created_at, house.settings.timezone)
    parts = read_parts(house.settings.recordings_dir, stem)
    asked = [turn.start for part in parts for turn in recordings.turns(part.lines) if turn.content == LATE[0]]
    if len(parts) != 1 or len(asked) != 1 or asked[0] < told_at:
        return f"{len(parts)} parts, asked at {asked}, SIGTERM at {told_at}"
    sent, kept = report["audio"]["line"]["sent_frames"] * FRAME_SECONDS, seconds_of(house, row.wav_file)
    if row.time_len < HELD_SECONDS or kept < sent - SLACK_SECONDS:
        return f"the talk lasted {row.time_len} s, its recording {kept:.1f} s, sound was sent for {sent:.1f} s"
    return ""
