"""Streaming recognition by DashScope (paraformer-realtime), with reconnects that lose no word."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from media.speech.aliyun import (
    PROVIDER,
    SEND_SECONDS,
    START_SECONDS,
    Sentence,
    finish_task,
    new_task_id,
    open_connection,
    read,
    run_task,
)
from media.speech.backlog import Backlog
from media.speech.ports import Recognition, RecognitionOptions, SpeechFailure

BACKLOG_SECONDS = 10.0
"""Audio that waits for a connection or may be sent again after one broke: longer than all reconnects together take."""
BLOCK_SECONDS = 0.1
"""What the service recommends for one message; ten a second and call."""
SENTENCE_SILENCE_MS = 400
"""Silence after which the service makes a sentence final. Its default, 800, would hold up every answer; the pieces that
a pause makes of one sentence are joined again by turn detection."""
RECONNECT_SECONDS = (0.1, 0.5, 1.5)
"""Pauses before each new try. As many failures in a row, without a word between them, and recognition is over: a
heartbeat shows that the service hears, not that it understands."""
RESULT_SECONDS = 3.0
"""From the end of speech to a result of any kind: normally below one; after three the stream hangs."""
MOST_STALLS = 2
"""Times that the same speech may bring no result, on connections of their own; then the service hangs altogether."""
FINISH_SECONDS = 5.0
"""From finish-task to task-finished."""

log = logging.getLogger(__name__)


class AliyunRecognizer:
    """One call's recognition; implements Recognizer. ``options`` must be complete (endpoint, key, model)."""

    def __init__(
        self,
        options: RecognitionOptions,
        on_recognition: Callable[[Recognition], None],
        on_failure: Callable[[SpeechFailure], None],
    ) -> None:
        self._options = options
        self._on_recognition = on_recognition
        self._on_failure = on_failure
        self._backlog = Backlog(options.samplerate, options.origin_ms, BACKLOG_SECONDS)
        self._block = int(options.samplerate * BLOCK_SECONDS) * 2
        self._pushed = asyncio.Event()
        self._finishing = False
        self._index = 0
        self._sentence_open = False
        self._sentence_id: int | None = None
        self._had_result = False
        self._connection: ClientConnection | None = None
        self._cause: SpeechFailure | None = None
        self._result_timer: asyncio.TimerHandle | None = None
        self._task = asyncio.get_running_loop().create_task(self._run(), name="aliyun-asr")

    def push(self, pcm: bytes | bytearray | memoryview) -> None:
        """See Recognizer."""
        if not self._finishing:
            self._backlog.push(pcm)
            self._pushed.set()

    def expect_result(self) -> None:
        """See Recognizer."""
        if self._result_timer is None and self._connection is not None:
            failure = SpeechFailure(PROVIDER, "first_result", f"no result within {RESULT_SECONDS:g} s", retryable=True)
            loop = asyncio.get_running_loop()
            self._result_timer = loop.call_later(RESULT_SECONDS, self._give_up, self._connection, failure)

    def finish(self) -> None:
        """See Recognizer."""
        self._finishing = True
        self._pushed.set()

    async def finished(self) -> None:
        """See Recognizer."""
        await asyncio.wait([self._task])

    async def close(self) -> None:
        """See Recognizer."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    # --- connections ---------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Task boundary: what a callback raises ends recognition, and is logged."""
        try:
            await self._persist()
        except SpeechFailure as failure:
            self._on_failure(failure)
        except Exception as error:
            log.exception("recognition ended by an error")
            self._on_failure(SpeechFailure(PROVIDER, "internal", f"{type(error).__name__} in our own code"))

    async def _persist(self) -> None:
        """One connection after another until all is recognised. Raises SpeechFailure when it cannot be."""
        failures = stalls = 0
        while True:
            self._had_result = False
            try:
                await self._converse(stalled=stalls > 0)
                return
            except SpeechFailure as failure:
                failures = 1 if self._had_result else failures + 1
                stalls = stalls + 1 if failure.code == "first_result" else 0
                if not failure.retryable or failures > len(RECONNECT_SECONDS) or stalls >= MOST_STALLS:
                    raise
                log.warning("recognition broke off, connecting again", extra={"code": failure.code, "try": failures})
            await asyncio.sleep(RECONNECT_SECONDS[failures - 1])

    async def _converse(self, *, stalled: bool) -> None:
        """One connection, one task. Returns when the task finished; raises SpeechFailure otherwise.

        ``stalled``: no result came of what is sent again now, so that one is due soon.
        """
        connection = await open_connection(self._options.endpoint, self._options.key)
        writer: asyncio.Task[None] | None = None
        self._cause = None
        try:
            task_id = await self._start(connection)
            self._sentence_id = None
            base_ms = self._backlog.rewind()
            self._connection = connection
            if stalled:
                self.expect_result()
            writer = asyncio.create_task(self._write(connection, task_id), name="aliyun-asr-writer")
            await self._listen(connection, base_ms)
            await connection.close()
        except ConnectionClosed as error:
            closed = SpeechFailure(PROVIDER, "closed", "the connection was closed in mid-stream", retryable=True)
            raise self._cause or closed from error
        finally:
            self._connection = None
            self._disarm()
            if writer is not None:
                writer.cancel()
            connection.transport.abort()

    async def _start(self, connection: ClientConnection) -> str:
        task_id, options = new_task_id(), self._options
        parameters: dict[str, object] = {
            "format": "pcm",
            "sample_rate": options.samplerate,
            "heartbeat": True,  # or the service ends the task after 60 s of silence
            "max_sentence_silence": SENTENCE_SILENCE_MS,
        }
        if options.language:
            parameters["language_hints"] = [options.language.partition("-")[0].lower()]
        await connection.send(run_task(task_id, "asr", "recognition", options.model, parameters | dict(options.extra)))
        try:
            async with asyncio.timeout(START_SECONDS):
                while read(_text(await connection.recv())).event != "task-started":
                    pass
        except TimeoutError as error:
            message = f"no task-started within {START_SECONDS:g} s"
            raise SpeechFailure(PROVIDER, "connect", message, retryable=True) from error
        return task_id

    async def _write(self, connection: ClientConnection, task_id: str) -> None:
        """Sends audio in whole blocks, the rest when finishing. Ends with the connection, whoever closed it."""
        try:
            while True:
                while self._backlog.waiting >= self._block or (self._finishing and self._backlog.waiting):
                    await self._send(connection, self._backlog.take(self._block))
                if self._finishing:
                    break
                self._pushed.clear()
                await self._pushed.wait()
            await self._send(connection, finish_task(task_id))
        except ConnectionClosed:
            return
        failure = SpeechFailure(PROVIDER, "closed", f"no task-finished within {FINISH_SECONDS:g} s")
        await asyncio.sleep(FINISH_SECONDS)
        self._give_up(connection, failure)

    async def _send(self, connection: ClientConnection, data: bytes | str) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await connection.send(data)
        except TimeoutError:
            message = f"the service took no audio for {SEND_SECONDS:g} s"
            self._give_up(connection, SpeechFailure(PROVIDER, "closed", message, retryable=True))

    def _give_up(self, connection: ClientConnection, cause: SpeechFailure) -> None:
        """Breaks the connection; its reader then raises ``cause``."""
        self._cause = cause
        connection.transport.abort()

    def _disarm(self) -> None:
        if self._result_timer is not None:
            self._result_timer.cancel()
            self._result_timer = None

    # --- results -------------------------------------------------------------------------------------------------

    async def _listen(self, connection: ClientConnection, base_ms: int) -> None:
        while True:
            reply = read(_text(await connection.recv()))
            if reply.event == "task-finished":
                return
            if reply.event == "result-generated" and reply.sentence is not None:
                self._had_result = self._had_result or (bool(reply.sentence.text) and not reply.sentence.heartbeat)
                self._disarm()
                self._understand(reply.sentence, base_ms)

    def _understand(self, sentence: Sentence, base_ms: int) -> None:
        if sentence.heartbeat:
            return
        final = sentence.end_time is not None if sentence.sentence_end is None else sentence.sentence_end
        if not sentence.text and not self._sentence_open:
            return
        self._count(sentence.sentence_id)
        start = base_ms + (sentence.begin_time or 0)
        end = max(start, base_ms + _end_time(sentence))
        self._sentence_open = not final
        index = self._index
        if final:
            self._index += 1
            self._backlog.settle(end)
        self._on_recognition(Recognition(index, sentence.text, start, end, final))

    def _count(self, sentence_id: int | None) -> None:
        """A sentence that begins before the one ahead of it became final takes the next index."""
        if self._sentence_open and None not in (self._sentence_id, sentence_id) and sentence_id != self._sentence_id:
            self._index += 1
        self._sentence_id = sentence_id


def _end_time(sentence: Sentence) -> int:
    if sentence.end_time is not None:
        return sentence.end_time
    return next((word.end_time for word in reversed(sentence.words) if word.end_time is not None), 0)


def _text(message: str | bytes) -> str:
    if isinstance(message, bytes):
        raise SpeechFailure(PROVIDER, "protocol", f"expected text, got {len(message)} bytes of binary", retryable=True)
    return message
