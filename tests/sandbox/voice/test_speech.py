"""Voice and tones together."""

import numpy as np
import pytest

from sandbox.voice.modem import Decoder
from sandbox.voice.speech import CALLEES, ROBOT, TONES_DBFS, VOICE_DBFS, utterance
from sandbox.voice.tones import Pcm

TEXT = "您好，请问是张先生吗？我们是快递公司，想跟您核实一下收货地址。"


def decoded(pcm: Pcm, rate: int) -> str:
    return "".join(heard.text for heard in Decoder(rate).feed(pcm))


def band_dbfs(pcm: Pcm, rate: int, low: float, high: float) -> float:
    spectrum = np.abs(np.fft.rfft(pcm / 32768)) ** 2
    frequency = np.fft.rfftfreq(len(pcm), 1 / rate)
    power = 2 * spectrum[(frequency >= low) & (frequency < high)].sum() / len(pcm) ** 2
    return float(10 * np.log10(power))


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000])
def test_what_is_spoken_can_be_decoded_at_any_rate(rate: int) -> None:
    spoken = utterance(TEXT, rate)
    assert decoded(spoken.pcm, rate) == TEXT
    assert 4 < spoken.seconds < 8


@pytest.mark.parametrize(
    "text", ["喂？", "嗯", "对。", "Hello, who is this?", "工单 A12 已处理 OK", "😀👍", "…", "   "]
)
def test_short_and_odd_texts_can_be_decoded(text: str) -> None:
    assert decoded(utterance(text, 8000, CALLEES[0]).pcm, 8000) == text


def test_words_end_in_order_with_the_speech() -> None:
    spoken = utterance(TEXT, 8000)
    ends = [word.end_sample for word in spoken.words]
    assert "".join(word.text for word in spoken.words) == TEXT
    assert ends == sorted(ends)
    assert len(spoken.pcm) * 0.95 < ends[-1] <= len(spoken.pcm)
    assert abs(ends[len(ends) // 2] - len(spoken.pcm) // 2) < len(spoken.pcm) // 5


def test_speech_is_slowed_to_the_wanted_length_and_both_end_together() -> None:
    usual = utterance(TEXT, 8000)
    slow = utterance(TEXT, 8000, seconds=usual.seconds * 1.6)
    assert slow.seconds == pytest.approx(usual.seconds * 1.6, rel=0.1)
    assert decoded(slow.pcm, 8000) == TEXT
    assert slow.words[-1].end_sample > len(slow.pcm) * 0.85


def test_the_voice_is_below_2_khz_and_louder_than_the_tones_above() -> None:
    pcm = utterance(TEXT * 2, 8000).pcm
    voice, between, tones = (band_dbfs(pcm, 8000, *band) for band in ((100, 1900), (2050, 2120), (2150, 3450)))
    assert VOICE_DBFS - 7 < voice < VOICE_DBFS + 2
    assert TONES_DBFS - 6 < tones < TONES_DBFS + 1
    assert voice - tones > 4
    assert between < tones - 12


def test_the_robot_and_the_callees_have_voices_of_their_own() -> None:
    spoken = [utterance("好的，再见。", 8000, speaker).pcm.tobytes() for speaker in (ROBOT, *CALLEES)]
    assert len(set(spoken)) == len(spoken)


def test_a_phrase_spoken_before_is_the_same_again() -> None:
    assert np.array_equal(utterance("再见。", 8000).pcm, utterance("再见。", 8000).pcm)
