"""Text as quiet tones inside speech: encode, mix, and decode as a stream (pure; numpy only).

The packets are described in `packets`, their times in `schedule`, their sound in `tones`. A byte is believed only where one tone of each group clearly
outweighs the others, so that two talkers in one channel, a gap, a wrong rate or byte order give no text rather than a wrong one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from sandbox.voice.packets import MAX_BODY, MIN_BODY, START, Packet, body_length, parse
from sandbox.voice.schedule import schedule
from sandbox.voice.tones import CHORDS, HOPS, Floats, Frames, Pcm, symbol_samples

_MARK_SHARE = 0.8  # of all energy that a mark's chord must hold; a byte gives a chord at most half
_TONE_SHARE = 0.75  # of its group's energy that a byte's tone must hold: 4.8 dB above the other three together
_FAINTEST = 10 ** (-56 / 10)  # mean power re full scale below which nothing is looked at: 29 dB under the usual level
_FADE = 0.1  # a symbol 10 dB below its packet's mark was cut
_END_FADE = 0.5  # an end mark 3 dB below the start was cut: the packet wasn't heard to its end
_REJOIN_FRAMES = 800  # 2 s: how long the head of a cut packet waits for its tail; a barge-in is reversed within 0.5 s


@dataclass(frozen=True, slots=True)
class Heard:
    """A piece of text that was heard to its end.

    `start_sample` and `end_sample` count from the first sample that the decoder was fed.
    `final` marks the last piece of its utterance. `utterance_id` is the decoder's own running number (0, 1, 2, ...).
    `lost` counts the packets of this utterance that are missing just before this piece.
    """

    text: str
    start_sample: int
    end_sample: int
    final: bool
    utterance_id: int
    lost: int = 0


def encode(
    text: str, rate: int, samples: int | None = None, *, ends: Sequence[int] | None = None, dbfs: float = -27.0
) -> Pcm:
    """Tones that carry `text`: int16 mono at `rate`, of `dbfs` (RMS re full scale) while they sound.

    `ends`, one rising sample index for each character of `text`, is when the character has been spoken: its tones end
    then, or as soon after as they can. Without it the characters are spread evenly over `samples`, or packed tightly.
    The result has at least `samples` samples, and more if the tones need more.
    Raises ValueError if `rate` is below 7,000 Hz, `ends` has the wrong length, or `text` has no UTF-8 form.
    """
    return schedule(text, rate, samples, ends=ends).render(dbfs)


def mix(voice: Pcm, tones: Pcm) -> Pcm:
    """Voice and tones added, clipped at full scale; the shorter one is padded with silence."""
    total = np.zeros(max(len(voice), len(tones)), np.int32)
    total[: len(voice)] += voice
    total[: len(tones)] += tones
    mixed: Pcm = np.clip(total, -32768, 32767).astype(np.int16)
    return mixed


class _Mark(NamedTuple):
    """`open` is the first symbol of a start mark by itself, `start` the whole of it."""

    frame: int
    kind: Literal["open", "start", "end"]


class _Cut(NamedTuple):
    """The bytes that came of a packet which began at `frame` and didn't come whole."""

    frame: int
    head: bytes


class _Found(NamedTuple):
    packet: Packet
    first: int  # the frames of its first and last symbol
    last: int


