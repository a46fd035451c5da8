"""The report: what happened to each call and what its callee heard, as JSON (`GET /np/sandbox/report`).

Times named `..._ms` inside a call are milliseconds since its answer, `wall_ms` is Unix time.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sandbox.phone import figures
from sandbox.phone.call import Call
from sandbox.phone.hearing import RATE
from sandbox.phone.line import LineNotes
from sandbox.phone.talk import FRAME_SECONDS, Talk


def call_report(call: Call, startcalls: int, call_ids: list[str]) -> dict[str, Any]:
    """The report of one call. `startcalls`: how often its requestId was asked for; `call_ids`: all calls that this made."""
    audio = msgspec.Raw(call.audio_report) if call.audio_report is not None else msgspec.Raw(audio_report(call))
    return {
        **call.summary(),
        "startcalls": startcalls,
        "rings": len(call_ids),
        "call_ids": call_ids,
        "audio": audio,
    }


def refusal_report(request_id: str, startcalls: int, refusals: list[dict[str, Any]]) -> dict[str, Any]:
    """The report of a requestId for which nothing rang."""
    return {
        "call_id": "",
        "request_id": request_id,
        "state": "refused",
        "startcalls": startcalls,
        "rings": 0,
        "call_ids": [],
        "refusals": refusals,
        "audio": None,
    }


def audio_report(call: Call) -> bytes:
    """The part about the talk as JSON; `null` if nobody answered."""
    if call.talk is None:
        return b"null"
    return msgspec.json.encode({**_talk(call.talk), "line": _line(call.line.notes if call.line else LineNotes())})


def _talk(talk: Talk) -> dict[str, Any]:
    said, hearing, now = talk.mouth.said, talk.hearing, talk.samples
    barge_ins = figures.barge_ins(said, hearing, now)
    responses = figures.responses(said, hearing, now)
    return {
        "talk_seconds": round(now / RATE, 2),
        "heard": figures.heard(hearing, said),
        "said": figures.spoken(said, hearing, now),
        "barge_ins": barge_ins,
        "responses": responses,
        "response_ms": figures.percentiles(
            [row["latency_ms"] / 1000 for row in responses if row["latency_ms"] is not None]
        ),
        "buffer": {
            "stage": talk.stream.stage.value,
            "unplayed_bytes": talk.stream.buffered,
            "dropped_bytes": talk.stream.dropped_bytes,
        },
    }


def _line(notes: LineNotes) -> dict[str, Any]:
    return {
        "opened": notes.opened,
        "failed": notes.failed,
        "sent_frames": notes.sent_frames,
        "dropped_frames": notes.dropped_frames,
        "texts": notes.texts,
        "carried_ms": [[round(place * FRAME_SECONDS * 1000) for place in stretch] for stretch in notes.carried],
    }
