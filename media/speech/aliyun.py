"""DashScope's duplex WebSocket protocol: the messages that recognition and synthesis share, and how to connect.

One connection carries one task at a time: ``run-task``, then ``task-started``, then data both ways, ``finish-task``,
``task-finished`` (or ``task-failed``). After ``task-finished`` the connection may carry another task.
"""

from __future__ import annotations

import functools
import ssl
import uuid
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

from media.speech.ports import SpeechFailure

PROVIDER = "aliyun"
ENDPOINT = "wss://dashscope.aliyuncs.com/api-ws/v1/inference"
CONNECT_SECONDS = 3.0
"""DNS, TCP, TLS and the upgrade: 0.2 s in the same country; three seconds leave room for one lost SYN."""
START_SECONDS = 3.0
"""From run-task to task-started: 50 to 200 ms when the service is well."""
SEND_SECONDS = 2.0
"""A send that waits so long for the socket to drain means a dead peer."""
CLOSE_SECONDS = 1.0
MAX_MESSAGE_BYTES = 1 << 20
"""TTS sends chunks of some 10 kB, ASR sentences of a few; above 1 MiB something is wrong."""
_FATAL = ("Invalid", "AccessDenied", "Arrearage", "ModelNotFound", "Model.AccessDenied", "DataInspectionFailed")
"""Beginnings of error codes that the same request would meet again."""


class Word(msgspec.Struct, frozen=True):
    """A word of a sentence; recognition gives times, synthesis also the indexes into the sentence's text."""

    begin_time: int | None = None
    end_time: int | None = None
    text: str = ""
    begin_index: int | None = None
    end_index: int | None = None


class Sentence(msgspec.Struct, frozen=True):
    """``begin_time`` and ``end_time`` in ms from the task's first audio; ``end_time`` is null while it goes on."""

    begin_time: int | None = None
    end_time: int | None = None
    text: str = ""
    sentence_id: int | None = None
    index: int | None = None
    """Synthesis counts the sentences of a task from 0."""
    sentence_end: bool | None = None
    heartbeat: bool | None = None
    words: list[Word] = []


class _Output(msgspec.Struct, frozen=True):
    sentence: Sentence | None = None
    original_text: str | None = None


class _Payload(msgspec.Struct, frozen=True):
    output: _Output | None = None


class _Header(msgspec.Struct, frozen=True):
    event: str
    task_id: str = ""
    error_code: str | None = None
    error_message: str | None = None


class Reply(msgspec.Struct, frozen=True):
    """A text message of the service."""

    header: _Header
    payload: _Payload | None = None

    @property
    def event(self) -> str:
        """``task-started``, ``result-generated``, ``task-finished`` or ``task-failed``."""
        return self.header.event

    @property
    def sentence(self) -> Sentence | None:
        """The sentence of a ``result-generated``."""
        return self.payload.output.sentence if self.payload and self.payload.output else None

    @property
    def original_text(self) -> str:
        """What synthesis says in this sentence, where it is told."""
        return (self.payload.output.original_text or "") if self.payload and self.payload.output else ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Reply)


def new_task_id() -> str:
    """32 hex digits."""
    return uuid.uuid4().hex


def run_task(task_id: str, task: str, function: str, model: str, parameters: Mapping[str, object]) -> str:
    """The message that begins a task."""
    payload = {
        "task_group": "audio",
        "task": task,
        "function": function,
        "model": model,
        "parameters": dict(parameters),
        "input": {},
    }
    return _message("run-task", task_id, payload)


def continue_task(task_id: str, text: str) -> str:
    """More text for a synthesis."""
    return _message("continue-task", task_id, {"input": {"text": text}})


def finish_task(task_id: str) -> str:
    """No more input."""
    return _message("finish-task", task_id, {"input": {}})


def read(message: str) -> Reply:
    """Raises SpeechFailure (``protocol``, or the service's code for ``task-failed``)."""
    try:
        reply = _decoder.decode(message)
    except msgspec.DecodeError as error:
        raise SpeechFailure(
            PROVIDER, "protocol", f"expected an event as JSON, got something else: {error}", retryable=True
        ) from error
    if reply.event == "task-failed":
        code = reply.header.error_code or "task-failed"
        message = (reply.header.error_message or "")[:200]
        raise SpeechFailure(PROVIDER, code, f"the task failed: {message}", retryable=not code.startswith(_FATAL))
    return reply


@functools.cache
def tls() -> ssl.SSLContext:
    """One TLS context for all connections: making one reads every authority's certificate, 80 ms of a small machine.

    Left to itself, the WebSocket library makes one for each connection, on the loop.
    """
    return ssl.create_default_context()


async def open_connection(endpoint: str, key: str) -> ClientConnection:
    """A connection without a task. Raises SpeechFailure (``connect`` or ``denied``) within CONNECT_SECONDS."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    try:
        return await connect(
            endpoint,
            additional_headers={"Authorization": f"Bearer {key}", "X-DashScope-DataInspection": "enable"},
            compression=None,  # audio does not shrink, and the windows would cost 300 kB a connection
            open_timeout=CONNECT_SECONDS,
            close_timeout=CLOSE_SECONDS,
            max_size=MAX_MESSAGE_BYTES,
            ssl=tls() if parts.scheme.lower() == "wss" else None,
            proxy=None if host in ("localhost", "::1") or host.startswith("127.") else True,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        code = "denied" if status in (401, 403) else "connect"
        raise SpeechFailure(
            PROVIDER, code, f"expected the WebSocket upgrade, got HTTP {status}", retryable=status >= 429
        ) from error
    except (OSError, InvalidHandshake, InvalidURI, EOFError) as error:
        raise SpeechFailure(PROVIDER, "connect", f"cannot connect: {type(error).__name__}", retryable=True) from error


def _message(action: str, task_id: str, payload: Mapping[str, object]) -> str:
    header = {"action": action, "task_id": task_id, "streaming": "duplex"}
    return _encoder.encode({"header": header, "payload": payload}).decode()
