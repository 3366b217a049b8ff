"""A keystore and its workers for tests, written from docs/formats/keystore-wire.md and the formats of what is stored: it
shares no code with the server."""

import base64
import hashlib
import http.client
import json
import os
import pathlib
import ssl
import struct
import tempfile
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from harness import PATIENCE, Reply, Server, attestry, request, split_url
from near import base58
from registry import self_signed
from workload import hkdf_expand, hkdf_extract, hpke_open, lp, raw_public

TOKEN, COORDINATOR = "test-worker-token-123", "test-coordinator-token-456"
OPERATOR = "operator.testnet"


def token_hash(token):
    return hashlib.sha256(token.encode()).hexdigest()


def forge(seed, report_data, kind):
    """Evidence of the simulated TEE of that seed, of any kind."""
    name = "report.bin" if kind.startswith("snp") else "attestation.cbor" if kind == "nitro" else "quote.bin"
    with tempfile.TemporaryDirectory() as folder:
        done = attestry("forge", "--seed", seed, "--kind", kind, "--report-data", report_data.hex(), "--out", folder)
        assert done.code == 0, done
        return (pathlib.Path(folder) / name).read_bytes()


def settings_for(chain, nodes, **more):
    return {
        "keystore.listen": "127.0.0.1:0",
        "keystore.worker_tokens": token_hash(TOKEN),
        "keystore.coordinator_tokens": token_hash(COORDINATOR),
        "keystore.rpc": ",".join(node.url for node in nodes),
        "keystore.network": chain.chain_id,
        "keystore.contract": chain.contract,
        "keystore.operator_account": OPERATOR,
        "keystore.chain_ttl_ms": 0,
        "keystore.stranger_rate": 0,
        **more,
    }


def start_keystore(data, chain, nodes, **more):
    """attestry dev with the keystore's listener, as `.keystore`."""
    sets = [f"--set={name}={value}" for name, value in settings_for(chain, nodes, **more).items() if value is not None]
    server = Server(["dev", "--data", data, "--any-port", *sets], data)
    found = server.wait_for(r"^  server +(\S+), operators (\S+), metrics (\S+)/metrics")
    server.public, server.admin, server.metrics = found.groups()
    server.keystore = server.wait_for(r"^  keystore +(\S+)$")[1]
    server.log_key = server.wait_for(r"^  log +(\S+)")[1]
    server.wait_for(r"^Serving until")
    return server


def seal_ecies(public, plaintext):
    """ECIES v1: 01 | ephemeral key | nonce | ChaCha20-Poly1305."""
    ephemeral, nonce = X25519PrivateKey.generate(), os.urandom(12)
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    key = hkdf_expand(hkdf_extract(b"", shared), b"outlayer-keystore-v1", 32)
    return b"\1" + raw_public(ephemeral) + nonce + ChaCha20Poly1305(key).encrypt(nonce, plaintext, None)


def montgomery(edwards):
    """The X25519 key that belongs to an Ed25519 one: u = (1 + y) / (1 - y)."""
    p = 2**255 - 19
    y = int.from_bytes(edwards, "little") & (2**255 - 1)
    return ((1 + y) * pow(1 - y, -1, p) % p).to_bytes(32, "little")


class Client:
    """Whoever has a token."""

    def __init__(self, server, token=TOKEN):
        self.server, self.token = server, token

    def call(self, method, path, body=None, headers=None):
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return request(self.server.keystore, method, path, body, {**given, **(headers or {})})

    def post(self, path, body, headers=None):
        return self.call("POST", path, body, headers)

    def pubkey(self, seed, secrets=None, **more):
        return self.post("/pubkey", {"seed": seed, "secrets_json": json.dumps(secrets or {}), **more})

    def encrypted(self, seed, plaintext, **more):
        reply = self.pubkey(seed, **more)
        assert reply.status == 200, reply
        return seal_ecies(bytes.fromhex(reply.json()["pubkey"]), plaintext)


