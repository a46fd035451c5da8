"""The stand-in cloud as a whole: one port, admin, close."""

import asyncio

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed

from sandbox.cloud.server import Cloud, CloudConfig, serve_cloud
from tests.sandbox.cloud.clients import PATIENCE, run, settled, speech_client


def test_speech_and_chat_share_one_port() -> None:
    async def scenario(cloud: Cloud) -> None:
        assert cloud.aliyun_url == f"ws://127.0.0.1:{cloud.port}/api-ws/v1/inference"
        assert cloud.openai_url == f"{cloud.url}/v1" == f"http://127.0.0.1:{cloud.port}/v1"
        async with speech_client(cloud) as speech, httpx2.AsyncClient(headers={"Authorization": "Bearer k"}) as http:
            await speech.run_asr()
            await speech.event()
            assert (await http.get(f"{cloud.openai_url}/models")).status_code == 200
            assert (await http.get(f"{cloud.url}/admin/requests")).json() == {"asr": 1, "models": 1}

    run(scenario)


def test_faults_are_switched_over_http() -> None:
    async def scenario(cloud: Cloud) -> None:
        async with httpx2.AsyncClient(base_url=cloud.url) as http:
            answer = await http.put("/admin/faults/asr", json={"fault": "fail", "times": 2})
            assert answer.json() == {"asr": {"fault": "fail", "times": 2}}
            async with speech_client(cloud) as speech:
                await speech.run_asr()
                assert (await speech.event())["header"]["event"] == "task-failed"
            assert (await http.get("/admin/faults")).json() == {"asr": {"fault": "fail", "times": 1}}
            assert (await http.delete("/admin/faults")).json() == {}
            await http.put("/admin/faults/tts", json={"fault": "slow"})
            assert (await http.delete("/admin/faults/tts")).json() == {}

    run(scenario)


@pytest.mark.parametrize(
    ("service", "body"), [("asr", b"{"), ("asr", b"[]"), ("asr", b'{"fault": "sulk"}'), ("fax", b'{"fault": "slow"}')]
)
def test_a_wrong_wish_is_400_with_a_reason(service: str, body: bytes) -> None:
    async def scenario(cloud: Cloud) -> None:
        async with httpx2.AsyncClient(base_url=cloud.url) as http:
            answer = await http.put(f"/admin/faults/{service}", content=body)
            assert answer.status_code == 400
            assert answer.json()["error"]
            assert (await http.delete("/admin/faults/fax")).status_code == 404
        assert cloud.faults.shown() == {}

    run(scenario)


def test_a_taken_port_is_an_error() -> None:
    async def scenario(cloud: Cloud) -> None:
        with pytest.raises(OSError, match="in use"):
            await serve_cloud(port=cloud.port)

    run(scenario)


def test_close_ends_connections_and_frees_the_port() -> None:
    async def scenario() -> None:
        cloud = await serve_cloud()
        async with asyncio.timeout(PATIENCE), speech_client(cloud) as speech:
            await speech.run_asr()
            await speech.event()
            await cloud.close()
            with pytest.raises(ConnectionClosed):
                await speech.receive()
        again = await serve_cloud(port=cloud.port)
        await again.close()

    asyncio.run(scenario())


def test_close_does_not_wait_for_a_request_that_hangs() -> None:
    async def scenario() -> None:
        cloud = await serve_cloud(config=CloudConfig())
        cloud.faults.set("chat", "hang_start")
        async with httpx2.AsyncClient(headers={"Authorization": "Bearer k"}) as http:
            body = {"model": "m", "messages": [{"role": "user", "content": "您好"}]}
            asking = asyncio.create_task(http.post(f"{cloud.openai_url}/chat/completions", json=body))
            await settled(lambda: cloud.requests["chat"] == 1)
            async with asyncio.timeout(PATIENCE):
                await cloud.close()
                with pytest.raises(httpx2.TransportError):
                    await asking

    asyncio.run(scenario())
