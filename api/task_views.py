"""createTasks, stopTasks and calltask/list (callcenter-api.md, sections 3 to 5)."""

from __future__ import annotations

import logging

from flask import Response, request

from api import idempotency, intake, stopping, task_documents, task_list, tickets
from api.body import decode_object, read_json, type_name
from api.envelope import DONE, FieldProblem, ParameterError, answer, refuse, success_code
from api.fields import MAX_LONG, MIN_LONG, Fields, number_fault, whole_number
from api.house import house
from api.keys import principal
from api.masking import shown_rows
from api.routes import PREFIX, Route
from shared.database import reading
from shared.doorbell import DISPATCH, STOP_CALLS

FOUND = "查询成功"

log = logging.getLogger(__name__)


def create_tasks() -> Response:
    """Makes a task of every ticket, or of none."""
    at = house()
    body = read_json(request)
    key = idempotency.read_key(request.headers.get(idempotency.HEADER), body, principal().identity)
    receipt = intake.take_in(
        at.engine,
        tickets.read(body, at.settings.batch_limit),
        now=at.clock.now_ms(),
        repeat_after_ms=int(at.settings.ticket_repeat_after * 1000),
        actor=principal().name,
        response_of=intake.envelope(success_code(at.settings.success_code, example=200)),
        key=key,
    )
    if receipt.created:
        log.info("tasks created", extra={"count": receipt.created})
        at.ringer.ring(DISPATCH)
    response = answer(receipt.response)
    if receipt.replayed:
        response.headers[idempotency.REPLAYED] = "true"
    return response


def stop_tasks() -> Response:
    """Stops tasks; those that ring or talk are hung up by the workers, which are told at once."""
    at = house()
    batch_ids = _batch_ids(decode_object(read_json(request)), at.settings.batch_limit)
    live = stopping.stop(at.engine, batch_ids, at.clock.now_ms(), principal().name)
    log.info("stop stored", extra={"asked": len(batch_ids), "live": len(live)})
    at.ringer.ring_ids(STOP_CALLS, live)
    return answer({"code": success_code(at.settings.success_code, example=0), "data": None, "msg": DONE})


def list_tasks() -> Response:
    """One page of tasks, newest first."""
    at = house()
    query = task_list.read_query(Fields(decode_object(read_json(request)), at.settings.timezone))
    with reading(at.engine) as connection:
        total, rows = task_list.find(connection, query)
    code = success_code(at.settings.success_code, example=200)
    return answer({"code": code, "msg": FOUND, "total": total, "rows": shown_rows(rows)})


def _batch_ids(document: dict[str, object], limit: int) -> list[int]:
    """The batchIds of a stopTasks request. Raises ParameterError that names every one that is none."""
    given = document.get("batchIds")
    if given is None:
        raise refuse("缺少必填字段", field="batchIds")
    if not isinstance(given, list):
        raise refuse(f"应为整数数组，收到的是{type_name(given)}", field="batchIds")
    if not given:
        raise refuse("至少应有一个任务 ID，收到的是空数组", field="batchIds")
    if len(given) > limit:
        raise refuse(f"一次最多 {limit} 个任务 ID，收到 {len(given)} 个，请分批提交", field="batchIds")
    faults = ((index, number_fault(value, MIN_LONG, MAX_LONG)) for index, value in enumerate(given))
    problems = [FieldProblem(index, "batchIds", fault) for index, fault in faults if fault]
    if problems:
        raise ParameterError(problems)
    return [number for number in map(whole_number, given) if number is not None]


ROUTES = tuple(
    Route(PREFIX + rule, "POST", view, doc, alias=rule)
    for rule, view, doc in (
        ("/aicall/createTasks", create_tasks, task_documents.CREATE),
        ("/aicall/calltask/list", list_tasks, task_documents.LIST),
        ("/aicall/stopTasks", stop_tasks, task_documents.STOP),
    )
)
