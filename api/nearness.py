"""Whether a request comes from this machine, by what a browser says of it: asked where there is no key or secret to show.

Without keys the API listens on loopback only. That keeps other machines out, but not the pages that a browser on this one
shows: a page may post to any address, and a name that its owner has pointed at 127.0.0.1 makes our answers its own. The
browser then says in Host what name it went by, and in Origin whose page asks.
"""

from __future__ import annotations

from flask import Request
from werkzeug.exceptions import Forbidden

from shared.settings import Settings, is_loopback
from shared.values import host_of


class NotNear(Forbidden):
    """``header`` (Host or Origin) names neither this machine nor the host of WAIHU_PUBLIC_URL."""

    def __init__(self, header: str) -> None:
        super().__init__(
            f"without keys only this machine may ask, and the request's {header} names another: set WAIHU_PUBLIC_URL to"
            " the address by which the API is reached, or make a key (waihu keys add)"
        )
        self.header = header


def require_near(request: Request, settings: Settings) -> None:
    """Raises NotNear. A program that sends neither header is no browser's page."""
    ours = host_of(settings.public_url)
    host, origin = request.headers.get("Host"), request.headers.get("Origin")
    for header, given in (("Host", host and f"//{host}"), ("Origin", origin)):
        if given is not None:
            name = host_of(given)
            if not name or not (name == ours or is_loopback(name)):
                raise NotNear(header)
