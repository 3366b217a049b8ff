"""An operator's signature: in a request that `attestry registry csr` makes, and handed to an instance that waits."""

import base64
import hashlib
import json

import abi
import pytest
import registry
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from evm import Anvil
from harness import attestry
from loopback import Handler, Loopback


@pytest.fixture(scope="module")
def node():
    with Anvil() as chain:
        yield chain


@pytest.fixture
def operator_key(node, tmp_path):
    path = tmp_path / "operator.key"
    path.write_text(node.accounts[0].key.hex())
    path.chmod(0o600)
    return path


def is_signature_of(signature, digest, private):
    """ECDSA over secp256k1 (SEC 1 4.1.4)."""
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    public = registry._multiply(int.from_bytes(private), registry.G)
    inverse = pow(s, -1, registry.N)
    point = registry._add(
        registry._multiply(int.from_bytes(digest) * inverse % registry.N, registry.G),
        registry._multiply(r * inverse % registry.N, public),
    )
    return point[0] % registry.N == r and signature[64] in (0, 1)


class Instance(Loopback):
    """An instance that waits for its operator, as the dialect's do."""

    def __init__(self, digest):
        self.posted, instance = [], self

        class Waiting(Handler):
            def do_GET(self):
                known = self.path == "/instance_pubkey"
                self.answer(digest if known else b"", 200 if known else 404)

            def do_POST(self):
                body = self.body()
                instance.posted.append((self.path, body))
                self.answer(status=200 if len(body) == 65 else 400)

        super().__init__(Waiting)


def test_registry_054_the_operator_signs_what_a_waiting_instance_shows(node, tmp_path, operator_key):
    key = registry.ec.generate_private_key(registry.ec.SECP256R1())
    digest = hashlib.sha256(registry.spki(key, serialization.Encoding.PEM)).digest()
    instance = Instance(digest)
    try:
        csr = tmp_path / "instance.csr"
        csr.write_bytes(registry.make_csr("0x" + "a9" * 20, key))
        command = ["operator", "sign-pubkey", "--instance-addr", instance.url, "--key", operator_key]
        blind = attestry(*command)
        assert (blind.code, instance.posted) == (2, []), blind
        other = tmp_path / "other.csr"
        other.write_bytes(registry.make_csr("0x" + "a9" * 20, ec.generate_private_key(ec.SECP256R1())))
        foreign = attestry(*command, "--csr", other)
        assert (foreign.code, instance.posted) == (1, []), foreign
        done = attestry(*command, "--csr", csr)
        assert done.code == 0, done
        [(path, signature)] = instance.posted
        assert path == "/pubkey_signature" and len(signature) == 65
        private = node.accounts[0].key
        assert is_signature_of(signature, digest, private)
        point = registry._multiply(int.from_bytes(private), registry.G)
        address = abi.keccak(point[0].to_bytes(32) + point[1].to_bytes(32))[12:].hex()
        assert address in done.out.lower() and digest.hex() in done.out
    finally:
        instance.stop()


def test_registry_054_an_instance_that_shows_no_digest_gets_no_signature(operator_key):
    instance = Instance(b"x" * 33)
    try:
        done = attestry("operator", "sign-pubkey", "--instance-addr", instance.url, "--key", operator_key)
        assert done.code != 0 and instance.posted == []
    finally:
        instance.stop()


def test_registry_054_the_old_variable_and_the_old_flag_of_the_key(node, tmp_path, operator_key):
    key = ec.generate_private_key(ec.SECP256R1())
    instance = Instance(hashlib.sha256(registry.spki(key, serialization.Encoding.PEM)).digest())
    try:
        csr = tmp_path / "instance.csr"
        csr.write_bytes(registry.make_csr("0x" + "a9" * 20, key))
        command = ["operator", "sign-pubkey", "--instance-addr", instance.url, "--csr", csr]
        hexadecimal = node.accounts[0].key.hex()
        told = attestry(*command, "--privkey", hexadecimal)
        assert told.code == 2 and "--key FILE" in told.err and hexadecimal not in told.err, told
        assert attestry(*command).code != 0 and instance.posted == []
        done = attestry(*command, env={"OPERATOR_PRIVKEY": hexadecimal})
        assert done.code == 0 and len(instance.posted) == 1, done
    finally:
        instance.stop()


