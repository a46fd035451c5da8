"""The client of the call-center API, against answers good and bad."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from deploy.client import Api, ApiError
from tests.api.servers import serving


@contextmanager
def running(app: Any) -> Iterator[Api]:
    """A client of a WSGI application on a free port."""
    with serving(make_server("127.0.0.1", 0, app)) as port, Api(f"http://127.0.0.1:{port}") as api:
        yield api


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, {"code": 405, "msg": "第1项：phone 不正确", "data": []}, "phone 不正确"),
        (500, {"code": 500, "msg": "系统异常"}, "系统异常"),
        (401, {"code": 401, "msg": "需要密钥"}, "--key"),
        (200, {"hello": 1}, "expected an answer of the API"),
        (200, [], "expected an answer of the API"),
    ],
)
def test_what_the_api_refuses_is_told_in_its_words(status: int, body: object, said: str) -> None:
    @Request.application
    def app(_request: Request) -> Response:
        return Response(json.dumps(body), status, content_type="application/json")

    with running(app) as api, pytest.raises(ApiError, match=said):
        api.create_tasks([])


def test_rows_are_gathered_over_pages_up_to_the_limit() -> None:
    @Request.application
    def app(request: Request) -> Response:
        asked = json.loads(request.get_data())
        first = (asked["pageNum"] - 1) * asked["pageSize"]
        rows = [{"batchId": number} for number in range(first, min(first + asked["pageSize"], 1234))]
        answer = {"code": 200, "msg": "", "rows": rows, "total": 1234}
        return Response(json.dumps(answer), 200, content_type="application/json")

    with running(app) as api:
        assert [row["batchId"] for row in api.tasks(limit=700)] == list(range(700))
        assert [row["batchId"] for row in api.tasks(limit=5)] == list(range(5))
        assert len(api.tasks(limit=10_000)) == 1234
