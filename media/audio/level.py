"""How loud many calls are, and whether that is more than their background noise: the gate before the neural VAD."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]
Powers = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

FULL_SCALE = 32768.0**2
GATE_DB = 6.0
"""What lies less than this above the noise floor is not worth a neural look."""
LOWEST_FLOOR_DB = -62.0
"""dB below full scale. A line quieter than this is digital silence or codec idle noise; speech starts near -50."""
HIGHEST_FLOOR_DB = -36.0
"""A background louder than this is never taken for silence: the VAD must judge it."""
RISE_DB = 0.064
"""Per window of 32 ms: 2 dB a second, so that a sentence cannot lift the floor to its own level."""
FALL = 0.5
"""Share of the distance to a quieter window that the floor falls at once."""


def power_of(db: float) -> float:
    """Mean square of int16 samples for a level in dB below full scale."""
    return float(FULL_SCALE * 10.0 ** (db / 10.0))


def powers(windows: npt.NDArray[np.float32], parts: int = 2) -> Powers:
    """The mean square of the loudest part of each window. ``windows``: [rows, samples], int16 values as float32.

    A word that begins in the middle of a window is as loud as one that fills it: hence ``parts`` (16 ms each for a
    window of 256 samples).
    """
    loudest = [np.einsum("ij,ij->i", part, part) for part in np.split(windows, parts, axis=1)]
    squares: Powers = np.maximum.reduce(loudest) * np.float32(parts / windows.shape[1])
    return squares


class NoiseGate:
    """An adaptive noise floor for each of many rows. It follows quiet at once and loud slowly."""

    def __init__(self, rows: int) -> None:
        self._lowest = np.float32(power_of(LOWEST_FLOOR_DB))
        self._highest = np.float32(power_of(HIGHEST_FLOOR_DB))
        self._gate = np.float32(10.0 ** (GATE_DB / 10.0))
        self._rise = np.float32(10.0 ** (RISE_DB / 10.0))
        self._floor = np.full(rows, self._lowest, np.float32)

    def reset(self, row: int) -> None:
        """A new call in ``row``: its line is taken to be quiet until heard."""
        self._floor[row] = self._lowest

    def loud(self, rows: Rows, power: Powers) -> Flags:
        """For one window of each of ``rows``: is it above the floor + 6 dB? The floors have moved afterwards."""
        floor = self._floor[rows]
        above: Flags = power > floor * self._gate
        fallen = floor + (power - floor) * np.float32(FALL)
        moved = np.where(power < floor, fallen, floor * self._rise)
        self._floor[rows] = np.clip(moved, self._lowest, self._highest)
        return above

    def floor_db(self, row: int) -> float:
        """The floor of ``row`` in dB below full scale."""
        return float(10.0 * np.log10(float(self._floor[row]) / FULL_SCALE))