class Worker(Client):
    """A worker of the third generation, in a simulated TD."""

    def __init__(self, server, chain, token=TOKEN):
        super().__init__(server, token)
        self.key, self.box = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        self.public = "ed25519:" + base58(raw_public(self.key))
        self.session = self.session_key = None
        chain.add_key(OPERATOR, self.public)

    def challenge(self, reply=None):
        reply = reply or self.post("/tee-challenge", None)
        assert reply.status == 200, reply
        self.audience = reply.json()["audience"]
        return bytes.fromhex(reply.json()["challenge"])

    def signature(self, message):
        return "ed25519:" + base58(self.key.sign(message))

    def report_data(self, challenge):
        parts = [b"attestry/keystore/register/1", challenge, self.public.encode(), raw_public(self.box)]
        return hashlib.sha512(b"".join(map(lp, [*parts, self.audience.encode()]))).digest()

    def registration(self, challenge=None, kind="tdx-v4", **other):
        challenge = challenge or self.challenge()
        quote = forge(self.server.seed, self.report_data(challenge), kind) if kind else None
        body = {
            "public_key": self.public,
            "challenge": challenge.hex(),
            "signature": self.signature(challenge),
            "evidence": quote and base64.b64encode(quote).decode(),
            "encryption_key": quote and raw_public(self.box).hex(),
            **other,
        }
        return {name: value for name, value in body.items() if value is not None}

    def register(self, **other):
        """The answer to the registration; where there is no challenge, the answer that says so."""
        asked = self.post("/tee-challenge", None)
        if asked.status != 200:
            return asked
        body = self.registration(self.challenge(asked), **other)
        reply = self.post("/register-tee", body)
        if reply.status == 200:
            self.session = reply.json()["session_id"]
            if "evidence" in body:
                report_data = self.report_data(bytes.fromhex(body["challenge"]))
                self.session_key = self.open_for_key(report_data, reply.json()["sealed_session_key"])
        return reply

    def open_for_key(self, report_data, sealed):
        raw = base64.b64decode(sealed)
        return hpke_open(self.box, raw[:32], lp(b"attestry/keystore/sealed/1") + report_data, raw[32:])

    def open_reply(self, path, body, sealed, nonce=None):
        raw = base64.b64decode(sealed)
        aad = lp(b"attestry/keystore/reply/1") + lp(path.encode()) + lp(hashlib.sha256(body).digest())
        aad += lp(nonce) if nonce else b""
        return AESGCM(self.session_key).decrypt(raw[:12], raw[12:], aad)

    def in_session(self, path, body, session=None):
        return self.post(path, body, {"X-TEE-Session": session or self.session})

    def decrypt(self, accessor, profile, owner, user="user.testnet", session=None):
        """Reply, and the plaintext when there is one."""
        body = json.dumps(
            {"accessor": accessor, "profile": profile, "owner": owner, "user_account_id": user, "task_id": "1"}
        ).encode()
        headers = {"X-TEE-Session": session or self.session or "", "Content-Type": "application/json"}
        reply = self.post("/decrypt", body, {name: value for name, value in headers.items() if value})
        if reply.status != 200:
            return reply, None
        out = reply.json()
        if "sealed_secrets" in out:
            return reply, self.open_reply("/decrypt", body, out["sealed_secrets"])
        return reply, base64.b64decode(out["plaintext_secrets"])


class OverTls(Worker):
    """A worker with one TLS connection, which it keeps; `certificate` is a PEM file with its key."""

    def __init__(self, server, chain, most=ssl.TLSVersion.TLSv1_3, certificate=None):
        super().__init__(server, chain)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode, context.maximum_version = False, ssl.CERT_NONE, most
        if certificate:
            context.load_cert_chain(certificate)
        self.connection = http.client.HTTPSConnection(*split_url(server.keystore), timeout=PATIENCE, context=context)

    def call(self, method, path, body=None, headers=None):
        given = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request(method, path, body=data, headers=given)
        answer = self.connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())


