"""The port behind which calls are placed. ``dial`` and the lifecycle know this and nothing of what is behind it."""

from __future__ import annotations

from typing import Protocol


class Placer(Protocol):
    """Places calls and ends them. ``shared.phone.client.PhoneSystem`` is the one that speaks phone-system.txt."""

    def startcall(self, caller: str, callee: str, exten: str, request_id: str) -> str:
        """Asks for one call, once, and returns the id that the phone system gave it.

        ``exten`` is ``""`` if there is none; ``request_id`` is the call's uuid, committed before this is called.
        Raises ``shared.errors.Refused`` (nothing rang), ``Unplaced`` (nothing left this machine) or ``OutcomeUnknown``
        (it may ring: the caller must never ask again for the same call).
        """

    def hangup(self, call_id: str) -> None:
        """Ends a call; one that is gone already counts as ended, so this may be said twice.

        Raises ``shared.errors.Unplaced`` or ``OutcomeUnknown`` if nobody can say that the call was ended.
        """
