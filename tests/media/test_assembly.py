"""What the settings make of a process."""

from __future__ import annotations

from pathlib import Path

from media.assembly import session_defaults
from shared.settings import load


def test_the_longest_call_is_the_settings(tmp_path: Path) -> None:
    settings = load({"WAIHU_MAX_CALL_SECONDS": "5m", "WAIHU_STATE_DIR": str(tmp_path)}, tmp_path)
    assert session_defaults(settings).longest == 300.0
    assert session_defaults(settings).barge_in
