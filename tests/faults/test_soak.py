"""The soak's word on memory: what leaks is told from what fills its caches once."""

from __future__ import annotations

import pytest

from tests.faults.soak import growth


@pytest.mark.parametrize(
    ("minutes", "start", "middle", "end", "said"),
    [
        (9, 137, 156, 159, ""),  # caches fill, and that is it
        (9, 104, 106, 109, ""),
        (9, 137, 140, 149, "GROWS"),
        (9, 100.0, 104.5, 109.0, "LEAKS"),  # 60 MiB an hour, in the peaceful part of twenty minutes
        (27, 100.0, 107.0, 114.0, ""),  # 31 MiB an hour: within the bound
        (27, 200.0, 209.5, 219.0, "LEAKS"),
        (60, 200.0, 230.0, 260.0, "GROWS"),
    ],
)
def test_a_process_that_grows_and_grows(minutes: float, start: float, middle: float, end: float, said: str) -> None:
    assert growth([(60, start), (60 + 30 * minutes, middle), (60 + 60 * minutes, end)]) == said
