"""The ``waihu`` command against a running API, and on its own."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from deploy.cli import _print_settings, main
from deploy.remote import find
from deploy.screen import Console
from shared.setting_rows import describe
from shared.visible import UNSEEN
from tests.deploy.conftest import Waihu

TICKETS = "工单编号,电话,姓名,类型,内容\nT1,13912345678,张三,活动通知1,周六上午九点\nT2,13912345679,李四,活动通知2,周日下午两点\n"


@pytest.mark.usefixtures("api")
def test_tickets_are_submitted_listed_and_stopped(waihu: Waihu, tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text(TICKETS, encoding="gbk")
    created = json.loads(waihu("submit", "tickets.csv", "--json").stdout)
    assert [task["ticketNo"] for task in created] == ["T1", "T2"]
    first = str(created[0]["batchId"])
    listed = json.loads(waihu("tasks", "--json").stdout)
    assert [(task["ticketNo"], task["status"]) for task in listed] == [("T2", "待拨打"), ("T1", "待拨打")]
    assert json.loads(waihu("stop", first, "--json").stdout) == {
        "stopped": [int(first)],
        "unknown": [],
        "results": {first: "已停止"},
    }
    assert json.loads(waihu("tasks", "--batch", first, "--json").stdout)[0]["status"] == "已停止"
    assert json.loads(waihu("records", "--json").stdout) == []


@pytest.mark.usefixtures("api")
def test_piped_output_is_one_plain_line_a_row(waihu: Waihu, tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text(TICKETS, encoding="utf-8")
    assert waihu("submit", "tickets.csv").stdout == "1\tT1\n2\tT2\n"
    lines = waihu("tasks").stdout.splitlines()
    assert [line.split("\t")[:6] for line in lines] == [
        ["2", "T2", "13912345679", "李四", "活动通知2", "待拨打"],
        ["1", "T1", "13912345678", "张三", "活动通知1", "待拨打"],
    ]


@pytest.mark.usefixtures("api")
def test_what_others_sent_does_not_act_on_the_operators_terminal(waihu: Waihu, tmp_path: Path) -> None:
    ticket = {name: f"{name}\x1b]0;pwned\x07\x9b2J\u202e" for name in ("ticketNo", "username", "ticketType")}
    ticket |= {"phone": "13912345678", "ticketContent": "x"}
    (tmp_path / "tickets.json").write_text(json.dumps([ticket]))
    for arguments in (("submit", "tickets.json"), ("tasks",), ("pause", "--reason", "a\x1bb")):
        result = waihu(*arguments)
        assert result.exit_code == 0, result.stderr
        assert not [found for found in UNSEEN.findall(result.stdout + result.stderr) if found not in "\n\t"]
    assert "ticketNo\\x1b]0;pwned\\x07" in waihu("tasks").stdout
    assert json.loads(waihu("tasks", "--json").stdout)[0]["ticketNo"] == ticket["ticketNo"]
    again = [ticket | {"username": "other"}]
    (tmp_path / "tickets.json").write_text(json.dumps(again))
    refused = waihu("submit", "tickets.json")
    assert refused.exit_code == 1
    assert "\x1b" not in refused.stderr


@pytest.mark.usefixtures("api")
def test_a_refused_file_creates_nothing_and_says_why(waihu: Waihu, tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text(TICKETS.replace("13912345679", "1391234567x"), encoding="utf-8")
    result = waihu("submit", "tickets.csv")
    assert result.exit_code == 1
    assert "tickets.csv 第 3 行 phone：不是有效的号码" in result.stderr
    assert "收到的是 '139****567x'" in result.stderr
    assert "1391234567x" not in result.stderr
    assert json.loads(waihu("tasks", "--json").stdout) == []


@pytest.mark.usefixtures("api")
def test_a_failing_command_tells_a_program_what_is_wrong_in_one_document(
    waihu: Waihu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAIHU_BATCH_LIMIT", "1")
    (tmp_path / "tickets.csv").write_text(TICKETS.replace("13912345679", "hello"), encoding="utf-8")
    result = waihu("submit", "tickets.csv", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [(problem["index"], problem["field"]) for problem in told["data"]] == [(1, "phone")]
    assert "不是有效的号码" in told["data"][0]["message"]
    assert "第 3 行" in told["error"]
    assert "第 3 行" in result.stderr
    assert waihu("submit", "tickets.csv").stdout == ""


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("tasks", "--key", "another", "--json"), 1, "--key"),
        (("records", "--json", "--uuid", "u" * 300), 1, "uuid"),
        (("records", "--json", "--type", "09"), 2, "09"),
        (("tasks", "--jsn", "--json"), 2, "--jsn"),
        (("stop", "--json"), 2, "BATCH_ID"),
        (("submit", "none.csv", "--json"), 2, "none.csv"),
        (("redial", "77", "--reason", "x", "--json"), 1, "77"),
        (("do-not-call", "add", "abc", "--json"), 1, "号码"),
    ],
)
def test_every_failure_with_json_is_one_document(
    waihu: Waihu, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = waihu(*arguments)
    told = json.loads(result.stdout)
    assert (result.exit_code, set(told)) == (code, {"error", "data"})
    assert said in told["error"]


def test_every_command_has_json_for_programs_but_those_that_the_quick_start_names() -> None:
    def leaves(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
        if not isinstance(command, click.Group):
            yield path, command
            return
        for name, below in command.commands.items():
            yield from leaves(below, f"{path} {name}".strip())

    lacking = {
        path for path, command in leaves(main) if "--json" not in (opt for p in command.params for opt in p.opts)
    }
    assert lacking == {"up", "run", "db upgrade", "do-not-call export"}


def test_a_command_that_prints_its_own_document_prints_no_second(waihu: Waihu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAIHU_KEEP_EVENTS", "soon")
    result = waihu("settings", "--json")
    assert (result.exit_code, isinstance(json.loads(result.stdout), list)) == (1, True)
    assert "expected a duration" in result.stderr
    told = json.loads(waihu("doctor", "--json").stdout)
    assert "expected a duration" in told["error"]


@pytest.mark.usefixtures("api")
def test_many_stops_are_json_too(waihu: Waihu) -> None:
    told = json.loads(waihu("stop", *map(str, range(1, 200)), "--json").stdout)
    assert told["results"]["199"] == "已要求停止"


@pytest.mark.usefixtures("api")
def test_a_large_file_goes_in_as_many_requests_as_the_api_allows(
    waihu: Waihu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"T{number},139{number:08d},张三,活动通知1,内容" for number in range(25)]
    (tmp_path / "tickets.csv").write_text("\n".join(["工单编号,电话,姓名,类型,内容", *rows]), encoding="utf-8")
    monkeypatch.setenv("WAIHU_BATCH_LIMIT", "10")
    assert len(json.loads(waihu("submit", "tickets.csv", "--json").stdout)) == 25
    assert len(json.loads(waihu("tasks", "--limit", "1000", "--json").stdout)) == 25
    assert len(json.loads(waihu("tasks", "--limit", "7", "--json").stdout)) == 7


@pytest.mark.usefixtures("api")
def test_a_wrong_key_is_told_with_the_fix(waihu: Waihu) -> None:
    result = waihu("tasks", "--key", "another")
    assert (result.exit_code, "--key" in result.stderr) == (1, True)


def test_an_api_that_does_not_run_is_told_with_the_fix(waihu: Waihu) -> None:
    result = waihu("tasks", "--api", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "waihu up" in result.stderr
    assert "given by --api" in result.stderr


@pytest.mark.parametrize(
    ("given", "written", "said"),
    [
        ({}, "127.0.0.1:9", "http://127.0.0.1:9 (ConnectError)"),
        ({}, "127.0.0.1:9", "from {var}/endpoints.json, which `waihu up` wrote"),
        ({"WAIHU_API_LISTEN": "127.0.0.1:9"}, None, "WAIHU_API_LISTEN, environment"),
    ],
)
def test_whoever_gets_no_answer_is_told_where_the_address_was_taken_from(
    waihu: Waihu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], written: str | None, said: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    if written:
        (tmp_path / "var").mkdir()
        (tmp_path / "var" / "endpoints.json").write_text(json.dumps({"api_listen": written}))
    result = waihu("tasks")
    assert result.exit_code == 1
    assert said.format(var=tmp_path / "var") in result.stderr


def test_a_wrong_setting_is_one_line_and_no_traceback(waihu: Waihu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAIHU_PHONE_ULR", "x")
    result = waihu("settings")
    assert result.exit_code == 1
    assert "did you mean WAIHU_PHONE_URL?" in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_settings_are_printed_without_secrets(waihu: Waihu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAIHU_PHONE_SECRET", "hunter2")
    monkeypatch.setenv("WAIHU_MAX_CALLS", "7")
    for arguments in ((), ("--json",)):
        printed = waihu("settings", *arguments).stdout
        assert "hunter2" not in printed
        assert "WAIHU_MAX_CALLS" in printed
    rows = {row["name"]: row for row in json.loads(waihu("settings", "--json").stdout)}
    assert (rows["WAIHU_MAX_CALLS"]["value"], rows["WAIHU_MAX_CALLS"]["source"]) == ("7", "environment")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_names_of_settings_are_never_broken_in_two(tmp_path: Path, width: int) -> None:
    file = io.StringIO()
    rows = describe({}, tmp_path)
    _print_settings(Console(file=file, force_terminal=True, color_system=None, width=width), rows)
    words = {word for line in file.getvalue().splitlines() for word in line.split()}
    assert words >= {row.name for row in rows}
    assert all(len(line) <= width for line in file.getvalue().splitlines())


def test_a_broken_setting_is_printed_with_what_is_wrong(waihu: Waihu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAIHU_KEEP_EVENTS", "soon")
    result = waihu("settings")
    assert result.exit_code == 1
    line = next(line for line in result.stdout.splitlines() if line.startswith("WAIHU_KEEP_EVENTS=soon\tenvironment\t"))
    assert "expected a duration" in line
    assert "WAIHU_RATE_LIMIT=\tdefault" in result.stdout
    rows = {row["name"]: row for row in json.loads(waihu("settings", "--json").stdout)}
    assert "expected a duration" in rows["WAIHU_KEEP_EVENTS"]["problem"]


def test_the_schema_is_upgraded(waihu: Waihu, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    assert waihu("db", "upgrade").stdout == f"SQLite {tmp_path}/var/waihu.db: the schema is up to date\n"
    assert (tmp_path / "var" / "waihu.db").exists()
    assert waihu("db", "upgrade").exit_code == 0


def test_a_default_address_is_told_with_the_ways_to_the_right_one(tmp_path: Path) -> None:
    """Not by a request: somebody may listen on the documented port of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.delenv("WAIHU_API_LISTEN", raising=False)
        origin = find(None, "").origin
        (tmp_path / "var").mkdir()
        (tmp_path / "var" / "endpoints.json").write_text("{}")
        beside = find(None, "").origin
    assert f"{tmp_path / 'var' / 'endpoints.json'}, which `waihu up` writes, is not there" in origin
    assert "endpoints.json, which `waihu up` writes, names no address of the API" in beside
    assert "WAIHU_STATE_DIR" in origin
