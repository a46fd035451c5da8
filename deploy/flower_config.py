"""How Flower is served (``python -m deploy.flower``).

Its pages are open to whoever reaches them, so it listens on loopback unless keys are set; then they are its passwords.
"""

from __future__ import annotations

from logging import getLogger

from shared import logs
from shared.settings import load, require_safe_listen

_settings = load()
require_safe_listen(_settings, _settings.flower_listen)

logging = "none"  # tornado's own set-up, in place of which:
logs.configure(_settings, "flower")
# Nobody answered: no worker runs (yet), which the page shows.
getLogger("flower.inspector").addFilter(lambda record: record.msg != "Inspect method %s failed")
address, port = _settings.flower_listen
basic_auth = [f"waihu:{key}" for key in _settings.api_keys]
