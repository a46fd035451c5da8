"""OpenAI's chat completions over HTTP: `POST /v1/chat/completions`, streamed or whole, and `GET /v1/models`.

The shapes are those of OpenAI's API reference (chat completion, chat completion chunk, error object).
"""

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler

from sandbox.cloud import dialogue
from sandbox.cloud.config import CloudState
from sandbox.cloud.dialogue import Reply, ToolCall
from sandbox.cloud.faults import Fault

MODEL = "waihu-stand-in"

_log = logging.getLogger(__name__)

_TOKEN = re.compile(r"[\u4e00-\u9fff]{1,2}|\s*\w+|\s*[^\w\s]|\s+")  # one or two Chinese characters, a word, a mark
_TOKENS_BEFORE_FAULT = 3

Json = dict[str, Any]


class ApiError(Exception):
    """An answer other than 200, in OpenAI's shape."""

    def __init__(
        self, status: int, message: str, *, kind: str, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _invalid(param: str, expected: str) -> ApiError:
    return ApiError(400, f"Invalid '{param}': expected {expected}.", kind="invalid_request_error", param=param)


class _ApiHandler(RequestHandler):
    def initialize(self, state: CloudState) -> None:
        self._state = state
        self._gone = asyncio.Event()

    def on_connection_close(self) -> None:
        self._gone.set()

    def prepare(self) -> None:
        if not self._state.admits(self.request.headers.get("Authorization", "")):
            message = "Incorrect API key provided."
            self._refuse(ApiError(401, message, kind="invalid_request_error", code="invalid_api_key"))

    def _refuse(self, error: ApiError) -> None:
        self.set_status(error.status)
        if error.status == 429:
            self.set_header("Retry-After", "1")
        self.finish(error.body)


class ModelsHandler(_ApiHandler):
    """`GET /v1/models`."""

    def get(self) -> None:
        self._state.requests["models"] += 1
        self.finish({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "waihu"}]})


class ChatHandler(_ApiHandler):
    """`POST /v1/chat/completions`."""

    async def post(self) -> None:
        self._state.requests["chat"] += 1
        fault = self._state.faults.take("chat")
        try:
            request = _request(self.request.body)
            _check_limit(request, self._state.config.chat_limit)
            await self._show_before(fault)
        except ApiError as error:
            _log.info("chat refused", extra={"status": error.status})
            self._refuse(error)
            return
        if not self._gone.is_set():
            tools = [] if request.get("tool_choice") == "none" else request.get("tools") or []
            completion = _Completion(request, dialogue.reply(request["messages"], tools))
            await self._answer(completion, fault)

    async def _show_before(self, fault: Fault | None) -> None:
        if fault == "hang_start":
            await self._gone.wait()
        elif fault == "fail":
            raise ApiError(400, "The stand-in was told to refuse.", kind="invalid_request_error")
        elif fault == "error_500":
            raise ApiError(500, "The server had an error while processing your request.", kind="server_error")
        elif fault == "error_429":
            raise ApiError(429, "Rate limit reached for requests.", kind="requests", code="rate_limit_exceeded")

    async def _answer(self, completion: "_Completion", fault: Fault | None) -> None:
        config = self._state.config.slowed() if fault == "slow" else self._state.config
        await asyncio.sleep(config.chat_first_token)
        try:
            if not completion.stream:
                await asyncio.sleep(config.chat_token * len(completion.tokens))
                await self._answer_whole(completion, fault)
                return
            self.set_header("Content-Type", "text/event-stream; charset=utf-8")
            self.set_header("Cache-Control", "no-cache")
            async for data in self._paced(completion, config.chat_token, fault):
                self.write(f"data: {data}\n\n")
                await self.flush()
        except StreamClosedError:
            pass  # the client has hung up, as it does when the caller interrupts

    async def _answer_whole(self, completion: "_Completion", fault: Fault | None) -> None:
        if fault == "hang_stream":
            await self._gone.wait()
        elif fault in ("close", "fail_stream"):
            self.detach().close()
        elif fault == "garbage":
            self.set_header("Content-Type", "application/json")
            self.finish('{"id": "chatcmpl-')
        else:
            self.finish(completion.whole())

    async def _paced(self, completion: "_Completion", pause: float, fault: Fault | None) -> AsyncIterator[str]:
        for place, chunk in enumerate(completion.chunks()):
            if place == _TOKENS_BEFORE_FAULT and fault:
                async for data in self._show_within(fault):
                    yield data
                if fault in ("hang_stream", "close", "fail_stream"):
                    return
            yield json.dumps(chunk, ensure_ascii=False)
            await asyncio.sleep(pause)
        yield "[DONE]"

    async def _show_within(self, fault: Fault) -> AsyncIterator[str]:
        if fault == "hang_stream":
            await self._gone.wait()
        elif fault == "close":
            self.detach().close()
        elif fault == "garbage":
            yield '{"id": "chatcmpl-'
        elif fault == "fail_stream":
            error = ApiError(500, "The server had an error while processing your request.", kind="server_error")
            yield json.dumps(error.body)


