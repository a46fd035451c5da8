"""records/list and /recordings/files over HTTP, the document's own examples first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient

from shared.clock import FakeClock
from shared.settings import Settings

PATH = "/api/aicall/records/list"
WAV = "ai_call/2025/08/16/21/2508162111590110001.wav"
GREETING = {"role": "assistant", "content": "您好，欢迎致电未来科技大学，请问有什么可以帮到您？"}
SHANGHAI = ZoneInfo("Asia/Shanghai")


def milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp() * 1000)


def query(client: FlaskClient, path: str = PATH, **body: Any) -> Any:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json


def uuids(client: FlaskClient, **body: Any) -> list[str]:
    answer = query(client, **({"callType": "02", "pageSize": 500} | body))
    assert answer["code"] == 0, answer
    return sorted(row["uuid"] for row in answer["rows"])


@pytest.fixture
def examples(add_call: Callable[..., str]) -> None:
    """The calls behind the document's sample answer, and one of the day before."""
    add_call(
        uuid="2508162111590110001",
        created_at=milliseconds("2025-08-16 21:11:59") + 120,
        answered_at=milliseconds("2025-08-16 21:11:59") + 800,
        ended_at=milliseconds("2025-08-16 21:12:04") + 700,
        hangup_cause="NORMAL_CLEARING:sip:200",
        wav_file=WAV,
        dialogue=[GREETING],
        time_len=5,
    )
    add_call(
        uuid="2508162057160110001",
        created_at=milliseconds("2025-08-16 20:57:16"),
        ended_at=milliseconds("2025-08-16 20:57:16"),
        state="refused",
        hangup_cause="NORMAL_TEMPORARY_FAILURE:sip:503",
    )
    add_call(uuid="2508150000000110001", created_at=milliseconds("2025-08-15 23:59:59"))


@pytest.mark.usefixtures("examples")
@pytest.mark.parametrize("path", [PATH, "/aicall/records/list"])
def test_the_documents_example(client: FlaskClient, path: str) -> None:
    answer = query(
        client,
        path,
        callType="02",
        pageSize=5,
        pageNum=1,
        calloutTimeStart="2025-08-16 00:00:00",
        calloutTimeEnd="2025-08-16 23:59:59",
    )
    beyond = {"callType": "02", "batchId": None, "ticketNo": None, "username": None}
    assert answer == {
        "total": 2,
        "rows": [
            {
                "uuid": "2508162111590110001",
                "telephone": "18188888888",
                "calloutTime": "2025-08-16 21:11:59",
                "answeredTime": "2025-08-16 21:11:59",
                "callEndTime": "2025-08-16 21:12:04",
                "hangupCause": "NORMAL_CLEARING:sip:200",
                "wavFileUrl": f"http://127.0.0.1:8899/recordings/files?filename={WAV}",
                "dialogue": [GREETING],
                "extnum": None,
                "timeLen": 5,
                **beyond,
            },
            {
                "uuid": "2508162057160110001",
                "telephone": "18188888888",
                "calloutTime": "2025-08-16 20:57:16",
                "answeredTime": "",
                "callEndTime": "2025-08-16 20:57:16",
                "hangupCause": "NORMAL_TEMPORARY_FAILURE:sip:503",
                "wavFileUrl": "",
                "dialogue": [],
                "extnum": None,
                "timeLen": 0,
                **beyond,
            },
        ],
        "code": 0,
        "msg": None,
    }


@pytest.mark.usefixtures("examples")
def test_the_documents_request_asks_for_calls_of_five_seconds(client: FlaskClient) -> None:
    body = {
        "callType": "02",
        "pageSize": 5,
        "pageNum": 1,
        "calloutTimeStart": "2025-08-16 00:00:00",
        "calloutTimeEnd": "2025-08-16 23:59:59",
        "timeLenStart": 5,
    }
    assert [row["uuid"] for row in query(client, **body)["rows"]] == ["2508162111590110001"]


def test_page_and_size_default_to_one_and_ten(client: FlaskClient, add_call: Any) -> None:
    made = [add_call(created_at=1000 + index) for index in range(12)]
    answer = query(client, callType="02")
    assert answer["total"] == 12
    assert [row["uuid"] for row in answer["rows"]] == made[:1:-1]


def test_calls_of_the_same_millisecond_keep_their_order_over_pages(client: FlaskClient, add_call: Any) -> None:
    made = [add_call(created_at=1000) for _ in range(5)]
    seen = [query(client, callType="02", pageSize=1, pageNum=page)["rows"][0]["uuid"] for page in range(1, 6)]
    assert seen == made[::-1]


