"""Sealed boxes of NaCl (X25519, XSalsa20-Poly1305, nonce by BLAKE2b), written from the published descriptions, to seal
what a key manager must refuse. Slow, and for a few bytes only."""

import hashlib
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.poly1305 import Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SIGMA = struct.unpack("<4I", b"expand 32-byte k")
QUARTERS = ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11))
ROWS = ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14))


def _rounds(key, block):
    k, n = struct.unpack("<8I", key), struct.unpack("<4I", block)
    x = [SIGMA[0], *k[:4], SIGMA[1], *n, SIGMA[2], *k[4:], SIGMA[3]]
    begin = list(x)
    for _ in range(10):
        for a, b, c, d in (*QUARTERS, *ROWS):
            for to, one, two, by in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
                total = (x[one] + x[two]) & 0xFFFFFFFF
                x[to] ^= (total << by | total >> (32 - by)) & 0xFFFFFFFF
    return begin, x


def hsalsa20(key, nonce):
    _, x = _rounds(key, nonce)
    return struct.pack("<8I", *(x[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))


def _salsa20(key, nonce, counter):
    begin, x = _rounds(key, nonce + struct.pack("<Q", counter))
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(begin, x, strict=True)))


def secretbox(key, nonce, message):
    """Tag and ciphertext of at most 32 bytes."""
    assert len(message) <= 32
    stream = _salsa20(hsalsa20(key, nonce[:16]), nonce[16:], 0)
    ciphertext = bytes(a ^ b for a, b in zip(message, stream[32:], strict=False))
    return Poly1305.generate_tag(stream[:32], ciphertext) + ciphertext


def sealed_box(recipient, message, ephemeral=None):
    key = X25519PrivateKey.from_private_bytes(ephemeral) if ephemeral else X25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    shared = hsalsa20(key.exchange(X25519PublicKey.from_public_bytes(recipient)), bytes(16))
    nonce = hashlib.blake2b(public + recipient, digest_size=24).digest()
    return public + secretbox(shared, nonce, message)
