"""Who holds a state directory, and what they leave in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.state import StateHeld, held, write_endpoints
from shared.settings import load

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, pathlib
from deploy.state import held
with held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_directory_held_by_another_process_is_refused_with_its_id(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StateHeld, match=rf"process {other.pid} .* WAIHU_STATE_DIR"), held(tmp_path):
            pass
        other.kill()
        other.wait(10)
        with held(tmp_path):  # the kernel has let it go
            pass


def test_endpoints_are_read_by_the_settings_and_gone_at_the_end(tmp_path: Path) -> None:
    state_dir = tmp_path / "var"
    with held(state_dir):
        write_endpoints(state_dir, {"public_url": "http://127.0.0.1:9"})
        assert load({}, tmp_path).public_url == "http://127.0.0.1:9"
        assert not [path for path in state_dir.iterdir() if path.name.startswith(".endpoints")]
    assert load({}, tmp_path).public_url == "http://127.0.0.1:8899"


def test_what_a_killed_holder_left_behind_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text(json.dumps({"redis_url": "redis://127.0.0.1:1/0"}))
    with held(tmp_path):
        assert not (tmp_path / "endpoints.json").exists()
