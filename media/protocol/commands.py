"""Commands of Active Call, and how they are read (active-call-websocket-api, "Commands").

Reading is tolerant: a field that nobody knows is passed over and named, null is absent, 30.0 is 30. What cannot be
read raises CommandError, which names the field. The drivers inside this process build the structs themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from media.protocol.options import ALIASES, CallOption, Option, RecorderOption, ReferOption, SynthesisOption
from shared.errors import WaihuError

MAX_COMMAND_BYTES = 1 << 21
"""30 s of 16 kHz audio in base64 are 1.28 MB; nothing larger is one command."""
MILLISECONDS_FROM = 1000
"""``waitInputTimeout`` from here on is milliseconds, below it seconds (reading.md, "Active Call")."""


class CommandError(WaihuError, ValueError):
    """A command cannot be read. ``field`` names what is wrong, ``""`` if it is the message as a whole."""

    code = "command"

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Command(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="command", tag=str.lower, omit_defaults=True
):
    """Root of the commands. The tag is the class's name in lower case."""


class Invite(Command, frozen=True, kw_only=True):
    """Begin a call."""

    option: CallOption


class Accept(Command, frozen=True, kw_only=True):
    """Answer an incoming call."""

    option: CallOption


class Reject(Command, frozen=True, kw_only=True):
    """Refuse an incoming call."""

    reason: str
    code: int | None = None


class Ringing(Command, frozen=True, kw_only=True):
    """Let an incoming call ring (180)."""

    recorder: RecorderOption | None = None
    early_media: bool = False
    ringtone: str | None = None


class Tts(Command, frozen=True, kw_only=True):
    """Speak ``text``.

    The same ``play_id`` as what plays now is appended to it, another one interrupts it. With ``streaming`` the track
    stays open for more text until ``end_of_stream``. ``wait_input_timeout``: see ``wait_input_seconds``.
    """

    text: str
    speaker: str | None = None
    play_id: str | None = None
    auto_hangup: bool = False
    streaming: bool = False
    end_of_stream: bool = False
    wait_input_timeout: float | None = None
    option: SynthesisOption | None = None
    base64: bool = False


class Play(Command, frozen=True, kw_only=True):
    """Play the audio at ``url``, which is also its playId unless one is given."""

    url: str
    play_id: str | None = None
    auto_hangup: bool = False
    wait_input_timeout: float | None = None


class Interrupt(Command, frozen=True, kw_only=True):
    """Stop what plays; ``graceful`` lets the current sentence end."""

    graceful: bool = False


class Refer(Command, frozen=True, kw_only=True):
    """Hand the call to somebody else."""

    caller: str
    callee: str
    options: ReferOption | None = None


class Mute(Command, frozen=True, kw_only=True):
    """Silence one track, or all."""

    track_id: str | None = None


class Unmute(Command, frozen=True, kw_only=True):
    """Let one track, or all, be heard again."""

    track_id: str | None = None


class Pause(Command, frozen=True, kw_only=True):
    """Hold our playback (public server)."""


class Resume(Command, frozen=True, kw_only=True):
    """Go on with it (public server)."""


class Hangup(Command, frozen=True, kw_only=True):
    """End the call."""

    reason: str | None = None
    initiator: str | None = None


class History(Command, frozen=True, kw_only=True):
    """Note a line of dialogue that was not spoken here (public server)."""

    speaker: str
    text: str


class Message(Command, frozen=True, kw_only=True):
    """Send a text to the far end, where the leg can (public server)."""

    body: str
    content_type: str | None = None
    headers: dict[str, Any] | None = None


class Custom(Command, frozen=True, kw_only=True):
    """Echoed as a ``custom`` event, for the client's own log (public server)."""

    data: Any
    sender: str | None = None


AnyCommand = (
    Invite
    | Accept
    | Reject
    | Ringing
    | Tts
    | Play
    | Interrupt
    | Refer
    | Mute
    | Unmute
    | Pause
    | Resume
    | Hangup
    | History
    | Message
    | Custom
)
"""Every command."""

