"""A language model behind any OpenAI-compatible endpoint: streamed words, and the tools it calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream, DefaultAsyncHttpxClient
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionToolUnionParam
from openai.types.chat.chat_completion_chunk import ChoiceDelta, ChoiceDeltaToolCall

from media.agent.tools import read_arguments
from shared.errors import WaihuError
from shared.unicode import ends_in_half, storable

CONNECT_SECONDS = 3.0
READ_SECONDS = 20.0
"""Between two chunks, far above what the brain allows for a whole answer: a last resort against leaked requests."""
MAX_CONNECTIONS = 200
"""One a call that thinks; as many as calls in a process."""
LONGEST_REPLY = 400
"""Tokens: a minute and a half of speech, which nobody listens to."""
LONGEST_THOUGHTS = 1_200
"""Tokens more under the limit's new name: models that have it count there what they think and nobody hears."""
_OLD_LIMIT, _NEW_LIMIT = "max_tokens", "max_completion_tokens"
"""What that limit is called: OpenAI's newer models refuse the old name, many other servers do not know the new one."""

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
        self._limit = _OLD_LIMIT
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
        answer = await self._ask(messages, tools)
        calls, text = _Calls(), _Text()
        finished = False
        async with answer:
            async for chunk in answer:
                for choice in (getattr(chunk, "choices", None) or ())[:1]:  # without any it only counts tokens
                    delta: ChoiceDelta | None = getattr(choice, "delta", None)
                    if delta is not None and delta.content and (piece := text.take(delta.content)):
                        yield piece
                    for part in (delta.tool_calls if delta is not None else None) or ():
                        calls.take(part)
                    finished = finished or choice.finish_reason is not None
        if not finished:
            raise ChatFailure("closed", "the stream ended in the middle of an answer", retryable=True)
        if rest := text.rest():
            yield rest
        for call in calls.complete():
            yield call

    async def _ask(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]]
    ) -> AsyncStream[ChatCompletionChunk]:
        """The stream. A server that wants the limit by its other name is asked again, and from then on so."""
        try:
            return await self._create(messages, tools, self._limit)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            if _NEW_LIMIT not in str(error):
                raise
        other = _OLD_LIMIT if self._limit == _NEW_LIMIT else _NEW_LIMIT
        answer = await self._create(messages, tools, other)
        self._limit = other
        return answer

    async def _create(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]], limit: str
    ) -> AsyncStream[ChatCompletionChunk]:
        return await self._completions.create(
            model=self._model,
            messages=cast("list[ChatCompletionMessageParam]", list(messages)),
            tools=cast("list[ChatCompletionToolUnionParam]", list(tools)) if tools else openai.omit,
            max_tokens=LONGEST_REPLY if limit == _OLD_LIMIT else openai.omit,
            max_completion_tokens=LONGEST_REPLY + LONGEST_THOUGHTS if limit == _NEW_LIMIT else openai.omit,
            stream=True,
        )


class _Text:
    """An answer's text in pieces that can be written down: a character may come in two halves, one a piece."""

    def __init__(self) -> None:
        self._half = ""

    def take(self, piece: str) -> str:
        """The piece, with the half that was kept before it, and without the one that it ends in."""
        text = self._half + piece
        self._half = text[-1] if ends_in_half(text) else ""
        return storable(text.removesuffix(self._half))

    def rest(self) -> str:
        """What was kept and found no other half."""
        return storable(self._half)


@dataclass(slots=True)
class _Call:
    """A call of which more may come."""

    identity: str
    name: str = ""
    arguments: str = ""

    @property
    def whole(self) -> bool:
        """Whether its arguments are complete: then nothing can follow."""
        return self.arguments != "" and read_arguments(self.arguments) is not None


class _Calls:
    """The tools of one answer. A call comes in pieces: its id and name first, then its arguments bit by bit.

    OpenAI numbers calls by ``index``. Other servers leave it out, or have 0 in all of them, and repeat id and name in
    every piece; some have no ids at all. Another id is another call; and so is another name, or any once the arguments
    are complete.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def take(self, part: ChoiceDeltaToolCall) -> None:
        """The next piece."""
        index: int | None = getattr(part, "index", None)  # the library takes chunks as they come
        name = (part.function.name if part.function else None) or ""
        call = self._find(index, part.id or "", name)
        if call is None:
            call = _Call(part.id or "")
            self._calls.append(call)
        if index is not None:
            self._by_index[index] = call
        call.identity = call.identity or part.id or ""
        call.name = call.name or name
        call.arguments += _as_json(part.function.arguments if part.function else None)

    def complete(self) -> list[ToolCall]:
        """All of them, in the order in which they began."""
        return [
            ToolCall(storable(call.identity) or f"call_{number}", storable(call.name), storable(call.arguments))
            for number, call in enumerate(self._calls)
        ]

    def _find(self, index: int | None, identity: str, name: str) -> _Call | None:
        """The call that a piece belongs to; None if it begins one."""
        if index is None and identity:
            return next((call for call in self._calls if call.identity == identity), None)
        call = None if index is None else self._by_index.get(index)
        if call is None and (index is None or not (identity or name)):
            call = self._calls[-1] if self._calls else None
        if call is None:
            return None
        if identity and call.identity:
            return call if identity == call.identity else None
        another = bool(name and call.name) and (name != call.name or call.whole)
        return None if another else call


def _as_json(arguments: object) -> str:
    """Arguments are JSON in a string; some servers put the object itself there."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return json.dumps(arguments, ensure_ascii=False)
