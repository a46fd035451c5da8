"""What the OpenAPI document says of webhooks."""

# ruff: noqa: N815  the names are those of the wire

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from api.documents import RequestSchema, body, integer, parameter, problem_reply, reply, text
from shared.outbox import STATES, TASK_FINISHED

_STATES = "waiting（待发送或待重试）、delivered（已送达）、dead（不再重试）"


class NewWebhookSchema(RequestSchema):
    url = text("接收地址，http 或 https；不得指向内网、本机或保留地址", required=True, maxLength=1000)
    secret = text("签名密钥，16 到 100 个可见 ASCII 字符；不给则由我方生成", minLength=16, maxLength=100)


class WebhookSchema(Schema):
    id = integer("编号", required=True, format="int64")
    url = text("接收地址", required=True)
    createdAt = text("登记时间，ISO 8601", required=True)


class RegisteredWebhookSchema(WebhookSchema):
    secret = text("签名密钥，只在这里出现一次", required=True)


class CountedWebhookSchema(WebhookSchema):
    waiting = integer("待发送或待重试的投递数", required=True)
    dead = integer("不再重试的投递数", required=True)


class WebhooksSchema(Schema):
    rows = fields.List(fields.Nested(CountedWebhookSchema), required=True)


class DeliverySchema(Schema):
    id = text("投递编号，即请求头 Waihu-Delivery；同一任务的同一次结束永远是同一个", required=True, format="uuid")
    webhookId = integer("发往哪个 webhook", required=True, format="int64")
    event = text("task.finished，或 webhook.test", required=True)
    batchId = integer("哪个任务；测试为 null", required=True, allow_none=True, format="int64")
    state = text(_STATES, required=True, enum=list(STATES))
    attempts = integer("已尝试的次数", required=True)
    dueAt = text("下次尝试的时间，ISO 8601；不再尝试为 null", required=True, allow_none=True)
    createdAt = text("任务结束的时间，ISO 8601", required=True)
    deliveredAt = text("送达的时间，ISO 8601", required=True, allow_none=True)
    lastError = text("上次失败的原因；没有失败为空字符串", required=True)


class DeliveriesSchema(Schema):
    rows = fields.List(fields.Nested(DeliverySchema), required=True)


_WEBHOOK: dict[str, Any] = {
    "id": 1,
    "url": "https://crm.example.com/hooks/waihu",
    "createdAt": "2026-01-05T09:00:00.000+08:00",
}
_DELIVERY: dict[str, Any] = {
    "id": "0d8b7f0e-5b0f-5d0c-8a51-4f5b1f1d2c3e",
    "webhookId": 1,
    "event": TASK_FINISHED,
    "batchId": 20481,
    "state": "dead",
    "attempts": 8,
    "dueAt": None,
    "createdAt": "2026-01-05T10:00:47.020+08:00",
    "deliveredAt": None,
    "lastError": "HTTP status 500",
}
_AGAIN = _DELIVERY | {"state": "waiting", "attempts": 0, "dueAt": "2026-01-06T09:30:00.000+08:00", "lastError": ""}
_TEST = _AGAIN | {"event": "webhook.test", "batchId": None, "createdAt": "2026-01-06T09:30:00.000+08:00"}

_NO_KEY = problem_reply("没有密钥，或密钥不对", 401, "Unauthorized", "an API key is needed")
_NO_WEBHOOK = problem_reply("没有这个 webhook", 404, "Not Found", "no webhook 1")
_NO_DELIVERY = problem_reply("没有这个投递", 404, "Not Found", f"no delivery {_DELIVERY['id']}")

ADD = {
    "summary": "登记一个 webhook",
    "description": "此后每个任务结束都会 POST 到这个地址，带 HMAC-SHA256 签名，号码完整。登记时和每次发送时都会检查地址。",
    "operationId": "addWebhook",
    "requestBody": body(NewWebhookSchema, {"url": _WEBHOOK["url"]}),
    "responses": {
        "201": reply("已登记；密钥只显示这一次", RegisteredWebhookSchema, _WEBHOOK | {"secret": "whsec_…"}),
        "400": problem_reply("参数不合法", 400, "Bad Request", "参数不合法：url：缺少必填字段"),
        "401": _NO_KEY,
        "409": problem_reply("已登记，或数量已满", 409, "Conflict", "this URL is registered already"),
        "422": problem_reply(
            "不发往这个地址", 422, "Unprocessable Entity", "the host has an address that is not public"
        ),
    },
}
LIST = {
    "summary": "已登记的 webhook",
    "operationId": "listWebhooks",
    "responses": {
        "200": reply("不含密钥", WebhooksSchema, {"rows": [_WEBHOOK | {"waiting": 0, "dead": 1}]}),
        "401": _NO_KEY,
    },
}
REMOVE = {
    "summary": "取消一个 webhook",
    "description": "待发送的投递不再发送，状态变为 dead；正在途中的可能仍会到达。",
    "operationId": "removeWebhook",
    "responses": {"204": {"description": "已取消"}, "401": _NO_KEY, "404": _NO_WEBHOOK},
}
TEST = {
    "summary": "发送一次测试",
    "description": "事件为 webhook.test，不重试；用返回的编号查看结果。",
    "operationId": "testWebhook",
    "responses": {"202": reply("已排队", DeliverySchema, _TEST), "401": _NO_KEY, "404": _NO_WEBHOOK},
}
DELIVERIES = {
    "summary": "投递记录，新的在前",
    "operationId": "listDeliveries",
    "parameters": [
        parameter("state", "query", f"{_STATES}；空为不限", {"type": "string", "enum": [*STATES, ""]}),
        parameter("batchId", "query", "哪个任务", {"type": "integer", "format": "int64", "minimum": 0}),
        parameter("pageNum", "query", "第几页，从 1 起", {"type": "integer", "minimum": 1, "maximum": 500}),
        parameter("pageSize", "query", "每页条数，默认 50", {"type": "integer", "minimum": 1, "maximum": 500}),
    ],
    "responses": {
        "200": reply("一页", DeliveriesSchema, {"rows": [_DELIVERY]}),
        "400": problem_reply("参数不合法", 400, "Bad Request", "参数不合法：state：应为 waiting、delivered、dead 之一"),
        "401": _NO_KEY,
    },
}
DELIVERY = {
    "summary": "一个投递",
    "operationId": "showDelivery",
    "responses": {"200": reply("投递", DeliverySchema, _DELIVERY), "401": _NO_KEY, "404": _NO_DELIVERY},
}
REPLAY = {
    "summary": "重新投递",
    "description": "无论是否送达过，都以同一编号重新发送，次数从头算起；内容按发送时的数据重新生成，号码完整。",
    "operationId": "replayDelivery",
    "responses": {
        "202": reply("已排队", DeliverySchema, _AGAIN),
        "401": _NO_KEY,
        "404": _NO_DELIVERY,
        "409": problem_reply("它的 webhook 已取消", 409, "Conflict", "its endpoint was removed"),
    },
}
