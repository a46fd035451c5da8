"""Call ids: 19 digits as in the document's samples."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ids import UUID_LENGTH, CallIds, is_call_uuid

SHANGHAI = ZoneInfo("Asia/Shanghai")
SAMPLE_MS = 1_755_349_919_000  # 2025-08-16 21:11:59 in Shanghai, as in the document's first sample


def test_an_id_is_the_local_second_and_seven_digits() -> None:
    assert CallIds(SHANGHAI, start=110001).draw(SAMPLE_MS) == "2508162111590110001"


def test_ids_of_one_second_differ_ten_million_times() -> None:
    ids = CallIds(SHANGHAI, start=9_999_999)
    assert ids.draw(SAMPLE_MS).endswith("9999999")
    assert ids.draw(SAMPLE_MS).endswith("0000000")


def test_two_processes_do_not_begin_at_the_same_place() -> None:
    assert len({CallIds(SHANGHAI).draw(SAMPLE_MS) for _ in range(50)}) > 45


@given(st.integers(0, 4_000_000_000_000))
def test_every_id_has_the_form_that_is_recognised(now_ms: int) -> None:
    assert is_call_uuid(CallIds(SHANGHAI).draw(now_ms))


@pytest.mark.parametrize("text", ["", "1" * 18, "1" * 20, "../../../etc/passwd", "²" * 19, "１" * 19, "1" * 18 + "\n"])
def test_what_is_no_id_is_seen(text: str) -> None:
    assert not is_call_uuid(text)
    assert UUID_LENGTH == 19
