"""Secrets that somebody else encrypted, and requests that somebody else signed: rows 21 and 22, flaws 7 and 9. The other
side is written here from docs/formats/registry.md."""

import concurrent.futures
import hashlib
import os
import time

import abi
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from evm import Anvil
from harness import attestry, request
from registry import (
    Released,
    allow,
    bare,
    deploy_at,
    ecies_open,
    make_csr,
    measured,
    operator_extension,
    put_blob,
    raw_address,
    sha256,
    sign_recoverable,
    spki,
    start_registry,
    through_proxy,
)
from storage import Authority

# Known answers of docs/formats/registry.md: this master, this contract, and with them the app's key.
MASTER = bytes(range(32))
VECTOR = "0x0123456789abcdef0123456789abcdef01234567"
APP_SCALAR = 0xBF087AC8C373106FE7CC3D311681EF19A0EF300A6A12A69A8E3995C5E79BC33A
APP_KEY = ec.derive_private_key(APP_SCALAR, ec.SECP256R1())
NONCE = bytes(range(12))
TEXT = b"hello secret"
REGISTERS = {0: "aa" * 48, **{number: bytes([number]).hex() * 48 for number in (1, 2, 3)}}


def shared_x(scalar):
    return ec.derive_private_key(scalar, ec.SECP256R1()).exchange(ec.ECDH(), APP_KEY.public_key())


def encrypt(text, scalar, nonce=NONCE):
    """Version 1 of the encryption to the app's key, with that ephemeral scalar."""
    point = (
        ec.derive_private_key(scalar, ec.SECP256R1())
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )
    key = sha256(shared_x(scalar).lstrip(b"\0"))
    return len(point).to_bytes(2) + point + nonce + AESGCM(key).encrypt(nonce, text, None)


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


def started(folder, chain, **settings):
    master = folder / "master"
    master.write_text(MASTER.hex() + "\n")
    more = {"registry.kms": "simple", "registry.master": master, "registry.proxy_listen": f"unix:{folder}/proxy.sock"}
    return start_registry(folder / "data", chain, **more, **settings)


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain):
    running = started(tmp_path_factory.mktemp("secrets"), chain)
    yield running
    assert running.terminate() == 0, running.output


class Vouched:
    """A workload that a proxy vouches for."""

    def __init__(self, server, contract, operator=None, key=None):
        self.server, self.contract = server, contract
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.csr = make_csr(contract.address, self.key, operator=operator)
        registers = b"".join(bytes.fromhex(REGISTERS[number]) for number in (1, 2, 3))
        self.identity = abi.keccak(raw_address(contract.address) + registers)

    def register(self):
        path = f"/api/attested/register/{bare(self.contract.address)}"
        return through_proxy(self.server, "POST", path, self.csr, measured(REGISTERS))


@pytest.fixture(scope="module")
def vector(chain):
    return deploy_at(chain, VECTOR)


@pytest.fixture
def register(server, chain, vector):
    """What a workload gets for a template with these secrets, as they are stored."""

    def run(*blobs):
        key = ec.generate_private_key(ec.SECP256R1())
        workload = Vouched(server, vector, operator_extension(key, chain.accounts[0].key), key)
        ids = [put_blob(server, VECTOR, "secrets", blob) for blob in blobs]
        allow(vector, workload, "|".join(f"__SECRET_REF_{one}" for one in ids).encode())
        return workload.register()

    return run


# -- row 21


def test_registry_021_the_known_blobs_open(register):
    stripped, plain = encrypt(TEXT, 32), encrypt(TEXT, 12345)
    assert shared_x(32)[0] == 0 and shared_x(12345)[0] != 0
    assert stripped[79:].hex() == "03e316b3bd72b7f4542ca900a975de4bf6d54268b9c46dc2c2fa10f6"
    assert Released(register(stripped, plain)).config == TEXT + b"|" + TEXT


def test_registry_021_what_others_encrypt_opens_here(register):
    """Among them some whose shared x begins with zero bytes, which one in 256 does."""
    stripped = [scalar for scalar in range(2, 2000) if shared_x(scalar)[0] == 0]
    assert len(stripped) > 2
    texts = [os.urandom(1 + number % 64).hex().encode() for number in range(200)]
    blobs = [
        encrypt(text, stripped[number % len(stripped)] if number % 8 == 0 else 10_000 + number, os.urandom(12))
        for number, text in enumerate(texts)
    ]
    assert Released(register(*blobs)).config == b"|".join(texts)


