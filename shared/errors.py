"""The error tree: one root, a stable code for programs, and whether trying again can help.

Messages say what was expected, what came and what to do; they carry ids, never a phone number, a secret or speech.
"""

from __future__ import annotations


class WaihuError(Exception):
    """Root of everything this product raises on purpose."""

    code = "error"
    retryable = False


class StatementFailed(WaihuError):
    """What Celery and Flower see of a database's error: its kind."""

    code = "database.statement"


def database_kind(error: BaseException) -> str | None:
    """The class of a database's error, and PostgreSQL's code for it; None for any other error.

    Its text must not be shown: it quotes the statement, and of PostgreSQL the row, which may be a dialogue. Told by what
    SQLAlchemy's and the drivers' errors have, so that processes without a database need not import them.
    """
    driver = getattr(error, "orig", None) if hasattr(error, "statement") else error
    if driver is error and not hasattr(error, "pgcode"):
        return None
    return " ".join(filter(None, [type(error).__name__, getattr(driver, "pgcode", None)]))


class SettingsError(WaihuError):
    """A setting is unknown, malformed, or unsafe as it stands; the message names it and the fix."""

    code = "settings"


class NumberError(WaihuError):
    """What was given as a phone number is none (reading.md, "Phone number")."""

    code = "number"


class PhoneError(WaihuError):
    """The phone system's dialog API did not do what was asked."""

    code = "phone"


class Unplaced(PhoneError):
    """Not a byte of the request left this machine: nothing rang, and trying again later is safe."""

    code = "phone.unplaced"
    retryable = True


class Refused(PhoneError):
    """The phone system answered with a non-zero code: nothing rang (section 5)."""

    code = "phone.refused"

    def __init__(self, reply_code: int, message: str) -> None:
        super().__init__(f"the phone system refused with code {reply_code}: {message[:200]}")
        self.reply_code = reply_code
        self.reply_message = message[:200]


class OutcomeUnknown(PhoneError):
    """The request may have taken effect, and no readable answer came; it must never be sent again."""

    code = "phone.unknown"


class TargetRefused(WaihuError):
    """A webhook's URL is none that we send to, or its host has no address that we send to; the message says why."""

    code = "webhook.target"


class RecordingPathError(WaihuError):
    """A recording's name points outside the recordings directory or is no recording's name."""

    code = "recording.path"


class BriefingMissing(WaihuError):
    """No worker could say what a call is about within the wait."""

    code = "briefing.missing"


class DatabaseUnavailable(WaihuError):
    """The database cannot be reached, or its schema is not the one this version needs."""

    code = "database"
    retryable = True
