from __future__ import annotations

import httpx2
import msgspec
import pytest

from sandbox.phone.faults import NONE, FaultError, Faults, StartcallFault, decode_faults
from sandbox.phone.refusals import Code
from sandbox.phone.settings import PhoneSettings
from tests.sandbox.phone.robot import Robot, with_robot

START = {
    "action": "startcall",
    "caller": "057128167421",
    "callee": "13800000012",
    "isRecord": True,
    "exten": "",
    "requestId": "req4",
    "clientMutationId": "004",
}


def test_no_body_is_no_fault() -> None:
    assert decode_faults(b"") == decode_faults(b"{}") == NONE


def test_events_are_chosen_by_name_or_all() -> None:
    faults = decode_faults(b'{"events_lost":["cdr"],"events_doubled":["*"],"events_late":{"cdr":2,"*":1}}')
    assert faults.loses("cdr")
    assert not faults.loses("firstStart")
    assert faults.doubles("firstStart")
    assert (faults.delay("cdr"), faults.delay("firstStart")) == (2, 1)
    assert Faults().delay("cdr") == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"events_lost":["cdrs"]}', "events_lost"),
        (b'{"startcall":"explode"}', "startcall"),
        (b'{"share":1.5}', "share"),
        (b'{"hangup_refusd":true}', "hangup_refusd"),
        (b'{"clock_skew":"1"}', "clock_skew"),
        (b"[]", "object"),
        (b"{", "truncated"),
        (b"\xff", "Faults"),
    ],
)
def test_what_is_no_description_of_faults_is_refused_by_name(body: bytes, field: str) -> None:
    with pytest.raises(FaultError, match=field):
        decode_faults(body)


# ---- each fault over real sockets


def test_doubled_events_come_twice() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.call("13800000012")
        await robot.until(lambda: len(robot.names(call_id)) >= 4)
        assert robot.names(call_id) == ["firstStart", "firstStart", "cdr", "cdr"]

    with_robot(scenario, faults=Faults(events_doubled=("*",)))


def test_lost_events_never_come() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000007")
        await robot.act(call_id, "hangup")
        report = await robot.ended(call_id)
        assert robot.names(call_id) == ["cdr"]
        assert [event["outcome"] for event in report["events"][:2]] == ["lost", "lost"]

    with_robot(scenario, faults=Faults(events_lost=("firstStart", "firstAnswer")))


def test_a_late_event_holds_up_those_behind_it() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000007")
        assert robot.names(call_id) == []
        await robot.until(lambda: robot.names(call_id) == ["firstStart", "firstAnswer"])

    with_robot(scenario, faults=Faults(events_late={"firstStart": 1.0}))


def test_shuffled_events_overtake_one_another() -> None:
    async def scenario(robot: Robot) -> None:
        call_ids = [await robot.call(f"138000{number:02}012") for number in range(20)]
        for call_id in call_ids:
            await robot.act(call_id, "hangup")
        await robot.until(lambda: all("cdr" in robot.names(call_id) for call_id in call_ids))
        await robot.until(lambda: len(robot.events) == 40)
        orders = {tuple(robot.names(call_id)) for call_id in call_ids}
        assert orders == {("firstStart", "cdr"), ("cdr", "firstStart")}

    people = {"numbers": {"*012": "absent"}}
    faults = Faults(events_shuffled=True, shuffle_within=0.5)
    with_robot(scenario, people=people, faults=faults, settings=PhoneSettings(setup=0.0))


def test_a_cdr_can_come_before_the_answer() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000007")
        await robot.act(call_id, "hangup")
        await robot.until(lambda: len(robot.names(call_id)) == 3)
        assert robot.names(call_id) == ["firstStart", "cdr", "firstAnswer"]

    with_robot(scenario, faults=Faults(cdr_before_answer=True))


def test_the_clock_can_be_wrong_in_every_event() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000007")
        await robot.act(call_id, "hangup")
        report = await robot.ended(call_id)
        walls = {mark["state"]: mark["wall_ms"] + 3_600_000 for mark in report["states"]}
        (record,) = robot.events[2]["pay_load"]
        assert robot.events[0]["event_time"] == int(record["start_time"]) == walls["ringing"]
        assert robot.events[1]["event_time"] == record["answer_time"] == walls["answered"]
        assert robot.events[2]["event_time"] == record["end_time"] == walls["ended"]

    with_robot(scenario, faults=Faults(clock_skew=3600))


