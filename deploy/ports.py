"""Free ports: the documented one where it is free, else the next one that is."""

from __future__ import annotations

import errno
import socket

NEAR = 50
"""Ports above the wanted one that are tried, so that a second house is found next to the first."""


class PortTaken(OSError):
    """A port that a setting demands is in use."""


def listen_problem(host: str, port: int) -> str:
    """Why ``port`` cannot be listened on now, "" if it can. Another process may still take it a moment later."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror:
        return f"{host} is no address, and no name that this machine knows"
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do: a port that only lingers from an earlier run is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return f"{host} is no address of this machine; 0.0.0.0 stands for all it has"
            if error.errno == errno.EACCES:
                return f"this user may not listen on port {port}; ports from 1024 on are free to all"
            return f"port {port} is in use"
    return ""


def is_free(host: str, port: int) -> bool:
    """Whether ``port`` can be listened on now."""
    return not listen_problem(host, port)


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