def test_registry_021_what_is_encrypted_here_opens_elsewhere(tmp_path):
    key = tmp_path / "app.pem"
    key.write_bytes(spki(APP_KEY, serialization.Encoding.PEM))

    def seal(number):
        text = os.urandom(number)
        command = ["secret", "seal", "-", "--app", key, "--content", tmp_path]
        done = attestry(*command, stdin=text)
        assert done.code == 0, done
        name = done.out.strip().removeprefix("__SECRET_REF_")
        blob = (tmp_path / "secrets" / name).read_bytes()
        assert (name, len(blob)) == (hashlib.sha256(blob).hexdigest(), number + 95)
        return ecies_open(APP_KEY, blob) == text

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert all(pool.map(seal, [0, 1, 15, 16, 17, 1000, 65536]))


def test_registry_021_every_changed_byte_is_noticed(tmp_path):
    key = tmp_path / "app-key.pem"
    pem, form, none = serialization.Encoding.PEM, serialization.PrivateFormat, serialization.NoEncryption()
    key.write_bytes(APP_KEY.private_bytes(pem, form.TraditionalOpenSSL, none))
    (tmp_path / "secrets").mkdir()
    blob = encrypt(b"canary", 77)

    def render(changed):
        name = hashlib.sha256(changed).hexdigest()
        (tmp_path / "secrets" / name).write_bytes(changed)
        command = ["template", "render", "-", "--content", tmp_path, "--key", key]
        return attestry(*command, stdin=b"__SECRET_REF_" + name.encode())

    assert render(blob).out == "canary"
    changes = [blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :] for place in range(len(blob))]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in pool.map(render, changes):
            assert done.code != 0 and done.out == "" and "failed to decrypt secret" in done.err, done


# -- row 22

GOOD = encrypt(TEXT, 12345)
MALFORMED = {
    "nothing": b"",
    "one byte": b"\0",
    "a length only": GOOD[:2],
    "E = 0xFFFF": b"\xff\xff" + GOOD[2:],
    "E that wraps in 16 bits": b"\xff\xf2" + GOOD[2:],
    "E = 0": b"\0\0" + GOOD[2:],
    "cut in the point": GOOD[:40],
    "cut in the nonce": GOOD[:70],
    "cut in the tag": GOOD[:-1],
    "no text and no tag": GOOD[:79],
    "off the curve": GOOD[:66] + bytes([GOOD[66] ^ 1]) + GOOD[67:],
    "the point at infinity": b"\0\1\0" + GOOD[67:],
    "compressed": b"\0\x21" + bytes([2 + (GOOD[66] & 1)]) + GOOD[3:35] + GOOD[67:],
    "hybrid": GOOD[:2] + bytes([6 + (GOOD[66] & 1)]) + GOOD[3:],
}


@pytest.mark.parametrize("what", MALFORMED)
def test_registry_022_malformed_blobs_are_errors(server, register, what):
    blob = MALFORMED[what]
    reply = register(blob)
    assert reply.status == 500
    assert f"failed to decrypt secret {hashlib.sha256(blob).hexdigest()}" in reply.text
    assert request(server.registry, "GET", "/livez").status == 200
    assert Released(register(GOOD)).config == TEXT


# -- flaw 7: a client of a server that nobody has verified


