"""The workers: Celery processes that place calls, apply what was told of them, finish records and repair."""
