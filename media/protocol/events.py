"""Events of Active Call (active-call-websocket-api, "Events").

Writing is exact: names in camelCase, integers where the document shows integers, absent fields left out. All times
are milliseconds since 1970, all durations milliseconds. Fields without a default are always sent.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="event", tag=True, omit_defaults=True):
    """Root of the events. ``timestamp``: when it was made."""

    timestamp: int


class Attendee(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One side of a call."""

    username: str
    realm: str
    source: str


class Incoming(Event, frozen=True, kw_only=True, tag="incoming"):
    """A call comes in."""

    track_id: str
    caller: str
    callee: str
    sdp: str


class Answer(Event, frozen=True, kw_only=True, tag="answer"):
    """The call is answered and its audio flows. ``sdp`` is empty where the leg has none."""

    track_id: str
    sdp: str


class Reject(Event, frozen=True, kw_only=True, tag="reject"):
    """The call was refused."""

    track_id: str
    reason: str
    code: int | None = None


class Ringing(Event, frozen=True, kw_only=True, tag="ringing"):
    """The far end rings."""

    track_id: str
    early_media: bool


class Hangup(Event, frozen=True, kw_only=True, tag="hangup"):
    """The call is over; the last event of a session. The ``…_time`` are ISO 8601 texts."""

    track_id: str
    start_time: str
    hangup_time: str
    reason: str | None = None
    initiator: str | None = None
    answer_time: str | None = None
    ringing_time: str | None = None
    from_: Attendee | None = msgspec.field(default=None, name="from")
    to: Attendee | None = None
    extra: dict[str, Any] | None = None


class Speaking(Event, frozen=True, kw_only=True, tag="speaking"):
    """The caller began to speak, at ``start_time``."""

    track_id: str
    start_time: int


class Silence(Event, frozen=True, kw_only=True, tag="silence"):
    """The caller is silent since ``start_time``, or ``waitInputTimeout`` passed without input (``track_id`` is ours then)."""

    track_id: str
    start_time: int
    duration: int


class AsrFinal(Event, frozen=True, kw_only=True, tag="asrFinal"):
    """A stable piece of what the caller said. Both times are always sent: real clients fail without them."""

    track_id: str
    index: int
    start_time: int
    end_time: int
    text: str


class AsrDelta(Event, frozen=True, kw_only=True, tag="asrDelta"):
    """What the caller seems to be saying."""

    track_id: str
    index: int
    start_time: int
    end_time: int
    text: str


class Eou(Event, frozen=True, kw_only=True, tag="eou"):
    """End of utterance: the caller's turn is over. Made for the driver in this process; not in the document.

    ``text`` is all that was said in the turn, empty if there was speech and no words. ``overlapped``: our voice was
    playing on when the turn ended, so it was a backchannel ("嗯"), or words over a play that cannot be interrupted.
    """

    track_id: str
    text: str
    start_time: int
    end_time: int
    completed: bool = True
    overlapped: bool = False


class TrackStart(Event, frozen=True, kw_only=True, tag="trackStart"):
    """A play is heard from now on."""

    track_id: str
    play_id: str | None = None


class TrackEnd(Event, frozen=True, kw_only=True, tag="trackEnd"):
    """A play was heard to its end, or was cut. ``duration``: how much of it was heard."""

    track_id: str
    duration: int
    ssrc: int
    play_id: str | None = None


class Interruption(Event, frozen=True, kw_only=True, tag="interruption"):
    """A spoken play was cut. ``position``: index of the word of ``subtitle`` at which the caller stopped hearing.

    A CJK character is a word. ``current`` and ``total_duration``: what was heard, and what there was of it.
    """

    track_id: str
    total_duration: int
    current: int
    play_id: str | None = None
    subtitle: str | None = None
    position: int | None = None


class Dtmf(Event, frozen=True, kw_only=True, tag="dtmf"):
    """A key was pressed."""

    track_id: str
    digit: str


class Metrics(Event, frozen=True, kw_only=True, tag="metrics"):
    """How long something took, such as ``ttfb.asr.aliyun``."""

    key: str
    duration: int
    data: dict[str, Any]


class Error(Event, frozen=True, kw_only=True, tag="error"):
    """Something went wrong; the call goes on unless a ``hangup`` follows. ``sender``: asr, tts, media, command, …"""

    track_id: str
    sender: str
    error: str
    code: int | None = None


class Binary(Event, frozen=True, kw_only=True, tag="binary"):
    """Audio as JSON. In the document; never sent, since audio travels in binary frames (reading.md)."""

    track_id: str
    data: list[int]


class Ping(Event, frozen=True, kw_only=True, tag="ping"):
    """A sign of life."""

    payload: str | None = None


class Other(Event, frozen=True, kw_only=True, tag="other"):
    """What has no event of its own."""

    track_id: str
    sender: str
    extra: dict[str, Any] | None = None


class AddHistory(Event, frozen=True, kw_only=True, tag="addHistory"):
    """The answer to ``history`` (public server)."""

    sender: str
    speaker: str
    text: str


class Custom(Event, frozen=True, kw_only=True, tag="custom"):
    """The answer to ``custom`` (public server)."""

    data: Any
    sender: str | None = None


AnyEvent = (
    Incoming
    | Answer
    | Reject
    | Ringing
    | Hangup
    | Speaking
    | Silence
    | AsrFinal
    | AsrDelta
    | Eou
    | TrackStart
    | TrackEnd
    | Interruption
    | Dtmf
    | Metrics
    | Error
    | Binary
    | Ping
    | Other
    | AddHistory
    | Custom
)
"""Every event."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def encode_event(event: AnyEvent) -> bytes:
    """The event's JSON."""
    return _encoder.encode(event)


def decode_event(message: bytes | str) -> AnyEvent:
    """Reads an event, as a client does. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return _decoder.decode(message)
