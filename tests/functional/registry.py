"""The registry's dialect from outside: a contract on anvil, a server that asks it, and the wire's clients written from
docs/formats/registry.md. Shares no code with the program."""

import base64
import datetime
import hashlib
import http.client
import json
import socket

import abi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID
from harness import PATIENCE, Reply, Server, attestry, request
from workload import forge, hkdf_expand, hkdf_extract, lp

OPERATOR_OID = x509.ObjectIdentifier("1.3.6.1.4.1.66704.98670.17")
DCAP_OID = x509.ObjectIdentifier("1.3.6.1.4.1.66704.98645.1")
MAA_OID = x509.ObjectIdentifier("1.3.6.1.4.1.66704.98645.2")
TYPE, MEASUREMENT = "X-Flashbots-Attestation-Type", "X-Flashbots-Measurement"
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def sha256(data):
    return hashlib.sha256(data).digest()


def raw_address(text):
    return bytes.fromhex(str(text).removeprefix("0x"))


def bare(address):
    """As the wire's paths have it: 40 digits without 0x."""
    return raw_address(address).hex()


def spki(key, encoding=DER):
    return key.public_key().public_bytes(encoding, SPKI)


# -- secp256k1, as far as an operator's signature needs it (SEC 1 4.1.6)

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def _add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def _multiply(scalar, point):
    out = None
    while scalar:
        if scalar & 1:
            out = _add(out, point)
        point = _add(point, point)
        scalar >>= 1
    return out


def ethereum_address(key):
    """Of a private key of 32 bytes: 0x and lower-case digits."""
    x, y = _multiply(int.from_bytes(key), G)
    return "0x" + abi.keccak(x.to_bytes(32) + y.to_bytes(32))[12:].hex()


def sign_recoverable(key, digest):
    """r || s || v with v 0 or 1; key: 32 bytes."""
    d, z = int.from_bytes(key), int.from_bytes(digest)
    for attempt in range(1, 1000):
        k = int.from_bytes(sha256(key + digest + bytes([attempt % 256]))) % N
        point = _multiply(k, G)
        r = point[0] % N
        s = pow(k, -1, N) * (z + r * d) % N
        if point[0] < N and r and s:
            v = point[1] & 1
            if s > N // 2:
                s, v = N - s, v ^ 1
            return r.to_bytes(32) + s.to_bytes(32) + bytes([v])
    raise AssertionError("no signature")


# -- a workload of the dialect


def dcap_identity(contract, rtmrs):
    return abi.keccak(raw_address(contract) + b"".join(rtmrs[:3]))


def extended_identity(chain_id, contract, quote, status="UpToDate"):
    """docs/formats/registry.md, "Identities": of a version 4 quote whose TD is not debugged."""
    fields = [chain_id.to_bytes(8), raw_address(contract), quote[184:232], *rtmrs_of(quote)]
    fields += [quote[232:280], quote[280:328], quote[328:376], quote[168:176], b"\0", status.encode()]
    packed = lp(b"attestry/identity/2")
    for tag, value in enumerate(fields, 1):
        packed += bytes([tag]) + lp(value)
    return abi.keccak(packed)


def told_identities(folder, contract, chain_id, seed, *forged):
    """What `attestry registry identity` says of a forged quote: the quote, the known identity and the extended one."""
    done = attestry("forge", "--seed", seed, "--out", folder, *forged)
    assert done.code == 0, done
    quote = folder / "quote.bin"
    done = attestry(
        *("registry", "identity", quote, "--collateral", folder / "collateral.json", "--trust", folder / "root.pem"),
        *("--contract", contract, "--chain-id", chain_id, "--offline", "--format", "json"),
    )
    assert done.code == 0, done
    return quote.read_bytes(), *(bytes.fromhex(done.json()[name]) for name in ("identity", "extended"))


def rtmrs_of(quote):
    """RTMR0 to RTMR3 of a version 4 quote."""
    return [quote[376 + 48 * i : 424 + 48 * i] for i in range(4)]


def key_report_data(key):
    return sha256(spki(key)) + bytes(32)


def operator_extension(key, operator_key):
    return sign_recoverable(operator_key, sha256(spki(key, PEM)))


def make_csr(contract, key, evidence=None, operator=None, name=None, names=(), extensions=()):
    """PEM. evidence, operator: contents of the extensions."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name or f"{bare(contract)}.app")])
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
    found = [(DCAP_OID, evidence), (OPERATOR_OID, operator), *extensions]
    for oid, value in found:
        if value is not None:
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(PEM)


def self_signed(key, evidence=None):
    """A client certificate as attested TLS has it. PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "workload")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )
    if evidence is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(DCAP_OID, evidence), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(PEM)


# -- ECIES, first form


def ecies_seal(public, plain):
    ephemeral = ec.generate_private_key(public.curve)
    shared = ephemeral.exchange(ec.ECDH(), public).lstrip(b"\0")
    point = ephemeral.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    nonce = sha256(point)[:12]
    return len(point).to_bytes(2) + point + nonce + AESGCM(sha256(shared)).encrypt(nonce, plain, None)


def ecies_open(private, blob):
    size = int.from_bytes(blob[:2])
    point = ec.EllipticCurvePublicKey.from_encoded_point(private.curve, blob[2 : 2 + size])
    key = sha256(private.exchange(ec.ECDH(), point).lstrip(b"\0"))
    return AESGCM(key).decrypt(blob[2 + size : 14 + size], blob[14 + size :], None)