def test_only_ended_calls_that_may_have_left_are_records(client: FlaskClient, add_call: Any) -> None:
    listed = {
        state: add_call(state=state, number=f"1380000000{index}")
        for index, state in enumerate(
            ("queued", "dialing", "ringing", "answered", "unknown", "ended", "unplaced", "refused", "lost")
        )
    }
    assert uuids(client) == sorted(listed[state] for state in ("ended", "refused", "lost"))


def test_types_of_calls_are_never_mixed(client: FlaskClient, add_call: Any) -> None:
    made = {kind: add_call(call_type=kind) for kind in ("01", "02", "03")}
    for kind, uuid in made.items():
        assert uuids(client, callType=kind) == [uuid]


def test_a_record_carries_its_tasks_names(client: FlaskClient, add_call: Any, add_task: Any) -> None:
    batch_id = add_task(ticket_no="T9", username="李四", state="completed")
    add_call(batch_id=batch_id, extnum="8001")
    row = query(client, callType="02")["rows"][0]
    assert (row["batchId"], row["ticketNo"], row["username"], row["extnum"]) == (batch_id, "T9", "李四", "8001")


def test_a_record_is_found_by_either_id(client: FlaskClient, add_call: Any) -> None:
    uuid = add_call(call_id="bbd910fc-e5fd-11f0-a660-525400eaab18")
    add_call()
    assert uuids(client, uuid=uuid) == [uuid]
    assert uuids(client, uuid="bbd910fc-e5fd-11f0-a660-525400eaab18") == [uuid]
    assert uuids(client, uuid="nothing") == []
    assert len(uuids(client, uuid="")) == 2


def test_a_telephone_is_found_however_it_is_written(client: FlaskClient, add_call: Any) -> None:
    line = {"number": "057188001234", "telephone": "0571-88001234"}
    plain = add_call(**line)
    extension = add_call(**line, exten="8001")
    add_call()
    assert uuids(client, telephone="0571-88001234") == sorted([plain, extension])
    assert uuids(client, telephone="057188001234-8001") == [extension]


def test_extnum_and_length_filter(client: FlaskClient, add_call: Any) -> None:
    made = [add_call(time_len=length, extnum=extnum) for length, extnum in ((4, None), (5, "8001"), (6, "8002"))]
    assert uuids(client, extnum="8001") == [made[1]]
    assert uuids(client, timeLenStart=5, timeLenEnd="5") == [made[1]]
    assert uuids(client, timeLenEnd=5) == made[:2]


def test_the_bounds_of_the_call_time_are_inclusive_to_the_second(client: FlaskClient, add_call: Any) -> None:
    second = milliseconds("2025-08-16 12:00:00")
    inside = [add_call(created_at=at) for at in (second, second + 999)]
    for at in (second - 1, second + 1000):
        add_call(created_at=at)
    moment = "2025-08-16 12:00:00"
    assert uuids(client, calloutTimeStart=moment, calloutTimeEnd=moment) == inside


def test_times_are_read_and_printed_in_the_configured_zone(make_app: Callable[..., Flask], add_call: Any) -> None:
    uuid = add_call(created_at=0, answered_at=1999, ended_at=2000)
    client = make_app(timezone=ZoneInfo("America/New_York")).test_client()
    moment = "1969-12-31 19:00:00"
    row = query(client, callType="02", calloutTimeStart=moment, calloutTimeEnd=moment)["rows"][0]
    assert (row["uuid"], row["calloutTime"]) == (uuid, moment)
    assert (row["answeredTime"], row["callEndTime"]) == ("1969-12-31 19:00:01", "1969-12-31 19:00:02")


@pytest.mark.parametrize(
    ("given", "step"),
    [
        ({}, "ix_calls_listed (call_type=?)"),
        ({"calloutTimeStart": "2025-08-16 00:00:00"}, "ix_calls_listed (call_type=? AND created_at>?)"),
        ({"telephone": "18188888888"}, "ix_calls_line (line=?)"),
        ({"uuid": "bbd910fc-e5fd-11f0-a660-525400eaab18"}, "uq_calls_call_id (call_id=?)"),
    ],
)
def test_a_page_of_records_is_found_along_an_index(
    client: FlaskClient, plans: Any, given: dict[str, Any], step: str
) -> None:
    plan = next(steps for steps in plans(lambda: query(client, callType="02", **given)) if "tasks" in repr(steps))
    assert any(line.endswith(step) for line in plan), plan
    assert "SCAN calls" not in plan
    assert ("USE TEMP B-TREE FOR ORDER BY" in plan) == ("uuid" in given)


