"""Where webhooks may go: every disguise of a private address that we know of, and nothing that is public refused."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import TargetRefused
from shared.targets import MOST_ADDRESSES, find_addresses, is_public, parse_target, system_lookup

PUBLIC = "93.184.216.34"


def no_lookup(_host: str, _port: int) -> list[str]:
    raise AssertionError("an address needs no look-up")


def answering(*addresses: str) -> object:
    return lambda _host, _port: list(addresses)


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "header"),
    [
        ("https://hooks.example.com/a?b=c", "hooks.example.com", 443, b"/a?b=c", b"hooks.example.com"),
        ("http://Hooks.Example.com.:8080", "hooks.example.com", 8080, b"/", b"hooks.example.com:8080"),
        ("http://93.184.216.34/x", PUBLIC, 80, b"/x", b"93.184.216.34"),
        ("https://[2606:2800:220:1::1]:8443/x", "2606:2800:220:1::1", 8443, b"/x", b"[2606:2800:220:1::1]:8443"),
        ("https://例子.测试/路", "xn--fsqu00a.xn--0zwm56d", 443, b"/%E8%B7%AF", b"xn--fsqu00a.xn--0zwm56d"),
        ("https://a_b-c.example/", "a_b-c.example", 443, b"/", b"a_b-c.example"),
    ],
)
def test_a_plain_url_is_taken_apart(url: str, host: str, port: int, path: bytes, header: bytes) -> None:
    target = parse_target(url)
    assert (target.host, target.port, target.path, target.header) == (host, port, path, header)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "//hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "javascript:alert(1)",
        "http:///path",
        "http://",
        "http://user@hooks.example.com/",
        "http://user:pass@hooks.example.com/",
        "http://hooks.example.com/#fragment",
        "http://hooks.example.com#@127.0.0.1/",
        "http://hooks.example.com\\@127.0.0.1/",
        "http://hooks example.com/",
        "http://hooks.example.com/\r\nX-Injected: 1",
        "http://hooks.example.com/\0",
        "http://a%2eb/",
        "http://-a.example/",
        "http://a..example/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 130 + "example/",
        "http://hooks.example.com/" + "x" * 1000,
        "http://[fe80::1%eth0]/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://hooks.example.com:0/",
        "http://hooks.example.com:22/",
        "http://hooks.example.com:25/",
        "http://hooks.example.com:6379/",
        "http://hooks.example.com:6000/",
        "http://hooks.example.com:70000/",
        "http://hooks.example.com:-1/",
        # one address, many spellings: inet_aton takes them all
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://127.1/",
        "http://127.0.1/",
        "http://127.0.0.1.0x1/",
        "http://hooks.example.0x/",
        "http://256.256.256.256/",
        "http://１２７.0.0.1/",
        "http://①②⑦.0.0.1/",
    ],
)
def test_what_is_no_plain_url_is_refused_even_where_private_ones_are_allowed(url: str) -> None:
    with pytest.raises(TargetRefused):
        parse_target(url)


PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:93.184.216.34",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::5db8:d822",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:0:80ff:fffe",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused_unless_allowed(address: str) -> None:
    assert not is_public(address)
    target = parse_target("https://hooks.example.com/")
    with pytest.raises(TargetRefused, match="WAIHU_WEBHOOK_PRIVATE"):
        find_addresses(target, answering(address), allow_private=False)  # type: ignore[arg-type]
    assert find_addresses(target, answering(address), allow_private=True) == [address]  # type: ignore[arg-type]


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "223.5.5.5", "2606:2800:220:1::1", "2400:3200::1"])
def test_a_public_address_is_not_refused(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_that_python_calls_private_is_taken_for_public(address: ipaddress.IPv4Address) -> None:
    assert not (is_public(str(address)) and (not address.is_global or address.is_multicast))


@given(st.ip_addresses(v=6))
def test_no_ipv6_address_that_python_calls_private_is_taken_for_public(address: ipaddress.IPv6Address) -> None:
    assert not (is_public(str(address)) and (not address.is_global or address.is_multicast))


@given(st.text(max_size=60))
def test_whatever_is_said_is_taken_apart_or_refused(text: str) -> None:
    try:
        target = parse_target(f"http://{text}")
    except TargetRefused:
        return
    assert target.host
    assert target.path.startswith(b"/")
    assert not set(target.header + target.path) & set(b"\r\n\0 ")


def test_one_private_address_among_public_ones_is_enough() -> None:
    target = parse_target("https://hooks.example.com/")
    with pytest.raises(TargetRefused):
        find_addresses(target, lambda *_: [PUBLIC, "10.0.0.1"], allow_private=False)


def test_an_address_in_the_url_is_checked_without_a_look_up() -> None:
    assert find_addresses(parse_target(f"http://{PUBLIC}/"), no_lookup, allow_private=False) == [PUBLIC]
    for host in ("127.0.0.1", "[::1]", "[::ffff:7f00:1]", "127。0。0。1"):
        with pytest.raises(TargetRefused):
            find_addresses(parse_target(f"http://{host}/"), no_lookup, allow_private=False)


def test_a_name_without_addresses_or_with_too_many_is_refused() -> None:
    target = parse_target("https://hooks.example.com/")
    for count in (0, MOST_ADDRESSES + 1):
        addresses = [f"93.184.216.{index}" for index in range(count)]
        with pytest.raises(TargetRefused, match="addresses"):
            find_addresses(target, lambda *_, found=addresses: found, allow_private=False)


def test_a_failing_resolver_is_said_so() -> None:
    def lookup(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(TargetRefused, match="looked up"):
        find_addresses(parse_target("https://hooks.example.com/"), lookup, allow_private=True)


def test_the_machine_s_own_resolver_knows_this_machine() -> None:
    assert set(system_lookup("localhost", 80)) <= {"127.0.0.1", "::1"}
    with pytest.raises(TargetRefused):
        find_addresses(parse_target("http://localhost:8899/"), system_lookup, allow_private=False)
    with pytest.raises(OSError):  # noqa: PT011 - whichever kind the resolver has
        system_lookup("a" * 64 + ".example", 80)
