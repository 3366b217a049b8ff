"""The key manager's contract and the chain around it: evidence in blobs, and digests that name chain and contract."""

import hashlib

import blobs4844
import pytest
from evm import Anvil, Artifact, Contract
from keymanager import Key, domain_separator, raw, typed_digest

MASTER, PAYER, NEWCOMER, SECOND = (Key(bytes([byte]) * 32) for byte in (0x46, 0x47, 0x48, 0x51))
FMSPC = bytes.fromhex("00806f050000").ljust(16, b"\0")
MRTD = bytes.fromhex("3727cf9f3eb168fed51b6c08b9ae195235bb922d3c9d7345c8f6cb616a32dd79")
HOST = "10-42-0-7.dstack.svc.cluster.local"


@pytest.fixture(scope="module")
def chain():
    # Blobs with one proof each are what chains take up to this fork.
    with Anvil("--hardfork", "prague") as node:
        yield node


@pytest.fixture
def manager(chain):
    return chain.deploy("KeyManager")


def test_keymanager_evidence_travels_in_a_blob(chain, manager):
    owner = chain.accounts[0]
    evidence_hash = hashlib.sha256(b"what the blob holds").digest()
    receipt = blobs4844.send_with_blob(manager, owner, "bootstrapWithEvidence", MASTER.address, evidence_hash, b"")
    names = [event.name for event in receipt.events]
    assert names == ["BootstrapComplete", "EvidencePosted"]
    posted = receipt.events[1].arguments
    assert posted == [MASTER.address, evidence_hash, blobs4844.VERSIONED_HASH, owner.address]
    kept = chain.rpc("anvil_getBlobsByTransactionHash", receipt["transactionHash"])
    assert [bytes.fromhex(blob[2:]) for blob in kept] == [blobs4844.BLOB]


def test_keymanager_evidence_in_both_places_is_recorded_as_both(chain, manager):
    payer = chain.accounts[1]
    manager.send("bootstrap", MASTER.address)
    quote = b"quote"
    evidence_hash, box_key = hashlib.sha256(quote).digest(), b"\x11" * 32
    separator = domain_separator(chain.chain_id, manager.address)
    digest = typed_digest(separator, "Join", NEWCOMER.address, box_key, payer.address, evidence_hash, 1)
    arguments = [NEWCOMER.address, box_key, NEWCOMER.sign(digest), evidence_hash]
    receipt = blobs4844.send_with_blob(manager, payer, "join", *arguments, quote)
    joined = receipt.events[-1].arguments
    assert joined == [NEWCOMER.address, box_key, evidence_hash, blobs4844.VERSIONED_HASH, payer.address]


def test_keymanager_known_digests_of_ours(chain):
    """The vectors of docs/formats/keymanager.md: a contract at a known address takes what signs them."""
    address, owner = "0x0123456789abcdef0123456789abcdef01234567", chain.accounts[0].address
    deployed = chain.deploy("KeyManager")
    chain.rpc("anvil_setCode", address, Artifact("KeyManager").about["deployedBytecode"])
    slots = {item["label"]: item["slot"] for item in deployed.artifact.about["storageLayout"]["variables"]}
    chain.rpc("anvil_setStorageAt", address, hex(int(slots["_owner"])), "0x" + raw(owner).rjust(32, b"\0").hex())
    manager = Contract(chain, "KeyManager", address)
    assert chain.chain_id == 31337
    separator = manager.call("domainSeparator")
    assert separator.hex() == "e85cbfd545eee8b1b686ebad6af0bb8def98384a02c1d6145be395c907089fed"

    def signed(key, name, *values):
        digest = typed_digest(separator, name, *values)
        known[name] = digest.hex()
        return key.sign(digest)

    known, box_key, response, expires = {}, b"\x11" * 32, b"\1\2\3", 4102444800
    data, evidence = bytes(31) + b"\x2a", hashlib.sha256(b"quote").digest()
    manager.send("bootstrap", MASTER.address)
    manager.send("allowMrtd", MRTD, True)
    manager.send("allowTcb", FMSPC, 17, 3)
    attestation = signed(MASTER, "Attestation", HOST, "tls", data, 1, expires)
    assert manager.call("verifyBound", HOST, "tls", data, expires, attestation) is True
    chain.impersonate(PAYER.address)
    join = signed(NEWCOMER, "Join", NEWCOMER.address, box_key, PAYER.address, evidence, 1)
    manager.send("join", NEWCOMER.address, box_key, join, evidence, b"quote", sender=PAYER.address)
    answer = signed(MASTER, "Onboard", NEWCOMER.address, FMSPC, MRTD, response, 1)
    manager.send("onboard(address,bytes16,bytes32,bytes,bytes)", NEWCOMER.address, FMSPC, MRTD, response, answer)
    manager.send("register(bytes32)", box_key)
    answer = signed(MASTER, "OnboardKey", box_key, FMSPC, MRTD, response, 1)
    manager.send("onboard(bytes32,bytes16,bytes32,bytes,bytes)", box_key, FMSPC, MRTD, response, answer)
    manager.send("resign", NEWCOMER.address, signed(NEWCOMER, "Resign", NEWCOMER.address, 1))
    manager.send("rotate", SECOND.address, signed(SECOND, "Rotation", SECOND.address, 2), evidence, b"quote")
    assert known == {
        "Attestation": "aa4df3e045a21f4859c9deb58c2d2586f43100e115fd442030e2f023e88e4b0a",
        "Join": "32fe74852c3d8ad9299e316e66f1dd9f042a013b98cdfe15b16b8096dea2247a",
        "Onboard": "c90394635ef1dd6a9562bed41592a6d1a82e748b7bbc8902982d722391273adc",
        "OnboardKey": "21ecc55c35552ee83cf1ba31ae21b8d135510f6f1dbf731029214222a205bc65",
        "Resign": "8b6c28540ca9eb3f55df1dba64a8a4e6d93cc8f9e1e0265f054747545fb177cf",
        "Rotation": "4d619d8470caa05394fda3c03b478363010329509220dc4349724b34887cc68a",
    }
