"""Tables that spreadsheets write: what their bytes say, and what their headings mean to us."""

from __future__ import annotations

import codecs

NUMBER_HEADINGS = (
    "电话",
    "电话号码",
    "号码",
    "手机",
    "手机号",
    "手机号码",
    "联系电话",
    "phone",
    "mobile",
    "tel",
    "telephone",
    "number",
)
REASON_HEADINGS = ("原因", "reason")


def decode(body: bytes) -> str:
    """The text in a file. Raises UnicodeDecodeError.

    Excel writes UTF-8 with a mark, UTF-16 with a mark, or, in China, GBK without one.
    """
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("gb18030")


def delimiter(text: str) -> str:
    """Whichever of comma, semicolon and tab the header has most of."""
    header = next((line for line in text.splitlines() if line.strip()), "").replace("，", ",")
    return max(",;\t", key=header.count)


def plain_heading(text: str) -> str:
    """A heading as it is compared: in small letters, without blanks, ``_`` and ``-``."""
    return "".join(text.lower().split()).replace("_", "").replace("-", "")
