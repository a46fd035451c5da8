"""``waihu doctor``: every connection and every setting that can go wrong, each with what to fix."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from typing import cast

import redis
from rich.text import Text
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import DBAPIError

from deploy import probes, providers
from deploy.check import Check, Checks, State
from deploy.databases import existing, place
from deploy.embedded import reachable
from deploy.preflight import redis_problem
from deploy.readiness import ASK_SECONDS, heartbeats, ping_workers
from deploy.screen import Console, Table, print_json, say_row
from media.agent.loading import load_playbooks
from media.agent.playbook import PlaybookError
from shared import bus, dial_gate, gate_config, recordings
from shared.clock import Clock, skew_problem
from shared.database import house_clock, reading
from shared.errors import DatabaseUnavailable, SettingsError
from shared.moments import printed
from shared.schema import tasks
from shared.settings import Settings, require_safe_listen

LEAST_DISK_BYTES = 200 << 20
LOW_DISK_BYTES = 2 << 30
"""Recordings of a hundred calls at once take 3 MB a second; below this an hour is not safe."""
RUN_NTP = "calls are made all the same; certificates and logs want it right"
LONGEST_DUE_MS = 60_000
"""A task that is due for longer waits for room or for the calling window, or nobody dispatches."""


def doctor(console: Console, settings: Settings, *, as_json: bool = False) -> int:
    """Prints all checks; 1 if any failed, else 0."""
    found = examine(settings)
    if as_json:
        document = {"ok": not _failed(found), "checks": [asdict(check) for check in found]}
        print_json(document, console.file)
    else:
        _print(console, found)
    return 1 if _failed(found) else 0


def examine(settings: Settings) -> list[Check]:
    """Every check, in order. Takes seconds, also when everything is down."""
    looks: tuple[Callable[[Settings], Checks], ...] = (
        _database,
        _redis,
        _workers,
        _media,
        _api,
        _recordings,
        _phone,
        providers.speech,
        providers.language_model,
        _playbooks,
        _stand_ins,
        _gates,
        _listens,
        _disk,
    )
    return [check for look in looks for check in look(settings)]


def _database(settings: Settings) -> Checks:
    try:
        with existing(settings) as engine:
            yield Check("database", "ok", f"{place(settings.database_url)}, schema up to date")
            clock = house_clock(engine)
            yield _oldest_due(engine, clock)
            yield _own_clock(clock)
    except DatabaseUnavailable as error:
        detail, _, fix = str(error).rpartition("; ")
        yield Check("database", "fail", detail, fix)


def _oldest_due(engine: Engine, clock: Clock) -> Check:
    query = select(func.min(tasks.c.due_at)).where(tasks.c.due_at.is_not(None))
    try:
        with reading(engine) as connection:
            oldest = connection.execute(query).scalar()
    except DBAPIError as error:
        return Check("queue", "fail", f"cannot be read: {type(error.orig).__name__}", "look at the database")
    late = 0 if oldest is None else max(0, clock.now_ms() - oldest)
    if late > LONGEST_DUE_MS:
        return Check(
            "queue",
            "warn",
            f"a task has been due for {late // 1000} s",
            "see that beat and a worker run, and the window is open",
        )
    return Check("queue", "ok", "no task is overdue")


def _own_clock(clock: Clock) -> Check:
    """This machine's, beside the database's: the house goes by that one, but certificates and logs do not."""
    problem = skew_problem(clock.skew_ms())
    return Check("clock", "warn", problem, RUN_NTP) if problem else Check("clock", "ok", "agrees with the database's")


def _redis(settings: Settings) -> Checks:
    client = bus.open_redis(settings.redis_url)
    try:
        version = client.info("server")["redis_version"]
        lacks = cast("bytes | None", client.get(bus.CLOCK_KEY))
        wrong = {key.decode(): client.get(key) for key in client.scan_iter(f"{bus.SKEW_PREFIX}*")}
    except redis.RedisError as error:
        fix = (
            "`waihu up` starts the embedded one" if settings.embedded_redis else "start it, or correct WAIHU_REDIS_URL"
        )
        yield Check("redis", "fail", redis_problem(error), fix)
        return
    finally:
        client.close()
    yield Check("redis", "ok", f"{'embedded, ' if settings.embedded_redis else ''}version {version}")
    if lacks is not None and (problem := skew_problem(-int(lacks), "Redis' host")):
        yield Check("redis's clock", "warn", problem, RUN_NTP)
    for key, skew in sorted(wrong.items()):
        if skew is not None and (problem := skew_problem(int(skew), f"worker {key.removeprefix(bus.SKEW_PREFIX)}")):
            yield Check("worker's clock", "warn", problem, RUN_NTP)


def _workers(settings: Settings) -> Checks:
    names = ping_workers(settings)
    if names:
        yield Check("workers", "ok", ", ".join(sorted(names)))
    else:
        yield Check("workers", "fail", "none answers", "start one: celery -A workers.app worker")


def _media(settings: Settings) -> Checks:
    try:
        beats = heartbeats(settings)
    except redis.RedisError:
        beats = []
    free = sum(max(0, beat.capacity - beat.sessions) for beat in beats if beat.fit and not beat.draining)
    if not beats:
        yield Check("media", "fail", "no heartbeat: nothing is dialled without it", "start one: python -m media.main")
    elif unable := sum(not beat.recording for beat in beats):
        detail = f"{unable} of {len(beats)} cannot record: no new call is placed for them"
        yield Check("media", "fail", detail, "make room where recordings lie, and see that media may write there")
    elif mute := sum(not beat.speech for beat in beats):
        detail = f"{mute} of {len(beats)} cannot speak or understand: no new call is placed for them"
        yield Check("media", "fail", detail, "see what media's /readyz says of speech, and the provider's status")
    elif not free:
        yield Check("media", "warn", f"{len(beats)} processes, all full or draining", "start another one")
    else:
        yield Check("media", "ok", f"{len(beats)} process(es), room for {free} more calls")
    for beat in beats:
        if problem := skew_problem(beat.skew_ms, f"media {beat.listen}"):
            yield Check("media's clock", "warn", problem, RUN_NTP)


def _api(settings: Settings) -> Checks:
    url = f"http://{reachable(settings.api_listen)}/readyz"
    status, document = probes.get_json(url)
    if status == 200:
        yield Check("api", "ok", f"ready at {reachable(settings.api_listen)}")
        if problem := probes.problem_of(document, "clock"):
            yield Check("api's clock", "warn", problem, RUN_NTP)
    elif status:
        yield Check("api", "fail", f"HTTP {status} from {url}: {probes.problems(document)}", "mend what it names")
    else:
        yield Check("api", "fail", f"no answer from {url}", "start it: `waihu up`, or gunicorn as in the Procfile")


def _recordings(settings: Settings) -> Checks:
    """One filesystem for api, workers and media: each tells the id that it finds in the recordings directory."""
    try:
        own = recordings.filesystem_id(settings.recordings_dir)
    except OSError as error:
        yield Check("recordings", "fail", f"{settings.recordings_dir}: {error.strerror}", "let this user write there")
        return
    others = {f"media {beat.listen}": probes.media_filesystem(beat.listen) for beat in _beats(settings)}
    others["api"] = probes.api_filesystem(reachable(settings.api_listen))
    others |= probes.worker_filesystems(settings)
    strangers = [name for name, found in others.items() if found and found != own]
    silent = [name for name, found in others.items() if not found]
    if strangers:
        yield Check(
            "recordings",
            "fail",
            f"{', '.join(strangers)} sees another directory than {settings.recordings_dir}",
            "mount one filesystem for api, workers and media, and set WAIHU_RECORDINGS_DIR to it everywhere",
        )
    elif silent:
        yield Check("recordings", "warn", f"{', '.join(silent)} did not tell which directory it sees", "start it first")
    else:
        yield Check("recordings", "ok", f"{settings.recordings_dir}, seen alike by {', '.join(others)}")


def _beats(settings: Settings) -> list[bus.Heartbeat]:
    try:
        return heartbeats(settings)
    except redis.RedisError:
        return []


def _phone(settings: Settings) -> Checks:
    sandbox = "phone" in settings.standins
    problem = probes.reach(settings.phone_url)
    if problem:
        fix = "`waihu up` starts it" if sandbox else "correct WAIHU_PHONE_URL, or open the way to it"
        yield Check("phone system", "fail", f"{settings.phone_url}: {problem}", fix)
        return
    speaks = probes.speaks_http(settings.phone_url)
    if speaks is None:
        detail = f"{settings.phone_url}: its port is open, and no answer to a HEAD came within {ASK_SECONDS:g} s"
        yield Check("phone system", "warn", detail, "see that the phone system is what listens there, and well")
    elif not speaks:
        detail = f"{settings.phone_url}: what listens there does not speak HTTP"
        yield Check("phone system", "fail", detail, "correct host, port and https or http of WAIHU_PHONE_URL")
    else:
        yield Check("phone system", "ok", settings.phone_url + (" (sandbox)" if sandbox else ""))


def _playbooks(settings: Settings) -> Checks:
    """As media reads them when it starts; what runs may have older ones."""
    try:
        found = load_playbooks(settings.playbooks_dir)
    except PlaybookError as error:
        yield Check("playbooks", "fail", str(error), "media will not start with them: mend each line that is named")
    else:
        yield Check("playbooks", "ok", f"{len(found)} in {settings.playbooks_dir}")


def _stand_ins(settings: Settings) -> Checks:
    names = ", ".join(settings.standins)
    if settings.standins_forbidden:
        fix = "set up the real ones, or WAIHU_ALLOW_STANDIN=1 to dial all the same"
        yield Check("stand-ins", "fail", f"{names} beside real services: nothing is dialled", fix)
    elif names:
        yield Check("stand-ins", "warn", f"{names}: good for trying out, no real customer is called")
    else:
        yield Check("stand-ins", "ok", "none")


def _gates(settings: Settings) -> Checks:
    config = gate_config.read(settings)
    for problem in config.problems:
        yield Check("gates", "fail", f"{problem}: nothing is dialled", f"correct {problem.partition(':')[0]}")
    if config.hours.always:
        fix = "set WAIHU_CALL_WINDOW, such as 09:00-12:00,14:00-20:00"
        yield Check("calling window", "warn", "none: customers are called at any hour", fix)
    elif "CALL_WINDOW" not in "".join(config.problems):
        yield Check("calling window", "ok", f"{settings.call_window or 'holidays only'} ({settings.timezone})")
    yield from _who_waits(settings)


def _who_waits(settings: Settings) -> Checks:
    """What keeps calls from being placed at this moment, and comes and goes by itself or by somebody's word."""
    client = bus.open_redis(settings.redis_url)
    try:
        with existing(settings) as engine:
            now = house_clock(engine).now_ms()
            with reading(engine) as connection:
                gate = dial_gate.look(connection, client, settings, now)
    except (DatabaseUnavailable, redis.RedisError):
        return  # they have checks of their own
    finally:
        client.close()
    known = dial_gate.broken(settings)
    for reason in gate.shut:
        if reason not in known:
            yield Check("dial gate", "warn", f"nobody is called: {reason}")
    for ticket_type in filter(None, gate.paused):
        yield Check(
            "pauses", "warn", f"{ticket_type} is paused", "`waihu resume` (POST /api/v1/resume) when it may go on"
        )
    for rest in gate.resting:
        until = printed(rest.until, settings.timezone)
        fix = "ask its carrier whether it is marked as unwanted"
        yield Check("caller numbers", "warn", f"{rest.caller} rests until {until}: {rest.reason}", fix)
    if gate.open and not gate.paused and not gate.resting:
        yield Check("dial gate", "ok", "open")


