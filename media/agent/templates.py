"""Texts with ticket fields in them: Jinja2 in its sandbox, checked when they are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2 import Template as Compiled
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from media.agent.ticket import FIELDS, sample_fields
from shared.unicode import storable

HEARD = "heard"
"""What the customer has just said; only where a reply is made of it."""
LONGEST_TEXT = 20_000
"""Characters of one rendered text: a long system prompt; a loop that prints more is a mistake."""

_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)


class TemplateFault(ValueError):
    """A template cannot be used; the message says why, for the author of a playbook."""


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """One text of a playbook."""

    source: str
    constant: bool
    """Whether it is the same for every ticket, and so can be synthesised before any call."""
    compiled: Compiled

    def render(self, fields: Mapping[str, str]) -> str:
        """The text for one ticket. Raises TemplateFault if it cannot be made of these fields."""
        try:
            return storable(self.compiled.render(fields))[:LONGEST_TEXT].strip()
        except (TemplateError, SecurityError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise TemplateFault(f"cannot be rendered: {error}") from error


def compile_text(source: str, *, more: Iterable[str] = ()) -> Text:
    """``source`` as a Text; ``more`` names that it may use besides the ticket's fields. Raises TemplateFault."""
    allowed = {*FIELDS, *more}
    try:
        parsed = _environment.parse(source)
        unknown = meta.find_undeclared_variables(parsed) - allowed
        if unknown:
            raise TemplateFault(
                f"unknown name {', '.join(sorted(unknown))}; expected one of {', '.join(sorted(allowed))}"
            )
        text = Text(source, "{{" not in source and "{%" not in source, _environment.from_string(source))
    except (TemplateError, RecursionError) as error:
        raise TemplateFault(f"not a template: {error}") from error
    text.render(sample_fields() | dict.fromkeys(more, "好的"))
    return text
