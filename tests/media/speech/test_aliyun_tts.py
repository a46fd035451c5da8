"""Synthesis over real sockets: warm connections, cancellation, and everything that a service may do wrong."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from media.speech import aliyun_tts
from media.speech.aliyun_pool import ConnectionPool
from media.speech.aliyun_tts import AliyunSynthesizer
from media.speech.ports import SynthesisOptions
from sandbox.cloud.server import serve_cloud

from .conftest import PATIENCE, Heard, Peer, scripted


def options(endpoint: str, **more: object) -> SynthesisOptions:
    return SynthesisOptions(
        provider="aliyun",
        endpoint=endpoint,
        key="k",
        model="cosyvoice-v2",
        speaker="longyumi_v2",
        **more,  # type: ignore[arg-type]
    )


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 2 * PATIENCE))  # type: ignore[arg-type]


async def speaks(peer: Peer, audio: bytes = b"ab" * 800) -> None:
    """One good task."""
    await peer.started()
    await peer.until("finish-task")
    await peer.socket.send(audio)
    await peer.event("task-finished")


def test_a_text_in_one_piece_becomes_audio_at_the_rate_that_was_asked_for() -> None:
    async def scenario() -> None:
        cloud = await serve_cloud()
        synthesizer, heard = AliyunSynthesizer(), Heard()
        stream = synthesizer.open(options(cloud.aliyun_url), heard)
        stream.send("您好，这里是客服中心。")
        stream.finish()
        await heard.end()
        assert heard.failure is None
        assert 8000 < len(heard.audio) // 2 < 60_000
        assert np.abs(np.frombuffer(bytes(heard.audio), np.int16)).max() > 2000
        await synthesizer.close()
        await cloud.close()

    run(scenario)


def test_texts_in_pieces_are_sent_as_they_come_and_heard_before_the_end_of_the_text() -> None:
    async def scenario() -> None:
        cloud = await serve_cloud()
        synthesizer, heard = AliyunSynthesizer(), Heard()
        stream = synthesizer.open(options(cloud.aliyun_url), heard)
        stream.send("第一句话。")
        async with asyncio.timeout(PATIENCE):
            await heard.first.wait()
        stream.send("第二句话。")
        stream.finish()
        await heard.end()
        assert heard.failure is None
        assert cloud.requests["tts"] == 1
        await synthesizer.close()
        await cloud.close()

    run(scenario)


def test_one_connection_carries_several_tasks() -> None:
    async def scenario() -> None:
        tasks = 0

        async def script(peer: Peer) -> None:
            nonlocal tasks
            while True:
                await speaks(peer)
                tasks += 1

        connections = 0

        async def counted(peer: Peer) -> None:
            nonlocal connections
            connections += 1
            await script(peer)

        async with scripted(counted) as service:
            synthesizer = AliyunSynthesizer()
            for _ in range(5):
                heard = Heard()
                stream = synthesizer.open(options(service.endpoint), heard)
                stream.send("好的。")
                stream.finish()
                await heard.end()
                assert heard.failure is None
            assert tasks == 5
            assert connections <= 2  # the first, and one spare
            await synthesizer.close()

    run(scenario)


def test_a_prepared_connection_is_there_before_the_first_utterance() -> None:
    async def scenario() -> None:
        prepared = asyncio.Event()

        async def script(peer: Peer) -> None:
            prepared.set()
            await speaks(peer)

        async with scripted(script) as service:
            synthesizer = AliyunSynthesizer()
            synthesizer.prepare(options(service.endpoint))
            async with asyncio.timeout(PATIENCE):
                await prepared.wait()
            await synthesizer.close()

    run(scenario)


def test_a_warm_connection_that_died_is_replaced_without_the_listener_noticing() -> None:
    async def scenario() -> None:
        async def dies(peer: Peer) -> None:
            await speaks(peer)
            await peer.socket.recv()
            peer.socket.transport.abort()

        async with scripted(dies, dies, speaks) as service:
            pool_options = options(service.endpoint)
            synthesizer = AliyunSynthesizer()
            for _ in range(3):
                heard = Heard()
                stream = synthesizer.open(pool_options, heard)
                stream.send("好的。")
                stream.finish()
                await heard.end()
                assert heard.failure is None
                assert heard.audio == b"ab" * 800
            await synthesizer.close()

    run(scenario)


def test_cancelling_stops_every_callback_and_drops_the_connection() -> None:
    async def scenario() -> None:
        async def script(peer: Peer) -> None:
            await peer.started()
            await peer.until("continue-task")
            await peer.socket.send(bytes(320))
            await peer.socket.wait_closed()

        async with scripted(script) as service:
            synthesizer, heard = AliyunSynthesizer(), Heard()
            stream = synthesizer.open(options(service.endpoint), heard)
            stream.send("一句很长的话。")
            async with asyncio.timeout(PATIENCE):
                await heard.first.wait()
            stream.cancel()
            stream.send("更多")
            await service.until_served()
            assert not heard.ended.is_set()
            await synthesizer.close()

    run(scenario)


def test_an_utterance_without_text_is_done_at_once_and_asks_nobody() -> None:
    async def scenario() -> None:
        synthesizer, heard = AliyunSynthesizer(), Heard()
        stream = synthesizer.open(options("ws://127.0.0.1:1/"), heard)
        stream.finish()
        assert heard.endings == 0
        await heard.end()
        assert heard.failure is None
        await synthesizer.close()

    run(scenario)


def test_audio_cut_in_the_middle_of_a_sample_is_put_together() -> None:
    async def scenario() -> None:
        async def script(peer: Peer) -> None:
            await peer.started()
            await peer.until("finish-task")
            for piece in (b"a", b"bcd", b"efg", b"h"):
                await peer.socket.send(piece)
            await peer.event("task-finished")

        async with scripted(script) as service:
            synthesizer, heard = AliyunSynthesizer(), Heard()
            stream = synthesizer.open(options(service.endpoint), heard)
            stream.send("好")
            stream.finish()
            await heard.end()
            assert bytes(heard.audio) == b"abcdefgh"
            await synthesizer.close()

    run(scenario)


async def _fails(peer: Peer) -> None:
    await peer.started()
    await peer.event("task-failed", error_code="InternalError", error_message="engine")


async def _garbage(peer: Peer) -> None:
    await peer.started()
    await peer.socket.send("{{{")
    await peer.socket.wait_closed()


async def _closes(peer: Peer) -> None:
    await peer.started()
    await peer.until("continue-task")
    await peer.socket.send(bytes(320))
    await peer.socket.close(1011)


async def _refuses(peer: Peer) -> None:
    await peer.socket.close(1011)


@pytest.mark.parametrize(
    ("script", "code"), [(_fails, "InternalError"), (_garbage, "protocol"), (_closes, "closed"), (_refuses, "closed")]
)
def test_what_goes_wrong_is_told_once(script: Callable[[Peer], Awaitable[None]], code: str) -> None:
    async def scenario() -> None:
        async with scripted(script) as service:
            synthesizer, heard = AliyunSynthesizer(), Heard()
            stream = synthesizer.open(options(service.endpoint), heard)
            stream.send("好的。")
            stream.finish()
            await heard.end()
            assert heard.failure is not None
            assert heard.failure.code == code
            assert heard.endings == 1
            await synthesizer.close()

    run(scenario)


def test_a_task_that_never_starts_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliyun_tts, "START_SECONDS", 0.05)

    async def scenario() -> None:
        async def script(peer: Peer) -> None:
            await peer.socket.wait_closed()

        async with scripted(script) as service:
            synthesizer, heard = AliyunSynthesizer(), Heard()
            stream = synthesizer.open(options(service.endpoint), heard)
            stream.send("好的。")
            await heard.end()
            assert heard.failure is not None
            assert heard.failure.code == "connect"
            await synthesizer.close()

    run(scenario)


@pytest.mark.parametrize(("volume", "scaled"), [(5, 50), (10, 100), (1, 10), (0, 0), (99, 100)])
def test_volume_is_brought_to_the_services_scale(volume: int, scaled: int) -> None:
    async def scenario() -> None:
        got: list[dict[str, object]] = []

        async def script(peer: Peer) -> None:
            await peer.started()
            got.append(peer.run)
            await peer.until("finish-task")
            await peer.event("task-finished")

        async with scripted(script) as service:
            synthesizer, heard = AliyunSynthesizer(), Heard()
            stream = synthesizer.open(options(service.endpoint, volume=volume, speed=9.0), heard)
            stream.send("好")
            stream.finish()
            await heard.end()
            await synthesizer.close()
        assert got[0]["parameters"] == {
            "text_type": "PlainText",
            "voice": "longyumi_v2",
            "format": "pcm",
            "sample_rate": 8000,
            "volume": scaled,
            "rate": 2.0,
        }

    run(scenario)


def test_a_pool_keeps_a_connection_only_while_it_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media.speech.aliyun_pool.IDLE_SECONDS", 0.01)

    async def scenario() -> None:
        async def script(peer: Peer) -> None:
            await peer.socket.wait_closed()

        async with scripted(script) as service:
            pool = ConnectionPool(service.endpoint, "k")
            connection, waited = await pool.acquire()
            assert not waited
            pool.release(connection)
            async with asyncio.timeout(PATIENCE):
                await connection.wait_closed()
            await pool.close()

    run(scenario)


def test_word_times_of_several_sentences_are_those_of_the_whole_text_and_audio() -> None:
    async def scenario() -> None:
        cloud = await serve_cloud()
        synthesizer, heard = AliyunSynthesizer(), Heard()
        stream = synthesizer.open(options(cloud.aliyun_url, subtitle=True), heard)
        texts = ["您好，我是小张。", "请问您明天有空吗？", "好的。"]
        for text in texts:
            stream.send(text)
        stream.finish()
        await heard.end()
        await synthesizer.close()
        await cloud.close()
        whole = "".join(texts)
        assert [whole[word.text_start : word.text_end] for word in heard.words] == list(whole)
        assert all(before.end_ms <= after.start_ms for before, after in itertools.pairwise(heard.words))
        assert abs(heard.words[-1].end_ms - len(heard.audio) // 16) <= 200

    run(scenario)
