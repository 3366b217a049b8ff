"""The extension (BEP 10) by which peers hand receipts to each other.

A message is `length u32 || 20 || id || bencoded dictionary`; the functions here make whole messages and read payloads,
which begin after the id. A handshake names the ids under which its sender takes messages. By default it does so as the
original PBTS does, in a dictionary below `pbts`; with `standard_ids=True` each message is a name of its own with an
integer, which is what BEP 10 asks for and other clients expect. Both forms are understood, whichever is sent.

What peers send is checked for types, sizes and ranges. An object of BEP10Handler belongs to one connection and one
thread.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pbts import bencode

logger = logging.getLogger(__name__)

EXTENDED_MESSAGE_ID = 20
HANDSHAKE_MESSAGE_ID = 0
PBTS_EXTENSION_NAME = "pbts"
PBTS_RECEIPT_MSG = "pbts_receipt"
PBTS_RECEIPT_BATCH_MSG = "pbts_receipt_batch"
PBTS_REQUEST_RECEIPT_MSG = "pbts_request_receipt"

MAX_PAYLOAD = 1 << 20
MAX_BATCH = 1024

# Names of messages, and what the original calls them below `pbts`, in the order of their ids.
_MESSAGES = {
    PBTS_RECEIPT_MSG: b"receipt",
    PBTS_RECEIPT_BATCH_MSG: b"receipt_batch",
    PBTS_REQUEST_RECEIPT_MSG: b"request_receipt",
}
# As errors call them.
_TITLES = {
    PBTS_RECEIPT_MSG: "Receipt",
    PBTS_RECEIPT_BATCH_MSG: "Receipt batch",
    PBTS_REQUEST_RECEIPT_MSG: "Request receipt",
}


class MessageError(ValueError):
    """What a peer sent is not what the message asks for."""


def _bytes_of(data: dict, name: str, size: int) -> bytes:
    value = data.get(name.encode())
    if not isinstance(value, bytes) or len(value) != size:
        found = f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__
        raise MessageError(f"{name}: expected {size} bytes, found {found}")
    return value


def _integer_of(data: dict, name: str, most: int) -> int:
    value = data.get(name.encode())
    if not isinstance(value, int) or not 0 <= value <= most:
        raise MessageError(f"{name}: expected an integer from 0 to {most}")
    return value


def _dictionary(value, what: str) -> dict:
    if not isinstance(value, dict):
        raise MessageError(f"{what}: expected a dictionary, found {type(value).__name__}")
    return value


_U32 = (1 << 32) - 1
_U63 = (1 << 63) - 1
# Times are floats in PBTSReceipt, which count whole seconds up to here.
_MOST_SECONDS = (1 << 53) - 1


@dataclass
class ExtensionHandshake:
    """The dictionary of an extended handshake."""

    supported_extensions: dict = field(default_factory=dict)
    client_version: str | bytes | None = None
    listening_port: int | None = None
    metadata_size: int | None = None

    def to_dict(self) -> dict[bytes, Any]:
        version = self.client_version.encode() if isinstance(self.client_version, str) else self.client_version
        optional = {b"v": version, b"p": self.listening_port, b"metadata_size": self.metadata_size}
        return {b"m": self.supported_extensions} | {name: value for name, value in optional.items() if value}

    @classmethod
    def from_dict(cls, data: dict[bytes, Any]) -> "ExtensionHandshake":
        """Raises MessageError. Members that it does not know are passed over."""
        data = _dictionary(data, "handshake")
        version = data.get(b"v")
        if version is not None and not isinstance(version, bytes):
            raise MessageError(f"v: expected bytes, found {type(version).__name__}")
        return cls(
            supported_extensions=_dictionary(data.get(b"m", {}), "m"),
            # A foreign client's name for itself is nothing to refuse it for.
            client_version=version.decode(errors="replace") if version else None,
            listening_port=_integer_of(data, "p", 65535) if b"p" in data else None,
            metadata_size=_integer_of(data, "metadata_size", _U63) if b"metadata_size" in data else None,
        )


@dataclass
class PBTSReceipt:
    """A receipt as peers exchange it. Its signature is over get_message(): the number of the hour stands where the
    tracker's form has the time. pbts.receipts has the other forms."""

    infohash: bytes
    sender_pk: bytes
    receiver_pk: bytes
    piece_hash: bytes
    piece_index: int
    timestamp: float
    t_epoch: int
    signature: bytes

    def to_dict(self) -> dict[bytes, Any]:
        return {
            b"infohash": self.infohash,
            b"sender_pk": self.sender_pk,
            b"receiver_pk": self.receiver_pk,
            b"piece_hash": self.piece_hash,
            b"piece_index": self.piece_index,
            b"timestamp": int(self.timestamp),
            b"t_epoch": self.t_epoch,
            b"signature": self.signature,
        }

    @classmethod
    def from_dict(cls, data: dict[bytes, Any]) -> "PBTSReceipt":
        """Raises MessageError for a member that is missing or of another type or size. Whether the receiver signed it
        is for pbts.receipts.verify to say."""
        data = _dictionary(data, "receipt")
        return cls(
            infohash=_bytes_of(data, "infohash", 20),
            sender_pk=_bytes_of(data, "sender_pk", 48),
            receiver_pk=_bytes_of(data, "receiver_pk", 48),
            piece_hash=_bytes_of(data, "piece_hash", 32),
            piece_index=_integer_of(data, "piece_index", _U32),
            timestamp=float(_integer_of(data, "timestamp", _MOST_SECONDS)),
            t_epoch=_integer_of(data, "t_epoch", _U63),
            signature=_bytes_of(data, "signature", 96),
        )

    def get_message(self) -> bytes:
        index, epoch = self.piece_index.to_bytes(4, "big"), self.t_epoch.to_bytes(8, "big")
        return self.infohash + self.sender_pk + self.piece_hash + index + epoch

    def receipt_id(self) -> str:
        parts = [self.infohash, self.sender_pk, self.receiver_pk, self.piece_hash]
        return ":".join([part.hex() for part in parts] + [str(self.piece_index), str(self.t_epoch)])


