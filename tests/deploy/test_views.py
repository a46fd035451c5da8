"""Tables in a terminal: whatever its width, nothing that somebody may want to copy is cut."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len

from deploy import views
from deploy.screen import Console

TASK = ["1201", "HF-20260105-0001", "13900001111", "张三", "新用户回访", "已完成", "12-01 02:36:53", "12-01 02:37:25"]
RECORD = {
    "uuid": "2612010236539530676",
    "telephone": "13801000002",
    "calloutTime": "2026-12-01 02:36:53",
    "timeLen": 29,
    "hangupCause": "NORMAL_TEMPORARY_FAILURE:sip:503",
    "dialogue": [{"role": "assistant", "content": "您好，" * 40}, {"role": "user", "content": "\x1b[2J是的"}],
}


def drawn(width: int, rows: list[list[str]]) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system=None, width=width)
    views.show(console, "任务", views.TASK_HEADINGS, rows, 5)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_number_is_broken_or_cut_in_a_usual_terminal(width: int) -> None:
    lines = drawn(width, [TASK])
    assert max(map(cell_len, lines)) <= width
    words = " ".join(lines).split()
    for cell in TASK:
        assert set(cell.split()) <= set(words), cell


@pytest.mark.parametrize("width", [40, 60, 80])
def test_what_has_no_room_is_folded_and_not_cut(width: int) -> None:
    long = ["1", "T" * 60, "13900001111", "王" * 50, "类" * 50, "已完成", "12-01 02:36:53", ""]
    lines = drawn(width, [long])
    text = "".join(lines)
    assert "…" not in text
    assert (text.count("T"), text.count("王"), text.count("类")) == (60, 50, 51)  # and one in a heading


def test_nothing_to_show_is_a_table_of_headings() -> None:
    assert any("工单编号" in line for line in drawn(80, []))


@pytest.mark.parametrize("width", [80, 120])
def test_a_call_stands_on_a_line_with_its_dialogue_below(width: int) -> None:
    file = io.StringIO()
    views.show_records(Console(file=file, force_terminal=True, color_system=None, width=width), [RECORD])
    lines = file.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= width
    assert lines[0].startswith("2612010236539530676  13801000002  2026-12-01 02:36:53  29 秒")
    assert "".join(line.strip() for line in lines).count("您好，") == 40
    assert lines[-1].strip() == "客户：\\x1b[2J是的"


def test_piped_a_call_is_one_line() -> None:
    file = io.StringIO()
    views.show_records(Console(file=file), [RECORD, RECORD])
    assert len(file.getvalue().splitlines()) == 2
