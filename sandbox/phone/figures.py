"""Figures of one call, worked out from the notes on what was heard and what was said. Pure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sandbox.people.mouth import Sounding
from sandbox.phone.hearing import LOUD_POWER, RATE, Hearing, Run, Underrun

LONGEST_GAP = 1.0
"""Seconds: a longer silence without decoded words around it is taken for the end of a sentence."""

YIELD_WITHIN = 1.0
"""Seconds: a hole that begins while the person makes a sound, or so soon after it began, is the robot giving way."""

WENT_ON_WITHIN = 1.5
"""Seconds after a murmur within which the robot's speech goes on, if the murmur did not stop it."""

ONSET_BLOCK = RATE // 100
"""Samples (10 ms) that are looked at together for the first audible sound."""

MURMURS = ("murmur", "cough")


def heard(hearing: Hearing, said: list[Sounding]) -> dict[str, Any]:
    """Continuity, lateness, level and words of what reached the ear."""
    holes = [hole for hole in hearing.underruns if _inside_sentence(hole, hearing)]
    yields = [hole for hole in holes if _gave_way(hole, said)]
    gaps = [hole for hole in holes if hole not in yields]
    late = [hole.arrived - hole.start / RATE for hole in gaps if hole.arrived is not None]
    return {
        "seconds": round(hearing.played_samples / RATE, 3),
        "speech_seconds": round(hearing.loudness.samples / RATE, 3),
        "received_bytes": hearing.received_bytes,
        "received_chunks": hearing.received_chunks,
        "odd_chunks": hearing.odd_chunks,
        "gaps": _holes(gaps),
        "yields": _holes(yields),
        "lateness_ms": percentiles([*hearing.lateness, *late]),
        "level_dbfs": _dbfs(hearing),
        "peak_dbfs": _decibels(hearing.loudness.peak / 32768) if hearing.loudness.peak else None,
        "text": "".join(word.text for word in hearing.words),
        "words": [
            {
                "text": word.text,
                "start_ms": _ms(word.start_sample),
                "end_ms": _ms(word.end_sample),
                "utterance": word.utterance_id,
                "final": word.final,
                "lost": word.lost,
            }
            for word in hearing.words
        ],
    }


def spoken(said: list[Sounding], hearing: Hearing, now: int) -> list[dict[str, Any]]:
    """What the person said, with the samples at which it began and ended, and whether the robot was speaking then."""
    return [
        {
            "kind": sound.kind,
            "text": sound.text,
            "start_sample": _start(sound),
            "end_sample": _end(sound, now),
            "start_ms": _ms(_start(sound)),
            "end_ms": _ms(_end(sound, now)),
            "over_robot": hearing.played.at(_start(sound)) is not None,
        }
        for sound in said
    ]


def barge_ins(said: list[Sounding], hearing: Hearing, now: int) -> list[dict[str, Any]]:
    """Each sound of the person that came while the robot spoke, and what the robot did about it.

    `latency_ms`: from the sound's onset to the last sound of the robot that arrived before it fell silent;
    `heard_ms`: to the last that reached the ear. `cleaned`: clean_stream or stop_stream came before the robot spoke again.
    `went_on`: the same speech was heard again within WENT_ON_WITHIN of the sound's end, nothing having been dropped.
    """
    rows = []
    for sound in said:
        onset, end = _onset(sound), _end(sound, now)
        run = hearing.played.at(onset)
        if run is None:
            continue
        arrivals = hearing.received.at(onset)
        cleaned = any(onset <= place <= end + int(WENT_ON_WITHIN * RATE) for place in hearing.cleared)
        rows.append(
            {
                "kind": sound.kind,
                "at_ms": _ms(onset),
                "latency_ms": _ms(max(0, arrivals.end - onset)) if arrivals is not None else 0.0,
                "heard_ms": _ms(max(0, run.end - onset)),
                "cleaned": cleaned,
                "went_on": not cleaned and _goes_on(run, end, hearing),
            }
        )
    return rows


