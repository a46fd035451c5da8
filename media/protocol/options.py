"""The option objects of Active Call (active-call-websocket-api, "Options"), with the document's own defaults."""

from __future__ import annotations

from typing import Any

import msgspec

ALIASES = {"apiKey": "secretKey", "model": "modelType", "voice": "speaker"}
"""Spellings of the public server (public server's ``TranscriptionOption``, ``SynthesisOption``) and what they mean here."""


class Option(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Root of the option objects. Absent and null are the same; ``omit_defaults`` keeps None off the wire."""


class RecorderOption(Option, frozen=True, kw_only=True):
    """Where and how a call is recorded. ``samplerate`` in Hz, ``ptime`` in milliseconds."""

    recorder_file: str
    samplerate: int = 16000
    ptime: int = 200


class TranscriptionOption(Option, frozen=True, kw_only=True):
    """Speech recognition. ``samplerate`` in Hz, ``buffer_size`` in bytes."""

    provider: str | None = None
    language: str | None = None
    app_id: str | None = None
    secret_id: str | None = None
    secret_key: str | None = None
    model_type: str | None = None
    buffer_size: int | None = None
    samplerate: int = 16000
    endpoint: str | None = None
    extra: dict[str, Any] | None = None
    start_when_answer: bool = False


class SynthesisOption(Option, frozen=True, kw_only=True):
    """Speech synthesis. A command's option is laid over the call's field by field, so None is "not said here".

    ``volume`` 1 to 10 (document's default 5), ``speed`` a factor (1.0), ``samplerate`` in Hz (16000).
    """

    provider: str | None = None
    speaker: str | None = None
    volume: int | None = None
    speed: float | None = None
    samplerate: int | None = None
    app_id: str | None = None
    secret_id: str | None = None
    secret_key: str | None = None
    codec: str | None = None
    emotion: str | None = None
    subtitle: bool | None = None
    endpoint: str | None = None
    extra: dict[str, Any] | None = None
    max_concurrent_tasks: int | None = None

    def over(self, base: SynthesisOption | None) -> SynthesisOption:
        """This option's fields where they are set, those of ``base`` elsewhere."""
        if base is None:
            return self
        merged = {name: mine if (mine := getattr(self, name)) is not None else getattr(base, name) for name in _FIELDS}
        return SynthesisOption(**merged)


_FIELDS = SynthesisOption.__struct_fields__


class VadOption(Option, frozen=True, kw_only=True):
    """Voice activity detection. ``speech_padding``, ``silence_padding`` and ``silence_timeout`` in milliseconds."""

    type: str = "silero"
    samplerate: int = 16000
    speech_padding: int = 250
    silence_padding: int = 100
    ratio: float = 0.5
    voice_threshold: float = 0.5
    max_buffer_duration_secs: int = 50
    silence_timeout: int | None = None
    endpoint: str | None = None
    secret_key: str | None = None
    secret_id: str | None = None


class MediaPassOption(Option, frozen=True, kw_only=True):
    """Audio handed to another WebSocket service. Rates in Hz, ``packet_size`` in bytes."""

    url: str
    input_sample_rate: int
    output_sample_rate: int
    packet_size: int = 2560


class SipOption(Option, frozen=True, kw_only=True):
    """SIP account and headers."""

    username: str | None = None
    password: str | None = None
    realm: str | None = None
    headers: dict[str, Any] | None = None


class ReferOption(Option, frozen=True, kw_only=True):
    """Transfer. ``timeout`` in seconds."""

    denoise: bool = False
    timeout: float | None = None
    moh: str | None = None
    asr: TranscriptionOption | None = None
    auto_hangup: bool = False
    sip: SipOption | None = None


class CallOption(Option, frozen=True, kw_only=True):
    """What ``invite`` and ``accept`` say of a call. ``handshake_timeout``: "30s" or a number of seconds."""

    denoise: bool = False
    offer: str | None = None
    callee: str | None = None
    caller: str | None = None
    codec: str = "pcmu"
    recorder: RecorderOption | None = None
    vad: VadOption | None = None
    asr: TranscriptionOption | None = None
    tts: SynthesisOption | None = None
    media_pass: MediaPassOption | None = None
    handshake_timeout: str | float | None = None
    enable_ipv6: bool = False
    sip: SipOption | None = None
    extra: dict[str, Any] | None = None
