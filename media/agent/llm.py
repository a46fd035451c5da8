"""The mind of an LLM playbook: streams a model's words into speech, sentence by sentence, and does what its tools ask."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping

from media.agent.alarm import Alarm
from media.agent.answer import Answer
from media.agent.brain import Host
from media.agent.chat import Chat, ChatFailure, Message, ToolCall
from media.agent.history import History
from media.agent.playbook import Playbook
from media.agent.premise import unheard
from media.agent.scripted import LONGEST_TAG, says_goodbye
from media.agent.templates import Text
from media.agent.tools import CALLBACK, DO_NOT_CALL, HANG_UP, OUTCOME, TAG, read_arguments, tool_schema
from media.driver import SessionPort
from shared.unicode import storable

FIRST_WORD_SECONDS = 5.0
"""From the customer's turn to the model's first word; half a second is usual, and after five the customer hangs up."""
ANSWER_SECONDS = 20.0
"""For all of an answer, its tools included."""
THINKING_SECONDS = 1.2
"""After so long without a word the playbook's ``thinking`` is said."""
MAX_STEPS = 3
"""Requests in one answer: one for the words, and two more after tools that leave something to be said."""
MAX_SAME = 3
"""Times in a row that the same may be said; a model that goes on in a circle has nothing more to say."""
MAX_FAILURES = 2
"""Answers in a row that broke off; then the call ends with the playbook's ``failure``."""

log = logging.getLogger(__name__)