@pytest.mark.parametrize(("setting", "code"), [("spec", 0), ("0", 0), ("200", 200)])
def test_the_success_code_of_records_follows_its_setting(
    make_app: Callable[..., Flask], setting: str, code: int
) -> None:
    assert query(make_app(success_code=setting).test_client(), callType="02")["code"] == code


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"callType": None}, "callType"),
        ({"callType": ""}, "callType"),
        ({"callType": "04"}, "callType"),
        ({"callType": "2"}, "callType"),
        ({"callType": 2}, "callType"),
        ({"pageNum": 0}, "pageNum"),
        ({"pageNum": 501}, "pageNum"),
        ({"pageSize": 501}, "pageSize"),
        ({"pageSize": "many"}, "pageSize"),
        ({"uuid": 2508162111590110001}, "uuid"),
        ({"uuid": "a\0"}, "uuid"),
        ({"uuid": "x" * 201}, "uuid"),
        ({"telephone": 18188888888}, "telephone"),
        ({"telephone": "1818888888x"}, "telephone"),
        ({"extnum": 8001}, "extnum"),
        ({"timeLenStart": -1}, "timeLenStart"),
        ({"timeLenStart": "5s"}, "timeLenStart"),
        ({"timeLenStart": 6, "timeLenEnd": 5}, "timeLenStart"),
        ({"timeLenEnd": 2**31}, "timeLenEnd"),
        ({"calloutTimeStart": "16/08/2025"}, "calloutTimeStart"),
        ({"calloutTimeStart": "0001-01-01 00:00:00"}, "calloutTimeStart"),
        ({"calloutTimeEnd": "2025-08-16 23:59:60"}, "calloutTimeEnd"),
        (
            {"calloutTimeStart": "2025-08-17 00:00:00", "calloutTimeEnd": "2025-08-16 23:59:59"},
            "calloutTimeStart",
        ),
    ],
)
def test_a_bad_query_of_records_names_its_field(client: FlaskClient, changed: dict[str, Any], field: str) -> None:
    answer = query(client, **({"callType": "02"} | changed))
    assert answer["code"] == 405
    assert [item["field"] for item in answer["data"]] == [field]
    assert field in answer["msg"]


def test_a_telephone_that_is_none_is_shown_but_never_whole(client: FlaskClient) -> None:
    message = query(client, callType="02", telephone="1818888888x")["msg"]
    assert "收到的是 '181****888x'" in message
    assert "1818888888" not in message


# --- recordings ------------------------------------------------------------------------------------------------------


@pytest.fixture
def recording(settings: Settings) -> bytes:
    """A recording on disk, and something secret beside the recordings root."""
    path = settings.recordings_dir / WAV
    path.parent.mkdir(parents=True)
    content = b"RIFF" + bytes(range(256)) * 40
    path.write_bytes(content)
    path.with_suffix(".jsonl").write_text("heard words")
    (settings.state_dir / "secret.wav").write_text("secret")
    return content


def fetch(client: FlaskClient, url: str, *, method: str = "GET", **options: Any) -> tuple[int, bytes, Any]:
    """Status, body and headers; the file behind the response is closed, as a server does."""
    with client.open(url, method=method, **options) as response:
        return response.status_code, response.data, response.headers


@pytest.mark.parametrize("path", ["/recordings/files", "/api/recordings/files"])
def test_a_recording_is_served_whole(client: FlaskClient, recording: bytes, path: str) -> None:
    status, data, headers = fetch(client, path, query_string={"filename": WAV})
    assert (status, data) == (200, recording)
    assert (headers["Content-Type"], headers["Accept-Ranges"]) == ("audio/wav", "bytes")


def test_a_recording_is_served_in_ranges(client: FlaskClient, recording: bytes) -> None:
    for header, expected in (
        ("bytes=0-3", recording[:4]),
        ("bytes=100-", recording[100:]),
        ("bytes=-7", recording[-7:]),
    ):
        asked: dict[str, Any] = {"query_string": {"filename": WAV}, "headers": {"Range": header}}
        assert fetch(client, "/recordings/files", **asked)[:2] == (206, expected)
    beyond = {"Range": "bytes=999999-"}
    status, _, headers = fetch(client, "/recordings/files", query_string={"filename": WAV}, headers=beyond)
    assert (status, headers["Content-Range"]) == (416, f"bytes */{len(recording)}")


def heard(client: FlaskClient) -> int:
    return len(client.get("/api/v1/audit?action=listen").json["rows"])


@pytest.mark.usefixtures("recording")
@pytest.mark.parametrize("header", [None, "bytes=0-", "bytes=1-", "bytes=-5", "bytes=5-9"])
def test_who_takes_any_part_of_a_recording_has_listened(client: FlaskClient, header: str | None) -> None:
    headers = {} if header is None else {"Range": header}
    assert fetch(client, "/recordings/files", query_string={"filename": WAV}, headers=headers)[0] in (200, 206)
    assert heard(client) == 1


