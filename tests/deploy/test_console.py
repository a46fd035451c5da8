"""What of the processes' lines a person sees."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from deploy.console import Files, Terminal
from deploy.screen import Console

REDIS = "28348:M 20 Nov 2026 19:45:11.684 # "
FLOWER = "2026-11-21 03:45:17.529 WARNING flower Inspect method stats failed"


@pytest.mark.parametrize(
    ("name", "text", "seen"),
    [
        ("redis", REDIS + "WARNING Memory overcommit must be enabled! Without it, a background save may fail", False),
        ("redis", REDIS + "Redis version=6.2.14, bits=64", False),
        (
            "redis",
            REDIS + "Could not create server TCP listening socket 127.0.0.1:1: bind: Address already in use",
            True,
        ),
        ("redis", REDIS + "Out Of Memory allocating 8 bytes!", True),
        ("flower", FLOWER, False),
        ("flower", FLOWER + ": Error 111 connecting to 127.0.0.1:1. Connection refused.", True),
        ("flower", "Traceback (most recent call last):", True),
        ("worker", FLOWER, True),
    ],
)
def test_what_is_no_news_goes_to_a_file_and_nothing_else_does(tmp_path: Path, name: str, text: str, seen: bool) -> None:
    stream = io.StringIO()
    with Files(tmp_path) as files:
        Terminal(Console(file=stream), ["redis", "flower", "worker"], files).line(name, text)
    kept = tmp_path / f"{name}.log"
    assert (text in stream.getvalue()) is seen
    assert (kept.exists() and text in kept.read_text()) is not seen
