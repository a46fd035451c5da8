"""What the lifecycle is told about time and retries: the settings, and for some ticket types their own retry matrix."""

from __future__ import annotations

from dataclasses import replace

from shared.lifecycle import Policy
from shared.retries import Delays, RetryRules
from shared.settings import Settings


class Policies:
    """``default`` holds for every ticket type that no rule of RETRY_BY_TYPE names."""

    def __init__(self, settings: Settings, rules: RetryRules) -> None:
        no_answer = _ms(settings.retry_no_answer)
        self.default = Policy(
            ring_timeout_ms=round(settings.ring_timeout * 1000),
            max_call_ms=round(settings.max_call_seconds * 1000),
            startcall_timeout_ms=round(settings.phone_timeout * 1000),
            retry_no_answer_ms=no_answer,
            retry_refused_ms=_ms(settings.retry_refused),
            retry_unknown_ms=no_answer if settings.redial_unknown else (),
        )
        self._redial_unknown = settings.redial_unknown
        self._rules = rules

    def of(self, ticket_type: str) -> Policy:
        """The policy for a task of this type. What nobody knows to have rung is dialled again only if it is configured."""
        retries = self._rules.of(ticket_type)
        no_answer = self.default.retry_no_answer_ms if retries.no_answer is None else retries.no_answer
        unknown = retries.unknown
        if unknown is None:
            unknown = no_answer if self._redial_unknown else ()
        return replace(
            self.default,
            retry_no_answer_ms=no_answer,
            retry_refused_ms=self.default.retry_refused_ms if retries.refused is None else retries.refused,
            retry_unknown_ms=unknown,
        )


def _ms(seconds: tuple[float, ...]) -> Delays:
    return tuple(round(delay * 1000) for delay in seconds)
