"""Where speech really ended: the voice detector says so a little late, the level of the sound tells better. Pure."""

from __future__ import annotations

import numpy as np

from media.legs.leg import RATE

BLOCK = RATE // 100
"""10 ms: a pitch period of the deepest voice."""
LOOKED_AT = RATE // 2
"""Samples before the detector's end that are looked at: a syllable or two, whose loudest block sets the measure."""
DROP = 10 ** (-30 / 10)
"""Power of a block, against the loudest, below which it is no speech any more: soft endings lie 20 dB down."""
LONGEST = RATE // 5
"""The detector is 90 to 130 ms late on sharp endings; a quiet stretch of more than 200 ms it would have seen itself."""


def quiet_tail(pcm: bytes) -> int:
    """How many samples at the end of ``pcm`` (s16le, up to LOOKED_AT before the detector's end) are no speech.

    0 where noise keeps the level up: then the detector's own word stands.
    """
    samples = np.frombuffer(pcm, np.int16)
    blocks = len(samples) // BLOCK
    if not blocks:
        return 0
    ends = samples[len(samples) - blocks * BLOCK :].astype(np.float32).reshape(blocks, BLOCK)
    powers = np.einsum("ij,ij->i", ends, ends)
    loud = np.flatnonzero(powers > powers.max() * DROP)
    quiet = blocks - 1 - int(loud[-1]) if len(loud) else 0
    return min(quiet * BLOCK, LONGEST)
