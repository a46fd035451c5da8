"""The phone system: its wire format, the port behind which calls are placed, and the clients of its dialog API."""
