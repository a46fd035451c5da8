"""What the OpenAPI document says of health, metrics and ``/api/v1``."""

# ruff: noqa: N815  the names are those of the wire

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from api.documents import MOMENT, FailureSchema, integer, parameter, problem_reply, reply, text
from api.record_documents import RECORD_EXAMPLE, RecordSchema
from api.task_documents import TaskSchema
from api.task_search import STATES
from shared.audit import ACTIONS


class StatusSchema(Schema):
    status = text("ok", required=True)


class CheckSchema(Schema):
    ok = fields.Boolean(required=True)
    problem = text("哪里不对，怎么办")


class ReadinessSchema(Schema):
    status = text("ready 或 unready", required=True, enum=["ready", "unready"])
    checks = fields.Dict(keys=fields.String(), values=fields.Nested(CheckSchema), required=True)
    recordings = text("本进程所见录音目录的标识；各进程应相同", allow_none=True)
    standins = fields.List(fields.String(), metadata={"description": "正在使用的替身：phone、asr、tts"})
    dial_gate = fields.Dict(metadata={"description": "open 为 false 时不会拨号，problem 说明原因"})


class CallSummarySchema(Schema):
    uuid = text("通话的 uuid", required=True)
    batchId = integer("所属任务", allow_none=True, format="int64")
    callType = text("01、02 或 03", required=True)
    state = text("queued、dialing、ringing、answered、unknown、ended、unplaced、refused 或 lost", required=True)
    callId = text("电话系统的呼叫标识；未知为空字符串")
    caller = text("主叫号码")
    telephone = text("客户号码")
    createdAt = text("ISO 8601")
    answeredAt = text("ISO 8601", allow_none=True)
    endedAt = text("ISO 8601", allow_none=True)
    closedAt = text("记录完成的时间，ISO 8601", allow_none=True)
    hangupCause = text("结束原因")
    timeLen = integer("秒")
    recordFile = text("电话系统自己的录音文件名")
    wavFileUrl = text("录音地址")


class FoundTaskSchema(TaskSchema):
    state = text("内部状态名", required=True)
    stateAt = text("进入该状态的时间，ISO 8601")
    createdAt = text("ISO 8601")
    dueAt = text("下次可以拨打的时间", allow_none=True)
    priority = integer("优先级，越大越先拨打")
    expiresAt = text("此后不再拨打，ISO 8601", allow_none=True)
    timezone = text("客户所在时区的 IANA 名；未给为 null，按 WAIHU_TIMEZONE", allow_none=True)
    heldBy = text(
        "为何推迟到 dueAt：window、frequency 或 paused；因禁拨名单而停止为 do_not_call；否则为 null", allow_none=True
    )
    stopRequestedAt = text("要求停止的时间", allow_none=True)
    finalAt = text("结束时间", allow_none=True)
    attempts = integer("已用的拨打次数")
    caller = text("上次使用的主叫号码", allow_none=True)


class TaskDetailSchema(FoundTaskSchema):
    calls = fields.List(fields.Nested(CallSummarySchema), metadata={"description": "每次拨打，新的在前"})


class FoundTasksSchema(Schema):
    total = integer("符合条件的任务数", required=True)
    rows = fields.List(fields.Nested(FoundTaskSchema), required=True)


class MomentSchema(Schema):
    at = text("我方得知的时间，ISO 8601", required=True)
    source = text("task、call 为任务与呼叫的状态，phone 为电话系统的事件，audit 为人的操作", required=True)
    event = text("发生了什么", required=True)
    actor = text("谁做的；只有 audit 有", allow_none=True)
    eventTime = fields.Raw(allow_none=True, metadata={"description": "电话系统所报的时间"})


class CallDetailSchema(RecordSchema):
    state = text("内部状态名", required=True)
    callId = text("电话系统的呼叫标识")
    caller = text("主叫号码")
    createdAt = text("ISO 8601")
    answeredAt = text("ISO 8601", allow_none=True)
    endedAt = text("ISO 8601", allow_none=True)
    closedAt = text("ISO 8601", allow_none=True)
    recordFile = text("电话系统自己的录音文件名")
    tags = fields.Raw(metadata={"description": "AI 给出的结果标签，如 do_not_call"})
    timeline = fields.List(fields.Nested(MomentSchema))


