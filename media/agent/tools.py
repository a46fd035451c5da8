"""What a language model may do besides talking: the tools, as OpenAI-compatible endpoints take them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

HANG_UP = "hang_up"
DO_NOT_CALL = "do_not_call_again"
CALLBACK = "callback_wanted"
TAG = "tag_outcome"

OUTCOME = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""The name of an outcome: one word, since programs read it."""

_TEXT: Mapping[str, Any] = {"type": "string", "maxLength": 200}
_DESCRIPTIONS: Mapping[str, tuple[str, dict[str, Mapping[str, Any]]]] = {
    HANG_UP: ("结束通话。先说完道别的话再调用。", {"reason": {**_TEXT, "description": "为什么结束"}}),
    DO_NOT_CALL: ("客户要求以后不要再打来时调用，调用后道歉并道别。", {}),
    CALLBACK: ("客户希望换个时间再联系时调用。", {"when": {**_TEXT, "description": "客户说的时间，没说则为空"}}),
    TAG: (
        "记录一项通话结果，例如 name=satisfaction, value=满意。",
        {"name": {**_TEXT, "description": "英文小写字母、数字和下划线"}, "value": {**_TEXT, "description": "取值"}},
    ),
}
TOOL_NAMES = tuple(_DESCRIPTIONS)


def tool_schema(name: str, outcomes: Sequence[str] = ()) -> dict[str, Any]:
    """The tool in the shape of chat completions' ``tools``. ``outcomes``: the only names that ``tag_outcome`` takes."""
    description, properties = _DESCRIPTIONS[name]
    if name == TAG and outcomes:
        properties = {**properties, "name": {"type": "string", "enum": list(outcomes)}}
    parameters = {"type": "object", "properties": properties, "required": ["name"] if name == TAG else []}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def read_arguments(written: str) -> dict[str, Any] | None:
    """A tool's arguments as a model wrote them; None if they are no JSON object. Nothing at all counts as an empty one."""
    try:
        arguments = json.loads(written or "{}")
    except (ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None
