"""The demo's measure: it passes what is right, and finds each thing that is wrong."""

from __future__ import annotations

import copy
import io
import wave
from typing import Any

import numpy as np
import pytest

from deploy.expectations import EXPECTATIONS, Outcome, level_dbfs, plain, problems
from sandbox.people.directory import Directory

CONTENT = "本周六上午九点，我们举办会员日活动。"
SAID = ["您好，请问是张三吗？", f"打扰您一分钟。{CONTENT}", "期待您的到来。再见。"]
RATE = 8000


def recording(seconds: float = 10.0, rate: int = RATE, channels: int = 2, silent: int | None = None) -> bytes:
    """A tone on every channel but the silent one."""
    tone = (3000 * np.sin(np.arange(int(seconds * rate)) * 0.3)).astype("<i2")
    samples = np.stack([np.zeros_like(tone) if channel == silent else tone for channel in range(channels)], axis=1)
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return stream.getvalue()


def good() -> dict[str, Any]:
    """A talker's outcome as it should be."""
    dialogue = [{"role": "user", "content": "喂，你好。"}, *({"role": "assistant", "content": text} for text in SAID)]
    heard = {
        "odd_chunks": 0,
        "gaps": {"count": 0, "total_ms": 0.0},
        "level_dbfs": -23.0,
        "words": [
            {"lost": 0, "text": text, "start_ms": 1000.0 * at, "end_ms": 1000.0 * at + 900}
            for at, text in enumerate(SAID, 1)
        ],
        "text": "".join(SAID),
    }
    return {
        "task": {"status": "已完成", "connected": True, "ticketContent": CONTENT},
        "record": {
            "hangupCause": "NORMAL_CLEARING:sip:200",
            "dialogue": dialogue,
            "answeredTime": "2025-08-16 21:11:59",
            "wavFileUrl": "http://x",
            "timeLen": 10,
        },
        "call": {"tags": []},
        "report": {
            "startcalls": 1,
            "ended_by": "robot",
            "audio": {
                "heard": heard,
                "said": [
                    {"kind": "greeting", "start_ms": 100.0},
                    {"kind": "reply", "start_ms": 2950.0},
                    {"kind": "murmur", "start_ms": 3500.0},
                ],
                "barge_ins": [],
                "talk_seconds": 10.0,
            },
        },
        "recording": recording(),
    }


def found(parts: dict[str, Any], manner: str = "talker") -> list[str]:
    return problems(Outcome(**parts), manner)


def test_a_call_that_went_as_it_should_has_no_problem() -> None:
    assert found(good()) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("task", "status"), "失败", "expected"),
        (("task", "connected"), False, "expected"),
        (("record", "hangupCause"), "NO_ANSWER:sip:480", "expected"),
        (("report", "startcalls"), 2, "one startcall"),
        (("report", "ended_by"), "callee", "hang up"),
        (("report", "audio", "heard", "odd_chunks"), 1, "odd length"),
        (("report", "audio", "heard", "gaps"), {"count": 9, "total_ms": 900.0}, "torn"),
        (("report", "audio", "heard", "level_dbfs"), -60.0, "dBFS"),
        (("report", "audio", "heard", "level_dbfs"), -2.0, "dBFS"),
        (("report", "audio", "heard", "text"), SAID[0] + SAID[2], "transcript"),
        (("report", "audio", "heard", "text"), "".join(SAID) + "还有一句谁也没有记下的话", "transcript"),
        (("task", "ticketContent"), "完全是另外一件事情", "content did not reach"),
        (("record", "dialogue"), good()["record"]["dialogue"][1:], "not understood"),
        (("recording",), recording(seconds=3), "lasts 3.0 s"),
        (("recording",), recording(rate=16000), "8000 Hz"),
        (("recording",), recording(channels=1), "2 channels"),
        (("recording",), recording(silent=0), "customer's side"),
        (("recording",), recording(silent=1), "our side"),
        (("recording",), b"", "cannot be read"),
        (("recording",), recording()[:30], "cannot be read"),
    ],
)
def test_each_thing_that_is_wrong_is_found(path: tuple[str, ...], value: Any, said: str) -> None:
    parts = copy.deepcopy(good())
    place: Any = parts
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert said in " / ".join(found(parts))