class StatsSchema(Schema):
    at = text("统计时间，ISO 8601", required=True)
    tasks = fields.Dict(keys=fields.String(), values=fields.Integer(), metadata={"description": "各状态的任务数"})
    calls = fields.Dict(keys=fields.String(), values=fields.Integer(), metadata={"description": "各状态的呼叫数"})
    unappliedEvents = integer("尚未处理的电话事件数")


class MeasuresSchema(Schema):
    attempts = integer("可能已拨出且已结束的呼叫数", required=True)
    answered = integer("接通数", required=True)
    refused = integer("被电话系统拒绝", required=True)
    lost = integer("结果未知", required=True)
    shortCalls = integer("接通而短于 shortSeconds 的", required=True)
    answerSeizureRatio = fields.Float(required=True, allow_none=True, metadata={"description": "接通 ÷ 呼叫"})
    averageCallSeconds = fields.Float(required=True, allow_none=True, metadata={"description": "平均通话秒数"})
    tasksDialled = integer("拨过的任务数", required=True)
    tasksConnected = integer("接通过的任务数", required=True)
    connectRate = fields.Float(required=True, allow_none=True, metadata={"description": "接通的任务 ÷ 拨过的任务"})


class GroupSchema(MeasuresSchema):
    hour = text("这一小时的开始，ISO 8601")
    caller = text("主叫号码")
    ticketType = text("工单类型")


class CallStatsSchema(Schema):
    since = fields.String(required=True, data_key="from", metadata={"description": "ISO 8601"})
    to = text("ISO 8601", required=True)
    shortSeconds = integer("多短算短", required=True)
    total = fields.Nested(MeasuresSchema, required=True)
    rows = fields.List(fields.Nested(GroupSchema), required=True)
    truncated = fields.Boolean(required=True, metadata={"description": "超过 10000 行，其余未列出"})


class AuditRowSchema(Schema):
    id = integer("编号", required=True, format="int64")
    at = text("ISO 8601", required=True)
    actor = text("密钥的名称、loopback、link:NAME（经由给了 NAME 的签名链接）或 cli:用户", required=True)
    action = text(f"{'、'.join(ACTIONS)} 之一", required=True)
    subject = text("task:ID、call:UUID、key:ID、webhook:ID、delivery:UUID 或 number:标记；没有为空", required=True)
    detail = fields.Dict(required=True, metadata={"description": "数量与编号；不含号码与对话"})


class AuditSchema(Schema):
    rows = fields.List(fields.Nested(AuditRowSchema), required=True)


