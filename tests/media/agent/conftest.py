"""A session in memory: the documented contract of media.driver, on a clock that only tests move."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from media.agent.agent import Agent
from media.agent.brain import Brain, Host, ScriptedBrain
from media.agent.loading import load_playbook
from media.agent.playbook import Playbook
from media.agent.ticket import find_when, find_where, sample_fields
from media.driver import Driver
from media.protocol import events
from media.protocol.commands import AnyCommand, Hangup, Interrupt
from shared.bus import Briefing
from shared.clock import FakeClock
from shared.recordings import Turn

SECONDS_PER_CHARACTER = 0.2
PLAYBOOKS = Path(__file__).parents[3] / "playbooks"
CONTENT = "提醒您明天下午三点在人民广场参加优惠活动。"


@dataclass
class Alarm:
    call: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Voice:
    """One play of ours."""

    play_id: str
    texts: list[str] = field(default_factory=list)
    open: bool = True
    interruptible: bool = True
    auto_hangup: bool = False
    began: float = 0.0
    fails: bool = False

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def ends(self) -> float:
        return self.began + SECONDS_PER_CHARACTER * len(self.text)


class Call:
    """Implements SessionPort, plays the customer, and notes what happened."""

    def __init__(
        self,
        playbook: Playbook | str,
        *,
        content: str = CONTENT,
        brain: Callable[[Host, Playbook, Mapping[str, str], Call], Brain] | None = None,
    ) -> None:
        self.book = load_playbook(PLAYBOOKS / f"{playbook}.md") if isinstance(playbook, str) else playbook
        self.id = "2601010000000000001"
        self.briefing: Briefing | None = None
        self.clock = FakeClock()
        self.over = False
        self.reason = ""
        self.initiator = ""
        self.turns: list[Turn] = []
        self.tags: list[tuple[str, str]] = []
        self.said: list[str] = []
        """Every text of ours that began to be heard, one entry a play."""
        self.speech_fails = 0
        """How many of the next plays fail."""
        self._voice: Voice | None = None
        self._used: set[str] = set()
        self._alarms: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self._outbox: list[events.AnyEvent] = []
        self._sentence = 0
        fields = sample_fields() | {"ticketContent": content, "when": find_when(content), "where": find_where(content)}
        make = brain or (lambda host, book, fields, call: ScriptedBrain(host, book, fields))
        self.driver: Driver = Agent(self, self.book, fields, lambda host: make(host, self.book, fields, self))

    # --- SessionPort ---

    def submit(self, command: AnyCommand) -> None:
        if self.over:
            return
        if isinstance(command, Hangup):
            self._end(command.reason or "", command.initiator or "system")
        elif isinstance(command, Interrupt):
            self._cut()

    def say(
        self,
        text: str,
        *,
        play_id: str | None = None,
        more: bool = False,
        interruptible: bool = True,
        auto_hangup: bool = False,
        wait_input: float | None = None,
    ) -> str:
        name = play_id or f"p{next(self._numbers)}"
        if self.over:
            return name
        voice = self._voice
        if voice is None or voice.play_id != name:
            assert name not in self._used, "a play was begun again"
            self._cut()
            voice = self._voice = Voice(name, began=self.clock.monotonic(), interruptible=interruptible)
            self._used.add(name)
            self._emit(events.TrackStart(timestamp=self.clock.now_ms(), track_id="ours", play_id=name))
            if self.speech_fails:
                self.speech_fails -= 1
                voice.fails = True
                self._emit(self._error("tts"))
        if text:
            voice.texts.append(text)
        voice.open = more
        voice.auto_hangup = voice.auto_hangup or auto_hangup
        return name

    def after(self, seconds: float, call: Callable[[], None]) -> Alarm:
        alarm = Alarm(call)
        heapq.heappush(self._alarms, (self.clock.monotonic() + seconds, next(self._numbers), alarm))
        return alarm

    def heard(self) -> Sequence[Turn]:
        return self.turns

    def note_tag(self, name: str, value: str = "") -> None:
        if not self.over:
            self.tags.append((name, value))

    # --- time ---

    def deliver(self) -> None:
        while self._outbox:
            batch, self._outbox = self._outbox, []
            for event in batch:
                self.driver.on_event(event)

    def wait(self, seconds: float) -> None:
        """Lets time pass: plays end, timers ring, in their order."""
        self.deliver()
        until = self.clock.monotonic() + seconds
        while not self.over:
            due = [(at, "alarm") for at, _, alarm in self._alarms if not alarm.cancelled][:0]
            while self._alarms and self._alarms[0][2].cancelled:
                heapq.heappop(self._alarms)
            if self._alarms:
                due.append((self._alarms[0][0], "alarm"))
            if self._voice is not None and not self._voice.open:
                due.append((self._voice.ends, "voice"))
            if not due or min(due)[0] > until:
                break
            at, what = min(due)
            self.clock.advance(max(0.0, at - self.clock.monotonic()))
            if what == "alarm":
                heapq.heappop(self._alarms)[2].call()
            else:
                self._voice_ends()
            self.deliver()
        self.clock.advance(max(0.0, until - self.clock.monotonic()))
        self.deliver()

    def listen(self) -> str:
        """Lets our voice finish. Returns what was said last."""
        self.deliver()
        while self._voice is not None and not self._voice.open and not self.over:
            self.wait(self._voice.ends - self.clock.monotonic() + 0.001)
        return self.said[-1] if self.said else ""

    # --- the customer ---

    def answer(self) -> Call:
        self._emit(events.Answer(timestamp=self.clock.now_ms(), track_id="theirs", sdp=""))
        self.deliver()
        return self

    def speak(self, text: str, seconds: float = 1.0, *, interrupts: bool = True) -> None:
        """A turn of the customer's; it stops our voice unless that may not be interrupted, or it is a murmur."""
        began = self.clock.now_ms()
        self._emit(events.Speaking(timestamp=began, track_id="theirs", start_time=began))
        self.wait(0.3)
        if interrupts and self._voice is not None and self._voice.interruptible:
            self._cut()
        self._recognise(events.AsrDelta, text[: len(text) // 2], began)
        self.wait(seconds - 0.3)
        ended = self.clock.now_ms()
        self._recognise(events.AsrFinal, text, began)
        self.wait(0.4)
        overlapped = self._voice is not None
        if text:
            self.turns.append(Turn(role="user", content=text, start=began, end=ended))
        self._sentence += 1
        self._emit(
            events.Eou(
                timestamp=self.clock.now_ms(),
                track_id="theirs",
                text=text,
                start_time=began,
                end_time=ended,
                overlapped=overlapped,
            )
        )
        self.deliver()

    def make_noise(self) -> None:
        """Speech begins, as far as anybody can tell, and never ends."""
        now = self.clock.now_ms()
        self._emit(events.Speaking(timestamp=now, track_id="theirs", start_time=now))
        self.deliver()

    def talk(self, text: str, seconds: float = 1.0) -> str:
        """A turn after ours, and our answer to it, heard to its end."""
        self.listen()
        self.speak(text, seconds)
        return self.listen()

    def murmur(self, text: str) -> None:
        self.speak(text, 0.5, interrupts=False)

    def press(self, key: str) -> None:
        self._emit(events.Dtmf(timestamp=self.clock.now_ms(), track_id="theirs", digit=key))
        self.deliver()

    def leave(self) -> None:
        """The customer hangs up."""
        self._cut()
        self._end("callee", "callee")

    def recogniser_fails(self) -> None:
        self._emit(self._error("asr"))
        self.deliver()

    def ending(self) -> None:
        """The session says that its time is nearly up."""
        self._emit(
            events.Other(timestamp=self.clock.now_ms(), track_id="theirs", sender="session", extra={"ending": 15})
        )
        self.deliver()

    @property
    def alarms(self) -> int:
        """Timers that are still set."""
        return sum(not alarm.cancelled for _, _, alarm in self._alarms)

    # --- inside ---

    def _recognise(self, kind: type[events.AsrDelta] | type[events.AsrFinal], text: str, began: int) -> None:
        if text:
            now = self.clock.now_ms()
            self._emit(
                kind(timestamp=now, track_id="theirs", index=self._sentence, start_time=began, end_time=now, text=text)
            )
            self.deliver()

    def _cut(self) -> None:
        voice = self._voice
        if voice is None:
            return
        at = self.clock.now_ms()
        heard = voice.text[: int((self.clock.monotonic() - voice.began) / SECONDS_PER_CHARACTER)]
        self._emit(
            events.Interruption(
                timestamp=at, track_id="ours", play_id=voice.play_id, total_duration=0, current=0, subtitle=voice.text
            )
        )
        self._finish(voice, heard, cut=True)

    def _voice_ends(self) -> None:
        voice = self._voice
        assert voice is not None
        self._finish(voice, voice.text, cut=False)
        if voice.auto_hangup:
            self._end("autohangup", "system")

    def _finish(self, voice: Voice, heard: str, *, cut: bool) -> None:
        self._voice = None
        heard = "（备用）" if voice.fails else heard
        if heard:
            self.said.append(heard)
            began = self.clock.now_ms()
            self.turns.append(Turn(role="assistant", content=heard, start=began, end=self.clock.now_ms(), cut=cut))
        self._emit(
            events.TrackEnd(timestamp=self.clock.now_ms(), track_id="ours", play_id=voice.play_id, duration=0, ssrc=1)
        )

    def _end(self, reason: str, initiator: str) -> None:
        if self.over:
            return
        self.over, self.reason, self.initiator = True, reason, initiator
        now = self.clock.now_ms()
        self._emit(events.Hangup(timestamp=now, track_id="theirs", start_time="", hangup_time="", reason=reason))
        self.deliver()

    def _error(self, sender: str) -> events.Error:
        return events.Error(timestamp=self.clock.now_ms(), track_id="ours", sender=sender, error="broken", code=500)

    def _emit(self, event: events.AnyEvent) -> None:
        self._outbox.append(event)