def _read_receipt(data) -> PBTSReceipt:
    return PBTSReceipt.from_dict(data)


def _read_batch(data) -> list[PBTSReceipt]:
    receipts = _dictionary(data, "batch").get(b"receipts")
    if not isinstance(receipts, list) or len(receipts) > MAX_BATCH:
        raise MessageError(f"receipts: expected a list of at most {MAX_BATCH}")
    return [PBTSReceipt.from_dict(receipt) for receipt in receipts]


def _read_request(data) -> dict[str, Any]:
    data = _dictionary(data, "request")
    return {
        "infohash": _bytes_of(data, "infohash", 20),
        "piece_index": _integer_of(data, "piece_index", _U32),
        "piece_hash": _bytes_of(data, "piece_hash", 32),
    }


_READERS: dict[str, Callable[[Any], Any]] = {
    PBTS_RECEIPT_MSG: _read_receipt,
    PBTS_RECEIPT_BATCH_MSG: _read_batch,
    PBTS_REQUEST_RECEIPT_MSG: _read_request,
}
# What statistics count: name of the counter, and of its time.
_COUNTED = {
    PBTS_RECEIPT_MSG: ("receipts", "receipt"),
    PBTS_RECEIPT_BATCH_MSG: ("batches", "batch"),
    "handshake": ("handshakes", "handshake"),
}
_DONE = {"create": "created", "parse": "parsed"}


def _decode(payload: bytes):
    if len(payload) > MAX_PAYLOAD:
        raise MessageError(f"payload: expected at most {MAX_PAYLOAD} bytes, found {len(payload)}")
    return bencode.decode(payload)


