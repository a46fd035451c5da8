"""One step's work on many: what is wrong with one holds up no other."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

from workers.rounds import each


def test_a_failure_is_logged_with_its_id_and_raised_when_all_others_are_done(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    def work(one: int) -> None:
        if one in (1, 3):
            raise ValueError(one)
        done.append(one)

    with pytest.raises(ValueError, match="1"):
        each([1, 2, 3, 4], work, name="batch_id")
    assert done == [2, 4]
    *failures, summary = caplog.records
    assert [vars(record)["batch_id"] for record in failures] == [1, 3]
    assert (vars(summary)["failed"], vars(summary)["of"]) == (2, 4)


def test_without_a_database_nothing_more_is_tried() -> None:
    tried: list[str] = []

    def work(one: str) -> None:
        tried.append(one)
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    with pytest.raises(OperationalError):
        each(["a", "b"], work)
    assert tried == ["a"]
