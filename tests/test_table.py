"""The table of attacks says what was counted, and nothing that was not."""

from __future__ import annotations

import json

import pytest

from tests import table
from tests.table import HEADER, Verdict, record, recorded


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line of these tests is in the table of this run."""
    monkeypatch.setattr(table, "_recorded", [])


def test_without_attacks_there_is_no_table() -> None:
    assert table.lines() == []


def test_what_is_struck_again_and_again_is_one_line() -> None:
    for words, lost in ((10, {"1"}), (5, set[str]())):
        with recorded("kills") as verdict:
            verdict.tried, verdict.tasks, verdict.answered, verdict.most_rings = 3, 4, 2, 1
            verdict.suffered, verdict.words, verdict.lost_words = lost, words, len(lost)
    record(Verdict("stops", 2, 2, speech=False))
    assert table.lines() == [
        *HEADER.splitlines(),
        "| kills | 6 | 8 | 7 | 4 | 1 | 0 | 1 of 15 |",
        "| stops | 2 | 2 | 2 | 0 | 0 | 0 | - |",
    ]


def test_the_same_task_of_two_houses_suffers_twice() -> None:
    whole = table.summed([Verdict("kills", tasks=2, suffered={"1"}), Verdict("kills", tasks=2, suffered={"1"})])
    assert whole.survived == 2


def test_an_attack_that_broke_something_is_in_the_table_and_fails() -> None:
    with pytest.raises(AssertionError, match="rang twice"):
        record(Verdict("kills", 1, broken=["rang twice"]))
    with pytest.raises(ZeroDivisionError), recorded("stops"):
        raise ZeroDivisionError
    assert len(table.lines()) == 4


def test_what_another_process_tells_is_in_the_table_too() -> None:
    with recorded("kills") as verdict:
        verdict.tried, verdict.tasks, verdict.suffered, verdict.most_rings = 3, 4, {"1"}, 1
    told = json.loads(json.dumps(table.told()))
    table.take(told)
    assert table.lines()[-1] == "| kills | 6 | 8 | 6 | 0 | 1 | 0 | 0 of 0 |"