_CALL_EXAMPLE: dict[str, Any] = {
    "uuid": "2601051000120000042",
    "batchId": 20481,
    "callType": "02",
    "state": "ended",
    "callId": "5f0c7a52-ea0b-11f0-8d3e-00163e0a1b2c",
    "caller": "057128167421",
    "telephone": "13900001111",
    "createdAt": "2026-01-05T10:00:12.040+08:00",
    "answeredAt": "2026-01-05T10:00:19.310+08:00",
    "endedAt": "2026-01-05T10:00:47.020+08:00",
    "closedAt": "2026-01-05T10:00:47.900+08:00",
    "hangupCause": "NORMAL_CLEARING:sip:200",
    "timeLen": 28,
    "recordFile": "",
    "wavFileUrl": RECORD_EXAMPLE["wavFileUrl"],
}
_TASK_EXAMPLE: dict[str, Any] = {
    "batchId": 20481,
    "taskType": 1,
    "createtime": 1767578400000,
    "stopTime": 1767578447000,
    "connected": True,
    "ticketNo": "HF-20260105-0001",
    "phone": "13900001111",
    "username": "王芳",
    "ticketType": "满意度回访",
    "ticketContent": "王女士上周更换了净水器滤芯。",
    "status": "已完成",
    "state": "completed",
    "stateAt": "2026-01-05T10:00:47.020+08:00",
    "createdAt": "2026-01-05T10:00:00.000+08:00",
    "dueAt": None,
    "heldBy": None,
    "stopRequestedAt": None,
    "finalAt": "2026-01-05T10:00:47.020+08:00",
    "attempts": 1,
    "caller": "057128167421",
    "calls": [_CALL_EXAMPLE],
}
_TIMELINE = [
    {"at": "2026-01-05T10:00:12.040+08:00", "source": "call", "event": "queued", "eventTime": None, "actor": None},
    {
        "at": "2026-01-05T10:00:19.310+08:00",
        "source": "phone",
        "event": "firstAnswer",
        "eventTime": 1767578419000,
        "actor": None,
    },
]
_READY = {
    "status": "ready",
    "checks": {"database": {"ok": True}, "broker": {"ok": True}, "phone": {"ok": True}},
    "recordings": "9f86d081884c7d65",
    "standins": ["phone", "asr", "tts"],
    "dial_gate": {"open": True},
}
_UNREADY = _READY | {
    "status": "unready",
    "checks": {
        "database": {"ok": True},
        "broker": {"ok": False, "problem": "cannot be reached (ConnectionError)"},
        "phone": {"ok": True},
    },
}


def _missing(detail: str) -> dict[str, Any]:
    return problem_reply("没有", 404, "Not Found", detail)


_NO_KEY = problem_reply("没有密钥，或密钥不对", 401, "Unauthorized", "an API key is needed")

