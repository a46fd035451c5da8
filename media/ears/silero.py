"""Silero's network at 8 kHz as two dozen products of matrices: one window each of many calls in one run. Pure.

What a general runtime does with it (convolutions a call at a time, a loop for one step of an LSTM) costs about three
times as much as the same sums laid out for a whole batch: 28 µs a window against 9 in batches of 64, both measured on
one core of a Xeon with AVX-512. tests/media/ears/test_silero.py holds the two against each other.

A window is 256 samples with the 32 before it: [batch, 288]. Through the network go: four overlapping spectra of 128
samples each (magnitudes at 65 frequencies), a convolution over the four, two with stride 2 that leave one column, a
fourth: so far a window stands for itself. Then come an LSTM cell of 128, and one number. Where a convolution reaches
beyond the edge its padding is zero, so those taps are left out of the product.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from media.ears.weights import Floats

SAMPLES = 288
STATE = 128
"""Width of the LSTM's two states."""
FEATURES = 128
"""Of a window, which the LSTM takes."""
_BLOCK, _HOP, _BINS, _SPECTRA = 128, 64, 65, 4
_REFLECTED = 32
"""Samples after the end, mirrored at the last one, that the fourth spectrum reaches."""
_GATES = 4 * STATE
_SCALE = np.float32(1 / 32768)
_ONE, _HALF = np.float32(1), np.float32(0.5)


def _taps(weight: Floats, *taps: int) -> Floats:
    """Some taps of a convolution [out, in, 3] as one matrix [len(taps) * in, out]."""
    return np.ascontiguousarray(np.concatenate([weight[:, :, tap].T for tap in taps]))


class Silero:
    """The network, with working memory for batches of up to ``batch`` windows. For one thread."""

    def __init__(self, weights: Mapping[str, Floats], batch: int) -> None:
        """``weights``: media.ears.weights.read_weights."""
        basis = np.ascontiguousarray(weights["stft.forward_basis_buffer"][:, 0].T) * _SCALE
        last = basis[:-_REFLECTED].copy()
        last[-2 : -_REFLECTED - 2 : -1] += basis[-_REFLECTED:]
        self._bases = (basis, basis, basis, last)
        first, second, third, fourth = (weights[f"encoder.{layer}.reparam_conv.weight"] for layer in range(4))
        self._biases = [weights[f"encoder.{layer}.reparam_conv.bias"] for layer in range(4)]
        self._first = (_taps(first, 1, 2), _taps(first, 0, 1, 2), _taps(first, 0, 1, 2), _taps(first, 0, 1))
        self._second = (_taps(second, 1, 2), _taps(second, 0, 1, 2))
        self._third = _taps(third, 1, 2)
        self._fourth = _taps(fourth, 1)
        # sigmoid(x) = (1 + tanh(x / 2)) / 2: the halves go into the weights, so that one tanh does for all four gates,
        # and the candidate, which is no sigmoid, goes last, so that the other three lie together.
        order = np.concatenate([np.arange(gate * STATE, (gate + 1) * STATE) for gate in (0, 1, 3, 2)])
        halves = np.repeat(np.array([0.5, 0.5, 0.5, 1], np.float32), STATE)
        both = np.concatenate([weights["decoder.rnn.weight_ih"], weights["decoder.rnn.weight_hh"]], axis=1)[order]
        self._cell = np.ascontiguousarray((both * halves[:, None]).T)
        self._cell_bias = (weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"])[order] * halves
        self._verdict = np.ascontiguousarray(weights["decoder.decoder.2.weight"][0, :, 0])
        self._verdict_bias = weights["decoder.decoder.2.bias"]

        def memory(width: int) -> Floats:
            return np.empty((batch, width), np.float32)

        self._sums = memory(_SPECTRA * 2 * _BINS)
        self._magnitudes = memory(_SPECTRA * _BINS)
        self._columns = memory(_SPECTRA * 128)
        self._pairs = memory(2 * 64)
        self._single = memory(64)
        self._inputs = memory(FEATURES + STATE)
        self._gates = memory(_GATES)

    def step(self, features: Floats, hidden: Floats, cell: Floats) -> tuple[Floats, Floats, Floats]:
        """The probability of speech in the window of each of ``features`` [n, FEATURES], and both states after it.

        The states, [n, STATE], are left as they are.
        """
        inputs = self._inputs[: len(features)]
        inputs[:, :FEATURES] = features
        inputs[:, FEATURES:] = hidden
        gates = np.matmul(inputs, self._cell, out=self._gates[: len(features)])
        gates += self._cell_bias
        np.tanh(gates, out=gates)
        sigmoids = gates[:, : 3 * STATE]
        sigmoids += _ONE
        sigmoids *= _HALF
        let_in, keep, let_out, candidate = (gates[:, at : at + STATE] for at in range(0, _GATES, STATE))
        after = keep * cell
        let_in *= candidate
        after += let_in
        said = np.tanh(after)
        said *= let_out
        heard = np.maximum(said, 0.0) @ self._verdict + self._verdict_bias
        return _HALF + _HALF * np.tanh(_HALF * heard), said, after

    def encode(self, windows: Floats) -> Floats:
        """Spectra and convolutions: the features [n, FEATURES] of ``windows`` [n, SAMPLES], int16 values as float32."""
        count = len(windows)
        magnitudes = self._spectra(windows)
        columns = self._columns[:count]
        for at, taps in enumerate(self._first):
            begin = max(0, at - 1) * _BINS
            np.matmul(magnitudes[:, begin : begin + len(taps)], taps, out=columns[:, at * 128 : (at + 1) * 128])
        _bend(columns.reshape(count, _SPECTRA, 128), self._biases[0])
        pairs = self._pairs[:count]
        np.matmul(columns[:, : 2 * 128], self._second[0], out=pairs[:, :64])
        np.matmul(columns[:, 128:], self._second[1], out=pairs[:, 64:])
        _bend(pairs.reshape(count, 2, 64), self._biases[1])
        single = np.matmul(pairs, self._third, out=self._single[:count])
        _bend(single, self._biases[2])
        features: Floats = np.matmul(single, self._fourth)
        _bend(features, self._biases[3])
        return features

    def _spectra(self, windows: Floats) -> Floats:
        """The magnitudes of four blocks of each window: [n, 4 * 65]."""
        count = len(windows)
        sums = self._sums[:count]
        for at, basis in enumerate(self._bases):
            block = windows[:, at * _HOP : at * _HOP + len(basis)]
            np.matmul(block, basis, out=sums[:, at * 2 * _BINS : (at + 1) * 2 * _BINS])
        np.multiply(sums, sums, out=sums)
        parts = sums.reshape(count, _SPECTRA, 2, _BINS)
        magnitudes = self._magnitudes[:count]
        np.add(parts[:, :, 0], parts[:, :, 1], out=magnitudes.reshape(count, _SPECTRA, _BINS))
        return np.sqrt(magnitudes, out=magnitudes)


def _bend(values: Floats, bias: Floats) -> None:
    """Adds the bias and leaves out what is negative, in place."""
    values += bias
    np.maximum(values, 0.0, out=values)
