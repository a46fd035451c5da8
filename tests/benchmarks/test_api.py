"""What the API's benchmark measures must be what is served."""

from __future__ import annotations

import shlex
from pathlib import Path

from benchmarks.api import SERVED

PROCFILE = Path(__file__).parents[2] / "Procfile"


def test_the_api_is_measured_as_the_procfile_serves_it() -> None:
    web = next(line for line in PROCFILE.read_text().splitlines() if line.startswith("web: "))
    assert tuple(shlex.split(web.removeprefix("web: "))) == SERVED