@pytest.mark.parametrize("kind", ["broken", "error", "garbage", "empty"])
def test_the_phone_rings_and_the_answer_to_startcall_is_worthless(kind: StartcallFault) -> None:
    async def scenario(robot: Robot) -> None:
        answers: list[httpx2.Response] = []
        try:
            answers.append(await robot.http.post(robot.phone.url + "/", json=START))
        except httpx2.RemoteProtocolError:
            assert kind == "broken"
        await robot.until(lambda: robot.events)
        report = await robot.report("req4")
        assert (report["startcalls"], report["rings"]) == (1, 1)
        assert robot.events[0]["call_id"] == report["call_id"]
        for answer in answers:
            assert (kind, worth(answer)) in (("error", "status"), ("garbage", "no json"), ("empty", "no id"))

    with_robot(scenario, faults=Faults(startcall=kind, startcall_delay=0.05))


def worth(answer: httpx2.Response) -> str:
    """What is wrong with an answer to startcall."""
    if answer.status_code >= 500:
        return "status"
    try:
        document = msgspec.json.decode(answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "no json"
    return "no id" if document["code"] == 0 and not document["msg"] else "nothing"


def test_a_slow_startcall_answers_after_the_phone_rang() -> None:
    async def scenario(robot: Robot) -> None:
        answer = await robot.startcall("13800000012")
        assert answer["code"] == 0
        assert robot.names(answer["msg"]) == ["firstStart"]

    with_robot(scenario, faults=Faults(startcall="slow", startcall_delay=0.3))


def test_a_hanging_startcall_never_answers_but_rings() -> None:
    async def scenario(robot: Robot) -> None:
        with pytest.raises(httpx2.ReadTimeout):
            await robot.http.post(robot.phone.url + "/", json=START, timeout=0.5)
        await robot.until(lambda: robot.events)

    with_robot(scenario, faults=Faults(startcall="hang"))


def test_the_audio_socket_can_come_before_the_answer_to_startcall() -> None:
    async def scenario(robot: Robot) -> None:
        answer = await robot.startcall("13800000007")
        assert answer["code"] == 0
        assert (await robot.report(answer["msg"]))["audio"]["line"]["sent_frames"] >= 1

    with_robot(scenario, faults=Faults(startcall="after_socket"))


def test_a_call_that_ends_before_its_socket_still_gets_its_answer() -> None:
    async def scenario(robot: Robot) -> None:
        assert (await robot.startcall("13800000012"))["code"] == 0

    with_robot(scenario, faults=Faults(startcall="after_socket"))


def test_the_audio_socket_is_cut_and_opened_again() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000007")
        await robot.until(lambda: len(robot.sides[call_id].sockets) == 2)
        first, second = robot.sides[call_id].sockets
        assert first.close_code == 1006
        await robot.act(call_id, "hangup")
        report = await robot.ended(call_id)
        await robot.until(lambda: second.close_code == 1000)
        assert report["audio"]["line"]["opened"] == 2

    with_robot(scenario, faults=Faults(audio_cut_after=0.3, audio_reopen_after=0.1))


def test_the_audio_socket_can_be_cut_for_good() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000002")
        (socket,) = robot.sides[call_id].sockets
        await robot.until(lambda: socket.close_code == 1006)
        report = await robot.ended(call_id)
        assert (report["ended_by"], report["ended_why"]) == ("callee", "heard nothing")
        assert report["audio"]["line"]["opened"] == 1

    impatient = {"manners": {"asker": {"patience": 0.5, "checks": []}}}
    with_robot(scenario, people=impatient, faults=Faults(audio_cut_after=0.2, audio_reopen_after=None))


def test_a_refused_hangup_leaves_the_call_alive() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000007")
        assert (await robot.act(call_id, "hangup"))["code"] == Code.HANGUP_REFUSED
        assert (await robot.report(call_id))["state"] == "answered"
        await robot.http.delete(robot.phone.faults_url)
        assert (await robot.act(call_id, "hangup"))["code"] == 0

    with_robot(scenario, faults=Faults(hangup_refused=True))


def test_faults_befall_their_share_of_the_calls_and_the_same_ones_every_time() -> None:
    chosen: list[list[bool]] = []

    async def scenario(robot: Robot) -> None:
        answers = [await robot.startcall(f"1380000{number:03}3", clientMutationId="mine") for number in range(60)]
        chosen.append([answer["clientMutationId"] != "mine" for answer in answers])

    for _ in range(2):
        with_robot(scenario, people={"default": "absent"}, faults=Faults(wrong_echo=True, share=0.5))
    assert chosen[0] == chosen[1]
    assert 10 < sum(chosen[0]) < 50
