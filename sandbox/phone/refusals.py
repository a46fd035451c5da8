"""Why the phone system says no: the non-zero codes of its answers (phone-system.txt, sections 1.3 and 5).

The document leaves the numbers to the phone system; these are the stand-in's own.
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """The `code` of an answer."""

    OK = 0
    BAD_REQUEST = 1001
    """Not JSON, or a field is missing or of the wrong type."""
    UNKNOWN_ACTION = 1002
    NUMBER_REFUSED = 1101
    TOO_MANY_CALLS = 1102
    TOO_FAST = 1103
    CLOSING = 1104
    UNKNOWN_CALL = 1201
    CALL_ENDED = 1202
    NOT_ANSWERED = 1203
    WRONG_ORDER = 1204
    UNKNOWN_FILE = 1205
    HANGUP_REFUSED = 1206


class Refusal(Exception):
    """An answer with a non-zero code. `str()` says what was expected, what came, and what to do."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
