"""The Aliyun stand-in, driven over a real WebSocket by a real client."""

import asyncio
import io
import json
import wave

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sandbox.cloud.faults import Fault
from sandbox.cloud.server import Cloud, CloudConfig
from sandbox.voice.speech import CALLEES, utterance
from tests.sandbox.cloud.clients import PROMPT, Json, recognise, run, settled, speech_client, synthesise

TEXT = "您好，请问是张先生吗？我们是快递公司，想核对地址。"


def finals(sentences: list[Json]) -> list[str]:
    return [sentence["text"] for sentence in sentences if sentence["sentence_end"]]


def failure_of(event: Json) -> tuple[str, str]:
    assert event["header"]["event"] == "task-failed"
    return event["header"]["error_code"], event["header"]["error_message"]


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_what_tts_says_asr_understands(rate: int) -> None:
    async def scenario(cloud: Cloud) -> None:
        _, audio = await synthesise(cloud, [TEXT], sample_rate=rate)
        sentences = await recognise(cloud, audio, sample_rate=rate)
        assert "".join(finals(sentences)) == TEXT
        assert cloud.requests == {"tts": 1, "asr": 1}

    run(scenario)


def test_a_wrong_rate_on_the_way_breaks_recognition() -> None:
    async def scenario(cloud: Cloud) -> None:
        _, audio = await synthesise(cloud, [TEXT], sample_rate=16000)
        assert await recognise(cloud, audio, sample_rate=8000) == []

    run(scenario)


