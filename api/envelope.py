"""What the specified endpoints answer: ``code`` and ``msg`` in the body (callcenter-api.md, section 1).

A parameter error is HTTP 200 with code 405 in the body; everything that failed otherwise keeps its HTTP status
(reading.md, "Envelope").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from flask import Response

from shared.errors import WaihuError

PARAMETER_CODE = 405
FAILURE_CODE = 500
DONE = "操作成功"

_encoder = msgspec.json.Encoder()


class FieldProblem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request: ``index`` is the item's place in the array from 0, None outside of one."""

    index: int | None
    field: str | None
    message: str

    def __str__(self) -> str:
        place = "" if self.index is None else f"第 {self.index + 1} 条"
        where = " ".join(part for part in (place, self.field or "") if part)
        return f"{where}：{self.message}" if where else self.message


class ParameterError(WaihuError):
    """A request is not as the document demands; it names every problem that was found, and nothing was done."""

    code = "parameter"

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        super().__init__("参数不合法：" + "；".join(map(str, problems)))
        self.problems = tuple(problems)


def refuse(message: str, *, field: str | None = None, index: int | None = None) -> ParameterError:
    """The error for a single problem."""
    return ParameterError([FieldProblem(index, field, message)])


def success_code(setting: str, example: int) -> int:
    """The code of success: the one in the endpoint's own example unless WAIHU_SUCCESS_CODE overrides it for all."""
    return example if setting == "spec" else int(setting)


def encode(document: Any) -> bytes:
    """JSON of plain values and structs."""
    return _encoder.encode(document)


def answer(document: Any, status: int = 200) -> Response:
    """A JSON response; bytes are taken as JSON already."""
    body = document if isinstance(document, bytes) else encode(document)
    return Response(body, status, mimetype="application/json")


def failure(code: int, message: str, *, status: int, data: Any = None) -> Response:
    """The envelope of something that did not work."""
    return answer({"code": code, "msg": message, "data": data}, status)


def parameter_failure(error: ParameterError) -> Response:
    """HTTP 200 with code 405: ``msg`` names every problem for people, ``data`` lists them for programs."""
    return failure(PARAMETER_CODE, str(error), status=200, data=error.problems)
