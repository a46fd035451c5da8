"""What is answered when a request cannot be served: the one boundary at which every error ends."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from api.envelope import FAILURE_CODE, FieldProblem, ParameterError, answer, failure, parameter_failure
from api.gate import MissingScope
from api.nearness import NotNear
from shared.database import lacks_schema
from shared.errors import WaihuError

V1 = "/api/v1/"
PROBLEM = "application/problem+json"
_MESSAGES = {
    401: "需要 API 密钥：请在请求头中带上 Authorization: Bearer 密钥，或 X-API-Key: 密钥",
    400: "请求体没有按 HTTP 分块或不完整，请检查后重发",
    403: "这个密钥没有所需的权限：{scope}",
    404: "没有这个地址；接口说明见 /docs",
    405: "这个地址不接受 {method} 请求",
    413: "请求体过大：最多 {limit} 字节，请分批提交",
    416: "所取的一段不在文件内",
    429: "请求过多，请稍后再试",
    503: "数据库暂时不可用，请稍后再试",
}
_NOT_NEAR = (
    "没有密钥时只接受本机的请求，而这个请求的 Host 或 Origin 不是本机："
    "请把 WAIHU_PUBLIC_URL 设为访问所用的地址，或设置密钥（waihu keys add）"
)
_TOO_LARGE = "the body is too large: at most {limit} bytes; send it in several requests"
_NO_SCHEMA = "the database lacks tables of this version, nothing was changed; `waihu db upgrade` makes them"
_DEFECT = "unexpected failure"

log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    """Makes these the answers of ``app``."""
    app.register_error_handler(ParameterError, handle_parameter)
    app.register_error_handler(HTTPException, handle_http)
    app.register_error_handler(Exception, handle_unexpected)


def handle_parameter(error: ParameterError) -> Response:
    """A request that is not as it should be: a problem with HTTP status 400 under ``/api/v1``, code 405 elsewhere."""
    return problem(400, str(error), error.problems) if request.path.startswith(V1) else parameter_failure(error)


def handle_http(error: HTTPException) -> Response:
    """An HTTP error: a problem under ``/api/v1``, the envelope elsewhere; the status and its headers stay."""
    status, limit = error.code or 500, request.max_content_length
    if request.path.startswith(V1):
        response = problem(status, _TOO_LARGE.format(limit=limit) if status == 413 else error.description or "")
    else:
        scope = "、".join(error.scopes) if isinstance(error, MissingScope) else ""
        text = _NOT_NEAR if isinstance(error, NotNear) else _MESSAGES.get(status, "请求无法处理（HTTP {status}）")
        message = text.format(method=request.method, limit=limit, scope=scope, status=status)
        response = failure(status, message, status=status)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers.add(name, value)
    return response


def handle_unexpected(error: Exception) -> Response:
    """HTTP 500: logged with where it happened, answered with nothing but the number under which it was logged.

    A database error's text can show rows, so of those only the kind is logged.
    """
    shown = {"error": type(error).__name__, "where": _where(error)}
    number = g.get("request_id", "")
    if lacks_schema(error):
        log.error("the database lacks tables of this version: run `waihu db upgrade`", extra=shown)
        if request.path.startswith(V1):
            return problem(500, f"{_NO_SCHEMA} (logged as {number})")
        return failure(FAILURE_CODE, f"数据库缺少本版本的表，请运行 waihu db upgrade（请求编号 {number}）", status=500)
    if isinstance(error, SQLAlchemyError):
        log.error("request failed in the database", extra=shown)
    else:
        log.error("request failed", extra=shown, exc_info=error)
    retryable = isinstance(error, SQLAlchemyError) or (isinstance(error, WaihuError) and error.retryable)
    if request.path.startswith(V1):
        advice = "the database is not available, nothing was changed; try again later" if retryable else _DEFECT
        return problem(500, f"{advice} (logged as {number})")
    advice = "数据库暂时不可用，什么都没有改变，请稍后重试" if retryable else "系统异常"
    return failure(FAILURE_CODE, f"{advice}（请求编号 {number}）", status=500)


def _where(error: Exception) -> str:
    """File, line and function of each of our own frames, outermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename]
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in ours)


def problem(status: int, detail: str, errors: Sequence[FieldProblem] = ()) -> Response:
    """RFC 9457; ``errors`` is an extension of it, the list that createTasks has as ``data``."""
    document: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    document["detail"] = detail
    if errors:
        document["errors"] = errors
    response = answer(document, status)
    response.mimetype = PROBLEM
    return response
