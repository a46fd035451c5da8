"""The contract between a session and whoever drives it: our agent, or a program behind an Active Call socket.

Everything here happens on the event loop of the media process. A driver hears of the call by events and acts by
commands; both return at once, and what a command does comes back as events. The order that a driver may rely on:

- ``answer`` comes first, when audio flows; ``hangup`` comes last, once, whoever ended the call. After it nothing is
  called any more, timers included, and commands are ignored.
- ``trackStart`` (playId) → ``trackEnd`` or ``interruption`` + ``trackEnd`` (playId) for every play. ``trackEnd`` comes
  when the caller *heard* the end, not when it was sent.
- ``speaking`` → any number of ``asrDelta`` / ``asrFinal`` → ``silence`` → ``eou``. ``eou`` is the cue to answer: it
  carries the whole turn. ``asrFinal`` pieces are for those who do their own turn taking.
- Barge-in, when the session does it by itself (``SessionOptions.barge_in``): our voice stops at the caller's onset;
  within 500 ms it goes on as if nothing happened (no event), or ``interruption`` and ``trackEnd`` say that it is cut.
- ``error`` with sender ``asr`` or ``tts`` says that speech failed; the session has already spoken its fallback or
  reopened the recogniser. The call goes on; ``hangup`` if it should not.

Speech in pieces: ``say("您好。", play_id="a1", more=True)``, more of the same play_id, and finally one without ``more``
(its text may be empty). Each piece is synthesised by itself (the next one while this one plays), so it should be a
sentence or a clause; prompts that come again are cached. ``submit(Tts(streaming=True, …))`` is for those who have only
tokens: all texts up to ``end_of_stream`` go into one stream of the provider.
``auto_hangup=True`` on any of them ends the call when the play was heard to its end; not if it is interrupted.
``wait_input_timeout`` starts at ``trackEnd``; ``silence`` with our track's id then says that nobody spoke.
Every play that was accepted ends in exactly one ``trackEnd``, also one that could not be spoken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from media.ears.hysteresis import SpeechRule
from media.protocol.commands import AnyCommand
from media.protocol.events import AnyEvent
from media.protocol.options import SynthesisOption, TranscriptionOption
from media.turns import TurnRule
from shared.bus import Briefing
from shared.clock import Clock
from shared.recordings import Turn


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """How one session behaves. Durations are seconds."""

    barge_in: bool = False
    """Whether the session itself stops its voice when the caller speaks (reversibly). Ours: on; clients decide alone."""
    asr: TranscriptionOption | None = None
    """None: no recognition. Empty fields: as the settings say."""
    tts: SynthesisOption | None = None
    """None: ``tts`` commands are an error unless they carry an option. Empty fields: as the settings say."""
    vad: SpeechRule | None = SpeechRule()
    """None: no ``speaking`` and ``silence`` events (and no barge-in, no turns by voice)."""
    silence_timeout: float | None = None
    """``silence`` events while nobody speaks, each time this long has passed."""
    turns: TurnRule | None = TurnRule()
    """When the caller's turn is over. None: no ``eou`` events."""
    record: bool = True
    dtmf: bool = True
    longest: float = 600.0
    """The session hangs up (reason ``max_duration``) after so long. ``polite`` before that, the driver hears of it."""
    polite: float = 15.0
    """So long before ``longest`` an ``other`` event with sender ``session`` and extra ``{"ending": seconds}`` comes."""
    first_audio: float = 1.5
    """Longest wait for the first audio of a text."""
    chunk_gap: float = 1.5
    """Longest dry spell inside a text before synthesis counts as failed."""
    fallback_text: str = ""
    """Spoken, from the cache of prompts, when synthesis fails. Empty: straight to ``fallback_file``."""
    fallback_file: str = ""
    """A file on the phone system, played when ``fallback_text`` is not in the cache. Empty: nothing is played."""
    fallback_file_seconds: float = 4.0
    """How long that file is taken to last: the phone system does not tell when it ended."""
    caller_track: str = ""
    """trackId of the caller's audio; the session's id if empty."""
    our_track: str = "serverSideTrack"
    """trackId of what we play."""


class Timer(Protocol):
    """A timer that a driver set."""

    def cancel(self) -> None:
        """Stops it; no error if it has fired."""


class Driver(Protocol):
    """Whoever decides what is said. One object per session."""

    def on_event(self, event: AnyEvent) -> None:
        """Something happened. Called on the loop, in order, never from within ``submit``; must not block.

        An exception that escapes is logged and ends the call (``hangup`` with initiator ``error``).
        """


class SessionPort(Protocol):
    """What a driver sees of its session. Nothing here blocks or raises because of the call's state."""

    @property
    def id(self) -> str:
        """The session's id; for phone calls our uuid."""

    @property
    def briefing(self) -> Briefing | None:
        """What the call is about, for calls that tasks make."""

    @property
    def clock(self) -> Clock:
        """The session's clocks: use these, never the machine's."""

    @property
    def over(self) -> bool:
        """Whether the session has ended."""

    def submit(self, command: AnyCommand) -> None:
        """Carries out a command. What cannot be done comes back as an ``error`` event with sender ``command``."""

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
        """``tts`` for drivers inside this process; returns the play's id (made up if none is given).

        Says ``text`` after what that play already holds; a play of another id is interrupted. ``more``: the play stays
        open, and a call without it (``text`` may be ""), ends it. ``interruptible=False`` on the first piece: the
        caller may talk over it, and it is heard out. ``wait_input``: seconds.
        """

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Calls ``call`` once on the loop, when the session's clock says so (at most 20 ms later), unless it is over."""

    def heard(self) -> Sequence[Turn]:
        """The transcript so far: what was *heard*, ours cut where it was cut. Up to date when an event arrives."""

    def note_tag(self, name: str, value: str = "") -> None:
        """Writes an outcome into the transcript: ``do_not_call``, ``callback_wanted``, ``voicemail``, …"""


class Casting(Protocol):
    """Chooses who drives a phone call.

    The media process has one: what ``media.agent.casting.open_casting(settings, speech)`` returns (``speech`` a
    media.speech.providers.Speech, for prompts to be kept warm by ``async def run(self) -> None`` of the casting, which
    media.main starts as a task of its own if the casting has one).
    """

    def options(self, briefing: Briefing, defaults: SessionOptions) -> SessionOptions:
        """How the session for this call is to behave."""

    def driver(self, port: SessionPort) -> Driver:
        """The driver of a session that was made with those options. Called just before its ``answer`` event."""


@dataclass(frozen=True, kw_only=True)
class Cast:
    """A Casting of two functions; also the simplest twin for tests."""

    make: Callable[[SessionPort], Driver]
    choose: Callable[[Briefing, SessionOptions], SessionOptions] = lambda briefing, defaults: defaults

    def options(self, briefing: Briefing, defaults: SessionOptions) -> SessionOptions:
        return self.choose(briefing, defaults)

    def driver(self, port: SessionPort) -> Driver:
        return self.make(port)
