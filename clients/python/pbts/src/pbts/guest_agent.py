"""A dstack guest agent, over its socket: the two calls that PBTS needs, under the names of dstack's SDK, without its
dependencies. An object may be used by several threads; each call has a connection of its own."""

import http.client
import json
import os
import re
import socket
from dataclasses import dataclass, field

SOCKETS = ("/var/run/dstack.sock", "/run/dstack.sock", "/var/run/dstack/dstack.sock", "/run/dstack/dstack.sock")
MAX_REPLY = 10 << 20
MAX_REPORT_DATA = 64
_HEX = re.compile(r"(?:[0-9a-f]{2})*", re.ASCII | re.IGNORECASE)


class GuestAgentError(RuntimeError):
    """The guest agent did not give what it was asked for; nothing is known about what was to be derived or quoted."""


def find_endpoint() -> str | None:
    """DSTACK_SIMULATOR_ENDPOINT when it is set, or the first of the agent's sockets that is there."""
    named = os.environ.get("DSTACK_SIMULATOR_ENDPOINT")
    return named or next((path for path in SOCKETS if os.path.exists(path)), None)


def _hex(reply: dict, name: str, value) -> str:
    if not isinstance(value, str) or not _HEX.fullmatch(value.removeprefix("0x")):
        raise GuestAgentError(f"guest agent: expected {name} in hexadecimal; found {sorted(reply)}")
    return value.removeprefix("0x").lower()


@dataclass(frozen=True)
class GetKeyResponse:
    key: str = field(repr=False)
    signature_chain: list[str] = field(repr=False)

    def decode_key(self) -> bytes:
        return bytes.fromhex(self.key)

    def decode_signature_chain(self) -> list[bytes]:
        return [bytes.fromhex(signature) for signature in self.signature_chain]


@dataclass(frozen=True)
class GetQuoteResponse:
    quote: str = field(repr=False)
    event_log: str = field(repr=False)

    def decode_quote(self) -> bytes:
        return bytes.fromhex(self.quote)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class DstackClient:
    """Raises FileNotFoundError when there is no such socket, ValueError for an endpoint of another kind."""

    def __init__(self, endpoint: str | None = None, timeout: float = 10.0):
        self.endpoint = endpoint or find_endpoint() or SOCKETS[0]
        self.timeout = timeout
        if self.endpoint.startswith("/"):
            if not os.path.exists(self.endpoint):
                raise FileNotFoundError(
                    f"no guest agent's socket at {self.endpoint}: mount it, or set DSTACK_SIMULATOR_ENDPOINT"
                )
        elif not self.endpoint.startswith("http://"):
            raise ValueError(f"guest agent: expected the path of a socket or an http:// address, found {self.endpoint}")

    def get_key(self, path: str | None = None, purpose: str | None = None) -> GetKeyResponse:
        """32 bytes that are the same for this app and path. Raises GuestAgentError."""
        reply = self._call("GetKey", {"path": path or "", "purpose": purpose or ""})
        key = _hex(reply, "key", reply.get("key"))
        if len(key) != 64:
            raise GuestAgentError(f"guest agent: expected a key of 32 bytes, found {len(key) // 2}")
        chain = reply.get("signature_chain")
        if not isinstance(chain, list):
            raise GuestAgentError(f"guest agent: expected signature_chain as a list; found {sorted(reply)}")
        return GetKeyResponse(key, [_hex(reply, "signature_chain", signature) for signature in chain])

    def get_quote(self, report_data: bytes | str) -> GetQuoteResponse:
        """Raises GuestAgentError; ValueError for report data that is empty or longer than 64 bytes."""
        data = report_data.encode() if isinstance(report_data, str) else bytes(report_data)
        if not 1 <= len(data) <= MAX_REPORT_DATA:
            raise ValueError(f"report data: expected 1 to {MAX_REPORT_DATA} bytes, found {len(data)}")
        reply = self._call("GetQuote", {"report_data": data.hex()})
        quote = _hex(reply, "quote", reply.get("quote"))
        if not quote:
            raise GuestAgentError("guest agent: expected a quote, found an empty one")
        log = reply.get("event_log", "")
        return GetQuoteResponse(quote, log if isinstance(log, str) else "")

    def _call(self, method: str, request: dict) -> dict:
        where = f"guest agent at {self.endpoint}, {method}"
        if self.endpoint.startswith("/"):
            connection, base = _UnixConnection(self.endpoint, self.timeout), ""
        else:
            host, _, rest = self.endpoint.removeprefix("http://").partition("/")
            connection, base = http.client.HTTPConnection(host, timeout=self.timeout), "/" + rest if rest else ""
        try:
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            connection.request("POST", f"{base.rstrip('/')}/{method}", json.dumps(request), headers)
            response = connection.getresponse()
            body = response.read(MAX_REPLY + 1)
        except (OSError, http.client.HTTPException) as error:
            raise GuestAgentError(f"{where}: no answer: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if len(body) > MAX_REPLY:
            raise GuestAgentError(f"{where}: expected at most {MAX_REPLY} bytes")
        try:
            reply = json.loads(body)
        except ValueError:
            # Not chained: what failed to parse may be a key, and would be in the trace.
            reply = None
        if response.status != 200:
            said = reply.get("error") if isinstance(reply, dict) else None
            raise GuestAgentError(f"{where}: {response.status}: {str(said or response.reason)[:300]}")
        if not isinstance(reply, dict):
            raise GuestAgentError(f"{where}: expected a JSON object")
        return reply
