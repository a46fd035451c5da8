"""The report's figures against talks whose every gap and delay is known."""

from __future__ import annotations

import numpy as np
import pytest

from sandbox.people.manner import Manner
from sandbox.people.mouth import Sounding
from sandbox.phone import figures
from sandbox.phone.hearing import RATE, Hearing
from tests.sandbox.people.rehearsal import Rehearsal, robot_speech

TEXT = "您好，我是未来科技大学招生办公室的小助手。"


def feed(parts: list[tuple[str, float]], said: list[Sounding] | None = None) -> tuple[dict[str, object], Rehearsal]:
    """Play parts in real time: ("speech", seconds of the text's next audio) or ("hole", seconds without any)."""
    talk = Rehearsal(Manner(silent=True), [])
    pcm, at, now = robot_speech(TEXT), 0, 0.5
    talk.talk.advance(now)
    for kind, seconds in parts:
        if kind == "speech":
            piece = pcm[at : at + int(seconds * RATE)]
            at += len(piece)
            talk.talk.receive(piece.tobytes(), now)
        now += seconds
        while talk.talk.samples < int(now * RATE):
            talk.talk.advance(now)
    talk.talk.advance(now + 1.0)
    talk.talk.advance(now + 1.0)
    talk.talk.finish()
    return figures.heard(talk.hearing, said or []), talk


def test_unbroken_speech_has_no_gap_and_all_its_words() -> None:
    heard, _ = feed([("speech", 10.0)])
    assert heard["text"] == TEXT
    assert heard["gaps"] == {"count": 0, "longest_ms": 0.0, "total_ms": 0, "at_ms": []}
    assert heard["seconds"] == pytest.approx(len(robot_speech(TEXT)) / RATE, abs=0.001)


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.3, 0.6])
def test_a_hole_of_known_length_is_reported_with_its_length(seconds: float) -> None:
    heard, _ = feed([("speech", 1.0), ("hole", seconds), ("speech", 10.0)])
    gaps = heard["gaps"]
    assert isinstance(gaps, dict)
    assert gaps["count"] == 1
    assert gaps["longest_ms"] == pytest.approx(seconds * 1000, abs=21)
    assert gaps["at_ms"] == [pytest.approx(1500, abs=21)]
    lateness = heard["lateness_ms"]
    assert isinstance(lateness, dict)
    assert lateness["max"] == pytest.approx(seconds * 1000, abs=21)


def test_several_holes_add_up() -> None:
    heard, _ = feed([("speech", 0.6), ("hole", 0.1), ("speech", 0.6), ("hole", 0.2), ("speech", 10.0)])
    gaps = heard["gaps"]
    assert isinstance(gaps, dict)
    assert gaps["count"] == 2
    assert gaps["total_ms"] == pytest.approx(300, abs=42)


def test_the_pause_between_two_sentences_is_no_gap() -> None:
    talk = Rehearsal("talker", [TEXT, "请问您方便吗？"]).run()
    heard = figures.heard(talk.hearing, talk.said)
    assert heard["text"] == TEXT + "请问您方便吗？"
    assert heard["gaps"]["count"] == 0


def test_a_hole_that_begins_under_the_persons_voice_is_a_yield() -> None:
    voice = Sounding("murmur", "嗯。", None, start=int(1.3 * RATE), end=int(1.6 * RATE))
    heard, _ = feed([("speech", 1.0), ("hole", 0.3), ("speech", 10.0)], [voice])
    assert isinstance(heard["gaps"], dict)
    assert isinstance(heard["yields"], dict)
    assert (heard["gaps"]["count"], heard["yields"]["count"]) == (0, 1)


def test_level_of_known_sound() -> None:
    hearing = Hearing()
    wave = np.round(3276.8 * np.sqrt(2) * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)).astype(np.int16)
    for place in range(0, RATE, 160):
        hearing.play(wave[place : place + 160], place, 160, playing=True)
    heard = figures.heard(hearing, [])
    assert heard["level_dbfs"] == pytest.approx(-20.0, abs=0.1)
    assert heard["peak_dbfs"] == pytest.approx(-17.0, abs=0.1)


