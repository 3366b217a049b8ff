"""Receipts: the receiver of a piece signs who gave it, the sender hands that to the tracker; and how both register
there. docs/formats/pbts.md, docs/reference/tracker-wire.md

BLS of the ciphersuite BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_, by py_ecc: secret keys are integers, or their 32
bytes big-endian; public keys have 48 bytes, signatures 96. py_ecc takes time that depends on the secret; do not sign
where somebody can measure it.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from py_ecc.bls import G2ProofOfPossession as _bls
from py_ecc.optimized_bls12_381 import curve_order

CURVE_ORDER = curve_order
BOUND_PREFIX = b"PBTS receipt 2\n"
PASSKEY_PREFIX = b"PBTS passkey\n"
DEFAULT_PIECE_SIZE = 16384
EPOCH_SECONDS = 3600
NONCE_SIZE = 40
LEAST_KEY_MATERIAL = 32
_MOST_JSON_INTEGER = (1 << 53) - 1


def _sized(name: str, value: bytes, *sizes: int) -> bytes:
    if not isinstance(value, (bytes, bytearray)) or len(value) not in sizes:
        found = f"{len(value)} bytes" if isinstance(value, (bytes, bytearray)) else type(value).__name__
        raise ValueError(f"{name}: expected {' or '.join(str(size) for size in sizes)} bytes, found {found}")
    return bytes(value)


def _unsigned(name: str, value: int, size: int) -> bytes:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << (8 * size):
        raise ValueError(f"{name}: expected an integer from 0 to {(1 << (8 * size)) - 1}")
    return value.to_bytes(size, "big")


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


# --- keys


def secret_key(secret: bytes | int) -> int:
    """32 bytes, or an integer, modulo the order of the curve: what PBTS makes of random bytes and of a TEE's key. Raises
    ValueError for what is zero then; draw again."""
    number = secret if isinstance(secret, int) else int.from_bytes(_sized("secret key", secret, 32), "big")
    number %= CURVE_ORDER
    if number == 0:
        raise ValueError("secret key: expected a number that is not a multiple of the curve's order: draw again")
    return number


def generate_secret_key() -> bytes:
    """32 bytes, uniform among the curve's secret keys."""
    return (1 + secrets.randbelow(CURVE_ORDER - 1)).to_bytes(32, "big")


def key_gen(ikm: bytes, key_info: bytes = b"") -> bytes:
    """The ciphersuite's KeyGen (draft-irtf-cfrg-bls-signature 2.3, with the salt of blst and py_ecc): 32 bytes, the same
    for the same secret `ikm`, which has at least 32, and the same `key_info`. PBTS takes random bytes and a TEE's key
    modulo the order instead (secret_key); this is for keys that other software has made of a seed."""
    if not isinstance(ikm, (bytes, bytearray)) or len(ikm) < LEAST_KEY_MATERIAL:
        raise ValueError(f"ikm: expected at least {LEAST_KEY_MATERIAL} bytes that nobody can guess")
    return _bls.KeyGen(bytes(ikm), bytes(key_info)).to_bytes(32, "big")


def public_key(secret: bytes | int) -> bytes:
    return bytes(_bls.SkToPk(secret_key(secret)))


# --- messages


def receipt_message(infohash: bytes, sender_pk: bytes, piece_hash: bytes, piece_index: int, timestamp: int) -> bytes:
    """Version 1. `timestamp` counts seconds, or hours in the form that peers exchange. Raises ValueError: the message has
    no lengths, so that only a piece hash of 20 bytes (SHA-1) or 32 (SHA-256) keeps its parts apart."""
    return (
        _sized("infohash", infohash, 20)
        + _sized("sender_pk", sender_pk, 48)
        + _sized("piece_hash", piece_hash, 20, 32)
        + _unsigned("piece_index", piece_index, 4)
        + _unsigned("timestamp", timestamp, 8)
    )


def bound_message(message: bytes, receiver_pk: bytes, piece_size: int, instance_id: bytes | str) -> bytes:
    """Version 2 of a message of version 1: names receiver, size and tracker too, so that neither can be chosen later."""
    return (
        BOUND_PREFIX
        + _sized("message", message, 100, 112)
        + _sized("receiver_pk", receiver_pk, 48)
        + _unsigned("piece_size", piece_size, 4)
        + instance_bytes(instance_id)
    )


