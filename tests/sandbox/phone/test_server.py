"""The dialog API over real sockets: every action, every code, and what is no request at all."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.phone.refusals import Code
from sandbox.phone.requests import MAX_BODY_BYTES
from sandbox.phone.settings import CallerLimit, PhoneSettings
from tests.sandbox.phone.robot import Robot, with_robot

UNKNOWN = "bbd910fc-e5fd-11f0-a660-525400eaab18"


def test_startcall_answers_with_the_calls_id_and_echoes_the_mark() -> None:
    async def scenario(robot: Robot) -> None:
        answer = await robot.startcall("13800000001", clientMutationId="004😀")
        assert answer["code"] == 0
        assert answer["clientMutationId"] == "004😀"
        assert (await robot.report(answer["msg"]))["callee"] == "13800000001"

    with_robot(scenario)


@pytest.mark.parametrize("path", ["", "/"])
def test_startcall_is_served_with_and_without_the_slash(path: str) -> None:
    async def scenario(robot: Robot) -> None:
        assert (await robot.post(path, {"action": "startcall"}))["code"] == Code.BAD_REQUEST

    with_robot(scenario)


def test_a_refused_number_rings_nobody_and_is_reported() -> None:
    async def scenario(robot: Robot) -> None:
        answer = await robot.startcall("13800000013")
        assert answer["code"] == Code.NUMBER_REFUSED
        assert "refused" in answer["msg"]
        report = await robot.report("req-13800000013")
        assert (report["state"], report["startcalls"], report["rings"]) == ("refused", 1, 0)
        assert robot.events == []

    with_robot(scenario)


def test_too_many_calls_at_once_and_too_many_a_second_are_refused_for_that_caller_alone() -> None:
    limits = PhoneSettings(callers={"1001": CallerLimit(concurrency=1), "1002": CallerLimit(cps=2)})

    async def scenario(robot: Robot) -> None:
        first = await robot.call("13800000001", caller="1001")
        assert (await robot.startcall("13800000002", caller="1001"))["code"] == Code.TOO_MANY_CALLS
        await robot.act(first, "hangup")
        assert (await robot.startcall("13800000002", caller="1001"))["code"] == 0
        codes = [(await robot.startcall(f"1380000010{number}", caller="1002"))["code"] for number in range(3)]
        assert codes == [0, 0, Code.TOO_FAST]
        assert (await robot.startcall("13800000002", caller="1003"))["code"] == 0

    with_robot(scenario, settings=limits)


def test_the_stream_actions_are_taken_in_their_order_and_refused_in_any_other() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000007", stream=False)
        wanted = [
            ("stream_playback", Code.WRONG_ORDER),
            ("clean_stream", Code.WRONG_ORDER),
            ("stop_stream", Code.WRONG_ORDER),
            ("start_stream", Code.OK),
            ("start_stream", Code.WRONG_ORDER),
            ("file_playback", Code.WRONG_ORDER),
            ("stream_playback", Code.OK),
            ("stream_playback", Code.WRONG_ORDER),
            ("clean_stream", Code.OK),
            ("stop_stream", Code.OK),
            ("file_playback", Code.OK),
            ("start_stream", Code.OK),
            ("hangup", Code.OK),
        ]
        for action, code in wanted:
            parameters = "tianmao" if action == "file_playback" else ""
            assert (await robot.act(call_id, action, parameters))["code"] == code, action
        report = await robot.ended(call_id)
        assert [(note["action"], note["code"]) for note in report["actions"]] == wanted

    with_robot(scenario)


def test_actions_before_the_answer_are_refused_but_a_hangup_is_not() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.call("13800000012")
        for action in ("start_stream", "stream_playback", "clean_stream", "stop_stream"):
            assert (await robot.act(call_id, action))["code"] == Code.NOT_ANSWERED
        assert (await robot.act(call_id, "file_playback", "tianmao"))["code"] == Code.NOT_ANSWERED
        assert (await robot.act(call_id, "hangup"))["code"] == Code.OK
        assert (await robot.ended(call_id))["audio"] is None

    with_robot(scenario)


@pytest.mark.parametrize("action", ["start_stream", "clean_stream", "file_playback", "hangup"])
def test_an_unknown_call_and_an_ended_call_have_codes_of_their_own(action: str) -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.call("13800000012")
        await robot.act(call_id, "hangup")
        assert (await robot.act(call_id, action, "tianmao"))["code"] == Code.CALL_ENDED
        assert (await robot.act(UNKNOWN, action, "tianmao"))["code"] == Code.UNKNOWN_CALL

    with_robot(scenario)


def test_an_unknown_file_is_refused_and_a_known_one_is_heard() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000007", stream=False)
        assert (await robot.act(call_id, "file_playback", "../etc/passwd"))["code"] == Code.UNKNOWN_FILE
        assert (await robot.act(call_id, "file_playback", "tianmao"))["code"] == Code.OK

        async def heard() -> str:
            return str((await robot.report(call_id))["audio"]["heard"]["text"])

        frames = len(robot.sides[call_id].frames)
        await robot.until(lambda: len(robot.sides[call_id].frames) >= frames + 250)
        assert await heard() == "您好，欢迎使用智能外呼服务。"

    with_robot(scenario)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "an array"),
        (b"\xff\xfe", "JSON"),
        (b'{"action":"startcall"}', "caller: expected a string, but it is missing"),
        (b'{"action":"startcall","caller":"1001","callee":13800000001}', "callee: expected"),
        (b'{"clientMutationId":"9","action":"dial"}', "expects the action startcall"),
    ],
)
def test_a_bad_body_is_answered_with_what_was_expected(body: bytes, message: str) -> None:
    async def scenario(robot: Robot) -> None:
        answer = await robot.http.post(robot.phone.url + "/", content=body)
        assert answer.status_code == 200
        document = answer.json()
        assert document["code"] in (Code.BAD_REQUEST, Code.UNKNOWN_ACTION)
        assert message in document["msg"]
        assert document["clientMutationId"] == ("9" if b"9" in body else "")

    with_robot(scenario)


def test_other_paths_and_methods_are_no_routes() -> None:
    async def scenario(robot: Robot) -> None:
        address = robot.phone.address
        for method, url, status in [
            ("POST", address + "/np/sandbox/dialogue", 404),
            ("GET", robot.phone.url, 405),
            ("PUT", robot.phone.url + "/" + UNKNOWN, 405),
            ("GET", robot.phone.report_url + "/" + UNKNOWN, 404),
        ]:
            answer = await robot.http.request(method, url)
            assert answer.status_code == status
            assert answer.json()

    with_robot(scenario)


def test_a_huge_body_is_refused_and_the_phone_system_lives_on() -> None:
    async def scenario(robot: Robot) -> None:
        try:
            answer = await robot.http.post(robot.phone.url + "/", content=b" " * (MAX_BODY_BYTES + 1))
            assert answer.status_code == 400
        except httpx2.HTTPError:
            pass  # the connection was closed while the body was on its way
        assert (await robot.startcall("13800000001"))["code"] == 0

    with_robot(scenario)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(["action", "caller", "callee", "isRecord", "exten", "requestId", "clientMutationId"])
ACTIONS = st.sampled_from(["startcall", "hangup", "start_stream", "file_playback"])


def test_no_request_brings_the_phone_system_down() -> None:
    async def scenario(robot: Robot) -> None:
        bodies: list[Any] = []

        @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(st.binary(max_size=60) | st.dictionaries(FIELDS, JSON | ACTIONS, max_size=8).map(msgspec.json.encode))
        def collect(body: bytes) -> None:
            bodies.append(body)

        await asyncio.to_thread(collect)
        for number, body in enumerate(bodies):
            path = "/" if number % 2 else f"/{UNKNOWN}"
            answer = await robot.http.post(robot.phone.url + path, content=body)
            assert answer.status_code == 200
            assert answer.json()["code"] != 0
            assert answer.json()["msg"]
        assert (await robot.startcall("13800000001"))["code"] == 0

    with_robot(scenario)


def test_audio_sent_before_the_stream_starts_is_heard_once_it_plays() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000007", stream=False)
        await robot.send(call_id, np.full(8000, 3000, np.int16))
        await robot.act(call_id, "start_stream")
        assert (await robot.report(call_id))["audio"]["heard"]["seconds"] == 0
        await robot.act(call_id, "stream_playback")
        frames = len(robot.sides[call_id].frames)
        await robot.until(lambda: len(robot.sides[call_id].frames) >= frames + 60)
        heard = (await robot.report(call_id))["audio"]["heard"]
        assert heard["seconds"] == 1.0
        assert heard["level_dbfs"] == pytest.approx(20 * np.log10(3000 / 32768), abs=0.1)

    with_robot(scenario)


def test_the_report_counts_every_startcall_of_a_request() -> None:
    async def scenario(robot: Robot) -> None:
        first = await robot.call("13800000012", requestId="twice")
        second = await robot.call("13800000012", requestId="twice")
        assert first != second
        by_request, by_call = await robot.report("twice"), await robot.report(first)
        assert by_request["call_id"] == second
        assert by_request["call_ids"] == by_call["call_ids"] == [first, second]
        assert by_request["startcalls"] == by_request["rings"] == 2
        whole = (await robot.http.get(robot.phone.report_url)).json()
        assert whole["totals"]["repeated"] == {"twice": 2}
        assert [call["call_id"] for call in whole["calls"]] == [first, second]

    with_robot(scenario)


def test_a_reset_report_forgets_ended_calls_and_keeps_live_ones() -> None:
    async def scenario(robot: Robot) -> None:
        gone = await robot.call("13800000012", requestId="gone")
        await robot.act(gone, "hangup")
        live = await robot.call("13800000012", requestId="live")
        await robot.http.delete(robot.phone.report_url)
        whole = (await robot.http.get(robot.phone.report_url)).json()
        assert [call["call_id"] for call in whole["calls"]] == [live]
        assert whole["totals"]["startcalls"] == 0
        assert (await robot.act(gone, "hangup"))["code"] == Code.UNKNOWN_CALL
        assert (await robot.act(live, "hangup"))["code"] == 0

    with_robot(scenario)


def test_faults_are_set_seen_and_cleared_at_runtime() -> None:
    async def scenario(robot: Robot) -> None:
        url = robot.phone.faults_url
        answer = await robot.http.post(url, json={"wrong_echo": True}, params={"number": "*0002"})
        assert answer.json()["numbers"]["*0002"]["wrong_echo"]
        assert (await robot.startcall("13800000001", clientMutationId="mine"))["clientMutationId"] == "mine"
        assert (await robot.startcall("13800000002", clientMutationId="mine"))["clientMutationId"] != "mine"
        await robot.http.post(url, json={"wrong_echo": True})
        assert (await robot.startcall("13800000001", clientMutationId="mine"))["clientMutationId"] != "mine"
        assert (await robot.http.delete(url)).json()["all"]["wrong_echo"] is False
        assert (await robot.startcall("13800000002", clientMutationId="mine"))["clientMutationId"] == "mine"

    with_robot(scenario)


@pytest.mark.parametrize(
    ("body", "number", "message"),
    [(b'{"hangup_refusd":true}', "", "hangup_refusd"), (b"[]", "", "object"), (b"{}", "abc", "last digits")],
)
def test_bad_faults_are_refused_by_name(body: bytes, number: str, message: str) -> None:
    async def scenario(robot: Robot) -> None:
        params = {"number": number} if number else {}
        answer = await robot.http.post(robot.phone.faults_url, content=body, params=params)
        assert answer.status_code == 400
        assert message in answer.json()["error"]

    with_robot(scenario)


def test_the_people_are_listed() -> None:
    async def scenario(robot: Robot) -> None:
        rows = (await robot.http.get(robot.phone.people_url)).json()
        assert {"number": "*0007", "manner": "silent"}.items() <= rows[6].items()

    with_robot(scenario)
