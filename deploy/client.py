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


class ApiError(Exception):
    """The API did not do what was asked; the message says what it said, or how it could not be reached."""


class Api:
    """One running API. Raises ApiError from every method."""

    def __init__(self, url: str, key: str = "") -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.url = url
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

    def task(self, batch_id: int) -> dict[str, Any]:
        """One task with all its calls (/api/v1)."""
        return self._get(f"/api/v1/tasks/{batch_id}")

    def call(self, uuid: str) -> dict[str, Any]:
        """One call with its tags and timeline (/api/v1)."""
        return self._get(f"/api/v1/calls/{uuid}")

    def download(self, url: str) -> bytes:
        """The file behind a wavFileUrl."""
        response = self._send("GET", url)
        if response.status_code != 200:
            raise ApiError(f"the recording was not given: HTTP {response.status_code}")
        return response.content

    def _get(self, path: str) -> dict[str, Any]:
        response = self._send("GET", path)
        if response.status_code != 200:
            raise ApiError(f"{path}: HTTP {response.status_code}")
        document: dict[str, Any] = response.json()
        return document

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
            raise ApiError(f"{message}: give a key with --key, or set WAIHU_API_KEYS")
        if response.status_code != 200 or code not in (0, 200):
            raise ApiError(f"{message} (code {code})")
        answer: dict[str, Any] = envelope
        return answer

    def _send(self, method: str, url: str, body: Any = None) -> httpx2.Response:
        try:
            return (
                self._client.request(method, url, json=body) if body is not None else self._client.request(method, url)
            )
        except httpx2.HTTPError as error:
            raise ApiError(
                f"no answer from {self.url} ({type(error).__name__}): is it running? `waihu up` starts everything"
            ) from error
