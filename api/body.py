"""Reading a request's body: JSON in UTF-8, bounded, with an answer that says what is wrong with it."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from flask import Request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from werkzeug.exceptions import BadRequest, ClientDisconnected, RequestEntityTooLarge

from api.envelope import ParameterError, refuse

MAX_BODY_BYTES = 32 << 20
"""32 MiB (reading.md, "Envelope"): 10,000 tickets with 1,000 Chinese characters each, and room to spare."""
MAX_COMMAS = 2_000_000
"""In a document that is decoded without a schema: bounds the memory that a hostile one of 32 MiB can take."""
BOM = b"\xef\xbb\xbf"
_HALF_A_PAIR = re.compile(rb'\\u[dD][89abAB][0-9a-fA-F]{2}[^"\\]{0,4}"')

_decoder = msgspec.json.Decoder()


def read_bounded(request: Request) -> bytes:
    """The body, up to ``request.max_content_length`` bytes. Raises RequestEntityTooLarge (HTTP 413) beyond.

    A body that announces its length is refused unread. One in chunks is read up to the limit; werkzeug (3.1) cuts it
    there in silence, and a cut body must not be taken for a whole one: nor one whose sender left (ClientDisconnected),
    nor one whose chunks are none (BadRequest; gunicorn finds out while it is read).
    """
    try:
        body = request.get_data(cache=False)
    except ParseException as error:
        raise BadRequest(f"the body is not framed as HTTP demands ({type(error).__name__})") from error
    limit = request.max_content_length
    if request.content_length is None and limit is not None and len(body) >= limit:
        raise RequestEntityTooLarge
    if len(body) < (request.content_length or 0):
        raise ClientDisconnected
    return body


def read_json(request: Request) -> bytes:
    """The body of a request that must carry JSON, without a byte order mark.

    A browser sends any other type to another site without asking first, so the type is demanded, not guessed.
    Raises ParameterError, and RequestEntityTooLarge (HTTP 413).
    """
    if request.content_encoding:
        raise refuse(f"不支持压缩的请求体（Content-Encoding: {request.content_encoding[:40]}），请直接发送 JSON")
    body = read_bounded(request)
    if not body.strip():
        raise refuse("请求体为空，应为 JSON")
    kind = request.mimetype
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise refuse(f"Content-Type 应为 application/json，收到的是 {kind[:80] or '（无）'}")
    return body.removeprefix(BOM)


def decode(body: bytes) -> Any:
    """The JSON document in ``body``. Raises ParameterError for what is none, or has too many values to be meant well."""
    if body.count(b",") > MAX_COMMAS:
        raise refuse("请求体含有错误，且内容过多，无法逐项指出；请减少每次提交的条数")
    try:
        return _decoder.decode(body)
    except (ValueError, RecursionError) as error:
        raise malformed(error, body) from error


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``. Raises ParameterError for anything else."""
    document = decode(body)
    if not isinstance(document, dict):
        raise refuse(f"请求体应为 JSON 对象，收到的是{type_name(document)}")
    return document


def malformed(error: ValueError | RecursionError, body: bytes) -> ParameterError:
    """What to say of a ``body`` that is no JSON. msgspec (0.22) counts undecodable bytes from the start of their string."""
    if isinstance(error, UnicodeDecodeError):
        return refuse(f"请求体不是 UTF-8 编码的 JSON：偏移 {_first_foreign(body)} 字节处起无法解码（从 0 数起）")
    if isinstance(error, RecursionError):
        return refuse("请求体的 JSON 嵌套过深")
    if "truncated" in str(error) and _ends_in_surrogate(body):
        return refuse("请求体不是合法的 JSON：最后一个字符串含有不成对的 UTF-16 代理字符")
    if "surrogate" in str(error):
        return refuse(f"请求体不是合法的 JSON：含有不成对的 UTF-16 代理字符（{error}）")
    return refuse(f"请求体不是合法的 JSON：{error}")


def _first_foreign(body: bytes) -> int:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _ends_in_surrogate(body: bytes) -> bool:
    """Whether fewer bytes follow the first half of a pair than the second half takes: msgspec calls that truncated."""
    found = _HALF_A_PAIR.search(body, max(0, len(body) - 11))
    if found is None:
        return False
    before = body[: found.start()]
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 0


def type_name(value: Any) -> str:
    """What a JSON value is, for messages."""
    if value is None:
        return " null"
    if isinstance(value, bool):
        return "布尔值"
    if isinstance(value, str):
        return "字符串"
    if isinstance(value, int | float):
        return "数字"
    return "数组" if isinstance(value, list) else "对象"
