"""The call-center API as its client: what the ``waihu`` command and the demo ask of a running house."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import httpx2

PAGE = 500
"""Rows in one page: the most the API gives (reading.md, "Paging")."""
TIMEOUT = 60.0
"""Seconds: 10,000 tickets on a busy machine take a few."""
_KEY_ADVICE = ": give a key with --key, or set WAIHU_API_KEYS"


class ApiError(Exception):
    """The API did not do what was asked; the message says what it said, or how it could not be reached.

    ``status``: of HTTP, 0 if there was no answer. ``problems``: what was wrong with which field, as the API lists it.
    """

    def __init__(self, message: str, status: int = 0, problems: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.problems = tuple(problems)


class Api:
    """One running API. Raises ApiError from every method. ``origin``: where its address was taken from."""

    def __init__(self, url: str, key: str = "", origin: str = "") -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.url = url
        self._origin = origin
        self._client = httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def create_tasks(self, tickets: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """One request, all or nothing: a batchId for every ticket, in order."""
        created: list[dict[str, Any]] = self._ask("createTasks", list(tickets))["data"]
        return created

    def stop_tasks(self, batch_ids: Sequence[int]) -> None:
        self._ask("stopTasks", {"batchIds": list(batch_ids)})

    def tasks(self, *, limit: int, **query: Any) -> list[dict[str, Any]]:
        """At most ``limit`` rows of calltask/list, newest first. ``query``: the document's own names."""
        return self._rows("calltask/list", limit, query)

    def records(self, *, limit: int, **query: Any) -> list[dict[str, Any]]:
        """At most ``limit`` rows of records/list, newest first. ``query``: the document's own names."""
        return self._rows("records/list", limit, {"callType": "02", **query})

    def submit(self, tickets: Sequence[dict[str, Any]]) -> tuple[int, list[dict[str, Any]]]:
        """As create_tasks, with schedules (/api/v1/tasks); the first is how many tasks are new."""
        answer = self.v1("POST", "tasks", list(tickets))
        return answer["created"], answer["tasks"]

    def task(self, batch_id: int) -> dict[str, Any]:
        """One task with all its calls (/api/v1)."""
        return self.v1("GET", f"tasks/{batch_id}")

    def call(self, uuid: str) -> dict[str, Any]:
        """One call with its tags and timeline (/api/v1)."""
        return self.v1("GET", f"calls/{uuid}")

    def v1(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The document that ``/api/v1/path`` answers with; an empty one if it has none."""
        response = self._send(method, f"/api/v1/{path}", body)
        document: dict[str, Any] = self._granted(response).json() if response.content else {}
        return document

    def import_csv(self, path: str, body: bytes) -> dict[str, Any]:
        """What ``/api/v1/path`` answers to a CSV file in UTF-8."""
        document: dict[str, Any] = self._granted(self._send("POST", f"/api/v1/{path}", csv=body)).json()
        return document

    def export_csv(self, path: str) -> bytes:
        """The file that ``/api/v1/path`` is."""
        return self._granted(self._send("GET", f"/api/v1/{path}")).content

    def download(self, url: str) -> bytes:
        """The file behind a wavFileUrl."""
        response = self._send("GET", url)
        if response.status_code != 200:
            raise ApiError(f"the recording was not given: HTTP {response.status_code}")
        return response.content

    def _granted(self, response: httpx2.Response) -> httpx2.Response:
        """The response, if it is one of success."""
        if response.is_success:
            return response
        try:
            problem = response.json()
            detail, problems = problem["detail"], problem.get("errors", ())
        except (ValueError, KeyError, TypeError, AttributeError):
            detail, problems = f"expected an answer of the API, got HTTP {response.status_code} from {self.url}", ()
        advice = _KEY_ADVICE if response.status_code == 401 else ""
        raise ApiError(f"{detail}{advice}", response.status_code, problems)

    def _rows(self, path: str, limit: int, query: dict[str, Any]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        given = {name: value for name, value in query.items() if value is not None}
        for page in self._pages(path, min(limit, PAGE), given):
            rows += page
            if len(rows) >= limit:
                break
        return rows[:limit]

    def _pages(self, path: str, size: int, query: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
        number = 1
        while True:
            page: list[dict[str, Any]] = self._ask(path, {**query, "pageNum": number, "pageSize": size})["rows"]
            yield page
            if len(page) < size:
                return
            number += 1

    def _ask(self, path: str, body: Any) -> dict[str, Any]:
        """The envelope of a successful answer."""
        response = self._send("POST", f"/api/aicall/{path}", body)
        try:
            envelope = response.json()
            code, message = envelope["code"], envelope["msg"]
        except (ValueError, KeyError, TypeError):
            raise ApiError(f"expected an answer of the API, got HTTP {response.status_code} from {self.url}") from None
        if response.status_code == 401:
            raise ApiError(f"{message}{_KEY_ADVICE}", 401)
        if response.status_code != 200 or code not in (0, 200):
            raise ApiError(f"{message} (code {code})", response.status_code, envelope.get("data") or ())
        answer: dict[str, Any] = envelope
        return answer

    def _send(self, method: str, url: str, body: Any = None, csv: bytes | None = None) -> httpx2.Response:
        given: dict[str, Any] = {} if body is None else {"json": body}
        if csv is not None:
            given = {"content": csv, "headers": {"Content-Type": "text/csv"}}
        try:
            return self._client.request(method, url, **given)
        except httpx2.HTTPError as error:
            origin = f"; this address is {self._origin}" if self._origin else ""
            raise ApiError(
                f"no answer from {self.url} ({type(error).__name__}): is it running? "
                f"`waihu up` starts everything{origin}"
            ) from error