class BEP10Handler:
    """One connection's side of the extension."""

    def __init__(self, client_version: str = "PBTS 0.1.0", standard_ids: bool = False):
        self.client_version = client_version
        self.standard_ids = standard_ids
        self.local_ext_ids: dict[str, int] = {}
        self.remote_ext_ids: dict[str, int] = {}
        self.pending_receipts: list[PBTSReceipt] = []
        self.peer_supports_pbts = False
        self.reset_statistics()

    # --- handshake

    def create_handshake(self, listening_port: int | None = None) -> bytes:
        with self._timed("handshake", "create"):
            self.local_ext_ids = {name: number for number, name in enumerate(_MESSAGES, start=1)}
            if self.standard_ids:
                extensions: dict = {name.encode(): number for name, number in self.local_ext_ids.items()}
            else:
                below = {short: self.local_ext_ids[name] for name, short in _MESSAGES.items()}
                extensions = {PBTS_EXTENSION_NAME.encode(): below}
            handshake = ExtensionHandshake(extensions, self.client_version, listening_port)
            return _frame(HANDSHAKE_MESSAGE_ID, handshake.to_dict())

    def parse_handshake(self, payload: bytes) -> bool:
        """Whether the peer takes messages of this extension. False, and a line in the log, for what is no handshake."""
        with self._timed("handshake", "parse"):
            try:
                extensions = ExtensionHandshake.from_dict(_decode(payload)).supported_extensions
                self._learn(extensions)
            except ValueError as error:
                logger.error("Failed to parse extended handshake: %s", error)
                return False
            return any(self.remote_ext_ids.values())

    def _learn(self, extensions: dict) -> None:
        below = extensions.get(PBTS_EXTENSION_NAME.encode())
        if isinstance(below, dict):
            found = {name: below[short] for name, short in _MESSAGES.items() if short in below}
        else:
            found = {name: extensions[name.encode()] for name in _MESSAGES if name.encode() in extensions}
        for name, number in found.items():
            if not isinstance(number, int) or not 0 <= number <= 255:
                raise MessageError(f"{name}: expected a message id from 0 to 255")
        taken = [number for number in found.values() if number != 0]
        if len(set(taken)) != len(taken):
            raise MessageError("m: expected an id of its own for every message")
        # A later handshake adds to what is known, and takes a message back by 0 (BEP 10).
        self.remote_ext_ids.update(found)
        self.peer_supports_pbts = any(self.remote_ext_ids.values())

    # --- messages that go out

    def create_receipt_message(self, receipt: PBTSReceipt) -> bytes:
        """Raises ValueError when the peer's handshake has not named this message, as the next two do."""
        return self._create(PBTS_RECEIPT_MSG, receipt.to_dict)

    def create_receipt_batch_message(self, receipts: list[PBTSReceipt]) -> bytes:
        if len(receipts) > MAX_BATCH:
            raise ValueError(f"expected at most {MAX_BATCH} receipts in a batch, found {len(receipts)}: send several")
        return self._create(PBTS_RECEIPT_BATCH_MSG, lambda: {b"receipts": [receipt.to_dict() for receipt in receipts]})

    def create_request_receipt_message(self, infohash: bytes, piece_index: int, piece_hash: bytes) -> bytes:
        content = {b"infohash": infohash, b"piece_index": piece_index, b"piece_hash": piece_hash}
        return self._create(PBTS_REQUEST_RECEIPT_MSG, lambda: content)

    def _create(self, name: str, content: Callable[[], dict]) -> bytes:
        with self._timed(name, "create"):
            if not self.peer_supports_pbts:
                raise ValueError("Peer does not support PBTS extension")
            number = self.remote_ext_ids.get(name, 0)
            if number == 0:
                raise ValueError(f"{_TITLES[name]} message ID not negotiated")
            return _frame(number, content())

    # --- messages that come in

    def parse_message(self, message_id: int, payload: bytes):
        """A PBTSReceipt, a list of them, or the dictionary of a request (keys infohash, piece_index, piece_hash).
        None, and a line in the log, for an id that was not given out and for what is malformed."""
        name = next((name for name, number in self.local_ext_ids.items() if number == message_id), None)
        if name is None:
            logger.warning("Unknown extended message ID: %s", message_id)
            return None
        try:
            with self._timed(name, "parse"):
                return _READERS[name](_decode(payload))
        except ValueError as error:
            logger.error("Failed to parse %s message: %s", name, error)
            return None

    # --- receipts that wait for a report

    def add_receipt(self, receipt: PBTSReceipt) -> None:
        self.pending_receipts.append(receipt)

    def get_pending_receipts(self) -> list[PBTSReceipt]:
        """All that wait, which then wait no longer."""
        receipts, self.pending_receipts = self.pending_receipts, []
        return receipts

    def should_batch_report(self, threshold: int = 10) -> bool:
        return len(self.pending_receipts) >= threshold

    # --- statistics

    def reset_statistics(self) -> None:
        counters = {f"{many}_{done}": 0 for many, _ in _COUNTED.values() for done in _DONE.values()}
        times = {f"total_{one}_{doing}_time_ms": 0.0 for _, one in _COUNTED.values() for doing in _DONE}
        self.stats: dict[str, float] = counters | times

    def get_statistics(self) -> dict[str, float]:
        """Counters, total times in milliseconds, and averages, which are 0 where nothing was counted."""
        found = dict(self.stats)
        for many, one in _COUNTED.values():
            for doing, done in _DONE.items():
                count = found[f"{many}_{done}"]
                total = found[f"total_{one}_{doing}_time_ms"]
                found[f"avg_{one}_{doing}_time_ms"] = total / count if count else 0
        return found

    @contextmanager
    def _timed(self, name: str, doing: str):
        """Counts what ends without an error; requests are not counted."""
        start = time.perf_counter()
        yield
        if name in _COUNTED:
            many, one = _COUNTED[name]
            self.stats[f"{many}_{_DONE[doing]}"] += 1
            self.stats[f"total_{one}_{doing}_time_ms"] += (time.perf_counter() - start) * 1000


def _frame(number: int, content: dict) -> bytes:
    payload = bencode.encode(content)
    return (2 + len(payload)).to_bytes(4, "big") + bytes([EXTENDED_MESSAGE_ID, number]) + payload


def compute_piece_hash(piece_data: bytes) -> bytes:
    return hashlib.sha256(piece_data).digest()


def compute_time_epoch(timestamp: float, window: int = 3600) -> int:
    """The number of the window that `timestamp`, seconds since 1970, lies in."""
    return int(timestamp // window)
