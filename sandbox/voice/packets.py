"""The modem's packet: what its bytes mean (pure).

On the air a packet is a start mark of two symbols, the body of one symbol a byte, and an end mark of one symbol. The body is a
header of two bytes (utterance 4 bits, number 8, last 1, length of the payload - 1 in 3), one to eight bytes of UTF-8 that
hold whole characters, and a CRC-16 of all before it.
"""

from typing import NamedTuple
from zlib import crc32

MARK_X, MARK_Y, MARK_Z = 256, 257, 258  # symbols beside the 256 bytes
START = (MARK_X, MARK_Y)
END = (MARK_Z,)

HEADER_BYTES = 2
CRC_BYTES = 2
MAX_PAYLOAD = 8  # bytes: the header has three bits for it
MIN_BODY = HEADER_BYTES + 1 + CRC_BYTES
MAX_BODY = HEADER_BYTES + MAX_PAYLOAD + CRC_BYTES


class Packet(NamedTuple):
    """`utterance` is a tag of 4 bits, `number` counts the packets of the utterance modulo 256."""

    utterance: int
    number: int
    last: bool
    text: str

    def symbols(self) -> tuple[int, ...]:
        """The packet as symbols, marks included."""
        payload = self.text.encode()
        header = self.utterance << 12 | self.number << 4 | self.last << 3 | (len(payload) - 1)
        body = header.to_bytes(HEADER_BYTES, "big") + payload
        return (*START, *body, *_crc16(body), *END)


def symbol_count(payload: int) -> int:
    """Symbols of a packet with `payload` bytes of text."""
    return len(START) + HEADER_BYTES + payload + CRC_BYTES + len(END)


def body_length(head: bytes) -> int:
    """The length of the body that begins with `head` (at least the header)."""
    return HEADER_BYTES + (head[1] & 7) + 1 + CRC_BYTES


def parse(body: bytes) -> Packet | None:
    """The packet of `body`, or None if its length, checksum or text is wrong."""
    if len(body) < MIN_BODY or len(body) != body_length(body) or _crc16(body[:-CRC_BYTES]) != body[-CRC_BYTES:]:
        return None
    try:
        text = body[HEADER_BYTES:-CRC_BYTES].decode()
    except UnicodeDecodeError:
        return None
    header = int.from_bytes(body[:HEADER_BYTES], "big")
    return Packet(header >> 12, header >> 4 & 255, bool(header & 8), text)


def _crc16(body: bytes) -> bytes:
    return (crc32(body) & 0xFFFF).to_bytes(CRC_BYTES, "big")
