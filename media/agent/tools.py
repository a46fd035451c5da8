"""What a language model may do besides talking: the tools, as OpenAI-compatible endpoints take them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HANG_UP = "hang_up"
DO_NOT_CALL = "do_not_call_again"
CALLBACK = "callback_wanted"
TAG = "tag_outcome"

_TEXT: Mapping[str, Any] = {"type": "string", "maxLength": 200}
_DESCRIPTIONS: Mapping[str, tuple[str, dict[str, Mapping[str, Any]]]] = {
    HANG_UP: ("结束通话。先说完道别的话再调用。", {"reason": {**_TEXT, "description": "为什么结束"}}),
    DO_NOT_CALL: ("客户要求以后不要再打来时调用，调用后道歉并道别。", {}),
    CALLBACK: ("客户希望换个时间再联系时调用。", {"when": {**_TEXT, "description": "客户说的时间，没说则为空"}}),
    TAG: (
        "记录一项通话结果，例如 name=satisfaction, value=满意。",
        {"name": {**_TEXT, "description": "英文小写名称"}, "value": {**_TEXT, "description": "取值"}},
    ),
}
TOOL_NAMES = tuple(_DESCRIPTIONS)


def tool_schema(name: str) -> dict[str, Any]:
    """The tool in the shape of chat completions' ``tools``."""
    description, properties = _DESCRIPTIONS[name]
    parameters = {"type": "object", "properties": properties, "required": ["name"] if name == TAG else []}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
