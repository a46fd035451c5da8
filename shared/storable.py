"""What a database can keep of text that others wrote: phone systems, models and recognisers.

PostgreSQL stores no NUL, and neither it nor UTF-8 has a surrogate without its other half; JSON can spell both. A record
or an event is worth more than such a character, so it is shown as U+FFFD.
"""

from __future__ import annotations

import re
from typing import Any

REPLACEMENT = "\ufffd"
_REFUSED = re.compile("[\0\ud800-\udfff]")


def storable(value: Any) -> Any:
    """``value``, a text or a JSON document, without what no database stores."""
    if isinstance(value, str):
        return _REFUSED.sub(REPLACEMENT, value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value
