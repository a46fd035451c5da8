"""A playbook with a mistake is refused with its file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from media.agent.intents import Intent
from media.agent.loading import load_playbook, load_playbooks
from media.agent.playbook import PlaybookError, Playbooks

from .conftest import PLAYBOOKS

GOOD = """---
default: true
kind: scripted
greeting: "您好，{{ username }}"
start: ask
steps:
  ask:
    say: "方便吗？"
    on:
      yes: done
      no: {say: "好的，再见。", tag: refused, end: true}
  done:
    say: "再见。"
    end: true
---
"""
LLM = """---
kind: llm
serves: [聊天]
greeting: "您好"
tools: [hang_up]
fallback: good
---
你是助手。{{ ticketContent }}
"""


def write(directory: Path, text: str, name: str = "good") -> Path:
    path = directory / f"{name}.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_playbook_is_read_whole(tmp_path: Path) -> None:
    book = load_playbook(write(tmp_path, GOOD))
    assert (book.name, book.kind, book.default, book.start) == ("good", "scripted", True, "ask")
    assert book.greeting.render({"username": "张三"}) == "您好，张三"
    assert [rule.intent for rule, _ in book.steps["ask"].branches] == [Intent.YES, Intent.NO]
    assert book.silence.after == 6.0


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("kind: scripted", "kind: clever", 3, "kind"),
        ("greeting:", "greting:", 4, "greting"),
        ('greeting: "您好，{{ username }}"\n', "", 2, "greeting"),
        ("{{ username }}", "{{ usename }}", 4, "unknown name usename"),
        ("{{ username }}", "{{ username", 4, "not a template"),
        ("{{ username }}", "{{ username.x.y }}", 4, "greeting"),
        ('"您好，{{ username }}"', '""', 4, "expected a text"),
        ("yes: done", "yes: dune", 10, "no step 'dune'"),
        ("yes: done", "yes: {go: done, end: true}", 10, "go or end"),
        ("yes: done", 'yes: ""', 10, "expected the name of a step"),
        ("yes: done", "opt_out: done", 10, "opt_out"),
        ("yes: done", "ask_wen: done", 10, "no such intent"),
        ("yes: done", '"/[/": done', 10, "not a pattern"),
        ("yes: done", '"|": done', 10, "expected an intent"),
        ("yes: done", "yes: {sya: x}", 10, "sya"),
        ("yes: done", "yes: {say: 5}", 10, "steps.ask.on.yes.say"),
        ("yes: done", "yes: [done]", 10, "steps.ask.on.yes"),
        ('say: "再见。"', "say: 5", 13, "steps.done.say"),
        ("  done:\n", "  other: hello\n  done:\n", 12, "steps.other"),
        ("    end: true\n---", "    end: true\n    go: ask\n---", 12, "expected one of on"),
        ("    end: true\n---", "---", 12, "expected one of on"),
        ("    end: true\n---", "    go: done\n---", 14, "circle"),
        ("start: ask", "start: aks", 5, "expected the name of a step"),
        ("start: ask", "start: ask\nspeed: 9", 6, "0.5 to 2.0"),
        ("start: ask", "start: ask\nvolume: 11", 6, "1 to 10"),
        ("start: ask", "start: ask\nlongest: 5 parsecs", 6, "longest"),
        ("start: ask", "start: ask\nlongest: 9h", 6, "longest"),
        ("start: ask", "start: ask\nsilence: {after: 100ms}", 6, "silence.after"),
        ("start: ask", 'start: ask\nsilence:\n  reprompts: ["{{ x }}"]', 7, "silence.reprompts[0]"),
        ("start: ask", "start: ask\nanswers: {yes: x}", 6, "answers.yes"),
        ("start: ask", "start: ask\ntools: [hang_up]", 6, "only an llm playbook"),
        ("start: ask", "start: ask\nstart: ask", 6, "given twice"),
        ("start: ask", 'start: ask\nserves: [""]', 6, "serves[0]"),
        ("start: ask", 'start: ask\nserves: ["/[/"]', 6, "not a pattern"),
        ("start: ask", "start: ask\nserves: 活动", 6, "serves"),
        ("start: ask", "start: [ask", 6, "not YAML"),
        ("start: ask", "start: &a ask\nvoice: 5", 6, "voice"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_field(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(PlaybookError) as caught:
        load_playbook(path)
    first = str(caught.value).splitlines()[0]
    assert words in str(caught.value), first
    assert first.startswith(f"{path}:{line}:"), first


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("tools: [hang_up]", "tools: [self_destruct]", "self_destruct"),
        ("fallback: good\n", "", "fallback"),
        ("你是助手。{{ ticketContent }}", "", "prompt: expected a text"),
        ("你是助手。{{ ticketContent }}", "{{ secret }}", "unknown name secret"),
        ("tools: [hang_up]", "start: x", "no steps"),
    ],
)
def test_a_mistake_in_an_llm_playbook_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = write(tmp_path, LLM.replace(old, new), "llm")
    with pytest.raises(PlaybookError, match=words):
        load_playbook(path)


@pytest.mark.parametrize("text", ["", "no front matter", "---\nkind: scripted\n", "---\n---\n"])
def test_a_file_without_front_matter_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PlaybookError, match=r"good\.md:\d"):
        load_playbook(write(tmp_path, text))


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.md"
    path.write_bytes("您好".encode("gb18030"))
    with pytest.raises(PlaybookError, match="UTF-8"):
        load_playbook(path)


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("yes: done", "yes: a\n      thanks: b"), "one")
    write(tmp_path, LLM.replace("hang_up", "x"), "two")
    with pytest.raises(PlaybookError) as caught:
        load_playbooks(tmp_path)
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "at least one playbook"),
        ({"a": GOOD.replace("default: true\n", "")}, "got none"),
        ({"a": GOOD, "b": GOOD}, r"a\.md, b\.md"),
        ({"a": GOOD, "b": LLM}, "fallback"),
        (
            {
                "good": GOOD,
                "a": GOOD.replace("default: true", "serves: [x]"),
                "b": GOOD.replace("default: true", "serves: [x]"),
            },
            "already served",
        ),
    ],
)
def test_playbooks_must_fit_together(tmp_path: Path, files: dict[str, str], words: str) -> None:
    for name, text in files.items():
        write(tmp_path, text, name)
    with pytest.raises(PlaybookError, match=words):
        load_playbooks(tmp_path)


def test_a_template_cannot_reach_out_of_its_sandbox(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("{{ username }}", "{{ ''.__class__.__mro__ }}"))
    with pytest.raises(PlaybookError, match="cannot be rendered"):
        load_playbook(path)


# --- choosing ------------------------------------------------------------------------------------------------------


def library(directory: Path) -> Playbooks:
    write(directory, GOOD, "good")
    write(directory, LLM, "llm")
    for name, serves in (("short", "活动*"), ("long", "活动通知*"), ("exact", "活动通知1"), ("pattern", "/.*回访/")):
        write(directory, GOOD.replace("default: true", f'serves: ["{serves}"]'), name)
    return load_playbooks(directory)


@pytest.mark.parametrize(
    ("ticket_type", "name"),
    [
        ("活动通知1", "exact"),
        ("活动通知2", "long"),
        ("活动", "short"),
        ("新用户回访", "pattern"),
        ("回访记录", "good"),
        ("", "good"),
        ("聊天", "llm"),
    ],
)
def test_the_most_particular_playbook_serves_a_ticket(tmp_path: Path, ticket_type: str, name: str) -> None:
    assert library(tmp_path).serving(ticket_type).name == name


def test_without_a_language_model_the_scripted_fallback_serves_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    books = library(tmp_path)
    assert books.choose("聊天", llm=True).name == "llm"
    assert books.choose("聊天", llm=False).name == "good"
    assert "no language model is configured" in caplog.text


# --- our own -------------------------------------------------------------------------------------------------------


def test_our_own_playbooks_are_without_a_mistake_and_serve_the_documents_ticket_types() -> None:
    books = load_playbooks(PLAYBOOKS)
    assert books.serving("活动通知1").name == books.serving("活动通知2").name == "活动通知"
    assert books.serving("新用户回访").name == "新用户回访"
    assert books.serving("预约提醒").name == "预约提醒"
    assert books.serving("客服回访").kind == "llm"
    assert books.serving("whatever").default
    assert len({text for book in books for text in book.constant_pieces()}) > 20


def test_constant_texts_need_no_ticket() -> None:
    texts = list(load_playbooks(PLAYBOOKS).named("活动通知").constant_pieces())
    assert "请问您到时候方便参加吗？" in texts
    assert not any("{{" in text for text in texts)


@pytest.mark.parametrize(
    ("turns", "got"),
    [
        ("{default: 1500ms}", "300ms, 1500ms and 1200ms"),
        ("{complete: 2s, default: 1s, cap: 3s}", "2s, 1s and 3s"),
    ],
)
def test_turns_out_of_order_are_a_mistake_with_its_line(tmp_path: Path, turns: str, got: str) -> None:
    path = write(tmp_path, GOOD.replace("start: ask", f"turns: {turns}\nstart: ask"))
    with pytest.raises(PlaybookError) as caught:
        load_playbook(path)
    assert str(caught.value) == f"{path}:5: turns: expected complete <= default <= cap, got {got}"


@pytest.mark.parametrize("pattern", ["a{99999999999}", "(" * 500 + ")" * 500, "(a"], ids=["count", "deep", "open"])
def test_an_expression_that_cannot_be_compiled_is_a_mistake_with_its_line(tmp_path: Path, pattern: str) -> None:
    text = GOOD.replace("default: true", f"default: true\nserves: ['/{pattern}/']")
    path = write(tmp_path, text.replace("      yes: done", f"      '/{pattern}/': done"))
    with pytest.raises(PlaybookError) as caught:
        load_playbook(path)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{path}:3: serves[0]: not a pattern: ")
    assert second.startswith(f"{path}:11: steps.ask.on./")


def test_a_template_that_is_nested_too_deeply_is_a_mistake_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace('"方便吗？"', "'{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}'"))
    with pytest.raises(PlaybookError, match=rf"{path}:8: steps.ask.say: not a template: "):
        load_playbook(path)
