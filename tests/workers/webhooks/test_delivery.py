"""Deliveries over real HTTP: at least once, under one id, on time, and nobody waits for somebody else's receiver."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest
from sqlalchemy import update

from shared.database import reading, writing
from shared.doorbell import FINISH_CALL, WEBHOOKS
from shared.errors import Refused
from shared.outbox import delivery_id
from shared.schema import webhook_deliveries
from tests.workers.twins import Office, cdr, wait_for
from tests.workers.webhooks.desk import (
    SECRET,
    add_call,
    deliveries,
    delivery,
    finish,
    finished,
    post_round,
    register,
    remove,
)
from tests.workers.webhooks.receiver import HOLD_SECONDS, Received, Receiver
from workers.dial import dial
from workers.dispatch import dispatch
from workers.events import apply_events
from workers.record import finish_call
from workers.sweep import sweep
from workers.webhooks.couriers import PLACES
from workers.webhooks.delivery import (
    CLAIM_MS,
    MOST_CLAIMS,
    RECORD_WAIT_MS,
    RETRY_MS,
    claim,
    deliver_due,
    due_endpoints,
    send_webhooks,
    settle,
)
from workers.webhooks.post import Outcome, Post


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as opened:
        yield opened


@pytest.fixture
def open_here(open_office: Callable[..., Office]) -> Callable[..., Office]:
    """Offices that may send to this machine."""
    return lambda **options: open_office(webhook_private="1", **options)


@pytest.fixture
def office(open_here: Callable[..., Office]) -> Office:
    opened = open_here()
    opened.media()
    return opened


# --- what is told, and how -------------------------------------------------------------------------------------------


def test_the_end_of_a_call_is_told_with_its_record(office: Office, receiver: Receiver) -> None:
    """The whole way: dialled, answered, ended, its record closed; then one signed POST."""
    register(office, receiver.url)
    batch_id = office.ticket("13800138000")
    dispatch(office.house)
    [uuid] = office.dials()
    dial(office.house, uuid)
    call_id = office.call(uuid).call_id
    apply_events(office.house, [office.event("firstAnswer", request_id=uuid, call_id=call_id)])
    office.advance(5)
    apply_events(office.house, [office.event("cdr", request_id=uuid, call_id=call_id, pay_load=cdr(1_000, 6_000))])
    assert office.task(batch_id).state == "completed"
    assert office.bell.take(WEBHOOKS) == []  # what was said may still come
    send_webhooks(office.house)
    assert office.house.couriers.wait_idle(60)
    assert receiver.received == []
    assert uuid in office.bell.take(FINISH_CALL)
    finish_call(office.house, uuid)
    office.advance(30)
    sweep(office.house)
    assert len(office.bell.take(WEBHOOKS)) >= 1  # the record closed
    post_round(office)
    [told] = receiver.received
    assert told.path == "/hook?tenant=7"
    assert told.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert told.headers["content-type"] == "application/json"
    assert told.signed_with(SECRET)
    assert not told.signed_with(SECRET + "x")
    assert told.headers["waihu-timestamp"] == str(office.now // 1000)
    assert (told.body["event"], told.body["deliveryId"]) == ("task.finished", told.delivery_id)
    assert (told.body["task"]["batchId"], told.body["task"]["status"]) == (batch_id, "已完成")
    assert (told.body["record"]["uuid"], told.body["record"]["timeLen"]) == (uuid, 5)
    row = delivery(office, told.delivery_id)
    assert (row.state, row.attempts, row.due_at, row.delivered_at) == ("delivered", 1, None, office.now)
    post_round(office)
    assert len(receiver.received) == 1


def test_an_unanswered_call_rings_at_once(office: Office, receiver: Receiver) -> None:
    register(office, receiver.url)
    office.ticket()
    dispatch(office.house)
    [uuid] = office.dials()
    dial(office.house, uuid)
    apply_events(office.house, [office.event("cdr", request_id=uuid, pay_load=cdr(None, 6_000))])
    assert office.bell.take(WEBHOOKS) == [None]
    post_round(office)
    assert receiver.received[0].body["record"]["hangupCause"] == "NO_ANSWER:sip:480"


def test_a_call_that_was_refused_for_good_is_told_too(open_here: Callable[..., Office], receiver: Receiver) -> None:
    office = open_here(retry_refused="")
    office.media()
    register(office, receiver.url)
    batch_id = office.ticket()
    dispatch(office.house)
    office.phone.answers = [Refused(1, "no line")]
    dial(office.house, office.calls(batch_id)[-1].uuid)
    assert office.task(batch_id).state == "failed"
    post_round(office)
    assert [told.body["task"]["status"] for told in receiver.received] == ["失败"]


def test_without_an_endpoint_nothing_is_written_and_nobody_rings(office: Office) -> None:
    batch_id = office.ticket()
    dispatch(office.house)
    [uuid] = office.dials()
    dial(office.house, uuid)
    apply_events(office.house, [office.event("cdr", request_id=uuid, pay_load=cdr(None, 6_000))])
    expired = office.ticket("13800138001", expires_at=office.now - 1)
    sweep(office.house)
    assert (office.task(batch_id).state, office.task(expired).state) == ("not_connected", "expired")
    assert deliveries(office) == []
    assert office.bell.take(WEBHOOKS) == []
    send_webhooks(office.house)


def test_every_way_to_end_is_told(office: Office, receiver: Receiver) -> None:
    register(office, receiver.url)
    gone = office.ticket("13800138001", expires_at=office.now - 1)
    stopped = office.ticket("13800138002", stop_requested_at=office.now)
    lost = office.ticket("13800138003", state="dialing", due_at=None, state_at=office.now - 60_000)
    sweep(office.house)
    assert office.bell.take(WEBHOOKS) == [None]
    post_round(office)
    told = {one.body["task"]["batchId"]: one.body["task"]["state"] for one in receiver.received}
    assert told == {gone: "expired", stopped: "stopped"}
    assert office.task(lost).state == "pending"


def test_every_endpoint_is_told_with_its_own_secret(office: Office, receiver: Receiver) -> None:
    with Receiver() as other:
        register(office, receiver.url)
        register(office, other.url, "whsec_another_secret")
        finished(office, 3)
        post_round(office)
        assert all(one.signed_with(SECRET) for one in receiver.received)
        assert all(one.signed_with("whsec_another_secret") for one in other.received)
        assert (len(receiver.received), len(other.received)) == (3, 3)
        assert not set(receiver.ids) & set(other.ids)


def test_the_record_is_waited_for_a_minute_at_most(office: Office, receiver: Receiver) -> None:
    register(office, receiver.url)
    batch_id = office.ticket()
    answered = {"state": "ended", "answered_at": office.now, "closed_at": None}
    uuid = add_call(office, batch_id, **answered)
    finish(office, batch_id, "completed", True)
    post_round(office)
    office.set_call(uuid, closed_at=office.now)
    post_round(office)  # closed, but what was said is not in it yet
    assert receiver.received == []
    assert deliveries(office)[0].attempts == 0
    office.set_call(uuid, dialogue=[{"role": "user", "content": "好"}])
    post_round(office)
    assert receiver.received[0].body["record"]["dialogue"] == [{"role": "user", "content": "好"}]
    late = office.ticket("13800138001")
    add_call(office, late, 2, **answered)
    finish(office, late, "completed", True)
    office.advance(RECORD_WAIT_MS / 1000 - 1)
    post_round(office)
    assert len(receiver.received) == 1
    office.advance(1)
    post_round(office)
    assert receiver.received[1].body["record"]["dialogue"] == []


def test_a_task_that_is_gone_is_given_up_in_time(office: Office, receiver: Receiver) -> None:
    register(office, receiver.url)
    finished(office)
    with writing(office.house.engine) as connection:
        connection.exec_driver_sql("DELETE FROM tasks")
    post_round(office)
    assert receiver.received == []
    assert deliveries(office)[0].last_error == "the task is gone"


# --- when it fails ---------------------------------------------------------------------------------------------------


def test_a_failing_receiver_is_tried_on_schedule_then_given_up_and_can_be_told_again(
    office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [500] * (len(RETRY_MS) + 1)
    register(office, receiver.url)
    finished(office)
    for number, delay in enumerate(RETRY_MS, 1):
        post_round(office)
        [row] = deliveries(office)
        assert (row.state, row.attempts, row.due_at, row.last_error) == (
            "waiting",
            number,
            office.now + delay,
            "HTTP status 500",
        )
        office.advance(delay / 1000 - 0.001)
        post_round(office)
        assert len(receiver.received) == number
        office.advance(0.001)
    with caplog.at_level(logging.ERROR):
        post_round(office)
    [row] = deliveries(office)
    assert (row.state, row.attempts, row.due_at) == ("dead", len(RETRY_MS) + 1, None)
    assert "given up" in caplog.text
    office.advance(7 * 24 * 3600)
    sweep(office.house)
    assert office.bell.take(WEBHOOKS) == []
    with writing(office.house.engine) as connection:  # as api's replay does
        again = {"state": "waiting", "attempts": 0, "due_at": office.now}
        connection.execute(update(webhook_deliveries).values(again))
    post_round(office)
    assert deliveries(office)[0].state == "delivered"
    assert set(receiver.ids) == {row.id}
    assert sum(RETRY_MS) > 20 * 3600 * 1000
    timestamps = [int(one.headers["waihu-timestamp"]) for one in receiver.received]
    assert timestamps == sorted(set(timestamps))  # signed anew each time
    assert all(one.signed_with(SECRET) for one in receiver.received)


def test_the_body_says_how_things_stand_when_it_is_sent(office: Office, receiver: Receiver) -> None:
    receiver.answers = [503]
    register(office, receiver.url)
    [batch_id] = finished(office)
    post_round(office)
    add_call(office, batch_id, wav_file="ai_call/2025/12/31/12/2512311203580000001.wav")
    office.advance(RETRY_MS[0] / 1000)
    post_round(office)
    first, second = (one.body for one in receiver.received)
    assert first["record"] is None
    assert second["record"]["wavFileUrl"].endswith("filename=ai_call/2025/12/31/12/2512311203580000001.wav")
    assert first["deliveryId"] == second["deliveryId"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(office: Office, receiver: Receiver, status: int) -> None:
    with Receiver() as inside:
        receiver.answers = [(status, {"Location": inside.url})]
        register(office, receiver.url)
        finished(office)
        post_round(office)
        assert inside.received == []
        assert deliveries(office)[0].last_error == f"HTTP status {status} (redirects are not followed)"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_delivery(office: Office, receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    register(office, receiver.url)
    finished(office)
    post_round(office)
    assert deliveries(office)[0].state == "delivered"


def test_a_test_that_fails_is_not_repeated(office: Office, receiver: Receiver) -> None:
    receiver.answers = [500]
    endpoint_id = register(office, receiver.url)
    row = {
        "id": delivery_id(endpoint_id, 0, office.now),
        "endpoint_id": endpoint_id,
        "batch_id": 0,
        "event": "webhook.test",
        "state": "waiting",
        "due_at": office.now,
        "created_at": office.now,
    }
    with writing(office.house.engine) as connection:
        connection.execute(webhook_deliveries.insert().values(row))
    post_round(office)
    assert receiver.received[0].body == {
        "deliveryId": row["id"],
        "event": "webhook.test",
        "task": None,
        "record": None,
    }
    assert (deliveries(office)[0].state, deliveries(office)[0].attempts) == ("dead", 1)


def test_one_bad_delivery_does_not_hold_up_the_others(office: Office, receiver: Receiver) -> None:
    register(office, receiver.url)
    [bad, *_] = finished(office, 20)
    receiver.answers = [lambda got: 400 if got.body["task"]["batchId"] == bad else 200] * 20  # type: ignore[list-item]
    post_round(office)
    states = {row.batch_id: row.state for row in deliveries(office)}
    assert states.pop(bad) == "waiting"
    assert set(states.values()) == {"delivered"}


def test_a_receiver_that_is_away_is_left_alone_and_keeps_its_attempts(office: Office) -> None:
    with Receiver() as receiver:
        url = receiver.url
    register(office, url)
    finished(office, 30)
    post_round(office)
    tried = [row for row in deliveries(office) if row.attempts]
    assert 1 <= len(tried) <= PLACES
    assert {row.last_error for row in tried} == {"no answer: ConnectError"}
    post_round(office)
    assert len([row for row in deliveries(office) if row.attempts]) <= 2 * PLACES


def test_a_busy_receiver_is_left_alone(office: Office, receiver: Receiver) -> None:
    receiver.answers = [429] * 100
    register(office, receiver.url)
    finished(office, 30)
    post_round(office)
    assert 1 <= len(receiver.received) <= PLACES


# --- killed, doubled, removed ----------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone."""


