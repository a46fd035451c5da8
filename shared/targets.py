"""Where webhooks may be sent: which URLs, and which addresses behind them.

A URL is somebody else's word for a place inside or outside our network, so it is never followed on trust. It is parsed
once, its host is looked up once, every address found is checked, and the connection goes to one of exactly those
addresses: a name that answers differently the next time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import queue
import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import httpx2

from shared.errors import TargetRefused

LONGEST_URL = 1000
"""Characters; the width of the column."""
LOOKUP_SECONDS = 3.0
"""For one name; a resolver that needs longer counts as one that does not answer."""
MOST_ADDRESSES = 8
"""Of one name that are checked; a name with more is meant to confuse."""

Lookup = Callable[[str, int], Sequence[str]]
"""From a host's name and a port to its addresses, as text. Raises OSError."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_FIRST_FREE_PORT = 1024
_BAD_PORTS = frozenset(
    (1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080)
)
"""Those of the Fetch standard above 1023: other protocols are at home there, and no browser goes there."""
_STORES = frozenset((1433, 1521, 2375, 2376, 2379, 3306, 3389, 5432, 5672, 5900, 6379, 9092, 11211, 27017))
"""Databases, brokers, container engines and screens at their usual ports."""
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_NOT_PUBLIC_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network, unspecified
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared address space; Alibaba Cloud's metadata are here
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host, on an address that looks public
        "169.254.0.0/16",  # link-local; the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
"""IANA's special-purpose registry, written out: what ``ipaddress`` calls global differs between Python's versions."""
_PUBLIC_6 = IPv6Network("2000::/3")
"""All that was given out as global unicast. Mapped, compatible, translated (NAT64), unique local, link-local,
site-local and multicast addresses lie outside."""
_NOT_PUBLIC_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",
    )
)


@dataclass(frozen=True)
class Target:
    """A URL taken apart. ``host`` is lower case without a final dot; ``path`` begins with / and carries the query."""

    scheme: str
    host: str
    port: int
    path: bytes
    header: bytes
    """What the Host header says."""


def parse_target(url: str) -> Target:
    """What ``url`` means. Raises TargetRefused unless it is a plain http or https URL with a sane host and port."""
    if len(url) > LONGEST_URL:
        raise TargetRefused(f"expected a URL of at most {LONGEST_URL} characters, got {len(url)}")
    try:
        parsed = httpx2.URL(url)
        host, port = parsed.raw_host.decode("ascii").removesuffix("."), parsed.port
    except (httpx2.InvalidURL, ValueError) as error:
        raise TargetRefused("expected a URL such as https://host/path") from error
    if parsed.scheme not in _DEFAULT_PORTS:
        raise TargetRefused("expected a URL that begins with http:// or https://")
    if parsed.userinfo:
        raise TargetRefused("expected a URL without a user name; check the signature instead")
    if parsed.fragment or "#" in url:
        raise TargetRefused("expected a URL without a fragment (#…)")
    _require_host(host)
    number = _DEFAULT_PORTS[parsed.scheme] if port is None else port
    _require_port(number)
    shown = f"[{host}]" if ":" in host else host
    header = shown if port is None else f"{shown}:{port}"
    return Target(parsed.scheme, host, number, parsed.raw_path, header.encode())


def find_addresses(target: Target, lookup: Lookup, *, allow_private: bool) -> list[str]:
    """The addresses to which ``target`` may be connected, in the resolver's order: all that it has, or none.

    Raises TargetRefused if the name has none, or one that is not public and ``allow_private`` (WAIHU_WEBHOOK_PRIVATE)
    is not set.
    """
    try:
        found = list(dict.fromkeys(_literal(target.host) or lookup(target.host, target.port)))
    except OSError as error:
        raise TargetRefused("the host's name could not be looked up") from error
    if not 0 < len(found) <= MOST_ADDRESSES:
        raise TargetRefused(f"expected a name with 1 to {MOST_ADDRESSES} addresses, got {len(found)}")
    if not allow_private and not all(is_public(address) for address in found):
        raise TargetRefused(
            "the host has an address that is not public (private, loopback, link-local, reserved or translated); "
            "set WAIHU_WEBHOOK_PRIVATE=1 to allow such"
        )
    return found


def is_public(address: str) -> bool:
    """Whether the address, in any form that ``ipaddress`` reads, is a global unicast one and no other in disguise."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _NOT_PUBLIC_4)
    return parsed in _PUBLIC_6 and not any(parsed in network for network in _NOT_PUBLIC_6)


def system_lookup(host: str, port: int) -> list[str]:
    """Asks the machine's resolver, for at most LOOKUP_SECONDS. Raises OSError.

    In a thread of its own, as getaddrinfo takes no time-out; one that is given up ends when the resolver itself gives
    up, after half a minute at most in its usual configuration.
    """
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))
        else:
            answers.put([str(entry[4][0]) for entry in found])

    threading.Thread(target=ask, name="waihu-lookup", daemon=True).start()
    try:
        answer = answers.get(timeout=LOOKUP_SECONDS)
    except queue.Empty:
        raise TimeoutError(f"no answer from the resolver within {LOOKUP_SECONDS:g} s") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _require_host(host: str) -> None:
    """Names, dotted IPv4 and IPv6 only. 2130706433, 0x7f.1, 0177.0.0.1 and 127.1 are 127.0.0.1 to some resolvers."""
    if ":" in host:
        if "%" in host or not _literal(host):
            raise TargetRefused("expected an IPv6 address without a zone")
        return
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]) and not _literal(host):
        raise TargetRefused("expected a name or an IPv4 address of four decimal numbers")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetRefused("expected a host's name such as hooks.example.com")


def _require_port(port: int) -> None:
    usual = port in _DEFAULT_PORTS.values() or _FIRST_FREE_PORT <= port <= 65535
    if not usual or port in _BAD_PORTS | _STORES:
        raise TargetRefused("expected port 80, 443, or one above 1023 where no other protocol is at home")


def _literal(host: str) -> list[str]:
    """The address that ``host`` itself is, in its canonical form; nothing for a name."""
    try:
        address: IPv4Address | IPv6Address = ipaddress.ip_address(host)
    except ValueError:
        return []
    return [str(address)]
