"""A piece of speech until it is taken: in order, bit by bit, and without being copied."""

from __future__ import annotations

import pytest

from media.session.utterance import MAX_AHEAD_BYTES, Utterance
from media.speech.ports import SpeechFailure, SpokenWord


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.changes = 0
        self.failures: list[SpeechFailure] = []

    def utterance_changed(self, utterance: Utterance) -> None:
        self.changes += 1

    def utterance_failed(self, utterance: Utterance, failure: SpeechFailure) -> None:
        self.failures.append(failure)


class Source:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def send(self, text: str) -> None:
        self.asked.append(text)

    def finish(self) -> None:
        self.asked.append("finish")

    def cancel(self) -> None:
        self.asked.append("cancel")


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def utterance(owner: Owner, source: Source) -> Utterance:
    return Utterance(owner, "您好", lambda _: source)


def test_audio_is_taken_in_order_up_to_what_is_wanted(utterance: Utterance) -> None:
    utterance.on_audio(b"abcd")
    utterance.on_audio(b"efgh")
    taken, _ = utterance.take(6)
    assert [bytes(chunk) for chunk in taken] == [b"abcd", b"ef"]
    assert utterance.waiting == 2
    taken, _ = utterance.take(100)
    assert [bytes(chunk) for chunk in taken] == [b"gh"]
    assert utterance.take(100) == ([], [])


def test_a_prompt_that_many_calls_play_is_one_piece_of_memory(utterance: Utterance) -> None:
    prompt = bytes(64_000)
    utterance.on_audio(prompt)
    taken = [*utterance.take(1_000)[0], *utterance.take(2_000)[0], *utterance.take(61_000)[0]]
    assert sum(map(len, taken)) == len(prompt)
    assert all(chunk.obj is prompt for chunk in taken)


def test_word_times_come_with_whatever_is_taken_next(utterance: Utterance) -> None:
    word = SpokenWord(text_start=0, text_end=2, start_ms=0, end_ms=400)
    utterance.on_words([word])
    assert utterance.take(0) == ([], [word])
    assert utterance.take(0) == ([], [])


def test_the_source_is_opened_once_with_the_text_so_far_and_told_the_rest(owner: Owner, source: Source) -> None:
    utterance = Utterance(owner, "您好", lambda _: source, complete=False)
    utterance.open(1.0)
    utterance.open(2.0)
    utterance.extend("，我是小外。", complete=True)
    assert source.asked == ["您好", "，我是小外。", "finish"]
    assert utterance.opened_at == 1.0


def test_six_minutes_that_nobody_takes_are_a_failure(owner: Owner, utterance: Utterance) -> None:
    utterance.on_audio(bytes(MAX_AHEAD_BYTES))
    assert not owner.failures
    utterance.on_audio(b"ab")
    assert [failure.code for failure in owner.failures] == ["overflow"]
    assert utterance.done


def test_words_without_a_sound_are_a_failure_and_marks_without_one_are_not(source: Source) -> None:
    for text, failures in (("您好", ["first_audio"]), ("……", [])):
        told = Owner()
        Utterance(told, text, lambda _: source).on_done()
        assert [failure.code for failure in told.failures] == failures


def test_once_cancelled_it_takes_nothing_and_tells_nobody(owner: Owner, source: Source, utterance: Utterance) -> None:
    utterance.open(0.0)
    utterance.on_audio(b"ab")
    told = owner.changes
    utterance.cancel()
    utterance.on_audio(b"cd")
    utterance.on_done()
    utterance.on_failure(SpeechFailure("tts", "broken", "gone"))
    assert (utterance.waiting, owner.changes, owner.failures) == (0, told, [])
    assert source.asked[-1] == "cancel"