HEALTH = {
    "summary": "进程是否活着",
    "operationId": "healthz",
    "security": [],
    "responses": {"200": reply("活着", StatusSchema, {"status": "ok"})},
}
READY = {
    "summary": "能否工作",
    "description": "数据库或消息队列不可用时 503；电话系统不可达或使用替身时仍是 200，但会写明。",
    "operationId": "readyz",
    "security": [],
    "responses": {
        "200": reply("可以工作", ReadinessSchema, _READY),
        "503": reply("数据库或消息队列不可用", ReadinessSchema, _UNREADY),
    },
}
METRICS = {
    "summary": "Prometheus 指标",
    "description": "各状态的任务与呼叫数、最老者的年龄、未处理的事件；不含号码。",
    "operationId": "metrics",
    "responses": {
        "200": {
            "description": "文本格式",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": 'waihu_tasks{state="pending"} 12.0\n'}},
        },
        "401": reply("没有密钥，或密钥不对", FailureSchema, {"code": 401, "msg": "需要 API 密钥", "data": None}),
        "503": reply("数据库不可用", FailureSchema, {"code": 503, "msg": "数据库暂时不可用，请稍后再试", "data": None}),
    },
}
TASK = {
    "summary": "一个任务和它的每次拨打",
    "operationId": "showTask",
    "responses": {
        "200": reply("任务", TaskDetailSchema, _TASK_EXAMPLE),
        "401": _NO_KEY,
        "404": _missing("no task 20481"),
    },
}
CALL = {
    "summary": "一通呼叫的全部",
    "description": "按我方 uuid 或电话系统的 call_id；含对话、标签和时间线，未结束的也可查。",
    "operationId": "showCall",
    "responses": {
        "200": reply("呼叫", CallDetailSchema, RECORD_EXAMPLE | _CALL_EXAMPLE | {"tags": [], "timeline": _TIMELINE}),
        "401": _NO_KEY,
        "404": _missing("no call 2601051000120000042"),
    },
}
STATS = {
    "summary": "各状态的数量",
    "operationId": "showStats",
    "responses": {
        "200": reply(
            "数量",
            StatsSchema,
            {
                "at": "2026-01-05T10:00:20.000+08:00",
                "tasks": {"pending": 11, "in_call": 3, "completed": 6},
                "calls": {"answered": 3, "ended": 6},
                "unappliedEvents": 0,
            },
        ),
        "401": _NO_KEY,
    },
}
_MEASURES = {
    "attempts": 40,
    "answered": 18,
    "refused": 2,
    "lost": 0,
    "shortCalls": 3,
    "answerSeizureRatio": 0.45,
    "averageCallSeconds": 31.5,
    "tasksDialled": 36,
    "tasksConnected": 18,
    "connectRate": 0.5,
}
_PAGING = [
    parameter("pageNum", "query", "第几页，从 1 起", {"type": "integer", "minimum": 1, "maximum": 500}),
    parameter("pageSize", "query", "每页条数，默认 50", {"type": "integer", "minimum": 1, "maximum": 500}),
]
_BAD = problem_reply("参数不合法", 400, "Bad Request", "参数不合法：from：应为有效的时间，格式 yyyy-MM-dd HH:mm:ss")
_FOUND_EXAMPLE = {name: value for name, value in _TASK_EXAMPLE.items() if name != "calls"}
TASKS = {
    "summary": "按工单编号、号码、状态查任务，新的在前",
    "operationId": "findTasks",
    "parameters": [
        parameter("ticketNo", "query", "工单编号，完全一致", {"type": "string"}),
        parameter("phone", "query", "客户号码，写法不限", {"type": "string"}),
        parameter("status", "query", "状态；空为不限", {"type": "string", "enum": [*STATES, ""]}),
        *_PAGING,
    ],
    "responses": {
        "200": reply("一页", FoundTasksSchema, {"total": 1, "rows": [_FOUND_EXAMPLE]}),
        "400": _BAD,
        "401": _NO_KEY,
    },
}
CALL_STATS = {
    "summary": "一段时间内的呼叫统计",
    "description": "最长 92 天；只计已结束的外呼。",
    "operationId": "showCallStats",
    "parameters": [
        parameter("from", "query", "yyyy-MM-dd HH:mm:ss", {"type": "string", "pattern": MOMENT}, required=True),
        parameter("to", "query", "yyyy-MM-dd HH:mm:ss", {"type": "string", "pattern": MOMENT}, required=True),
        parameter("groupBy", "query", "hour、caller、ticketType 中的若干个，逗号分隔", {"type": "string"}),
        parameter("shortSeconds", "query", "短于此为短通话，默认 10", {"type": "integer", "minimum": 1}),
    ],
    "responses": {
        "200": reply(
            "统计",
            CallStatsSchema,
            {
                "from": "2026-01-05T00:00:00.000+08:00",
                "to": "2026-01-05T23:59:59.999+08:00",
                "shortSeconds": 10,
                "total": _MEASURES,
                "rows": [{"hour": "2026-01-05T10:00:00.000+08:00"} | _MEASURES],
                "truncated": False,
            },
        ),
        "400": _BAD,
        "401": _NO_KEY,
    },
}
AUDIT = {
    "summary": "审计，新的在前",
    "operationId": "listAudit",
    "parameters": [
        parameter("action", "query", "做了什么；空为不限", {"type": "string", "enum": [*ACTIONS, ""]}),
        parameter("actor", "query", "谁", {"type": "string"}),
        parameter("subject", "query", "对什么，如 task:20481", {"type": "string"}),
        parameter("from", "query", "yyyy-MM-dd HH:mm:ss", {"type": "string", "pattern": MOMENT}),
        parameter("to", "query", "yyyy-MM-dd HH:mm:ss", {"type": "string", "pattern": MOMENT}),
        *_PAGING,
    ],
    "responses": {
        "200": reply(
            "一页",
            AuditSchema,
            {
                "rows": [
                    {
                        "id": 7,
                        "at": "2026-01-05T10:00:00.000+08:00",
                        "actor": "crm",
                        "action": "submit",
                        "subject": "task:20481",
                        "detail": {"created": 1, "first": 20481, "last": 20481},
                    }
                ]
            },
        ),
        "400": _BAD,
        "401": _NO_KEY,
    },
}
