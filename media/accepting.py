"""How a listening socket is closed so that nobody who knocks is refused, where others listen on the same port.

What waits in a listener's queue is reset when it closes, and so is a handshake that is under way: the kernel passes
neither on (unless ``net.ipv4.tcp_migrate_req`` is set). So new handshakes are kept out first. A caller whose first packet
is lost sends it again after a second (RFC 6298), and then reaches who still listens; meanwhile those whose handshake had
begun arrive, and are taken.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import select
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Protocol

SETTLE_SECONDS = 0.5
"""For handshakes that had begun: several round trips, and half of what a caller waits before its first packet goes again."""
LOOK_SECONDS = 0.02

_ATTACH_FILTER = 26
"""SO_ATTACH_FILTER on Linux, which Python's socket module does not name."""
_NO_NEW_HANDSHAKES = (
    (0x30, 0, 0, 13),  # A = the byte of the TCP header that holds its flags
    (0x54, 0, 0, 0x12),  # A &= SYN | ACK
    (0x15, 0, 1, 0x02),  # a SYN that answers nothing?
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # take all else
)
"""A classic BPF program, run over each packet for the listener: (code, jump if true, jump if false, operand)."""

log = logging.getLogger(__name__)


class HasDescriptor(Protocol):
    """A listening socket, as the event loop shows it."""

    def fileno(self) -> int:
        """Its file descriptor."""


async def let_in_the_last(listeners: Iterable[HasDescriptor]) -> None:
    """Returns when these may be closed: the loop has taken all who had knocked, and nobody else knocks here.

    Elsewhere than on Linux nobody can be kept out; then a caller of the very last moment may be refused.
    """
    sockets = list(listeners)
    kept_out = [_keep_out(one.fileno()) for one in sockets]
    if all(kept_out):
        await asyncio.sleep(SETTLE_SECONDS)
    while _somebody_waits(sockets):  # noqa: ASYNC110 - the loop takes them, and tells nobody
        await asyncio.sleep(LOOK_SECONDS)
    await asyncio.sleep(LOOK_SECONDS)  # whom the loop took last has a connection by then


def _keep_out(descriptor: int) -> bool:
    """From now on this listener hears of no new handshake. False if that cannot be had."""
    if sys.platform != "linux":
        return False
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _NO_NEW_HANDSHAKES))
    program = struct.pack("HL", len(_NO_NEW_HANDSHAKES), ctypes.addressof(code))
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
        except OSError as error:
            log.warning("callers of the last moment cannot be kept out", extra={"error": str(error)})
            return False
    return True


def _somebody_waits(sockets: Iterable[HasDescriptor]) -> bool:
    waiting = select.poll()
    for one in sockets:
        waiting.register(one.fileno(), select.POLLIN)
    return bool(waiting.poll(0))
