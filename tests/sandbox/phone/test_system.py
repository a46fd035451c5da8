"""Whole calls over real sockets: events, audio both ways, people, and the report's figures against known inputs."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import numpy as np
import pytest

from sandbox.phone.settings import PhoneSettings
from sandbox.voice.speech import utterance
from shared.phone.wire import decode_events
from tests.sandbox.phone.robot import PATIENCE, Pcm, Robot, Side, with_robot

LONG = "您好，我是未来科技大学招生办公室的小助手，想占用您一分钟时间。"


def test_an_answered_call_pushes_its_three_events_in_order() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000007")
        await robot.act(call_id, "hangup")
        report = await robot.ended(call_id)
        assert robot.names(call_id) == ["firstStart", "firstAnswer", "cdr"]
        for event in robot.events:
            assert (event["request_id"], event["callee"]) == ("req-13800000007", "13800000007")
        (record,) = robot.events[2]["pay_load"]
        assert int(record["start_time"]) == robot.events[0]["event_time"]
        assert record["answer_time"] == robot.events[1]["event_time"]
        assert record["end_time"] == robot.events[2]["event_time"]
        assert [mark["state"] for mark in report["states"]] == ["placed", "ringing", "answered", "ended"]
        assert (report["ended_by"], report["ended_why"]) == ("robot", "hangup")
        await robot.until(lambda: robot.sides[call_id].sockets[0].close_code == 1000)

    with_robot(scenario)


def test_an_unanswered_call_rings_until_the_limit_and_opens_no_socket() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.call("13800000012")
        report = await robot.ended(call_id)
        assert robot.names(call_id) == ["firstStart", "cdr"]
        cdr = decode_events(msgspec.json.encode(robot.events[1])).events[0][0].cdr
        assert cdr is not None
        assert not cdr.answered
        assert (report["ended_by"], report["ended_why"]) == ("phone system", "no answer")
        assert robot.sides == {}

    with_robot(scenario)


def test_somebody_absent_once_answers_the_second_call() -> None:
    async def scenario(robot: Robot) -> None:
        first = await robot.call("13800000020")
        assert (await robot.ended(first))["audio"] is None
        assert await robot.answered("13800000020")
        assert (await robot.startcall("13800000021"))["code"] != 0
        assert (await robot.startcall("13800000021"))["code"] == 0

    with_robot(scenario)


@pytest.mark.parametrize("secret_in", ["header", "query"])
def test_the_secret_goes_with_events_and_audio(secret_in: str) -> None:
    async def scenario(robot: Robot) -> None:
        await robot.answered("13800000007")
        await robot.until(lambda: len(robot.events) >= 2)
        if secret_in == "header":
            assert robot.event_headers[0]["Authorization"] == "Bearer s3&c"
            assert robot.audio_headers[0]["authorization"] == "Bearer s3&c"
            assert "secret" not in robot.event_queries[0] + robot.audio_paths[0]
        else:
            assert robot.event_queries[0] == "secret=s3%26c"
            assert robot.audio_paths[0] == "/phone?secret=s3%26c"
            assert "Authorization" not in robot.event_headers[0]

    with_robot(scenario, secret="s3&c", secret_in=secret_in)


def test_an_event_that_is_refused_comes_again_and_holds_up_those_behind_it() -> None:
    async def scenario(robot: Robot) -> None:
        robot.event_answers[:] = [503, 500, 404]
        call_id = await robot.answered("13800000007")
        await robot.act(call_id, "hangup")
        await robot.ended(call_id)
        assert robot.names(call_id) == ["firstStart", "firstAnswer", "cdr"]
        assert (await robot.report(call_id))["events"][0] == {
            "event": "firstStart",
            "tries": 4,
            "status": 200,
            "outcome": "delivered",
        }

    with_robot(scenario, settings=PhoneSettings(ring=0.1, event_retry=0.01))


def test_an_event_is_given_up_after_its_tries() -> None:
    async def scenario(robot: Robot) -> None:
        robot.event_answers[:] = [503] * 3
        call_id = await robot.answered("13800000007")
        await robot.until(lambda: robot.names(call_id) == ["firstAnswer"])
        sent = (await robot.report(call_id))["events"]
        assert (sent[0]["tries"], sent[0]["status"], sent[0]["outcome"]) == (3, 503, "given up")

    with_robot(scenario, settings=PhoneSettings(ring=0.1, event_tries=3, event_retry=0.01))


def test_the_callee_hears_the_robot_word_for_word_without_a_gap() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000007")
        await robot.speak(call_id, LONG)
        report = await heard_all(robot, call_id, LONG)
        heard = report["audio"]["heard"]
        assert heard["text"] == LONG
        assert heard["seconds"] == pytest.approx(utterance(LONG, 8000).seconds, abs=0.03)
        assert -30 < heard["level_dbfs"] < -15
        assert heard["lateness_ms"]["p50"] < 0
        assert heard["words"][0]["start_ms"] >= 0

    with_robot(scenario)


@pytest.mark.parametrize("gap", [0.3, 0.7])
def test_a_gap_left_by_the_robot_is_reported_with_its_length(gap: float) -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000007")
        pcm = utterance(LONG, 8000).pcm
        await robot.send(call_id, pcm[:12_000])  # a second and a half, which plays for as long
        frames = len(robot.sides[call_id].frames)
        wanted = frames + round((1.5 + gap) * 50)
        await robot.until(lambda: len(robot.sides[call_id].frames) >= wanted)
        await robot.send(call_id, pcm[12_000:])
        gaps = (await heard_all(robot, call_id, LONG[-6:]))["audio"]["heard"]["gaps"]
        assert gaps["count"] == 1
        assert gap * 1000 - 41 <= gaps["longest_ms"] < gap * 1000 + 2000  # exact lengths: tests of the figures

    with_robot(scenario)


def test_wrong_byte_order_rate_or_channel_is_not_understood() -> None:
    async def scenario(robot: Robot) -> None:
        pcm = utterance("您好，请问您是张先生吗？", 8000).pcm
        stereo = np.repeat(pcm, 2)
        await asyncio.gather(*(misheard(robot, wrong) for wrong in (pcm.byteswap(), pcm[::2], stereo)))

    with_robot(scenario)


def test_cleaning_the_stream_silences_the_robot_at_once_and_leaves_it_open() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000007")
        await robot.send(call_id, utterance(LONG, 8000).pcm)
        frames = len(robot.sides[call_id].frames)
        await robot.until(lambda: len(robot.sides[call_id].frames) >= frames + 50)
        await robot.act(call_id, "clean_stream")
        heard = (await robot.report(call_id))["audio"]["heard"]
        assert 0.9 < heard["seconds"] < 3
        assert LONG.startswith(heard["text"])
        await robot.send(call_id, utterance("再见。", 8000).pcm)
        assert (await heard_all(robot, call_id, "再见。"))["audio"]["heard"]["gaps"]["count"] == 0

    with_robot(scenario)


def test_a_talk_goes_back_and_forth_and_its_latencies_are_measured() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000002")
        side = robot.sides[call_id]
        await robot.until(lambda: "你好" in side.words)
        await robot.speak(call_id, "您好，周六有一场活动，想邀请您。")
        await robot.until(lambda: "几点开始" in side.words)
        await robot.speak(call_id, "下午三点开始。")
        await robot.until(lambda: "在哪里" in side.words)
        await robot.speak(call_id, "在图书馆一楼。")
        await robot.until(lambda: "再见" in side.words)
        report = await robot.ended(call_id)
        assert (report["ended_by"], report["ended_why"]) == ("callee", "had said all")
        assert [said["text"] for said in report["audio"]["said"]] == [
            "喂，你好。",
            "几点开始？",
            "在哪里？",
            "好的，谢谢，再见。",
        ]
        assert report["audio"]["heard"]["text"] == "您好，周六有一场活动，想邀请您。下午三点开始。在图书馆一楼。"
        latencies = [row["latency_ms"] for row in report["audio"]["responses"]]
        assert latencies[-1] is None
        assert all(latency is not None and -400 < latency < 5000 for latency in latencies[:-1])

    with_robot(scenario)


def test_an_interruption_and_what_the_robot_did_about_it() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000004")
        side = robot.sides[call_id]
        await robot.until(lambda: "喂" in side.words)
        await robot.speak(call_id, "请问是张先生吗？")
        await robot.until(lambda: "我是" in side.words)
        await robot.speak(call_id, LONG, while_=lambda: "等一下" not in side.words)
        await robot.act(call_id, "clean_stream")
        await robot.until(lambda: "哪里的" in side.words)
        await robot.act(call_id, "hangup")
        report = await robot.ended(call_id)
        (row,) = report["audio"]["barge_ins"]
        assert (row["kind"], row["cleaned"], row["went_on"]) == ("interruption", True, False)
        assert 100 < row["latency_ms"] < 6000
        actions = [note for note in report["actions"] if note["action"] == "clean_stream"]
        assert actions[0]["at_ms"] > row["at_ms"]
        assert ("请问是张先生吗？" + LONG).startswith(report["audio"]["heard"]["text"])

    with_robot(scenario)


def test_a_murmur_that_does_not_stop_the_robot() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000005")
        side = robot.sides[call_id]
        await robot.until(lambda: "你好" in side.words)
        await robot.speak(call_id, "请问是张先生吗？")
        await robot.until(lambda: "我是" in side.words)
        await robot.speak(call_id, LONG)
        report = await heard_all(robot, call_id, LONG)
        (row,) = report["audio"]["barge_ins"]
        assert (row["kind"], row["cleaned"], row["went_on"]) == ("murmur", False, True)
        assert report["audio"]["heard"]["text"] == "请问是张先生吗？" + LONG

    with_robot(scenario)


def test_everybody_ends_the_call_as_their_manner_demands() -> None:
    """The manners that end a call by themselves, all at once, against a robot that says one sentence."""
    wanted: dict[str, tuple[str | None, str]] = {
        "13800000008": ("callee", "left mid-sentence"),
        "13800000011": ("callee", "recording full"),
        "13800000012": ("phone system", "no answer"),
        "13800000016": ("callee", "had said all"),
        "13800000019": ("callee", "left"),
        "13800000033": ("callee", "said goodbye"),
    }

    async def one(robot: Robot, callee: str) -> None:
        call_id = await robot.call(callee)
        await robot.until(lambda: robot.sides.get(call_id) or "cdr" in robot.names(call_id))
        if call_id in robot.sides:
            await robot.act(call_id, "start_stream")
            await robot.act(call_id, "stream_playback")
            await robot.send(call_id, utterance("您好，感谢您的接听，再见。", 8000).pcm)
        report = await robot.ended(call_id)
        assert (report["ended_by"], report["ended_why"]) == wanted[callee], callee

    async def scenario(robot: Robot) -> None:
        await asyncio.gather(*(one(robot, callee) for callee in wanted))

    people = {
        "manners": {
            "voicemail": {"mailbox": {"prompt": "请在提示音后留言。", "records": 1}},
            "chatterbox": {"talks_over": ["喂，你好。", "再见。"]},
        }
    }
    with_robot(scenario, people=people)


def test_a_mailbox_beeps_after_its_prompt() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000011")
        await robot.until(lambda: "请在提示音后留言" in robot.sides[call_id].words)
        frames = len(robot.sides[call_id].frames)
        await robot.until(lambda: len(robot.sides[call_id].frames) >= frames + 70)
        tail = robot.sound(call_id)[-70 * 160 :].astype(float)
        spectrum = np.abs(np.fft.rfft(tail))
        assert abs(np.argmax(spectrum) * 8000 / len(tail) - 1000) < 10

    with_robot(scenario)


def test_keys_are_heard_as_tones() -> None:
    async def scenario(robot: Robot) -> None:
        call_id = await robot.answered("13800000018")
        side: Side = robot.sides[call_id]
        await robot.until(lambda: "你好" in side.words)
        await robot.speak(call_id, "满意请按一。")

        async def pressed() -> dict[str, Any] | None:
            said = (await robot.report(call_id))["audio"]["said"]
            return next((sound for sound in said if sound["kind"] == "digits"), None)

        async with asyncio.timeout(PATIENCE):
            while (sound := await pressed()) is None or len(side.frames) * 160 < sound["end_sample"]:
                frames = len(side.frames)
                await robot.until(lambda frames=frames: len(side.frames) > frames + 5)  # type: ignore[misc]
        assert sound["text"] == "1"
        start = sound["start_sample"] - (await lost_frames(robot, call_id)) * 160
        spectrum = np.abs(np.fft.rfft(robot.sound(call_id)[start : start + 800].astype(float)))
        strongest = sorted(np.argsort(spectrum)[-2:] * 10.0)
        assert strongest == pytest.approx([697, 1209], abs=11)

    with_robot(scenario)


def test_a_robot_that_reads_nothing_does_not_hold_up_the_others() -> None:
    async def scenario(robot: Robot) -> None:
        deaf = await robot.answered("13800000007")
        robot.sides[deaf].sockets[0].transport.pause_reading()
        call_id = await robot.answered("13800000002")
        await robot.until(lambda: "你好" in robot.sides[call_id].words)
        robot.sides[deaf].sockets[0].transport.resume_reading()

    with_robot(scenario)


async def misheard(robot: Robot, wrong: Pcm) -> None:
    """Say what is no proper audio, and see that it was played whole and understood not at all."""
    call_id = await robot.answered("13800000007")
    frames = len(robot.sides[call_id].frames)
    await robot.send(call_id, wrong)
    await robot.until(lambda: len(robot.sides[call_id].frames) >= frames + len(wrong) // 160 + 20)
    heard = (await robot.report(call_id))["audio"]["heard"]
    assert heard["text"] == ""
    assert heard["seconds"] == pytest.approx(len(wrong) / 8000, abs=0.001)


async def lost_frames(robot: Robot, call_id: str) -> int:
    """Frames of the talk that were over before the socket was open."""
    audio = (await robot.report(call_id))["audio"]
    return round(float(audio["talk_seconds"]) * 50) - int(audio["line"]["sent_frames"])


async def heard_all(robot: Robot, call_id: str, end: str) -> dict[str, Any]:
    """Wait until the callee has heard a text that ends so; returns the report of then."""
    async with asyncio.timeout(PATIENCE):
        while True:
            report = await robot.report(call_id)
            if report["audio"]["heard"]["text"].endswith(end):
                return report
            frames = len(robot.sides[call_id].frames)
            await robot.until(lambda frames=frames: len(robot.sides[call_id].frames) > frames + 10)  # type: ignore[misc]
