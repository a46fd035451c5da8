"""espeak-ng 1.52 as a Python function.

Licence: espeak-ng is GPL-3, and it is loaded into the process that imports this module. Only the sandbox's own processes
may do so; the product's never import the sandbox.

The library is global and not thread-safe: one lock guards it. ctypes releases the GIL while it works (about 1 ms for
a second of speech).
"""

import ctypes
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import espeakng_loader  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]

Pcm = npt.NDArray[np.int16]

MAX_CHARACTERS = 2000
"""Longest text of one call: some eight minutes of speech, 8 MB at 8 kHz."""

_CACHE_BYTES = (
    32 * 1024 * 1024
)  # about half an hour of speech at 8 kHz: every prompt of a demonstration many times over

# Numbers from espeak-ng's speak_lib.h, version 1.52.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_CHARS_UTF8 = 1
_POS_CHARACTER = 1
_RATE, _PITCH = 1, 3
_EVENT_LIST_TERMINATED, _EVENT_WORD, _EVENT_END = 0, 1, 5


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class Spoken:
    """`pcm` is int16 mono, read-only; `ends` has for each character of the text the sample at which it has been spoken."""

    pcm: Pcm
    ends: tuple[int, ...]


class _Library:
    """The one espeak of this process."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        self._voice: tuple[str, int, int] | None = None
        self._audio: list[bytes] = []
        self._marks: list[tuple[int, int]] = []
        self._callback = _Callback(self._collect)  # kept: the library holds only its address
        data = str(espeakng_loader.get_data_path()).encode()
        self.rate = int(self._lib.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, 0))
        if self.rate <= 0:
            raise RuntimeError(f"espeak-ng did not start with its data in {data.decode()}; reinstall espeakng-loader")
        self._lib.espeak_SetSynthCallback(self._callback)

    def _collect(self, wave: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]") -> int:
        if wave and count > 0:
            self._audio.append(ctypes.string_at(wave, count * 2))
        at = 0
        while events[at].type != _EVENT_LIST_TERMINATED:
            event = events[at]
            if event.type == _EVENT_WORD:
                self._marks.append((event.text_position - 1, event.sample))
            elif event.type == _EVENT_END:
                self._marks.append((event.text_position, event.sample))
            at += 1
        return 0

    def synthesise(self, text: str, voice: str, speed: int, pitch: int) -> tuple[Pcm, list[tuple[int, int]]]:
        """Audio at `rate`, and (characters said before, sample) at words and at ends of clauses."""
        if (voice, speed, pitch) != self._voice:
            self._voice = None
            if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
                raise ValueError(f"espeak-ng has no voice {voice!r}; expected one like 'cmn', 'cmn+f2' or 'en-us'")
            self._lib.espeak_SetParameter(_RATE, speed, 0)
            self._lib.espeak_SetParameter(_PITCH, pitch, 0)
            self._voice = (voice, speed, pitch)
        self._audio, self._marks = [], []
        raw = text.encode() + b"\0"
        failed = self._lib.espeak_Synth(raw, len(raw), 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None)
        if failed:
            raise RuntimeError(f"espeak-ng could not speak a text of {len(text)} characters (error {failed})")
        return np.frombuffer(b"".join(self._audio), np.int16), self._marks


class _Phrases:
    """Phrases already spoken; the least recently used go first once they hold more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._phrases: OrderedDict[tuple[object, ...], Spoken] = OrderedDict()

    def get(self, key: tuple[object, ...]) -> Spoken | None:
        spoken = self._phrases.get(key)
        if spoken is not None:
            self._phrases.move_to_end(key)
        return spoken

    def put(self, key: tuple[object, ...], spoken: Spoken) -> None:
        self._phrases[key] = spoken
        self._held += spoken.pcm.nbytes
        while self._held > self._limit:
            _, dropped = self._phrases.popitem(last=False)
            self._held -= dropped.pcm.nbytes


_lock = Lock()
_phrases = _Phrases(_CACHE_BYTES)
_library = lru_cache(maxsize=1)(_Library)  # started at the first use, under the lock


def speak(text: str, rate: int = 8000, voice: str = "cmn", speed: int = 200, pitch: int = 50) -> Pcm:
    """`text` spoken: int16 mono at `rate`; read-only, since phrases are cached. See `speak_timed`."""
    return speak_timed(text, rate, voice, speed, pitch).pcm


def speak_timed(text: str, rate: int = 8000, voice: str = "cmn", speed: int = 200, pitch: int = 50) -> Spoken:
    """`text` spoken at `rate`, with the time of each character.

    `voice` is an espeak voice with an optional variant (`cmn+f2`); `cmn` speaks Latin words in the text as English.
    `speed` is in espeak's words a minute (80-450), `pitch` 0-99. What can't be said (emoji) is silent.
    Raises ValueError for an unknown voice or more than MAX_CHARACTERS characters.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"expected at most {MAX_CHARACTERS} characters to speak at once, got {len(text)}")
    key = (text, rate, voice, speed, pitch)
    with _lock:
        spoken = _phrases.get(key)
        if spoken is None:
            library = _library()
            raw, marks = library.synthesise(_sayable(text), voice, speed, pitch)
            spoken = _timed(raw, marks, len(text), library.rate, rate)
            _phrases.put(key, spoken)
    return spoken


def _sayable(text: str) -> str:
    """`text` with a space for each character that must not reach a C string, so that positions stay."""
    return "".join(char if char.isprintable() else " " for char in text)


def _timed(raw: Pcm, marks: list[tuple[int, int]], characters: int, native: int, rate: int) -> Spoken:
    pcm: Pcm = soxr.resample(raw, native, rate) if len(raw) else np.zeros(0, np.int16)
    pcm.flags.writeable = False
    positions, samples = [0], [0]
    for position, sample in marks:  # a number is read in several words, whose positions go back
        if position > positions[-1] and sample > samples[-1]:
            positions.append(position)
            samples.append(sample)
    if positions[-1] < characters:
        positions.append(characters)
        samples.append(len(raw))
    ends = np.interp(np.arange(1, characters + 1), positions, samples) * (rate / native)
    return Spoken(pcm, tuple(int(end) for end in np.minimum(ends, len(pcm))))
