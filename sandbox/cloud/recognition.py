"""The stand-in for Paraformer: a recognition task whose words come from the audio alone."""

import asyncio
import math

from sandbox.cloud.config import CloudConfig
from sandbox.cloud.faults import Fault
from sandbox.cloud.tasks import GONE, Json, Reporter, TaskFailure, number, sample_rate
from sandbox.cloud.transcript import Sentence, Transcriber

_MAX_WAITING = (
    2048  # results that wait for their latency to pass: those of more than five minutes of speech sent at once
)
_INTO_THE_STREAM_MS = 500  # how much audio comes before a fault that belongs in mid-stream


class RecognitionTask:
    """Task of `tasks.Task` for `task: asr`. Raises TaskFailure for parameters that aren't served."""

    def __init__(self, reporter: Reporter, parameters: Json, config: CloudConfig, fault: Fault | None) -> None:
        if parameters.get("format") != "pcm":
            raise TaskFailure(
                "UNSUPPORTED_FORMAT", f"format: this stand-in recognises pcm only, got {parameters.get('format')!r}"
            )
        silence = number(parameters, "max_sentence_silence", 800, 200, 6000)
        self._transcriber = Transcriber(sample_rate(parameters, 16000), int(silence))
        self._reporter = reporter
        self._config = config.slowed() if fault == "slow" else config
        self._fault = fault
        self._results: asyncio.Queue[tuple[float, Sentence | None]] = asyncio.Queue(_MAX_WAITING)
        self._sender: asyncio.Task[None] | None = None
        self._heartbeat = parameters.get("heartbeat") is True
        self._told_ms = 0  # how much audio had come at the last result
        self._finishing = False

    @property
    def finished(self) -> bool:
        return self._sender is not None and self._sender.done()

    async def start(self) -> None:
        await self._reporter.event("task-started")
        self._sender = asyncio.create_task(self._send_results(), name="recognition results")

    async def text(self, text: str) -> None:
        raise TaskFailure("InvalidParameter", "continue-task: a recognition task takes binary audio, not text")

    async def audio(self, audio: bytes) -> None:
        if self._finishing:
            return
        for sentence in self._transcriber.feed(audio):
            self._put(sentence)
        if self._heartbeat and self._transcriber.milliseconds - self._told_ms >= self._config.asr_heartbeat * 1000:
            self._put(Sentence(0, "", self._transcriber.milliseconds, 0, (), ended=False))
        if self._fault and self._transcriber.milliseconds >= _INTO_THE_STREAM_MS:
            await self._show(self._fault)

    async def finish(self) -> None:
        if self._finishing:
            return
        self._finishing = True
        for sentence in self._transcriber.finish():
            self._put(sentence)
        self._queue(0.0, None)

    def cancel(self) -> None:
        if self._sender:
            self._sender.cancel()

    async def _show(self, fault: Fault) -> None:
        if fault == "fail_stream":
            raise TaskFailure("InternalError.Algo", "[asr:]the recognition engine has failed")
        if fault == "close":
            self._reporter.channel.close(*GONE)
        elif fault == "garbage":
            await self._reporter.garbage()
        if fault != "hang_stream":
            self._fault = None

    def _put(self, sentence: Sentence) -> None:
        self._told_ms = self._transcriber.milliseconds
        latency = self._config.asr_final_latency if sentence.ended else self._config.asr_partial_latency
        self._queue(asyncio.get_running_loop().time() + latency, sentence)

    def _queue(self, due: float, sentence: Sentence | None) -> None:
        try:
            self._results.put_nowait((due, sentence))
        except asyncio.QueueFull:
            raise TaskFailure(
                "Throttling", "the audio came too fast: send it no faster than a few times real time"
            ) from None

    async def _send_results(self) -> None:
        while True:
            due, sentence = await self._results.get()
            if self._fault == "hang_stream":
                continue
            if sentence is None:
                await self._reporter.event("task-finished", {"output": {}, "usage": None})
                return
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            await self._reporter.event("result-generated", self._result(sentence))

    def _result(self, sentence: Sentence) -> Json:
        """As in the example of "Paraformer server events": `end_time` and `usage` are null until the sentence has ended.

        A heartbeat is a result without text.
        """
        words = [
            {"begin_time": word.begin_ms, "end_time": word.end_ms, "text": word.text, "punctuation": word.punctuation}
            for word in sentence.words
        ]
        output = {
            "sentence_id": sentence.sentence_id,
            "begin_time": sentence.begin_ms,
            "end_time": sentence.end_ms if sentence.ended else None,
            "text": sentence.text,
            "words": words,
            "heartbeat": not sentence.text,
            "sentence_end": sentence.ended,
        }
        duration = math.ceil(self._transcriber.milliseconds / 1000)
        return {"output": {"sentence": output}, "usage": {"duration": duration} if sentence.ended else None}
