"""How long things may take: what is fixed, and what the settings say. All durations are in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

QUEUED_WAIT_MS = 60_000
"""A queued call whose dial message was lost (Redis wiped, worker killed) goes back to its task after this long."""
DIALING_MARGIN_MS = 15_000
"""Beyond the HTTP time-out of startcall: only a killed worker leaves a call in dialing for longer."""
UNKNOWN_GRACE_MS = 30_000
"""Beyond the ring time-out: what rang unseen has stopped ringing, and an event that was late has come."""
HANGUP_GRACE_MS = 15_000
"""From our hangup to the cdr that should follow it; then we end the call ourselves."""
CALL_GRACE_MS = 30_000
"""Beyond the longest conversation: media hangs up by itself first."""
CLOSE_AFTER_MS = 30_000
"""From the first end signal to closing the record without the second (design, section 2)."""
UNPLACED_WAIT_MS = 5_000
"""Before a task whose startcall could not leave is due again, so that a dead phone system is not hammered."""


@dataclass(frozen=True)
class Policy:
    """What the settings say about time and retries; durations in milliseconds."""

    ring_timeout_ms: int = 60_000
    max_call_ms: int = 600_000
    startcall_timeout_ms: int = 10_000
    retry_no_answer_ms: tuple[int, ...] = ()
    retry_refused_ms: tuple[int, ...] = ()
    retry_unknown_ms: tuple[int, ...] = ()
    """Counted against all the task's tries, whatever came of them; empty: what nobody knows to have rung is never dialled again."""