def hearing_of(*runs: tuple[float, float], received: list[tuple[float, float]] | None = None) -> Hearing:
    """A hearing with sound in these stretches of seconds, arriving as it is played unless told otherwise."""
    hearing = Hearing()
    for start, end in runs:
        hearing.played.add(int(start * RATE), int(end * RATE))
    for start, end in received or list(runs):
        hearing.received.add(int(start * RATE), int(end * RATE))
    return hearing


def sound(kind: str, start: float, end: float) -> Sounding:
    return Sounding(kind, "", None, int(start * RATE), int(end * RATE))


NOW = 60 * RATE


def test_barge_in_latency_is_from_the_onset_to_the_last_sound_received() -> None:
    hearing = hearing_of((1.0, 3.25), received=[(0.9, 3.15)])
    hearing.clear(int(3.3 * RATE))
    (row,) = figures.barge_ins([sound("interruption", 3.0, 4.0)], hearing, NOW)
    assert row["latency_ms"] == 150.0
    assert row["heard_ms"] == 250.0
    assert row["cleaned"]
    assert not row["went_on"]


def test_silence_before_the_first_sound_is_nobodys_latency() -> None:
    voice = sound("interruption", 3.0, 4.0)
    voice.pcm = np.concatenate([np.zeros(400, np.int16), np.full(7600, 3000, np.int16)])
    (row,) = figures.barge_ins([voice], hearing_of((1.0, 3.25)), NOW)
    assert (row["at_ms"], row["latency_ms"]) == (3050.0, 200.0)


def test_a_robot_that_does_not_stop_is_told_by_its_latency() -> None:
    (row,) = figures.barge_ins([sound("interruption", 3.0, 4.0)], hearing_of((1.0, 9.0)), NOW)
    assert row["latency_ms"] == 6000.0
    assert row["went_on"]


def test_speech_that_pauses_for_a_murmur_and_resumes_went_on() -> None:
    hearing = hearing_of((1.0, 3.1), (3.6, 5.0))
    (row,) = figures.barge_ins([sound("murmur", 3.0, 3.3)], hearing, NOW)
    assert row["heard_ms"] == 100.0
    assert row["went_on"]
    assert not row["cleaned"]


def test_speech_that_never_resumes_did_not_go_on() -> None:
    hearing = hearing_of((1.0, 3.1), (6.0, 7.0))
    assert not figures.barge_ins([sound("murmur", 3.0, 3.3)], hearing, NOW)[0]["went_on"]


def test_speech_into_silence_is_no_barge_in() -> None:
    assert figures.barge_ins([sound("reply", 4.0, 5.0)], hearing_of((1.0, 3.0)), NOW) == []


def test_response_latency_is_from_the_end_of_speech_to_the_first_sound() -> None:
    hearing = hearing_of((1.0, 3.0), (5.8, 7.0), received=[(1.0, 3.0), (5.7, 7.0)])
    rows = figures.responses([sound("reply", 4.0, 5.0)], hearing, NOW)
    assert rows == [{"after": "reply", "at_ms": 5000.0, "latency_ms": 700.0, "heard_ms": 800.0}]


def test_a_murmur_asks_for_no_response_and_an_unanswered_turn_has_none() -> None:
    said = [sound("reply", 4.0, 5.0), sound("murmur", 5.5, 5.7), sound("check", 12.0, 13.0)]
    rows = figures.responses(said, hearing_of((1.0, 3.0), (14.0, 15.0)), NOW)
    assert [row["latency_ms"] for row in rows] == [None, 1000.0]


def test_no_response_is_counted_for_a_robot_that_talks_on() -> None:
    assert figures.responses([sound("interruption", 2.0, 2.5)], hearing_of((1.0, 4.0)), NOW) == []


def test_percentiles_of_nothing_are_null() -> None:
    assert figures.percentiles([]) == {"p50": None, "p99": None, "max": None}
    assert figures.percentiles([0.001, 0.002, 0.003])["p50"] == 2.0
