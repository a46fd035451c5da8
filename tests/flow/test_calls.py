"""Tickets in, records out: over real HTTP, a real broker, a real database, real WebSockets and real audio.

One house for all tests of this module, and one batch of calls that all of them look at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import redis

from deploy.client import Api
from deploy.expectations import Outcome, problems
from deploy.outcomes import gather
from shared.settings import load
from tests.flow.house import ROOT, House, until, until_closed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PEOPLE = {
    "0001": "talker",
    "0004": "interrupter",
    "0007": "silent",
    "0009": "refuser",
    "0011": "voicemail",
    "0012": "absent",
    "0013": "barred",
    "0031": "talker",  # every event comes twice
    "0032": "talker",  # events come in any order
    "0034": "talker",  # firstStart and firstAnswer never come
    "0037": "talker",  # the phone rings, and startcall's answer breaks off
    "0040": "talker",  # startcall's answer holds no id
}
STOPPED = "0017"  # a long talk, which is stopped
CALLS_WITHIN = 120.0


def ticket(last_digits: str) -> dict[str, str]:
    return {
        "ticketNo": f"T{last_digits}",
        "phone": f"1380000{last_digits}",
        "username": "张三",
        "ticketType": "活动通知1",
        "ticketContent": "本周六上午九点，我们在滨江店举办会员日活动。",
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house")) as running:
        yield running


@pytest.fixture(scope="module")
def outcomes(house: House) -> dict[str, Outcome]:
    """Every call's outcome, by its number's last digits. One is stopped while it talks; then Redis loses all it holds."""
    numbers = [*PEOPLE, STOPPED]
    with house.api() as api:
        created = api.create_tasks([ticket(number) for number in numbers])
        batch_ids = dict(zip(numbers, (task["batchId"] for task in created), strict=True))
        talks = batch_ids[STOPPED]
        until(lambda: api.task(talks)["status"] == "通话中", 60, house.told)
        api.stop_tasks([talks])
        wipe_redis(house)
        until_closed(api, batch_ids.values(), CALLS_WITHIN)
        return {number: gather(api, house.sandbox_url, batch_id) for number, batch_id in batch_ids.items()}


def wipe_redis(house: House) -> None:
    client = redis.Redis.from_url(load(house.environment, ROOT).redis_url)
    client.flushall()
    client.close()


@pytest.mark.parametrize("number", PEOPLE)
def test_every_call_ends_as_its_callees_manner_demands(outcomes: dict[str, Outcome], number: str) -> None:
    assert problems(outcomes[number], PEOPLE[number]) == []


def test_a_stopped_call_is_hung_up_and_says_so(outcomes: dict[str, Outcome]) -> None:
    stopped = outcomes[STOPPED]
    assert (stopped.task["status"], stopped.task["connected"]) == ("已停止", True)
    assert stopped.record["hangupCause"] == "NORMAL_CLEARING:sip:200"
    assert stopped.report["ended_by"] == "robot"


def test_nobody_was_called_twice(outcomes: dict[str, Outcome], house: House) -> None:
    report = httpx2.get(f"{house.sandbox_url}/np/sandbox/report", timeout=10, trust_env=False).json()
    assert report["totals"]["startcalls"] == len(outcomes)
    assert all(call["rings"] <= 1 for call in report["calls"])


def test_the_doctor_finds_nothing_broken(outcomes: dict[str, Outcome], house: House) -> None:
    examined = house.run("doctor")
    assert [check for check in examined["checks"] if check["state"] == "fail"] == []
    recordings = next(check for check in examined["checks"] if check["name"] == "recordings")
    assert all(name in recordings["detail"] for name in ("api", "media", "celery@"))


def test_no_log_holds_a_number_a_word_or_a_secret(outcomes: dict[str, Outcome], house: House) -> None:
    said = house.said
    for number in outcomes:
        assert f"1380000{number}" not in said
    for words in ("滨江店", "别再打给我", "我是活动组委会"):
        assert words not in said


def test_a_second_house_on_the_same_state_is_refused(house: House, tmp_path: Path) -> None:
    second = House(tmp_path, STATE_DIR=house.environment["WAIHU_STATE_DIR"])
    with pytest.raises(AssertionError, match=f"process {house.pid} runs a house"):
        second.__enter__()


@pytest.mark.parametrize("prefix", ["/api", ""])
def test_the_documents_examples_are_answered(house: House, prefix: str) -> None:
    with house.api() as api:
        query = {"callType": "02", "pageSize": 5, "pageNum": 1, "timeLenStart": 5}
        answer = ask(api, f"{prefix}/aicall/records/list", query)
        assert (answer["code"], answer["msg"]) == (0, None)
        query = {"pageNum": 1, "pageSize": 10, "batchId": 10012, "batchName": "九月份营销活动"}
        answer = ask(api, f"{prefix}/aicall/calltask/list", query)
        assert (answer["code"], answer["total"], answer["rows"]) == (200, 0, [])
        answer = ask(api, f"{prefix}/aicall/stopTasks", {"batchIds": [987654]})
        assert (answer["code"], answer["data"]) == (0, None)


def ask(api: Api, path: str, body: object) -> dict[str, object]:
    answer: dict[str, object] = httpx2.post(f"{api.url}{path}", json=body, timeout=10, trust_env=False).json()
    return answer
