"""The phone system put together: exchange, ticker, events, HTTP."""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

import msgspec
from tornado.httpserver import HTTPServer

from sandbox.people.speech import EspeakSpeech
from sandbox.phone.clock import Clock, SystemClock
from sandbox.phone.courier import Courier
from sandbox.phone.exchange import Exchange
from sandbox.phone.line import Line
from sandbox.phone.server import DIALOG_PATH, FAULTS_PATH, PEOPLE_PATH, REPORT_PATH, serve_http
from sandbox.phone.ticker import Ticker
from sandbox.scenario import Scenario

log = logging.getLogger(__name__)


BACKLOG = 512
"""Connections that may wait to be taken: every startcall comes on a fresh one, hundreds a second."""


class PhoneConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where the phone system listens and where it calls back. Without a URL there are no events, or no audio."""

    host: str = "127.0.0.1"
    port: int = 0
    callback_url: str | None = None
    audio_url: str | None = None
    secret: str | None = None
    secret_in: Literal["header", "query"] = "header"
    """Sent as `Authorization: Bearer SECRET`, or as the query parameter `secret`."""
    scenario: Scenario = msgspec.field(default_factory=Scenario)

    def with_secret(self, url: str | None) -> str | None:
        """A URL to call back, with the secret in it if it goes there."""
        if url is None or self.secret is None or self.secret_in == "header":
            return url
        return url + ("&" if "?" in url else "?") + urlencode({"secret": self.secret})

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every call back."""
        by_header = self.secret is not None and self.secret_in == "header"
        return {"Authorization": f"Bearer {self.secret}"} if by_header else {}


@dataclass(slots=True)
class PhoneSystem:
    """A running phone system. Its exchange is open to tests in the same process."""

    address: str
    exchange: Exchange
    _http: HTTPServer
    _ticking: asyncio.Task[None]
    _courier: Courier
    _speech: EspeakSpeech

    @property
    def url(self) -> str:
        """The dialog API's base URL."""
        return self.address + DIALOG_PATH

    @property
    def report_url(self) -> str:
        return self.address + REPORT_PATH

    @property
    def faults_url(self) -> str:
        return self.address + FAULTS_PATH

    @property
    def people_url(self) -> str:
        return self.address + PEOPLE_PATH

    async def close(self) -> None:
        """Take no more requests, end every call, give up the events that are not delivered yet."""
        self._http.stop()
        await self.exchange.close()
        self._ticking.cancel()
        await asyncio.gather(self._ticking, return_exceptions=True)
        await self._courier.close()
        await self._http.close_all_connections()
        self._speech.close()


async def serve_phone(config: PhoneConfig, clock: Clock | None = None) -> PhoneSystem:
    """Start a phone system in this event loop. Raises OSError if the port is taken."""
    clock = clock or SystemClock()
    listening = socket.create_server((config.host, config.port), backlog=BACKLOG)
    listening.setblocking(False)
    settings = config.scenario.phone
    speech = EspeakSpeech()
    courier = Courier(config.with_secret(config.callback_url), config.headers, settings)
    audio_url = config.with_secret(config.audio_url)
    exchange = Exchange(
        settings,
        config.scenario.directory,
        config.scenario.faults,
        clock,
        speech,
        courier,
        lambda call_id, receive, sent: Line(audio_url, config.headers, settings, call_id, receive, sent),
    )
    ticker = Ticker(clock, exchange.tick)
    http = serve_http(exchange, ticker, listening)
    address = f"http://{config.host}:{listening.getsockname()[1]}"
    ticking = asyncio.get_running_loop().create_task(ticker.run())
    ticking.add_done_callback(_report_death)
    return PhoneSystem(address, exchange, http, ticking, courier, speech)


def _report_death(ticking: asyncio.Task[None]) -> None:
    """Without its ticker the phone system stands still: say so loudly."""
    if not ticking.cancelled() and (error := ticking.exception()) is not None:
        log.critical("the ticker died; no call goes on", exc_info=error)
