"""The media process: ``python -m media.main`` (``--processes N`` for several behind one port).

Reads top to bottom: settings, the parts, the server; then it works until SIGTERM, lets live calls finish, and leaves.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from media.agent.rehearsal import rehearse
from media.assembly import assemble
from media.draining import told_once
from media.several import Siblings
from shared import logs
from shared.errors import SettingsError, WaihuError
from shared.settings import Settings, load, require_safe_listen

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
        return Siblings(asked.processes).run()
    try:
        uvloop.run(run(settings))
    except (OSError, WaihuError) as error:
        host, port = settings.media_listen
        log.error("media cannot start", extra={"listen": f"{host}:{port}", "error": str(error)})
        return 1
    return 0


async def run(settings: Settings) -> None:
    """One process from its start to its end.

    Raises OSError if it cannot listen or write recordings, WaihuError if the voice model or a playbook is missing.
    """
    signalled = _signals(asyncio.get_running_loop())
    host, port = settings.media_listen
    async with AsyncExitStack() as stack:
        process = await assemble(settings, stack)
        gauges = process.gauges
        await rehearse()
        await process.server.start(host, port)
        stack.push_async_callback(process.server.stop)
        for duty in process.duties:
            stack.callback(_begin(duty()).cancel)
        gc.collect()
        gc.freeze()  # what lives as long as the process is never looked at again
        gauges.lag.start()  # after that: it takes a tenth of a second while nobody talks yet, and is no news
        stack.callback(gauges.lag.stop)
        ready = {"capacity": settings.media_capacity, "stand_ins": ",".join(settings.standins)}
        log.info("media is ready", extra={"listen": f"{host}:{port}", **ready})
        await signalled.wait()
        await process.drain.run(signalled)
        await process.drain.heart.stop()


def _signals(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    stopping = asyncio.Event()
    hear = told_once(stopping.set, loop.time)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, hear)
    return stopping


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
