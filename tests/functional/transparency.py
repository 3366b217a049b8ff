"""A verifier of the release log, written from C2SP signed-note, tlog-checkpoint, tlog-proof and RFC 9162: it shares no
code with the server."""

import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def leaf_hash(leaf):
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(hashes):
    """RFC 9162 section 2.1.1."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(root_of(hashes[:split]), root_of(hashes[split:]))


def root_from_inclusion(leaf, index, size, proof):
    """RFC 9162 section 2.1.3.2."""
    assert index < size
    first, last, value = index, size - 1, leaf
    for hash_ in proof:
        assert last != 0
        if first & 1 or first == last:
            value = node_hash(hash_, value)
            while not first & 1 and first != 0:
                first >>= 1
                last >>= 1
        else:
            value = node_hash(value, hash_)
        first >>= 1
        last >>= 1
    assert last == 0
    return value


class Checkpoint:
    def __init__(self, text, vkey):
        name, id_hex, key = vkey.split("+", 2)
        key = base64.b64decode(key)
        assert key[0] == 1
        assert hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() == id_hex
        body, signatures = text.split("\n\n", 1)
        body += "\n"
        for line in signatures.splitlines():
            assert line.startswith("— ")
            signer, signature = line[2:].split(" ")
            raw = base64.b64decode(signature)
            if signer == name and raw[:4].hex() == id_hex:
                Ed25519PublicKey.from_public_bytes(key[1:]).verify(raw[4:], body.encode())
                break
        else:
            raise AssertionError(f"not signed by {vkey}:\n{text}")
        origin, size, root = body.splitlines()[:3]
        assert origin == name
        self.size, self.root = int(size), base64.b64decode(root)


class Receipt:
    """Parsed and verified under the log's key."""

    def __init__(self, text, vkey):
        proof, checkpoint = text.split("\n\n", 1)
        header, extra, index, *hashes = proof.splitlines()
        assert header == "c2sp.org/tlog-proof@v1"
        assert extra.startswith("extra ") and index.startswith("index ")
        self.leaf_bytes = base64.b64decode(extra[6:])
        self.index = int(index[6:])
        self.checkpoint = Checkpoint(checkpoint, vkey)
        root = root_from_inclusion(
            leaf_hash(self.leaf_bytes), self.index, self.checkpoint.size, [base64.b64decode(h) for h in hashes]
        )
        assert root == self.checkpoint.root
        self.leaf = json.loads(self.leaf_bytes)


def canonical_leaf(leaf):
    return json.dumps(leaf, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def verify_log(server):
    """The whole log of a server against its signed checkpoint. Returns the leaves."""
    checkpoint = Checkpoint(server.request("GET", "/v1/log/checkpoint").text, server.log_key)
    leaves = server.leaves()[: checkpoint.size]
    assert len(leaves) == checkpoint.size
    assert root_of([leaf_hash(canonical_leaf(leaf)) for leaf in leaves]) == checkpoint.root
    return leaves
