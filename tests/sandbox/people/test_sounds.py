from __future__ import annotations

import numpy as np
import pytest

from sandbox.people.sounds import BEEP_HZ, DTMF_COLUMNS, DTMF_KEYS, DTMF_ROWS, RATE, beep, cough, digits, noise


def strongest(pcm: np.ndarray[tuple[int], np.dtype[np.int16]], count: int) -> list[float]:
    """The strongest frequencies, at least 50 Hz apart, in rising order."""
    spectrum = np.abs(np.fft.rfft(pcm.astype(float) * np.hanning(len(pcm))))
    hertz = np.fft.rfftfreq(len(pcm), 1 / RATE)
    found: list[float] = []
    for place in np.argsort(spectrum)[::-1]:
        if all(abs(hertz[place] - other) > 50 for other in found):
            found.append(float(hertz[place]))
        if len(found) == count:
            break
    return sorted(found)


def test_the_beep_is_one_kilohertz() -> None:
    tone = beep(0.5)
    assert len(tone) == 4000
    assert strongest(tone, 1) == pytest.approx([BEEP_HZ], abs=5)


@pytest.mark.parametrize("key", "".join(DTMF_KEYS))
def test_each_key_is_its_two_tones_with_a_pause(key: str) -> None:
    row = next(number for number, keys in enumerate(DTMF_KEYS) if key in keys)
    tone = digits(key)
    assert len(tone) == 1600
    assert strongest(tone[:800], 2) == pytest.approx([DTMF_ROWS[row], DTMF_COLUMNS[DTMF_KEYS[row].index(key)]], abs=10)
    assert not tone[800:].any()


def test_a_key_that_no_phone_has_is_refused() -> None:
    with pytest.raises(ValueError, match="keys of a phone"):
        digits("1x")


@pytest.mark.parametrize("dbfs", [-60.0, -42.0, -30.0])
def test_noise_has_its_level(dbfs: float) -> None:
    level = 20 * np.log10(np.sqrt(np.mean(noise(dbfs).astype(float) ** 2)) / 32768)
    assert level == pytest.approx(dbfs, abs=0.3)


def test_a_cough_is_short_and_loud() -> None:
    assert 0.2 < len(cough()) / RATE < 0.6
    assert 7000 < np.abs(cough().astype(int)).max() < 9000
