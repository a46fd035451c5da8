"""Connections to Redis."""

from __future__ import annotations

import asyncio
from pathlib import Path

from shared.bus import ASYNC_CONNECTIONS, open_async_redis
from tests.workers.twins import running_redis


def test_more_commands_at_once_than_connections_wait_for_one(tmp_path: Path) -> None:
    async def scenario(url: str) -> set[object]:
        client = open_async_redis(url)
        try:
            await client.set("key", "value")
            return set(await asyncio.gather(*(client.get("key") for _ in range(6 * ASYNC_CONNECTIONS))))
        finally:
            await client.aclose()

    with running_redis(tmp_path) as url:
        assert asyncio.run(scenario(url)) == {b"value"}
