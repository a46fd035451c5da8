"""What must have come of each simulated customer: the demo's measure. Pure: reads reports and records, asks nobody."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

import numpy as np

LONGEST_GAPS_MS = 400.0
"""Silence torn into our speech, in one whole call: what a machine of two busy cores that stalls now and then may cost."""
GAP_CHARACTERS = 3
"""What one gap or one damaged word may cost the ear in characters: the word it falls into and those beside it."""
CUT_CHARACTERS = 3
"""Of an interrupted sentence, by which transcript and ear may differ: a word that was begun."""
LOUDEST_DBFS, QUIETEST_DBFS = -10.0, -40.0
"""Average level of our voice as the callee hears it."""
LENGTH_TOLERANCE = 2.0
"""Seconds between a recording's length and the talk that the callee counted."""
SILENCE_DBFS = -70.0
RATE = 8000
AGREED = frozenset({("attending", "yes"), ("appointment", "confirmed"), ("notice", "understood"), ("confirmed", "")})
"""Tags, by which a playbook says that the customer agreed to what the ticket says."""
_SIDE_SOUNDS = ("murmur", "cough")


@dataclass(frozen=True)
class Outcome:
    """One ticket after the demo: its task, record and call as the API tells them, what the callee heard, its recording."""

    task: Mapping[str, Any]
    record: Mapping[str, Any]
    call: Mapping[str, Any]
    report: Mapping[str, Any]
    """The sandbox's; ``{}`` if it has none."""
    recording: bytes

    @property
    def assistant(self) -> list[str]:
        """What we said, turn by turn, as far as it was heard."""
        return self._turns("assistant")

    @property
    def customer(self) -> list[str]:
        return self._turns("user")

    @property
    def tags(self) -> set[str]:
        return {tag["name"] for tag in self.call.get("tags") or ()}

    @property
    def heard(self) -> Mapping[str, Any]:
        """What the callee heard of us; ``{}`` if nobody answered."""
        return (self.report.get("audio") or {}).get("heard") or {}

    def barge_ins(self, *kinds: str) -> list[Mapping[str, Any]]:
        found = (self.report.get("audio") or {}).get("barge_ins") or ()
        return [barge_in for barge_in in found if barge_in["kind"] in kinds]

    def _turns(self, role: str) -> list[str]:
        return [turn["content"] for turn in self.record.get("dialogue") or () if turn["role"] == role]


Test = Callable[[Outcome], str]
"""Returns what is wrong, "" if nothing is."""


@dataclass(frozen=True)
class Expectation:
    """How calls with one manner of people must end."""

    status: str = "已完成"
    cause: str = "NORMAL_CLEARING:sip:200"
    answered: bool = True
    tests: Sequence[Test] = field(default_factory=tuple)


def problems(outcome: Outcome, manner: str) -> list[str]:
    """Everything in which a ticket's outcome differs from what its callee's manner demands; empty if nothing does."""
    expected = EXPECTATIONS.get(manner)
    if expected is None:
        return [f"nothing is known of the manner {manner!r}"]
    tests = [_ended(expected), _dialled_once]
    tests += (
        [_voice_arrived_whole, _transcript_is_what_was_heard, _recording_is_whole, _agreed_to_what_was_heard]
        if expected.answered
        else [_unheard]
    )
    return [problem for test in [*tests, *expected.tests] if (problem := test(outcome))]


# --- every call --------------------------------------------------------------------------------------------------------


def _ended(expected: Expectation) -> Test:
    def test(outcome: Outcome) -> str:
        told = (outcome.task["status"], outcome.record.get("hangupCause"), outcome.task["connected"])
        wanted = (expected.status, expected.cause, expected.answered)
        return "" if told == wanted else f"expected {wanted}, got {told}"

    return test


def _dialled_once(outcome: Outcome) -> str:
    times = outcome.report.get("startcalls")
    return "" if times == 1 else f"expected one startcall, the phone system counted {times}"


def _unheard(outcome: Outcome) -> str:
    told = (
        outcome.record["answeredTime"],
        outcome.record["wavFileUrl"],
        outcome.record["dialogue"],
        outcome.record["timeLen"],
    )
    return "" if told == ("", "", [], 0) else f"expected no answer, recording, dialogue or length, got {told}"


