"""Rows of ``tasks`` and ``calls`` as the call-center document shows them: its lists, ``/api/v1`` and webhooks say the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping

from shared.lifecycle import STATUS_TEXT, TaskState
from shared.moments import printed

TASK_TYPE = 1


def task_row(row: RowMapping) -> dict[str, Any]:
    """A row of ``tasks`` as calltask/list shows it."""
    return {
        "batchId": row["batch_id"],
        "taskType": TASK_TYPE,
        "createtime": row["created_at"],
        "stopTime": row["final_at"],
        "connected": row["connected"],
        "ticketNo": row["ticket_no"],
        "phone": row["phone"],
        "username": row["username"],
        "ticketType": row["ticket_type"],
        "ticketContent": row["ticket_content"],
        "status": STATUS_TEXT[TaskState(row["state"])],
    }


def record_row(row: RowMapping, zone: ZoneInfo, url_of: Callable[[str], str]) -> dict[str, Any]:
    """A row of ``calls`` with its task's ticket_no and username, as records/list shows it."""
    return {
        "uuid": row["uuid"],
        "telephone": row["telephone"],
        "callType": row["call_type"],
        "calloutTime": printed(row["created_at"], zone),
        "answeredTime": printed(row["answered_at"], zone),
        "callEndTime": printed(row["ended_at"], zone),
        "hangupCause": row["hangup_cause"],
        "wavFileUrl": url_of(row["wav_file"]) if row["wav_file"] else "",
        "dialogue": [{"role": turn["role"], "content": turn["content"]} for turn in row["dialogue"] or ()],
        "extnum": row["extnum"],
        "timeLen": row["time_len"],
        "batchId": row["batch_id"],
        "ticketNo": row["ticket_no"],
        "username": row["username"],
    }
