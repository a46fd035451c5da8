"""The phone system's wire format, both directions (phone-system.txt, sections 1 to 4).

Pure: bytes in, structs out. Encoding is exact; decoding is tolerant, because the document's own examples give one
field in several types (``start_time`` as a string beside numeric times, ``pay_load`` as ``""`` or as a list).
Every ``decode_*`` raises :class:`WireError`, which says what was expected and what came, and nothing else.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

Action = Literal[
    "startcall", "file_playback", "start_stream", "stream_playback", "clean_stream", "stop_stream", "hangup"
]

SAMPLE_RATE = 8000
"""Samples a second of the audio in both directions (section 4.2: 8K 16bit mono PCM)."""

SAMPLE_BYTES = 2
"""Bytes a sample: signed 16-bit little-endian."""

MOST_FAULTS = 100
"""Elements of one batch of events of which it is told what is wrong with them; of more only the number."""


class WireError(ValueError):
    """What came does not follow the phone system's document."""


class StartCall(msgspec.Struct, frozen=True, kw_only=True):
    """Section 2.1, ``POST /``."""

    action: Literal["startcall"] = "startcall"
    caller: str
    callee: str
    is_record: bool = msgspec.field(name="isRecord")
    exten: str = ""
    request_id: str = msgspec.field(name="requestId")
    client_mutation_id: str = msgspec.field(name="clientMutationId")


class CallAction(msgspec.Struct, frozen=True, kw_only=True):
    """Sections 2.2 to 2.7, ``POST /{call_id}``. ``parameters`` is the file's name for ``file_playback``, else ``""``."""

    action: Literal["file_playback", "start_stream", "stream_playback", "clean_stream", "stop_stream", "hangup"]
    parameters: str = ""
    client_mutation_id: str = msgspec.field(name="clientMutationId")


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Section 1.3. ``code`` 0 is success; ``msg`` is then the call's id (startcall), else what went wrong."""

    code: int
    msg: str = ""
    client_mutation_id: str = msgspec.field(name="clientMutationId", default="")


class Cdr(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a ``cdr`` event's ``pay_load`` (section 3.3). Times are milliseconds of the phone system's clock."""

    start_time: int | None = None
    answer_time: int | None = None
    end_time: int | None = None
    call_type: str = ""
    is_record: bool = False
    record_file: str = ""

    @property
    def answered(self) -> bool:
        return self.answer_time is not None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event the phone system pushed (section 3). ``cdr`` is set for ``cdr`` events whose payload could be read."""

    event_name: str
    call_id: str = ""
    request_id: str = ""
    caller: str = ""
    callee: str = ""
    event_time: int | None = None
    cdr: Cdr | None = None


class Batch(msgspec.Struct, frozen=True):
    """What a body of events holds, each event with the object it came from.

    ``ignored``: how many elements are no events; ``faults``: what is wrong with the first of them, by their position.
    """

    events: list[tuple[Event, dict[str, Any]]]
    ignored: int = 0
    faults: dict[int, str] = {}


class AudioFrame(msgspec.Struct, frozen=True, gc=False):
    """Section 4.2, phone system to us: ``data`` is base64 on the wire and s16le mono 8 kHz bytes here."""

    type: str
    call_id: str
    data: bytes


_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")

_encoder = msgspec.json.Encoder()
_audio_decoder = msgspec.json.Decoder(AudioFrame)
_any_decoder = msgspec.json.Decoder()


def encode(message: StartCall | CallAction | Reply | AudioFrame) -> bytes:
    """JSON of a request, a reply or an audio frame, as the document shows it."""
    return _encoder.encode(message)


def decode_reply(body: bytes) -> Reply:
    """A response of the dialog API. Raises WireError unless it is an object with an integer ``code``.

    A missing or null ``msg`` is an empty one, and a code may be given as text: a refusal stays a refusal so.
    """
    try:
        document = _any_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(
            f"expected a JSON object with code and msg (section 1.3), got {_glimpse(body)}: {error}"
        ) from error
    code = _integer(document.get("code")) if isinstance(document, dict) else None
    if code is None:
        raise WireError(f"expected a JSON object with an integer code (section 1.3), got {_glimpse(body)}")
    return Reply(code=code, msg=_text(document.get("msg")), client_mutation_id=_text(document.get("clientMutationId")))


def decode_audio(message: bytes | str) -> AudioFrame:
    """One message of the audio socket. Raises WireError unless it is an audio frame of whole samples."""
    try:
        frame = _audio_decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"expected a JSON audio frame (section 4.2): {error}") from error
    if frame.type != "audio":
        raise WireError(f'expected type "audio" (section 4.2), got {frame.type[:40]!r}')
    if len(frame.data) % SAMPLE_BYTES:
        raise WireError(f"expected whole 16-bit samples (section 4.2), got {len(frame.data)} bytes")
    return frame