class _Completion:
    """One reply in OpenAI's shapes."""

    def __init__(self, request: Json, reply: Reply) -> None:
        self.stream = bool(request.get("stream"))
        self._model = request["model"]
        self._usage_wanted = bool((request.get("stream_options") or {}).get("include_usage"))
        limit = request.get("max_completion_tokens") or request.get("max_tokens")
        tokens = _TOKEN.findall(reply.content)
        self.tokens = tokens[:limit] if limit else tokens
        cut = len(self.tokens) < len(tokens)
        self._calls = () if cut else reply.calls
        self._reason = "length" if cut else "tool_calls" if reply.calls else "stop"
        self._prompt_tokens = sum(len(_TOKEN.findall(dialogue.text_of(message))) for message in request["messages"])
        self._id = f"chatcmpl-{uuid.uuid4().hex[:24]}"
        self._created = int(time.time())

    def whole(self) -> Json:
        message: Json = {"role": "assistant", "content": "".join(self.tokens) or None, "refusal": None}
        if self._calls:
            message["tool_calls"] = [_call(call) for call in self._calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._reason}
        return self._envelope("chat.completion", choices=[choice], usage=self._usage())

    def chunks(self) -> Iterator[Json]:
        yield self._chunk({"role": "assistant", "content": ""})
        for token in self.tokens:
            yield self._chunk({"content": token})
        for index, call in enumerate(self._calls):
            whole = _call(call)
            arguments = whole["function"]["arguments"]
            yield self._call_chunk({"index": index, **whole, "function": {"name": call.name, "arguments": ""}})
            for part in _TOKEN.findall(arguments):
                yield self._call_chunk({"index": index, "function": {"arguments": part}})
        yield self._chunk({}, self._reason)
        if self._usage_wanted:
            yield self._envelope("chat.completion.chunk", choices=[], usage=self._usage())

    def _call_chunk(self, delta: Json) -> Json:
        return self._chunk({"tool_calls": [delta]})

    def _chunk(self, delta: Json, reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self._envelope("chat.completion.chunk", choices=[choice])

    def _envelope(self, kind: str, **parts: Any) -> Json:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model, **parts}

    def _usage(self) -> Json:
        done = len(self.tokens)
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": done,
            "total_tokens": self._prompt_tokens + done,
        }


def _call(call: ToolCall) -> Json:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return {
        "id": f"call_{uuid.uuid4().hex[:24]}",
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _check_limit(request: Json, name: str | None) -> None:
    """Raises ApiError, in OpenAI's words, if the longest answer is called by another name than the model takes."""
    for other in {"max_tokens", "max_completion_tokens"} - {name}:
        if name is not None and request.get(other) is not None:
            message = f"Unsupported parameter: '{other}' is not supported with this model. Use '{name}' instead."
            raise ApiError(400, message, kind="invalid_request_error", param=other, code="unsupported_parameter")


def _request(body: bytes) -> Json:
    """The request in `body`. Raises ApiError, naming what is wrong."""
    try:
        request = json.loads(body)
    except ValueError:
        message = "We could not parse the JSON body of your request."
        raise ApiError(400, message, kind="invalid_request_error") from None
    if not isinstance(request, dict):
        raise _invalid("body", "a JSON object")
    if not isinstance(request.get("model"), str) or not request["model"]:
        raise _invalid("model", "the name of a model")
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise _invalid("messages", "a non-empty array of objects")
    tools = request.get("tools")
    if tools is not None and not (isinstance(tools, list) and all(isinstance(one, dict) for one in tools)):
        raise _invalid("tools", "an array of objects")
    for name in ("max_tokens", "max_completion_tokens"):
        if request.get(name) is not None and (not isinstance(request[name], int) or request[name] < 1):
            raise _invalid(name, "an integer from 1")
    return request
