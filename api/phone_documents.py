"""What the OpenAPI document says of the phone system's event callbacks (phone-system.txt, section 3)."""

from __future__ import annotations

from marshmallow import Schema, fields

from api.documents import FailureSchema, FieldProblemSchema, RequestSchema, body, integer, parameter, reply, text


def _loose(about: str) -> fields.Raw:
    """Of any type: phone systems send strings, numbers and nulls in turn, and all of it is kept as it came."""
    return fields.Raw(metadata={"description": about})


class PhoneEventSchema(RequestSchema):
    event_name = text("firstStart 开始呼叫，firstAnswer 已应答，cdr 话单", required=True, minLength=1)
    call_id = _loose("电话系统的呼叫标识")
    request_id = _loose("我方 startcall 时所给的 requestId")
    caller = _loose("透显号码")
    callee = _loose("客户号码")
    event_time = _loose("事件时间，毫秒")
    pay_load = fields.Raw(metadata={"description": "仅 cdr 有值：数组、对象，或字符串中的 JSON"})


class EventsTakenSchema(Schema):
    code = integer("0 表示已保存", required=True)
    msg = text("ok", required=True)
    ignored = integer("数组中有几项不是事件，未保存；全部保存时没有此项")
    data = fields.List(
        fields.Nested(FieldProblemSchema),
        metadata={"description": "未保存的项：位置与原因，最多 100 项；全部保存时没有此项"},
    )


EVENTS = {
    "summary": "电话系统推送事件",
    "description": (
        "一个事件或事件数组，顺序、重复均不要求。先落库再回答；回答 code 0 即已保存，保存不了则 503，请重发。"
        "数组中不是事件的项不保存，由 ignored 和 data 指明，其余照常保存；一个事件也没有才是 400。"
        "设置了 WAIHU_PHONE_SECRET 时须带上它。"
    ),
    "operationId": "takePhoneEvents",
    "security": [{"phoneSecret": []}, {"bearer": []}, {}],
    "parameters": [
        parameter("secret", "query", "WAIHU_PHONE_SECRET；也可用 Authorization: Bearer", {"type": "string"})
    ],
    "requestBody": body(
        {"oneOf": [PhoneEventSchema, {"type": "array", "items": PhoneEventSchema}]},
        {
            "call_id": "5f0c7a52-ea0b-11f0-8d3e-00163e0a1b2c",
            "request_id": "2601051000120000042",
            "event_name": "firstAnswer",
            "event_time": 1767578419000,
            "caller": "057128167421",
            "callee": "13900001111",
            "pay_load": "",
        },
    ),
    "responses": {
        "200": reply("已保存", EventsTakenSchema, {"code": 0, "msg": "ok"}),
        "400": reply(
            "不是事件", FailureSchema, {"code": 400, "msg": "expected JSON (section 3), got b'hello'", "data": None}
        ),
        "401": reply("secret 不对", FailureSchema, {"code": 401, "msg": "需要正确的 secret", "data": None}),
        "403": reply(
            "没有设置 WAIHU_PHONE_SECRET，而请求不是来自本机",
            FailureSchema,
            {"code": 403, "msg": "没有密钥时只接受本机的请求", "data": None},
        ),
        "413": reply("超过 32 MiB", FailureSchema, {"code": 413, "msg": "请求体过大", "data": None}),
        "503": reply("暂时无法保存，请重发", FailureSchema, {"code": 503, "msg": "事件暂时无法保存", "data": None}),
    },
}