@pytest.mark.parametrize("tag", [("attending", "yes"), ("appointment", "confirmed"), ("confirmed", "")])
def test_a_yes_is_believed_only_after_the_content_was_heard(tag: tuple[str, str]) -> None:
    parts = good()
    parts["call"]["tags"] = [dict(zip(("name", "value"), tag, strict=True))]
    assert found(parts) == []
    parts["report"]["audio"]["said"][1]["start_ms"] = 1950.0
    assert found(parts) == ["a yes was noted before the callee had heard the ticket's content"]
    parts["call"]["tags"] = [{"name": "attending", "value": "no"}]
    assert found(parts) == []


def test_what_gaps_cost_the_ear_is_forgiven_and_no_more() -> None:
    parts = good()
    parts["report"]["audio"]["heard"] |= {
        "gaps": {"count": 1, "total_ms": 40.0},
        "text": "".join(SAID).replace("会员日", ""),
    }
    assert found(parts) == []
    parts["report"]["audio"]["heard"]["gaps"] = {"count": 0, "total_ms": 0.0}
    assert found(parts) != []


def test_a_number_that_was_refused_has_nothing_of_a_talk() -> None:
    parts = good()
    parts["task"] |= {"status": "失败", "connected": False}
    parts["record"] |= {
        "hangupCause": "NORMAL_TEMPORARY_FAILURE:sip:503",
        "answeredTime": "",
        "wavFileUrl": "",
        "dialogue": [],
        "timeLen": 0,
    }
    assert found(parts, "barred") == []
    parts["record"]["dialogue"] = [{"role": "user", "content": "喂"}]
    assert "expected no answer" in found(parts, "barred")[0]


@pytest.mark.parametrize(
    ("manner", "kind", "met", "good_when"),
    [
        ("interrupter", "interruption", {"cleaned": True}, {"cleaned": False}),
        ("cougher", "cough", {"went_on": True}, {"went_on": False}),
    ],
)
def test_barge_ins_are_judged_by_what_we_did(
    manner: str, kind: str, met: dict[str, bool], good_when: dict[str, bool]
) -> None:
    parts = good()
    parts["record"]["dialogue"].append({"role": "user", "content": "等一下，你是哪里的？"})
    assert any("met no speech of ours" in problem for problem in found(parts, manner))
    parts["report"]["audio"]["barge_ins"] = [{"kind": kind, **met}]
    assert found(parts, manner) == []
    parts["report"]["audio"]["barge_ins"] = [{"kind": kind, **good_when}]
    assert found(parts, manner) != []


@pytest.mark.parametrize(("manner", "tag"), [("refuser", "do_not_call"), ("busy", "callback_wanted")])
def test_what_the_customer_wished_must_be_noted(manner: str, tag: str) -> None:
    parts = good()
    parts["record"]["dialogue"].append({"role": "user", "content": "别再打给我了。晚点再打。"})
    assert any(f"expected the tag {tag}" in problem for problem in found(parts, manner))
    parts["call"]["tags"] = [{"name": tag, "value": ""}]
    assert found(parts, manner) == []


def test_every_number_of_the_demo_has_a_manner_that_is_measured() -> None:
    rows = Directory().table()
    manners = {row["manner"] for row in rows if row["number"].removeprefix("*") <= "0019"}
    assert manners <= set(EXPECTATIONS)
    assert problems(Outcome(**good()), "nobody") == ["nothing is known of the manner 'nobody'"]


def test_marks_and_blanks_are_not_heard() -> None:
    assert plain("您好， 请问…… 是 张三_吗？") == "您好请问是张三吗"


def test_levels_are_decibels_of_full_scale() -> None:
    assert level_dbfs(np.full(100, 32767, "<i2")) == pytest.approx(0.0, abs=0.01)
    assert level_dbfs(np.full(100, 3277, "<i2")) == pytest.approx(-20.0, abs=0.1)
    assert level_dbfs(np.zeros(100, "<i2")) == level_dbfs(np.zeros(0, "<i2")) == -np.inf
