"""What an answer of the customer's asks of us, whatever the playbook. Pure."""

from __future__ import annotations

from collections.abc import Set

from media.agent.intents import Intent

_COURTESIES = {Intent.GOODBYE, Intent.THANKS, Intent.YES, Intent.NO, Intent.BACKCHANNEL, Intent.HELLO, Intent.OPT_OUT}
_HELLOS = {Intent.HELLO, Intent.BACKCHANNEL}
_BEFORE_GREETING = {Intent.WRONG_NUMBER, Intent.CALLBACK, Intent.GOODBYE}


def only_hello(found: Set[Intent]) -> bool:
    """A hello and nothing else."""
    return bool(found) and found <= _HELLOS


def wants_no_greeting(found: Set[Intent]) -> bool:
    """Whoever says so with the first words is answered, not greeted."""
    return bool(found & _BEFORE_GREETING)


def wants_an_answer(found: Set[Intent]) -> bool:
    """Also after our goodbye, where courtesies need none."""
    return bool(found) and not found & _COURTESIES
