"""Gives each phone call its driver: the playbook of its ticket, with a scripted or a thinking mind."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol
from zoneinfo import ZoneInfo

from media.agent.agent import Agent
from media.agent.brain import Brain, Host, ScriptedBrain
from media.agent.chat import Chat, OpenAiChat
from media.agent.llm import LlmBrain
from media.agent.loading import load_playbooks
from media.agent.playbook import Playbook, Playbooks
from media.agent.ticket import sample_fields, ticket_fields
from media.driver import Driver, SessionOptions, SessionPort
from media.protocol.options import SynthesisOption, TranscriptionOption
from media.speech.ports import SynthesisOptions
from shared.bus import Briefing
from shared.settings import Settings

log = logging.getLogger(__name__)


class Warmer(Protocol):
    """What casting needs of media.speech.providers.Speech."""

    async def keep_warm(self, texts: Iterable[str], options: SynthesisOptions) -> None:
        """Synthesises into the cache what is not in it yet, until all is."""


class AgentCasting:
    """Implements media.driver.Casting."""

    def __init__(self, playbooks: Playbooks, speech: Warmer, zone: ZoneInfo, chat: Chat | None = None) -> None:
        self._playbooks = playbooks
        self._speech = speech
        self._zone = zone
        self._chat = chat

    def options(self, briefing: Briefing, defaults: SessionOptions) -> SessionOptions:
        """See Casting."""
        book = self._book(briefing.ticket_type)
        voice = SynthesisOption(speaker=book.voice or None, speed=book.speed, volume=book.volume)
        return replace(
            defaults,
            barge_in=True,
            asr=_in_language(defaults.asr, book.language),
            tts=voice.over(defaults.tts),
            turns=book.turns,
            longest=min(defaults.longest, book.longest),
            fallback_text=book.apology.render(sample_fields()) if book.apology.constant else "",
        )

    def driver(self, port: SessionPort) -> Driver:
        """See Casting. A call without a briefing is about nothing: the default playbook, with empty fields."""
        briefing = port.briefing
        book = self._book(briefing.ticket_type if briefing else "")
        now = port.clock.now_ms()
        fields = ticket_fields(briefing, now, self._zone) if briefing else dict.fromkeys(sample_fields(), "")
        log.info("a call has its playbook", extra={"call": port.id, "playbook": book.name})

        def mind(host: Host) -> Brain:
            if book.kind == "llm" and self._chat is not None:
                return LlmBrain(host, port, book, fields, self._chat)
            return ScriptedBrain(host, book, fields)

        return Agent(port, book, fields, mind)

    async def run(self) -> None:
        """For a task of its own, as long as the process lives: has what every call may need synthesised before it is."""
        for book in self._playbooks:
            options = SynthesisOptions(speaker=book.voice, speed=book.speed, volume=book.volume)
            await self._speech.keep_warm(book.constant_pieces(), options)
        log.info("prompts are ready", extra={"playbooks": len(self._playbooks)})

    async def close(self) -> None:
        """Drops the connections to the language model."""
        if self._chat is not None:
            await self._chat.close()

    def _book(self, ticket_type: str) -> Playbook:
        return self._playbooks.choose(ticket_type, llm=self._chat is not None)


def open_casting(settings: Settings, speech: Warmer) -> AgentCasting:
    """Loads the playbooks of ``settings``. Raises media.agent.playbook.PlaybookError."""
    playbooks = load_playbooks(settings.playbooks_dir)
    chat = OpenAiChat(settings.llm_endpoint, settings.llm_key, settings.llm_model) if settings.llm_endpoint else None
    return AgentCasting(playbooks, speech, settings.timezone, chat)


def _in_language(option: TranscriptionOption | None, language: str) -> TranscriptionOption:
    """The call's recognition in the playbook's language."""
    base = option or TranscriptionOption()
    return TranscriptionOption(
        **{**{name: getattr(base, name) for name in base.__struct_fields__}, "language": language}
    )
