"""``/api/v1/webhooks``: who is told of finished tasks, and what became of each word to them (docs/webhooks.md)."""

from __future__ import annotations

import logging

from flask import Response, abort, request

from api import webhook_documents as documents
from api import webhooks
from api.body import decode_object, read_json
from api.envelope import answer
from api.fields import MAX_LONG, Fields
from api.house import house
from api.keys import principal
from api.routes import Route
from api.transactions import write
from api.webhooks import WebhookConflict
from shared.database import reading
from shared.doorbell import WEBHOOKS
from shared.errors import TargetRefused
from shared.targets import find_addresses, parse_target, system_lookup

WEBHOOKS_PATH = "/api/v1/webhooks"
_ENDPOINT = f"{WEBHOOKS_PATH}/<int(max={MAX_LONG}):webhook_id>"
_DELIVERY = f"{WEBHOOKS_PATH}/deliveries/<string(maxlength=100):delivery_id>"

log = logging.getLogger(__name__)


def add_webhook() -> Response:
    """Registers an endpoint, if we would send to it; the answer alone shows its secret."""
    at, who = house(), principal().name
    url, secret = webhooks.read_endpoint(Fields(decode_object(read_json(request)), at.settings.timezone))
    try:
        find_addresses(parse_target(url), system_lookup, allow_private=at.settings.webhook_private)
        now = at.clock.now_ms()
        row = write(at.engine, lambda connection: webhooks.add_endpoint(connection, url, secret, now, actor=who))
    except TargetRefused as error:
        abort(422, str(error))
    except WebhookConflict as error:
        abort(409, str(error))
    log.info("webhook registered", extra={"endpoint_id": row["id"]})
    response = answer(webhooks.shown_endpoint(row, at.settings.timezone) | {"secret": secret}, 201)
    response.headers["Location"] = f"{WEBHOOKS_PATH}/{row['id']}"
    return response


def list_webhooks() -> Response:
    """Every endpoint, without secrets."""
    at = house()
    with reading(at.engine) as connection:
        found = webhooks.endpoints(connection)
    counted = [
        webhooks.shown_endpoint(row, at.settings.timezone) | {"waiting": row["waiting"], "dead": row["dead"]}
        for row in found
    ]
    return answer({"rows": counted})


def remove_webhook(webhook_id: int) -> Response:
    """Removes an endpoint; nothing more is sent to it but what is under way."""
    at, who = house(), principal().name
    now = at.clock.now_ms()
    if not write(at.engine, lambda connection: webhooks.remove_endpoint(connection, webhook_id, now, actor=who)):
        abort(404, f"no webhook {webhook_id}")
    log.info("webhook removed", extra={"endpoint_id": webhook_id})
    at.ringer.ring(WEBHOOKS)
    return Response(status=204)


def test_webhook(webhook_id: int) -> Response:
    """Sends one delivery that is about no task, once."""
    at = house()
    row = write(at.engine, lambda connection: webhooks.add_test(connection, webhook_id, at.clock.now_ms()))
    if row is None:
        abort(404, f"no webhook {webhook_id}")
    at.ringer.ring(WEBHOOKS)
    return answer(webhooks.shown_delivery(row, at.settings.timezone), 202)


def list_deliveries() -> Response:
    """One page of deliveries, newest first."""
    at = house()
    query = webhooks.read_query(Fields(request.args, at.settings.timezone))
    with reading(at.engine) as connection:
        found = webhooks.deliveries(connection, query)
    return answer({"rows": [webhooks.shown_delivery(row, at.settings.timezone) for row in found]})


def show_delivery(delivery_id: str) -> Response:
    """One delivery."""
    at = house()
    with reading(at.engine) as connection:
        row = webhooks.find_delivery(connection, delivery_id)
    if row is None:
        abort(404, f"no delivery {delivery_id}")
    return answer(webhooks.shown_delivery(row, at.settings.timezone))


def replay_delivery(delivery_id: str) -> Response:
    """Sends a delivery again, whatever became of it."""
    at, who = house(), principal().name
    now = at.clock.now_ms()
    try:
        row = write(at.engine, lambda connection: webhooks.replay(connection, delivery_id, now, actor=who))
    except WebhookConflict as error:
        abort(409, str(error))
    if row is None:
        abort(404, f"no delivery {delivery_id}")
    log.info("webhook delivery replayed", extra={"delivery_id": row["id"]})
    at.ringer.ring(WEBHOOKS)
    return answer(webhooks.shown_delivery(row, at.settings.timezone), 202)


ROUTES = (
    Route(WEBHOOKS_PATH, "POST", add_webhook, documents.ADD),
    Route(WEBHOOKS_PATH, "GET", list_webhooks, documents.LIST),
    Route(_ENDPOINT, "DELETE", remove_webhook, documents.REMOVE),
    Route(f"{_ENDPOINT}/test", "POST", test_webhook, documents.TEST),
    Route(f"{WEBHOOKS_PATH}/deliveries", "GET", list_deliveries, documents.DELIVERIES),
    Route(_DELIVERY, "GET", show_delivery, documents.DELIVERY),
    Route(f"{_DELIVERY}/replay", "POST", replay_delivery, documents.REPLAY),
)