class DyingPost(Post):
    """Sends, and takes the process with it."""

    def send(self, url: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Outcome:
        assert super().send(url, headers, body).delivered
        raise Killed


def test_killed_between_sending_and_settling_it_is_sent_again_under_the_same_id(
    open_here: Callable[..., Office], receiver: Receiver
) -> None:
    victim = open_here()
    victim.house.post = DyingPost(allow_private=True)
    endpoint_id = register(victim, receiver.url)
    finished(victim)
    with pytest.raises(Killed):
        deliver_due(victim.house, endpoint_id)
    [row] = deliveries(victim)
    assert (row.state, row.attempts, receiver.ids) == ("waiting", 1, [row.id])
    heir = open_here(clock=victim.clock)
    post_round(heir)
    assert len(receiver.received) == 1  # it might still be in somebody's hands
    heir.advance(CLAIM_MS / 1000)
    sweep(heir.house)
    assert heir.bell.take(WEBHOOKS) == [None]
    post_round(heir)
    assert receiver.ids == [row.id] * 2
    assert (deliveries(heir)[0].state, deliveries(heir)[0].attempts) == ("delivered", 2)


def test_a_delivery_that_kills_whoever_takes_it_up_is_put_aside(office: Office, receiver: Receiver) -> None:
    endpoint_id = register(office, receiver.url)
    finished(office, 2)
    poison = deliveries(office)[0].id
    with writing(office.house.engine) as connection:
        first = update(webhook_deliveries).where(webhook_deliveries.c.id == poison)
        connection.execute(first.values(attempts=MOST_CLAIMS - 1, due_at=office.now - 1))
    with office.house.write() as connection:
        last = claim(connection, endpoint_id, office.now)
    assert last is not None
    assert last.id == poison
    office.advance(CLAIM_MS / 1000)
    for _ in range(2):
        post_round(office)
    assert (delivery(office, poison).state, delivery(office, poison).due_at) == ("dead", None)
    assert [row.state for row in deliveries(office)] == ["dead", "delivered"]
    assert poison not in receiver.ids


def test_a_claim_that_was_overtaken_does_not_undo_what_came_after(office: Office, receiver: Receiver) -> None:
    register(office, receiver.url)
    finished(office)
    with office.house.write() as connection:
        slow = claim(connection, 1, office.now)
    assert slow is not None
    office.advance(CLAIM_MS / 1000)
    with office.house.write() as connection:
        quick = claim(connection, 1, office.now)
        assert quick is not None
        settle(connection, quick, Outcome(False, "quick"), office.now)
        settle(connection, slow, Outcome(False, "slow"), office.now)
    row = delivery(office, slow.id)
    assert (row.attempts, row.last_error) == (2, "quick")
    with office.house.write() as connection:
        settle(connection, slow, Outcome(True), office.now)  # it was delivered after all: whoever knows may say so
        settle(connection, quick, Outcome(False, "later"), office.now)
    assert delivery(office, slow.id).state == "delivered"


def test_two_workers_at_once_send_each_delivery_once(open_here: Callable[..., Office], receiver: Receiver) -> None:
    offices = [open_here() for _ in range(2)]
    register(offices[0], receiver.url)
    batch_ids = finished(offices[0], 60)
    for office in offices:
        send_webhooks(office.house)
    for office in offices:
        assert office.house.couriers.wait_idle(60)
    told = Counter(one.body["task"]["batchId"] for one in receiver.received)
    assert told == dict.fromkeys(batch_ids, 1)
    assert receiver.most_busy <= 2 * PLACES
    assert {row.attempts for row in deliveries(offices[0])} == {1}


def test_a_slow_receiver_holds_up_nobody_else_and_gets_no_more_than_its_share(office: Office) -> None:
    release = threading.Event()

    def hold(_received: Received) -> int:
        release.wait(HOLD_SECONDS)
        return 200

    with Receiver() as slow, Receiver() as quick:
        slow.answers = [hold] * 100
        register(office, slow.url)
        register(office, quick.url)
        finished(office, 20)
        send_webhooks(office.house)
        quick.wait(20)
        slow.wait(PLACES)
        send_webhooks(office.house)
        assert slow.most_busy == PLACES
        assert wait_for(lambda: [row.state for row in deliveries(office)].count("delivered") == 20)
        release.set()
        assert office.house.couriers.wait_idle(60)
        assert slow.most_busy == PLACES
        assert sorted(slow.ids) == sorted({*slow.ids})
        assert len(slow.ids) == 20


def test_what_waits_for_a_removed_endpoint_is_dead_and_never_sent(office: Office, receiver: Receiver) -> None:
    with Receiver() as other:
        endpoint_id = register(office, receiver.url)
        kept = register(office, other.url)
        finished(office, 2)
        remove(office, endpoint_id)
        office.advance(1)
        with reading(office.house.engine) as connection:
            assert due_endpoints(connection, office.now) == ([kept], [endpoint_id])
        sweep(office.house)
        assert office.bell.take(WEBHOOKS) == [None]
        post_round(office)
        assert receiver.received == []
        assert len(other.received) == 2
        dead = [row for row in deliveries(office) if row.endpoint_id == endpoint_id]
        assert {(row.state, row.last_error) for row in dead} == {("dead", "the endpoint was removed")}
        with reading(office.house.engine) as connection:
            assert due_endpoints(connection, office.now) == ([], [])


def test_a_worker_that_leaves_takes_up_no_more(office: Office, receiver: Receiver) -> None:
    register(office, receiver.url)
    finished(office, 5)
    office.house.drain()
    send_webhooks(office.house)
    assert office.house.couriers.wait_idle(60)
    assert receiver.received == []


def test_a_database_that_goes_away_leaves_it_to_the_sweep(
    office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    register(office, receiver.url)
    finished(office)
    with reading(office.house.engine) as connection:
        assert due_endpoints(connection, office.now) == ([1], [])
    with writing(office.house.engine) as connection:
        connection.exec_driver_sql("ALTER TABLE calls RENAME TO elsewhere")
    with caplog.at_level(logging.WARNING):
        post_round(office)
    assert "the database is away; deliveries wait" in caplog.text
    with writing(office.house.engine) as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO calls")
    post_round(office)
    assert len(receiver.received) == 1


def test_no_number_and_no_word_is_logged(office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.answers = [500]
    register(office, receiver.url)
    finished(office, 2)
    with caplog.at_level(logging.DEBUG):
        post_round(office)
    said = "".join(str(vars(record)) for record in caplog.records if record.name.startswith("workers"))
    assert "webhook delivered" in said
    for secret in ("138000000", "张三", "内容", SECRET, "tenant"):
        assert secret not in said


def test_the_claim_walks_the_endpoint_s_own_index(office: Office) -> None:
    """What waits for one receiver costs another nothing."""
    with reading(office.house.engine) as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT id FROM webhook_deliveries "
            "WHERE state = 'waiting' AND endpoint_id = 1 AND due_at <= 5 ORDER BY due_at LIMIT 1"
        ).all()
    assert "ix_webhook_deliveries_due" in str(plan)
