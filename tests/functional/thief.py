"""Somebody who has the disks of nodes and the files that open them: opens what they hold, and looks for a master. Written from
docs/formats, and shares no code with the program."""

import itertools
import json
import pathlib
import sqlite3
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from near import unbase58
from operators import canonical
from py_ecc.optimized_bls12_381 import G2, curve_order, multiply, normalize
from workload import hkdf_expand, hkdf_extract, lp, unb64u

RECORDS = b"\x78" + lp(b"")  # space of the threshold root, in the service's name
SHARES, BOXES = RECORDS + lp(b"share"), RECORDS + lp(b"box")


def sealing_key(data):
    """The root file opened by the key file beside it, and the key of values of a threshold root."""
    said = json.loads((data / "root.json").read_text())
    sealed = unb64u(said.pop("sealed"))
    wrapping = hkdf_expand(
        hkdf_extract(unb64u(said["salt"]), (data / "root.key").read_bytes()), b"attestry/root-file/1", 32
    )
    keys = AESGCM(wrapping).decrypt(unb64u(said["nonce"]), sealed, canonical(said))
    return hkdf_expand(hkdf_extract(b"", keys[128:160]), b"attestry/threshold/v1", 32)


def opened(key, record, sealed):
    """None when those bytes are no sealed value of that record."""
    salt = sealed[1:25]
    one = hkdf_expand(hkdf_extract(salt, key), lp(b"attestry/sealed-value/2"), 44)
    try:
        return AESGCM(one[:32]).decrypt(one[32:], sealed[25:], record)
    except InvalidTag:
        return None


SEALED = 1 + 24 + 32 + 16


def remains(data, kind, name_bytes):
    """{name of the record: scalar} of all sealed scalars whose records lie in any file, in force, erased or in a log."""
    key, found = sealing_key(data), {}
    for file in data.iterdir():
        content, at = file.read_bytes(), -1
        while (at := content.find(kind, at + 1)) >= 0:
            end = at + len(kind) + name_bytes
            record = content[at:end]
            if len(content) < end + SEALED:
                continue
            # A row is key, value: what else may stand between them is a byte or none.
            for gap in (0, 1, 2):
                scalar = opened(key, record, content[end + gap : end + gap + SEALED])
                if scalar is not None:
                    found[record[len(kind) :]] = int.from_bytes(scalar)
    return found


def shares(data):
    """{epoch: share}. A share's record has epoch u64 and the digest of the outcome."""
    return {struct.unpack(">Q", name[:8])[0]: share for name, share in remains(data, SHARES, 40).items()}


def boxes(data):
    return remains(data, BOXES, 32)


def records(data):
    """All that the store says is there, large values, too."""
    with sqlite3.connect(f"file:{data / 'store.db'}?mode=ro", uri=True) as store:
        rows = store.execute(
            "SELECT key, CASE WHEN large IS NULL THEN value ELSE (SELECT value FROM large l "
            "WHERE l.id = kv.large) END FROM kv"
        ).fetchall()
    return dict(rows)


def interpolate(points):
    """The polynomial of (id, share) at zero; ids plus one are the places."""
    total = 0
    for i, share in points:
        above = below = 1
        for j, _ in points:
            if j != i:
                above = above * (j + 1) % curve_order
                below = below * (j - i) % curve_order
        total += share * above * pow(below, -1, curve_order)
    return total % curve_order


def masters(stolen, most=None):
    """What every combination of those shares, or of so many of them, would be, also of several epochs.
    stolen: {node: {epoch: share}}"""
    every = [(node, share) for node, found in stolen.items() for share in found.values()]
    for size in range(1, (most or len(every)) + 1):
        for points in itertools.combinations(every, size):
            if len({node for node, _ in points}) == size:
                yield interpolate(points)


def public_key(text):
    """Coordinate x of a master public key, in the order of its compressed form."""
    point = bytearray(unbase58(text.removeprefix("bls12381g2:")))
    point[0] &= 0x1F
    return bytes(point)


def is_master(scalar, public):
    if scalar == 0:
        return False
    x, _ = normalize(multiply(G2, scalar))
    real, imaginary = (int(part) for part in x.coeffs)
    return imaginary.to_bytes(48) + real.to_bytes(48) == public


def spellings(scalar):
    for data in (scalar.to_bytes(32), scalar.to_bytes(32, "little")):
        yield data
        yield data.hex().encode()


def lies_in(folder, scalar):
    """Files that have the scalar openly."""
    wanted = list(spellings(scalar))
    return [
        str(file)
        for file in pathlib.Path(folder).rglob("*")
        if file.is_file() and any(one in file.read_bytes() for one in wanted)
    ]
