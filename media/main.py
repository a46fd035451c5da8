"""The media process: ``python -m media.main`` (``--processes N`` for several behind one port).

Reads top to bottom: settings, the parts, the server; then it works until SIGTERM, lets live calls finish, and leaves.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from media.agent.casting import open_casting
from media.bell import Bell
from media.briefing import RedisBriefings
from media.control import Control
from media.driver import SessionOptions
from media.ears.hearing import Hearing
from media.exchange import Exchange, Plant
from media.gauges import Gauges
from media.lag import LagProbe
from media.legs.door import PhoneDoor
from media.owner import Owners
from media.pacer import Pacer
from media.protocol.options import SynthesisOption, TranscriptionOption
from media.recorder import Recorder, Recording
from media.registry import Heart, Registry, headroom
from media.server import MediaServer, Pages
from media.session.clips import HttpClips
from media.session.session import Equipment
from media.speech.providers import Speech, open_speech
from shared import bus, logs, recordings
from shared.clock import Clock, SystemClock
from shared.doorbell import Doorbell
from shared.errors import SettingsError, WaihuError
from shared.phone.client import AsyncPhoneSystem
from shared.settings import Settings, load, require_safe_listen

SPARE_EARS = 16
"""Rows for calls that end and begin within one look of the ears."""

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until told to stop; the exit code."""
    parser = argparse.ArgumentParser(prog="media", description="Waihu's media process: the live calls.")
    parser.add_argument("--processes", type=int, default=1, help="how many processes share the port (default 1)")
    asked = parser.parse_args(arguments)
    try:
        settings = load()
        require_safe_listen(settings, settings.media_listen)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    logs.configure(settings, "media")
    if asked.processes > 1:
        return run_several(asked.processes)
    try:
        uvloop.run(run(settings))
    except (OSError, WaihuError) as error:
        host, port = settings.media_listen
        log.error("media cannot start", extra={"listen": f"{host}:{port}", "error": str(error)})
        return 1
    return 0


def run_several(count: int) -> int:
    """Starts ``count`` processes like this one, and ends them all when told to or when one of them ends."""
    children = [subprocess.Popen([sys.executable, "-m", "media.main"]) for _ in range(count)]

    def forward(number: int, _frame: object) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, forward)
    os.wait()
    forward(signal.SIGTERM, None)
    return max((abs(child.wait()) for child in children), default=0)


async def run(settings: Settings) -> None:
    """One process from its start to its end.

    Raises OSError if it cannot listen or write recordings, WaihuError if the voice model or a playbook is missing.
    """
    loop = asyncio.get_running_loop()
    clock = SystemClock()
    process = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    host, port = settings.media_listen
    registry = Registry(settings.media_capacity)
    stopping = _signals(loop)
    async with AsyncExitStack() as stack:
        redis = bus.open_async_redis(settings.redis_url)
        stack.push_async_callback(redis.aclose)
        bell = Bell(Doorbell(settings.redis_url))
        bell.start()
        stack.push_async_callback(asyncio.to_thread, bell.stop)
        phone = AsyncPhoneSystem(settings.phone_url, timeout=settings.phone_timeout, record=settings.phone_record)
        stack.push_async_callback(phone.close)
        speech = open_speech(settings)
        stack.push_async_callback(speech.close)
        casting = open_casting(settings, speech)
        stack.push_async_callback(casting.close)
        recorder, equipment = await open_equipment(settings, registry, clock, speech, stack)
        pacer = Pacer(loop, lambda sink, error: exchange.failed(sink, error))
        stack.callback(pacer.stop)

        briefings = RedisBriefings(redis, bell)
        control = Control(redis, briefings, process, lambda uuid, hint: exchange.hint(uuid, hint))
        owners = Owners(redis, process)
        heart = Heart(redis, registry, clock, process, f"{host}:{port}")
        exchange = Exchange(
            Plant(
                equipment=equipment,
                pacer=pacer,
                recorder=recorder,
                registry=registry,
                briefings=briefings,
                control=control,
                owners=owners,
                bell=bell,
                phone=phone,
                casting=casting,
                defaults=session_defaults(settings),
                stem=lambda briefing: recordings.stem(briefing.uuid, briefing.created_at, settings.timezone),
            )
        )
        door = PhoneDoor(exchange, clock.monotonic)
        lag = LagProbe(loop)
        gauges = Gauges(
            settings=settings,
            process=process,
            registry=registry,
            exchange=exchange,
            pacer=pacer,
            hearing=equipment.hearing,
            lag=lag,
            control=control,
            bell=bell,
            door=door,
            recorder=recorder,
            filesystem=recordings.filesystem_id(settings.recordings_dir),
        )
        pages = Pages(health=gauges.health, ready=gauges.ready, metrics=gauges.text)
        server = MediaServer(door, pages, settings.phone_secret)
        await server.start(host, port)
        stack.push_async_callback(server.stop)
        for duty in (control.run(), owners.run(), heart.run(), casting.run()):
            stack.callback(_begin(duty).cancel)
        lag.start()
        stack.callback(lag.stop)
        gc.collect()
        gc.freeze()  # what lives as long as the process is never looked at again
        log.info(
            "media is ready",
            extra={"listen": f"{host}:{port}", "capacity": registry.capacity, "stand_ins": ",".join(settings.standins)},
        )
        await stopping.wait()
        await drain(registry, exchange, heart, stopping, settings.drain_timeout)
        await heart.stop()


