"""The stand-in cloud's settings, and what its handlers share."""

import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from sandbox.cloud.faults import Fault, Faults, Service

_SLOWDOWN = 5.0


@dataclass(frozen=True, slots=True)
class CloudConfig:
    """Times are seconds. `key`: the only accepted API key; None accepts any that is not empty.

    `tts_speed` is how many times faster than real time the audio of a synthesis comes after its first chunk.
    `asr_heartbeat` is after how much audio without a result a task that asked for heartbeats gets one; the real service
    documents them, but not how often.
    `faults` are switched on at the start; the running cloud's own `faults` can be switched at any time.
    `chat_limit` is the only name that the model takes for the longest answer, `max_tokens` or `max_completion_tokens`, as
    OpenAI's newer models and many other servers do; None takes both.
    `tts_patience` is how long a synthesis waits for more text before it fails, as the real service does.
    """

    key: str | None = None
    asr_partial_latency: float = 0.03
    asr_final_latency: float = 0.2
    asr_heartbeat: float = 1.0
    tts_first_chunk: float = 0.08
    tts_chunk_seconds: float = 0.1
    tts_speed: float = 10.0
    tts_patience: float = 23.0
    chat_first_token: float = 0.12
    chat_token: float = 0.02
    chat_limit: Literal["max_tokens", "max_completion_tokens"] | None = None
    faults: Mapping[Service, Fault] = field(default_factory=dict)

    def slowed(self) -> "CloudConfig":
        """The same with every answer five times as late, and audio no faster than it plays."""
        return replace(
            self,
            asr_partial_latency=self.asr_partial_latency * _SLOWDOWN,
            asr_final_latency=self.asr_final_latency * _SLOWDOWN,
            tts_first_chunk=self.tts_first_chunk * _SLOWDOWN,
            tts_speed=1.0,
            chat_first_token=self.chat_first_token * _SLOWDOWN,
            chat_token=self.chat_token * _SLOWDOWN,
        )


class CloudState:
    """What all handlers of one running cloud share. `requests` counts `asr`, `tts`, `chat`, `models` and `denied`."""

    def __init__(self, config: CloudConfig) -> None:
        self.config = config
        self.requests: Counter[str] = Counter()
        self.faults = Faults(config.faults)

    def admits(self, authorization: str) -> bool:
        """Whether the value of an Authorization header carries an acceptable key; counts those that don't."""
        scheme, _, key = authorization.partition(" ")
        key = key.strip()
        good = scheme.lower() == "bearer" and bool(key)
        if good and self.config.key is not None:
            good = secrets.compare_digest(key.encode(), self.config.key.encode())
        if not good:
            self.requests["denied"] += 1
        return good
