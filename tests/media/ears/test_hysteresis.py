"""When speech began and ended."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.ears.hysteresis import Change, Hysteresis, SpeechRule

ROW = np.zeros(1, np.intp)


def changes(probabilities: list[float], rule: SpeechRule | None = None) -> list[Change]:
    """One row that hears ``probabilities``, a window each."""
    state = Hysteresis(1)
    state.reset(0, rule or SpeechRule())
    out: list[Change] = []
    for window, probability in enumerate(probabilities):
        out += state.update(ROW, np.array([probability], np.float32), np.array([window]))
    return out


def test_speech_begins_with_the_first_of_four_windows_and_ends_with_the_first_of_six() -> None:
    heard = changes([0.1] * 3 + [0.9] * 10 + [0.1] * 10)
    assert heard == [Change(0, True, 3), Change(0, False, 13)]


def test_three_windows_are_a_click() -> None:
    assert changes([0.9] * 3 + [0.0] + [0.9] * 3 + [0.0]) == []


def test_a_pause_inside_a_word_does_not_end_it() -> None:
    assert changes([0.9] * 5 + [0.1] * 5 + [0.9] * 2 + [0.1] * 5) == [Change(0, True, 0)]


def test_between_the_thresholds_nothing_counts_and_nothing_starts_anew() -> None:
    assert changes([0.9, 0.9, 0.3, 0.9, 0.9]) == [Change(0, True, 0)]
    assert changes([0.9] * 4 + [0.1, 0.4] * 6) == [Change(0, True, 0), Change(0, False, 4)]


def test_a_voiced_beginning_of_which_the_model_is_unsure_is_one_all_the_same() -> None:
    """The first windows of 不好意思, as the model judged them."""
    assert changes([0.02, 0.3, 0.51, 0.49, 0.44, 0.43, 0.49, 0.53]) == [Change(0, True, 2)]
    assert changes([0.03, 0.26, 0.39, 0.43, 0.51, 0.37, 0.5]) == [Change(0, True, 2)]


def test_a_dip_starts_the_count_anew() -> None:
    assert changes([0.9, 0.9, 0.9, 0.19, 0.9, 0.9, 0.9, 0.19]) == []


def test_every_parameter_counts() -> None:
    rule = SpeechRule(on=0.8, off=0.2, onset_windows=2, stop_windows=3, onset=0.7, dip=0.4)
    assert changes([0.6] * 9, rule) == []
    assert changes([0.7, 0.3, 0.7, 0.3], rule) == []
    assert changes([0.7, 0.5, 0.7, 0.3, 0.3, 0.1, 0.1, 0.8, 0.1, 0.1, 0.1], rule) == [
        Change(0, True, 0),
        Change(0, False, 8),
    ]


def test_rows_are_judged_by_their_own_rules() -> None:
    state = Hysteresis(3)
    state.reset(0, SpeechRule(onset_windows=1))
    state.reset(2, SpeechRule(onset_windows=2))
    rows = np.array([2, 0])
    loud = np.array([0.9, 0.9], np.float32)
    assert state.update(rows, loud, np.array([5, 8])) == [Change(0, True, 8)]
    assert state.update(rows, loud, np.array([6, 9])) == [Change(2, True, 5)]
    assert state.undecided(np.array([0, 1, 2])).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("on", "off", "onset", "stop"), [(0.3, 0.5, 4, 6), (1.0, 0.5, 4, 6), (0.5, 0.0, 4, 6), (0.5, 0.3, 0, 6)]
)
def test_impossible_rules_are_refused(on: float, off: float, onset: int, stop: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        SpeechRule(on, off, onset, stop)
    with pytest.raises(ValueError, match="dip"):
        SpeechRule(onset=0.3, dip=0.4)


@given(st.lists(st.floats(0, 1, width=32), max_size=120))
def test_starts_and_ends_alternate_in_time(probabilities: list[float]) -> None:
    heard = changes(probabilities)
    assert [change.speaking for change in heard] == [index % 2 == 0 for index in range(len(heard))]
    assert [change.window for change in heard] == sorted({change.window for change in heard})
    for begin, end in zip(heard[::2], heard[1::2], strict=False):
        assert end.window - begin.window >= 4
