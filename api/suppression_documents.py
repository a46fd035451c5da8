"""What the OpenAPI document says of the do-not-call list."""

# ruff: noqa: N815  the names are those of the wire

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from api.dialling_documents import NO_KEY
from api.documents import RequestSchema, body, integer, parameter, problem_reply, reply, text

_CSV_EXAMPLE = "number,source,reason,createdAt\r\n13900001111,person,来函,2026-01-05T10:00:00.000+08:00\r\n"
_BAD = problem_reply(
    "参数不合法",
    400,
    "Bad Request",
    "参数不合法：number：不是有效的号码：应为 3 到 20 位数字，可带前导 +，收到的是 'abc'",
)


class NewSuppressionSchema(RequestSchema):
    number = text("号码", required=True, maxLength=40)
    reason = text("原因；不要写客户的原话", maxLength=500)


class SuppressionSchema(Schema):
    number = text("号码；密钥没有 numbers 权限时为 139****1111", required=True)
    source = text("customer（客户在通话中要求）、import（导入）、person（人工）", required=True)
    reason = text("原因", required=True)
    callUuid = text("客户提出要求的那通电话", required=True, allow_none=True)
    createdAt = text("ISO 8601", required=True)


class SuppressionsSchema(Schema):
    total = integer("总数", required=True)
    rows = fields.List(fields.Nested(SuppressionSchema), required=True)


class ImportedSchema(Schema):
    numbers = integer("文件中不同的号码数", required=True)
    added = integer("其中新加入的", required=True)


_ROW: dict[str, Any] = {
    "number": "13900001111",
    "source": "person",
    "reason": "来函",
    "callUuid": None,
    "createdAt": "2026-01-05T10:00:00.000+08:00",
}
LIST = {
    "summary": "免打扰名单，新的在前",
    "operationId": "listDoNotCall",
    "parameters": [
        parameter("number", "query", "只查这个号码", {"type": "string", "maxLength": 40}),
        parameter("pageNum", "query", "第几页，从 1 起", {"type": "integer", "minimum": 1, "maximum": 500}),
        parameter("pageSize", "query", "每页条数，默认 50", {"type": "integer", "minimum": 1, "maximum": 500}),
    ],
    "responses": {
        "200": reply("一页", SuppressionsSchema, {"total": 1, "rows": [_ROW]}),
        "400": _BAD,
        "401": NO_KEY,
    },
}
ADD = {
    "summary": "加入一个号码",
    "description": "它的待拨任务随即停止，正在拨打的挂断；已在名单上的保持原样。",
    "operationId": "addDoNotCall",
    "requestBody": body(NewSuppressionSchema, {"number": "13900001111", "reason": "来函"}),
    "responses": {"201": reply("在名单上", SuppressionSchema, _ROW), "400": _BAD, "401": NO_KEY},
}
REMOVE = {
    "summary": "移除一个号码",
    "description": "已停止的任务不会恢复。",
    "operationId": "removeDoNotCall",
    "responses": {
        "204": {"description": "已移除"},
        "400": _BAD,
        "401": NO_KEY,
        "404": problem_reply("不在名单上", 404, "Not Found", "this number is not on the list"),
    },
}
IMPORT = {
    "summary": "导入 CSV",
    "description": "UTF-8、GBK 或带 BOM 的 UTF-16。第一列为号码；有表头（号码、电话、手机号、number 等）时按“原因”或 reason 列取原因。一行有误则整份不导入，并指出行号。",
    "operationId": "importDoNotCall",
    "requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}, "example": _CSV_EXAMPLE}}},
    "responses": {
        "200": reply("已导入", ImportedSchema, {"numbers": 1, "added": 1}),
        "400": _BAD,
        "401": NO_KEY,
    },
}
EXPORT = {
    "summary": "导出 CSV",
    "operationId": "exportDoNotCall",
    "responses": {
        "200": {
            "description": "整份名单",
            "content": {"text/csv": {"schema": {"type": "string"}, "example": _CSV_EXAMPLE}},
        },
        "401": NO_KEY,
    },
}
