"""The registry's admins, written from docs/formats/registry.md and not from the program: requests of both versions, the
first version's encryption, and Shamir's sharing over GF(2^8)."""

import base64
import hashlib
import json
import os
import re
import struct
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from harness import request, start_serve

HASHES = {256: hashes.SHA256, 384: hashes.SHA384, 521: hashes.SHA512}  # of the second version, by curve
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def lp(part):
    part = part.encode() if isinstance(part, str) else part
    return struct.pack(">I", len(part)) + part


def multiply(a, b):
    """In GF(2^8) with x^8 + x^4 + x^3 + x + 1."""
    out = 0
    while b:
        if b & 1:
            out ^= a
        a = (a << 1) ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return out


def invert(a):
    out = 1
    for _ in range(254):
        out = multiply(out, a)
    return out


def combine(shares):
    """Lagrange at 0 over all shares; the last byte of each is its x."""
    xs = [share[-1] for share in shares]
    out = bytearray(len(shares[0]) - 1)
    for i, share in enumerate(shares):
        weight = 1
        for j, x in enumerate(xs):
            if i != j:
                weight = multiply(weight, multiply(x, invert(xs[i] ^ x)))
        for k in range(len(out)):
            out[k] ^= multiply(share[k], weight)
    return bytes(out)


def split(secret, threshold, xs):
    polynomials = [[byte, *os.urandom(threshold - 1)] for byte in secret]
    shares = []
    for x in xs:
        ys = bytearray()
        for polynomial in polynomials:
            value = 0
            for coefficient in reversed(polynomial):
                value = multiply(value, x) ^ coefficient
            ys.append(value)
        shares.append(bytes(ys) + bytes([x]))
    return shares


def commitment(kind, set_id, secret):
    return hashlib.sha256(lp(f"attestry/{kind}-commitment/1") + lp(set_id) + lp(secret)).hexdigest()


def decrypt_v1(key, blob):
    """Length, ephemeral point, nonce, AES-256-GCM under SHA-256 of x without its leading zero bytes."""
    size = struct.unpack(">H", blob[:2])[0]
    point = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, blob[2 : 2 + size])
    shared = key.exchange(ec.ECDH(), point).lstrip(b"\0")
    nonce = blob[2 + size : 14 + size]
    return AESGCM(hashlib.sha256(shared).digest()).decrypt(nonce, blob[14 + size :], None)


class Admin:
    """One admin. sign_*: the headers of a request; get and post: a request of the first version."""

    def __init__(self, curve=None):
        self.key = ec.generate_private_key(curve or ec.SECP256R1())
        self.pem = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.id = hashlib.sha256(self.pem).hexdigest()

    def write(self, folder):
        """The files that the command line takes; its flags for them."""
        folder.mkdir(parents=True, exist_ok=True)
        private = folder / "admin-private.pem"
        private.touch(mode=0o600)
        private.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
        (folder / "admin-public.pem").write_bytes(self.pem)
        return files_of(folder)

    def sign_digest(self, digest):
        return self.key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))

    def headers_v1(self, path, body=b""):
        digest = hashlib.sha256(path.encode() + body).digest()
        return {"X-Admin-ID": self.id, "X-Admin-Signature": base64.b64encode(self.sign_digest(digest)).decode()}

    def headers_v2(self, method, host, path, body=b"", at=None, nonce=None, server=bytes(32)):
        """`server`: server_id() of the one that is asked."""
        at = int(time.time()) if at is None else at
        nonce = nonce or os.urandom(16)
        message = b"".join(map(lp, ("attestry/admin-request/2", self.id, method, host.lower(), server, path)))
        message += lp(hashlib.sha256(body).digest()) + struct.pack(">Q", at) + lp(nonce)
        signature = self.key.sign(message, ec.ECDSA(HASHES[self.key.key_size]()))

        def text(raw):
            return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

        return {
            "X-Admin-ID": self.id,
            "X-Admin-Time": str(at),
            "X-Admin-Nonce": text(nonce),
            "X-Admin-Signature-V2": text(signature),
        }

    def get(self, server, path):
        return request(server.bootstrap, "GET", path, headers=self.headers_v1(path))

    def post(self, server, path, body=b""):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return request(server.bootstrap, "POST", path, body=body, headers=self.headers_v1(path, body))

    def call_v2(self, server, method, path, body=b"", **how):
        headers = self.headers_v2(method, host_of(server.bootstrap), path, body, server=server_id(server), **how)
        return request(server.bootstrap, method, path, body=body or None, headers=headers)

    def fetch(self, server):
        """(index, share in clear)"""
        reply = self.get(server, "/admin/share")
        assert reply.status == 200, reply
        blob = base64.b64decode(reply.json()["encrypted_share"])
        return reply.json()["share_index"], decrypt_v1(self.key, blob)

    def submission(self, index, share, signer=None, digest=None):
        """The share itself as the digest, of which P-256 takes the first 32 bytes, as the seed's client does it."""
        signature = (signer or self).sign_digest(digest or share[:32])
        return {
            "share_index": index,
            "share": base64.b64encode(share).decode(),
            "signature": base64.b64encode(signature).decode(),
        }

    def submit(self, server, index, share, **how):
        return self.post(server, "/admin/share", self.submission(index, share, **how))


