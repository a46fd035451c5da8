"""The mind of an LLM playbook: streams a model's words into speech, sentence by sentence, and does what its tools ask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from media.agent.alarm import Alarm
from media.agent.answer import Answer
from media.agent.brain import Host
from media.agent.chat import Chat, ChatFailure, Message, ToolCall
from media.agent.history import History
from media.agent.listening import PRESSED
from media.agent.playbook import Playbook
from media.agent.premise import cut_sentence, unheard
from media.agent.scripted import says_goodbye
from media.agent.sentences import speakable
from media.agent.templates import Text
from media.agent.toolbox import Toolbox
from media.agent.tools import tool_schema
from media.driver import SessionPort

FIRST_WORD_SECONDS = 5.0
"""From the customer's turn to the model's first word; half a second is usual, and after five the customer hangs up."""
ANSWER_SECONDS = 20.0
"""For all of an answer, its tools included."""
GAP_SECONDS = 2.5
"""Within an answer, from the end of what was said of it to the model's next word."""
LETTER_SECONDS = 0.25
"""Of speech; a Latin letter or a digit is reckoned with as little patience as any other."""
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
        self._answer: Answer | None = None
        self._words = ""
        """All that is to be heard of our answer, as far as it is known: the model's words, and what we put around them."""
        self._before = 0
        """So much of that was said by the play before this one, which a noise has cut."""
        self._heard = ""
        """The most that was heard of it, if it was cut."""
        self._cut: str | None = None
        """Our voice was cut, and so much of the answer heard; nobody knows yet whether by words or by a noise."""
        self._certain = asyncio.Event()
        """It is not: what the model wants to be done may be done."""
        self._said = ""
        self._message: Message | None = None
        self._own = False
        """Our answer is not the model's: the agent says it of its own accord."""
        self._ends = False
        self._asked_again = False
        """The model, since it broke off, dried up or said nothing. Once an answer."""
        self._voice_until = 0.0
        """About when all that was handed to our voice will have been heard."""
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
        return self._task is not None and self._answer is not None and not self._answer.begun

    def begin(self) -> None:
        """See Brain."""
        self._start(self._host.open_answer())
        self._say(self._text(self._book.greeting))
        self._said = self._words
        self._message = self._history.restart(self._said)
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

    def _start(self, answer: Answer) -> None:
        """A new answer, of which nothing is known yet."""
        self._answer = answer
        self._words, self._before, self._said, self._message, self._ends = "", 0, "", None, False
        self._own = self._asked_again = False
        self._voice_until = 0.0
        self._heard = ""
        self._cut = None
        self._certain.set()

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
        if self._cut is None or self._own:
            return False
        self._before = cut_sentence(self._words, self._cut)
        rest = self._words[self._before :]
        if self._task is None and not speakable(rest):
            return False
        if self._message is not None:
            self._history.restore(self._message, self._said)
        self._cut = None
        self._answer = self._host.open_answer()
        self._voice_until = 0.0
        self._hand_over(rest)
        self._certain.set()
        if self._task is None:
            self._finish_answer()
        elif speakable(self._said):
            self._watch()
        return True

    def cut(self, answer: Answer, heard: str) -> None:
        """See Brain. The model writes on until it is known what has cut us: after a noise, all of it is wanted."""
        if answer is not self._answer or self._cut is not None:
            return
        self._cut = self._heard = max(self._heard, self._words[: self._before] + heard, key=len)
        self._certain.clear()
        if self._task is None:
            self._keep_heard()

    def _keep_heard(self) -> None:
        if self._message is not None and self._cut is not None:
            left = None if self._own else unheard(self._words, self._cut)
            self._history.keep_heard(self._message, self._cut, left)

    def note_own(self, answer: Answer) -> None:
        """See Brain. The model has to know what the customer answers to."""
        self.cancel()
        self._start(answer)
        self._own = True
        self._words = self._said = answer.text
        if answer.text:
            self._message = self._history.add_ours(answer.text)

    def note_again(self, answer: Answer) -> None:
        """See Brain. What is heard of it is heard of the answer that failed."""
        self._answer = answer
        self._before = max(0, self._words.rfind(answer.text))
        if self._cut is not None and self._message is not None and not self._own:
            self._history.restore(self._message, self._said)
        self._cut = None
        self._certain.set()

    def rewind(self) -> None:
        """See Brain."""
        self._stop()
        self._history.rewind()

    def cancel(self) -> None:
        """See Brain."""
        if not self._stop():
            return
        if self._cut is not None:
            self._message = self._history.add_ours(self._said)
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
            await self._certain.wait()
            self._failed()
        except Exception:
            log.exception("an answer of the language model could not be used")
            await self._certain.wait()
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
                await self._certain.wait()
                self._ask_again(failure)
                continue
            await self._certain.wait()  # who cuts in with words may want something else; what was wanted is not done
            results = [(call, self._use(call)) for call in calls]
            if results or speakable(self._said):
                self._message = self._history.add_ours(self._said, results)
            if speakable(self._said) or self._ends:
                return
            step += 1
            if not calls or step >= MAX_STEPS:
                self._ask_again(ChatFailure("empty", "answered without a word", retryable=True))
                tools = []

    async def _request(self, tools: Sequence[dict[str, Any]]) -> list[ToolCall]:
        calls = []
        messages = self._history.messages(self._said if speakable(self._said) else "")
        async for part in self._chat.stream(messages, tools):
            if isinstance(part, ToolCall):
                calls.append(part)
                continue
            before, self._said = self._said, self._said + part
            self._say(part)
            if speakable(self._said):
                if not speakable(before):
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
        begun = speakable(self._said)
        self._drop_unfinished()
        if begun:
            self._watch()

    def _drop_unfinished(self) -> None:
        """The piece of a sentence whose end will not come: "the price is three hundred" may have been to go on."""
        rest = self._answer.drop() if self._answer is not None else ""
        self._words, self._said = self._words.removesuffix(rest), self._said.removesuffix(rest)

    def _watch(self) -> None:
        """From now, or when all that was said so far has been heard: the model's next word is awaited."""
        rest = max(0.0, self._voice_until - self._port.clock.monotonic())
        self._gap.set(rest + GAP_SECONDS, self._dried_up)

    def _say(self, text: str) -> None:
        self._words += text
        self._hand_over(text)

    def _hand_over(self, text: str) -> None:
        """To our voice, which speaks it as far as it makes sentences."""
        if self._answer is not None:
            before = len(self._answer.text)
            self._answer.add(text)
            self._reckon(self._answer.text[before:])

    def _pause(self) -> None:
        if self._answer is not None:
            before = len(self._answer.text)
            self._answer.pause()
            self._reckon(self._answer.text[before:])

    def _reckon(self, spoken: str) -> None:
        if spoken:
            seconds = LETTER_SECONDS * sum(map(str.isalnum, spoken)) / self._book.speed
            self._voice_until = max(self._voice_until, self._port.clock.monotonic()) + seconds

    def _finish_answer(self) -> None:
        if self._answer is not None:
            self._host.finish_answer(self._answer, end=self._ends)

    def _finish(self) -> None:
        self._done()
        said, times = self._same
        self._same = (self._said, times + 1 if self._said == said else 1)
        self._ends = self._ends or self._same[1] >= MAX_SAME
        if self._ends and not says_goodbye(self._said):
            self._pause()
            self._say(self._text(self._book.goodbye))
        self._finish_answer()

    def _failed(self) -> None:
        """What was said is left standing, and the agent takes its leave."""
        self._done()
        self._keep_said()
        self._host.give_up()

    def _keep_said(self) -> None:
        self._drop_unfinished()
        if speakable(self._said):
            self._message = self._history.add_ours(self._said)

    def _too_late(self) -> None:
        """Not a word. Whoever has just cut us is waited for."""
        log.warning("the language model is too slow", extra={"code": "first_word"})
        self.cancel()
        if self._cut is None:
            self._failed()

    def _too_long(self) -> None:
        """Words without end: what was said is an answer, unless it is so again and again."""
        log.warning("the language model is too slow", extra={"code": "answer"})
        self.cancel()
        if self._cut is not None:
            return
        self._endless += 1
        if self._endless >= MAX_ENDLESS:
            self._host.give_up()
        else:
            self._finish_answer()

    def _dried_up(self) -> None:
        """No word for long within an answer: patience is asked for, and the model again; the second time it has failed."""
        if self._cut is not None:
            return  # after a noise this is looked at again
        log.warning("the language model is too slow", extra={"code": "gap"})
        if self._asked_again:
            self._stop()
            self._failed()
            return
        self._stop()
        self._asked_again = True
        self._drop_unfinished()
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
        if patience and self._answer is not None and not self._answer.text.endswith(patience):
            self._say(patience)
            self._pause()

    def _use(self, call: ToolCall) -> str:
        used = self._toolbox.use(call)
        self._ends = self._ends or used.ends
        return used.result

    def _text(self, text: Text | None) -> str:
        return text.render(self._fields) if text is not None else ""