@pytest.mark.usefixtures("recording")
def test_the_parts_that_a_player_asks_for_are_one_listening(client: FlaskClient, clock: FakeClock) -> None:
    def play(header: str) -> int:
        fetch(client, "/recordings/files", query_string={"filename": WAV}, headers={"Range": header})
        return heard(client)

    assert [play("bytes=0-99"), play("bytes=100-199"), play("bytes=100-199")] == [1, 1, 1]
    clock.advance(10 * 60 - 1)
    assert play("bytes=200-") == 1
    clock.advance(1)
    assert [play("bytes=200-"), play("bytes=300-"), play("bytes=0-")] == [2, 2, 3]


@pytest.mark.usefixtures("recording")
def test_nobody_goes_on_with_what_another_began(make_app: Callable[..., Flask]) -> None:
    client = make_app(api_keys=("first", "second")).test_client()
    for key in ("first", "second"):
        headers = {"X-API-Key": key, "Range": "bytes=1-"}
        assert fetch(client, "/recordings/files", query_string={"filename": WAV}, headers=headers)[0] == 206
    rows = client.get("/api/v1/audit?action=listen", headers={"X-API-Key": "first"}).json["rows"]
    assert [row["actor"] for row in rows] == ["API_KEYS[1]", "API_KEYS[0]"]


def test_the_head_of_a_recording_tells_its_length(client: FlaskClient, recording: bytes) -> None:
    status, data, headers = fetch(client, "/recordings/files", method="HEAD", query_string={"filename": WAV})
    assert (status, data, headers["Content-Length"]) == (200, b"", str(len(recording)))


@pytest.mark.usefixtures("recording")
@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%252f..%252fetc%252fpasswd",
        "..\\..\\etc\\passwd",
        "..%5c..%5cetc%5cpasswd",
        "%c0%ae%c0%ae%c0%afetc%c0%afpasswd",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "file:///etc/passwd",
        "../secret.wav",
        "ai_call/../../secret.wav",
        "ai_call/2025/08/16/21/../../../../../../secret.wav",
        "ai_call/2025/08/16/21/2508162111590110001.jsonl",
        WAV + "%00",
        WAV + "%0a",
        WAV.replace(".wav", "%00.wav"),
        "",
        "a" * 100_000,
    ],
)
def test_no_other_file_is_ever_served(client: FlaskClient, name: str) -> None:
    response = client.get(f"/recordings/files?filename={name}")
    assert (response.status_code, response.json["code"]) == (400, 405)


def test_a_link_out_of_the_recordings_directory_is_not_followed(client: FlaskClient, settings: Settings) -> None:
    path = settings.recordings_dir / WAV
    path.parent.mkdir(parents=True)
    outside = settings.state_dir / "outside.wav"
    outside.write_text("secret")
    path.symlink_to(outside)
    assert client.get("/recordings/files", query_string={"filename": WAV}).status_code == 400


def test_a_missing_recording_is_a_404(client: FlaskClient) -> None:
    response = client.get("/recordings/files", query_string={"filename": WAV})
    assert (response.status_code, response.json["code"]) == (404, 404)
    assert client.get("/recordings/files").status_code == 400


def test_a_wav_file_url_plays_without_a_key_until_it_expires(
    make_app: Callable[..., Flask], add_call: Any, recording: bytes, clock: FakeClock, tmp_path: Path
) -> None:
    add_call(wav_file=WAV)
    client = make_app(api_keys=("first", "second"), public_url="https://calls.example").test_client()
    answer = client.post(PATH, json={"callType": "02"}, headers={"X-API-Key": "second"})
    parts = urlsplit(answer.json["rows"][0]["wavFileUrl"])
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "calls.example", "/recordings/files")
    link = f"{parts.path}?{parts.query}"
    assert fetch(client, link)[1] == recording
    assert fetch(client, f"/api{link}", headers={"Range": "bytes=0-3"})[1] == b"RIFF"
    given = {name: values[0] for name, values in parse_qs(parts.query).items()}
    for changed in (
        {"sig": given["sig"][:-1] + "x"},
        {"sig": ""},
        {"expires": str(int(given["expires"]) + 1)},
        {"by": "bootstrap:0"},
        {"expires": "x"},
        {"filename": WAV.replace("0001.wav", "0002.wav")},
    ):
        assert client.get(parts.path, query_string=given | changed).status_code == 401
    assert fetch(make_app(api_keys=("new",)).test_client(), link)[1] == recording  # keys come and go, links stay
    clock.advance(26 * 3600)
    assert client.get(link).status_code == 401


def test_a_signed_link_opens_nothing_but_recordings(make_app: Callable[..., Flask]) -> None:
    client = make_app(api_keys=("first",)).test_client()
    assert client.post(PATH + "?expires=99999999999&sig=x", json={"callType": "02"}).status_code == 401