def test_partials_come_while_the_customer_speaks_and_the_final_after() -> None:
    async def scenario(cloud: Cloud) -> None:
        pcm = utterance("不用了，谢谢，再见。", 8000, CALLEES[0]).pcm.tobytes()
        async with speech_client(cloud) as client:
            await client.run_asr()
            await client.until("task-started")
            await client.socket.send(pcm[: len(pcm) // 2])
            partial = (await client.event())["payload"]["output"]["sentence"]
            assert "不用了，谢谢，再见。".startswith(partial["text"])
            assert (partial["sentence_end"], partial["end_time"], partial["heartbeat"]) == (False, None, False)
            await client.socket.send(pcm[len(pcm) // 2 :])
            final: Json = {"sentence_end": False}
            while not final["sentence_end"]:
                final = (await client.event())["payload"]["output"]["sentence"]
            assert final["text"] == "不用了，谢谢，再见。"
            assert final["sentence_id"] == partial["sentence_id"] == 1
            assert final["begin_time"] < final["end_time"]
            assert [word["text"] + word["punctuation"] for word in final["words"]][-1] == "见。"
            await client.finish()
            events, _ = await client.until("task-finished")
            assert len(events) == 1

    run(scenario)


def test_silence_alone_ends_a_sentence_that_was_cut_off() -> None:
    async def scenario(cloud: Cloud) -> None:
        pcm = utterance(TEXT, 8000).pcm[:16000].tobytes()
        sentences = await recognise(cloud, pcm + bytes(8000 * 2), max_sentence_silence=600)
        assert len(finals(sentences)) == 1
        assert TEXT.startswith(finals(sentences)[0])

    run(scenario)


def test_audio_without_words_yields_no_text() -> None:
    async def scenario(cloud: Cloud) -> None:
        noise = np.random.default_rng(1).normal(0, 3000, 24000).astype("<i2").tobytes()
        assert await recognise(cloud, noise + bytes(16000)) == []

    run(scenario)


def test_who_asks_for_heartbeats_gets_them_in_silence_and_nobody_else() -> None:
    async def scenario(cloud: Cloud) -> None:
        silence = bytes(8000 * 2 * 3)
        beats = await recognise(cloud, silence, heartbeat=True)
        assert [(beat["heartbeat"], beat["text"], beat["sentence_end"]) for beat in beats] == [(True, "", False)] * 3
        assert await recognise(cloud, silence) == []
        spoken = await recognise(cloud, utterance("您好。", 8000).pcm.tobytes() + bytes(800), heartbeat=True)
        assert not any(one["heartbeat"] for one in spoken)

    run(scenario)


def test_tts_speaks_whole_sentences_as_text_streams_in() -> None:
    async def scenario(cloud: Cloud) -> None:
        async with speech_client(cloud) as client:
            await client.run_tts()
            await client.until("task-started")
            await client.say("您好，请", "问是张先生吗？我们", "是快递")
            begun = (await client.event())["payload"]["output"]
            assert (begun["type"], begun["original_text"]) == ("sentence-begin", "您好，请问是张先生吗？")
            await client.finish()
            events, audio = await client.until("task-finished")
        output = [event["payload"]["output"] for event in events]
        assert [one["original_text"] for one in output if one.get("type") == "sentence-end"] == [
            "您好，请问是张先生吗？",
            "我们是快递",
        ]
        assert events[-1]["payload"]["usage"] == {"characters": 30}
        assert "".join(finals(await recognise(cloud, audio))) == "您好，请问是张先生吗？我们是快递"

    run(scenario)


def test_audio_comes_in_chunks_each_after_its_event() -> None:
    async def scenario(cloud: Cloud) -> None:
        async with speech_client(cloud) as client:
            await client.run_tts(word_timestamp_enabled=True)
            await client.until("task-started")
            await client.say("今天天气很好。")
            await client.finish()
            kinds: list[str] = []
            sizes: list[int] = []
            words: list[Json] = []
            while "task-finished" not in kinds:
                message = await client.receive()
                if isinstance(message, bytes):
                    kinds.append("audio")
                    sizes.append(len(message))
                else:
                    output = message["payload"].get("output", {})
                    kinds.append(output.get("type") or message["header"]["event"])
                    words = output.get("sentence", {}).get("words") or words
        assert kinds[0] == "sentence-begin"
        assert kinds[1:5] == ["sentence-synthesis", "audio"] * 2
        assert kinds[-2:] == ["sentence-end", "task-finished"]
        assert set(sizes[:-1]) == {1600}
        assert [word["text"] for word in words] == list("今天天气很好。")

    run(scenario)


def test_wav_has_a_header_once() -> None:
    async def scenario(cloud: Cloud) -> None:
        _, audio = await synthesise(cloud, ["您好。再见。"], format="wav", sample_rate=16000)
        with wave.open(io.BytesIO(audio)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        assert audio.count(b"RIFF") == 1
        assert "".join(finals(await recognise(cloud, audio[44:], sample_rate=16000))) == "您好。再见。"

    run(scenario)


def test_volume_rate_pitch_and_voice_are_heeded() -> None:
    async def scenario(cloud: Cloud) -> None:
        async def speak(**parameters: object) -> np.ndarray:
            return np.frombuffer((await synthesise(cloud, ["今天天气很好。"], **parameters))[1], "<i2").astype(float)

        usual, quiet, fast = await speak(), await speak(volume=25), await speak(rate=1.5)
        high, other = await speak(pitch=1.5), await speak(voice="longyumi_v2")
        assert np.abs(quiet).max() == pytest.approx(np.abs(usual).max() / 2, rel=0.02)
        assert len(fast) < len(usual) * 0.9
        assert high.tobytes() != usual.tobytes()
        assert other.tobytes() != usual.tobytes()

    run(scenario)


def test_one_connection_serves_one_task_after_another() -> None:
    async def scenario(cloud: Cloud) -> None:
        async with speech_client(cloud) as client:
            for text in ("您好。", "再见。"):
                client.task_id += "1"
                await client.run_tts()
                await client.until("task-started")
                await client.say(text)
                await client.finish()
                events, audio = await client.until("task-finished")
                assert events[-1]["header"]["task_id"] == client.task_id
                assert audio

    run(scenario)


@pytest.mark.parametrize("key", ["", "wrong"])
def test_a_wrong_key_is_401_before_the_upgrade(key: str) -> None:
    async def scenario(cloud: Cloud) -> None:
        with pytest.raises(InvalidStatus) as caught:
            async with speech_client(cloud, key):
                pass
        assert caught.value.response.status_code == 401
        assert json.loads(caught.value.response.body or b"")["code"] == "InvalidApiKey"
        assert cloud.requests["denied"] == 1

    run(scenario, CloudConfig(key="right"))


def test_the_right_key_is_let_in() -> None:
    async def scenario(cloud: Cloud) -> None:
        async with speech_client(cloud, "right") as client:
            await client.run_asr()
            assert (await client.event())["header"]["event"] == "task-started"

    run(scenario, CloudConfig(key="right"))


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("not json", "not JSON"),
        ("[]", "JSON object"),
        ("{}", "header"),
        ('{"header": {}, "payload": {}}', "run-task"),
        ('{"header": {"action": "finish-task"}, "payload": {}}', "send run-task first"),
        ('{"header": {"action": "run-task"}, "payload": {}}', "task_id"),
        ('{"header": {"action": "run-task", "task_id": "1"}, "payload": {"task_group": "video"}}', "audio"),
        (b"\0\0", "send run-task first"),
    ],
)
def test_a_bad_message_fails_the_task_with_a_reason_and_closes(message: str | bytes, named: str) -> None:
    async def scenario(cloud: Cloud) -> None:
        async with speech_client(cloud) as client:
            await client.socket.send(message)
            assert named in failure_of(await client.event())[1]
            with pytest.raises(ConnectionClosed):
                await client.socket.recv()

    run(scenario)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"format": "mp3"}, "pcm and wav, not 'mp3'"),
        ({"sample_rate": 4000}, "8000 to 48000"),
        ({"sample_rate": "8000"}, "'8000'"),
        ({"volume": 200}, "volume"),
        ({"rate": 9}, "rate"),
        ({"voice": ""}, "voice"),
    ],
)
def test_tts_parameters_that_are_not_served_are_named(parameters: Json, named: str) -> None:
    async def scenario(cloud: Cloud) -> None:
        async with speech_client(cloud) as client:
            await client.run_tts(**parameters)
            assert named in failure_of(await client.event())[1]

    run(scenario)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [({"format": "opus"}, "pcm only"), ({"sample_rate": None}, "None"), ({"max_sentence_silence": 1}, "200")],
)
def test_asr_parameters_that_are_not_served_are_named(parameters: Json, named: str) -> None:
    async def scenario(cloud: Cloud) -> None:
        async with speech_client(cloud) as client:
            await client.run_asr(**parameters)
            assert named in failure_of(await client.event())[1]

    run(scenario)


