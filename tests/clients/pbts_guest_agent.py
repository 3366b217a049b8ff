"""A dstack guest agent of version 0.5.3 for tests: its simulator's keys, on a socket of its own. Stricter than the real
one: whatever a client sends that the agent's documentation does not have is an error that the test hears of."""

import hashlib
import hmac
import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from Crypto.Hash import keccak
from py_ecc.secp256k1 import ecdsa_raw_sign, privtopub

APP_ID = bytes.fromhex("ea549f02e1a25fabd1cb788380e033ec5461b2ff")
APP_SECRET = bytes.fromhex("e0e5d254fb944dcc370a2e5288b336a1e809871545a73ee645368957fefa31f9")
APP_KEY = "02b85cceca0c02d878f0ebcda72a97469a472416eb6faf3c4807642132f9786810"
ROOT_KEY = "02cad3a8bb11c5c0858fb3e402048b5137457039d577986daade678ed4b4ab1b9b"
ROOT_SIGNATURE = (
    "2f431c7956869a4fe3e028c5f9518a935e2d01e81a3628f8b1d178fc2fac7b6d"
    "2405ace433624e5568e23c4ed291dbaf60dac79b756837c0fe745154ebfdc0a601"
)
QUOTE = Path(__file__).parents[1] / "data" / "tdx" / "forged-v4" / "quote.bin"
REPORT_DATA_AT = 568  # header 48, TD report 520
_FIELDS = {"/GetKey": {"path", "purpose"}, "/GetQuote": {"report_data"}}


def derived_key(path):
    """HKDF-SHA256 with the salt RATLS and the path as info, 32 bytes."""
    extracted = hmac.new(b"RATLS", APP_SECRET, hashlib.sha256).digest()
    return hmac.new(extracted, path.encode() + b"\1", hashlib.sha256).digest()


def app_signature(path, purpose):
    x, y = privtopub(derived_key(path))
    public = (bytes([2 + y % 2]) + x.to_bytes(32, "big")).hex()
    digest = keccak.new(digest_bits=256, data=f"{purpose}:{public}".encode()).digest()
    v, r, s = ecdsa_raw_sign(digest, APP_SECRET)
    return (r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v - 27])).hex()


def quote_over(report_data):
    quote = bytearray(QUOTE.read_bytes())
    quote[REPORT_DATA_AT : REPORT_DATA_AT + 64] = report_data.ljust(64, b"\0")
    return bytes(quote)


class GuestAgent:
    """`requests` is what was asked, (method, body); `event_log` is said beside quotes; `failure` makes every answer an
    error (status, text); `reply` makes every answer this text. Close it with close(), which raises what clients did
    wrong."""

    def __init__(self, path):
        self.path = str(path)
        self.requests, self.faults = [], []
        self.failure = self.reply = None
        self.event_log = "[]"
        agent = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self):
                return "unix"

            def log_message(self, *_):
                pass

            def do_POST(self):
                agent.answer(self)

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self._server = Server(self.path, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        assert self.faults == []

    def answer(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        self.requests.append((handler.path, body))
        if handler.headers["Content-Type"] != "application/json" or handler.headers["Host"] != "localhost":
            self.faults.append(dict(handler.headers))
        if set(body) != _FIELDS.get(handler.path) or not all(isinstance(value, str) for value in body.values()):
            self.faults.append((handler.path, body))
        status, text = 200, self.reply
        if self.failure:
            status, text = self.failure[0], json.dumps({"error": self.failure[1]}, indent=2)
        elif text is None:
            text = json.dumps(self._key(**body) if handler.path == "/GetKey" else self._quote(**body))
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text.encode())

    def _key(self, path, purpose):
        return {"key": derived_key(path).hex(), "signature_chain": [app_signature(path, purpose), ROOT_SIGNATURE]}

    def _quote(self, report_data):
        data = bytes.fromhex(report_data)
        if not 1 <= len(data) <= 64:
            self.faults.append(f"{len(data)} bytes of report data")
        quote = quote_over(data)
        padded = data.ljust(64, b"\0").hex()
        return {"quote": quote.hex(), "event_log": self.event_log, "report_data": padded, "vm_config": "{}"}