COMMANDS: Mapping[str, type[AnyCommand]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyCommand)}
"""The structs by their ``command``."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A command, and the dotted names of the fields in it that nobody knows (``option.agc``)."""

    command: AnyCommand
    unknown: tuple[str, ...]


_json = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]+)`")


def encode_command(command: AnyCommand) -> bytes:
    """The command's JSON, with defaults left out."""
    return _encoder.encode(command)


def decode_command(message: bytes | str) -> Decoded:
    """Reads one text message of a client. Raises CommandError, and nothing else."""
    if len(message) > MAX_COMMAND_BYTES:
        raise CommandError(f"expected a command of at most {MAX_COMMAND_BYTES} bytes, got {len(message)}")
    try:
        document = _json.decode(message)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise CommandError(f"expected a JSON object with a command, got what is not JSON: {error}") from error
    except RecursionError as error:
        raise CommandError("expected a JSON object with a command, got one nested too deeply") from error
    if not isinstance(document, dict):
        raise CommandError(f"expected a JSON object with a command, got {_kind(document)}")
    name = document.get("command")
    if not isinstance(name, str):
        raise CommandError(f"field command: expected the name of a command, got {_kind(name)}", "command")
    kind = COMMANDS.get(name)
    if kind is None:
        raise CommandError(f"field command: expected one of {', '.join(COMMANDS)}, got {name[:40]!r}", "command")
    unknown: list[str] = []
    return Decoded(_convert(_tidy(document, kind, "", unknown), kind, name), tuple(unknown))


def wait_input_seconds(value: float | None) -> float | None:
    """``waitInputTimeout`` in seconds whichever unit the client meant; None if it is absent or not above 0."""
    if value is None or value <= 0:
        return None
    return value / 1000 if value >= MILLISECONDS_FROM else value


def _convert(document: dict[str, Any], kind: type[AnyCommand], name: str) -> AnyCommand:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _AT.search(text)
        path = found["path"] if found else ""
        missing = _MISSING.match(text)
        if missing:
            path = f"{path}.{missing['name']}" if path else missing["name"]
            raise CommandError(f"{name}: field {path} is missing", path) from error
        said = text[: found.start()] if found else text
        raise CommandError(f"{name}: field {path}: {said[:1].lower()}{said[1:]}", path) from error


def _tidy(document: dict[str, Any], kind: type[msgspec.Struct], path: str, unknown: list[str]) -> dict[str, Any]:
    """``document`` as ``kind`` spells it: aliases resolved, nulls and unknown fields dropped (and named)."""
    tidy: dict[str, Any] = {}
    known = _known_fields(kind)
    for given, value in document.items():
        name = given
        if given not in known:
            alias = ALIASES.get(given)
            if alias is None or alias not in known:
                unknown.append(f"{path}{given}"[:80])
                continue
            name = alias
            if name in document:
                continue
        if value is None:
            continue
        nested = known[name]
        if isinstance(value, dict) and nested is not None:
            value = _tidy(value, nested, f"{path}{name}.", unknown)
        elif isinstance(value, float) and value.is_integer():
            value = int(value)
        tidy[name] = value
    return tidy


_known: dict[type[msgspec.Struct], dict[str, type[msgspec.Struct] | None]] = {}


def _known_fields(kind: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct] | None]:
    """Wire name of each field of ``kind``, and the option struct it holds, if any. Worked out once a struct."""
    known = _known.get(kind)
    if known is None:
        hints = get_type_hints(kind)
        known = {"command": None} if issubclass(kind, Command) else {}
        known |= {field.encode_name: _option_in(hints[field.name]) for field in msgspec.structs.fields(kind)}
        _known[kind] = known
    return known


def _option_in(hint: Any) -> type[msgspec.Struct] | None:
    return next((part for part in _parts(hint) if isinstance(part, type) and issubclass(part, Option)), None)


def _parts(hint: Any) -> Iterator[Any]:
    if get_origin(hint) in (Union, UnionType):
        yield from get_args(hint)
    else:
        yield hint


def _kind(value: Any) -> str:
    """What JSON calls ``value``, never its content: it may be dialogue or a secret."""
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "nothing")