def instance_bytes(instance_id: bytes | str) -> bytes:
    """A tracker's instance id as 32 bytes; it says it as 64 hexadecimal digits."""
    if isinstance(instance_id, str):
        try:
            instance_id = bytes.fromhex(instance_id)
        except ValueError as error:
            raise ValueError("instance_id: expected 64 hexadecimal digits, as the tracker's /health says it") from error
    return _sized("instance_id", instance_id, 32)


def receipt_id(infohash: bytes, sender_pk: bytes, receiver_pk: bytes, piece_hash: bytes, piece_index: int) -> str:
    """64 hexadecimal digits, the same for every version, time and size: what a tracker pays for once."""
    return hashlib.sha256(
        _sized("infohash", infohash, 20)
        + _sized("sender_pk", sender_pk, 48)
        + _sized("receiver_pk", receiver_pk, 48)
        + _sized("piece_hash", piece_hash, 20, 32)
        + _unsigned("piece_index", piece_index, 4)
    ).hexdigest()


def register_message(instance_id: str, user_id: str) -> bytes:
    """What the `signature` of /register is over."""
    return b"register" + instance_bytes(instance_id).hex().encode() + user_id.encode()


def attested_payload(user_id: str, public: bytes, instance_id: bytes | str, nonce: bytes | str) -> str:
    """What the evidence of an attested registration carries, hashed as report_data of pbts.tee_manager does. `nonce` is
    that of the tracker's /attestation-nonce: 40 bytes, or their hexadecimal digits."""
    key = _base64(_sized("public key", public, 48))
    return f"register||{user_id}||{instance_bytes(instance_id).hex()}||{key}||{_nonce_bytes(nonce).hex()}"


def _nonce_bytes(nonce: bytes | str) -> bytes:
    if isinstance(nonce, str):
        try:
            nonce = bytes.fromhex(nonce)
        except ValueError as error:
            raise ValueError("nonce: expected 80 hexadecimal digits, as /attestation-nonce says them") from error
    return _sized("nonce", nonce, NONCE_SIZE)


def passkey_message(instance_id: bytes | str, user_id: str, timestamp: int, rotate: bool = False) -> bytes:
    """What the `signature` of /passkey is over: to see the passkey, or with `rotate` to have another. `timestamp`, in
    seconds, is within five minutes of the tracker's clock, and later than that of the last change."""
    said = instance_bytes(instance_id) + bytes([rotate]) + _unsigned("timestamp", timestamp, 8) + user_id.encode()
    return PASSKEY_PREFIX + hashlib.sha256(said).digest()


# --- signatures


def sign(secret: bytes | int, message: bytes) -> bytes:
    return bytes(_bls.Sign(secret_key(secret), message))


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """False also for what is no key or no signature."""
    try:
        return bool(_bls.Verify(_sized("public key", public, 48), message, _sized("signature", signature, 96)))
    except ValueError:
        return False


def aggregate(signatures: Sequence[bytes]) -> bytes:
    """Raises ValueError for an empty list, and for what is no signature."""
    if not signatures:
        raise ValueError("Cannot aggregate empty signature list")
    checked = [_sized(f"signature {at}", signature, 96) for at, signature in enumerate(signatures)]
    try:
        return bytes(_bls.Aggregate(checked))
    except (ValueError, AssertionError) as error:
        raise ValueError("expected signatures that are points of G2") from error


def aggregate_verify(public_keys: Sequence[bytes], messages: Sequence[bytes], signature: bytes) -> bool:
    """Whether `signature` is the sum of one signature for each pair; pairs may come more than once. Says something only
    when the keys' owners have proven that they possess them (verify_possession)."""
    if not public_keys or len(public_keys) != len(messages):
        return False
    try:
        keys = [_sized("public key", key, 48) for key in public_keys]
        return bool(_bls.AggregateVerify(keys, list(messages), _sized("signature", signature, 96)))
    except ValueError:
        return False


