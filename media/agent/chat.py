"""A language model behind any OpenAI-compatible endpoint: streamed words, and the tools it calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import httpx2
import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam
from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall

from shared.errors import WaihuError

CONNECT_SECONDS = 3.0
READ_SECONDS = 20.0
"""Between two chunks, far above what the brain allows for a whole answer: a last resort against leaked requests."""
MAX_CONNECTIONS = 200
"""One a call that thinks; as many as calls in a process."""
LONGEST_REPLY = 400
"""Tokens: a minute and a half of speech, which nobody listens to."""

Message = dict[str, Any]
"""A message as chat completions take it: role, content, tool_calls, …"""


class ChatFailure(WaihuError):
    """The model did not answer. ``code`` (set per failure): ``connect``, ``status``, ``closed``, ``protocol``."""

    def __init__(self, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(f"the language model: {message} ({code})")
        self.code = code
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model calls, once all of the call has come. ``arguments``: JSON, as the model wrote it."""

    identity: str
    name: str
    arguments: str


class Chat(Protocol):
    """A language model."""

    def stream(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]]) -> AsyncIterator[str | ToolCall]:
        """Pieces of text as they come, then the tools called. Raises ChatFailure."""

    async def close(self) -> None:
        """Drops every connection."""


class OpenAiChat:
    """Implements Chat. For one event loop."""

    def __init__(self, endpoint: str, key: str, model: str) -> None:
        host = urlsplit(endpoint).hostname or ""
        loopback = host in ("localhost", "::1") or host.startswith("127.")
        limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
        self._model = model
        self._client = AsyncOpenAI(
            base_url=endpoint,
            api_key=key or "none",  # local servers want none, and the library insists on one
            max_retries=0,
            timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            http_client=DefaultAsyncHttpxClient(trust_env=not loopback, limits=limits),
        )
        # The library imports this part when it is first asked for, which takes 40 ms and more: not during a call.
        self._completions = self._client.chat.completions

    async def stream(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]]
    ) -> AsyncIterator[str | ToolCall]:
        """See Chat."""
        try:
            async for part in self._stream(messages, tools):
                yield part
        except openai.APIStatusError as error:
            status = error.status_code
            raise ChatFailure("status", f"expected an answer, got HTTP {status}", retryable=status >= 429) from error
        except openai.APIConnectionError as error:
            raise ChatFailure("connect", f"cannot be reached: {type(error).__name__}", retryable=True) from error
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise ChatFailure("closed", f"broke off: {type(error).__name__}", retryable=True) from error
        except (ValueError, AttributeError, TypeError) as error:
            message = f"expected chunks of a chat completion, got something else: {type(error).__name__}"
            raise ChatFailure("protocol", message, retryable=True) from error

    async def close(self) -> None:
        """See Chat."""
        await self._client.close()

    async def _stream(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]]
    ) -> AsyncIterator[str | ToolCall]:
        answer = await self._completions.create(
            model=self._model,
            messages=cast("list[ChatCompletionMessageParam]", list(messages)),
            tools=cast("list[ChatCompletionToolUnionParam]", list(tools)) if tools else openai.omit,
            max_tokens=LONGEST_REPLY,
            stream=True,
        )
        calls: dict[int, ToolCall] = {}
        finished = False
        async with answer:
            async for chunk in answer:
                for choice in chunk.choices[:1]:
                    if choice.delta.content:
                        yield choice.delta.content
                    for part in choice.delta.tool_calls or ():
                        _gather(calls, part)
                    finished = finished or choice.finish_reason is not None
        if not finished:
            raise ChatFailure("closed", "the stream ended in the middle of an answer", retryable=True)
        for index in sorted(calls):
            yield calls[index]


def _gather(calls: dict[int, ToolCall], part: ChoiceDeltaToolCall) -> None:
    """A call comes in pieces: its id and name first, then its arguments bit by bit."""
    so_far = calls.get(part.index, ToolCall("", "", ""))
    function = part.function
    calls[part.index] = ToolCall(
        so_far.identity or part.id or f"call_{part.index}",
        so_far.name + ((function.name if function else "") or ""),
        so_far.arguments + ((function.arguments if function else "") or ""),
    )
