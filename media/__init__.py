"""Live calls: one asyncio process holds many; audio, speech and dialogue."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Before numpy is first imported: for the small products of the ears, its threads would spin through another core.
