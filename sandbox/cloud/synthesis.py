"""The stand-in for CosyVoice: a synthesis task whose speech carries its words as tones."""

import asyncio
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from zlib import crc32

import numpy as np

from sandbox.cloud.config import CloudConfig
from sandbox.cloud.faults import Fault
from sandbox.cloud.tasks import GONE, Json, Reporter, TaskFailure, number, sample_rate
from sandbox.voice.speech import ROBOT, Speaker, Utterance, utterance

MAX_TEXT = 20_000  # characters of one continue-task ("CosyVoice client events")
MAX_TASK_TEXT = 200_000  # and of all of a task's
_MAX_SENTENCE = 200  # characters spoken at once; a longer one is cut, so that its audio begins soon
_SENTENCE_END = re.compile(r"[。！？；!?;\n…]+[”’」』）)\"']*|\.(?=\s)")

_VARIANTS = ("f2", "f1", "f3", "f4", "f5")


class SentenceBuffer:
    """Cuts a stream of text into sentences; an unfinished one waits, as in the real service."""

    def __init__(self) -> None:
        self._held = ""

    def push(self, text: str) -> list[str]:
        """Add `text`; returns the sentences that are complete now."""
        self._held += text
        ready, at = [], 0
        for match in _SENTENCE_END.finditer(self._held):
            ready.append(self._held[at : match.end()])
            at = match.end()
        self._held = self._held[at:]
        return [piece for sentence in ready for piece in _cut(sentence)]

    def flush(self) -> list[str]:
        """Whatever is left."""
        left, self._held = self._held, ""
        return list(_cut(left))


def _cut(sentence: str) -> Iterator[str]:
    if sentence.strip():
        for at in range(0, len(sentence), _MAX_SENTENCE):
            yield sentence[at : at + _MAX_SENTENCE]


