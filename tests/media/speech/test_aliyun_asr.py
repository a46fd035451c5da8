"""Recognition over real sockets: against the stand-in cloud, and against a scripted service for what goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from media.speech import aliyun_asr
from media.speech.aliyun_asr import AliyunRecognizer
from media.speech.ports import RecognitionOptions
from sandbox.cloud.server import serve_cloud
from sandbox.voice.speech import utterance

from .conftest import PATIENCE, Peer, Understood, scripted

BLOCK = bytes(1600)


def options(endpoint: str, **more: object) -> RecognitionOptions:
    return RecognitionOptions(
        provider="aliyun",
        endpoint=endpoint,
        key="k",
        model="paraformer-realtime-8k-v2",
        **more,  # type: ignore[arg-type]
    )


def recognizer(endpoint: str, understood: Understood, **more: object) -> AliyunRecognizer:
    return AliyunRecognizer(options(endpoint, **more), understood.on_recognition, understood.on_failure)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliyun_asr, "RECONNECT_SECONDS", (0.01, 0.01, 0.01))


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 2 * PATIENCE))  # type: ignore[arg-type]


def test_speech_is_understood_with_partials_before_the_final_and_times_of_the_calls_timeline() -> None:
    async def scenario() -> None:
        cloud = await serve_cloud()
        understood = Understood()
        recognition = recognizer(cloud.aliyun_url, understood, origin_ms=5000)
        speech = utterance("我在开会，晚点再打。", 8000).pcm.tobytes()
        recognition.push(bytes(16_000) + speech + bytes(32_000))
        await understood.until(lambda: len(understood.finals) == 1)
        final = understood.finals[0]
        assert final.text.rstrip("。") == "我在开会，晚点再打"
        assert final.index == 0
        assert 5900 <= final.start_ms <= 6600
        assert final.start_ms < final.end_ms <= 6000 + len(speech) // 16 + 300
        assert all(not partial.final and partial.index == 0 for partial in understood.all[:-1])
        recognition.finish()
        await recognition.close()
        await cloud.close()

    run(scenario)


def test_finishing_makes_the_last_words_final() -> None:
    async def scenario() -> None:
        cloud = await serve_cloud()
        understood = Understood()
        recognition = recognizer(cloud.aliyun_url, understood)
        recognition.push(utterance("再见", 8000).pcm.tobytes())
        recognition.finish()
        await understood.until(lambda: len(understood.finals) == 1)
        assert "再见" in understood.finals[0].text
        await recognition.close()
        await cloud.close()

    run(scenario)


def test_audio_goes_out_in_blocks_of_100_ms_after_the_task_has_started() -> None:
    async def scenario() -> None:
        blocks: list[bytes | str] = []

        async def script(peer: Peer) -> None:
            await peer.started()
            assert peer.run["parameters"] == {
                "format": "pcm",
                "sample_rate": 8000,
                "heartbeat": True,
                "max_sentence_silence": 400,
            }
            blocks.extend(await peer.until("finish-task"))
            await peer.event("task-finished")

        async with scripted(script) as service:
            recognition = recognizer(service.endpoint, Understood())
            recognition.push(b"ab" * 1000)
            recognition.push(b"cd" * 1000)
            recognition.finish()
            await service.until_served()
        assert [len(block) for block in blocks[:-1]] == [1600, 1600, 800]
        assert b"".join(block for block in blocks if isinstance(block, bytes)) == b"ab" * 1000 + b"cd" * 1000

    run(scenario)


def test_after_a_broken_connection_unfinished_audio_is_sent_again_and_numbers_and_times_go_on() -> None:
    async def scenario() -> None:
        audio: list[bytes] = []

        async def first(peer: Peer) -> None:
            await peer.started()
            for _ in range(20):
                await peer.socket.recv()
            await peer.sentence("第一句", 100, 1000, 1)
            await peer.sentence("第二", 1200, None, 2)
            await peer.socket.close(1011)

        async def second(peer: Peer) -> None:
            await peer.started()
            for _ in range(10):
                block = await peer.socket.recv()
                assert isinstance(block, bytes)
                audio.append(block)
            await peer.sentence("第二句", 200, 900, 1)
            await peer.until("finish-task")
            await peer.event("task-finished")

        async with scripted(first, second) as service:
            understood = Understood()
            recognition = recognizer(service.endpoint, understood)
            recognition.push(bytes(16_000) + b"xy" * 8000)
            await understood.until(lambda: len(understood.finals) == 2)
            recognition.finish()
            await service.until_served(2)
        assert [(item.index, item.text, item.start_ms, item.end_ms) for item in understood.finals] == [
            (0, "第一句", 100, 1000),
            (1, "第二句", 1200, 1900),
        ]
        assert b"".join(audio) == b"xy" * 8000

    run(scenario)


def test_heartbeats_and_empty_results_say_nothing() -> None:
    async def scenario() -> None:
        async def script(peer: Peer) -> None:
            await peer.started()
            heartbeat = {"sentence_id": 0, "begin_time": 0, "end_time": None, "text": "", "heartbeat": True}
            await peer.event("result-generated", {"output": {"sentence": heartbeat}})
            await peer.sentence("", 0, None)
            await peer.sentence("喂", 10, 300)
            await peer.until("finish-task")
            await peer.event("task-finished")

        async with scripted(script) as service:
            understood = Understood()
            recognition = recognizer(service.endpoint, understood)
            await understood.until(lambda: bool(understood.finals))
            recognition.finish()
            await service.until_served()
        assert [item.text for item in understood.all] == ["喂"]

    run(scenario)


@pytest.mark.parametrize(
    "message",
    ["not json", '{"header": {', "[]", '{"header": {"event": 5}}', b"\x00\x01"],
    ids=["text", "cut", "array", "type", "binary"],
)
def test_garbage_is_a_failure_only_after_reconnecting_has_not_helped(message: str | bytes) -> None:
    async def scenario() -> None:
        connections = 0

        async def script(peer: Peer) -> None:
            nonlocal connections
            connections += 1
            await peer.started()
            await peer.socket.send(message)
            await peer.socket.wait_closed()

        async with scripted(script) as service:
            understood = Understood()
            recognition = recognizer(service.endpoint, understood)
            await understood.until(lambda: understood.failure is not None)
            assert understood.failure is not None
            assert understood.failure.code == "protocol"
            assert connections == 4
            await recognition.close()

    run(scenario)


def test_a_task_that_fails_for_good_is_not_tried_again() -> None:
    async def scenario() -> None:
        connections = 0

        async def script(peer: Peer) -> None:
            nonlocal connections
            connections += 1
            await peer.started()
            await peer.event("task-failed", error_code="InvalidParameter", error_message="sample_rate")

        async with scripted(script) as service:
            understood = Understood()
            recognition = recognizer(service.endpoint, understood)
            await understood.until(lambda: understood.failure is not None)
            assert understood.failure is not None
            assert understood.failure.code == "InvalidParameter"
            assert connections == 1
            await recognition.close()

    run(scenario)


def test_a_wrong_key_is_denied_at_once() -> None:
    async def scenario() -> None:
        def refuse(socket: ServerConnection, request: Request) -> Response:
            return socket.respond(401, "no")

        async def nothing(socket: ServerConnection) -> None:
            await socket.wait_closed()

        async with serve(nothing, "127.0.0.1", 0, process_request=refuse) as server:
            understood = Understood()
            port = next(iter(server.sockets)).getsockname()[1]
            recognition = recognizer(f"ws://127.0.0.1:{port}/", understood)
            await understood.until(lambda: understood.failure is not None)
            assert understood.failure is not None
            assert understood.failure.code == "denied"
            assert not understood.failure.retryable
            await recognition.close()

    run(scenario)


def test_nobody_listening_is_a_connect_failure() -> None:
    async def scenario() -> None:
        understood = Understood()
        recognition = recognizer("ws://127.0.0.1:1/", understood)
        await understood.until(lambda: understood.failure is not None)
        assert understood.failure is not None
        assert understood.failure.code == "connect"
        await recognition.close()

    run(scenario)


def test_a_service_that_never_starts_the_task_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliyun_asr, "START_SECONDS", 0.05)

    async def scenario() -> None:
        async def script(peer: Peer) -> None:
            await peer.socket.wait_closed()

        async with scripted(script) as service:
            understood = Understood()
            recognition = recognizer(service.endpoint, understood)
            await understood.until(lambda: understood.failure is not None)
            await recognition.close()

    run(scenario)


def test_speech_without_a_result_in_time_means_a_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliyun_asr, "RESULT_SECONDS", 0.05)

    async def scenario() -> None:
        hanging = asyncio.Event()

        async def hangs(peer: Peer) -> None:
            await peer.started()
            await peer.socket.recv()
            hanging.set()
            await peer.socket.wait_closed()

        async def works(peer: Peer) -> None:
            await peer.started()
            assert isinstance(await peer.socket.recv(), bytes)
            await peer.sentence("你好", 0, 90)
            await peer.socket.wait_closed()

        async with scripted(hangs, works) as service:
            understood = Understood()
            recognition = recognizer(service.endpoint, understood)
            recognition.push(BLOCK)
            await hanging.wait()
            recognition.expect_result()
            await understood.until(lambda: bool(understood.finals))
            assert understood.finals[0].text == "你好"
            await recognition.close()

    run(scenario)


def test_a_service_that_hangs_on_every_connection_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliyun_asr, "RESULT_SECONDS", 0.05)

    async def scenario() -> None:
        hanging = asyncio.Event()

        async def hangs(peer: Peer) -> None:
            await peer.started()
            await peer.socket.recv()
            hanging.set()
            await peer.socket.wait_closed()

        async with scripted(hangs) as service:
            understood = Understood()
            recognition = recognizer(service.endpoint, understood)
            recognition.push(BLOCK)
            await hanging.wait()
            recognition.expect_result()
            await understood.until(lambda: understood.failure is not None)
            assert understood.failure is not None
            assert understood.failure.code == "first_result"
            await recognition.close()

    run(scenario)


def test_closing_ends_every_callback_even_while_connecting() -> None:
    async def scenario() -> None:
        understood = Understood()
        recognition = recognizer("ws://127.0.0.1:1/", understood)
        await recognition.close()
        recognition.push(BLOCK)
        await asyncio.sleep(0)
        assert understood.failure is None

    run(scenario)


def test_a_broken_callback_ends_recognition_and_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async def script(peer: Peer) -> None:
            await peer.started()
            await peer.sentence("喂", 0, 90)
            await peer.socket.wait_closed()

        def broken(recognition: object) -> None:
            raise ZeroDivisionError

        async with scripted(script) as service:
            understood = Understood()
            recognition = AliyunRecognizer(options(service.endpoint), broken, understood.on_failure)
            await understood.until(lambda: understood.failure is not None)
            assert understood.failure is not None
            assert understood.failure.code == "internal"
            await recognition.close()

    run(scenario)
    assert "recognition ended by an error" in caplog.text


def test_the_connection_is_closed_when_the_call_ends() -> None:
    async def scenario() -> None:
        arrived, gone = asyncio.Event(), asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.started()
            try:
                await peer.socket.recv()
                arrived.set()
                await peer.socket.recv()
            except ConnectionClosed:
                gone.set()

        async with scripted(script) as service:
            understood = Understood()
            recognition = recognizer(service.endpoint, understood)
            recognition.push(BLOCK)
            await arrived.wait()
            await recognition.close()
            async with asyncio.timeout(PATIENCE):
                await gone.wait()

    run(scenario)


def test_extra_parameters_and_language_are_passed_on() -> None:
    async def scenario() -> None:
        got: list[object] = []

        async def script(peer: Peer) -> None:
            await peer.started()
            got.append(peer.run)
            await peer.until("finish-task")
            await peer.event("task-finished")

        async with scripted(script) as service:
            recognition = recognizer(service.endpoint, Understood(), language="zh-CN", extra={"vocabulary_id": "v1"})
            recognition.finish()
            await service.until_served()
        run_task = json.loads(json.dumps(got[0]))
        assert run_task["model"] == "paraformer-realtime-8k-v2"
        assert run_task["parameters"]["language_hints"] == ["zh"]
        assert run_task["parameters"]["vocabulary_id"] == "v1"

    run(scenario)


def test_a_service_that_only_gives_signs_of_life_is_given_up() -> None:
    async def scenario() -> None:
        connections = 0

        async def script(peer: Peer) -> None:
            nonlocal connections
            connections += 1
            await peer.started()
            heartbeat = {"sentence_id": 0, "begin_time": 0, "end_time": None, "text": "", "heartbeat": True}
            await peer.event("result-generated", {"output": {"sentence": heartbeat}})
            await peer.sentence("", 0, None)
            await peer.event("task-failed", error_code="InternalError.Algo", error_message="engine")

        async with scripted(script) as service:
            understood = Understood()
            recognition = recognizer(service.endpoint, understood)
            await understood.until(lambda: understood.failure is not None)
            assert understood.failure is not None
            assert understood.failure.code == "InternalError.Algo"
            assert connections == 4
            await recognition.close()

    run(scenario)
