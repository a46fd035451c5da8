"""How the stand-in phone system is set."""

from __future__ import annotations

from typing import Annotated

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
Count = Annotated[int, msgspec.Meta(ge=0)]


PRESET_FILES = {
    "tianmao": "您好，欢迎使用智能外呼服务。",
    "fallback": "非常抱歉，系统暂时出现问题，我们稍后再联系您，再见。",
}
"""Files that are there before anybody uploads one: the document's own example, and a spoken fallback."""


class CallerLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one caller number may do: live calls at once, and new calls in any one second. None: no limit."""

    concurrency: Count | None = None
    cps: Count | None = None


class PhoneSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings that a scenario file may change. Times are seconds."""

    seed: int = 1
    """Every draw of luck (waits, faults, blank times) follows from it, the number called and how often it was called."""
    setup: Seconds = 0.05
    """From a startcall to the first ring (firstStart)."""
    ring: Seconds = 1.0
    """From the first ring to the answer, for people whose manner says nothing else. Short, so that nobody waits."""
    ring_limit: Seconds = 20.0
    """How long a phone rings before the phone system gives up."""
    max_call: Seconds = 600.0
    """The longest talk; then the phone system hangs up."""
    limit: CallerLimit = CallerLimit()
    """The limit of every caller number that has none of its own."""
    callers: dict[str, CallerLimit] = {}
    """Limits by caller number."""
    files: dict[str, str] = msgspec.field(default_factory=lambda: dict(PRESET_FILES))
    """Preset audio files for file_playback: name without suffix -> what is spoken in it."""
    event_tries: Annotated[int, msgspec.Meta(ge=1, le=20)] = 6
    """How often an event is sent before it is given up: with the waits doubling from `event_retry`, half a minute in all."""
    event_retry: Seconds = 0.5
    event_timeout: Seconds = 5.0
    audio_tries: Annotated[int, msgspec.Meta(ge=1, le=20)] = 5
    """How often the audio socket is opened before the call goes on without."""
    audio_retry: Seconds = 0.5

    def limit_of(self, caller: str) -> CallerLimit:
        return self.callers.get(caller, self.limit)
