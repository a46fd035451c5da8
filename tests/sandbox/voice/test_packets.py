"""The modem's packet."""

from hypothesis import given
from hypothesis import strategies as st

from sandbox.voice.packets import END, START, Packet, body_length, parse, symbol_count

PACKETS = st.builds(
    Packet,
    utterance=st.integers(0, 15),
    number=st.integers(0, 255),
    last=st.booleans(),
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=2),
)


def body_of(packet: Packet) -> bytes:
    return bytes(packet.symbols()[len(START) : -len(END)])


@given(PACKETS)
def test_a_packet_is_read_as_it_was_written(packet: Packet) -> None:
    body = body_of(packet)
    assert parse(body) == packet
    assert body_length(body) == len(body)
    assert symbol_count(len(packet.text.encode())) == len(packet.symbols())


@given(PACKETS, st.data())
def test_a_changed_byte_is_noticed(packet: Packet, data: st.DataObject) -> None:
    body = bytearray(body_of(packet))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    assert parse(bytes(body)) is None


@given(st.binary(max_size=4))
def test_what_is_too_short_is_no_packet(body: bytes) -> None:
    assert parse(body) is None
