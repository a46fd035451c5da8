"""``python -m tests.faults.pause_media``: the media process, killed at one step of its work."""

from __future__ import annotations

import sys

from media.main import main
from tests.faults.pause import prepare

if __name__ == "__main__":
    prepare("media")
    sys.exit(main([]))
