"""A twin of the supervisor's output: remembers what was said, and lets a test wait for a word."""

from __future__ import annotations

import asyncio


class Remembered:
    """Lines as ``name: text`` and notes as ``waihu: text``, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def line(self, name: str, text: str) -> None:
        self.lines.append(f"{name}: {text}")
        task = asyncio.get_running_loop().create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def note(self, text: str) -> None:
        self.line("waihu", text)

    def count(self, word: str) -> int:
        return sum(word in line for line in self.lines)

    async def heard(self, word: str, times: int = 1, timeout: float = 30.0) -> None:
        """Returns once ``word`` stands in that many lines. Raises TimeoutError."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: self.count(word) >= times)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
