"""``waihu stop``, ``redial``, ``pause``, ``resume`` and ``do-not-call`` against a running API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import update

from deploy.databases import existing
from shared.database import writing
from shared.schema import tasks
from shared.settings import load
from tests.deploy.conftest import Waihu

pytestmark = pytest.mark.usefixtures("api")
TICKETS = "工单编号,电话,姓名,类型,内容\nT1,13912345678,张三,活动通知1,周六\nT2,13912345679,李四,活动通知2,周日\n"


@pytest.fixture
def submitted(api: None, waihu: Waihu) -> None:
    assert waihu("submit", "-", input=TICKETS).exit_code == 0


@pytest.mark.usefixtures("submitted")
def test_stop_says_what_became_of_which(waihu: Waihu) -> None:
    result = waihu("stop", "1", "99999")
    assert result.stdout == "1\t已停止\n99999\t没有这个任务\n"
    assert result.exit_code == 1
    assert json.loads(waihu("stop", "99999", "2", "--json").stdout)["unknown"] == [99999]
    assert waihu("stop", "1").exit_code == 0


@pytest.mark.usefixtures("submitted")
def test_a_task_that_is_over_is_dialled_again_with_a_reason(waihu: Waihu, tmp_path: Path) -> None:
    refused = waihu("redial", "1", "--reason", "客户要求")
    assert (refused.exit_code, "1" in refused.stderr) == (1, True)
    house = load(directory=tmp_path)
    with existing(house) as engine, writing(engine) as connection:
        over = {"state": "not_connected", "final_at": 1, "due_at": None, "connected": False}
        connection.execute(update(tasks).where(tasks.c.batch_id == 1).values(over))
    assert waihu("redial", "1", "--reason", "客户要求").stdout == "任务 1 将再次拨打\n"
    assert json.loads(waihu("tasks", "--batch", "1", "--json").stdout)[0]["status"] == "待拨打"
    assert waihu("redial", "99999", "--reason", "x").exit_code == 1
    assert waihu("redial", "1").exit_code == 2


def test_pauses_come_and_go(waihu: Waihu) -> None:
    assert waihu("pause", "--reason", "演练").stdout.startswith("全部\t演练\t")
    both = waihu("pause", "--type", "催收", "--reason", "投诉").stdout.splitlines()
    assert [line.split("\t")[:2] for line in both] == [["全部", "演练"], ["催收", "投诉"]]
    assert waihu("resume").stdout.startswith("催收\t投诉")
    assert waihu("resume", "--type", "催收").stdout == "没有暂停\n"
    assert json.loads(waihu("resume", "--json").stdout) == {"rows": []}


def test_the_do_not_call_list_is_kept_from_the_command_line(waihu: Waihu, tmp_path: Path) -> None:
    assert waihu("do-not-call", "add", "13800138000", "--reason", "来电要求").stdout == "138****8000 已加入免打扰名单\n"
    (tmp_path / "list.csv").write_text("号码,reason\n13800138001,投诉\n13800138002,\n", encoding="gbk")
    assert waihu("do-not-call", "import", "list.csv").stdout == "文件中有 2 个号码，新加入 2 个\n"
    listed = [line.split("\t")[0] for line in waihu("do-not-call", "list").stdout.splitlines()]
    assert sorted(listed) == ["13800138000", "13800138001", "13800138002"]
    assert len(waihu("do-not-call", "list", "--limit", "2").stdout.splitlines()) == 2
    assert "来电要求" in waihu("do-not-call", "list", "--number", "138 0013 8000").stdout
    assert waihu("do-not-call", "export", "-o", "out.csv").exit_code == 0
    exported = (tmp_path / "out.csv").read_bytes().decode()
    assert exported == waihu("do-not-call", "export").stdout_bytes.decode()
    assert "13800138001" in exported
    assert waihu("do-not-call", "remove", "+8613800138000").stdout.endswith("已从免打扰名单移除\n")
    gone = waihu("do-not-call", "remove", "13800138000")
    assert (gone.exit_code, "not on the list" in gone.stderr) == (1, True)
    assert waihu("do-not-call", "import", "out.csv").stdout == "文件中有 3 个号码，新加入 1 个\n"


def test_a_list_that_is_wrong_is_refused_with_its_lines(waihu: Waihu) -> None:
    result = waihu("do-not-call", "import", "-", input="号码\n13800138001\nabc\n")
    assert result.exit_code == 1
    assert "第 3 行" in result.stderr
    assert waihu("do-not-call", "list").stdout == ""
