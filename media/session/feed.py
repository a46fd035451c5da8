"""From pieces of speech to the ledger, in order, and the watch over those that are late."""

from __future__ import annotations

import itertools
from typing import Protocol

from media.audio.errors import AudioError
from media.driver import SessionOptions
from media.legs.leg import RATE
from media.play import Play
from media.playout import Playout
from media.session.moments import Moments
from media.session.timers import NEVER, Alarm, Timers
from media.session.track import Track
from media.session.utterance import Utterance
from media.speech.ports import SpeechFailure, SpokenWord
from media.subtitle import WordOffset

FALLBACK_WAIT = 0.3
"""A fallback comes from the cache within milliseconds; one that takes longer is not cached, and is not waited for."""
DRY_LOOK = 0.2
"""How often a late piece is looked at while earlier audio of its track still plays."""
BREATH = bytes(RATE // 4 * 2)
"""Silence between a sentence that broke off and the fallback: as a person stops short and starts anew."""
AHEAD = 30 * RATE
"""Samples that one play may have waiting in the ledger: what is interrupted soon is not handed over for nothing, and a notice
of any length is taken as it is spoken."""
HELD_LOOK = 1.0
"""How often a piece that waits for the ledger is looked at again."""
PIECES_AHEAD = 2
"""Pieces that are synthesised at once: the one that plays and the next, so that sentences follow without a gap."""


class FeedHost(Protocol):
    """Who is told what became of a track's pieces."""

    def feed_failed(self, track: Track, piece: Utterance, failure: SpeechFailure) -> None:
        """A piece cannot be spoken (to its end)."""

    def feed_drained(self, track: Track) -> None:
        """All pieces have gone to the ledger, and no more will come."""

    def feed_sounded(self, piece: Utterance, wait: float) -> None:
        """A piece's first audio came ``wait`` seconds after it was asked for."""


class Feed:
    """One call's."""

    def __init__(
        self, host: FeedHost, playout: Playout, moments: Moments, timers: Timers, options: SessionOptions
    ) -> None:
        self._host = host
        self._playout = playout
        self._moments = moments
        self._timers = timers
        self._options = options
        self._late: dict[str, Alarm] = {}
        """A watch for each track that waits: one that ends with its sentence may wait beside the one that follows."""
        self._held: dict[str, Alarm] = {}
        """For each track of which the ledger has enough for now: when it is looked at again."""

    def unwatch(self, track: Track) -> None:
        """Nothing of this track is waited for any more."""
        for alarms in (self._late, self._held):
            if alarm := alarms.pop(track.name, None):
                alarm.cancel()

    def advance(self, track: Track) -> None:
        """Moves what has come to the ledger, and opens the pieces whose turn it is."""
        while track.pieces:
            if track.play is not None and track.play.unsent >= AHEAD:
                self._hold(track)
                return
            if not self._open_pieces(track):
                return
            head = track.pieces[0]
            if not self._flow(track, head):
                return
            if head.waiting:
                continue
            if not head.done:
                self._watch(track, head)
                return
            if track.play is not None:
                track.play.complete()
            track.pieces.popleft()
            if track.streaming is head:
                track.streaming = None
            self.unwatch(track)
        if not track.open:
            if track.play is not None:
                track.play.end()
                track.play = None
            self._host.feed_drained(track)

    def _open_pieces(self, track: Track) -> bool:
        for piece in list(itertools.islice(track.pieces, PIECES_AHEAD)):
            try:
                piece.open(self._moments.now())
            except SpeechFailure as failure:
                self._host.feed_failed(track, piece, failure)
                return False
        return True

    def _flow(self, track: Track, head: Utterance) -> bool:
        """What has come of the first piece goes to the ledger, as far as that takes it. False if the track was given up over it."""
        unsent = track.play.unsent if track.play is not None else 0
        audio, words = head.take((AHEAD - unsent) * 2)
        if not audio and not (words and head.begun):
            return True
        try:
            play = self._play_for(track, head)
            wanted = all(play.append(pcm) for pcm in audio)
        except AudioError as error:
            self._host.feed_failed(track, head, SpeechFailure("session", "overflow", str(error)))
            return False
        if words:
            play.offsets([_offset(word) for word in words])
        if not wanted:  # the sentence that was to be heard out is complete
            head.cancel()
            head.done = True
        track.starved = False
        return True

    def _play_for(self, track: Track, head: Utterance) -> Play:
        """The play that takes the first piece's audio. Raises PlayoutFullError."""
        if track.play is None:
            track.play = self._playout.open(track.name)
            track.plays += 1
        if not head.begun:
            if head.fallback and track.play.appended:
                track.play.append(BREATH)
            head.begun = True
            asked = self._moments.now() if head.opened_at is None else head.opened_at
            self._host.feed_sounded(head, self._moments.now() - asked)
            track.play.mark(head.text)
        return track.play

    def _hold(self, track: Track) -> None:
        """The ledger has enough for now. How long the text will be is known if all of it has come: what is heard of it is
        then no guess."""
        head = track.pieces[0]
        if track.play is not None and head.begun and head.done:
            track.play.foresee(head.waiting // 2)
        if late := self._late.get(track.name):
            late.cancel()
        if track.name not in self._held:
            self._held[track.name] = self._timers.alarm(lambda: self.advance(track))
        self._held[track.name].set(self._moments.now() + HELD_LOOK)

    def _watch(self, track: Track, head: Utterance) -> None:
        """Sets how long the first piece may take to say more."""
        late = self._late.get(track.name)
        if late is None:
            late = self._late[track.name] = self._timers.alarm(lambda: self._overdue(track))
        if not head.complete:
            late.cancel()
        elif head.sounded:
            late.set(self._moments.now() + self._options.chunk_gap)
        elif late.at == NEVER:
            late.set(self._moments.now() + (FALLBACK_WAIT if head.fallback else self._options.first_audio))

    def _overdue(self, track: Track) -> None:
        if not track.pieces:
            return
        head = track.pieces[0]
        if track.play is not None and not (track.starved or track.play.hollow):
            self._late[track.name].set(self._moments.now() + DRY_LOOK)
            return
        code, wait = (
            ("chunk_gap", self._options.chunk_gap) if head.sounded else ("first_audio", self._options.first_audio)
        )
        head.cancel()
        self._host.feed_failed(
            track, head, SpeechFailure("session", code, f"expected audio within {wait:g} s, got none")
        )


def _offset(word: SpokenWord) -> WordOffset:
    scale = RATE // 1000
    return WordOffset(word.text_start, word.text_end, word.start_ms * scale, word.end_ms * scale)
