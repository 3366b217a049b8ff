"""BLS signatures with keys in G1, of the ciphersuite that PBTS names (draft-irtf-cfrg-bls-signature 2, 3.3, 4.2.3), on the
curve of py_ecc: for tests, which are to have another implementation than the tracker's."""

import hashlib

from py_ecc.optimized_bls12_381 import (
    FQ2,
    G1,
    add,
    curve_order,
    field_modulus,
    iso_map_G2,
    multiply,
    multiply_clear_cofactor_G2,
    normalize,
    optimized_swu_G2,
)

SIGNATURES = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
POSSESSION = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
HALF = (field_modulus - 1) // 2


def secret_of(seed):
    """Any bytes, as a number modulo the order: a secret key."""
    return int.from_bytes(hashlib.sha256(seed).digest()) % curve_order


def _expand(message, tag, length):
    """expand_message_xmd of RFC 9380 5.3.1 with SHA-256."""
    tag += bytes([len(tag)])
    first = hashlib.sha256(bytes(64) + message + length.to_bytes(2) + b"\0" + tag).digest()
    out, block = b"", bytes(32)
    for number in range(1, length // 32 + 1):
        mixed = bytes(a ^ b for a, b in zip(first, block, strict=True))
        block = hashlib.sha256((mixed if number > 1 else first) + bytes([number]) + tag).digest()
        out += block
    return out


def _hash_to_g2(message, tag):
    uniform = _expand(message, tag, 256)
    numbers = [int.from_bytes(uniform[at : at + 64]) % field_modulus for at in range(0, 256, 64)]
    points = [iso_map_G2(*optimized_swu_G2(FQ2(numbers[at : at + 2]))) for at in (0, 2)]
    return multiply_clear_cofactor_G2(add(*points))


def _compressed(numbers, larger):
    out = bytearray(b"".join(int(number).to_bytes(48) for number in numbers))
    out[0] |= 0x80 | (0x20 if larger else 0)
    return bytes(out)


def public_key(secret):
    x, y = normalize(multiply(G1, secret))
    return _compressed([x], int(y) > HALF)


def _sign(secret, message, tag):
    x, y = normalize(multiply(_hash_to_g2(message, tag), secret))
    low, high = (int(part) for part in y.coeffs)
    return _compressed(reversed(x.coeffs), (high if high else low) > HALF)


def sign(secret, message):
    return _sign(secret, message, SIGNATURES)


def prove_possession(secret):
    return _sign(secret, public_key(secret), POSSESSION)
