"""What a language model is told of the conversation so far: what was said, and of ours only what was heard. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from media.agent.chat import Message, ToolCall

MAX_MESSAGES = 60
"""Older turns are left out, whole: thirty exchanges are longer than calls last."""


class History:
    """One call's."""

    def __init__(self, prompt: str) -> None:
        self._prompt: Message = {"role": "system", "content": prompt}
        self._messages: list[Message] = []
        self._turn_at = 0

    def messages(self) -> list[Message]:
        """The request's ``messages``."""
        return [self._prompt, *self._messages]

    def restart(self, greeting: str) -> Message:
        """The conversation begins (again) with our greeting."""
        self._messages.clear()
        self._turn_at = 0
        return self.add_ours(greeting)

    def add_turn(self, said: str) -> None:
        """The customer's turn."""
        self._trim()
        self._turn_at = len(self._messages)
        self._messages.append({"role": "user", "content": said})

    def add_ours(self, text: str, calls: Sequence[tuple[ToolCall, str]] = ()) -> Message:
        """Our answer, and the tools called in it with their results. Returns the message, for ``keep_heard``."""
        message: Message = {"role": "assistant", "content": text}
        if calls:
            message["tool_calls"] = [
                {"id": call.identity, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call, _ in calls
            ]
        self._messages.append(message)
        for call, result in calls:
            content = json.dumps({"result": result}, ensure_ascii=False)
            self._messages.append({"role": "tool", "tool_call_id": call.identity, "content": content})
        return message

    def keep_heard(self, message: Message, heard: str) -> None:
        """Our answer was cut: only this much of it was heard, perhaps nothing."""
        message["content"] = heard
        if not heard and "tool_calls" not in message and message in self._messages:
            self._messages.remove(message)

    def rewind(self) -> None:
        """The customer's last turn, and all since, are taken back."""
        del self._messages[self._turn_at :]

    def _trim(self) -> None:
        while len(self._messages) > MAX_MESSAGES:
            self._messages.pop(0)
            while self._messages and self._messages[0]["role"] != "user":
                self._messages.pop(0)
