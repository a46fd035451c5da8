"""What a driver hears of our voice: the events of its tracks (active-call-websocket-api.txt, "Events")."""

from __future__ import annotations

from collections.abc import Callable

from media.playout import Cut
from media.protocol import events
from media.session.moments import Moments
from media.session.track import Track


class Telling:
    """One call's."""

    def __init__(self, emit: Callable[[events.AnyEvent], None], moments: Moments, our_track: str) -> None:
        self._emit = emit
        self._moments = moments
        self._our_track = our_track

    def track_start(self, track: Track, at: int) -> None:
        """It is heard, since ``at`` (milliseconds since 1970)."""
        self._emit(events.TrackStart(timestamp=at, track_id=self._our_track, play_id=track.play_id))

    def track_end(self, track: Track) -> None:
        """It is over."""
        self._emit(
            events.TrackEnd(
                timestamp=self._moments.now_ms(),
                track_id=self._our_track,
                duration=track.heard_ms,
                ssrc=track.ssrc,
                play_id=track.play_id,
            )
        )

    def interruption(self, track: Track, cut: Cut | None) -> None:
        """It is cut; ``cut`` is None if nothing of it had reached the ledger."""
        self._emit(
            events.Interruption(
                timestamp=self._moments.now_ms(),
                track_id=self._our_track,
                play_id=track.play_id,
                subtitle=cut.subtitle if cut is not None else "".join(piece.text for piece in track.pieces),
                position=cut.position if cut is not None else 0,
                current=cut.current_ms if cut is not None else 0,
                total_duration=cut.total_ms if cut is not None else 0,
            )
        )

    def error(self, sender: str, message: str, code: int) -> None:
        """Something of what we were to say went wrong."""
        self._emit(
            events.Error(
                timestamp=self._moments.now_ms(), track_id=self._our_track, sender=sender, error=message, code=code
            )
        )
