"""Every value knows its line."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.agent.yaml_lines import YamlFault, load_with_lines


def test_values_and_their_lines() -> None:
    value, lines = load_with_lines("a: 1\non:\n  yes: [x, 2.5]\n  no: true\nb: |\n  text\n")
    assert value == {"a": 1, "on": {"yes": ["x", 2.5], "no": True}, "b": "text\n"}
    assert lines["a"] == 1
    assert lines["on.yes"] == lines["on.yes[1]"] == 3
    assert lines["on.no"] == 4


def test_nothing_is_nothing() -> None:
    assert load_with_lines("")[0] is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2", 2),
        ("a: [", 1),
        ("a: 1\n b: 2", 2),
        ("a: !!python/object:os.system 1", 1),
        ("a: 2020-99-99", 1),
        ("b: 1\na: !!timestamp x", 2),
        ("b: 1\na: !!int ''", 2),
        ("b: 1\na: !!bool x", 2),
        ("[" * 3000, 1),
        ("a: &x [*x]", 1),
        ("a: &x 1\nb: *x", 1),
    ],
)
def test_what_is_not_to_be_read_is_named_with_its_line(text: str, line: int) -> None:
    with pytest.raises(YamlFault) as caught:
        load_with_lines(text)
    assert caught.value.line == line


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#\n 0?,%@`", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(YamlFault):
        load_with_lines(text)
