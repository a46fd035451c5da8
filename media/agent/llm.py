"""The mind of an LLM playbook: streams a model's words into speech, sentence by sentence, and does what its tools ask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from media.agent.alarm import Alarm
from media.agent.answer import Answer
from media.agent.brain import Host
from media.agent.chat import Chat, ChatFailure, ToolCall
from media.agent.history import History
from media.agent.listening import PRESSED
from media.agent.playbook import Playbook
from media.agent.scripted import says_goodbye
from media.agent.sentences import speakable
from media.agent.templates import Text
from media.agent.toolbox import Toolbox
from media.agent.tools import tool_schema
from media.agent.wording import Wording
from media.driver import SessionPort

FIRST_WORD_SECONDS = 5.0
"""From the customer's turn to the model's first word; half a second is usual, and after five the customer hangs up."""
ANSWER_SECONDS = 20.0
"""For all of an answer, its tools included."""
GAP_SECONDS = 2.5
"""Within an answer, from the end of what was said of it to the model's next word."""
THINKING_SECONDS = 1.2
"""After so long without a word the playbook's ``thinking`` is said."""
MAX_STEPS = 3
"""Requests in one answer: one for the words, and two more after tools that leave something to be said."""
MAX_SAME = 3
"""Times in a row that the same may be said; a model that goes on in a circle has nothing more to say."""
MAX_ENDLESS = 2
"""Answers in a row that came to no end in time; then the call ends with the playbook's ``failure``."""

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
        self._toolbox = Toolbox(playbook, host.note)
        self._history = History(self._text(playbook.prompt))
        self._task: asyncio.Task[None] | None = None
        self._wording = Wording(None, port.clock, playbook.speed)
        self._ends = False
        self._asked_again = False
        """The model, since it broke off, dried up or said nothing. Once an answer."""
        self._endless = 0
        self._same = ("", 0)
        self._port = port
        self._limit = Alarm(port)
        self._gap = Alarm(port)
        self._patience = Alarm(port)

    # --- Brain ---

    @property
    def thinking(self) -> bool:
        """See Brain."""
        answer = self._wording.answer
        return self._task is not None and answer is not None and not answer.begun

    def begin(self) -> None:
        """See Brain."""
        self.cancel()
        self._start(self._host.open_answer())
        self._wording.tell(self._text(self._book.greeting))
        self._wording.message = self._history.restart(self._wording.said)
        self._finish_answer()

    def hear(self, said: str) -> None:
        """See Brain."""
        self.cancel()
        self._history.add_turn(said)
        self._start(self._host.open_answer())
        self._limit.set(FIRST_WORD_SECONDS, self._too_late)
        if self._book.thinking is not None:
            self._patience.set(THINKING_SECONDS, self._ask_for_patience)
        self._think()

    def _start(self, answer: Answer, *, own: bool = False) -> None:
        self._wording = Wording(answer, self._port.clock, self._book.speed, own=own)
        self._ends = self._asked_again = False

    def _think(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="llm")

    def takes(self, key: str) -> bool:
        """See Brain. The model is told of every key."""
        return True

    def press(self, key: str) -> bool:
        """See Brain."""
        self.hear(PRESSED.format(key=key))
        return True

    def ask(self) -> str:
        """See Brain. The model asks in its own words."""
        return ""

    def go_on(self) -> bool:
        """See Brain. From the sentence that was cut, and on with what the model is still writing."""
        wording = self._wording
        if wording.cut is None or wording.own or (self._task is None and not speakable(wording.rest)):
            return False
        if wording.message is not None:
            self._history.restore(wording.message, wording.said)
        wording.go_on(self._host.open_answer())
        if self._task is None:
            self._finish_answer()
        elif wording.begun:
            self._watch()
        return True

    def cut(self, answer: Answer, heard: str) -> None:
        """See Brain. The model writes on until it is known what has cut us: after a noise, all of it is wanted."""
        if answer is not self._wording.answer or self._wording.cut is not None:
            return
        self._wording.cut_off(heard)
        if self._task is None:
            self._keep_heard()

    def _keep_heard(self) -> None:
        wording = self._wording
        if wording.message is not None and wording.cut is not None:
            self._history.keep_heard(wording.message, wording.cut, wording.unheard)

    def note_own(self, answer: Answer) -> None:
        """See Brain. The model has to know what the customer answers to."""
        self.cancel()
        self._start(answer, own=True)
        if answer.text:
            self._wording.message = self._history.add_ours(answer.text)

    def note_again(self, answer: Answer) -> None:
        """See Brain. What is heard of it is heard of the answer that failed."""
        wording = self._wording
        if wording.cut is not None and wording.message is not None and not wording.own:
            self._history.restore(wording.message, wording.said)
        wording.go_again(answer)

    def rewind(self) -> None:
        """See Brain."""
        self._stop()
        self._history.rewind()

    def cancel(self) -> None:
        """See Brain."""
        if not self._stop():
            return
        if self._wording.cut is not None:
            self._wording.message = self._history.add_ours(self._wording.said)
            self._keep_heard()
        else:
            self._keep_said()

    def _stop(self) -> bool:
        """Whether the model was still writing."""
        task, self._task = self._task, None
        self._clear_alarms()
        if task is not None:
            task.cancel()
        return task is not None

    def _clear_alarms(self) -> None:
        self._limit.clear()
        self._gap.clear()
        self._patience.clear()

    def close(self) -> None:
        """See Brain."""
        self.cancel()

    # --- thinking ---

    async def _run(self) -> None:
        """Task boundary: whatever goes wrong in here ends in words for the customer."""
        try:
            await self._compose()
        except ChatFailure as failure:
            log.warning("the language model failed", extra={"code": failure.code})
            await self._wording.certain.wait()
            self._failed()
        except Exception:
            log.exception("an answer of the language model could not be used")
            await self._wording.certain.wait()
            self._failed()
        else:
            self._endless = 0
            self._finish()

    async def _compose(self) -> None:
        """Requests until there are words, or the end is wanted without any. Raises ChatFailure.

        A model that only uses tools, or says nothing at all, is asked once more, without tools.
        """
        step = 0
        tools = self._tools
        while True:
            try:
                calls = await self._request(tools)
            except ChatFailure as failure:
                await self._wording.certain.wait()
                self._ask_again(failure)
                continue
            # Who cuts in with words may want something else; what was wanted is not done then.
            await self._wording.certain.wait()
            results = [(call, self._use(call)) for call in calls]
            if results or self._wording.begun:
                self._wording.message = self._history.add_ours(self._wording.said, results)
            if self._wording.begun or self._ends:
                return
            step += 1
            if not calls or step >= MAX_STEPS:
                self._ask_again(ChatFailure("empty", "answered without a word", retryable=True))
                tools = []

    async def _request(self, tools: Sequence[dict[str, Any]]) -> list[ToolCall]:
        calls = []
        wording = self._wording
        async for part in self._chat.stream(self._history.messages(wording.said if wording.begun else ""), tools):
            if isinstance(part, ToolCall):
                calls.append(part)
                continue
            had_begun = wording.begun
            wording.tell(part)
            if wording.begun:
                if not had_begun:
                    self._limit.set(ANSWER_SECONDS, self._too_long)
                    self._patience.clear()
                self._watch()
        self._gap.clear()
        return calls

    def _ask_again(self, failure: ChatFailure) -> None:
        """The next request takes this one's place, if it is the first to do so. Raises ``failure`` otherwise."""
        if self._asked_again or not failure.retryable:
            raise failure
        self._asked_again = True
        begun = self._wording.begun
        self._wording.drop_unfinished()
        if begun:
            self._watch()

    def _watch(self) -> None:
        """From now, or when all that was said so far has been heard: the model's next word is awaited."""
        self._gap.set(self._wording.voice_left + GAP_SECONDS, self._dried_up)

    def _finish_answer(self) -> None:
        if self._wording.answer is not None:
            self._host.finish_answer(self._wording.answer, end=self._ends)

    def _finish(self) -> None:
        self._done()
        wording = self._wording
        said, times = self._same
        self._same = (wording.said, times + 1 if wording.said == said else 1)
        self._ends = self._ends or self._same[1] >= MAX_SAME
        if self._ends and not says_goodbye(wording.said):
            wording.pause()
            wording.add(self._text(self._book.goodbye))
        self._finish_answer()

    def _failed(self) -> None:
        """What was said is left standing, and the agent takes its leave."""
        self._done()
        self._keep_said()
        self._host.give_up()

    def _keep_said(self) -> None:
        self._wording.drop_unfinished()
        if self._wording.begun:
            self._wording.message = self._history.add_ours(self._wording.said)

    def _too_late(self) -> None:
        """Not a word. Whoever has just cut us is waited for."""
        log.warning("the language model is too slow", extra={"code": "first_word"})
        self.cancel()
        if self._wording.cut is None:
            self._failed()

    def _too_long(self) -> None:
        """Words without end: what was said is an answer, unless it is so again and again."""
        log.warning("the language model is too slow", extra={"code": "answer"})
        self.cancel()
        if self._wording.cut is not None:
            return
        self._endless += 1
        if self._endless >= MAX_ENDLESS:
            self._host.give_up()
        else:
            self._finish_answer()

    def _dried_up(self) -> None:
        """No word for long within an answer: patience is asked for, and the model again; the second time it has failed."""
        if self._wording.cut is not None:
            return  # after a noise this is looked at again
        log.warning("the language model is too slow", extra={"code": "gap"})
        if self._asked_again:
            self._stop()
            self._failed()
            return
        self._stop()
        self._asked_again = True
        self._wording.drop_unfinished()
        self._limit.set(ANSWER_SECONDS, self._too_long)
        self._ask_for_patience()
        self._think()
        self._watch()

    def _done(self) -> None:
        self._clear_alarms()
        self._task = None

    def _ask_for_patience(self) -> None:
        """Not twice running."""
        patience = self._text(self._book.thinking)
        answer = self._wording.answer
        if patience and answer is not None and not answer.text.endswith(patience):
            self._wording.add(patience)
            self._wording.pause()

    def _use(self, call: ToolCall) -> str:
        used = self._toolbox.use(call)
        self._ends = self._ends or used.ends
        return used.result

    def _text(self, text: Text | None) -> str:
        return text.render(self._fields) if text is not None else ""