class Decoder:
    """Decodes one stream of int16 mono PCM at `rate` (7,000 Hz or more, else ValueError), joined at any sample.

    A packet comes out when its last symbol has been fed. One that was cut in two (paused, then resumed with some tens of
    milliseconds said again) is put together from its head and its tail; one that isn't whole is lost, and counted in
    the `lost` of the next. Memory is bounded: about a second of analysis, 64 KiB.
    """

    def __init__(self, rate: int) -> None:
        self._frames = Frames(rate)
        self._symbol = symbol_samples(1, rate)
        self._scanned = 0  # frames below this have been searched for marks
        self._marks: list[_Mark] = []  # not yet settled, in order; a start waits for 15 symbols at most
        self._cut: _Cut | None = None
        self._opened = -_REJOIN_FRAMES  # the frame of the newest "open" mark
        self._done = -HOPS  # the frame of the end mark that was decoded last
        self._current: Packet | None = None
        self._utterance_id = -1

    def feed(self, pcm: Pcm) -> list[Heard]:
        """Take the next samples (any number) and return the pieces that they completed, in order."""
        heard: list[Heard] = []
        for at in range(0, len(pcm), self._frames.longest_feed):
            self._frames.feed(pcm[at : at + self._frames.longest_feed])
            self._note_marks()
            if self._marks:
                heard.extend(self._settle())
        return heard

    def _note_marks(self) -> None:
        """Search the frames that arrived for marks: peaks of their chords' share of the energy."""
        low, high = self._scanned, self._frames.end - HOPS - 1
        if high <= low:
            return
        self._scanned = high
        before = max(self._frames.first, low - 1)
        energy = self._frames.at(range(before, high + HOPS + 1))
        total = energy.sum(axis=1)
        if total.max() < _FAINTEST:
            return
        total[total < _FAINTEST] = np.inf
        shares = energy @ CHORDS / total[:, None]
        opens, ends = shares[:-HOPS, 0], shares[:-HOPS, 2]
        marks = [_Mark(before + at, "open") for at in _peaks(opens)]
        marks += [_Mark(before + at, "start") for at in _peaks(np.minimum(opens, shares[HOPS:, 1]))]
        marks += [_Mark(before + at, "end") for at in _peaks(ends)]
        self._marks.extend(sorted(mark for mark in marks if low <= mark.frame < high))

    def _settle(self) -> list[Heard]:
        """Work through the marks in the order of time, up to one whose packet hasn't come whole yet."""
        heard: list[Heard] = []
        while self._marks:
            mark = self._marks[0]
            if mark.kind == "start" and mark.frame > self._done + 1 and not self._came_whole(mark.frame):
                break
            del self._marks[0]
            found = self._take(mark) if mark.frame > self._done + 1 else None
            if found:
                heard.extend(self._accept(found))
        return heard

    def _take(self, mark: _Mark) -> _Found | None:
        if mark.kind == "open":
            self._opened = mark.frame
            return None
        return self._decode(mark.frame) if mark.kind == "start" else self._rejoin(mark.frame)

    def _came_whole(self, start: int) -> bool:
        header = self._bytes(start + len(START) * HOPS, 2, start)
        if header is None:
            return self._frames.end > start + (len(START) + 2) * HOPS
        if len(header) < 2:
            return True  # broken in its header: nothing more will make it readable
        return self._frames.end > start + (len(START) + body_length(header)) * HOPS

    def _bytes(self, frame: int, count: int, mark: int) -> bytes | None:
        """The bytes of `count` symbols from `frame` on, up to the first that can't be told; None if not all have come."""
        if frame + (count - 1) * HOPS >= self._frames.end:
            return None
        energy = self._frames.at(range(frame, frame + (count - 1) * HOPS + 1, HOPS))
        clear, values = _read(energy, self._level(mark))
        return values[: clear.index(False)] if False in clear else values

    def _decode(self, start: int) -> _Found | None:
        """The packet whose start mark is at `start`; if it is broken, what came of it is kept for `_rejoin`."""
        body = start + len(START) * HOPS
        header = self._bytes(body, 2, start) or b""
        length = body_length(header) if len(header) == 2 else 2
        head = self._bytes(body, length, start) or b""
        packet = parse(head) if len(head) == length else None
        end = body + length * HOPS
        if packet is not None and self._is_end(end, start):
            self._cut = None
            return _Found(packet, start, end)
        self._cut = _Cut(start, head)
        return None

    def _is_end(self, frame: int, start: int) -> bool:
        return self._sounds(2, frame) and self._level(frame) > _END_FADE * self._level(start)

    def _sounds(self, chord: int, frame: int) -> bool:
        energy = self._frames.energy[frame - self._frames.first]
        return float(energy @ CHORDS[:, chord]) > _MARK_SHARE * self._level(frame)

    def _level(self, frame: int) -> float:
        return float(self._frames.energy[frame - self._frames.first].sum())

    def _rejoin(self, end: int) -> _Found | None:
        """The packet whose end mark is at `end` while its start, or a part of its body, came before a break."""
        tail = self._tail(end)
        known = self._cut if self._cut and end - self._cut.frame < _REJOIN_FRAMES else None
        cut, self._cut = known or _Cut(end, b""), None
        for length in range(MIN_BODY, MAX_BODY + 1):
            for taken in range(max(0, length - len(tail)), min(len(cut.head), length) + 1):
                if not known and not self._start_was_split(end - length * HOPS):
                    continue
                body = cut.head[:taken] + tail[len(tail) - (length - taken) :]
                packet = parse(body)
                if packet is not None:
                    return _Found(packet, cut.frame if taken else end - length * HOPS, end)
        return None

    def _start_was_split(self, body: int) -> bool:
        """Whether the break was in the start mark of the body at `body`: its first symbol heard before, its second here."""
        second = body - HOPS
        heard_first = self._done < self._opened < second and second - self._opened < _REJOIN_FRAMES
        return heard_first and second >= self._frames.first and self._sounds(1, second)

    def _tail(self, end: int) -> bytes:
        """The bytes just before the end mark at `end`, back to the first that can't be told."""
        oldest = max(self._done + HOPS, self._frames.first)
        count = min(MAX_BODY, (end - oldest) // HOPS)
        if count < 1:
            return b""
        energy = self._frames.at(range(end - count * HOPS, end, HOPS))
        clear, values = _read(energy, self._level(end))
        unclear = [place for place, is_clear in enumerate(clear) if not is_clear]
        return values[unclear[-1] + 1 :] if unclear else values

    def _accept(self, found: _Found) -> Iterator[Heard]:
        """Number the packet within its utterance, and drop it if it was said twice."""
        packet, before = found.packet, self._current
        self._done = found.last
        if packet.number and before == packet:
            return  # the same piece again; a whole utterance said again begins with number 0
        self._current = packet
        lost = packet.number
        if before and not before.last and packet.utterance == before.utterance:
            step = (packet.number - before.number) & 255
            continues = 0 < step < 128 and (packet.number != 0 or before.number == 255)
        else:
            step, continues = 0, False
        if continues:
            lost = step - 1
        else:
            self._utterance_id += 1
        end = self._frames.sample_at(found.last) + self._symbol
        yield Heard(packet.text, self._frames.sample_at(found.first), end, packet.last, self._utterance_id, lost)


def _peaks(scores: Floats) -> list[int]:
    """Where `scores` passes a mark's share and is the highest beside its neighbours."""
    found = scores > _MARK_SHARE
    if not found.any():
        return []
    found[1:] &= scores[1:] >= scores[:-1]
    found[:-1] &= scores[:-1] > scores[1:]
    return [int(at) for at in np.flatnonzero(found)]


def _read(energy: Floats, mark: float) -> tuple[list[bool], bytes]:
    """Symbols (count, tone) as bytes, and which of them are clear; `mark` is the energy of their packet's mark."""
    groups = energy.reshape(-1, 4, 4)
    best = groups.argmax(axis=2)
    total = groups.sum(axis=2)
    clear = (groups.max(axis=2) > _TONE_SHARE * total).all(axis=1) & (total.sum(axis=1) > _FADE * mark)
    values = best @ np.array((64, 16, 4, 1))
    return clear.tolist(), values.astype(np.uint8).tobytes()
