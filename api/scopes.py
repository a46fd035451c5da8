"""What a key must be allowed to do for each endpoint: the one place that says so. What is not named here is refused.

By the view function's name, so that an alias needs what its route needs.
"""

from __future__ import annotations

from typing import Final

from shared.api_keys import ADMIN, NUMBERS, READ, SUBMIT

OPEN: Final = ()
"""No key at all: phone events have a secret of their own, health says nothing of anybody."""
OPEN_SECTIONS = frozenset({"pages", "api-docs"})
"""The page and the documentation hold no data; what the page shows it fetches with a key."""

_LETS_NUMBERS_OUT = (ADMIN, NUMBERS)
"""Deliveries carry whole numbers (docs/webhooks.md): nobody has sent to them what they may not read themselves."""

SCOPES_OF: Final[dict[str, tuple[str, ...]]] = {
    "take_events": OPEN,
    "healthz": OPEN,
    "readyz": OPEN,
    "create_tasks": (SUBMIT,),
    "stop_tasks": (SUBMIT,),
    "submit_tasks": (SUBMIT,),
    "redial_task": (SUBMIT,),
    "add_to_list": (SUBMIT,),
    "list_tasks": (READ,),
    "list_records": (READ,),
    "send_recording": (READ,),
    "show_task": (READ,),
    "find_tasks": (READ,),
    "show_call": (READ,),
    "show_stats": (READ,),
    "show_call_stats": (READ,),
    "list_pauses": (READ,),
    "list_do_not_call": (READ,),
    "export_do_not_call": (READ,),
    "metrics": (READ,),
    "list_webhooks": (READ,),
    "list_deliveries": (READ,),
    "show_delivery": (READ,),
    "add_webhook": _LETS_NUMBERS_OUT,
    "remove_webhook": (ADMIN,),
    "test_webhook": (ADMIN,),
    "replay_delivery": _LETS_NUMBERS_OUT,
    "pause": (ADMIN,),
    "resume": (ADMIN,),
    "remove_from_list": (ADMIN,),
    "import_do_not_call": (ADMIN,),
    "list_audit": (ADMIN,),
    "erase_customer": (ADMIN,),
}


def scopes_of(endpoint: str) -> tuple[str, ...] | None:
    """The scopes that Flask's ``endpoint`` needs, all of them, OPEN for none; None if nobody said, and then nobody may."""
    section, _, view = endpoint.rpartition(".")
    if section in OPEN_SECTIONS:
        return OPEN
    return SCOPES_OF.get(view.removesuffix("_alias"))
