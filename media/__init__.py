"""Live calls: one asyncio process holds many; audio, speech and dialogue."""
