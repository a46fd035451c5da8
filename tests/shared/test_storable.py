"""Text of others as a database can keep it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.storable import storable


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("您好\0", "您好\ufffd"),
        ("\ud83d", "\ufffd"),
        ("\udc00张\ud800", "\ufffd张\ufffd"),
        ("😀 as it is", "😀 as it is"),
        ({"a\0": ["\0", 1, None, {"b": "\ud800"}]}, {"a\ufffd": ["\ufffd", 1, None, {"b": "\ufffd"}]}),
    ],
)
def test_what_no_database_stores_is_shown_as_a_replacement(given: Any, kept: Any) -> None:
    assert storable(given) == kept