def decode_events(body: bytes) -> Batch:
    """One event or an array of them, for the inbox; what is none among others is left out, and named.

    Raises WireError for what is not JSON, and for elements of which not one is an event: an object with an event_name.
    """
    try:
        document = _any_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"expected JSON (section 3), got {_glimpse(body)}: {error}") from error
    events: list[tuple[Event, dict[str, Any]]] = []
    ignored, faults = 0, dict[int, str]()
    for position, item in enumerate(document if isinstance(document, list) else [document]):
        try:
            events.append((event_from(item, position), item))
        except WireError as error:
            ignored += 1
            if ignored <= MOST_FAULTS:
                faults[position] = str(error)
    if faults and not events:
        raise WireError(next(iter(faults.values())))
    return Batch(events, ignored, faults)


def event_from(item: Any, position: int = 0) -> Event:
    """The event in one decoded JSON object. Raises WireError, naming the position, if it is none."""
    if not isinstance(item, dict):
        raise WireError(f"expected an event object (section 3) at position {position}, got {type(item).__name__}")
    name = item.get("event_name")
    if not isinstance(name, str) or not name:
        came = '""' if name == "" else type(name).__name__
        raise WireError(f"expected a non-empty string event_name (section 3) at position {position}, got {came}")
    return Event(
        event_name=name,
        call_id=_text(item.get("call_id")),
        request_id=_text(item.get("request_id")),
        caller=_text(item.get("caller")),
        callee=_text(item.get("callee")),
        event_time=_milliseconds(item.get("event_time")),
        cdr=_cdr(item.get("pay_load")) if name == "cdr" else None,
    )


def _cdr(payload: Any) -> Cdr | None:
    """The first entry of a cdr's payload: a list, an object, or either as JSON in a string; None if there is none."""
    if isinstance(payload, str) and payload:
        try:
            payload = _any_decoder.decode(payload)
        except msgspec.DecodeError:
            return None
    if isinstance(payload, list):
        payload = payload[0] if payload else None
    if not isinstance(payload, dict):
        return None
    return Cdr(
        start_time=_milliseconds(payload.get("start_time")),
        answer_time=_milliseconds(payload.get("answer_time")),
        end_time=_milliseconds(payload.get("end_time")),
        call_type=_text(payload.get("call_type")),
        is_record=_text(payload.get("is_record")) in ("1", "True", "true"),
        record_file=_text(payload.get("record_file")),
    )


def _text(value: Any) -> str:
    """A string field given loosely; what is neither text nor number counts as absent."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float):
        return str(value)
    return ""


def _integer(value: Any) -> int | None:
    """A whole number given as one, or as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        text = value.strip()
        return int(text) if _WHOLE.fullmatch(text) else None
    return value if isinstance(value, int) else None


def _milliseconds(value: Any) -> int | None:
    """A time given as a number, a numeric string, null, 0 or "": None unless it is a positive number of milliseconds."""
    if isinstance(value, bool):
        return None
    try:
        number = int(value) if isinstance(value, int | float) or str(value).strip().isdigit() else 0
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < 1 << 53 else None


def _glimpse(body: bytes) -> str:
    """The first bytes of a body, for an error message."""
    return repr(body[:60]) + ("…" if len(body) > 60 else "")