def test_registry_csr_carries_evidence_and_the_operators_signature(node, tmp_path, operator_key):
    contract, evidence, key = "0x" + "a9" * 20, tmp_path / "td" / "quote.bin", tmp_path / "key.pem"
    base = ["registry", "csr", "--contract", contract]
    first = attestry(*base, "--key-out", key, "--out", tmp_path / "first.pem")
    assert attestry("forge", "--report-data", first.out.strip(), "--out", tmp_path / "td").code == 0
    command = [*base, "--evidence-extension", evidence, "--operator-key", operator_key, "--operator-signature", "v1"]
    done = attestry(*command, "--tls-key", key, "--out", tmp_path / "csr.pem")
    assert done.code == 0, done
    request = x509.load_pem_x509_csr((tmp_path / "csr.pem").read_bytes())
    found = {item.oid: item.value.value for item in request.extensions}
    public = request.public_key()
    spki = public.public_bytes(registry.DER, registry.SPKI)
    assert request.is_signature_valid and request.subject.rfc4514_string() == f"CN={contract[2:]}.app"
    assert bytes.fromhex(done.out) == hashlib.sha256(spki).digest() + bytes(32)
    assert found[registry.DCAP_OID] == evidence.read_bytes()
    digest = hashlib.sha256(public.public_bytes(registry.PEM, registry.SPKI)).digest()
    assert is_signature_of(found[registry.OPERATOR_OID], digest, node.accounts[0].key)
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600

    # A new key, another one, and what is no quote.
    fresh = attestry(*base, "--evidence-extension", evidence, "--key-out", tmp_path / "b.pem", "--out", tmp_path / "b")
    assert fresh.code == 1 and "the evidence was made for another key" in fresh.err and "--tls-key" in fresh.err, fresh
    (tmp_path / "text").write_text("no quote")
    none = attestry(*base, "--evidence-extension", tmp_path / "text", "--tls-key", key, "--out", tmp_path / "c")
    assert none.code == 2 and "this is no quote" in none.err, none
    assert not (tmp_path / "b").exists() and not (tmp_path / "c").exists()

    signed = attestry("operator", "sign-csr", tmp_path / "csr.pem", "--key", operator_key, "--operator-signature", "v1")
    assert signed.code == 0 and signed.json()["oid"] == registry.OPERATOR_OID.dotted_string
    assert is_signature_of(bytes.fromhex(signed.json()["value"]), digest, node.accounts[0].key)


def test_registry_csr_carries_a_token_of_a_td(tmp_path):
    contract, key, issuer = "0x" + "a9" * 20, tmp_path / "key.pem", "https://forge.simulated.attest.invalid"
    base = ["registry", "csr", "--contract", contract]
    first = attestry(*base, "--key-out", key, "--out", tmp_path / "first.pem")
    for kind in ("maa-tdxvm", "maa-azurevm-tdx"):
        forged = ["--kind", kind, "--seed", "csr", "--report-data", first.out.strip(), "--out", tmp_path / kind]
        assert attestry("forge", *forged).code == 0
    token = tmp_path / "maa-tdxvm" / "token.jwt"
    text = token.read_bytes()
    token.write_bytes(text + b"\n")
    done = attestry(*base, "--tls-key", key, "--evidence-extension", token, "--out", tmp_path / "csr.pem")
    assert done.code == 0, done
    request = x509.load_pem_x509_csr((tmp_path / "csr.pem").read_bytes())
    assert {item.oid: item.value.value for item in request.extensions} == {registry.MAA_OID: text}

    guest = tmp_path / "maa-azurevm-tdx" / "token.jwt"
    refused = attestry(*base, "--tls-key", key, "--evidence-extension", guest, "--out", tmp_path / "b")
    assert refused.code == 2 and "a token of type tdxvm" in refused.err and "azurevm" in refused.err, refused
    other = attestry(*base, "--key-out", tmp_path / "c.pem", "--evidence-extension", token, "--out", tmp_path / "c")
    assert other.code == 1 and "the evidence was made for another key" in other.err, other

    # What its owner allows: the identity that the TD's quote has. There is no other one.
    said = ["--contract", contract, "--chain-id", "31337", "--offline", "--format", "json", "--issuer", issuer]
    keys = ["--jwks", f"{issuer}={token.parent / 'jwks.json'}"]
    told = attestry("registry", "identity", token, *said, *keys)
    assert told.code == 0, told
    body = text.split(b".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
    registers = [bytes.fromhex(claims[f"tdx_rtmr{number}"]) for number in range(3)]
    assert told.json()["identity"] == registry.dcap_identity(contract, registers).hex()
    assert told.json()["extended"] is None
    guests = attestry("registry", "identity", guest, *said, "--jwks", f"{issuer}={guest.parent / 'jwks.json'}")
    assert guests.code != 0 and "a token of type azurevm" in guests.err, guests