def _voice_arrived_whole(outcome: Outcome) -> str:
    heard = outcome.heard
    if not heard:
        return "the callee's report is missing"
    if heard["odd_chunks"]:
        return f"{heard['odd_chunks']} pieces of audio were of odd length"
    if heard["gaps"]["total_ms"] > LONGEST_GAPS_MS:
        return f"our voice was torn: {heard['gaps']['count']} gaps of {heard['gaps']['total_ms']} ms in all"
    level = heard["level_dbfs"]
    if level is not None and not QUIETEST_DBFS < level < LOUDEST_DBFS:
        return f"our voice came at {level} dBFS"
    return ""


def _transcript_is_what_was_heard(outcome: Outcome) -> str:
    """Word for word and in order, but for what gaps cost and, where a sentence was cut, a word that was begun."""
    heard, told = plain(outcome.heard.get("text", "")), plain("".join(outcome.assistant))
    cuts = 1 + len(outcome.barge_ins("interruption", "murmur", "cough"))
    allowed = torn_characters(outcome.heard) + CUT_CHARACTERS * cuts
    blocks = SequenceMatcher(None, told, heard, autojunk=False).get_matching_blocks()
    shared = sum(block.size for block in blocks)
    differing = max(len(told), len(heard)) - shared
    return f"the transcript has {told!r}, the callee heard {heard!r}" if differing > allowed else ""


def _recording_is_whole(outcome: Outcome) -> str:
    """8 kHz, 16 bit, stereo: left the customer, right us; as long as the talk, and neither side empty that spoke."""
    try:
        with wave.open(io.BytesIO(outcome.recording)) as file:
            form = (file.getframerate(), file.getsampwidth(), file.getnchannels())
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
    except (wave.Error, EOFError, ValueError) as error:
        return f"the recording cannot be read: {error}"
    if form != (RATE, 2, 2):
        return f"expected a recording of 8000 Hz, 2 bytes, 2 channels, got {form}"
    seconds, talk = len(samples) / RATE, outcome.report["audio"]["talk_seconds"]
    if abs(seconds - talk) > LENGTH_TOLERANCE:
        return f"the recording lasts {seconds:.1f} s, the talk lasted {talk:.1f} s"
    for channel, side, spoke in ((0, "the customer's", outcome.customer), (1, "our", outcome.assistant)):
        if spoke and level_dbfs(samples[:, channel]) < SILENCE_DBFS:
            return f"{side} side of the recording is silent"
    return ""


def _agreed_to_what_was_heard(outcome: Outcome) -> str:
    """A yes is believed only if the ticket's content had reached the callee's ear before it was said."""
    tags = {(tag["name"], tag["value"]) for tag in outcome.call.get("tags") or ()}
    if not tags & AGREED:
        return ""
    words = outcome.heard["words"]
    turns = [turn["start_ms"] for turn in outcome.report["audio"]["said"] if turn["kind"] not in _SIDE_SOUNDS]
    answered = [start for start in turns if any(word["start_ms"] >= start for word in words)]
    before = "".join(word["text"] for word in words if answered and word["start_ms"] < answered[-1])
    return "" if _reached(outcome, before) else "a yes was noted before the callee had heard the ticket's content"


def _reached(outcome: Outcome, heard: str) -> bool:
    """Whether the ticket's content is in what was ``heard``, every word but torn ones in its place."""
    content, heard = plain(outcome.task["ticketContent"]), plain(heard)
    blocks = SequenceMatcher(None, content, heard, autojunk=False).get_matching_blocks()
    return len(content) - sum(block.size for block in blocks) <= torn_characters(outcome.heard)


# --- one manner's own --------------------------------------------------------------------------------------------------


def _says(*needles: str) -> Test:
    """Somewhere we said one of these."""

    def test(outcome: Outcome) -> str:
        said = "".join(outcome.assistant)
        return "" if any(needle in said for needle in needles) else f"we never said {' or '.join(needles)}"

    return test


def _understood(*needles: str) -> Test:
    """The recogniser made each of these of what the callee said."""

    def test(outcome: Outcome) -> str:
        told = plain("".join(outcome.customer))
        missing = [needle for needle in needles if plain(needle) not in told]
        return f"not understood: {', '.join(missing)}" if missing else ""

    return test


def _tagged(name: str) -> Test:
    return lambda outcome: "" if name in outcome.tags else f"expected the tag {name}, got {sorted(outcome.tags)}"


def _untagged(*names: str) -> Test:
    def test(outcome: Outcome) -> str:
        found = outcome.tags & set(names)
        return f"expected no tag {', '.join(sorted(found))}" if found else ""

    return test


