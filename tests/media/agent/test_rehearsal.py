"""After a rehearsal the first request to a language model finds everything there."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

SCRIPT = textwrap.dedent(
    """
    import asyncio, sys
    from media.agent import rehearsal
    from media.agent.chat import OpenAiChat

    async def main():
        if "rehearsed" in sys.argv:
            await rehearsal.rehearse()
        server = await asyncio.start_server(rehearsal._answer, "127.0.0.1", 0)
        chat = OpenAiChat(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", "key", "model")
        before = set(sys.modules)
        parts = [part async for part in chat.stream([{"role": "user", "content": "hello"}], [])]
        print(len(parts), len(set(sys.modules) - before))
        await chat.close()
        server.close()

    asyncio.run(main())
    """
)


@pytest.mark.parametrize(("how", "imports"), [("rehearsed", False), ("unprepared", True)])
def test_a_request_after_a_rehearsal_imports_nothing(how: str, imports: bool) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, timeout=120, check=True)
    parts, modules = map(int, done.stdout.split())
    assert parts == 2
    assert bool(modules) is imports