def responses(said: list[Sounding], hearing: Hearing, now: int) -> list[dict[str, Any]]:
    """For each turn of the person that the robot let end: the time until the robot's first sound arrived and was heard.

    Murmurs ask for no response. A turn that the next one follows before any answer has none: both times are null.
    """
    turns = [sound for sound in said if sound.kind not in MURMURS and sound.end is not None]
    rows = []
    for place, sound in enumerate(turns):
        end = _end(sound, now)
        limit = _start(turns[place + 1]) if place + 1 < len(turns) else math.inf
        speaking = hearing.played.at(end)
        if speaking is not None and speaking.end > end:
            continue
        arrived = _first_after(hearing.received.runs, end, limit)
        rows.append(
            {
                "after": sound.kind,
                "at_ms": _ms(end),
                "latency_ms": None if arrived is None else _ms(arrived - end),
                "heard_ms": None
                if (first := _first_after(hearing.played.runs, end, limit)) is None
                else _ms(first - end),
            }
        )
    return rows


def percentiles(values: list[float]) -> dict[str, float | None]:
    """p50, p99 and max of seconds, in milliseconds; null without values."""
    if not values:
        return {"p50": None, "p99": None, "max": None}
    low, high = (float(value) for value in np.percentile(values, [50, 99]))
    return {"p50": round(low * 1000, 1), "p99": round(high * 1000, 1), "max": round(max(values) * 1000, 1)}


def _inside_sentence(hole: Underrun, hearing: Hearing) -> bool:
    """Whether speech was torn here. Decoded words decide where there are any on both sides; else the sound does."""
    if hole.end is None:
        return False
    before = [word for word in hearing.words if word.end_sample <= hole.start]
    across = any(word.start_sample < hole.start and word.end_sample > hole.end for word in hearing.words)
    after = next((word for word in hearing.words if word.end_sample > hole.end), None)
    if across:
        return True
    torn = hole.abrupt and hole.resumed_loud and hole.end - hole.start <= LONGEST_GAP * RATE
    if before and after is not None:
        return before[-1].utterance_id == after.utterance_id or (torn and after.lost > 0)
    return torn and not (before and before[-1].final)


def _gave_way(hole: Underrun, said: list[Sounding]) -> bool:
    window = int(YIELD_WITHIN * RATE)
    return any(_start(sound) <= hole.start <= max(_end(sound, hole.start), _start(sound) + window) for sound in said)


def _goes_on(run: Run, end: int, hearing: Hearing) -> bool:
    if run.end > end:
        return True
    later = hearing.played.after(end)
    return later is not None and later.start <= end + int(WENT_ON_WITHIN * RATE)


def _first_after(runs: list[Run], place: int, limit: float) -> int | None:
    start = next((run.start for run in runs if run.start >= place), None)
    return start if start is not None and start < limit else None


def _holes(holes: list[Underrun]) -> dict[str, Any]:
    lengths = [_ms((hole.end or hole.start) - hole.start) for hole in holes]
    return {
        "count": len(holes),
        "longest_ms": max(lengths, default=0.0),
        "total_ms": round(sum(lengths), 1),
        "at_ms": [_ms(hole.start) for hole in holes],
    }


def _dbfs(hearing: Hearing) -> float | None:
    loudness = hearing.loudness
    return _decibels(math.sqrt(loudness.power / loudness.samples) / 32768) if loudness.samples else None


def _decibels(share: float) -> float:
    return round(20 * math.log10(share), 1)


def _start(sound: Sounding) -> int:
    assert sound.start is not None, "only sounds that have begun are said"
    return sound.start


def _onset(sound: Sounding) -> int:
    """Where the sound can be heard: espeak leaves up to 30 ms of silence before a word, which is nobody's latency."""
    if sound.pcm is None:
        return _start(sound)
    blocks = sound.pcm[: len(sound.pcm) // ONSET_BLOCK * ONSET_BLOCK].reshape(-1, ONSET_BLOCK).astype(np.float32)
    loud = np.flatnonzero(np.mean(blocks**2, axis=1) >= LOUD_POWER)
    return _start(sound) + (int(loud[0]) * ONSET_BLOCK if len(loud) else 0)


def _end(sound: Sounding, now: int) -> int:
    return now if sound.end is None else sound.end


def _ms(samples: int) -> float:
    return round(samples * 1000 / RATE, 1)
