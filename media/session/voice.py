"""Our side of a call: tracks of speech and clips, one heard at a time, through the playout ledger to the leg.

What ``tts`` and ``play`` mean (reading.md, "Active Call"): the same playId is appended to what plays, in order; another
interrupts it. Every track ends in one ``trackEnd``. Speech that fails is answered with a fallback, never with silence.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal, Protocol

from media.driver import SessionOptions
from media.legs.leg import Leg
from media.playout import Cut, PlayEnded, Playout, PlayStarted, Starved
from media.protocol import events
from media.session.feed import Feed
from media.session.moments import Moments
from media.session.telling import Telling
from media.session.timers import Timers
from media.session.track import Track
from media.session.utterance import Source, Utterance
from media.speech.ports import SpeechFailure
from media.subtitle import words

MAX_PIECES = 64
"""Pieces that wait in one track: an answer has a dozen sentences; more is a driver that does not listen."""

Opener = Callable[[Utterance], Source]


class VoiceHost(Protocol):
    """What the voice tells its session."""

    def emit(self, event: events.AnyEvent) -> None:
        """One event for the driver."""

    def voice_started(self, track: Track) -> None:
        """A track is heard; ``trackStart`` was emitted."""

    def voice_heard(self, text: str, start: int, end: int, *, cut: bool) -> None:
        """So much of a track was heard; told before its ``trackEnd``. ``start`` and ``end``: milliseconds since 1970."""

    def voice_ended(self, track: Track) -> None:
        """A track is over; ``trackEnd`` was emitted."""

    def voice_flushed(self, start: int, end: int) -> None:
        """Timeline samples that were sent and will not be heard."""

    def voice_sounded(self, wait: float) -> None:
        """The first audio of a piece came after ``wait`` seconds."""


class Voice:
    """One call's."""

    __slots__ = (
        "_fallback", "_feed", "_file", "_host", "_leg", "_moments", "_numbers", "_options", "_telling", "_tracks",
        "muted", "playout", "track",
    )  # fmt: skip

    def __init__(
        self,
        host: VoiceHost,
        leg: Leg,
        playout: Playout,
        moments: Moments,
        timers: Timers,
        options: SessionOptions,
        fallback: Opener,
    ) -> None:
        """``fallback`` opens the synthesis of ``options.fallback_text``, from the cache."""
        self.playout = playout
        self.track: Track | None = None
        """What commands append to or interrupt."""
        self._tracks: dict[str, Track] = {}
        self._host = host
        self._leg = leg
        self._moments = moments
        self._options = options
        self._fallback = fallback
        self._telling = Telling(host.emit, moments, options.our_track)
        self.muted = False
        """Whether what we say is silenced on its way."""
        self._feed = Feed(self, playout, moments, timers, options)
        self._numbers = itertools.count(1)
        self._file = timers.alarm(self._file_ended)

    # --- what the session asks ---

    def track_for(self, play_id: str | None, kind: Literal["tts", "play"], *, interruptible: bool = True) -> Track:
        """The track that a command with this playId speaks on: the current one, or a new one that interrupts it."""
        self.look(self._moments.now())
        current = self.track
        if current is not None and not current.cut:
            if current.play_id == play_id and current.kind == kind:
                return current
            self.interrupt()
        track = Track(f"t{next(self._numbers)}", play_id, kind, interruptible=interruptible)
        if self.muted:
            track.silence("", muted=True)
        self.track = self._tracks[track.name] = track
        return track

    def add(self, track: Track, text: str, opener: Opener, *, complete: bool = True) -> Utterance | None:
        """Puts a piece at the end of a track. None if that is not wanted any more, or (an ``error``) too much."""
        if track.failed or track.cut:
            return None
        if len(track.pieces) >= MAX_PIECES:
            self._telling.error("tts", f"expected at most {MAX_PIECES} texts waiting on one track", 429)
            return None
        piece = Utterance(self, track.continued(text), opener, complete=complete)
        track.pieces.append(piece)
        return piece

    def extend(self, track: Track, piece: Utterance, text: str, *, complete: bool) -> None:
        """More text for a piece that streams."""
        if text and piece.begun and track.play is not None:
            track.play.mark(text, extend=True)
        track.text_end = text[-1:] or track.text_end
        piece.extend(text, complete=complete)

    def settle(self, track: Track) -> None:
        """A command's pieces were added: they go on their way; a track that holds nothing ends."""
        self._feed.advance(track)

    def mute(self, *, muted: bool) -> None:
        """Silences what we say, or lets it be heard again. What passes in silence is not in the transcript."""
        if muted == self.muted:
            return
        self.muted = muted
        self.look(self._moments.now())
        for track in self._tracks.values():
            track.silence(self._text_sent(track, whole_words=muted), muted=muted)

    def interrupt(self, *, graceful: bool = False) -> bool:
        """Cuts what plays, or lets its sentence end. False if nothing plays."""
        now = self._moments.now()
        self.look(now)
        track = self.track
        if track is None or (track.cut and graceful):
            return False
        graceful = graceful and track.kind == "tts"
        cut = self.playout.cut_gracefully(now) if graceful else self.playout.cut(now)
        if track.kind == "tts" and not track.cut:
            self._telling.interruption(track, cut if cut is not None and cut.play_id == track.name else None)
        track.cut = True
        track.auto_hangup = False
        if graceful and cut is not None:
            track.drop(keep_first=bool(track.pieces) and track.pieces[0].begun)
            self._feed.advance(track)
        else:
            self._cut_now(track, cut, now)
            self._leg.clear()
        return True

    def stop(self) -> None:
        """The call is over: what was heard so far is told, as cut."""
        now = self._moments.now()
        self.look(now)
        for track in list(self._tracks.values()):
            self._feed.unwatch(track)
            track.cut = True
            track.auto_hangup = False
            self._cut_now(track, self.playout.cut(now), now)

    def so_far(self, now: float) -> tuple[str, int] | None:
        """What has been heard of the speech that goes on, and when that began (milliseconds since 1970)."""
        playing = self.playout.playing
        track = self._tracks.get(playing.play_id) if playing is not None else None
        if playing is None or track is None or track.kind != "tts" or track.started_at is None:
            return None
        played = "".join([*track.heard, playing.text_at(self.playout.heard(now)).text])
        return track.audible(played), self._moments.ms_at(track.started_at)

    def look(self, now: float) -> None:
        """Takes note of what came to pass since the last time."""
        if not self._tracks:
            return
        for fact in self.playout.facts(now):
            track = self._tracks.get(fact.play_id)
            if track is None:
                continue
            if isinstance(fact, PlayStarted):
                self._play_started(track, fact)
            elif isinstance(fact, Starved):
                track.starved = True
            else:
                self._play_ended(track, fact)

    # --- UtteranceOwner ---

    def utterance_changed(self, utterance: Utterance) -> None:
        """Audio has come, or the end of it."""
        track = self._track_of(utterance)
        if track is not None:
            self._feed.advance(track)

    def utterance_failed(self, utterance: Utterance, failure: SpeechFailure) -> None:
        """A source gave up."""
        track = self._track_of(utterance)
        if track is not None:
            self.feed_failed(track, utterance, failure)

    # --- FeedHost ---

    def feed_sounded(self, piece: Utterance, wait: float) -> None:
        """A piece begins to sound."""
        if not piece.fallback:
            self._host.voice_sounded(wait)

    def feed_drained(self, track: Track) -> None:
        """Nothing more will come of a track."""
        self._look_at_end(track, self._moments.now_ms())

    def feed_failed(self, track: Track, piece: Utterance, failure: SpeechFailure) -> None:
        """A piece and all behind it are given up; a fallback is spoken instead, once."""
        self._feed.unwatch(track)
        if track.play is not None and piece.begun:
            track.play.break_off()
        track.give_up(piece)
        if not piece.fallback:
            late = failure.code in ("first_audio", "chunk_gap")
            self._telling.error("tts" if track.kind == "tts" else "media", str(failure), 408 if late else 500)
        if track.kind == "tts" and not track.cut:
            if self._options.fallback_text and not piece.fallback:
                text = track.continued(self._options.fallback_text)
                track.pieces.append(Utterance(self, text, self._fallback, fallback=True))
            else:
                track.file_due = bool(self._options.fallback_file)
        self._feed.advance(track)

    # --- tracks ---

    def _track_of(self, utterance: Utterance) -> Track | None:
        return next((track for track in self._tracks.values() if utterance in track.pieces), None)

    def _text_sent(self, track: Track, *, whole_words: bool) -> str:
        """What of a track's text has left: without the word that is under way, or with it."""
        before = "".join(track.heard)
        playing = self.playout.playing
        if playing is None or playing.play_id != track.name or not playing.begun:
            return before
        text, end = playing.text, len(playing.text_at(playing.taken).text)
        if not whole_words:
            end = next((word_end for _, word_end in words(text) if word_end > end), end)
        return before + text[:end]

    def _file_ended(self) -> None:
        for track in list(self._tracks.values()):
            if track.file_playing:
                self._end_file(track)
                self._feed.advance(track)

    def _look_at_end(self, track: Track, at: int) -> None:
        """A track may be over, or it may be the turn of the file that speaks for it."""
        if track.file_due and not track.pieces and not track.plays:
            track.file_due = False
            if self._leg.play_file(self._options.fallback_file):
                track.file_playing = True
                self._file.set(self._moments.now() + self._options.fallback_file_seconds)
        if track.idle:
            self._finish(track, at)

    def _end_file(self, track: Track) -> None:
        if track.file_playing:
            track.file_playing = False
            self._file.cancel()
            self._leg.end_file()

    def _play_started(self, track: Track, fact: PlayStarted) -> None:
        """Its first frame left. It is told when it is heard: not before the end of what is heard still."""
        if track.started_at is None:
            track.started_at = fact.sample
            if len(self._tracks) == 1:
                self._tell_start(track)

    def _tell_start(self, track: Track) -> None:
        if track.started_at is not None and not track.told:
            track.told = True
            self._telling.track_start(track, self._moments.ms_at(track.started_at))
            self._host.voice_started(track)

    def _play_ended(self, track: Track, fact: PlayEnded) -> None:
        track.plays -= 1
        track.heard_ms += fact.duration_ms
        if fact.text_heard:
            track.heard.append(fact.text_heard)
            track.heard_until = fact.sample
        self._look_at_end(
            track, self._moments.now_ms() if track.started_at is None else self._moments.ms_at(fact.sample)
        )

    def _cut_now(self, track: Track, cut: Cut | None, now: float) -> None:
        if cut is not None and cut.unheard[1] > cut.unheard[0]:
            self._host.voice_flushed(*cut.unheard)
        track.drop()
        self._end_file(track)
        self.look(now)
        if track.name in self._tracks:  # nothing of it had reached the ledger
            self._finish(track, self._moments.now_ms())

    def _finish(self, track: Track, at: int) -> None:
        """The one end of every track."""
        if self._tracks.pop(track.name, None) is None:
            return
        self._feed.unwatch(track)
        if self.track is track:
            self.track = None
        if not track.told:
            self._telling.track_start(track, at)
        start = at if track.started_at is None else self._moments.ms_at(track.started_at)
        if track.heard and track.kind == "tts":
            end = at if track.heard_until is None else self._moments.ms_at(track.heard_until)
            self._host.voice_heard(track.audible("".join(track.heard)), start, max(start, end), cut=track.cut)
        self._telling.track_end(track)
        self._host.voice_ended(track)
        for following in list(self._tracks.values()):
            self._tell_start(following)
