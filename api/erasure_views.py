"""``/api/v1/erasures``: everything of one customer goes, with proof (``shared.erasure``)."""

# ruff: noqa: N815  the names are those of the wire

from __future__ import annotations

import logging

from flask import Response, abort, request
from marshmallow import Schema, fields

from api.body import decode_object, read_json
from api.dialling_documents import BAD, NO_KEY
from api.dialling_views import LONGEST_REASON
from api.documents import RequestSchema, body, integer, problem_reply, reply, text
from api.envelope import answer, refuse
from api.fields import Fields
from api.house import house
from api.keys import principal
from api.received import received
from api.routes import Route
from api.transactions import write
from shared import numbers
from shared.database import settle
from shared.erasure import ErasureRefused, erase
from shared.errors import NumberError
from shared.moments import iso

log = logging.getLogger(__name__)


class ErasureSchema(RequestSchema):
    number = text("客户号码，写法不限：带或不带国家码、空格、连字符", required=True, maxLength=40)
    reason = text("为什么；记入审计", required=True, maxLength=500)
    dropDoNotCall = fields.Boolean(metadata={"description": "同时从免打扰名单移除；默认保留，因为它保护客户"})


class ProofSchema(Schema):
    mark = text("号码的带密钥散列，审计中以它称呼", required=True)
    erasedAt = text("ISO 8601", required=True)
    erased = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    remaining = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    vendor = fields.List(fields.String(), metadata={"description": "电话系统的呼叫标识，供请其抹除它那一份"})
    count = integer("抹除的总数", required=True)


_COUNTS = {
    "tasks": 2,
    "calls": 3,
    "events": 9,
    "recordings": 2,
    "transcripts": 2,
    "webhook_deliveries": 0,
    "do_not_call": 0,
}
_PROOF = {
    "mark": "number:9f86d081884c7d659a2feaa0c55ad015",
    "erasedAt": "2026-01-05T10:00:00.000+08:00",
    "erased": _COUNTS,
    "remaining": dict.fromkeys(_COUNTS, 0) | {"do_not_call": 1},
    "vendor": ["5f0c7a52-ea0b-11f0-8d3e-00163e0a1b2c"],
    "count": 18,
}
ERASE = {
    "summary": "抹除一位客户的全部资料",
    "description": "任务、呼叫、电话事件、录音、对话、待投递的通知；不可恢复，只留下不含个人信息的计数。",
    "operationId": "eraseCustomer",
    "requestBody": body(ErasureSchema, {"number": "13900001111", "reason": "客户来函要求"}),
    "responses": {
        "200": reply("证明", ProofSchema, _PROOF),
        "400": BAD,
        "401": NO_KEY,
        "409": problem_reply(
            "这个号码正在通话或拨打", 409, "Conflict", "call 2601051000120000042 of this number lives"
        ),
    },
}


def erase_customer() -> Response:
    """Erases everything under one number, unless a call of it lives."""
    at = house()
    document = decode_object(read_json(request))
    given = Fields(document, at.settings.timezone)
    number = given.text("number", required=True)
    reason = given.text("reason", required=True, longest=LONGEST_REASON)
    drop = document.get("dropDoNotCall", False)
    if not isinstance(drop, bool):
        given.problem("dropDoNotCall", "应为布尔值")
    given.done()
    try:
        customer = numbers.parse_loosely(number or "")
    except NumberError as error:
        raise refuse(f"不是有效的号码：应为 3 到 20 位数字，可带前导 +，{received(number)}", field="number") from error
    now, who, zone, root = at.clock.now_ms(), principal().name, at.settings.timezone, at.settings.recordings_dir
    try:
        proof = write(
            at.engine,
            lambda connection: erase(
                connection,
                customer.number,
                root,
                zone,
                now,
                reason=reason or "",
                actor=who,
                exten=customer.exten,
                drop_do_not_call=bool(drop),
            ),
        )
    except ErasureRefused as error:
        abort(409, str(error))
    if not settle(at.engine):
        log.info("the write-ahead log still holds what was erased; a later checkpoint empties it")
    shown = proof.document
    return answer(
        {
            "mark": proof.mark,
            "erasedAt": iso(proof.erased_at, zone),
            "erased": shown["erased"],
            "remaining": shown["remaining"],
            "vendor": proof.vendor,
            "count": proof.erased.total,
        }
    )


ROUTES = (Route("/api/v1/erasures", "POST", erase_customer, ERASE),)