def ecies2_seal(public, plain, context):
    """The second form, "Encryption to a key" of docs/formats/registry.md, on P-256."""
    ephemeral = ec.generate_private_key(ec.SECP256R1())
    shared = ephemeral.exchange(ec.ECDH(), public)
    point, recipient = (
        key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        for key in (ephemeral.public_key(), public)
    )
    label = b"attestry/ecies/2"
    info = lp(label) + lp(point) + lp(recipient)
    derived = hkdf_expand(hkdf_extract(sha256(label), shared), info, 44)
    header = b"ATE2\x01" + point
    sealed = AESGCM(derived[:32]).encrypt(derived[32:], plain, lp(header) + lp(context))
    return header + sealed


def secret_context(contract):
    """What a secret of the second form is for."""
    return b"attestry-registry-secret:" + bare(contract).encode()


# -- a server and its contract

CHAIN_SETTINGS = {
    "registry.listen": "127.0.0.1:0",
    "registry.admin_listen": "127.0.0.1:0",
    "registry.contracts": "any",
    "registry.finality": "depth:0",
    "registry.max_head_age": "0",
    "registry.head_ms": "0",
    "registry.names": "free",
    "registry.storage_private": "true",
}


def start_registry(data, chain, **settings):
    """attestry dev with the dialect, asking `chain`. The server has .registry, .proxy (a path or None), .admins."""
    chosen = {"registry.rpc": chain.url, "registry.chain_id": chain.chain_id, **CHAIN_SETTINGS, **settings}
    server = start_dev_registry(data, chosen)
    server.files = data / "registry-files"
    return server


def start_dev_registry(data, settings):
    sets = [f"--set={name}={value}" for name, value in settings.items()]
    server = Server(["dev", "--data", data, "--any-port", *sets], data)
    found = server.wait_for(r"^  server +(\S+), operators (\S+), metrics (\S+)/metrics")
    server.public, server.admin, server.metrics = found.groups()
    server.registry = server.proxy = server.admins = None
    if settings.get("registry.listen"):
        server.registry = server.wait_for(r"^  registry +(\S+)$")[1]
    if settings.get("registry.proxy_listen"):
        server.proxy = server.wait_for(r"^  registry proxy +(\S+)$")[1]
    if settings.get("registry.admin_listen"):
        server.admins = server.wait_for(r"^  registry admins +(\S+)$")[1]
    server.log_key = server.wait_for(r"^  log +(\S+)")[1]
    server.wait_for(r"^Serving until")
    return server


class Workload:
    """One TD with a key, its quote for that key, and its requests."""

    def __init__(self, server, contract, operator_key=None, **csr):
        self.server, self.contract = server, contract
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.quote = forge(server.seed, key_report_data(self.key))
        self.operator = operator_extension(self.key, operator_key) if operator_key else None
        self.csr = make_csr(contract, self.key, **{"evidence": self.quote, "operator": self.operator, **csr})

    @property
    def identity(self):
        return dcap_identity(self.contract, rtmrs_of(self.quote))

    def register(self, path="register", body=None, headers=None, url=None):
        return request(
            url or self.server.registry,
            "POST",
            f"/api/attested/{path}/{bare(self.contract)}",
            self.csr if body is None else body,
            {"Content-Type": "application/octet-stream", **(headers or {})},
        )


class Released:
    """A reply of the first generation."""

    def __init__(self, reply):
        assert reply.status == 200, reply
        out = json.loads(reply.body)
        self.headers = reply.headers
        self.key_pem = base64.b64decode(out["app_privkey"])
        self.key = serialization.load_pem_private_key(self.key_pem, None)
        self.certificate = x509.load_pem_x509_certificate(base64.b64decode(out["tls_cert"]))
        self.config = None if out.get("config") is None else base64.b64decode(out["config"])
        self.body = out


def put_blob(server, contract, kind, data, store="store", tenant="default"):
    """Into the app's own folder of file storage, in the seed's layout. Content id."""
    folder = server.files / tenant / bare(contract) / store / kind
    folder.mkdir(parents=True, exist_ok=True)
    name = sha256(data).hex()
    (folder / name).write_bytes(data)
    return name


def allow(contract, workload, template=None, storage="file://./store/"):
    """The owner lets the workload's identity in, with a configuration in the file storage."""
    config = put_blob(workload.server, contract.address, "configs", template) if template is not None else "00" * 32
    contract.send("setConfigForIdentity", workload.identity, bytes.fromhex(config))
    if storage and storage not in contract.call("StorageBackends"):
        contract.send("setStorageBackend", storage)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def through_proxy(server, method, path, body=None, headers=None):
    """As the proxy speaks to the server: over its unix socket."""
    connection = _UnixConnection(server.proxy.removeprefix("unix:"))
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def measured(registers, kind="qemu-tdx"):
    """The headers of the proxy. registers: number to hex."""
    return {TYPE: kind, MEASUREMENT: json.dumps({str(number): value for number, value in registers.items()})}


def deploy_at(chain, address):
    """A Registry with its owner and roles at that address: code and storage of one that was deployed elsewhere."""
    made = chain.deploy("Registry")
    tracer = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
    about = chain.rpc("debug_traceTransaction", made.receipt["transactionHash"], tracer)["post"][
        str(made.address).lower()
    ]
    chain.rpc("anvil_setCode", address, chain.rpc("eth_getCode", str(made.address), "latest"))
    for slot, value in about["storage"].items():
        chain.rpc("anvil_setStorageAt", address, slot, value)
    return chain.contract("Registry", address)
