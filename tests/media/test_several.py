"""Several media processes as one, tried with children that only wait for a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PATIENCE = 60.0
HOUSE = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for a process in /proc")


CHILD = """#!{python}
import os, signal, sys, time
from pathlib import Path

here = Path({here!r})
told = []
signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
try:
    first = os.open(here / "quick", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
except FileExistsError:
    quick = False
else:
    quick = True
    os.write(first, str(os.getpid()).encode())
(here / ("quick.ready" if quick else "slow.ready")).touch()
while not told:
    time.sleep(0.01)
if not quick:
    other = int((here / "quick").read_text())
    while Path(f"/proc/{{other}}").exists():  # until its parent has heard of its end
        time.sleep(0.01)
    time.sleep(0.5)  # for a second word, which is said at once or not at all
    (here / "told").write_text(str(len(told)))
"""


WAITING = """#!{python}
import os, signal, sys, time

told = []
signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
born = os.open({here!r} + "/born", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(born, b"%d\\n" % os.getpid())
while not told:
    time.sleep(0.01)
"""
FAILING = """#!{python}
import os

os.write(os.open({here!r} + "/born", os.O_WRONLY | os.O_CREAT | os.O_APPEND), b"%d\\n" % os.getpid())
raise SystemExit(2)
"""


def started(directory: Path, code: str, *, lived: float = 10.0) -> subprocess.Popen[bytes]:
    """Two siblings whose program is ``code``."""
    child = directory / "child"
    child.write_text(code.format(python=sys.executable, here=str(directory)))
    child.chmod(0o755)
    run = f"from media.several import Siblings; sys.exit(Siblings(2, {lived}).run())"
    return subprocess.Popen([sys.executable, "-c", f"import sys; sys.executable = {str(child)!r}; {run}"], cwd=HOUSE)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def born(directory: Path) -> list[int]:
    file = directory / "born"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def test_the_first_to_leave_ends_none_of_the_others_calls(tmp_path: Path) -> None:
    with started(tmp_path, CHILD) as parent:
        until(lambda: (tmp_path / "quick.ready").exists() and (tmp_path / "slow.ready").exists())
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(PATIENCE) == 0
    assert (tmp_path / "told").read_text() == "1"


def test_one_that_dies_is_started_again_and_the_other_goes_on(tmp_path: Path) -> None:
    with started(tmp_path, WAITING, lived=0.0) as parent:
        until(lambda: len(born(tmp_path)) == 2)
        first, other = born(tmp_path)
        os.kill(first, signal.SIGKILL)
        until(lambda: len(born(tmp_path)) == 3)
        assert Path(f"/proc/{other}").exists()
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(PATIENCE) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in born(tmp_path))


def test_one_that_never_served_ends_all_with_its_code(tmp_path: Path) -> None:
    with started(tmp_path, FAILING) as parent:
        assert parent.wait(PATIENCE) == 2
    assert len(born(tmp_path)) <= 2