def test_tts_gives_up_when_no_text_comes() -> None:
    async def scenario(cloud: Cloud) -> None:
        async with speech_client(cloud) as client:
            await client.run_tts()
            events, _ = await client.until("task-failed")
            assert failure_of(events[-1]) == ("CLIENT_ERROR", "request timeout after 0.05 seconds.")

    run(scenario, CloudConfig(tts_patience=0.05))


def test_a_text_too_long_is_refused() -> None:
    async def scenario(cloud: Cloud) -> None:
        events, _ = await synthesise(cloud, ["好" * 20_001])
        assert "20000" in failure_of(events[-1])[1]

    run(scenario)


def test_a_client_that_goes_away_in_mid_sentence_leaves_nothing_behind() -> None:
    async def scenario(cloud: Cloud) -> None:
        async with speech_client(cloud) as client:
            await client.run_tts()
            await client.until("task-started")
            await client.say(TEXT * 20)
            await client.event()
        await settled(lambda: not cloud.live)
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "synthesis"]

    run(scenario, CloudConfig(tts_first_chunk=0, tts_speed=1))


class TestFaults:
    """What a client sees of each fault."""

    @pytest.mark.parametrize("service", ["asr", "tts"])
    def test_hang_start_says_nothing_at_all(self, service: str) -> None:
        async def scenario(cloud: Cloud) -> None:
            cloud.faults.set("asr", "hang_start", times=1)
            cloud.faults.set("tts", "hang_start", times=1)
            async with speech_client(cloud) as hung, speech_client(cloud) as healthy:
                await (hung.run_asr() if service == "asr" else hung.run_tts())
                await hung.finish()
                pong = await hung.socket.ping()
                await pong  # the server has read all of it, and is alive
                await (healthy.run_asr() if service == "asr" else healthy.run_tts())
                assert (await healthy.event())["header"]["event"] == "task-started"
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await hung.socket.recv()

        run(scenario)

    def test_fail_is_a_task_failed_instead_of_a_start(self) -> None:
        async def scenario(cloud: Cloud) -> None:
            cloud.faults.set("asr", "fail")
            async with speech_client(cloud) as client:
                await client.run_asr()
                assert failure_of(await client.event())[0] == "InternalError"

        run(scenario)

    @pytest.mark.parametrize("fault", ["hang_stream", "close", "fail_stream", "garbage", "slow"])
    def test_tts_in_mid_stream(self, fault: Fault) -> None:
        async def scenario(cloud: Cloud) -> None:
            cloud.faults.set("tts", fault)
            async with speech_client(cloud) as client:
                await client.run_tts()
                await client.until("task-started")
                await client.say("今天天气很好。")
                await client.finish()
                if fault == "slow":
                    assert (await client.until("task-finished"))[1]
                    return
                for _ in range(2):
                    await client.event()
                assert isinstance(await client.receive(), bytes)
                if fault == "close":
                    with pytest.raises(ConnectionClosed):
                        await client.receive()
                elif fault == "garbage":
                    with pytest.raises(json.JSONDecodeError):
                        await client.receive()
                    assert (await client.until("task-finished"))[1]
                elif fault == "fail_stream":
                    assert failure_of(await client.event())[0] == "InternalError.Algo"
                else:
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.05):
                            await client.socket.recv()

        run(scenario)

    @pytest.mark.parametrize("fault", ["hang_stream", "close", "fail_stream", "garbage", "slow"])
    def test_asr_in_mid_stream(self, fault: Fault) -> None:
        async def scenario(cloud: Cloud) -> None:
            cloud.faults.set("asr", fault)
            async with speech_client(cloud) as client:
                await client.run_asr()
                await client.until("task-started")
                await client.socket.send(bytes(8000))
                if fault in ("hang_stream", "slow"):
                    await client.socket.send(utterance("您好。", 8000).pcm.tobytes() + bytes(800))
                    await client.finish()
                if fault == "slow":
                    assert (await client.until("task-finished"))[0]
                elif fault == "close":
                    with pytest.raises(ConnectionClosed):
                        await client.receive()
                elif fault == "garbage":
                    with pytest.raises(json.JSONDecodeError):
                        await client.receive()
                    await client.finish()
                    assert await client.until("task-finished")
                elif fault == "fail_stream":
                    assert failure_of(await client.event())[0] == "InternalError.Algo"
                else:
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.05):
                            await client.socket.recv()

        run(scenario)


def test_many_calls_at_once_are_all_understood() -> None:
    async def scenario(cloud: Cloud) -> None:
        texts = [f"第{number}个工单，请确认。" for number in range(12)]
        heard = await asyncio.gather(
            *(recognise(cloud, utterance(text, 8000).pcm.tobytes() + bytes(400)) for text in texts)
        )
        assert [finals(one) for one in heard] == [[text] for text in texts]

    run(scenario, PROMPT)


def test_the_path_with_a_slash_is_served_too() -> None:
    async def scenario(cloud: Cloud) -> None:
        async with connect(cloud.aliyun_url + "/", additional_headers={"Authorization": "Bearer k"}) as socket:
            await socket.send("{}")
            assert "task-failed" in str(await socket.recv())

    run(scenario)
