"""What the OpenAPI document says of scheduled tickets, dialling again and pausing."""

# ruff: noqa: N815  the names are those of the wire

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from api.documents import RequestSchema, body, integer, problem_reply, reply, text

NO_KEY = problem_reply("没有密钥，或密钥不对", 401, "Unauthorized", "an API key is needed")
BAD = problem_reply(
    "参数不合法，什么都没有改变",
    400,
    "Bad Request",
    "参数不合法：第 1 条 priority：应为 -1000 到 1000 之间的整数，越大越先拨打，收到的是 1001",
)


class ScheduledTicketSchema(RequestSchema):
    ticketNo = text("工单编号", required=True, minLength=1, maxLength=200)
    phone = text("号码", required=True, minLength=1, maxLength=40)
    username = text("客户姓名", required=True, minLength=1, maxLength=200)
    ticketType = text("工单类型", required=True, minLength=1, maxLength=200)
    ticketContent = text("工单内容", required=True, minLength=1, maxLength=10_000)
    priority = integer("-1000 到 1000，越大越先拨打；默认 0", allow_none=True, minimum=-1000, maximum=1000)
    notBefore = text("此前不拨打，ISO 8601，最晚 366 天之后", allow_none=True)
    expiresAt = text("此后不再拨打，ISO 8601，最晚 366 天之后", allow_none=True)
    timezone = text("IANA 时区名：外呼时段按它计算，没有偏移的时间也按它理解", allow_none=True)


class MadeTaskSchema(Schema):
    batchId = integer("任务 ID", required=True, format="int64")
    ticketNo = text("工单编号", required=True)


class MadeTasksSchema(Schema):
    created = integer("新建的任务数；其余为重复提交，返回的是原任务", required=True)
    tasks = fields.List(fields.Nested(MadeTaskSchema), required=True)


class RedialSchema(RequestSchema):
    reason = text("为什么再拨一次；记入审计", required=True, minLength=1, maxLength=500)


class RedialedSchema(Schema):
    batchId = integer("任务 ID", required=True, format="int64")
    state = text("pending", required=True)


class PauseSchema(RequestSchema):
    ticketType = text("工单类型；不给则为全部", maxLength=200)
    reason = text("原因", maxLength=500)


class ResumeSchema(RequestSchema):
    ticketType = text("工单类型；不给则为“全部”的那一个暂停", maxLength=200)


class PausedSchema(Schema):
    ticketType = text("工单类型；全部为 null", required=True, allow_none=True)
    reason = text("原因", required=True)
    since = text("ISO 8601", required=True)


class PausesSchema(Schema):
    rows = fields.List(fields.Nested(PausedSchema), required=True)


_TICKET: dict[str, Any] = {
    "ticketNo": "HF-20260105-0001",
    "phone": "13900001111",
    "username": "王芳",
    "ticketType": "满意度回访",
    "ticketContent": "王女士上周更换了净水器滤芯。",
    "priority": 5,
    "timezone": "Asia/Shanghai",
}
_MADE = {"created": 1, "tasks": [{"batchId": 20481, "ticketNo": "HF-20260105-0001"}]}
_PAUSED = {"rows": [{"ticketType": "满意度回访", "reason": "话术更新", "since": "2026-01-05T10:00:00.000+08:00"}]}

SUBMIT = {
    "summary": "创建任务（可定优先级与时间）",
    "description": "同 createTasks：整批成功或整批不变，重复提交返回原任务；一个工单对象视为一条的数组。",
    "operationId": "submitTasks",
    "requestBody": body(
        {"oneOf": [{"type": "array", "items": ScheduledTicketSchema, "minItems": 1}, ScheduledTicketSchema]}, [_TICKET]
    ),
    "responses": {
        "200": reply("全部是重复提交", MadeTasksSchema, _MADE | {"created": 0}),
        "201": reply("已创建", MadeTasksSchema, _MADE),
        "400": BAD,
        "401": NO_KEY,
    },
}
REDIAL = {
    "summary": "人工再拨一次",
    "description": "适用于失败、结果未知、未接通、已过期的任务。重拨次数从头算起，attempts 继续累计；"
    "已过去的 expiresAt 被去掉；各项拨打限制照常检查。",
    "operationId": "redialTask",
    "requestBody": body(RedialSchema, {"reason": "客户来电要求再联系"}),
    "responses": {
        "202": reply("已重新排入", RedialedSchema, {"batchId": 20481, "state": "pending"}),
        "400": BAD,
        "401": NO_KEY,
        "404": problem_reply("没有这个任务", 404, "Not Found", "no task 20481"),
        "409": problem_reply("不能再拨", 409, "Conflict", "task 20481 is completed"),
    },
}
PAUSES = {
    "summary": "正在暂停的工单类型",
    "operationId": "listPauses",
    "responses": {"200": reply("暂停", PausesSchema, _PAUSED), "401": NO_KEY},
}
PAUSE = {
    "summary": "暂停拨打",
    "description": "全部，或一种工单类型；正在进行的通话不受影响。",
    "operationId": "pause",
    "requestBody": body(PauseSchema, {"ticketType": "满意度回访", "reason": "话术更新"}),
    "responses": {"200": reply("现有的暂停", PausesSchema, _PAUSED), "400": BAD, "401": NO_KEY},
}
RESUME = {
    "summary": "恢复拨打",
    "operationId": "resume",
    "requestBody": body(ResumeSchema, {"ticketType": "满意度回访"}),
    "responses": {"200": reply("现有的暂停", PausesSchema, {"rows": []}), "400": BAD, "401": NO_KEY},
}
