"""The end of a recording while it is still in memory: two rows of samples, sealed block by block. Pure.

Blocks leave in order, each with both channels. Audio for what has left is handed out by itself as a late piece, to be
written over its place; a jump leaves a hole, which nobody needs to write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Pcm = bytes | bytearray | memoryview

BLOCK_S = 0.4
"""Audio that leaves at once: 2.5 writes a second and call."""
SETTLE_S = 0.25
"""How long audio may be late and still leave with its block. Ours leads by 60 ms, the customer's lags by jitter."""
STAGE_S = 1.6
"""What a stage holds: 51 KiB a call at 8 kHz. Block and settling time fit twice, so every piece of a block does."""
LONGEST_S = 12 * 3600
"""A sample index beyond this is a caller's mistake and no call."""


@dataclass(frozen=True, slots=True)
class Block:
    """Both channels from ``start`` on, equally long."""

    start: int
    customer: bytes
    ours: bytes

    @property
    def size(self) -> int:
        """Bytes it will take in the file."""
        return len(self.customer) * 2


@dataclass(frozen=True, slots=True)
class Late:
    """One channel's audio for a place that has left already."""

    start: int
    channel: int
    pcm: bytes

    @property
    def size(self) -> int:
        """Bytes of the file that are read and written for it."""
        return len(self.pcm) * 2


_NOTHING: tuple[Block | Late, ...] = ()


class Stage:
    """Channel 0 is the customer's, 1 ours; [``base``, ``base`` + size) is held, of which [``base``, ``end``) is known."""

    __slots__ = ("_block", "_rate", "_rows", "_seal_at", "_settle", "_silence", "base", "end", "size")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._block = int(BLOCK_S * rate)
        self._settle = int(SETTLE_S * rate)
        self._seal_at = self._block + self._settle
        self.size = int(STAGE_S * rate)
        self._rows = (memoryview(bytearray(self.size * 2)), memoryview(bytearray(self.size * 2)))
        self._silence = memoryview(bytes(self._block * 2))
        self.base = 0
        """The first sample that has not left."""
        self.end = 0
        """One past the newest sample."""

    def put(self, channel: int, start: int, pcm: Pcm) -> Sequence[Block | Late]:
        """Takes whole samples for ``start`` on; returns what leaves now. Raises ValueError for an impossible ``start``."""
        base = self.base
        end = start + (len(pcm) >> 1)
        if start < base or end - base > self.size:
            return self._put_piecewise(channel, start, pcm)
        self._copy(channel, start, pcm)
        if end > self.end:
            self.end = end
            if end - base >= self._seal_at:
                return self._seal(end - self._settle)
        return _NOTHING

    def rest(self) -> list[Block | Late]:
        """All that is left."""
        return self._seal(self.end, whole=False)

    def _put_piecewise(self, channel: int, start: int, pcm: Pcm) -> list[Block | Late]:
        samples = len(pcm) >> 1
        if start < 0 or start + samples > LONGEST_S * self._rate:
            raise ValueError(f"expected samples within 0..{LONGEST_S * self._rate}, got {start}..{start + samples}")
        left: list[Block | Late] = []
        late = min(samples, max(0, self.base - start))
        if late:
            left.append(Late(start, channel, bytes(pcm[: late * 2])))
        for at in range(late, samples, self._block):
            piece = pcm[at * 2 : (at + self._block) * 2]
            if start + at + self._block > self.base + self.size:
                left += self._advance(start + at - self._settle)
            left += self.put(channel, start + at, piece)
        return left

    def _advance(self, base: int) -> list[Block | Late]:
        """Time has gone on without audio: what is known leaves, and what nobody said is a hole."""
        left = self._seal(min(base, self.end), whole=False)
        if base > self.base:
            self.base = base
            self.end = max(self.end, base)
        return left

    def _seal(self, until: int, *, whole: bool = True) -> list[Block | Late]:
        """Takes out blocks up to ``until``; with ``whole`` none that is shorter than BLOCK_S."""
        left: list[Block | Late] = []
        while self.base < until:
            samples = min(self._block, until - self.base)
            if whole and samples < self._block:
                break
            left.append(Block(self.base, self._take(0, samples), self._take(1, samples)))
            self.base += samples
        return left

    def _copy(self, channel: int, start: int, pcm: Pcm) -> None:
        row = self._rows[channel]
        position = start % self.size * 2
        end = position + len(pcm)
        if end <= len(row):
            row[position:end] = pcm
        else:
            head = len(row) - position
            view = memoryview(pcm)
            row[position:] = view[:head]
            row[: end - len(row)] = view[head:]

    def _take(self, channel: int, samples: int) -> bytes:
        """Copies the row's first ``samples`` out and leaves zeros, so that what comes to lie there begins as silence."""
        row = self._rows[channel]
        position = self.base % self.size * 2
        end = position + samples * 2
        if end <= len(row):
            taken = row[position:end].tobytes()
            row[position:end] = self._silence[: samples * 2]
            return taken
        over = end - len(row)
        taken = bytes(row[position:]) + bytes(row[:over])
        row[position:] = self._silence[: len(row) - position]
        row[:over] = self._silence[:over]
        return taken
