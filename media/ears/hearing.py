"""One listener for all calls: a thread that looks at every call's new windows together."""

from __future__ import annotations

import asyncio

from media.ears.ears import Ears, Listener
from media.ears.hysteresis import SpeechRule


class Hearing:
    """Owns the rings, the gates, the VAD rows and the one thread of a process."""

    def __init__(self, loop: asyncio.AbstractEventLoop, capacity: int = 256) -> None:
        """``capacity``: calls at once; a row each of 160 KiB, touched only when used."""
        raise NotImplementedError

    def start(self) -> None:
        """Loads the model and starts the thread. Call once, before the first ``open``."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ends the thread and waits for it (at most one batch)."""
        raise NotImplementedError

    def open(self, listener: Listener, now: float, rule: SpeechRule | None = None, dtmf: bool = True) -> Ears:
        """Ears for one call whose timeline begins at ``now``. Raises EarsFullError when ``capacity`` are in use."""
        raise NotImplementedError
