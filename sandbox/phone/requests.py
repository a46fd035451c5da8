"""Requests of the dialog API: from bytes to the structs of the wire format, or a refusal that names the field. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, cast

import msgspec

from sandbox.phone.refusals import Code, Refusal
from shared.phone.wire import CallAction, StartCall

MAX_BODY_BYTES = 64 << 10
"""A request is under 1 KiB; a body above 64 KiB is something else."""

CallActionName = Literal["file_playback", "start_stream", "stream_playback", "clean_stream", "stop_stream", "hangup"]

CALL_ACTIONS = ("file_playback", "start_stream", "stream_playback", "clean_stream", "stop_stream", "hangup")

_NUMBER = re.compile(r"\+?[0-9]{3,20}")
_EXTENSION = re.compile(r"[0-9*#]{0,16}")

_object = msgspec.json.Decoder()


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises Refusal BAD_REQUEST."""
    try:
        document = _object.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(Code.BAD_REQUEST, f"expected a JSON object as the body: {error}") from error
    except RecursionError as error:
        raise Refusal(Code.BAD_REQUEST, "expected a flat JSON object as the body, got one nested too deeply") from error
    if not isinstance(document, dict):
        raise Refusal(Code.BAD_REQUEST, f"expected a JSON object as the body, got {_kind(document)}")
    return document


def mutation_id(document: dict[str, Any]) -> str:
    """What to echo: the client's own mark, "" if it sent none that can be echoed (section 1.2)."""
    mark = document.get("clientMutationId")
    return mark if isinstance(mark, str) else ""


def start_call(document: dict[str, Any]) -> StartCall:
    """Section 2.1. Raises Refusal UNKNOWN_ACTION or BAD_REQUEST."""
    _action(document, ("startcall",), "POST /")
    return StartCall(
        caller=_matching(document, "caller", _NUMBER, "a phone number of 3 to 20 digits"),
        callee=_matching(document, "callee", _NUMBER, "a phone number of 3 to 20 digits"),
        is_record=_typed(document, "isRecord", "a boolean", lambda value: isinstance(value, bool)),
        exten=_matching(document, "exten", _EXTENSION, 'an extension of up to 16 digits, or ""'),
        request_id=_filled(document, "requestId"),
        client_mutation_id=_text(document, "clientMutationId"),
    )


def call_action(document: dict[str, Any]) -> CallAction:
    """Sections 2.2 to 2.7. Raises Refusal UNKNOWN_ACTION or BAD_REQUEST."""
    action = _action(document, CALL_ACTIONS, "POST /{uuid}")
    parameters = _filled(document, "parameters") if action == "file_playback" else _text(document, "parameters")
    return CallAction(
        action=cast(CallActionName, action),
        parameters=parameters,
        client_mutation_id=_text(document, "clientMutationId"),
    )


def _action(document: dict[str, Any], allowed: tuple[str, ...], route: str) -> str:
    action = _text(document, "action")
    if action not in allowed:
        raise Refusal(Code.UNKNOWN_ACTION, f"{route} expects the action {' or '.join(allowed)}, got {action[:40]!r}")
    return action


def _typed(document: dict[str, Any], field: str, expected: str, fits: Callable[[Any], bool]) -> Any:
    if field not in document:
        raise Refusal(Code.BAD_REQUEST, f"{field}: expected {expected}, but it is missing")
    value = document[field]
    if not fits(value):
        raise Refusal(Code.BAD_REQUEST, f"{field}: expected {expected}, got {_kind(value)}")
    return value


def _text(document: dict[str, Any], field: str) -> str:
    return cast(str, _typed(document, field, "a string", lambda value: isinstance(value, str)))


def _filled(document: dict[str, Any], field: str) -> str:
    text = _text(document, field)
    if not text or len(text) > 128:
        raise Refusal(Code.BAD_REQUEST, f"{field}: expected 1 to 128 characters, got {len(text)}")
    return text


def _matching(document: dict[str, Any], field: str, pattern: re.Pattern[str], expected: str) -> str:
    text = _text(document, field)
    if not pattern.fullmatch(text):
        raise Refusal(Code.BAD_REQUEST, f"{field}: expected {expected}, got another text of {len(text)} characters")
    return text


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