def malleated(headers):
    """The same signature with n - s: as valid, and other bytes."""
    r, s = decode_dss_signature(base64.b64decode(headers["X-Admin-Signature"]))
    other = encode_dss_signature(r, P256_ORDER - s)
    return {**headers, "X-Admin-Signature": base64.b64encode(other).decode()}


def files_of(folder):
    return [
        "--admin-privkey-file",
        folder / "admin-private.pem",
        "--admin-pubkey-file",
        folder / "admin-public.pem",
        "--shamir-share-file",
        folder / "shamir-share.json",
    ]


def host_of(url):
    return url.split("://")[1].rstrip("/")


CONTRACT = "0123456789abcdef0123456789abcdef01234567"


def pki(server, contract=CONTRACT):
    return request(server.registry, "GET", f"/api/public/pki/{contract}")


def derived_spki(master, purpose, contract=CONTRACT):
    """The seed's derivation of a contract's key, as far as its public key."""
    seed = hashlib.sha256(master + bytes.fromhex(contract) + purpose.encode()).digest()
    key = ec.derive_private_key(int.from_bytes(seed, "big"), ec.SECP256R1())
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def served_spki(reply):
    """(of the CA's certificate, of the app's key) that a server gives to anybody."""
    body = reply.json()
    ca = x509.load_pem_x509_certificate(base64.b64decode(body["ca_cert"])).public_key()
    app = load_pem_public_key(base64.b64decode(body["app_pubkey"]))
    return tuple(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in (ca, app))


def status(server):
    reply = request(server.bootstrap, "GET", "/admin/status")
    assert reply.status == 200 and reply.headers["Content-Type"] == "application/json", reply
    assert reply.body.endswith(b"\n")
    return reply.json()


def commitments(server):
    return request(server.bootstrap, "GET", "/admin/commitments").json()


def server_id(server):
    """What a signed request names its server by: the digest of the key of this run."""
    key = load_pem_public_key(commitments(server)["recovery_key"].encode())
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def write_admins(path, admins, names=()):
    entries = [{"id": admin.id, "pubkey": admin.pem.decode()} for admin in admins]
    for entry, name in zip(entries, names, strict=False):
        entry["name"] = name
    path.write_text(json.dumps({"admins": entries}))
    return path


def settings_of(admins_file, **settings):
    return {
        "registry.kms": "shamir",
        "registry.listen": "127.0.0.1:0",
        "registry.contracts": "any",
        "registry.governance": "local",
        "registry.admins": admins_file,
        "registry.threshold": 2,
        "registry.admin_listen": "127.0.0.1:0",
        **settings,
    }


def find_bootstrap(server):
    lines = [line for line in server.lines if "registry admins" in line]
    server.bootstrap = lines[0].split()[-1]
    server.registry = next(line for line in server.lines if re.match(r"  registry +http", line)).split()[-1]
    return server


def start_registry(data, admins_file, **settings):
    """attestry serve whose master key admins hold."""
    return find_bootstrap(start_serve(data, **settings_of(admins_file, **settings)))