class SynthesisTask:
    """Task of `tasks.Task` for `task: tts`. Raises TaskFailure for parameters that aren't served."""

    def __init__(self, reporter: Reporter, parameters: Json, config: CloudConfig, fault: Fault | None) -> None:
        audio_format = parameters.get("format", "mp3")
        if audio_format not in ("pcm", "wav"):
            raise TaskFailure(
                "InvalidParameter", f"format: this stand-in speaks pcm and wav, not {audio_format!r}; ask for pcm"
            )
        if not isinstance(parameters.get("voice"), str) or not parameters["voice"]:
            raise TaskFailure("InvalidParameter", "voice: expected the name of a voice, such as longxiaochun_v2")
        self._wav = audio_format == "wav"
        self._rate = sample_rate(parameters, 22050)
        self._gain = number(parameters, "volume", 50, 0, 100) / 50
        self._speaker = _speaker(parameters)
        self._timestamps = parameters.get("word_timestamp_enabled") is True
        self._reporter = reporter
        self._config = config.slowed() if fault == "slow" else config
        self._fault = fault
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()  # bounded by MAX_TASK_TEXT
        self._taken = 0
        self._worker: asyncio.Task[None] | None = None

    @property
    def finished(self) -> bool:
        return self._worker is not None and self._worker.done()

    async def start(self) -> None:
        await self._reporter.event("task-started")
        self._worker = asyncio.create_task(self._speak_all(), name="synthesis")

    async def text(self, text: str) -> None:
        self._taken += len(text)
        if len(text) > MAX_TEXT or self._taken > MAX_TASK_TEXT:
            raise TaskFailure(
                "InvalidParameter", f"text: at most {MAX_TEXT} characters at once and {MAX_TASK_TEXT} in a task"
            )
        if text:
            self._texts.put_nowait(text)

    async def audio(self, audio: bytes) -> None:
        raise TaskFailure("InvalidParameter", "a synthesis task takes text in continue-task, not binary audio")

    async def finish(self) -> None:
        self._texts.put_nowait(None)

    def cancel(self) -> None:
        if self._worker:
            self._worker.cancel()

    async def _speak_all(self) -> None:
        try:
            await self._speak_as_it_comes()
        except TaskFailure as failure:
            await self._reporter.failed(failure)
            self._reporter.channel.close(1000)

    async def _speak_as_it_comes(self) -> None:
        sentences = SentenceBuffer()
        index = characters = 0
        text: str | None = ""
        while text is not None:
            text = await self._next_text()
            for sentence in sentences.flush() if text is None else sentences.push(text):
                characters += _billed(sentence)
                if not await self._speak(sentence, index, characters):
                    return
                index += 1
        usage = {"characters": characters}
        await self._reporter.event("task-finished", {"output": {"sentence": {"words": []}}, "usage": usage})

    async def _next_text(self) -> str | None:
        patience = self._config.tts_patience
        try:
            async with asyncio.timeout(patience):
                return await self._texts.get()
        except TimeoutError:
            raise TaskFailure("CLIENT_ERROR", f"request timeout after {patience:g} seconds.") from None

    async def _speak(self, sentence: str, index: int, characters: int) -> bool:
        """One sentence as events and audio; False if a fault ended the stream."""
        try:
            spoken = await asyncio.to_thread(utterance, sentence, self._rate, self._speaker)
        except ValueError as error:  # a lone surrogate
            raise TaskFailure("InvalidParameter", f"text: {error}") from None
        output: Json = {"sentence": {"index": index, "words": []}}
        await self._result({**output, "type": "sentence-begin", "original_text": sentence})
        for place, chunk in enumerate(self._chunks(spoken, first=index == 0)):
            first = index == 0 and place == 0
            wait = self._config.tts_first_chunk if first else self._config.tts_chunk_seconds / self._config.tts_speed
            await asyncio.sleep(wait)
            await self._result({**output, "type": "sentence-synthesis"})
            await self._reporter.channel.send(chunk)
            if first and not await self._goes_on():
                return False
        words = _timestamps(spoken) if self._timestamps else []
        ended = {"sentence": {"index": index, "words": words}, "type": "sentence-end", "original_text": sentence}
        await self._result(ended, {"characters": characters})
        return True

    async def _result(self, output: Json, usage: Json | None = None) -> None:
        await self._reporter.event("result-generated", {"output": output, "usage": usage})

    async def _goes_on(self) -> bool:
        """Show a fault that belongs after the first chunk; whether the stream goes on."""
        if self._fault == "fail_stream":
            raise TaskFailure("InternalError.Algo", "[tts:]Engine return error code: 418")
        if self._fault == "close":
            self._reporter.channel.close(*GONE)
        elif self._fault == "garbage":
            await self._reporter.garbage()
        return self._fault not in ("close", "hang_stream")

    def _chunks(self, spoken: Utterance, *, first: bool) -> Iterator[bytes]:
        pcm = spoken.pcm
        if self._gain != 1:
            pcm = np.clip(np.rint(pcm * self._gain), -32768, 32767).astype(np.int16)
        audio = pcm.astype("<i2", copy=False).tobytes()
        if self._wav and first:
            audio = _wav_header(self._rate) + audio
        size = max(1, round(self._config.tts_chunk_seconds * self._rate)) * 2
        for at in range(0, len(audio), size):
            yield audio[at : at + size]


def _speaker(parameters: Json) -> Speaker:
    """A voice of its own for each name; `rate` and `pitch` are factors from 0.5 to 2."""
    variant = _VARIANTS[crc32(parameters["voice"].encode(errors="replace")) % len(_VARIANTS)]
    speed = ROBOT.speed * number(parameters, "rate", 1.0, 0.5, 2.0)
    pitch = ROBOT.pitch * number(parameters, "pitch", 1.0, 0.5, 2.0)
    return replace(ROBOT, variant=variant, speed=min(450, round(speed)), pitch=min(99, round(pitch)))


def _billed(text: str) -> int:
    """A Chinese character counts as two ("CosyVoice WebSocket API", character counting rules)."""
    return sum(2 if "\u4e00" <= char <= "\u9fff" else 1 for char in text)


def _timestamps(spoken: Utterance) -> list[Json]:
    words, begin = [], 0
    for place, word in enumerate(spoken.words):
        end = word.end_sample * 1000 // spoken.rate
        times = {"begin_time": begin, "end_time": end}
        words.append({"text": word.text, "begin_index": place, "end_index": place + 1, **times})
        begin = end
    return words


def _wav_header(rate: int) -> bytes:
    """A RIFF header for a stream whose length isn't known yet: both sizes at their largest."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + form + b"data" + struct.pack("<I", 0xFFFFFFFF - 36)
