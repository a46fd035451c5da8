"""Logs: what a line looks like, and what never gets into one."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from shared import logs
from shared.settings import Settings, load


def settings(directory: Path, **values: str) -> Settings:
    return load({f"WAIHU_{name}": value for name, value in values.items()}, directory)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def line(settings: Settings, message: str, **extra: object) -> str:
    stream = io.StringIO()
    logs.configure(settings, "worker", stream)
    logging.getLogger("shared.test").info(message, extra=extra)
    return stream.getvalue()


def test_a_text_line_is_time_level_process_message_and_fields(tmp_path: Path) -> None:
    written = line(settings(tmp_path), "call ended", uuid="2508162111590110001", seconds=5, why="no answer")
    assert written[19] == "."
    assert written[24:] == 'INFO worker call ended uuid=2508162111590110001 seconds=5 why="no answer"\n'


def test_a_json_line_is_one_object_with_the_fields_beside_the_message(tmp_path: Path) -> None:
    document = json.loads(line(settings(tmp_path, LOG_FORMAT="json"), "call ended", batch_id=10013, text="好"))
    assert document.pop("time").endswith("+08:00")
    assert document == {
        "level": "INFO",
        "process": "worker",
        "logger": "shared.test",
        "message": "call ended",
        "batch_id": 10013,
        "text": "好",
    }


def test_what_is_below_the_level_is_not_written(tmp_path: Path) -> None:
    assert line(settings(tmp_path, LOG_LEVEL="WARNING"), "call ended") == ""


def test_a_message_cannot_forge_a_line(tmp_path: Path) -> None:
    assert line(settings(tmp_path), "one\ntwo\r\nthree", field="a\nb").count("\n") == 1


def test_a_traceback_follows_its_line_and_is_masked_too(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.configure(settings(tmp_path), "api", stream)
    try:
        raise ValueError("bad number 13800138000")
    except ValueError:
        logging.getLogger("x").exception("it failed")
    assert "ValueError: bad number 138****8000" in stream.getvalue()
    assert "13800138000" not in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
@given(said=st.text(max_size=60))
def test_whatever_is_said_takes_one_line_and_acts_on_no_terminal(
    tmp_path_factory: pytest.TempPathFactory, form: str, said: str
) -> None:
    configured = settings(tmp_path_factory.getbasetemp(), LOG_FORMAT=form)
    written = line(configured, said + "\x1b[2J\u2028", field=said + "\x9b31m\u202e", plain="\x1b]0;owned\x07")
    assert written.endswith("\n")
    assert not set(written[:-1]) & {chr(code) for code in (*range(32), *range(127, 160))}
    assert len(written.splitlines()) == 1
    if form == "json":
        assert json.loads(written)["plain"] == "\x1b]0;owned\x07"


def test_what_led_to_an_error_is_told_with_it_and_so_are_those_of_a_group(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.configure(settings(tmp_path), "api", stream)
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ExceptionGroup("both", [OSError("one"), ValueError("two")]) from error
    except ExceptionGroup:
        logging.getLogger("x").exception("it failed")
    told = stream.getvalue()
    assert [told.index(text) for text in ("'first'", "direct cause", "both", "one", "two")] == sorted(
        told.index(text) for text in ("'first'", "direct cause", "both", "one", "two")
    )


def test_an_error_cannot_forge_a_line_either(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.configure(settings(tmp_path), "api", stream)
    try:
        raise ValueError("bad\n2026-11-20 14:00:00.123 INFO web all is well\x1b[1A")
    except ValueError:
        logging.getLogger("x").exception("it failed")
    first, *others = stream.getvalue().split("\n")
    assert first.endswith("it failed")
    assert all(other.startswith("    ") for other in others[:-1])
    assert "\\x1b[1A" in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        ("dialling 13800138000 now", "13800138000"),
        ("dialling +8613800138000", "8613800138000"),
        ("dialling 8613800138000", "13800138000"),
        ("dialling 008613800138000", "13800138000"),
        ("dialling +86 138 0013 8000", "138 0013 8000"),
        ("dialling 138-0013-8000.", "138-0013-8000"),
        ("dialling 86-0571-88001234.", "88001234"),
        ("号码057188001234。", "057188001234"),
        ("landline 0571-88001234", "88001234"),
        ("INSERT … 'phone': '8801234'", "8801234"),
        ('{"callee":"15101613608"}', "15101613608"),
        ("number=88001234567", "88001234567"),
        ("caller: 95588123", "95588123"),
    ],
)
def test_a_phone_number_is_masked_wherever_it_stands(tmp_path: Path, form: str, said: str, hidden: str) -> None:
    assert hidden not in line(settings(tmp_path, LOG_FORMAT=form), said)
    assert hidden not in line(settings(tmp_path, LOG_FORMAT=form), "x", detail=said)


def test_a_field_that_is_named_as_a_number_is_masked_whatever_it_holds(tmp_path: Path) -> None:
    assert "phone=881****5678" in line(settings(tmp_path), "x", phone="88112345678")


@pytest.mark.parametrize(
    "said",
    [
        "uuid 2508162111590110001",
        "number 2508162111590110001",
        "call bbd910fc-e5fd-11f0-a660-525400eaab18",
        "at 1767153838953",
        "batch 10013 of 10000000",
        "took 0.0123456789 s",
        "ai_call/2025/08/16/21/2508162111590110001.wav",
    ],
)
def test_ids_and_times_are_left_as_they_are(tmp_path: Path, said: str) -> None:
    assert said in line(settings(tmp_path), said)


@given(st.text(max_size=20), st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), st.text(max_size=20))
def test_no_mobile_number_gets_through_between_words(before: str, number: str, after: str) -> None:
    assert number not in logs.Mask().text(f"{before} {number} {after}")


def test_no_secret_of_the_settings_is_ever_written(tmp_path: Path) -> None:
    given = {
        "API_KEYS": "key-one,key-two",
        "PHONE_SECRET": "phone/secret",
        "LLM_KEY": 'quo"te',
        "DATABASE_URL": "postgresql://waihu:p%40ssword@db/waihu",
        "REDIS_URL": "redis://:redispass@cache/0",
    }
    for form in ("text", "json"):
        configured = settings(tmp_path, LOG_FORMAT=form, **given)
        for secret in ("key-one", "key-two", "phone/secret", 'quo"te', "p%40ssword", "p@ssword", "redispass"):
            written = line(configured, f"connecting with {secret}", detail=f"<{secret}>")
            assert secret not in written
            assert json.dumps(secret)[1:-1] not in written
            assert logs.HIDDEN in written


def test_short_secrets_and_the_stand_ins_keys_do_not_blacken_the_lines(tmp_path: Path) -> None:
    assert "standin a b" in line(settings(tmp_path, API_KEYS="a"), "standin a b")


def test_configuring_twice_writes_every_line_once(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.configure(settings(tmp_path), "api", io.StringIO())
    logs.configure(settings(tmp_path), "api", stream)
    logging.getLogger("x").info("once")
    assert stream.getvalue().count("once") == 1


def test_celery_leaves_the_root_logger_to_us(tmp_path: Path) -> None:
    logs.configure_celery(settings(tmp_path, LOG_FORMAT="json"), "worker")
    app = Celery("test", set_as_current=False)
    app.log.setup("INFO")
    formatters = [handler.formatter for handler in logging.getLogger().handlers]
    assert [type(formatter) for formatter in formatters] == [logs.JsonFormatter]