def prove_possession(secret: bytes | int) -> bytes:
    """The `proof_of_possession` of /register."""
    return bytes(_bls.PopProve(secret_key(secret)))


def verify_possession(public: bytes, proof: bytes) -> bool:
    try:
        return bool(_bls.PopVerify(_sized("public key", public, 48), _sized("proof", proof, 96)))
    except ValueError:
        return False


# --- registrations


def registration(user_id: str, secret: bytes | int, instance_id: str, attestation: dict | None = None) -> dict:
    """The body of /register. `attestation` is that of attestation(), where the tracker asks for one."""
    body = {
        "user_id": user_id,
        "public_key": _base64(public_key(secret)),
        "signature": _base64(sign(secret, register_message(instance_id, user_id))),
    }
    return body if attestation is None else body | {"attestation": attestation}


def attestation(quote: bytes | str, nonce: bytes | str, event_logs: Iterable[bytes | str] = ()) -> dict:
    """The `attestation` of /register: evidence (bytes, or hexadecimal digits) over attested_payload() with that nonce,
    and the logs of the boot, for policies that ask what was booted: at most dstack's text and TCG's bytes."""
    digits = quote.removeprefix("0x") if isinstance(quote, str) else bytes(quote).hex()
    said = {"quote": digits, "nonce": _nonce_bytes(nonce).hex()}
    logs = [log.encode() if isinstance(log, str) else bytes(log) for log in event_logs]
    # Base64url without padding, unlike keys and signatures.
    texts = [base64.urlsafe_b64encode(log).decode().rstrip("=") for log in logs]
    return said | ({"event_logs": texts} if texts else {})


# --- receipts


@dataclass(frozen=True)
class Receipt:
    """A receipt of version 1 or, with `instance_id` (32 bytes, or 64 hexadecimal digits), of version 2, which cannot be
    handed to another tracker nor for another size. Immutable; creating one raises ValueError for what has no message."""

    infohash: bytes
    sender_pk: bytes
    receiver_pk: bytes
    piece_hash: bytes
    piece_index: int
    timestamp: int
    piece_size: int = DEFAULT_PIECE_SIZE
    instance_id: bytes | str | None = None
    signature: bytes = field(default=b"", repr=False)

    def __post_init__(self):
        _ = self.message
        _sized("receiver_pk", self.receiver_pk, 48)
        _unsigned("piece_size", self.piece_size, 4)
        if self.timestamp > _MOST_JSON_INTEGER:
            raise ValueError(f"timestamp: expected at most {_MOST_JSON_INTEGER}, in seconds")
        if self.signature:
            _sized("signature", self.signature, 96)

    @property
    def version(self) -> int:
        return 1 if self.instance_id is None else 2

    @property
    def message(self) -> bytes:
        plain = receipt_message(self.infohash, self.sender_pk, self.piece_hash, self.piece_index, self.timestamp)
        if self.instance_id is None:
            return plain
        return bound_message(plain, self.receiver_pk, self.piece_size, self.instance_id)

    @property
    def id(self) -> str:
        return receipt_id(self.infohash, self.sender_pk, self.receiver_pk, self.piece_hash, self.piece_index)

    def signed(self, receiver_secret: bytes | int) -> "Receipt":
        """With the receiver's signature. Raises ValueError when the secret is not that of receiver_pk."""
        if public_key(receiver_secret) != self.receiver_pk:
            raise ValueError("expected the secret key of receiver_pk: the receiver of a piece signs for it")
        return replace(self, signature=sign(receiver_secret, self.message))

    def verify(self) -> bool:
        return verify(self.receiver_pk, self.message, self.signature)

    def to_json(self) -> dict:
        """An element of `receipts` of /report."""
        found = {
            "infohash": self.infohash.hex(),
            "sender_pk": _base64(self.sender_pk),
            "receiver_public_key": _base64(self.receiver_pk),
            "piece_hash": self.piece_hash.hex(),
            "piece_index": self.piece_index,
            "timestamp": self.timestamp,
            "piece_size": self.piece_size,
            "signature": _base64(self.signature),
        }
        return found | ({"version": 2} if self.version == 2 else {})
