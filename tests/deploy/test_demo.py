"""The demo's own settings and state: nothing of this machine's gets in, nothing of an earlier run stays."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from deploy import demo, tickets
from deploy.console import Files
from deploy.demo import TICKETS
from deploy.display import Progress
from deploy.screen import Console
from deploy.state import StateHeld, held
from sandbox.people.directory import Directory
from shared.settings import load


def test_neither_the_environment_nor_a_file_reaches_the_demo(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WAIHU_PHONE_URL=http://real.pbx/dialog\nWAIHU_RETRY_NO_ANSWER=1h\n")
    real = {"WAIHU_DATABASE_URL": "postgresql://real/db", "WAIHU_CALL_WINDOW": "03:00-03:01", "HOME": "/home/me"}
    environment = demo._environment(real, tmp_path / "var" / "demo")
    settings = load(environment, tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path / 'var' / 'demo' / 'waihu.db'}"
    assert settings.standins == ("phone", "asr", "tts")
    assert (settings.retry_no_answer, settings.retry_refused, settings.call_window) == ((), (), "")
    assert environment["HOME"] == "/home/me"
    assert (settings.playbooks_dir / "default.md").exists()


def test_the_demo_s_state_lies_in_the_state_directory_that_was_asked_for(tmp_path: Path) -> None:
    broken = {"WAIHU_CALL_WINDOW": "never", "WAIHU_MAX_CALLS": "many"}  # no business of the demo's
    assert demo._state_dir({}, tmp_path) == tmp_path / "var" / "demo"
    assert demo._state_dir({"WAIHU_STATE_DIR": "/srv/waihu"} | broken, tmp_path) == Path("/srv/waihu/demo")
    (tmp_path / ".env").write_text("WAIHU_STATE_DIR=elsewhere\nWAIHU_MAX_CALLS=many\n")
    assert demo._state_dir({}, tmp_path) == tmp_path / "elsewhere" / "demo"
    assert demo._state_dir({"WAIHU_STATE_DIR": "here"}, tmp_path) == tmp_path / "here" / "demo"


def test_every_run_begins_with_nothing(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "old.wav").touch()
    (tmp_path / "waihu.db").touch()
    with held(tmp_path):
        demo._empty(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["up.lock"]
        with pytest.raises(StateHeld), held(tmp_path):
            pass


def test_there_are_twenty_tickets_and_among_them_every_manner(tmp_path: Path) -> None:
    batch = tickets.read(TICKETS).tickets
    manners = {Directory().find(ticket["phone"])[0] for ticket in batch}
    assert len(batch) == 20
    assert len(manners) == 19
    assert {
        "talker",
        "interrupter",
        "murmurer",
        "silent",
        "leaver",
        "refuser",
        "voicemail",
        "absent",
        "barred",
    } <= manners


def test_piped_progress_is_a_line_for_each_change(tmp_path: Path) -> None:
    stream = io.StringIO()
    task = {"batchId": 1, "ticketNo": "T1", "username": "张三", "phone": "13800000001", "status": "待拨打"}
    with Files(tmp_path / "logs") as files, Progress(Console(file=stream), files) as progress:
        progress.note("begins")
        for status in ("待拨打", "待拨打", "呼叫中", "已完成", "已完成"):
            progress.show([{**task, "status": status}])
        progress.line("media", "a line of a process")
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["begins", "待拨打", "呼叫中", "已完成"]
    assert (tmp_path / "logs" / "media.log").read_text() == "a line of a process\n"
    assert (tmp_path / "logs" / "waihu.log").read_text() == "begins\n"
