"""Links to recordings: what they say, and that none of it can be changed."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.links import LINK_SECONDS, LINK_STEP_SECONDS, link_holds, recording_url

SECRET = bytes(range(32))
NAME = "ai_call/2025/08/16/21/2508162111590110001.wav"
NOW = 1_767_153_838_953
KEY_ID = "3f9a0c12be47"
IDENTITIES = st.from_regex(r"[0-9a-f]{12}|bootstrap:[0-9]{1,2}|webhook:[0-9]{1,9}", fullmatch=True)


def signed(given_to: str = KEY_ID, name: str = NAME, secret: bytes = SECRET) -> dict[str, str]:
    """The query of a link."""
    url = recording_url("https://calls.example", name, secret, NOW, given_to=given_to)
    return {field: values[0] for field, values in parse_qs(urlsplit(url).query).items()}


def holds(query: dict[str, str], now_ms: int = NOW) -> bool:
    return link_holds(query["filename"], query.get("by", ""), query["expires"], query["sig"], SECRET, now_ms)


def test_while_no_key_is_needed_a_link_is_only_an_address() -> None:
    url = recording_url("https://calls.example", NAME, None, NOW, given_to="loopback")
    assert url == f"https://calls.example/recordings/files?filename={NAME}"


@given(IDENTITIES)
def test_a_link_holds_for_whom_it_was_given_to(given_to: str) -> None:
    query = signed(given_to)
    assert query["by"] == given_to
    assert holds(query)


@given(IDENTITIES, st.sampled_from(["filename", "by", "expires", "sig"]), st.text(max_size=60))
def test_nothing_of_a_link_can_be_changed(given_to: str, field: str, value: str) -> None:
    query = signed(given_to)
    assert holds(query | {field: value}) == (query[field] == value)


def test_no_line_of_what_is_signed_can_be_moved_into_another() -> None:
    """A key id may be digits alone, and an older link was signed over name and time."""
    query = signed("123456789012")
    moved = f"{query['filename']}\n{query['expires']}"
    for given_to, name, expires in (
        ("", moved, "123456789012"),
        ("", moved, "by=123456789012"),
        ("", query["filename"], f"{query['expires']}\nby=123456789012"),
    ):
        assert not link_holds(name, given_to, expires, query["sig"], SECRET, NOW)


def test_a_link_holds_for_a_day_at_least_and_an_hour_more_at_most() -> None:
    query = signed()
    assert holds(query, NOW + LINK_SECONDS * 1000)
    assert not holds(query, NOW + (LINK_SECONDS + LINK_STEP_SECONDS) * 1000 + 1)


@pytest.mark.parametrize("other", [{"secret": bytes(32)}, {"name": NAME.replace("0001.wav", "0002.wav")}])
def test_a_signature_is_of_one_house_and_one_recording(other: dict[str, bytes | str]) -> None:
    stranger = signed(**other)  # type: ignore[arg-type]
    assert not holds(signed() | {"sig": stranger["sig"]})
