"""The stand-in cloud on one port: Aliyun speech over WebSocket, OpenAI chat over HTTP, and an admin interface."""

from collections import Counter
from dataclasses import dataclass, field

from sandbox.cloud.faults import Faults


@dataclass(frozen=True, slots=True)
class CloudConfig:
    """Times are seconds. `key`: the only accepted API key; None accepts any that is not empty."""

    key: str | None = None
    asr_final_latency: float = 0.2
    tts_first_chunk: float = 0.08
    tts_chunk_seconds: float = 0.1
    chat_first_token: float = 0.12
    chat_token: float = 0.02
    faults: Faults = field(default_factory=Faults)


class Cloud:
    """A running stand-in cloud. `requests` counts by kind: `asr`, `tts`, `chat`, `models`, `denied`."""

    requests: Counter[str]
    faults: Faults

    @property
    def url(self) -> str:
        """`http://HOST:PORT`."""
        raise NotImplementedError

    @property
    def aliyun_url(self) -> str:
        """`ws://HOST:PORT/api-ws/v1/inference`, the endpoint for ASR and TTS."""
        raise NotImplementedError

    @property
    def openai_url(self) -> str:
        """`http://HOST:PORT/v1`, the base URL for an OpenAI client."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        raise NotImplementedError


async def serve_cloud(host: str = "127.0.0.1", port: int = 0, config: CloudConfig | None = None) -> Cloud:
    """Listen on `host`:`port` (0: a free one). Raises OSError if the port is taken.

    Admin, without a key, for tests and demonstrations: `GET /admin/faults`, `PUT /admin/faults/{asr|tts|chat}` with
    `{"fault": "hang_start", "times": 1}`, `DELETE /admin/faults[/{service}]`, `GET /admin/requests`.
    """
    raise NotImplementedError
