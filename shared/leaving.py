"""How a process leaves that has nothing more to do."""

from __future__ import annotations

import atexit
import gc


def leave_quickly() -> None:
    """Spares this process the collector's walk over all that was ever imported, for when it ends by itself.

    Python collects once more at its end, which takes a second on a busy machine and finds what the kernel takes back
    anyway. Whatever must be closed must have been closed by then; nothing here waits for its ``__del__``.
    """
    atexit.register(gc.freeze)
