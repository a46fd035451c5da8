"""``waihu submit``: what it says of a file beyond the tasks it made."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from deploy.databases import existing
from shared.database import reading
from shared.schema import tasks
from shared.settings import load
from tests.deploy.conftest import Waihu

HEADER = "工单编号,电话,姓名,类型,内容"
ROW = "T{},1391234567{},张三,活动通知1,周六上午九点"


def write(path: Path, *rows: str, header: str = HEADER) -> None:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


@pytest.mark.usefixtures("api")
def test_a_file_sent_again_says_that_nothing_new_will_be_called(waihu: Waihu, tmp_path: Path) -> None:
    write(tmp_path / "a.csv", ROW.format(1, 1), ROW.format(2, 2))
    first = waihu("submit", "a.csv")
    assert first.stderr == ""
    again = waihu("submit", "a.csv")
    assert again.stdout == first.stdout
    assert "没有新任务" in again.stderr
    write(tmp_path / "a.csv", ROW.format(1, 1), ROW.format(3, 3))
    assert "1 张工单此前已提交，任务早已存在：1 个新任务" in waihu("submit", "a.csv").stderr


@pytest.mark.usefixtures("api")
def test_a_column_that_says_nothing_to_us_is_named(waihu: Waihu, tmp_path: Path) -> None:
    write(tmp_path / "a.csv", ROW.format(1, 1) + ",甲,乙", header=HEADER + ",备注,城市")
    assert waihu("submit", "a.csv").stderr == "未用到的列：备注、城市\n"


@pytest.mark.usefixtures("api")
def test_wrong_fields_are_named_by_line_with_numbers_masked(
    waihu: Waihu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAIHU_BATCH_LIMIT", "2")
    rows = [ROW.format(number, number) + "," for number in range(1, 5)]
    rows[2] = rows[2].replace("13912345673", "1.3912E+10")
    rows[3] = rows[3].replace("13912345674", "1391234567x") + "high"
    write(tmp_path / "a.csv", *rows, header=HEADER + ",优先级")
    result = waihu("submit", "a.csv")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert any("a.csv 第 4 行 phone：" in line and "'1.****E+10'" in line and "科学计数法" in line for line in lines), (
        lines
    )
    assert any(
        "a.csv 第 5 行 phone：" in line and "'139****567x'" in line and "科学计数法" not in line for line in lines
    )
    assert any("a.csv 第 5 行 priority：应为" in line for line in lines)
    assert "前 2 张工单已经提交" in result.stderr
    assert len(json.loads(waihu("tasks", "--json").stdout)) == 2


@pytest.mark.usefixtures("api")
def test_a_schedule_goes_along(waihu: Waihu, tmp_path: Path) -> None:
    tomorrow = datetime.now(ZoneInfo("Asia/Shanghai")) + timedelta(days=1)
    write(
        tmp_path / "a.csv", ROW.format(1, 1) + f",7,{tomorrow:%Y/%m/%d %H:%M}", header=HEADER + ",优先级,最早拨打时间"
    )
    assert waihu("submit", "a.csv").exit_code == 0
    house = load(directory=tmp_path)
    with existing(house) as engine, reading(engine) as connection:
        row = connection.execute(select(tasks.c.priority, tasks.c.due_at)).one()
    assert row.priority == 7
    assert (
        f"{datetime.fromtimestamp(row.due_at / 1000, tomorrow.tzinfo):%Y/%m/%d %H:%M}" == f"{tomorrow:%Y/%m/%d %H:%M}"
    )


@pytest.mark.usefixtures("api")
def test_standard_input_is_a_file_too(waihu: Waihu) -> None:
    assert waihu("submit", "-", input=f"{HEADER}\n{ROW.format(1, 1)}\n".encode("gbk")).stdout == "1\tT1\n"
    assert "标准输入 第 2 行 phone" in waihu("submit", "-", input=f"{HEADER}\n{ROW.format(1, 'x')}\n").stderr
