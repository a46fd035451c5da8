"""What this process says of itself: the three pages of its server."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass

from media import metrics
from media.bell import Bell
from media.control import Control
from media.ears.hearing import Hearing
from media.exchange import Exchange
from media.lag import LagProbe
from media.legs.door import PhoneDoor
from media.pacer import Pacer
from media.recorder import Recorder
from media.registry import Registry
from media.shelf import Shelf
from media.speech.standing import Standing
from shared.clock import Clock, skew_problem
from shared.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Gauges:
    """Gathers what the parts count; nothing here blocks."""

    settings: Settings
    process: str
    registry: Registry
    exchange: Exchange
    pacer: Pacer
    hearing: Hearing
    lag: LagProbe
    control: Control
    bell: Bell
    door: PhoneDoor
    recorder: Recorder
    shelf: Shelf
    standing: Standing
    filesystem: str
    """The id of the recordings directory that this process writes to: ``waihu doctor`` compares."""
    clock: Clock

    def health(self) -> dict[str, object]:
        """``/healthz``: the process lives and its loop turns."""
        return {"status": "ok", "process": self.process, "sessions": self.registry.sessions}

    def ready(self) -> tuple[bool, dict[str, object]]:
        """``/readyz``: whether new calls may come. Redis away is told and harms no live call, so it does not count; nor do a
        full disk and speech that fails, for while people are answered whose phones rang before, their sockets must find us."""
        ready = not self.registry.draining
        return ready, {
            "status": "ok" if ready else "draining",
            "process": self.process,
            "redis": "ok" if self.control.connected else "away",
            "sessions": self.registry.sessions,
            "capacity": self.registry.capacity,
            "stand_ins": list(self.settings.standins),
            "recordings": self.filesystem,
            "clock": skew_problem(self.clock.skew_ms()) or "ok",
            "recording": self.shelf.problem or "ok",
            "speech": self.standing.problem or "ok",
        }

    def text(self) -> str:
        """``/metrics``."""
        playouts = [session.playout for session in self.exchange.sessions.values()]
        registry, stats = self.registry, self.hearing.stats
        numbers = [
            metrics.gauge("sessions", "calls that live here", registry.sessions),
            metrics.gauge("phone_sessions", "phone calls that live here", registry.phone_sessions),
            metrics.gauge("capacity", "calls that may live here", registry.capacity),
            metrics.gauge("draining", "1 when no new call is taken", registry.draining),
            metrics.counter("admitted", "calls let in", registry.admitted),
            metrics.counter("refused", "calls turned away", registry.refused),
            *metrics.lateness("send_late", "how late frames were sent", self.pacer.lateness),
            *metrics.lateness("loop_late", "how late the loop ran what was due", self.lag.lateness),
            metrics.counter("loop_stalls", "times the loop stood still for 100 ms", self.lag.stalls),
            metrics.gauge("underruns", "dry spells inside speech of live calls", sum(p.starvations for p in playouts)),
            *metrics.hearing(stats),
            metrics.counter("vad_failures", "looks of the ears that failed", self.hearing.failures),
            metrics.gauge("recordable", "1 when a new call could be recorded", self.registry.recordable),
            metrics.gauge("conversable", "1 when a new call could be talked with", self.registry.conversable),
            metrics.gauge("disk_free_bytes", "room where recordings lie", self.shelf.free),
            metrics.counter("recording_failures", "times a recording began to fail", self.recorder.failures),
            metrics.counter("bad_frames", "audio frames refused", self.exchange.bad_frames + self.door.bad_frames),
            metrics.counter("live_dropped", "live events not sent", self.control.dropped),
            metrics.counter("rings_dropped", "messages to workers not sent", self.bell.dropped),
            metrics.gauge("redis_connected", "1 while hints can come", self.control.connected),
            metrics.counter("gc_collections", "full garbage collections", gc.get_stats()[2]["collections"]),
            metrics.counter("cpu_seconds", "processor time used", time.process_time()),
        ]
        return metrics.render(numbers, self.process)
