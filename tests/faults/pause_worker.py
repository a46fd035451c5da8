"""``celery -A tests.faults.pause_worker worker`` or ``beat``: the product's, killed at one step of its work."""

from __future__ import annotations

from tests.faults.pause import prepare
from workers import app as product

app = product.app
prepare("worker", "beat")