async def open_equipment(
    settings: Settings, registry: Registry, clock: Clock, speech: Speech, stack: AsyncExitStack
) -> tuple[Recorder, Equipment]:
    """The recorder, and what every session uses; ``stack`` gives them back. Raises OSError."""
    loop = asyncio.get_running_loop()
    settings.recordings_dir.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(loop, settings.recordings_dir, _recording_failed)
    recorder.start()
    stack.push_async_callback(recorder.stop)
    hearing = Hearing(loop, registry.capacity + headroom(registry.capacity) + SPARE_EARS)
    hearing.start()
    stack.callback(hearing.stop)
    clips = HttpClips()
    stack.push_async_callback(clips.close)
    return recorder, Equipment(clock=clock, soon=loop.call_soon, hearing=hearing, speech=speech, clips=clips)


def session_defaults(settings: Settings) -> SessionOptions:
    """How a phone call's session behaves unless its playbook says otherwise."""
    return SessionOptions(
        barge_in=True, asr=TranscriptionOption(), tts=SynthesisOption(), longest=settings.max_call_seconds
    )


async def drain(registry: Registry, exchange: Exchange, heart: Heart, stopping: asyncio.Event, timeout: float) -> None:
    """Takes no more than was dialled already, lets live calls finish, ends what is left; a second signal ends all."""
    registry.draining = True
    stopping.clear()
    await heart.beat()
    log.info("media drains", extra={"sessions": registry.sessions, "timeout": int(timeout)})
    again = asyncio.ensure_future(stopping.wait())
    empty = asyncio.ensure_future(registry.empty())
    await asyncio.wait([again, empty], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    empty.cancel()
    left = registry.sessions
    exchange.end_all("shutdown")
    await asyncio.sleep(0)
    await exchange.closed()
    log.info("media leaves", extra={"sessions_ended": left, "admitted": registry.admitted, "refused": registry.refused})


def _signals(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def _recording_failed(recording: Recording, error: Exception) -> None:
    log.error("a recording cannot be written; the call goes on", extra={"part": recording.part, "error": str(error)})


def _begin(duty: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(duty)
    task.add_done_callback(_duty_ended)
    return task


def _duty_ended(duty: asyncio.Future[None]) -> None:
    """Those run for ever; one that ends has failed, which is logged, and the calls go on."""
    if not duty.cancelled() and (error := duty.exception()) is not None:
        log.error("a duty of the media process failed", exc_info=error)


if __name__ == "__main__":
    sys.exit(main())
