"""Proof that a key was derived by an app of dstack: the chain of signatures that its guest agent gives with each key."""

from dataclasses import dataclass

from Crypto.Hash import keccak
from py_ecc.secp256k1 import ecdsa_raw_recover, privtopub

from pbts.receipts import CURVE_ORDER

# The bytes that an agent gives are less than 3 times the order of the curve.
_MULTIPLES = range(3)


@dataclass(frozen=True)
class DerivationProof:
    """How a key was derived, and by whom. The same app that is asked for the same path and purpose gives the same key.

    `derived_key` is the secp256k1 public key (33 bytes) of the 32 bytes that the agent gave, which are the BLS secret key
    before they were taken modulo the order. The first signature of the chain, by the app's key, is over purpose and
    derived key; the second, by the root of the key management service, is over the app's id and key. Only who has the
    secret can connect it with them (covers): to others, show a quote whose report data names the BLS public key.
    """

    path: str
    purpose: str
    derived_key: bytes
    signature_chain: tuple[bytes, ...]

    @classmethod
    def of(cls, path: str, purpose: str, derived: bytes, chain: tuple[bytes, ...]) -> "DerivationProof":
        return cls(path, purpose, _compressed(privtopub(derived)), chain)

    def covers(self, private_key: bytes) -> bool:
        """Whether this BLS secret key is the one that was derived."""
        numbers = (int.from_bytes(private_key, "big") + multiple * CURVE_ORDER for multiple in _MULTIPLES)
        return any(
            _compressed(privtopub(number.to_bytes(32, "big"))) == self.derived_key
            for number in numbers
            if 0 < number < 1 << 256
        )

    def app_key(self) -> bytes:
        """The public key (33 bytes) of the app that signed for the derived key; compare it with the app's. Raises
        ValueError when there is no such signature."""
        if not self.signature_chain:
            raise ValueError("the guest agent gave no signature for this key")
        message = self.purpose.encode() + b":" + self.derived_key.hex().encode()
        return _recover(message, self.signature_chain[0])

    def root_key(self, app_id: bytes) -> bytes:
        """The public key (33 bytes) of the root that signed for this app with the id `app_id` (20 bytes); compare it with
        the key management service's. Raises ValueError when there is no such signature, as with an app whose keys come
        from no such service."""
        if len(app_id) != 20:
            raise ValueError(f"app id: expected 20 bytes, found {len(app_id)}")
        app_key = self.app_key()
        if len(self.signature_chain) < 2 or not self.signature_chain[1]:
            raise ValueError("no root signed for this app: its key provider is no key management service")
        return _recover(b"dstack-kms-issued:" + app_id + app_key, self.signature_chain[1])


def _compressed(point) -> bytes:
    x, y = point
    return bytes([2 + y % 2]) + x.to_bytes(32, "big")


def _recover(message: bytes, signature: bytes) -> bytes:
    if len(signature) != 65 or signature[64] > 1:
        raise ValueError("signature: expected r, s and a recovery number, in all 65 bytes")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    digest = keccak.new(digest_bits=256, data=message).digest()
    found = ecdsa_raw_recover(digest, (27 + signature[64], r, s))
    if not found or found == (0, 0):
        raise ValueError("signature: expected one of which a public key can be recovered")
    return _compressed(found)