def client_certificate(folder, key, evidence=None):
    """A PEM file for OverTls: a self-signed certificate, with evidence or without, and its key."""
    file = folder / f"client-{os.urandom(4).hex()}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(self_signed(key, evidence) + private)
    return file


def canonical(body):
    """RFC 8785, for the bodies that are sent here."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class OldWorker(Client):
    """A worker of the first two generations that shows real evidence with each request."""

    def __init__(self, server, audience, token=TOKEN):
        super().__init__(server, token)
        self.box, self.audience = X25519PrivateKey.generate(), audience

    def attested(self, body, timestamp=None, kind="tdx-v4", tee_type="tdx", keyless=False, **other):
        timestamp = int(time.time()) if timestamp is None else timestamp
        digest = hashlib.sha256(canonical(body)).digest()
        key = b"" if keyless else raw_public(self.box)
        transcript = lp(b"attestry/keystore/request/1") + lp(key) + struct.pack(">Q", timestamp)
        self.report_data = hashlib.sha512(transcript + lp(digest) + lp(self.audience.encode())).digest()
        quote = forge(self.server.seed, self.report_data, kind)
        attestation = {
            "tee_type": tee_type,
            "quote": base64.b64encode(quote).decode(),
            "worker_pubkey": key.hex() or None,
            "timestamp": timestamp,
            **other,
        }
        return {**body, "attestation": attestation}

    def open(self, reply):
        raw = base64.b64decode(reply.json()["sealed_secrets"])
        return hpke_open(self.box, raw[:32], lp(b"attestry/keystore/sealed/1") + self.report_data, raw[32:])


ACCOUNT = "alice.testnet"
OWNERS_REPO = {"type": "Repo", "repo": "github.com/alice/project", "branch": None}


def borsh(text):
    return struct.pack("<I", len(text)) + text


class Owner:
    """Whoever stores secrets, with a key of the account."""

    def __init__(self, chain):
        self.key = Ed25519PrivateKey.generate()
        self.public = "ed25519:" + base58(raw_public(self.key))
        self.chain = chain

    def message(self, body):
        names, generated = sorted(body["secrets"]), sorted(one["name"] for one in body.get("generate_protected", []))
        text = f"Update Outlayer secrets for {ACCOUNT}:default"
        text += "\nkeys:" + ",".join(names) if names else ""
        return text + ("\nprotected:" + ",".join(generated) if generated else "")

    def change(self, body):
        """keystore-wire.md: what the digest in a signature binds."""

        def form(name):
            return canonical(body[name]) if name in body else b""

        mode, vault = body["mode"].encode(), body.get("vault_id", "").encode()
        parts = [b"attestry/keystore/change/1", form("accessor"), form("new_accessor"), mode, vault]
        for name, value in sorted(body["secrets"].items()):
            parts += [name.encode(), hashlib.sha256(value.encode()).digest()]
        parts.append(b"")
        for one in sorted(body.get("generate_protected", []), key=lambda one: one["name"]):
            parts += [one["name"].encode(), one["generation_type"].encode()]
        return hashlib.sha256(b"".join(map(lp, parts))).hexdigest()

    def asked(self, recipient="outlayer.testnet", whole=False, message=None, **body):
        body = {"accessor": OWNERS_REPO, "profile": "default", "owner": ACCOUNT, "mode": "reset", "secrets": {}, **body}
        message = message or self.message(body) + (f"\nchange:{self.change(body)}" if whole else "")
        nonce = os.urandom(32)
        payload = struct.pack("<I", 2147484061) + borsh(message.encode()) + nonce + borsh(recipient.encode()) + b"\0"
        return {
            **body,
            "signed_message": message,
            "signature": base64.b64encode(self.key.sign(hashlib.sha256(payload).digest())).decode(),
            "public_key": self.public,
            "nonce": base64.b64encode(nonce).decode(),
            "recipient": recipient,
        }
