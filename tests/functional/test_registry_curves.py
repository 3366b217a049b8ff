"""Keys on P-521, which the first servers took for admins and for whoever something is encrypted to. The other side is
OpenSSL by way of cryptography, and arithmetic written here."""

import base64
import hashlib
import json
import os
import secrets

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from harness import attestry, request
from registry import ecies_open, ecies_seal, spki
from registry_admin import (
    Admin,
    combine,
    commitment,
    commitments,
    derived_spki,
    files_of,
    pki,
    served_spki,
    start_registry,
    status,
    write_admins,
)

P521_ORDER = int("01" + "ff" * 32 + "fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409", 16)
V1 = {"registry.admin_v1": "true"}
PEM = serialization.Encoding.PEM


def sign_raw(key, digest):
    """ECDSA over bytes that are no hash, as the first clients sign a share: SEC 1 4.1.3 by hand."""
    nonce = secrets.randbelow(P521_ORDER - 1) + 1
    r = ec.derive_private_key(nonce, key.curve).public_key().public_numbers().x % P521_ORDER
    z = int.from_bytes(digest)  # 33 bytes are fewer bits than the order has
    s = pow(nonce, -1, P521_ORDER) * (z + r * key.private_numbers().private_value) % P521_ORDER
    return encode_dss_signature(r, s)


@pytest.fixture
def admins():
    return [Admin(ec.SECP521R1()) for _ in range(2)] + [Admin()]


@pytest.fixture
def start(tmp_path, admins):
    running = []
    file = write_admins(tmp_path / "admins.json", admins)

    def starter(**settings):
        if running and running[-1].running:
            running[-1].kill()
        running.append(start_registry(tmp_path / "data", file, **settings))
        return running[-1]

    yield starter
    assert not running[-1].running or running[-1].terminate() == 0, running[-1].output


def generate_and_fetch(server, admins):
    assert admins[0].post(server, "/admin/init/generate").status == 200
    return dict(admin.fetch(server) for admin in admins)


def test_registry_038_admins_on_p521_hold_shares(start, admins):
    """The wire of the first version: their requests, the blobs that they open, and both signatures of a share."""
    server = start(**V1)
    shares = generate_and_fetch(server, admins)
    assert status(server) == {"state": "complete"}
    said = commitments(server)
    set_id = bytes.fromhex(said["set_id"])
    for index, share in shares.items():
        assert commitment("share", set_id, share) == said["shares"][index]["commitment"]
    before = served_spki(pki(server))
    assert before[1] == derived_spki(combine([shares[0], shares[1]]), "app")

    server = start(**V1)
    assert admins[1].post(server, "/admin/init/recover").status == 200
    share = shares[0]
    signed = {"share_index": 0, "share": base64.b64encode(share).decode()}

    def submit(signature, who=admins[0]):
        return who.post(server, "/admin/share", {**signed, "signature": base64.b64encode(signature).decode()})

    bad = "Share submission failed: invalid signature\n"
    moved = share[:-1] + bytes([share[-1] ^ 1])
    assert submit(sign_raw(admins[0].key, moved)).text == bad, "the x byte counts here"
    assert submit(sign_raw(admins[1].key, share)).text == bad
    assert submit(admins[2].sign_digest(share[:32])).text == bad, "a signature on another curve"
    assert submit(sign_raw(admins[0].key, share)).json()["message"] == "Share accepted, waiting for more shares"
    done = admins[1].submit(server, 1, shares[1], digest=hashlib.sha256(shares[1]).digest())
    assert done.json()["message"] == "KMS unlocked successfully - recovery complete", done
    assert served_spki(pki(server)) == before


def test_registry_037_requests_of_admins_on_p521(start, admins):
    server = start(**V1)
    admin, path = admins[0], "/admin/init/generate"
    stranger = Admin(ec.SECP521R1())

    def post(headers):
        return request(server.bootstrap, "POST", path, body=b"", headers=headers).status

    good = admin.headers_v1(path)
    signature = base64.b64decode(good["X-Admin-Signature"])
    assert post({**stranger.headers_v1(path), "X-Admin-ID": admin.id}) == 401
    assert post({**admins[2].headers_v1(path), "X-Admin-ID": admin.id}) == 401, "signed on P-256"
    assert post({**good, "X-Admin-ID": admins[2].id}) == 401
    for wrong in (signature[:-1], signature + b"\0", signature[:-1] + bytes([signature[-1] ^ 1]), b""):
        assert post({**good, "X-Admin-Signature": base64.b64encode(wrong).decode()}) == 401
    assert stranger.call_v2(server, "POST", path).status == 401
    assert admin.call_v2(server, "POST", path).status == 200


