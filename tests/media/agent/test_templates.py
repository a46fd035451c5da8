"""Templates are checked when they are compiled, and cannot harm."""

from __future__ import annotations

import pytest

from media.agent.templates import LONGEST_TEXT, TemplateFault, compile_text
from media.agent.ticket import sample_fields


def test_fields_are_filled_in() -> None:
    text = compile_text("您好，{{ username }}！{% if when %}{{ when }}见。{% endif %}")
    assert not text.constant
    assert text.render(sample_fields() | {"username": "李四", "when": "明天"}) == "您好，李四！明天见。"


def test_what_a_ticket_says_is_text_and_never_a_template() -> None:
    assert compile_text("{{ username }}").render(sample_fields() | {"username": "{{ 7*7 }}"}) == "{{ 7*7 }}"


def test_a_text_without_fields_is_constant() -> None:
    assert compile_text("您好。").constant


@pytest.mark.parametrize(
    "source",
    [
        "{{ nobody }}",
        "{{ username",
        "{% for %}",
        "{{ username | nofilter }}",
        "{{ username.__class__ }}",
        "{{ 1 / 0 }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% include 'x' %}",
        "{{ heard }}",
    ],
)
def test_what_cannot_be_rendered_is_refused(source: str) -> None:
    with pytest.raises(TemplateFault):
        compile_text(source)


def test_names_beyond_the_tickets_are_only_there_where_they_are_allowed() -> None:
    assert compile_text("{{ heard }}", more=("heard",)).render({"heard": "好"}) == "好"


def test_a_text_has_a_bound() -> None:
    assert len(compile_text("{{ username * 100 }}").render({"username": "长" * 1000})) == LONGEST_TEXT


def test_a_text_can_always_be_written_down() -> None:
    assert compile_text('好的{{ "\\ud83d" }}{{ "\\0" }}').render({}) == "好的\ufffd\ufffd"
