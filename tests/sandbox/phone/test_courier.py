from __future__ import annotations

import asyncio
import random
import socket

from sandbox.phone.courier import Courier, Mail
from sandbox.phone.faults import NONE
from sandbox.phone.settings import PhoneSettings
from tests.sandbox.phone.robot import Robot, poll, with_robot

FAST = PhoneSettings(event_retry=0.01, event_tries=3, event_timeout=0.3, ring=0.1)


def event(name: str) -> dict[str, object]:
    return {"event_name": name, "call_id": "c"}


async def settled(mail: Mail, count: int) -> list[str]:
    """Wait until so many events have come to an end; returns how."""
    await poll(lambda: len(mail.deliveries) >= count and all(sent.outcome != "waiting" for sent in mail.deliveries))
    return [sent.outcome for sent in mail.deliveries]


def test_an_event_to_a_receiver_that_is_not_there_is_given_up_after_its_tries() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            url = f"http://127.0.0.1:{gone.getsockname()[1]}/"
        courier, mail = Courier(url, {}, FAST), Mail(random.Random(1))
        courier.send(mail, event("firstStart"), NONE)
        courier.send(mail, event("cdr"), NONE)
        assert await settled(mail, 2) == ["given up", "given up"]
        assert [(sent.tries, sent.status) for sent in mail.deliveries] == [(3, None), (3, None)]
        await courier.close()

    asyncio.run(scenario())


def test_a_receiver_that_hangs_is_not_waited_for_beyond_the_timeout() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            courier = Courier(f"http://127.0.0.1:{deaf.getsockname()[1]}/", {}, FAST)
            mail = Mail(random.Random(1))
            courier.send(mail, event("firstStart"), NONE)
            assert await settled(mail, 1) == ["given up"]
            await courier.close()

    asyncio.run(scenario())


def test_closing_drops_what_is_under_way() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            courier = Courier(f"http://127.0.0.1:{deaf.getsockname()[1]}/", {}, PhoneSettings())
            mail = Mail(random.Random(1))
            courier.send(mail, event("firstStart"), NONE)
            await poll(lambda: mail.deliveries and mail.deliveries[0].tries)
            await courier.close()
            assert mail.deliveries[0].outcome == "dropped"

    asyncio.run(scenario())


def test_without_a_callback_url_events_are_noted_only() -> None:
    async def scenario() -> None:
        courier, mail = Courier(None, {}, FAST), Mail(random.Random(1))
        courier.send(mail, event("firstStart"), NONE)
        assert await settled(mail, 1) == ["no callback url"]
        await courier.close()

    asyncio.run(scenario())


def test_one_calls_trouble_does_not_hold_up_anothers_events() -> None:
    async def scenario(robot: Robot) -> None:
        robot.event_answers[:] = [503]
        first = await robot.call("13800000012")
        await robot.until(lambda: not robot.event_answers)
        second = await robot.call("13800000012")
        await robot.until(lambda: "firstStart" in robot.names(second))
        assert robot.names(first) == []
        await robot.until(lambda: "cdr" in robot.names(first))

    with_robot(scenario, settings=PhoneSettings(event_retry=3.0, ring_limit=0.2))
