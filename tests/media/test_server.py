"""The pages, and what is refused at the door."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest

from tests.media.office import Office, office


def get(tmp_path: Path, path: str, *, secret: str = "", **headers: str) -> httpx2.Response:
    async def scenario(here: Office) -> httpx2.Response:
        async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
            return await client.get(f"http://127.0.0.1:{here.server.port}{path}", headers=headers)

    async def run() -> httpx2.Response:
        async with asyncio.timeout(60), office(tmp_path, secret=secret) as here:
            return await scenario(here)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/healthz", 200, "application/json"),
        ("/readyz", 200, "application/json"),
        ("/metrics", 200, "text/plain"),
        ("/metrics?x=1", 200, "text/plain"),
        ("/call", 501, "application/json"),
        ("/call/lists", 501, "application/json"),
        ("/iceservers", 501, "application/json"),
        ("/phone", 426, "application/json"),
        ("/", 404, "application/json"),
        ("/phones", 404, "application/json"),
        ("/../etc/passwd", 404, "application/json"),
    ],
)
def test_each_path_has_its_answer(tmp_path: Path, path: str, status: int, kind: str) -> None:
    answer = get(tmp_path, path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(kind)
    if kind == "application/json":
        assert isinstance(answer.json(), dict)


def test_the_audio_socket_asks_for_the_secret_first(tmp_path: Path) -> None:
    answer = get(tmp_path, "/phone?secret=wrong", secret="s3cret")
    assert answer.status_code == 401
    assert "WAIHU_PHONE_SECRET" in answer.json()["error"]
    assert "s3cret" not in answer.text


@pytest.mark.parametrize(
    ("origin", "secret", "status"),
    [
        ("https://evil.example", "", 403),
        ("null", "", 403),
        ("http://localhost:8899", "", 426),
        ("http://127.0.0.1:8899", "", 426),
        ("https://evil.example", "s3cret", 426),
    ],
)
def test_without_a_secret_no_page_of_another_host_may_be_the_phone_system(
    tmp_path: Path, origin: str, secret: str, status: int
) -> None:
    assert get(tmp_path, f"/phone?secret={secret}", secret=secret, Origin=origin).status_code == status
