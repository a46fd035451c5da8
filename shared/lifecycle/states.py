"""The states of calls and tasks, what lists call them, and the hangup causes of records."""

from __future__ import annotations

import enum


class CallState(enum.StrEnum):
    QUEUED = "queued"
    DIALING = "dialing"
    UNKNOWN = "unknown"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"
    UNPLACED = "unplaced"
    REFUSED = "refused"
    LOST = "lost"


class TaskState(enum.StrEnum):
    PENDING = "pending"
    QUEUED = "queued"
    DIALING = "dialing"
    IN_CALL = "in_call"
    RETRY_WAIT = "retry_wait"
    COMPLETED = "completed"
    NOT_CONNECTED = "not_connected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    STOPPING = "stopping"
    STOPPED = "stopped"
    EXPIRED = "expired"


RANK = {
    CallState.QUEUED: 0,
    CallState.DIALING: 1,
    CallState.UNKNOWN: 2,
    CallState.RINGING: 3,
    CallState.ANSWERED: 4,
    CallState.ENDED: 9,
    CallState.UNPLACED: 9,
    CallState.REFUSED: 9,
    CallState.LOST: 9,
}
"""A call's state only rises in rank; those of the last rank are final."""
LIVE_CALLS = frozenset(state for state, rank in RANK.items() if rank < 9)
"""While a call is in one of these its number and its task may not be dialled again."""

FINAL_TASKS = frozenset(
    {
        TaskState.COMPLETED,
        TaskState.NOT_CONNECTED,
        TaskState.FAILED,
        TaskState.UNKNOWN,
        TaskState.STOPPED,
        TaskState.EXPIRED,
    }
)
WAITING_TASKS = frozenset({TaskState.PENDING, TaskState.RETRY_WAIT})
"""States without a live call: dispatch may claim them, stopTasks ends them at once."""

STATUS_TEXT = {
    TaskState.PENDING: "待拨打",
    TaskState.QUEUED: "排队中",
    TaskState.DIALING: "呼叫中",
    TaskState.IN_CALL: "通话中",
    TaskState.RETRY_WAIT: "待重拨",
    TaskState.COMPLETED: "已完成",
    TaskState.NOT_CONNECTED: "未接通",
    TaskState.FAILED: "失败",
    TaskState.STOPPING: "停止中",
    TaskState.STOPPED: "已停止",
    TaskState.EXPIRED: "已过期",
    TaskState.UNKNOWN: "结果未知",
}
"""What calltask/list calls each state (reading.md, "taskType ... status")."""

NORMAL_CLEARING = "NORMAL_CLEARING:sip:200"
NO_ANSWER = "NO_ANSWER:sip:480"
TEMPORARY_FAILURE = "NORMAL_TEMPORARY_FAILURE:sip:503"
LOST = "LOST:sip:0"
ORIGINATOR_CANCEL = "ORIGINATOR_CANCEL:sip:487"
