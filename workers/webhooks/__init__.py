"""Webhooks: what the outbox holds is signed and sent, at least once, to every endpoint by its own couriers."""
