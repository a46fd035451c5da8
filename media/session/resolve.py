"""From the options of Active Call to those of the speech providers. Pure.

What a call leaves open is as the settings say. A call that names another provider than they do never gets their
endpoint, model or key: those belong to the provider they were configured for. Nor does an endpoint that a call brings
ever get our key.
"""

from __future__ import annotations

from dataclasses import replace

from media.legs.leg import RATE
from media.protocol.options import SynthesisOption, TranscriptionOption
from media.speech.ports import RecognitionOptions, SynthesisOptions


def recognition(option: TranscriptionOption, configured: RecognitionOptions, origin_ms: int) -> RecognitionOptions:
    """Options for one recognition whose first sample lies ``origin_ms`` into the call."""
    base = configured
    if option.provider and option.provider != configured.provider:
        base = RecognitionOptions(provider=option.provider)
    return replace(
        base,
        language=option.language or base.language,
        model=option.model_type or base.model,
        endpoint=option.endpoint or base.endpoint,
        key=option.secret_key or ("" if option.endpoint else base.key),
        samplerate=RATE,
        origin_ms=origin_ms,
        extra=dict(base.extra) | (option.extra or {}),
    )


def synthesis(option: SynthesisOption, configured: SynthesisOptions) -> SynthesisOptions:
    """Options for one utterance."""
    base = configured
    if option.provider and option.provider != configured.provider:
        base = SynthesisOptions(provider=option.provider)
    return replace(
        base,
        speaker=option.speaker or base.speaker,
        volume=base.volume if option.volume is None else min(10, max(1, option.volume)),
        speed=base.speed if option.speed is None else option.speed,
        emotion=option.emotion or base.emotion,
        endpoint=option.endpoint or base.endpoint,
        key=option.secret_key or ("" if option.endpoint else base.key),
        subtitle=base.subtitle if option.subtitle is None else option.subtitle,
        samplerate=RATE,
        extra=dict(base.extra) | (option.extra or {}),
    )
