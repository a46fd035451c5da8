"""What a language model is told of the conversation so far: what was said, and of ours only what was heard. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from media.agent.chat import Message, ToolCall
from media.agent.tools import read_arguments

MAX_MESSAGES = 60
"""Older turns are left out, whole: thirty exchanges are longer than calls last."""

UNHEARD_NOTE = "（客户打断了你，这些话没有听到：“{unheard}”）"
BROKEN_NOTE = "（你刚才的回答中断了，客户只听到上面这些。请接着说完，不要重复已经说过的话。）"


class History:
    """One call's. What a model wrote that is no JSON goes back to it as what it should have been: servers read it, and
    refuse the whole request."""

    def __init__(self, prompt: str) -> None:
        self._prompt: Message = {"role": "system", "content": prompt}
        self._messages: list[Message] = []
        self._turn_at = 0
        self._unheard = ""
        """What of our last answer was not heard, until the model is told with the customer's next turn."""
        self._told_unheard = ""
        """What it was told with the last turn."""

    def messages(self, begun: str = "") -> list[Message]:
        """The request's ``messages``. ``begun``: what was said of an answer that broke off; the rest of it is asked for.

        Answers of ours in a row, such as one and a reminder, are one message: many servers want the roles to take turns.
        """
        messages = [self._prompt]
        for message in self._messages:
            last = messages[-1]
            if _is_plain_answer(last) and _is_plain_answer(message):
                messages[-1] = {**last, "content": last["content"] + message["content"]}
            else:
                messages.append(message)
        if begun:
            messages += [{"role": "assistant", "content": begun}, {"role": "user", "content": BROKEN_NOTE}]
        return messages

    def restart(self, greeting: str) -> Message:
        """The conversation begins (again) with our greeting."""
        self._messages.clear()
        self._turn_at = 0
        self._unheard = self._told_unheard = ""
        return self.add_ours(greeting)

    def add_turn(self, said: str) -> None:
        """The customer's turn; if it cut our answer short, with a note of what was not heard.

        The note stands in the customer's message: many servers take a system message at the beginning only, and a model
        that reads it in its own words would say such things aloud.
        """
        self._trim()
        self._turn_at = len(self._messages)
        note = UNHEARD_NOTE.format(unheard=self._unheard) if self._unheard else ""
        self._told_unheard, self._unheard = self._unheard, ""
        self._messages.append({"role": "user", "content": note + said})

    def add_ours(self, text: str, calls: Sequence[tuple[ToolCall, str]] = ()) -> Message:
        """Our answer, and the tools called in it with their results. Returns the message, for ``keep_heard``."""
        message: Message = {"role": "assistant", "content": text}
        if calls:
            message["tool_calls"] = [
                {
                    "id": call.identity,
                    "type": "function",
                    "function": {"name": call.name, "arguments": _object(call.arguments)},
                }
                for call, _ in calls
            ]
        self._messages.append(message)
        for call, result in calls:
            content = json.dumps({"result": result}, ensure_ascii=False)
            self._messages.append({"role": "tool", "tool_call_id": call.identity, "content": content})
        return message

    def keep_heard(self, message: Message, heard: str, unheard: str | None) -> None:
        """Our answer was cut: only this much of it was heard, perhaps nothing; ``unheard`` was to follow. None: nothing
        that the model would have to say."""
        message["content"] = heard
        if unheard is not None:
            self._unheard = unheard
        if not heard and "tool_calls" not in message:
            self._messages[:] = [one for one in self._messages if one is not message]

    def restore(self, message: Message, text: str) -> None:
        """Our last answer, which was cut, is said on: nothing was said since, and all of ``text`` will be heard."""
        message["content"] = text
        self._unheard = ""
        if not any(one is message for one in self._messages):
            self._messages.append(message)

    def rewind(self) -> None:
        """The customer's last turn, and all since, are taken back."""
        self._unheard = self._told_unheard
        del self._messages[self._turn_at :]

    def _trim(self) -> None:
        while len(self._messages) > MAX_MESSAGES:
            self._messages.pop(0)
            while self._messages and self._messages[0]["role"] != "user":
                self._messages.pop(0)


def _is_plain_answer(message: Message) -> bool:
    return message["role"] == "assistant" and "tool_calls" not in message


def _object(arguments: str) -> str:
    return arguments if arguments and read_arguments(arguments) is not None else "{}"
