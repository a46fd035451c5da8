"""The port behind which calls are placed. ``dial`` and the lifecycle know this and nothing of what is behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Placer(Protocol):
    """Places calls and ends them. ``shared.phone.client.PhoneSystem`` is the one that speaks phone-system.txt."""

    def startcall(self, caller: str, callee: str, exten: str, request_id: str, *, leaving: Callable[[], None]) -> str:
        """Asks for one call, once, and returns the id that the phone system gave it.

        ``exten`` is ``""`` if there is none; ``request_id`` is the call's uuid. ``leaving`` is called when everything
        is ready for the request's first byte, and not before: who asks commits then that the call is being dialled,
        and what it raises is raised, with nothing left.
        Raises ``shared.errors.Refused`` (nothing rang), ``Unplaced`` (nothing left this machine) or ``OutcomeUnknown``
        (it may ring: the caller must never ask again for the same call).
        """

    def hangup(self, call_id: str) -> None:
        """Ends a call; one that is gone already counts as ended, so this may be said twice.

        Raises ``shared.errors.Unplaced`` or ``OutcomeUnknown`` if nobody can say that the call was ended.
        """