@pytest.mark.parametrize("dialect", [[], ["--seed-dialect"]], ids=["v2", "v1"])
def test_registry_053_admin_command_line_on_three_curves(tmp_path, dialect):
    curves = {"p256": ec.SECP256R1, "p384": ec.SECP384R1, "p521": ec.SECP521R1}
    folders = [tmp_path / name for name in curves]
    for folder, curve in zip(folders, curves.values(), strict=True):
        folder.mkdir()
        done = attestry("admin", "generate-admin", "--curve", folder.name, *files_of(folder))
        assert done.code == 0, done
        key = serialization.load_pem_private_key((folder / "admin-private.pem").read_bytes(), None)
        assert isinstance(key.curve, curve)
        assert spki(key, PEM) == (folder / "admin-public.pem").read_bytes()
    for wrong in ("p224", "P-521"):
        done = attestry("admin", "generate-admin", "--curve", wrong, *files_of(tmp_path))
        assert done.code == 2 and "--curve" in done.err, done
    publics = ",".join(str(folder / "admin-public.pem") for folder in folders)
    config = tmp_path / "admins.json"
    made = attestry("admin", "generate-config", "--admin-pubkey-files", publics, "--shamir-admins-file", config)
    assert made.code == 0, made
    settings = V1 if dialect else {}
    server = start_registry(tmp_path / "data", config, **settings)

    def admin(who, command):
        return attestry("admin", "--server", server.bootstrap, *dialect, *files_of(folders[who]), command)

    assert admin(2, "init-generate").code == 0
    for who in range(3):
        done = admin(who, "fetch-share")
        assert done.code == 0, done
    assert status(server) == {"state": "complete"}
    before = served_spki(pki(server))
    server.kill()
    server = start_registry(tmp_path / "data", config, **settings)
    try:
        assert admin(2, "init-recovery").code == 0
        assert "waiting" in admin(1, "submit-share").out
        assert "unlocked" in admin(2, "submit-share").out
        assert served_spki(pki(server)) == before
    finally:
        assert server.terminate() == 0, server.output


def test_registry_053_ceremony_on_p521(tmp_path):
    folder = tmp_path / "ceremony"
    command = ["admin", "ceremony", "--folder", folder, "--yes", "--curve", "p521", "--server"]
    assert attestry(*command, "http://127.0.0.1:1").code == 3, "no server yet"
    for one in json.loads((folder / "shamir-admins.json").read_text())["admins"]:
        assert serialization.load_pem_public_key(one["pubkey"].encode()).key_size == 521
    server = start_registry(tmp_path / "data", folder / "shamir-admins.json")
    try:
        done = attestry(*command, server.bootstrap)
        assert done.code == 0 and "3 choices of 2 shares tried, each gives the key" in done.out, done
    finally:
        assert server.terminate() == 0, server.output


def test_registry_021_secrets_to_keys_on_p521(tmp_path):
    key, other = (ec.generate_private_key(ec.SECP521R1()) for _ in range(2))
    files = {}
    for name, one in (("key", key), ("other", other), ("p256", ec.generate_private_key(ec.SECP256R1()))):
        files[name] = tmp_path / f"{name}.pem"
        form, none = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        files[name].write_bytes(one.private_bytes(PEM, form, none))
    public = tmp_path / "public.pem"
    public.write_bytes(spki(key, PEM))
    (tmp_path / "secrets").mkdir()

    def render(blob, name="key"):
        id_ = hashlib.sha256(blob).hexdigest()
        (tmp_path / "secrets" / id_).write_bytes(blob)
        command = ["template", "render", "-", "--content", tmp_path, "--key", files[name]]
        return attestry(*command, stdin=b"__SECRET_REF_" + id_.encode())

    for number in range(6):  # every second x has a leading zero byte
        text = os.urandom(8 + number).hex().encode()
        assert render(ecies_seal(key.public_key(), text)).out.encode() == text
        done = attestry("secret", "seal", "-", "--app", public, "--content", tmp_path, stdin=text)
        assert done.code == 0, done
        blob = (tmp_path / "secrets" / done.out.strip().removeprefix("__SECRET_REF_")).read_bytes()
        assert len(blob) == len(text) + 163 and blob[:3] == b"\0\x85\4"
        assert ecies_open(key, blob) == text
    for name in ("other", "p256"):
        assert "failed to decrypt secret" in render(blob, name).err
    for wrong in (
        blob[:134] + bytes([blob[134] ^ 1]) + blob[135:],  # off the curve
        b"\0\x43" + bytes([2 + (blob[134] & 1)]) + blob[3:69] + blob[135:],  # compressed
        b"\0\x84\4" + blob[4:],  # without the coordinate's leading byte
        blob[:-1],
    ):
        done = render(wrong)
        assert done.code != 0 and done.out == "" and "failed to decrypt secret" in done.err, done


def test_registry_secrets_of_the_second_version_to_p521(tmp_path):
    key = ec.generate_private_key(ec.SECP521R1())
    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(PEM, form, none))
    public.write_bytes(spki(key, PEM))
    address = "0x0123456789abcdef0123456789abcdef01234567"
    seal = ["secret", "seal", "-", "--app", public, "--content", tmp_path, "--format-version", "2"]
    done = attestry(*seal, "--contract", address, stdin=b"canary")
    assert done.code == 0, done
    blob = (tmp_path / "secrets" / done.out.strip().removeprefix("__SECRET_REF_")).read_bytes()
    assert blob[:6] == b"ATE2\3\4" and len(blob) == 6 + 154
    render = ["template", "render", "-", "--content", tmp_path, "--key", private]
    assert attestry(*render, "--app", address, stdin=done.out.strip().encode()).out == "canary"


def test_registry_requests_signed_on_p521(tmp_path):
    """What signs here is verified by OpenSSL."""
    key = ec.generate_private_key(ec.SECP521R1())
    private = tmp_path / "key.pem"
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(PEM, form, none))
    out = tmp_path / "csr.pem"
    contract = ["--contract", "0x0123456789abcdef0123456789abcdef01234567"]
    done = attestry("registry", "csr", *contract, "--tls-key", private, "--out", out)
    assert done.code == 0, done
    made = x509.load_pem_x509_csr(out.read_bytes())
    assert made.is_signature_valid and made.signature_hash_algorithm.name == "sha512"
    assert made.public_key() == key.public_key()
