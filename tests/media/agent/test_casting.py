"""Each call gets the playbook, the voice and the mind of its ticket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from media.agent.casting import AgentCasting, open_casting
from media.agent.loading import load_playbooks
from media.agent.playbook import PlaybookError
from media.driver import SessionOptions
from media.protocol.options import SynthesisOption, TranscriptionOption
from media.speech.ports import SynthesisOptions
from shared.bus import Briefing
from shared.settings import load

from .conftest import PLAYBOOKS, Call

DEFAULTS = SessionOptions(asr=TranscriptionOption(), tts=SynthesisOption(samplerate=8000), longest=200.0)


class Oven:
    """Remembers what it was asked to keep warm."""

    def __init__(self) -> None:
        self.texts: dict[str, SynthesisOptions] = {}

    async def keep_warm(self, texts: Iterable[str], options: SynthesisOptions) -> None:
        self.texts.update(dict.fromkeys(texts, options))


def briefing(ticket_type: str) -> Briefing:
    return Briefing(
        uuid="2601010000000000001",
        call_id="c",
        batch_id=1,
        created_at=0,
        caller="1",
        number="2",
        ticket_no="T1",
        username="王五",
        ticket_type=ticket_type,
        ticket_content="提醒您明天开会。",
    )


def casting(directory: Path = PLAYBOOKS) -> AgentCasting:
    return AgentCasting(load_playbooks(directory), Oven(), ZoneInfo("Asia/Shanghai"))


def test_the_session_behaves_as_the_playbook_says(tmp_path: Path) -> None:
    text = (PLAYBOOKS / "default.md").read_text()
    extra = "default: true\nvoice: longwan\nspeed: 1.1\nlanguage: en-US\nlongest: 60s\nturns: {complete: 200ms}\n"
    (tmp_path / "default.md").write_text(text.replace("default: true\n", extra))
    options = casting(tmp_path).options(briefing("x"), DEFAULTS)
    assert options.tts == SynthesisOption(speaker="longwan", speed=1.1, volume=5, samplerate=8000)
    assert options.asr == TranscriptionOption(language="en-US")
    assert (options.barge_in, options.longest, options.fallback_text[:4]) == (True, 60.0, "不好意思")
    assert options.turns is not None
    assert options.turns.complete_s == 0.2


def test_no_playbook_makes_a_call_longer_than_the_settings_allow() -> None:
    assert casting().options(briefing("x"), DEFAULTS).longest == 200.0


def test_the_driver_talks_about_its_ticket() -> None:
    call = Call("default")
    call.briefing = briefing("活动通知1")
    call.driver = casting().driver(call)
    call.answer()
    call.wait(1.0)
    assert call.listen() == "您好，请问是王五吗？"


def test_a_call_without_a_briefing_is_answered_all_the_same() -> None:
    call = Call("default")
    call.driver = casting().driver(call)
    call.answer()
    call.wait(1.0)
    assert call.listen().startswith("您好")


def test_an_llm_ticket_without_a_model_gets_the_scripted_fallback() -> None:
    call = Call("default")
    call.briefing = briefing("客服回访")
    call.driver = casting().driver(call)
    call.answer()
    call.wait(1.0)
    assert call.listen() == "您好，请问是王五本人吗？"


def test_constant_prompts_are_kept_warm_with_their_playbooks_voice() -> None:
    oven = Oven()
    asyncio.run(AgentCasting(load_playbooks(PLAYBOOKS), oven, ZoneInfo("UTC")).run())
    assert "请问您到时候方便参加吗？" in oven.texts
    assert oven.texts["请问您到时候方便参加吗？"] == SynthesisOptions(speaker="", speed=1.0, volume=5)


def test_playbooks_that_cannot_be_used_are_refused_at_start(tmp_path: Path) -> None:
    settings = load({"WAIHU_PLAYBOOKS_DIR": str(tmp_path)}, tmp_path)
    with pytest.raises(PlaybookError, match="WAIHU_PLAYBOOKS_DIR"):
        open_casting(settings, Oven())


def test_with_an_endpoint_the_model_thinks(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = load(
            {"WAIHU_PLAYBOOKS_DIR": str(PLAYBOOKS), "WAIHU_LLM_ENDPOINT": "http://127.0.0.1:1/v1"}, tmp_path
        )
        cast = open_casting(settings, Oven())
        call = Call("default")
        call.briefing = briefing("客服回访")
        call.driver = cast.driver(call)
        call.answer()
        call.wait(1.0)
        assert call.listen() == "您好，请问是王五吗？我是客服中心的智能助手。"
        await cast.close()

    asyncio.run(scenario())
