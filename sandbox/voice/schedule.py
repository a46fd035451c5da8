"""When each packet of a text sounds, and the sound of them all (pure; numpy only)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from sandbox.voice.packets import MAX_PAYLOAD, Packet, symbol_count
from sandbox.voice.tones import FULL_SCALE, Pcm, check_rate, symbol_samples, waveforms

_USUAL_PAYLOAD = 4  # bytes: one Chinese character, one emoji, four Latin letters; more when the tones fall behind
_LAST_TAG = 15
_HUSH_SECONDS = 0.005  # silence that ends a packet, so that its own last sample completes its analysis


@dataclass(frozen=True, slots=True)
class Cue:
    """`packet` sounds from the sample `start` to `end` (exclusive)."""

    packet: Packet
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each packet of a text sounds, in samples at `rate`; `samples` is the whole length."""

    rate: int
    samples: int
    cues: tuple[Cue, ...]

    def render(self, dbfs: float = -27.0) -> Pcm:
        """The tones as int16 mono, of `dbfs` (RMS re full scale) while they sound."""
        wave = np.zeros(self.samples, np.float32)
        table = waveforms(self.rate)
        width = table.shape[1]
        for cue in self.cues:
            for place, symbol in enumerate(cue.packet.symbols()):
                at = cue.start + symbol_samples(place, self.rate)
                wave[at : at + width] += table[symbol]
        pcm: Pcm = np.rint(wave * (10 ** (dbfs / 20) * FULL_SCALE)).astype(np.int16)
        return pcm

    def character_ends(self) -> tuple[int, ...]:
        """For each character of the text the sample (exclusive) at which its packet has ended."""
        return tuple(cue.end for cue in self.cues for _ in cue.packet.text)


def schedule(text: str, rate: int, samples: int | None = None, *, ends: Sequence[int] | None = None) -> Schedule:
    """Place the packets of `text` in time, as `encode` describes; raises as `encode` does."""
    check_rate(rate)
    if ends is None:
        ends = [(place + 1) * (samples or 0) // len(text) for place in range(len(text))]
    if len(ends) != len(text):
        raise ValueError(f"expected one end for each of the {len(text)} characters, got {len(ends)}")
    tag = crc32(text.encode()) & _LAST_TAG
    free, done = 0, 0
    cues: list[Cue] = []
    for number, (piece, due) in enumerate(_pieces(text, ends, rate)):
        done += len(piece)
        length = _length(len(piece.encode()), rate)
        start = max(free, due - length)
        free = start + length
        cues.append(Cue(Packet(tag, number & 255, done == len(text), piece), start, free))
    return Schedule(rate, max(samples or 0, free), tuple(cues))


def _pieces(text: str, ends: Sequence[int], rate: int) -> Iterator[tuple[str, int]]:
    """Cut `text` into payloads, each with the sample it is due at; larger ones as soon as the tones fall behind."""
    free = at = 0
    while at < len(text):
        stop, size = at + 1, len(text[at].encode())
        while stop < len(text):
            more = size + len(text[stop].encode())
            behind = free + _length(size, rate) > ends[stop - 1]
            if more > (MAX_PAYLOAD if behind else _USUAL_PAYLOAD):
                break
            stop, size = stop + 1, more
        due = ends[stop - 1]
        free = max(free + _length(size, rate), due)
        yield text[at:stop], due
        at = stop


def _length(payload: int, rate: int) -> int:
    return symbol_samples(symbol_count(payload), rate) + round(_HUSH_SECONDS * rate)
