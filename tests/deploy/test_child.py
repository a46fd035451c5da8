"""A supervised process: kept alive, listened to, and ended with all it begot."""

from __future__ import annotations

import asyncio
import os
import select
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import child
from deploy.child import FIRST_PAUSE, LIVED, LONGEST_PAUSE, Child, next_pause
from tests.deploy.outputs import Remembered

ENDED_WITHIN = 20.0
linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="pidfd, and death with one's parent, are Linux's"
)


def python(code: str) -> str:
    return shlex.join([sys.executable, "-u", "-c", code])


def make(command: str, output: Remembered, directory: Path) -> Child:
    return Child("it", command, os.environ, directory, output)


def ends(pid: int) -> bool:
    """Waits for a process that need not be our child; False if it still runs after ENDED_WITHIN."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], ENDED_WITHIN)[0])
    finally:
        os.close(handle)


def test_pauses_double_up_to_a_bound_and_begin_anew_after_a_life() -> None:
    pauses, pause = [], 0.0
    for _ in range(9):
        pause = next_pause(pause, lived=0.1)
        pauses.append(pause)
    assert pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    assert next_pause(LONGEST_PAUSE, lived=LIVED) == FIRST_PAUSE


def test_what_it_says_comes_out_line_by_line_with_both_streams_and_bad_bytes(tmp_path: Path) -> None:
    code = "import sys, os; print('one'); print('two', file=sys.stderr); os.write(1, b'\\xff\\nlast'); sys.stdin.read()"

    async def scenario() -> None:
        output = Remembered()
        it = make(python(code + "; import time; time.sleep(60)"), output, tmp_path)
        it.start()
        await output.heard("\ufffd")
        await it.stop(10)
        assert [line for line in output.lines if line.startswith("it:")] == [
            "it: one",
            "it: two",
            "it: \ufffd",
            "it: last",
        ]
        assert list(it.last_lines)[:2] == ["one", "two"]

    asyncio.run(scenario())


def test_an_endless_line_is_cut_and_not_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        output = Remembered()
        it = make(python("print('x' * 100_000); print('after'); import time; time.sleep(60)"), output, tmp_path)
        it.start()
        await output.heard("after")
        await it.stop(10)
        assert max(map(len, output.lines)) <= 2 * child.LONGEST_LINE + 10
        assert sum(line.count("x") for line in output.lines) == 100_000

    asyncio.run(scenario())


def test_a_process_that_dies_is_started_again_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "FIRST_PAUSE", 0.01)

    async def scenario() -> None:
        output = Remembered()
        it = make(python("print('born'); raise SystemExit(3)"), output, tmp_path)
        it.start()
        await output.heard("born", times=3)
        await it.stop(10)
        assert it.deaths >= 2
        assert "waihu: it ended (exit code 3); it starts again in 0.01 s" in output.lines

    asyncio.run(scenario())


def test_a_process_that_cannot_be_started_just_now_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "FIRST_PAUSE", 0.01)

    async def scenario() -> None:
        output = Remembered()
        away = tmp_path / "away"
        it = make(python("import time; print('born'); time.sleep(600)"), output, away)
        it.start()
        await output.heard("it could not start (No such file or directory); it starts again", times=2)
        away.mkdir()
        await output.heard("born")
        await it.stop(10)
        assert it.pid is None

    asyncio.run(scenario())


@pytest.mark.parametrize("nice", [0, 3])
def test_its_niceness_is_as_asked(tmp_path: Path, nice: int) -> None:
    async def scenario() -> None:
        output = Remembered()
        code = "import os, time; print('niceness', os.nice(0), flush=True); time.sleep(600)"
        it = Child("it", python(code), os.environ, tmp_path, output, nice=nice)
        it.start()
        await output.heard(f"niceness {os.nice(0) + nice}")
        await it.stop(10)

    asyncio.run(scenario())


@linux
def test_stopping_ends_it_and_its_own_children(tmp_path: Path) -> None:
    code = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print('pid', p.pid); p.wait()"

    async def scenario() -> None:
        output = Remembered()
        it = make(python(code), output, tmp_path)
        it.start()
        await output.heard("pid")
        grandchild = int(output.lines[-1].split()[-1])
        assert it.pid is not None
        await it.stop(10)
        assert ends(grandchild)
        assert it.pid is None

    asyncio.run(scenario())


def test_one_that_will_not_end_is_killed_after_its_grace(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(600)"

    async def scenario() -> None:
        output = Remembered()
        it = make(python(code), output, tmp_path)
        it.start()
        await output.heard("deaf")
        await it.stop(0.1)
        assert "waihu: it did not end within 0.1 s and is killed" in output.lines

    asyncio.run(scenario())


def test_one_that_ends_well_on_sigterm_is_not_killed(tmp_path: Path) -> None:
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit())); print('up'); time.sleep(600)"

    async def scenario() -> None:
        output = Remembered()
        it = make(python(code), output, tmp_path)
        it.start()
        await output.heard("up")
        await it.stop(60)
        assert "it: bye" in output.lines
        assert not output.count("killed")

    asyncio.run(scenario())


def test_whoever_waits_long_is_told_for_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "PATIENCE", 0.1)
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), sys.exit())); print('up'); time.sleep(600)"

    async def scenario() -> None:
        output = Remembered()
        it = make(python(code), output, tmp_path)
        it.start()
        await output.heard("up")
        await it.stop(60)
        assert "waihu: it is still busy; waiting up to 60 s for it" in output.lines
        assert not output.count("killed")

    asyncio.run(scenario())


def test_stopping_during_the_pause_before_a_restart_does_not_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "FIRST_PAUSE", 3600.0)

    async def scenario() -> None:
        output = Remembered()
        it = make("exit 1", output, tmp_path)
        it.start()
        await output.heard("starts again")
        await it.stop(10)

    asyncio.run(scenario())


SUPERVISE = """
import asyncio, os, sys, pathlib
from deploy.child import Child
class Out:
    def line(self, name, text): print(text, flush=True)
    note = print
async def main():
    Child("it", sys.argv[1], os.environ, pathlib.Path("."), Out()).start()
    await asyncio.sleep(600)
asyncio.run(main())
"""


@linux
def test_nothing_is_left_when_the_supervisor_itself_is_killed() -> None:
    command = python("import os, time; print(os.getpid()); time.sleep(600)")
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, command], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    pid = int(supervisor.stdout.readline())
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait(10)
    supervisor.stdout.close()
    assert ends(pid)