def _ended_by(party: str) -> Test:
    def test(outcome: Outcome) -> str:
        return (
            ""
            if outcome.report["ended_by"] == party
            else f"expected {party} to hang up, it was {outcome.report['ended_by']}"
        )

    return test


def _content_was_heard(outcome: Outcome) -> str:
    """The ticket's content reached the callee's ear."""
    heard = outcome.heard.get("text", "")
    return "" if _reached(outcome, heard) else "the ticket's content did not reach the callee whole"


def _gave_way(outcome: Outcome) -> str:
    for barge_in in outcome.barge_ins("interruption"):
        return "" if barge_in["cleaned"] else "we talked on over the interruption"
    return "the callee's interruption met no speech of ours"


def _went_on(outcome: Outcome) -> str:
    found = outcome.barge_ins("murmur", "cough")
    if not found:
        return "the callee's murmur met no speech of ours"
    stopped = [barge_in for barge_in in found if not barge_in["went_on"]]
    return f"{len(stopped)} of {len(found)} murmurs stopped us" if stopped else ""


def _spoke_little(outcome: Outcome) -> str:
    said = "".join(outcome.assistant)
    return f"expected not to speak, said {said!r}" if said else ""


def _heard_nobody(outcome: Outcome) -> str:
    return f"expected silence, understood {outcome.customer}" if outcome.customer else ""


_GOODBYE = _says("再见")
EXPECTATIONS: dict[str, Expectation] = {
    "talker": Expectation(tests=(_GOODBYE, _understood("你好"), _content_was_heard, _ended_by("robot"))),
    "asker": Expectation(tests=(_GOODBYE, _understood("几点开始", "在哪里", "谢谢"), _content_was_heard)),
    "decliner": Expectation(tests=(_GOODBYE, _understood("不需要"), _untagged("do_not_call"))),
    "interrupter": Expectation(
        tests=(_GOODBYE, _gave_way, _understood("你是哪里的"), _content_was_heard, _ended_by("robot"))
    ),
    "murmurer": Expectation(tests=(_GOODBYE, _went_on, _content_was_heard)),
    "cougher": Expectation(tests=(_GOODBYE, _went_on, _content_was_heard)),
    "silent": Expectation(tests=(_heard_nobody, _says("还在听", "听得到", "在吗"), _GOODBYE, _ended_by("robot"))),
    "leaver": Expectation(tests=(_ended_by("callee"),)),
    "refuser": Expectation(tests=(_tagged("do_not_call"), _understood("别再打给我了"))),
    "busy": Expectation(tests=(_tagged("callback_wanted"), _understood("晚点再打"), _GOODBYE)),
    "voicemail": Expectation(tests=(_tagged("voicemail"), _spoke_little, _ended_by("robot"))),
    "absent": Expectation(status="未接通", cause="NO_ANSWER:sip:480", answered=False),
    "barred": Expectation(status="失败", cause="NORMAL_TEMPORARY_FAILURE:sip:503", answered=False),
    "slow": Expectation(tests=(_GOODBYE, _ended_by("robot"))),
    "noisy": Expectation(tests=(_GOODBYE, _understood("有点吵"), _content_was_heard)),
    "chatterbox": Expectation(tests=(_understood("正在外面办事情", "先挂了"), _ended_by("callee"))),
    "unclear": Expectation(tests=(_GOODBYE, _untagged("do_not_call"))),
    "presser": Expectation(tests=(_GOODBYE, _understood("[按键 1]"), _content_was_heard)),
    "fleeting": Expectation(tests=(_ended_by("callee"),)),
}
"""By the manner that the sandbox says a number has (sandbox/people/manners.yaml)."""


def plain(text: str) -> str:
    """Letters, digits and characters alone: marks and blanks are not heard."""
    return re.sub(r"[\W_]+", "", text)


def torn_characters(heard: Mapping[str, Any]) -> int:
    """How many characters of ours the callee's ear may have lost to gaps; 0 if the line was clean."""
    damaged = sum(word["lost"] for word in heard["words"])
    return GAP_CHARACTERS * int(damaged + heard["gaps"]["count"])


def level_dbfs(samples: np.ndarray[Any, Any]) -> float:
    """Root mean square of s16 samples, in dB of full scale."""
    if not len(samples):
        return -np.inf
    power = float(np.mean(np.square(samples.astype(np.float64) / 32768)))
    return float(10 * np.log10(power)) if power else -np.inf