def _listens(settings: Settings) -> Checks:
    for title, listen in (
        ("API", settings.api_listen),
        ("media", settings.media_listen),
        ("Flower", settings.flower_listen),
    ):
        try:
            require_safe_listen(settings, listen)
        except SettingsError as error:
            yield Check(f"{title}'s address", "fail", str(error), "it will not start as it is")


def _disk(settings: Settings) -> Checks:
    places = {settings.state_dir, settings.recordings_dir}
    try:
        free = min(shutil.disk_usage(place).free for place in places if place.exists())
    except (OSError, ValueError):
        yield Check("disk", "fail", "cannot be read", f"see that {settings.state_dir} can be made")
        return
    detail = f"{free / (1 << 30):.1f} GiB free"
    if free < LOW_DISK_BYTES:
        state: State = "fail" if free < LEAST_DISK_BYTES else "warn"
        yield Check("disk", state, detail, "make room, or move WAIHU_RECORDINGS_DIR")
    else:
        yield Check("disk", "ok", detail)


def _failed(checks: list[Check]) -> bool:
    return any(check.state == "fail" for check in checks)


def _print(console: Console, checks: list[Check]) -> None:
    if not console.is_terminal:
        for check in checks:
            say_row([check.state, check.name, check.detail, check.fix], console.file)
        return
    signs = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
    table = Table(show_header=False, box=None, padding=(0, 1))
    for check in checks:
        sign, style = signs[check.state]
        detail = Text(check.detail)
        if check.fix:
            detail.append(f"\n→ {check.fix}", style=style)
        table.add_row(Text(sign, style=style), Text(check.name, style="bold"), detail)
    console.print(table)
