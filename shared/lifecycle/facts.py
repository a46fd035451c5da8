"""What may be told of a call. Every fact carries its time: milliseconds since 1970, our clock unless it says otherwise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Placed:
    """startcall was answered with code 0 and the call's id."""

    at: int
    call_id: str


@dataclass(frozen=True)
class Refused:
    """startcall was answered with a non-zero code: nothing rang."""

    at: int


@dataclass(frozen=True)
class Unplaced:
    """Not a byte of startcall left, or the dial was called off before it."""

    at: int


@dataclass(frozen=True)
class OutcomeUnknown:
    """startcall may have left and was not answered readably."""

    at: int


@dataclass(frozen=True)
class Started:
    """The event firstStart."""

    at: int
    call_id: str = ""


@dataclass(frozen=True)
class Answered:
    """The event firstAnswer, or an audio frame: either proves that somebody picked up."""

    at: int
    call_id: str = ""


@dataclass(frozen=True)
class MediaEnded:
    """The call's media session is over. ``answered_at`` and ``ended_at`` are media's observations, our clock."""

    at: int
    answered_at: int
    ended_at: int


@dataclass(frozen=True)
class CdrReceived:
    """The cdr. Times are the phone system's own clock and give durations only."""

    at: int
    call_id: str = ""
    answer_time: int | None = None
    end_time: int | None = None
    record_file: str = ""


@dataclass(frozen=True)
class StopAsked:
    """stopTasks was called for the call's task."""

    at: int


@dataclass(frozen=True)
class DeadlinePassed:
    """``deadline_at`` is over. ``audio_flows``: a media session of this call lives, whatever the events say."""

    at: int
    audio_flows: bool = False


@dataclass(frozen=True)
class MediaGone:
    """The call is answered, but no media session has held it for longer than a reconnect takes."""

    at: int


@dataclass(frozen=True)
class AudioLost:
    """Media's files of a call that is over without anybody having told its end: ``last_at`` is the last that they hold of it.

    Both times are media's observations, our clock; ``answered_at`` is when its audio began.
    """

    at: int
    answered_at: int
    last_at: int


Fact = (
    Placed
    | Refused
    | Unplaced
    | OutcomeUnknown
    | Started
    | Answered
    | MediaEnded
    | CdrReceived
    | StopAsked
    | DeadlinePassed
    | MediaGone
    | AudioLost
)
