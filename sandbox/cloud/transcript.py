"""From heard pieces to a recogniser's sentences, as Paraformer reports them (pure).

Times are milliseconds of the task's audio. A Chinese character is a word; Latin letters and digits that stand together are
one; punctuation belongs to the word before it.
"""

import unicodedata
from dataclasses import dataclass, replace

import numpy as np

from sandbox.voice.modem import Decoder, Heard


@dataclass(frozen=True, slots=True)
class SentenceWord:
    begin_ms: int
    end_ms: int
    text: str
    punctuation: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """What has been heard of a sentence; `ended` once it is final."""

    sentence_id: int
    text: str
    begin_ms: int
    end_ms: int
    words: tuple[SentenceWord, ...]
    ended: bool


class Transcriber:
    """s16le mono audio of one task in, sentences out.

    A sentence ends with its utterance, or when nothing more of it was heard for `max_silence_ms` of audio.
    """

    def __init__(self, rate: int, max_silence_ms: int = 800) -> None:
        self._rate = rate
        self._decoder = Decoder(rate)
        self._silence = max_silence_ms * rate // 1000
        self._odd = b""
        self._samples = 0
        self._utterance_id = -1
        self._sentence_id = 1
        self._pieces: list[Heard] = []

    @property
    def milliseconds(self) -> int:
        """How much audio has come."""
        return self._ms(self._samples)

    def feed(self, audio: bytes) -> list[Sentence]:
        """Take more audio, of any length; an odd byte waits for its other half."""
        whole = self._odd + audio
        self._odd = whole[len(whole) & ~1 :]
        pcm = np.frombuffer(whole[: len(whole) & ~1], "<i2").astype(np.int16, copy=False)
        self._samples += len(pcm)
        sentences: list[Sentence] = []
        grown = False
        for heard in self._decoder.feed(pcm):
            if self._pieces and heard.utterance_id != self._utterance_id:
                sentences.append(self._end())
            self._utterance_id = heard.utterance_id
            self._pieces.append(heard)
            grown = True
            if heard.final:
                sentences += [self._sentence(ended=False), self._end()]
                grown = False
        if self._pieces and self._samples - self._pieces[-1].end_sample >= self._silence:
            sentences.append(self._end())
        elif grown:
            sentences.append(self._sentence(ended=False))
        return sentences

    def finish(self) -> list[Sentence]:
        """The audio is over: what is open ends."""
        return [self._end()] if self._pieces else []

    def _end(self) -> Sentence:
        sentence = self._sentence(ended=True)
        self._pieces = []
        self._sentence_id += 1
        return sentence

    def _sentence(self, *, ended: bool) -> Sentence:
        timed = [timed for piece in self._pieces for timed in self._timed(piece)]
        text = "".join(piece.text for piece in self._pieces)
        return Sentence(self._sentence_id, text, timed[0].begin_ms, timed[-1].end_ms, _words(timed), ended)

    def _timed(self, piece: Heard) -> list[SentenceWord]:
        """The characters of `piece`, its time shared out evenly among them."""
        begin, length = self._ms(piece.start_sample), self._ms(piece.end_sample - piece.start_sample)
        count = len(piece.text)
        return [
            SentenceWord(begin + at * length // count, begin + (at + 1) * length // count, char, "")
            for at, char in enumerate(piece.text)
        ]

    def _ms(self, samples: int) -> int:
        return samples * 1000 // self._rate


def _words(characters: list[SentenceWord]) -> tuple[SentenceWord, ...]:
    words: list[SentenceWord] = []
    joined = False  # whether the character before was of a Latin word
    for char in characters:
        kind = _kind(char.text)
        if kind == "mark" and words:
            last = words[-1]
            words[-1] = replace(last, punctuation=last.punctuation + char.text)
        elif kind == "latin" and joined:
            last = words[-1]
            words[-1] = replace(last, text=last.text + char.text, end_ms=char.end_ms)
        elif kind != "space":
            words.append(char)
        joined = kind == "latin"
    return tuple(words)


def _kind(char: str) -> str:
    if char.isspace():
        return "space"
    if unicodedata.category(char).startswith("P"):
        return "mark"
    return "latin" if char.isalnum() and ord(char) < 0x2E80 else "character"  # from U+2E80 on: CJK
