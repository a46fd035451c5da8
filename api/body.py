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
_FAULTS = {
    "invalid character": "有不合法的字符",
    "expected ':'": "应为冒号",
    "expected ',' or ']'": "应为 , 或 ]",
    "expected ',' or '}'": "应为 , 或 }",
    "expected '\"'": "应为双引号",
    "object keys must be strings": "对象的键应为字符串",
    "trailing comma in array": "数组末尾有多余的逗号",
    "trailing comma in object": "对象末尾有多余的逗号",
    "trailing characters": "起有多余的内容",
    "invalid number": "的数字不合法",
    "invalid escaped character": "有不合法的转义",
    "invalid escape character in string": "有不合法的转义",
    "invalid character in unicode escape": "有不合法的转义",
    "unexpected end of hex escape": "有不完整的转义",
    "invalid utf-16 surrogate pair": "有不成对的 UTF-16 代理字符",
    "unexpected end of escaped utf-16 surrogate pair": "有不成对的 UTF-16 代理字符",
}
"""What msgspec (0.22) finds wrong with JSON, as we say it after where it is."""
_AT_BYTE = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)")
_AT_PATH = re.compile(r"(?:Number|Integer value) out of range(?: - at `(.*)`)?")
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
    return refuse(f"请求体不是合法的 JSON：{_fault(str(error), body)}")


def _fault(said: str, body: bytes) -> str:
    if "truncated" in said:
        if _ends_in_surrogate(body):
            return "最后一个字符串含有不成对的 UTF-16 代理字符"
        return f"内容不完整，到第 {len(body)} 字节就结束了"
    place = _AT_BYTE.fullmatch(said)
    if place is not None:
        return f"偏移 {place[2]} 字节处{_FAULTS.get(place[1], '无法解析')}（从 0 数起）"
    found = _AT_PATH.fullmatch(said)
    if found is not None:
        return f"数字超出范围，位于 {found[1] or '$'}"
    return "无法解析"


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
