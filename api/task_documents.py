"""What the OpenAPI document says of createTasks, calltask/list and stopTasks."""

# ruff: noqa: N815  the names are those of the wire

from __future__ import annotations

from marshmallow import Schema, fields

from api.documents import (
    RequestSchema,
    body,
    envelope_replies,
    integer,
    moment,
    parameter,
    success_code,
    text,
    whole,
)
from shared.lifecycle import STATUS_TEXT


class TicketSchema(RequestSchema):
    ticketNo = text("工单编号；同号同内容再次提交，返回已有任务", required=True, minLength=1, maxLength=200)
    phone = text("号码：手机、固话（0571-88001234）或带分机（057188001234-8001）", required=True, maxLength=40)
    username = text("客户姓名", required=True, minLength=1, maxLength=200)
    ticketType = text("工单类型，决定使用哪个话术", required=True, minLength=1, maxLength=200)
    ticketContent = text("工单内容，AI 据此交谈", required=True, minLength=1, maxLength=10000)


class CreatedSchema(Schema):
    batchId = integer("任务 ID，64 位", required=True, format="int64")
    ticketNo = text("工单编号", required=True)


class CreatedListSchema(Schema):
    code = success_code()
    msg = text("结果说明", required=True)
    data = fields.List(fields.Nested(CreatedSchema), required=True, metadata={"description": "与提交的顺序一致"})


class TaskQuerySchema(RequestSchema):
    pageNum = whole("页号", required=True, minimum=1, maximum=500)
    pageSize = whole("每页数量", required=True, minimum=1, maximum=500)
    batchId = whole("任务 ID", format="int64")
    createTimeStart = moment("创建时间起（含）")
    createTimeEnd = moment("创建时间止（含）")


class TaskSchema(Schema):
    batchId = integer("任务 ID", required=True, format="int64")
    taskType = integer("任务类型，总是 1", required=True)
    createtime = integer("创建时间，毫秒", required=True, format="int64")
    stopTime = integer("结束时间，毫秒；未结束为 null", allow_none=True, format="int64")
    connected = fields.Boolean(allow_none=True, metadata={"description": "是否接通；尚不知道为 null"})
    ticketNo = text("工单编号", required=True)
    phone = text("号码，与提交时一致", required=True)
    username = text("客户姓名", required=True)
    ticketType = text("工单类型", required=True)
    ticketContent = text("工单内容", required=True)
    status = text("任务状态", required=True, enum=list(STATUS_TEXT.values()))


class TaskPageSchema(Schema):
    code = success_code()
    msg = text("结果说明", required=True)
    total = integer("符合条件的任务总数", required=True)
    rows = fields.List(fields.Nested(TaskSchema), required=True, metadata={"description": "新的在前"})


class StopSchema(RequestSchema):
    batchIds = fields.List(
        whole("64 位整数", format="int64"), required=True, metadata={"description": "任务 ID", "minItems": 1}
    )


class StoppedSchema(Schema):
    code = success_code()
    msg = text("结果说明", required=True)
    data = fields.Raw(allow_none=True, metadata={"description": "总是 null"})


_TICKETS = [
    {
        "ticketNo": "HF-20260105-0001",
        "phone": "13900001111",
        "username": "王芳",
        "ticketType": "满意度回访",
        "ticketContent": "王女士上周更换了净水器滤芯，请询问安装师傅是否准时、水压是否正常。",
    },
    {
        "ticketNo": "HF-20260105-0002",
        "phone": "0571-88001234",
        "username": "赵强",
        "ticketType": "预约确认",
        "ticketContent": "确认周六上午十点的上门检修，若不方便请改约下周。",
    },
]
_BAD_TICKET = {
    "code": 405,
    "msg": "参数不合法：第 2 条 phone：不是有效的号码：应为 3 到 20 位数字，可带前导 +，分机号写在 - 或 , 之后，收到的是 '139abc'",
    "data": [
        {
            "index": 1,
            "field": "phone",
            "message": "不是有效的号码：应为 3 到 20 位数字，可带前导 +，分机号写在 - 或 , 之后，收到的是 '139abc'",
        }
    ],
}
_NO_PAGE = {
    "code": 405,
    "msg": "参数不合法：pageNum：缺少必填字段",
    "data": [{"index": None, "field": "pageNum", "message": "缺少必填字段"}],
}
_NO_IDS = {
    "code": 405,
    "msg": "参数不合法：batchIds：缺少必填字段",
    "data": [{"index": None, "field": "batchIds", "message": "缺少必填字段"}],
}

CREATE = {
    "summary": "创建 AI 外呼任务",
    "description": (
        "一个工单一个任务，整批在一个事务里：有一条不合法就一条也不创建，msg 与 data 指出每一处。"
        "一次最多 WAIHU_BATCH_LIMIT 条（默认 10000）；单个对象视为一条的数组。"
        "超时后可放心重发：同号同内容返回已有的 batchId，不会再打一次电话；同号不同内容而任务未结束，返回 405。"
    ),
    "operationId": "createTasks",
    "parameters": [
        parameter(
            "Idempotency-Key",
            "header",
            "可选；24 小时内同一个键、同一个请求体，原样返回第一次的回答（响应头 Idempotency-Replayed: true）",
            {"type": "string", "maxLength": 200},
        )
    ],
    "requestBody": body({"oneOf": [{"type": "array", "items": TicketSchema, "minItems": 1}, TicketSchema]}, _TICKETS),
    "responses": envelope_replies(
        CreatedListSchema,
        {
            "code": 200,
            "msg": "任务创建成功",
            "data": [
                {"batchId": 20481, "ticketNo": "HF-20260105-0001"},
                {"batchId": 20482, "ticketNo": "HF-20260105-0002"},
            ],
        },
        _BAD_TICKET,
    ),
}

LIST = {
    "summary": "查询任务列表",
    "description": "新的在前，顺序稳定。不认识的字段（如 batchName）被忽略；整数也可写成数字字符串。",
    "operationId": "listTasks",
    "requestBody": body(
        TaskQuerySchema,
        {
            "pageNum": 1,
            "pageSize": 20,
            "createTimeStart": "2026-01-05 00:00:00",
            "createTimeEnd": "2026-01-05 23:59:59",
        },
    ),
    "responses": envelope_replies(
        TaskPageSchema,
        {
            "code": 200,
            "msg": "查询成功",
            "total": 1,
            "rows": [
                {
                    "batchId": 20481,
                    "taskType": 1,
                    "createtime": 1767578400000,
                    "stopTime": 1767578462000,
                    "connected": True,
                    **_TICKETS[0],
                    "status": "已完成",
                }
            ],
        },
        _NO_PAGE,
    ),
}

STOP = {
    "summary": "批量停止任务",
    "description": "返回成功后，这些任务不会再开始新的呼叫；正在响铃或通话的会被挂断。不存在或已结束的任务也算成功。",
    "operationId": "stopTasks",
    "requestBody": body(StopSchema, {"batchIds": [20481, 20482]}),
    "responses": envelope_replies(StoppedSchema, {"code": 0, "data": None, "msg": "操作成功"}, _NO_IDS),
}
