"""Aliyun speech on a WebSocket: DashScope's task protocol at `/api-ws/v1/inference`, for ASR and TTS.

One connection serves tasks one after the other, as the real service does. After task-failed it is closed.
"""

import json
import logging
import uuid
from typing import Any

from tornado.websocket import WebSocketClosedError, WebSocketHandler

from sandbox.cloud.config import CloudState
from sandbox.cloud.faults import Fault, Service
from sandbox.cloud.recognition import RecognitionTask
from sandbox.cloud.synthesis import SynthesisTask
from sandbox.cloud.tasks import HungTask, Json, Reporter, Task, TaskFailure

PATH = "/api-ws/v1/inference"

_log = logging.getLogger(__name__)

_FUNCTIONS: dict[tuple[object, object], Service] = {
    ("asr", "recognition"): "asr",
    ("tts", "SpeechSynthesizer"): "tts",
}


class SpeechSocket(WebSocketHandler):
    """One client's connection."""

    def initialize(self, state: CloudState, sockets: "set[SpeechSocket]") -> None:
        self._state = state
        self._sockets = sockets
        self._task: Task | None = None
        self._reporter = Reporter(self, "")

    def check_origin(self, origin: str) -> bool:
        return True  # a service for programs: the key decides

    def prepare(self) -> None:
        if not self._state.admits(self.request.headers.get("Authorization", "")):
            self.set_status(401)
            self.set_header("Content-Type", "application/json")
            refusal = {"code": "InvalidApiKey", "message": "Invalid API-key provided.", "request_id": str(uuid.uuid4())}
            self.finish(json.dumps(refusal))

    def open(self, *args: str, **kwargs: str) -> None:
        self.set_nodelay(True)
        self._sockets.add(self)

    def on_close(self) -> None:
        self._sockets.discard(self)
        if self._task:
            self._task.cancel()

    async def send(self, message: str | bytes) -> None:
        try:
            await self.write_message(message, binary=isinstance(message, bytes))
        except WebSocketClosedError:
            pass  # the peer has gone; on_close ends the task

    async def on_message(self, message: str | bytes) -> None:
        try:
            if isinstance(message, bytes):
                await self._active().audio(message)
            else:
                await self._command(message)
        except TaskFailure as failure:
            _log.info("task failed", extra={"task_id": self._reporter.task_id, "error_code": failure.code})
            await self._reporter.failed(failure)
            self.close(1000)

    async def _command(self, message: str) -> None:
        header, payload = _parse(message)
        action = header.get("action")
        if action == "run-task":
            await self._run(header, payload)
            return
        if action not in ("continue-task", "finish-task"):
            raise TaskFailure("InvalidParameter", f"action: not run-task, continue-task or finish-task: {action!r}")
        task = self._active()
        if header.get("task_id") != self._reporter.task_id:
            raise TaskFailure("InvalidParameter", "task_id: not the one of run-task")
        if action == "finish-task":
            await task.finish()
        else:
            text = _member(payload, "input").get("text")
            if not isinstance(text, str):
                raise TaskFailure("InvalidParameter", "payload.input.text: expected a string")
            await task.text(text)

    def _active(self) -> Task:
        if self._task is None:
            raise TaskFailure("InvalidParameter", "no task is running: send run-task first")
        return self._task

    async def _run(self, header: Json, payload: Json) -> None:
        task_id = header.get("task_id")
        if not isinstance(task_id, str) or not task_id:
            raise TaskFailure("InvalidParameter", "header.task_id: expected a non-empty string")
        if self._task is not None and not self._task.finished:
            raise TaskFailure("InvalidParameter", "a task is running already on this connection")
        self._reporter = Reporter(self, task_id)
        service = _service(payload)
        self._state.requests[service] += 1
        fault = self._state.faults.take(service)
        if fault == "fail":
            raise TaskFailure("InternalError", f"[{service}:]the service can't start the task")
        self._task = self._build(service, _member(payload, "parameters"), fault)
        await self._task.start()

    def _build(self, service: Service, parameters: Json, fault: Fault | None) -> Task:
        if fault == "hang_start":
            return HungTask()
        if service == "asr":
            return RecognitionTask(self._reporter, parameters, self._state.config, fault)
        return SynthesisTask(self._reporter, parameters, self._state.config, fault)


def _parse(message: str) -> tuple[Json, Json]:
    try:
        whole = json.loads(message)
    except ValueError as error:
        raise TaskFailure("InvalidParameter", f"the message is not JSON: {error}") from None
    if not isinstance(whole, dict):
        raise TaskFailure("InvalidParameter", "the message: expected a JSON object")
    return _member(whole, "header"), _member(whole, "payload")


def _member(whole: Json, name: str) -> Json:
    part: Any = whole.get(name)
    if not isinstance(part, dict):
        raise TaskFailure("InvalidParameter", f"{name}: expected an object")
    return part


def _service(payload: Json) -> Service:
    if payload.get("task_group") != "audio":
        raise TaskFailure("InvalidParameter", f"task_group: expected audio, got {payload.get('task_group')!r}")
    kind = (payload.get("task"), payload.get("function"))
    if kind not in _FUNCTIONS:
        raise TaskFailure(
            "InvalidParameter", f"task, function: expected asr, recognition or tts, SpeechSynthesizer, got {kind}"
        )
    model = payload.get("model")
    if not isinstance(model, str) or not model:
        raise TaskFailure("ModelNotFound", "model: expected a name, such as paraformer-realtime-v2 or cosyvoice-v2")
    return _FUNCTIONS[kind]
