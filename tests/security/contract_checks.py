"""What schemathesis is told of this contract: an envelope with code 405 refuses as an HTTP status elsewhere does."""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection

PARAMETER_CODE = 405


def _code(response: Any) -> Any:
    try:
        document = json.loads(response.content)
    except ValueError:
        return None
    return document.get("code") if isinstance(document, dict) else None


@schemathesis.check
def wrong_data_is_refused(ctx: Any, response: Any, case: Any) -> bool | None:
    """schemathesis' own check, for all but what the envelope refuses with HTTP 200 (reading.md, "Envelope")."""
    enveloped = case.operation.path.startswith("/api/aicall/")
    if enveloped and response.status_code == 200 and _code(response) == PARAMETER_CODE:
        return None
    if case.media_type == "text/csv":  # whatever is put into it is text when it is sent
        return None
    return negative_data_rejection(ctx, response, case)


@schemathesis.check
def only_refusals_keep_their_status_outside_v1(ctx: Any, response: Any, case: Any) -> bool | None:
    """Of the specified endpoints every answer is an envelope whose code is its HTTP status, unless that is 200."""
    if case.operation.path.startswith("/api/aicall/") and case.method == "POST":
        code = _code(response)
        expected = (0, 200, PARAMETER_CODE) if response.status_code == 200 else (response.status_code,)
        assert code in expected, f"HTTP {response.status_code} with code {code!r}; expected one of {expected}"
    return None
