"""Does what the tools of a language model ask for."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

from media.agent.chat import ToolCall
from media.agent.playbook import Playbook
from media.agent.scripted import LONGEST_TAG
from media.agent.tools import CALLBACK, DO_NOT_CALL, HANG_UP, OUTCOME, TAG, read_arguments
from shared.unicode import storable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Used:
    """What came of a call: its result for the model, and whether the conversation is to end."""

    result: str = "好"
    ends: bool = False


class Toolbox:
    """One call's. ``note`` takes an outcome's name and value."""

    def __init__(self, playbook: Playbook, note: Callable[[str, str], None]) -> None:
        self._book = playbook
        self._note = note

    def use(self, call: ToolCall) -> Used:
        """Only what the playbook allows; a call that is none says so to the model."""
        arguments = _arguments(call)
        if arguments is None or call.name not in self._book.tools:
            log.warning("the language model called a tool wrongly", extra={"tool": call.name[:40]})
            return Used("没有这个工具，或参数不是 JSON 对象")
        if call.name == TAG:
            return self._tag(arguments.get("name", ""), arguments.get("value", ""))
        if call.name == CALLBACK:
            self._note("callback_wanted", arguments.get("when", "")[:LONGEST_TAG])
        elif call.name == DO_NOT_CALL:
            self._note("do_not_call", "")
        return Used(ends=call.name in (DO_NOT_CALL, HANG_UP))

    def _tag(self, name: str, value: str) -> Used:
        outcomes = self._book.outcomes
        if OUTCOME.fullmatch(name) is None or (outcomes and name not in outcomes):
            return Used(f"name 应为 {'、'.join(outcomes) or '英文小写字母、数字和下划线'}")
        self._note(name, value[:LONGEST_TAG])
        return Used()


def _arguments(call: ToolCall) -> dict[str, str] | None:
    """A tool's arguments as texts; None if they are no JSON object."""
    arguments = read_arguments(call.arguments)
    if arguments is None:
        return None
    return {name: storable(value) if isinstance(value, str) else json.dumps(value) for name, value in arguments.items()}
