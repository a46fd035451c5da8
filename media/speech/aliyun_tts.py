"""Streaming synthesis by DashScope (CosyVoice): text in pieces, raw audio back on a warm connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from media.speech.aliyun import (
    PROVIDER,
    SEND_SECONDS,
    START_SECONDS,
    continue_task,
    finish_task,
    new_task_id,
    read,
    run_task,
)
from media.speech.aliyun_pool import ConnectionPool
from media.speech.aliyun_words import WordTimes
from media.speech.ports import SpeechFailure, SpokenWord, SynthesisListener, SynthesisOptions

LONGEST_TEXT = 2000
"""Characters in one continue-task, as the service documents; longer texts go in several."""
SLOWEST, FASTEST = 0.5, 2.0
"""Bounds of the service's ``rate``."""
LOUDEST = 10
"""Active Call's volume goes from 1 to 10 (its default is 5), the service's from 0 to 100 (50)."""

log = logging.getLogger(__name__)


class AliyunSynthesizer:
    """Implements Synthesizer for complete options (endpoint, key, model, speaker)."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, str], ConnectionPool] = {}
        self._speaking: set[AliyunUtterance] = set()

    def open(self, options: SynthesisOptions, listener: SynthesisListener) -> AliyunUtterance:
        """See Synthesizer."""
        utterance = AliyunUtterance(self._pool(options), options, listener, self._speaking.discard)
        self._speaking.add(utterance)
        return utterance

    def prepare(self, options: SynthesisOptions) -> None:
        """See Synthesizer."""
        self._pool(options).prepare()

    async def close(self) -> None:
        """See Synthesizer."""
        for utterance in list(self._speaking):
            utterance.cancel()
        for pool in self._pools.values():
            await pool.close()

    def _pool(self, options: SynthesisOptions) -> ConnectionPool:
        key = (options.endpoint, options.key)
        if key not in self._pools:
            self._pools[key] = ConnectionPool(*key)
        return self._pools[key]


class AliyunUtterance:
    """One task; implements SynthesisStream."""

    def __init__(
        self,
        pool: ConnectionPool,
        options: SynthesisOptions,
        listener: SynthesisListener,
        on_end: Callable[[AliyunUtterance], None],
    ) -> None:
        self._pool = pool
        self._options = options
        self._listener = listener
        self._on_end = on_end
        self._texts: list[str] = []
        self._changed = asyncio.Event()
        self._finished = False
        self._task: asyncio.Task[None] | None = None
        self._cause: SpeechFailure | None = None
        self._odd = b""
        self._words = WordTimes()
        self._heard = 0
        """Bytes of audio that have come."""

    def send(self, text: str) -> None:
        """See SynthesisStream."""
        if self._finished or not text:
            return
        self._words.sent(text)
        self._texts += [text[at : at + LONGEST_TEXT] for at in range(0, len(text), LONGEST_TEXT)]
        self._changed.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="aliyun-tts")

    def finish(self) -> None:
        """See SynthesisStream."""
        if self._finished:
            return
        self._finished = True
        self._changed.set()
        if self._task is None:
            asyncio.get_running_loop().call_soon(self._end_silently)

    def cancel(self) -> None:
        """See SynthesisStream. The service knows no cancel: the connection is dropped, and a spare opened."""
        self._finished = True
        self._on_end(self)
        if self._task is not None:
            self._task.cancel()
        self._listener = _NOBODY

    def _end_silently(self) -> None:
        self._on_end(self)
        self._listener.on_done()

    async def _run(self) -> None:
        """Task boundary: what a callback raises ends the utterance, and is logged."""
        try:
            await self._attempt()
        except SpeechFailure as failure:
            self._listener.on_failure(failure)
        except Exception as error:
            log.exception("synthesis ended by an error")
            self._listener.on_failure(SpeechFailure(PROVIDER, "internal", f"{type(error).__name__} in our own code"))
        else:
            self._listener.on_done()
        finally:
            self._finished = True
            self._on_end(self)

    async def _attempt(self) -> None:
        """Speaks on a warm connection; if that one was dead before the task began, on a new one."""
        connection, waited = await self._pool.acquire()
        try:
            task_id = await self._begin(connection)
        except SpeechFailure as failure:
            if not (waited and failure.retryable):
                raise
            connection, _ = await self._pool.acquire(fresh=True)
            task_id = await self._begin(connection)
        await self._speak(connection, task_id)

    async def _begin(self, connection: ClientConnection) -> str:
        """run-task until task-started. Drops the connection and raises SpeechFailure if that fails."""
        task_id = new_task_id()
        started = False
        try:
            async with asyncio.timeout(START_SECONDS):
                await connection.send(
                    run_task(task_id, "tts", "SpeechSynthesizer", self._options.model, _parameters(self._options))
                )
                while not started:
                    message = await connection.recv()
                    started = isinstance(message, str) and read(message).event == "task-started"
        except TimeoutError as error:
            message = f"no task-started within {START_SECONDS:g} s"
            raise SpeechFailure(PROVIDER, "connect", message, retryable=True) from error
        except ConnectionClosed as error:
            raise SpeechFailure(
                PROVIDER, "closed", "the connection was closed before the task", retryable=True
            ) from error
        finally:
            if not started:
                self._pool.drop(connection)
        return task_id

    async def _speak(self, connection: ClientConnection, task_id: str) -> None:
        writer = asyncio.create_task(self._write(connection, task_id), name="aliyun-tts-writer")
        done = False
        try:
            await self._listen(connection)
            done = True
        except ConnectionClosed as error:
            closed = SpeechFailure(PROVIDER, "closed", "the connection was closed in mid-stream", retryable=True)
            raise self._cause or closed from error
        finally:
            writer.cancel()
            if done:
                self._pool.release(connection)
            else:
                self._pool.drop(connection)
                self._pool.prepare()

    async def _write(self, connection: ClientConnection, task_id: str) -> None:
        """Sends the texts as they come, then finish-task. Ends with the connection, whoever closed it."""
        try:
            async with asyncio.timeout(None) as limit:
                while True:
                    limit.reschedule(asyncio.get_running_loop().time() + SEND_SECONDS)
                    while self._texts:
                        await connection.send(continue_task(task_id, self._texts.pop(0)))
                    if self._finished:
                        await connection.send(finish_task(task_id))
                        return
                    limit.reschedule(None)
                    self._changed.clear()
                    await self._changed.wait()
        except ConnectionClosed:
            return
        except TimeoutError:
            message = f"the service took no text for {SEND_SECONDS:g} s"
            self._cause = SpeechFailure(PROVIDER, "closed", message, retryable=True)
            connection.transport.abort()

    async def _listen(self, connection: ClientConnection) -> None:
        while True:
            message = await connection.recv()
            if isinstance(message, bytes):
                self._hear(message)
                continue
            reply = read(message)
            if reply.event == "task-finished":
                return
            if reply.sentence is not None and self._options.subtitle:
                heard_ms = self._heard * 1000 // (2 * self._options.samplerate)
                words = self._words.take(reply.sentence, reply.original_text, heard_ms)
                if words:
                    self._listener.on_words(words)

    def _hear(self, audio: bytes) -> None:
        """A chunk may end in the middle of a sample."""
        self._heard += len(audio)
        audio = self._odd + audio
        whole = len(audio) - len(audio) % 2
        self._odd = audio[whole:]
        if whole:
            self._listener.on_audio(audio[:whole])


class _Nobody:
    """Listens to a cancelled utterance: nothing is called after ``cancel``."""

    def on_audio(self, pcm: bytes) -> None:
        pass

    def on_words(self, words: Sequence[SpokenWord]) -> None:
        pass

    def on_done(self) -> None:
        pass

    def on_failure(self, failure: SpeechFailure) -> None:
        pass


_NOBODY = _Nobody()


def _parameters(options: SynthesisOptions) -> dict[str, object]:
    parameters: dict[str, object] = {
        "text_type": "PlainText",
        "voice": options.speaker,
        "format": "pcm",
        "sample_rate": options.samplerate,
        "volume": min(max(options.volume, 0), LOUDEST) * 100 // LOUDEST,
        "rate": min(max(options.speed, SLOWEST), FASTEST),
    }
    if options.subtitle:
        parameters["word_timestamp_enabled"] = True
    return parameters | dict(options.extra)
