"""What the OpenAPI document says of records/list and the recordings."""

# ruff: noqa: N815  the names are those of the wire

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from api.documents import (
    FailureSchema,
    RequestSchema,
    body,
    envelope_replies,
    integer,
    moment,
    parameter,
    reply,
    success_code,
    text,
    whole,
)


class RecordQuerySchema(RequestSchema):
    callType = text("01 呼入，02 AI 外呼，03 人工外呼；一次只查一种", required=True, enum=["01", "02", "03"])
    uuid = text("通话的 uuid，或电话系统的 call_id")
    pageNum = whole("页号，默认 1", minimum=1, maximum=500)
    pageSize = whole("每页数量，默认 10", minimum=1, maximum=500)
    telephone = text("客户号码，写法不限（0571-88001234 与 057188001234 相同）")
    calloutTimeStart = moment("呼叫时间起（含）")
    calloutTimeEnd = moment("呼叫时间止（含）")
    timeLenStart = whole("通话时长起（含），秒", minimum=0)
    timeLenEnd = whole("通话时长止（含），秒", minimum=0)
    extnum = text("坐席分机号")


class TurnSchema(Schema):
    role = text("assistant 为 AI，user 为客户", required=True, enum=["assistant", "user"])
    content = text("客户实际听到的，或说出的话；被打断的句子止于打断处", required=True)


class RecordSchema(Schema):
    uuid = text("通话唯一标识，19 位数字", required=True)
    telephone = text("客户号码", required=True)
    callType = text("01、02 或 03", required=True)
    calloutTime = text("呼叫时间", required=True)
    answeredTime = text("接通时间；未接通为空字符串")
    callEndTime = text("结束时间", required=True)
    hangupCause = text("结束原因与 SIP 码", required=True)
    wavFileUrl = text("录音地址，可播放或下载；没有录音为空字符串")
    dialogue = fields.List(fields.Nested(TurnSchema), metadata={"description": "对话"})
    extnum = text("坐席分机号；没有人工参与为 null", allow_none=True)
    timeLen = integer("从接通到结束的秒数，向上取整；未接通为 0", required=True)
    batchId = integer("所属任务", allow_none=True, format="int64")
    ticketNo = text("所属任务的工单编号", allow_none=True)
    username = text("客户姓名", allow_none=True)


class RecordPageSchema(Schema):
    total = integer("符合条件的记录总数", required=True)
    rows = fields.List(fields.Nested(RecordSchema), required=True, metadata={"description": "新的在前"})
    code = success_code()
    msg = text("结果说明", allow_none=True)


_FILE = "ai_call/2026/01/05/10/2601051000120000042.wav"
RECORD_EXAMPLE: dict[str, Any] = {
    "uuid": "2601051000120000042",
    "telephone": "13900001111",
    "callType": "02",
    "calloutTime": "2026-01-05 10:00:12",
    "answeredTime": "2026-01-05 10:00:19",
    "callEndTime": "2026-01-05 10:00:47",
    "hangupCause": "NORMAL_CLEARING:sip:200",
    "wavFileUrl": f"http://127.0.0.1:8899/recordings/files?filename={_FILE}",
    "dialogue": [
        {"role": "assistant", "content": "您好王女士，想了解一下上周更换滤芯的情况，现在方便吗？"},
        {"role": "user", "content": "方便，师傅来得很准时。"},
    ],
    "extnum": None,
    "timeLen": 28,
    "batchId": 20481,
    "ticketNo": "HF-20260105-0001",
    "username": "王芳",
}

LIST = {
    "summary": "查询通话记录",
    "description": "每次可能拨出过的呼叫在结束后成为一条记录。新的在前，顺序稳定。三种类型不混合查询。",
    "operationId": "listRecords",
    "requestBody": body(
        RecordQuerySchema,
        {"callType": "02", "pageNum": 1, "pageSize": 10, "telephone": "13900001111", "timeLenStart": 5},
    ),
    "responses": envelope_replies(
        RecordPageSchema,
        {"total": 1, "rows": [RECORD_EXAMPLE], "code": 0, "msg": None},
        {
            "code": 405,
            "msg": "参数不合法：callType：缺少必填字段",
            "data": [{"index": None, "field": "callType", "message": "缺少必填字段"}],
        },
    ),
}

_WAV = {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}
RECORDING = {
    "summary": "播放或下载录音",
    "description": (
        "8 kHz 16 位立体声 WAV，左声道为客户，右声道为我方；支持 Range 与 HEAD。"
        "设置了 API 密钥时，记录中的 wavFileUrl 自带 by、expires 与 sig，可直接在浏览器中播放；"
        "由此收听的，审计中记为 link:NAME，NAME 为链接当初给了谁。"
    ),
    "operationId": "getRecording",
    "parameters": [
        parameter(
            "filename", "query", "记录中 wavFileUrl 所给的名称", {"type": "string", "example": _FILE}, required=True
        ),
        parameter("by", "query", "签名链接给了谁：密钥的编号，或 webhook:ID；不是密钥本身", {"type": "string"}),
        parameter("expires", "query", "签名链接的到期时间，秒", {"type": "integer", "format": "int64"}),
        parameter("sig", "query", "签名", {"type": "string"}),
        parameter("Range", "header", "只取一段", {"type": "string", "example": "bytes=0-65535"}),
    ],
    "responses": {
        "200": {"description": "整个录音", "content": _WAV},
        "206": {"description": "所取的一段", "content": _WAV},
        "400": reply("名称不合法", FailureSchema, {"code": 405, "msg": "filename 不合法", "data": None}),
        "401": reply("没有密钥，或签名已过期", FailureSchema, {"code": 401, "msg": "需要 API 密钥", "data": None}),
        "404": reply("没有这个录音", FailureSchema, {"code": 404, "msg": "录音文件不存在", "data": None}),
        "416": {"description": "所取的一段不在文件内"},
    },
}
