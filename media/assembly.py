"""Puts a media process together: each part once, and what it needs from outside."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from media.agent.casting import AgentCasting, open_casting
from media.bell import Bell
from media.briefing import RedisBriefings
from media.control import Control
from media.draining import Drain
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
from media.relief import Relief, place
from media.ringing import Ringing
from media.server import MediaServer, Pages
from media.session.clips import HttpClips
from media.session.equipment import Equipment
from media.shelf import Shelf
from media.speech.providers import Speech, open_speech
from media.speech.standing import Standing
from media.timekeeping import Timekeeper
from shared import bus, recordings
from shared.clock import Clock, HouseClock
from shared.doorbell import Doorbell
from shared.phone.client import AsyncPhoneSystem
from shared.settings import Settings

SPARE_EARS = 16
"""Rows for calls that end and begin within one look of the ears."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What a process works with outside itself."""

    redis: redis.asyncio.Redis
    timekeeper: Timekeeper
    bell: Bell
    phone: AsyncPhoneSystem
    speech: Speech
    casting: AgentCasting


@dataclass(frozen=True, kw_only=True)
class Process:
    """What serves, says how it is, works on, and leaves."""

    server: MediaServer
    gauges: Gauges
    duties: tuple[Callable[[], Coroutine[Any, Any, None]], ...]
    """What runs for as long as the process does."""
    drain: Drain


async def assemble(settings: Settings, stack: AsyncExitStack) -> Process:
    """All parts of a process; ``stack`` gives back what they hold. Raises OSError, WaihuError."""
    clock = HouseClock()
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    host, port = settings.media_listen
    outside = await open_outside(settings, clock, stack)
    registry = Registry(settings.media_capacity)
    recorder, equipment = await open_equipment(settings, registry, clock, outside.speech, stack)
    plant, exchange = join(settings, outside, registry, recorder, equipment, name)
    stack.callback(plant.pacer.stop)
    stack.push_async_callback(plant.control.flush)
    door = PhoneDoor(exchange, clock.monotonic)
    heart = Heart(outside.redis, registry, clock, name, f"{host}:{port}", place())
    standing = Standing(outside.speech, registry, heart.beat)
    shelf = Shelf(settings.recordings_dir, recorder, registry, heart.beat)
    await shelf.look()  # before the first heartbeat says that calls may come
    gauges = _gauges(settings, plant, exchange, door, recorder, shelf, standing, name)
    pages = Pages(health=gauges.health, ready=gauges.ready, metrics=gauges.text)
    server = MediaServer(door, pages, settings.phone_secret)
    return Process(
        server=server,
        gauges=gauges,
        duties=(
            outside.timekeeper.run,
            plant.control.run,
            plant.owners.run,
            shelf.run,
            heart.run,
            standing.run,
            outside.casting.run,
        ),
        drain=Drain(
            registry=registry,
            exchange=exchange,
            heart=heart,
            ringing=None if "phone" in settings.standins else Ringing(outside.redis, registry, name),
            relief=Relief(outside.redis, name, settings.media_listen, server),
            timeout=settings.drain_timeout,
            ring_timeout=settings.ring_timeout,
        ),
    )


async def open_outside(settings: Settings, clock: HouseClock, stack: AsyncExitStack) -> Outside:
    """Redis and its time, the workers' bell, the phone system, speech and playbooks; ``stack`` gives them back. Raises WaihuError."""
    client = bus.open_async_redis(settings.redis_url)
    stack.push_async_callback(client.aclose)
    bell = Bell(Doorbell(settings.redis_url))
    bell.start()
    stack.push_async_callback(asyncio.to_thread, bell.stop)
    phone = AsyncPhoneSystem(settings.phone_url, timeout=settings.phone_timeout, record=settings.phone_record)
    stack.push_async_callback(phone.close)
    speech = open_speech(settings)
    stack.push_async_callback(speech.close)
    casting = open_casting(settings, speech)
    stack.push_async_callback(casting.close)
    timekeeper = Timekeeper(client, clock)
    return Outside(redis=client, timekeeper=timekeeper, bell=bell, phone=phone, speech=speech, casting=casting)


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


def join(
    settings: Settings, outside: Outside, registry: Registry, recorder: Recorder, equipment: Equipment, name: str
) -> tuple[Plant, Exchange]:
    """The exchange, and what it works with; ``name`` is the process's own."""
    briefings = RedisBriefings(outside.redis, outside.bell, outside.timekeeper)
    plant = Plant(
        equipment=equipment,
        pacer=Pacer(asyncio.get_running_loop(), lambda sink, error: exchange.failed(sink, error)),
        recorder=recorder,
        registry=registry,
        briefings=briefings,
        control=Control(outside.redis, briefings, name, lambda uuid, hint: exchange.hint(uuid, hint)),
        owners=Owners(outside.redis, name),
        bell=outside.bell,
        phone=outside.phone,
        casting=outside.casting,
        defaults=session_defaults(settings),
        stem=lambda briefing: recordings.stem(briefing.uuid, briefing.created_at, settings.timezone),
    )
    exchange = Exchange(plant)
    return plant, exchange


def session_defaults(settings: Settings) -> SessionOptions:
    """How a phone call's session behaves unless its playbook says otherwise."""
    return SessionOptions(
        barge_in=True,
        asr=TranscriptionOption(),
        tts=SynthesisOption(),
        longest=settings.max_call_seconds,
        fallback_file=settings.fallback_file,
        fallback_file_seconds=settings.fallback_file_length,
    )


def _gauges(
    settings: Settings,
    plant: Plant,
    exchange: Exchange,
    door: PhoneDoor,
    recorder: Recorder,
    shelf: Shelf,
    standing: Standing,
    name: str,
) -> Gauges:
    return Gauges(
        settings=settings,
        process=name,
        registry=plant.registry,
        exchange=exchange,
        pacer=plant.pacer,
        hearing=plant.equipment.hearing,
        lag=LagProbe(asyncio.get_running_loop()),
        control=plant.control,
        bell=plant.bell,
        door=door,
        recorder=recorder,
        shelf=shelf,
        standing=standing,
        filesystem=recordings.filesystem_id(settings.recordings_dir),
        clock=plant.equipment.clock,
    )


def _recording_failed(recording: Recording, error: Exception) -> None:
    log.error("a recording cannot be written; the call goes on", extra={"part": recording.part, "error": str(error)})
