"""What came of one ticket, from all who know of it: the API, the sandbox, the recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2

from deploy.client import Api
from deploy.expectations import Outcome

REPORT_SECONDS = 10.0


def records_closed(task: Mapping[str, Any]) -> bool:
    """Whether nothing more is added to any call of a task (of /api/v1/tasks)."""
    return all(call["closedAt"] for call in task["calls"])


def gather(api: Api, sandbox_url: str, batch_id: int) -> Outcome:
    """The outcome of a task, by its last call. Raises ApiError, httpx2.HTTPError."""
    task = api.task(batch_id)
    uuid = task["calls"][0]["uuid"] if task["calls"] else ""
    records = api.records(limit=1, uuid=uuid) if uuid else []
    record = records[0] if records else {}
    wav_url = record.get("wavFileUrl", "")
    return Outcome(
        task=task,
        record=record,
        call=api.call(uuid) if uuid else {},
        report=_report(sandbox_url, uuid) if uuid else {},
        recording=api.download(wav_url) if wav_url else b"",
    )


def _report(sandbox_url: str, uuid: str) -> dict[str, Any]:
    """What the sandbox says of the call: what its callee heard. ``{}`` if it knows nothing."""
    response = httpx2.get(f"{sandbox_url}/np/sandbox/report/{uuid}", timeout=REPORT_SECONDS, trust_env=False)
    document = response.json() if response.status_code == 200 else {}
    return document if isinstance(document, dict) else {}
