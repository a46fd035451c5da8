"""The phone system's HTTP side: the documented dialog API, and beside it the report and the faults.

| route | |
|---|---|
| `POST /np/sandbox/dialog[/]` | startcall (phone-system.txt, 2.1) |
| `POST /np/sandbox/dialog/{uuid}` | the actions of a call (2.2 to 2.7) |
| `GET /np/sandbox/report[/{call_id or requestId}]` | what happened; beyond the document, for tests and demonstrations |
| `DELETE /np/sandbox/report` | forget it |
| `GET, POST, DELETE /np/sandbox/faults` | see, set (query `number` for some numbers only) or clear faults |
| `GET /np/sandbox/people` | who answers which number |
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any
from urllib.parse import unquote

import msgspec
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from sandbox.people.directory import DirectoryError
from sandbox.phone import requests
from sandbox.phone.call import Call
from sandbox.phone.exchange import Exchange
from sandbox.phone.faults import FaultError, Faults, decode_faults
from sandbox.phone.figures import percentiles
from sandbox.phone.refusals import Code, Refusal
from sandbox.phone.ticker import Ticker
from shared.phone.wire import CallAction, Reply, encode

DIALOG_PATH = "/np/sandbox/dialog"
REPORT_PATH = "/np/sandbox/report"
FAULTS_PATH = "/np/sandbox/faults"
PEOPLE_PATH = "/np/sandbox/people"

HANG_SECONDS = 300.0
"""A startcall that hangs is let go after this, should the client never give up."""

FILE_VOICE = 3
"""The voice of preset audio files."""

WRONG_MARK = "another-client-mutation-id"


class _Handler(RequestHandler):
    """Answers in JSON; status 200 also for refusals, which are told by `code` (section 1.3)."""

    def initialize(self, exchange: Exchange, ticker: Ticker) -> None:
        self.exchange = exchange
        self.ticker = ticker
        self.gone = asyncio.Event()

    def on_connection_close(self) -> None:
        self.gone.set()

    def send(self, body: bytes, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(body)

    def send_object(self, document: Any, status: int = 200) -> None:
        self.send(msgspec.json.encode(document), status)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        message = f"expected POST {DIALOG_PATH} or another documented route, got one that does not exist"
        if status_code != 404:
            message = f"the request was not understood ({status_code} {self._reason})"
        self.send(encode(Reply(code=Code.BAD_REQUEST, msg=message)), status_code)


class StartCallHandler(_Handler):
    """``POST /``."""

    async def post(self) -> None:
        mark = ""
        try:
            document = requests.decode_object(self.request.body)
            mark = requests.mutation_id(document)
            call = self.exchange.start_call(requests.start_call(document))
        except Refusal as refusal:
            self.send(encode(Reply(code=refusal.code, msg=str(refusal), client_mutation_id=mark)))
            return
        faults = self.exchange.faults_of(call)
        if faults.wrong_echo:
            mark = WRONG_MARK
        if faults.startcall:
            await self._wait(call, faults)
        self._answer(call, faults, mark)

    async def _wait(self, call: Call, faults: Faults) -> None:
        """Until the faulty answer is due, or the client has gone."""
        if faults.startcall == "after_socket":
            await self._unless_gone(call.first_frame.wait(), HANG_SECONDS)
            return
        await self._unless_gone(call.rang.wait(), HANG_SECONDS)
        wait = HANG_SECONDS if faults.startcall == "hang" else faults.startcall_delay
        await self._unless_gone(asyncio.sleep(wait), wait)

    async def _unless_gone(self, waiting: Any, seconds: float) -> None:
        tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(self.gone.wait())]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _answer(self, call: Call, faults: Faults, mark: str) -> None:
        kind = faults.startcall
        if kind in ("broken", "hang"):
            self.detach().close()
        elif kind == "error":
            self.send(b"<html><body>502 Bad Gateway</body></html>", 502)
        elif kind == "garbage":
            self.send(b"\x00\xffOK: call placed\r\n")
        else:
            call_id = "" if kind == "empty" else call.id
            self.send(encode(Reply(code=Code.OK, msg=call_id, client_mutation_id=mark)))


class CallActionHandler(_Handler):
    """``POST /{uuid}``."""

    async def post(self, call_id: str) -> None:
        document: dict[str, Any] = {}
        code, message = Code.OK, "ok"
        try:
            document = requests.decode_object(self.request.body)
            await self._act(unquote(call_id), requests.call_action(document))
        except Refusal as refusal:
            code, message = refusal.code, str(refusal)
        mark = requests.mutation_id(document)
        call = self.exchange.register.find(call_id)
        if call is not None:
            action, parameters = document.get("action"), document.get("parameters")
            call.note(str(action)[:40], str(parameters)[:40], self.exchange.clock.now(), code, message)
            if self.exchange.faults_of(call).wrong_echo:
                mark = WRONG_MARK
        self.send(encode(Reply(code=code, msg=message, client_mutation_id=mark)))

    async def _act(self, call_id: str, request: CallAction) -> None:
        if request.action == "hangup":
            self.exchange.hang_up(call_id)
            return
        if request.action == "file_playback":
            await self._play_file(call_id, request.parameters)
            return
        talk = self.exchange.talk(call_id)
        if request.action == "start_stream":
            talk.stream.start()
        elif request.action == "stream_playback":
            talk.stream.play()
        elif request.action == "clean_stream":
            talk.stream.clean()
            talk.clear()
        else:
            talk.stream.stop()
            talk.clear()

    async def _play_file(self, call_id: str, name: str) -> None:
        text = self.exchange.settings.files.get(name)
        self.exchange.talk(call_id)
        if text is None:
            known = ", ".join(sorted(self.exchange.settings.files))
            raise Refusal(Code.UNKNOWN_FILE, f"expected the name of an uploaded file ({known}), got {name[:40]!r}")
        pcm = await self.exchange.speech.line(text, FILE_VOICE)
        self.exchange.talk(call_id).stream.play_file(pcm.astype("<i2").tobytes())


class ReportHandler(_Handler):
    """The report, whole or of one call."""

    def get(self, key: str | None = None) -> None:
        if not key:
            self.send_object({**self.exchange.register.report(), "tick_late_ms": percentiles(self.ticker.lateness)})
            return
        report = self.exchange.register.report_of(unquote(key))
        if report is None:
            self.send_object({"error": "no call has this call_id or requestId"}, 404)
        else:
            self.send_object(report)

    def delete(self, key: str | None = None) -> None:
        self.exchange.register.forget()
        self.send_object({"ok": True})


class FaultsHandler(_Handler):
    """The faults in force."""

    def get(self) -> None:
        self.send_object({"all": self.exchange.faults, "numbers": self.exchange.faults_by_number})

    def post(self) -> None:
        try:
            faults = decode_faults(self.request.body)
            self.exchange.set_faults(faults, self.get_query_argument("number", None))
        except (FaultError, DirectoryError) as error:
            self.send_object({"error": str(error)}, 400)
            return
        self.get()

    def delete(self) -> None:
        self.exchange.clear_faults()
        self.get()


class PeopleHandler(_Handler):
    """The table of numbers and manners."""

    def get(self) -> None:
        self.send_object(self.exchange.directory.table())


def serve_http(exchange: Exchange, ticker: Ticker, listening: socket.socket) -> HTTPServer:
    """Answer requests that come in on this listening socket, which must not block."""
    shared = {"exchange": exchange, "ticker": ticker}
    application = Application(
        [
            (DIALOG_PATH + "/?", StartCallHandler, shared),
            (DIALOG_PATH + "/([^/]+)/?", CallActionHandler, shared),
            (REPORT_PATH + "/?", ReportHandler, shared),
            (REPORT_PATH + "/([^/]+)", ReportHandler, shared),
            (FAULTS_PATH, FaultsHandler, shared),
            (PEOPLE_PATH, PeopleHandler, shared),
        ],
        default_handler_class=_NotFound,
        default_handler_args=shared,
        log_function=lambda handler: None,
    )
    server = HTTPServer(application, max_body_size=requests.MAX_BODY_BYTES)
    server.add_socket(listening)
    return server


class _NotFound(_Handler):
    def prepare(self) -> None:
        self.send_error(404)
