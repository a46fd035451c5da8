"""Pieces that the OpenAPI operations share. marshmallow describes here and validates nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import EXCLUDE, Schema, fields

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
NUMERIC = r"^\s*[+-]?[0-9]{1,20}\s*$"
MOMENT = r"^\s*([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]) ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\s*)?$"
"""``api.fields`` decides; these say it to programs, in the patterns that JSON Schema and ECMAScript share."""


class RequestSchema(Schema):
    """What a client sends: unknown fields are ignored (reading.md, "Names"), null and "" count as absent."""

    class Meta:
        unknown = EXCLUDE

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        field_obj.allow_none = not field_obj.required


class FieldProblemSchema(Schema):
    index = fields.Integer(allow_none=True, metadata={"description": "数组中的位置，从 0 起；不在数组中为 null"})
    field = fields.String(allow_none=True, metadata={"description": "字段名；整个请求有误为 null"})
    message = fields.String(metadata={"description": "错在哪里，应当怎样"})


class FailureSchema(Schema):
    code = fields.Integer(
        required=True, metadata={"description": "405 参数不合法；500 系统异常；401、413 同 HTTP 状态", "minimum": 400}
    )
    msg = fields.String(required=True, metadata={"description": "失败原因；参数错误时指明每一处的位置与字段"})
    data = fields.List(fields.Nested(FieldProblemSchema), allow_none=True)


class ProblemSchema(Schema):
    type = fields.String(metadata={"description": "about:blank：含义即 HTTP 状态"})
    title = fields.String()
    status = fields.Integer()
    detail = fields.String()
    errors = fields.List(
        fields.Nested(FieldProblemSchema),
        metadata={"description": "参数不合法时，每一处的位置、字段与原因；其他时候没有"},
    )


SCHEMAS: tuple[tuple[str, type[Schema]], ...] = (("Failure", FailureSchema), ("Problem", ProblemSchema))
"""Named once for all operations."""


def text(about: str, *, required: bool = False, allow_none: bool = False, **metadata: Any) -> fields.String:
    """A string field with its description."""
    return fields.String(required=required, allow_none=allow_none, metadata={"description": about, **metadata})


def integer(about: str, *, required: bool = False, allow_none: bool = False, **metadata: Any) -> fields.Integer:
    """An integer field with its description."""
    return fields.Integer(required=required, allow_none=allow_none, metadata={"description": about, **metadata})


def whole(about: str, *, required: bool = False, **bounds: Any) -> fields.Raw:
    """An integer of a request, which may also come as a numeric string (reading.md, "Names")."""
    forms = [{"type": "integer", **bounds}, {"type": "string", "pattern": NUMERIC}]
    return fields.Raw(required=required, metadata={"description": about, "anyOf": forms})


def moment(about: str) -> fields.String:
    """A time as requests carry it."""
    return text(f"{about}，yyyy-MM-dd HH:mm:ss", pattern=MOMENT)


def success_code() -> fields.Integer:
    """What tells success from failure in an envelope."""
    return integer("0 或 200 表示成功（可用 WAIHU_SUCCESS_CODE 统一）", required=True, enum=[0, 200])


def body(schema: Any, example: Any, about: str = "") -> dict[str, Any]:
    """A JSON request body."""
    return {"required": True, "description": about, "content": {JSON: {"schema": schema, "example": example}}}


def reply(about: str, schema: Any, example: Any, kind: str = JSON) -> dict[str, Any]:
    """A response with a body."""
    return {"description": about, "content": {kind: {"schema": schema, "example": example}}}


def envelope_replies(success: Any, success_example: Any, failure_example: Any) -> dict[str, Any]:
    """The responses of a specified endpoint: success and parameter errors are both HTTP 200."""
    examples = {
        "成功": {"summary": "成功", "value": success_example},
        "参数不合法": {"summary": "参数不合法（code 405）", "value": failure_example},
    }
    ok = {"schema": {"oneOf": [success, FailureSchema]}, "examples": examples}
    return {
        "200": {"description": "成功，或参数不合法（看 code）", "content": {JSON: ok}},
        "401": _failure("没有密钥，或密钥不对", 401, "需要 API 密钥"),
        "413": _failure("请求体超过 32 MiB", 413, "请求体过大：最多 33554432 字节，请分批提交"),
        "500": _failure("系统异常，什么都没有改变", 500, "系统异常，请稍后重试"),
    }


def problem_reply(about: str, status: int, title: str, detail: str) -> dict[str, Any]:
    """An RFC 9457 problem."""
    example = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return reply(about, ProblemSchema, example, PROBLEM_JSON)


def forbidden_reply(scopes: Sequence[str], *, problem: bool) -> dict[str, Any]:
    """The key is right and may not do this; the example shows one that lacks the last of ``scopes``."""
    about, lacked = "密钥没有所需的权限；没有密钥时：请求不是来自本机", scopes[-1]
    if problem:
        return problem_reply(about, 403, "Forbidden", f"this key may not do that: it needs the scope {lacked}")
    return _failure(about, 403, f"这个密钥没有所需的权限：{lacked}")


def too_many_reply(*, problem: bool) -> dict[str, Any]:
    """The key's requests of this minute are used up; the header Retry-After says when to come again."""
    about, detail = "请求过多；Retry-After 为应等待的秒数", "more than 60 requests a minute; try again in 3 s"
    made = problem_reply(about, 429, "Too Many Requests", detail) if problem else _failure(about, 429, "请求过多")
    return made | {"headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "秒"}}}


def parameter(
    name: str, place: str, about: str, schema: Mapping[str, Any], *, required: bool = False
) -> dict[str, Any]:
    """A parameter in the query, a header or the path."""
    return {"name": name, "in": place, "description": about, "required": required, "schema": dict(schema)}


def _failure(about: str, code: int, message: str) -> dict[str, Any]:
    return reply(about, FailureSchema, {"code": code, "msg": message, "data": None})
