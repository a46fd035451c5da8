"""Nobody is called who could not be recorded: the disk is looked at, on a real one that becomes full."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from media.recorder import Recorder
from media.registry import Registry
from media.shelf import SECOND_BYTES, SPARED_SECONDS, Shelf
from tests.small_disk import small_disk

STEM = "ai_call/2026/11/20/13/2611201346001234567"
MINUTE_MIB = SPARED_SECONDS * SECOND_BYTES / (1 << 20)


async def until(condition: Callable[[], bool]) -> None:
    """Looks again and again: a thread's work comes back to the loop."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def shelf_scenario(root: Path, play: Callable[[Shelf, Registry, Recorder, list[bool]], Awaitable[None]]) -> None:
    """Runs ``play`` with a shelf, and what it said when it changed."""

    async def scenario() -> None:
        registry, told = Registry(10), list[bool]()
        recorder = Recorder(asyncio.get_running_loop(), root, lambda *_: None)
        recorder.start()

        async def changed() -> None:
            told.append(registry.recordable)

        try:
            await play(Shelf(root, recorder, registry, changed), registry, recorder, told)
        finally:
            await recorder.stop()

    asyncio.run(scenario())


def test_a_full_disk_is_told_once_and_so_is_room_again(tmp_path: Path) -> None:
    async def play(shelf: Shelf, registry: Registry, _recorder: Recorder, told: list[bool]) -> None:
        await shelf.look()
        assert (registry.recordable, shelf.problem, told) == (True, "", [])
        assert shelf.free > 0
        disk.fill()
        for _ in range(2):
            await shelf.look()
        assert "No space left" in shelf.problem
        assert (told, shelf.free) == ([False], 0)
        disk.clear()
        await shelf.look()
        assert (registry.recordable, shelf.problem, told) == (True, "", [False, True])

    with small_disk(tmp_path / "disk", 8) as disk:
        shelf_scenario(disk.root, play)
        assert [path.name for path in disk.root.iterdir()] == []


def test_live_calls_are_left_a_minute_each_and_twice_as_much_before_others_come(tmp_path: Path) -> None:
    async def play(shelf: Shelf, registry: Registry, _recorder: Recorder, told: list[bool]) -> None:
        for _ in range(4):
            registry.admit("phone")
        await shelf.look()
        assert "live calls" in shelf.problem
        for _ in range(3):
            registry.release("phone")
        await shelf.look()
        assert shelf.free > 2 * MINUTE_MIB * (1 << 20)
        assert not registry.recordable, "two minutes of sound would do, four are asked for now"
        registry.release("phone")
        await shelf.look()
        assert told == [False, True]

    with small_disk(tmp_path / "disk", int(4 * MINUTE_MIB)) as disk:
        shelf_scenario(disk.root, play)


def test_a_recording_that_cannot_be_opened_brings_on_a_look_at_once(tmp_path: Path) -> None:
    async def play(shelf: Shelf, registry: Registry, recorder: Recorder, told: list[bool]) -> None:
        await shelf.look()
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            await recorder.open(STEM)
        assert recorder.trouble.is_set()
        assert registry.recordable
        running = asyncio.ensure_future(shelf.run())
        async with asyncio.timeout(10):
            await until(lambda: bool(told))
        running.cancel()
        assert told == [False]
        assert [path.name for path in disk.root.rglob("*.*") if path.suffix in (".wav", ".jsonl")] == []

    with small_disk(tmp_path / "disk", 8) as disk:
        shelf_scenario(disk.root, play)


def test_a_directory_that_is_gone_takes_no_recording(tmp_path: Path) -> None:
    async def play(shelf: Shelf, registry: Registry, _recorder: Recorder, told: list[bool]) -> None:
        await shelf.look()
        assert (registry.recordable, told) == (False, [False])
        assert "No such file" in shelf.problem

    shelf_scenario(tmp_path / "nowhere", play)
