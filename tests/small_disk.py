"""A filesystem of its own that is soon full: a tmpfs, which root alone may mount."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MOUNT_SECONDS = 30
PIECE = 1 << 16


class SmallDisk:
    """``root``: where it is mounted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ballast = root / ".ballast"

    def fill(self) -> None:
        """Not one byte is left, and no page for a new file's first."""
        with self._ballast.open("ab", buffering=0) as ballast:
            piece = PIECE
            while piece:
                try:
                    ballast.write(bytes(piece))
                except OSError:
                    piece //= 2

    def clear(self) -> None:
        """What filled it is gone."""
        self._ballast.unlink()


@contextmanager
def small_disk(directory: Path, mebibytes: int) -> Iterator[SmallDisk]:
    """Mounted at ``directory``, which is made, and unmounted in the end. Skips the test where that is not permitted."""
    directory.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(directory)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, timeout=MOUNT_SECONDS, check=False)
    except FileNotFoundError:
        pytest.skip("needs a filesystem of its own: there is no `mount`")
    if mounted.returncode:
        pytest.skip(f"needs a filesystem of its own, and may not mount one (root may): {mounted.stderr.strip()}")
    try:
        yield SmallDisk(directory)
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], timeout=MOUNT_SECONDS, check=True)