class LlmBrain:
    """Implements Brain."""

    def __init__(
        self, host: Host, port: SessionPort, playbook: Playbook, fields: Mapping[str, str], chat: Chat
    ) -> None:
        self._host = host
        self._book = playbook
        self._fields = fields
        self._chat = chat
        self._tools = [tool_schema(name, playbook.outcomes) for name in playbook.tools]
        self._history = History(self._text(playbook.prompt))
        self._task: asyncio.Task[None] | None = None
        self._answer: Answer | None = None
        self._said = ""
        self._message: Message | None = None
        self._ends = False
        self._failures = 0
        self._same = ("", 0)
        self._limit = Alarm(port)
        self._patience = Alarm(port)

    # --- Brain ---

    @property
    def thinking(self) -> bool:
        """See Brain."""
        return self._task is not None and self._answer is not None and not self._answer.begun

    def begin(self) -> None:
        """See Brain."""
        greeting = self._text(self._book.greeting)
        self._answer = self._host.open_answer()
        self._answer.add(greeting)
        self._message = self._history.restart(greeting)
        self._host.finish_answer(self._answer)

    def hear(self, said: str) -> None:
        """See Brain."""
        self.cancel()
        self._history.add_turn(said)
        self._answer = self._host.open_answer()
        self._said, self._message, self._ends = "", None, False
        self._limit.set(FIRST_WORD_SECONDS, lambda: self._too_late("first_word"))
        if self._book.thinking is not None:
            self._patience.set(THINKING_SECONDS, self._ask_for_patience)
        self._task = asyncio.get_running_loop().create_task(self._run(self._answer), name="llm")

    def takes(self, key: str) -> bool:
        """See Brain. The model is told of every key."""
        return True

    def press(self, key: str) -> bool:
        """See Brain."""
        self.hear(f"（按了电话键{key}）")
        return True

    def ask(self) -> str:
        """See Brain. The model asks in its own words."""
        return ""

    def go_on(self) -> str:
        """See Brain. What the model would say now it says when the customer has spoken."""
        return ""

    def cut(self, answer: Answer, heard: str) -> None:
        """See Brain."""
        if answer is not self._answer:
            return
        if self._task is not None:
            self.cancel()
            self._message = self._history.add_ours(self._said)
        if self._message is not None:
            self._history.keep_heard(self._message, heard, unheard(answer.text, heard))
            self._message = None

    def rewind(self) -> None:
        """See Brain."""
        self._history.rewind()

    def cancel(self) -> None:
        """See Brain."""
        self._limit.clear()
        self._patience.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def close(self) -> None:
        """See Brain."""
        self.cancel()

    # --- thinking ---

    async def _run(self, answer: Answer) -> None:
        """Task boundary: whatever goes wrong in here ends in words for the customer."""
        try:
            await self._compose(answer)
        except ChatFailure as failure:
            log.warning("the language model failed", extra={"code": failure.code})
            self._failed(answer)
        except Exception:
            log.exception("an answer of the language model could not be used")
            self._failed(answer)
        else:
            self._failures = 0
            self._finish(answer)

    async def _compose(self, answer: Answer) -> None:
        """Requests until there are words and no tools whose result the model wants to speak about. Raises ChatFailure."""
        tried_again = False
        step = 0
        while step < MAX_STEPS:
            try:
                calls = await self._request(answer)
            except ChatFailure as failure:
                if self._said or tried_again or not failure.retryable:
                    raise
                tried_again = True
                continue
            step += 1
            results = [(call, self._use(call)) for call in calls]
            self._message = self._history.add_ours(self._said, results)
            if not calls or self._said or self._ends:
                return

    async def _request(self, answer: Answer) -> list[ToolCall]:
        calls = []
        async for part in self._chat.stream(self._history.messages(), self._tools):
            if isinstance(part, ToolCall):
                calls.append(part)
                continue
            if not self._said:
                self._limit.set(ANSWER_SECONDS, lambda: self._too_late("answer"))
                self._patience.clear()
            self._said += part
            answer.add(part)
        return calls

    def _finish(self, answer: Answer) -> None:
        self._done()
        said, times = self._same
        self._same = (self._said, times + 1 if self._said == said else 1)
        self._ends = self._ends or self._same[1] >= MAX_SAME
        if self._ends and not says_goodbye(self._said):
            answer.pause()
            answer.add(self._text(self._book.goodbye))
        self._host.finish_answer(answer, end=self._ends)

    def _failed(self, answer: Answer) -> None:
        """What was said is left standing; without a word, or failing again and again, the agent takes its leave."""
        self._done()
        self._failures += 1
        if not self._said or self._failures >= MAX_FAILURES:
            self._host.give_up()
            return
        self._message = self._history.add_ours(self._said)
        self._host.finish_answer(answer)

    def _too_late(self, what: str) -> None:
        log.warning("the language model is too slow", extra={"code": what})
        self.cancel()
        if self._answer is not None:
            self._failed(self._answer)

    def _done(self) -> None:
        self._limit.clear()
        self._patience.clear()
        self._task = None

    def _ask_for_patience(self) -> None:
        if self._answer is not None and not self._said:
            self._answer.add(self._text(self._book.thinking))
            self._answer.pause()

    # --- tools ---

    def _use(self, call: ToolCall) -> str:
        """Does what a tool asks; returns its result for the model."""
        arguments = _arguments(call)
        if arguments is None or call.name not in self._book.tools:
            log.warning("the language model called a tool wrongly", extra={"tool": call.name[:40]})
            return "没有这个工具，或参数不是 JSON 对象"
        if call.name == TAG:
            return self._tag(arguments.get("name", ""), arguments.get("value", ""))
        if call.name == CALLBACK:
            self._host.note("callback_wanted", arguments.get("when", "")[:LONGEST_TAG])
        elif call.name == DO_NOT_CALL:
            self._host.note("do_not_call", "")
            self._ends = True
        elif call.name == HANG_UP:
            self._ends = True
        return "好"

    def _tag(self, name: str, value: str) -> str:
        outcomes = self._book.outcomes
        if OUTCOME.fullmatch(name) is None or (outcomes and name not in outcomes):
            return f"name 应为 {'、'.join(outcomes) or '英文小写字母、数字和下划线'}"
        self._host.note(name, value[:LONGEST_TAG])
        return "好"

    def _text(self, text: Text | None) -> str:
        return text.render(self._fields) if text is not None else ""


def _arguments(call: ToolCall) -> dict[str, str] | None:
    """A tool's arguments as texts; None if they are no JSON object."""
    arguments = read_arguments(call.arguments)
    if arguments is None:
        return None
    return {name: storable(value) if isinstance(value, str) else json.dumps(value) for name, value in arguments.items()}
