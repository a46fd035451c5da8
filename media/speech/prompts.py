"""Synthesised audio kept for the next time: in memory, and in files that survive a restart."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from media.speech.ports import SynthesisOptions

MEMORY_BYTES = 64 << 20
"""About an hour of speech at 8 kHz, which is thousands of prompts."""
FILES_BYTES = 256 << 20
LONGEST_AUDIO = 60 * 16_000
"""Longer utterances are not prompts."""
_MAGIC = b"WHP1"
_DIGEST = 16
_ENDING = ".prompt"

log = logging.getLogger(__name__)


def prompt_key(options: SynthesisOptions, text: str) -> str:
    """Everything that shapes the audio, and the text, as 40 hex digits. The endpoint does: the voice of a stand-in or of
    a trial, under the name of the real one, is not to be heard by customers."""
    parts = (
        options.provider,
        options.endpoint,
        options.model,
        options.speaker,
        options.samplerate,
        options.volume,
        repr(options.speed),
        options.emotion,
        options.language,
        sorted((name, repr(value)) for name, value in options.extra.items()),
        text.strip(),
    )
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=20).hexdigest()


class PromptCache:
    """Prompts by key. For one event loop; the files are read and written by a thread of its own.

    Prompts that were wanted twice (or ``keep``) go to ``directory``; None keeps everything in memory only. A file that
    is damaged or cannot be read counts as absent; a disk that cannot be written is logged, and nothing else happens.
    """

    def __init__(
        self, directory: Path | None, memory_bytes: int = MEMORY_BYTES, files_bytes: int = FILES_BYTES
    ) -> None:
        self._directory = directory
        self._memory_bytes = memory_bytes
        self._files_bytes = files_bytes
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._used = 0
        self._files: OrderedDict[str, int] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prompts")
        if directory is not None:
            self._scan(directory)

    def __contains__(self, key: str) -> bool:
        return key in self._memory or key in self._files

    def recall(self, key: str) -> bytes | None:
        """The audio, if it is in memory. What is recalled once is worth a file."""
        audio = self._memory.get(key)
        if audio is not None:
            self._memory.move_to_end(key)
            self._store(key, audio)
        return audio

    async def load(self, key: str) -> bytes | None:
        """The audio from its file, if there is a good one."""
        if self._directory is None or key not in self._files:
            return None
        path = self._directory / (key + _ENDING)
        audio = await asyncio.get_running_loop().run_in_executor(self._thread, _read, path)
        if audio is None:
            self._files.pop(key, None)
            return None
        self._files.move_to_end(key)
        self._remember(key, audio)
        return audio

    def put(self, key: str, audio: bytes, *, keep: bool = False) -> None:
        """Takes a complete prompt. ``keep``: to a file at once."""
        if not 0 < len(audio) <= LONGEST_AUDIO:
            return
        self._remember(key, audio)
        if keep:
            self._store(key, audio)

    def close(self) -> None:
        """Waits until what was begun is written."""
        self._thread.shutdown(wait=True)

    def _remember(self, key: str, audio: bytes) -> None:
        self._used += len(audio) - len(self._memory.pop(key, b""))
        self._memory[key] = audio
        while self._used > self._memory_bytes and len(self._memory) > 1:
            _, oldest = self._memory.popitem(last=False)
            self._used -= len(oldest)

    def _store(self, key: str, audio: bytes) -> None:
        if self._directory is None or key in self._files:
            return
        self._files[key] = len(audio)
        self._thread.submit(_write, self._directory / (key + _ENDING), audio)
        while sum(self._files.values()) > self._files_bytes and len(self._files) > 1:
            oldest, _ = self._files.popitem(last=False)
            self._thread.submit(_remove, self._directory / (oldest + _ENDING))

    def _scan(self, directory: Path) -> None:
        """What earlier runs left, the oldest first."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            found = [(path.stat().st_mtime, path.stem, path.stat().st_size) for path in directory.glob("*" + _ENDING)]
        except OSError as error:
            log.warning("the directory of prompts cannot be read, they stay in memory", extra={"error": str(error)})
            self._directory = None
            return
        self._files.update((key, size) for _, key, size in sorted(found))


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    head = len(_MAGIC) + _DIGEST
    audio = content[head:]
    if content[: len(_MAGIC)] == _MAGIC and content[len(_MAGIC) : head] == _digest(audio) and audio:
        return audio
    log.warning("a stored prompt is damaged and was removed", extra={"file": path.name})
    _remove(path)
    return None


def _write(path: Path, audio: bytes) -> None:
    """Under another name first, so that nobody ever reads half a file."""
    half = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        half.write_bytes(_MAGIC + _digest(audio) + audio)
        half.replace(path)
    except OSError as error:
        log.warning("a prompt could not be stored", extra={"error": str(error)})
        _remove(half)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("a prompt could not be removed", extra={"error": str(error)})


def _digest(audio: bytes) -> bytes:
    return hashlib.blake2b(audio, digest_size=_DIGEST).digest()
