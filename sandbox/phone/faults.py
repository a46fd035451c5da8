"""What can be made to go wrong, as data. Faults are set by a scenario file, or at runtime for all or some numbers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

EventName = Literal["firstStart", "firstAnswer", "cdr", "*"]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=600)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

StartcallFault = Literal["", "slow", "broken", "error", "garbage", "empty", "hang", "after_socket"]


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The faults of one call. `"*"` names every event. The defaults are a phone system that does its work."""

    share: Share = 1.0
    """The share of calls that the faults befall, drawn for each call from the seed."""
    events_lost: tuple[EventName, ...] = ()
    events_doubled: tuple[EventName, ...] = ()
    events_late: dict[EventName, Seconds] = {}
    """Seconds that an event is held back; those behind it wait too, unless the events are shuffled."""
    events_shuffled: bool = False
    """Events don't wait for one another, and each is held back a random time of up to `shuffle_within`."""
    shuffle_within: Seconds = 2.0
    cdr_before_answer: bool = False
    """firstAnswer is held back until the cdr has been delivered."""
    clock_skew: Annotated[float, msgspec.Meta(ge=-86400, le=86400)] = 0.0
    """Seconds by which the times inside events are ahead of the true time."""
    startcall: StartcallFault = ""
    """The phone rings in each case. The answer: comes `startcall_delay` late (slow), never as the connection breaks (broken),
    is a 502 (error), no JSON (garbage), code 0 without the call's id (empty), never (hang), or comes when the audio socket
    has sent its first frame (after_socket)."""
    startcall_delay: Seconds = 0.3
    """Seconds from the ring to the faulty answer."""
    wrong_echo: bool = False
    """clientMutationId comes back as another one."""
    hangup_refused: bool = False
    audio_cut_after: Seconds | None = None
    """Seconds from the answer at which the audio socket is cut without a closing handshake."""
    audio_reopen_after: Seconds | None = 1.0
    """Seconds from the cut to the next socket; None: it stays cut."""

    def loses(self, event_name: str) -> bool:
        return _named(event_name, self.events_lost)

    def doubles(self, event_name: str) -> bool:
        return _named(event_name, self.events_doubled)

    def delay(self, event_name: str) -> float:
        """Seconds that this event is late."""
        late = {str(name): seconds for name, seconds in self.events_late.items()}
        return late.get(event_name, late.get("*", 0.0))


NONE = Faults()


def _named(event_name: str, names: tuple[EventName, ...]) -> bool:
    return event_name in names or "*" in names


class FaultError(ValueError):
    """What came is no description of faults."""


def decode_faults(body: bytes) -> Faults:
    """Faults from JSON. Raises FaultError, which names the field."""
    try:
        return msgspec.json.decode(body or b"{}", type=Faults)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FaultError(f"expected an object with fields of Faults (sandbox/phone/faults.py): {error}") from error
