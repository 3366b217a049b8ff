"""A workload in a simulated TD, written from the formats: keys, CSR, binding, evidence of the forge, opening of the
sealed reply. It shares no code with `attestry instance`."""

import base64
import hashlib
import hmac
import json
import pathlib
import struct
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from harness import attestry


def b64u(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def lp(data):
    return struct.pack(">I", len(data)) + data


def raw_public(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def app_bytes(app):
    assert app.startswith("name:")
    return b"\1" + app[5:].encode()


def binding(audience, nonce, tenant, app, spki, recipient, purpose=1):
    """B = SHA-512(T), FORMATS 3."""
    fields = [b"attestry/report-data/1", bytes([purpose]), audience.encode(), nonce, tenant.encode(), app_bytes(app)]
    return hashlib.sha512(b"".join(map(lp, [*fields, spki, recipient, b""]))).digest()


def forge(seed, report_data, kind="tdx-v4", *more):
    """A quote of the simulated TEE of that seed."""
    with tempfile.TemporaryDirectory() as folder:
        done = attestry(
            "forge", "--seed", seed, "--kind", kind, "--report-data", report_data.hex(), "--out", folder, *more
        )
        assert done.code == 0, done
        return (pathlib.Path(folder) / "quote.bin").read_bytes()


def measurement(seed):
    """MRTD of the simulated TD of that seed: bytes 136 to 183 of the TD report, which follows the header of 48."""
    return forge(seed, bytes(64))[48 + 136 : 48 + 136 + 48].hex()


def hkdf_extract(salt, ikm):
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def hkdf_expand(prk, info, length):
    out, block = b"", b""
    for i in range(1, -(-length // 32) + 1):
        block = hmac.new(prk, block + info + bytes([i]), hashlib.sha256).digest()
        out += block
    return out[:length]


def hpke_open(private, enc, info, ciphertext):
    """RFC 9180 base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM."""
    kem = b"KEM" + struct.pack(">H", 0x20)
    suite = b"HPKE" + struct.pack(">HHH", 0x20, 1, 2)

    def extract(id_, salt, label, ikm):
        return hkdf_extract(salt, b"HPKE-v1" + id_ + label + ikm)

    def expand(id_, prk, label, info_, length):
        return hkdf_expand(prk, struct.pack(">H", length) + b"HPKE-v1" + id_ + label + info_, length)

    shared = private.exchange(X25519PublicKey.from_public_bytes(enc))
    eae = extract(kem, b"", b"eae_prk", shared)
    secret = expand(kem, eae, b"shared_secret", enc + raw_public(private), 32)
    context = b"\0" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    prk = extract(suite, secret, b"secret", b"")
    key, nonce = expand(suite, prk, b"key", context, 32), expand(suite, prk, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, ciphertext, b"")


class Workload:
    """One registration in the making; every part can be changed before it is sent."""

    def __init__(self, server, app, tenant="default", nonce=None, audience=None):
        self.server, self.app, self.tenant = server, app, tenant
        self.audience = audience or server.origin
        self.signing_key = ec.generate_private_key(ec.SECP256R1())
        self.recipient_key = X25519PrivateKey.generate()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, app)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name)
        self.csr = request.sign(self.signing_key, hashes.SHA256()).public_bytes(Encoding.DER)
        self.nonce = nonce or new_nonce(server)

    @property
    def spki(self):
        return self.signing_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def recipient(self):
        return b"\0\x20" + raw_public(self.recipient_key)

    @property
    def binding(self):
        return binding(self.audience, self.nonce, self.tenant, self.app, self.spki, self.recipient)

    def evidence(self, kind="tdx-v4", *more):
        return forge(self.server.seed, self.binding, kind, *more)

    def body(self, **changes):
        said = {
            "evidence": b64u(changes.pop("evidence", None) or self.evidence()),
            "csr": b64u(self.csr),
            "recipient": b64u(self.recipient),
            "nonce": b64u(self.nonce),
            "tenant": self.tenant,
            "app": self.app,
        }
        return json.dumps({**said, **changes})

    def send(self, body=None):
        return self.server.request("POST", "/v1/instances", body or self.body())

    def open(self, reply):
        sealed = unb64u(reply.json()["sealed"])
        assert sealed[:6] == struct.pack(">HHH", 0x20, 1, 2)
        size = struct.unpack(">I", sealed[6:10])[0]
        enc, ciphertext = sealed[10 : 10 + size], sealed[10 + size :]
        return json.loads(hpke_open(self.recipient_key, enc, lp(b"attestry/release/1") + self.binding, ciphertext))


def new_nonce(server, purpose=1):
    reply = server.request("POST", "/v1/challenges", {"purpose": purpose})
    assert reply.status == 200, reply
    return unb64u(reply.json()["nonce"])


def commitment(key, label, value):
    """FORMATS 6: what a leaf says of an output."""
    return hmac.new(key, lp(label.encode()) + value, hashlib.sha256).hexdigest()
