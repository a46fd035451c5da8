"""Free ports: the documented one where it is free, else the next one that is."""

from __future__ import annotations

import socket

NEAR = 50
"""Ports above the wanted one that are tried, so that a second house is found next to the first."""


class PortTaken(OSError):
    """A port that a setting demands is in use."""


def is_free(host: str, port: int) -> bool:
    """Whether ``port`` can be listened on now. Another process may still take it a moment later."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do: a port that only lingers from an earlier run is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose(host: str, wanted: int, taken: set[int]) -> int:
    """``wanted``, or the first free one above it, or any; never one of ``taken``, to which the choice is added."""
    for port in range(wanted, min(wanted + NEAR, 65536)):
        if port not in taken and is_free(host, port):
            taken.add(port)
            return port
    with socket.socket() as probe:
        probe.bind((host, 0))
        port = int(probe.getsockname()[1])
    taken.add(port)
    return port
