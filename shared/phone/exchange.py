"""One exchange with the dialog API: how a request is written, and what is made of whatever came back.

Pure but for the drawing of ids; the two clients in ``shared.phone.client`` put it on the network.
"""

from __future__ import annotations

import base64
import logging
import secrets
import ssl
from typing import Literal
from urllib.parse import quote, unquote

import httpcore2
import httpx2

from shared.errors import OutcomeUnknown, Refused, Unplaced
from shared.phone import wire

MAX_REPLY_BYTES = 64 * 1024
"""A reply is under 1 KiB (section 1.3); what is longer is no reply, and is not read to its end."""
MAX_CALL_ID = 100
"""Characters of a call id that our schema keeps."""

Playback = Literal["file_playback", "start_stream", "stream_playback", "clean_stream", "stop_stream", "hangup"]

log = logging.getLogger(__name__)


class Exchanges:
    """What both clients share: how a request is written."""

    def __init__(self, url: str, timeout: float, record: bool) -> None:
        parsed = httpx2.URL(url)
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError("expected the phone system's base URL, http://… or https://…")
        self._origin = (parsed.raw_scheme, parsed.raw_host, parsed.port)
        self._path = parsed.raw_path.split(b"?")[0].rstrip(b"/")
        self._timeout = timeout
        self._record = record
        self._headers = [(b"Host", parsed.netloc), (b"Content-Type", b"application/json"), (b"Accept", b"*/*")]
        if parsed.userinfo:
            credentials = base64.b64encode(unquote(parsed.userinfo.decode()).encode())
            self._headers.append((b"Authorization", b"Basic " + credentials))

    def tls(self, given: ssl.SSLContext | None) -> ssl.SSLContext | None:
        """One TLS context for all connections, as making one takes 10 ms and more; None where none is needed."""
        return given or (httpcore2.default_ssl_context() if self._origin[0] == b"https" else None)

    def startcall(self, caller: str, callee: str, exten: str, request_id: str) -> Exchange:
        mutation = _mutation_id()
        message = wire.StartCall(
            caller=caller,
            callee=callee,
            is_record=self._record,
            exten=exten,
            request_id=request_id,
            client_mutation_id=mutation,
        )
        return self._exchange(b"/", message, mutation, [(b"Connection", b"close")])

    def action(self, call_id: str, action: Playback, parameters: str) -> Exchange:
        mutation = _mutation_id()
        message = wire.CallAction(action=action, parameters=parameters, client_mutation_id=mutation)
        return self._exchange(b"/" + quote(call_id, safe="").encode(), message, mutation, [])

    def _exchange(
        self, path: bytes, message: wire.StartCall | wire.CallAction, mutation: str, headers: list[tuple[bytes, bytes]]
    ) -> Exchange:
        scheme, host, port = self._origin
        body = wire.encode(message)
        length = (b"Content-Length", str(len(body)).encode())
        return Exchange(
            url=httpcore2.URL(scheme=scheme, host=host, port=port, target=self._path + path),
            headers=[*self._headers, length, *headers],
            body=body,
            action=message.action,
            mutation=mutation,
            timeout=self._timeout,
        )


class Exchange:
    """One request and what came of it."""

    def __init__(
        self,
        *,
        url: httpcore2.URL,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        action: str,
        mutation: str,
        timeout: float,
    ) -> None:
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        # Whoever waits for a free connection for longer than half the time would have too little left to use it.
        self.timeouts = {"connect": timeout, "read": timeout, "write": timeout, "pool": timeout / 2}
        self.status = 0
        self._action = action
        self._mutation = mutation
        self._left = False
        self._reply = bytearray()

    def left(self) -> None:
        """Hears from the socket that it is about to be written to: from here on bytes may have left."""
        self._left = True

    def take(self, chunk: bytes) -> None:
        """Keeps a piece of the reply's body. Raises OutcomeUnknown once it is too long to be one."""
        self._reply += chunk
        if len(self._reply) > MAX_REPLY_BYTES:
            raise OutcomeUnknown(f"{self._action}: expected a reply, got more than {MAX_REPLY_BYTES} bytes")

    def failure(self, error: Exception) -> Unplaced | OutcomeUnknown:
        """What an error of the transport means."""
        what = type(error).__name__
        if self._left:
            return OutcomeUnknown(
                f"{self._action} may have left, but no whole answer came within {self.timeout:g} s: {what}"
            )
        return Unplaced(
            f"{self._action} did not leave, the phone system could not be reached: {what}; check WAIHU_PHONE_URL"
        )

    def succeed(self) -> str:
        """The reply's msg if its code is 0. Raises Refused for another code, OutcomeUnknown if it cannot be read so.

        A readable code holds whatever the status below 500 says; a 5xx is believed in nothing.
        """
        if self.status >= 500:
            raise OutcomeUnknown(f"{self._action}: expected a reply, got HTTP status {self.status}")
        try:
            reply = wire.decode_reply(bytes(self._reply))
        except wire.WireError as error:
            raise OutcomeUnknown(f"{self._action}: HTTP status {self.status}: {error}") from error
        if reply.client_mutation_id != self._mutation:
            log.warning("the phone system echoed another clientMutationId", extra={"action": self._action})
        if reply.code != 0:
            raise Refused(reply.code, reply.msg)
        if not 200 <= self.status < 300:
            raise OutcomeUnknown(f"{self._action}: code 0 with HTTP status {self.status}")
        return reply.msg

    def call_id(self) -> str:
        """The id of the call that was placed. Raises as ``succeed``, and OutcomeUnknown if there is no usable id."""
        call_id = self.succeed().strip()
        if not 0 < len(call_id) <= MAX_CALL_ID:
            raise OutcomeUnknown(f"{self._action}: expected the call's id in msg, got {len(call_id)} characters")
        return call_id


def _mutation_id() -> str:
    """Unique per request, whichever process made it (section 1.2)."""
    return secrets.token_hex(12)