def test_registry_flaw_07_no_client_talks_to_a_server_that_it_cannot_verify(tmp_path, chain):
    contract = chain.deploy("Registry")
    running = started(tmp_path, chain, **{"tls.mode": "auto"})
    url, ours = running.registry, running.data / "tls.pem"
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(Authority("a stranger").pem)
    app_scalar = int.from_bytes(sha256(MASTER + raw_address(contract.address) + b"app"))
    fingerprint = sha256(spki(ec.derive_private_key(app_scalar, ec.SECP256R1()))).hex()
    key = tmp_path / "owner.key"
    key.touch(mode=0o600)
    key.write_text(chain.accounts[0].key.hex())
    (tmp_path / "workload.csr").write_bytes(make_csr(contract.address, APP_KEY))
    commands = {
        "seal": ["secret", "seal", "-", "--app", contract.address, "--server", url, "--fingerprint", fingerprint],
        "publish": [
            *["registry", "publish-pki", "--server", url, "--unverified", "--contract", contract.address],
            *["--rpc", chain.url, "--chain-id", chain.chain_id, "--key", key],
        ],
        "sign": ["operator", "sign-pubkey", "--instance-addr", url, "--key", key, "--csr", tmp_path / "workload.csr"],
    }
    try:
        for command in commands.values():
            for trusted in ([], ["--ca", stranger]):
                refused = attestry(*command, *trusted, stdin=b"canary", cwd=tmp_path)
                assert refused.code != 0 and "certificate" in refused.err, refused
        assert not (tmp_path / "secrets").exists() and contract.call("PKI")[0] == b""
        # The same with the right one goes through, as far as there is somebody to talk to.
        for name in ("seal", "publish"):
            done = attestry(*commands[name], "--ca", ours, stdin=b"canary", cwd=tmp_path)
            assert done.code == 0, done
    finally:
        assert running.terminate() == 0, running.output


# -- flaw 9: what an operator's signature is bound to

DOMAIN = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
STATEMENT = b"InstanceKey(bytes32 keySha256,string use,uint64 notBefore,uint64 notAfter)"


def signed_statement(key, operator, chain_id, contract, use=b"instance", begins=-60, ends=600, says=None):
    """Version 2 of an operator's signature. says: what stands there, where that is not what was signed."""
    now = int(time.time())
    said = {"chain_id": chain_id, "contract": contract, "use": use, "begins": now + begins, "ends": now + ends}
    domain = abi.keccak(
        abi.keccak(DOMAIN)
        + abi.keccak(b"attestry")
        + abi.keccak(b"1")
        + chain_id.to_bytes(32)
        + bytes(12)
        + raw_address(contract)
    )
    statement = abi.keccak(
        abi.keccak(STATEMENT)
        + sha256(spki(key))
        + abi.keccak(use)
        + said["begins"].to_bytes(32)
        + said["ends"].to_bytes(32)
    )
    signature = sign_recoverable(operator, abi.keccak(b"\x19\x01" + domain + statement))
    said |= says or {}
    return (
        b"ATO2"
        + said["chain_id"].to_bytes(8)
        + raw_address(said["contract"])
        + len(said["use"]).to_bytes(4)
        + said["use"]
        + said["begins"].to_bytes(8)
        + said["ends"].to_bytes(8)
        + signature
    )


@pytest.fixture(scope="module")
def strict(tmp_path_factory, chain):
    running = started(tmp_path_factory.mktemp("strict"), chain, **{"registry.operator_signature": "v2"})
    yield running
    assert running.terminate() == 0, running.output


def test_registry_flaw_09_a_signature_is_bound_to_key_contract_chain_use_and_time(strict, chain):
    contract, other = chain.deploy("Registry"), chain.deploy("Registry")
    operator, chain_id, here = chain.accounts[0].key, chain.chain_id, contract.address
    key, stranger = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    allow(contract, Vouched(strict, contract), b"listen = 1")

    def answer(extension):
        return Vouched(strict, contract, extension, key).register()

    def signed(*arguments, **changes):
        return answer(signed_statement(*arguments, **changes))

    assert Released(signed(key, operator, chain_id, here)).config == b"listen = 1"
    refused = {
        "version 1, for ever": answer(operator_extension(key, operator)),
        "no signature": answer(None),
        "another key": signed(stranger, operator, chain_id, here),
        "another contract": signed(key, operator, chain_id, other.address),
        "another contract, hidden": signed(key, operator, chain_id, other.address, says={"contract": here}),
        "another chain": signed(key, operator, chain_id + 1, here),
        "another chain, hidden": signed(key, operator, chain_id + 1, here, says={"chain_id": chain_id}),
        "another use": signed(key, operator, chain_id, here, use=b"onboard"),
        "another use, hidden": signed(key, operator, chain_id, here, use=b"onboard", says={"use": b"instance"}),
        "too late": signed(key, operator, chain_id, here, begins=-3600, ends=-600),
        "too early": signed(key, operator, chain_id, here, begins=3600, ends=7200),
        "for more than a day": signed(key, operator, chain_id, here, ends=2 * 86400),
    }
    for what, reply in refused.items():
        assert reply.status in (400, 403), (what, reply)
        assert "operator" in reply.text.lower(), (what, reply)
