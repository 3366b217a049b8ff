"""The key manager's contract on a real chain: the known interface of both generations with the vectors of their formats,
what is refused that the originals took, and what ours add."""

import hashlib

import abi
import pytest
from evm import ZERO, Anvil, Artifact, Reverted
from keymanager import (
    Key,
    attest_digest,
    domain_separator,
    named_digest,
    onboard_digest,
    raw,
    register_digest,
    seed_onboard_digest,
    typed_digest,
)
from registry import N
from registry_model import ADMIN, GUARDIAN, INSTANCE, METADATA, OPERATOR, no_role

NAMED, TAGGED = "verify(string,bytes32,bytes)", "verify(bytes32,bytes)"
REGISTER, REGISTER_KEY = "register(address,bytes)", "register(bytes32)"
ONBOARD = "onboard(address,bytes16,bytes32,bytes,bytes)"
ONBOARD_KEY = "onboard(bytes32,bytes16,bytes32,bytes,bytes)"
NOT_YET, REQUESTED, ONBOARDED, REJECTED = range(4)

# The vectors' keys: the master, a payer, a newcomer.
MASTER, PAYER, NEWCOMER = (Key(bytes([byte]) * 32) for byte in (0x46, 0x47, 0x48))
SECOND = Key(b"\x51" * 32)  # the master of the next epoch
HOST = "10-42-0-7.dstack.svc.cluster.local"
DATA = bytes(31) + b"\x2a"
NAMED_SIGNATURE = bytes.fromhex(
    "1bad1445428eae884b23a7c70cb4449aea49cb754a5c3ac7d44adfa9dd6f9817042a15510f93a87539b030ca81261a127b4b06f010cc60151f"
    "ff98a83418a5e0b9"
)
TAGGED_DATA = bytes.fromhex("d5cbe6033ff715478ef9a8c0ec142950080b0a64adc687086c72433a5e76149a")
TAGGED_SIGNATURE = bytes.fromhex(
    "1cb01492701a3a36a4997c02772cf57e10ed5d3e1bf61351493b8793859dc5135e7adcad5993ae4d05cde18d421863cd9cf8f1b186a8db32aa"
    "0bcfa940ac26d9b3"
)
MRTD = bytes.fromhex("3727cf9f3eb168fed51b6c08b9ae195235bb922d3c9d7345c8f6cb616a32dd79")
FMSPC = bytes.fromhex("00806f050000").ljust(16, b"\0")
RESPONSE = bytes.fromhex(
    "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c5178fe697e64a22ec2647bb854b67efd9f032f0cc5594f2f9e"
    "b11040fd488613b4a1d0966d5b0ec1afefe5ced4b413bf"
)
ONBOARD_SIGNATURE = bytes.fromhex(
    "1ba408ba6c4b25271562c4afaeb525db74e5f14f3c26b606b13c83607d7df975ff31c78dca9706e0007e3880ac2a0092231443e4807de60668"
    "b570e1af2cd065d6"
)
BOX_KEY = b"\x11" * 32
QUOTE = b"quote" * 1000
QUOTE_HASH = hashlib.sha256(QUOTE).digest()

SELECTORS = """
xPub() d5956cea  verify(string,bytes32,bytes) aebb4e2a  bootstrap(address) 0784dd59  register(bytes32) e1fa8e84
onboard(bytes32,bytes16,bytes32,bytes,bytes) fcca5344
verify(bytes32,bytes) 258ae582  register(address,bytes) 24b8fbf6  register_appdata(address) eb4a7269
onboard_appdata(address,bytes16,bytes32,bytes) 737c2ee4  onboard(address,bytes16,bytes32,bytes,bytes) 50f6efbd
container() 90e534a7  set_container(string) 192845e8  registry(address) 038defd7  requested(address) eecf0b4f
set_mrtd(bytes32,bytes,bytes,bytes,bool) 991ad4d1  get_mrtd(bytes32,bytes,bytes,bytes) 438c24e1
verifyAttestation(string,bytes32,bytes) 2943fb83
"""
TOPICS = {
    "BootstrapComplete(address)": "e1e8c16707ac4e99c63f15f537b1008f9639111448afe49aa57ecbf43b89c686",
    "Onboard(bytes32,bytes)": "150daec131d26a1965bb658f2e9a0e58f414f7357e381462427a1e683952a779",
    "Requested(address)": "039f711c9c18dd815b225b1424855e6118e746c6b5d688907f10c4dd29ebe92a",
    "Onboarded(address,bytes16,bytes32,bytes)": "6f8f2b7dd81ba32e0b386d56e94ba8a77abed5fa8aae76905804e1c6726bdfce",
    "ContainerChanged(string)": "ebf8c0d47c474346835eae78aff5aff39a35f60b7e32dc80f79b1c0e542355fb",
}


@pytest.fixture(scope="module")
def node():
    with Anvil() as chain:
        yield chain


@pytest.fixture
def chain(node):
    """The chain, put back afterwards as it was."""
    before = node.snapshot()
    yield node
    node.revert(before)


@pytest.fixture
def fresh(chain):
    return chain.deploy("KeyManager")


@pytest.fixture
def manager(fresh):
    """With the vectors' master key and platform."""
    fresh.send("bootstrap", MASTER.address)
    fresh.send("allowMrtd", MRTD, True)
    fresh.send("allowTcb", FMSPC, 17, 3)
    return fresh


@pytest.fixture
def owner(chain):
    return chain.accounts[0].address


@pytest.fixture
def other(chain):
    return chain.accounts[1].address


def refusal(call, *arguments, **options):
    """Why the contract refuses that."""
    with pytest.raises(Reverted) as caught:
        call(*arguments, **options)
    return caught.value.reason


def not_owner(account):
    return f"OwnableUnauthorizedAccount({account})"


def events(receipt):
    return [(event.name, *event.arguments) for event in receipt.events]


def typed(contract, name, *values, chain_id=None):
    separator = domain_separator(chain_id or contract.chain.chain_id, contract.address)
    return typed_digest(separator, name, *values)


def request(contract, member=NEWCOMER):
    """Sent by the first account, as everything here that names no sender."""
    payer = contract.chain.accounts[0].address
    return contract.send(REGISTER, member.address, member.sign(register_digest(payer)))


def onboarding(contract, member=NEWCOMER, signer=MASTER, epoch=1, fmspc=FMSPC, measurement=MRTD, response=RESPONSE):
    """Arguments that the contract takes."""
    digest = typed(contract, "Onboard", member.address, fmspc, measurement, response, epoch)
    return [member.address, fmspc, measurement, response, signer.sign(digest)]


def joining(contract, member=NEWCOMER, payer=None, epoch=1, box_key=BOX_KEY, evidence=QUOTE_HASH):
    payer = payer or contract.chain.accounts[0].address
    signature = member.sign(typed(contract, "Join", member.address, box_key, payer, evidence, epoch))
    return [member.address, box_key, signature, evidence]


def rotation(contract, key=SECOND, epoch=2):
    return [key.address, key.sign(typed(contract, "Rotation", key.address, epoch)), QUOTE_HASH, QUOTE]


# The interface as clients have it compiled in


def test_keymanager_selectors_are_the_known_ones():
    words = SELECTORS.split()
    known = dict(zip(words[::2], words[1::2], strict=True))
    artifact = Artifact("KeyManager")
    ours = {entry.signature: entry.selector.hex() for entry in artifact.functions.values()}
    assert {signature: ours.get(signature) for signature in known} == known
    assert artifact.about["selectors"] == ours


def test_keymanager_events_have_the_known_topics_and_shapes():
    ours = {entry.signature: entry for entry in Artifact("KeyManager").events}
    assert {signature: ours[signature].topic.hex() for signature in TOPICS} == TOPICS
    assert ours["Requested(address)"].indexed == [True]
    assert ours["Onboarded(address,bytes16,bytes32,bytes)"].indexed == [True, False, False, False]
    for signature in ("BootstrapComplete(address)", "Onboard(bytes32,bytes)", "ContainerChanged(string)"):
        assert not any(ours[signature].indexed)


def test_keymanager_the_code_on_chain_is_the_artifact(chain, fresh):
    assert chain.rpc("eth_getCode", fresh.address, "latest") == fresh.artifact.about["deployedBytecode"]


def test_keymanager_no_fallback_and_no_ether(chain, fresh):
    for call in (b"", bytes.fromhex("deadbeef")):
        with pytest.raises(Reverted):
            chain.eth_call(fresh.address, call)
    for data in (b"", fresh.calldata("bootstrap", MASTER.address)):
        with pytest.raises(Reverted):
            chain.send(fresh.address, data, value=hex(1))


def test_keymanager_the_deployer_is_owner_and_nothing_else(fresh, owner, other):
    assert fresh.call("owner") == owner
    for role in (OPERATOR, METADATA, INSTANCE, GUARDIAN):
        assert fresh.call("hasRole", role, owner) is False
    assert fresh.call("hasRole", ADMIN, owner) is True
    assert fresh.call("hasRole", ADMIN, other) is False


# The vectors of both generations


def test_keymanager_first_generation_signatures_verify(manager):
    assert MASTER.address == "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"
    assert named_digest(HOST, DATA).hex() == "8bfdb93a73e70f2bc78bca09566e064716e177e5920ecf9f69ec5aea36f6c331"
    for function in (NAMED, "verifyAttestation"):
        assert manager.call(function, HOST, DATA, NAMED_SIGNATURE) is True
        assert manager.call(function, HOST + "x", DATA, NAMED_SIGNATURE) is False
        assert manager.call(function, HOST, DATA[:31] + b"\x2b", NAMED_SIGNATURE) is False


def test_keymanager_first_generation_test_wallet(fresh):
    key = Key(abi.keccak(b"masterkey"))
    assert key.address == "0x283a0e93fe2b77e60f278b1cdc0ad1aa8e0acdba"
    signature = bytes.fromhex(
        "1c383c6908ece59ba9e486c68c0b7b79ecd448f8d150f38d45ceda0a87ee35fc3179cc0759e3552cadbdbf785bb9295263278ee296f614"
        "6c1a679cf99f98e231a4"
    )
    data = b"0xcafe".ljust(32, b"\0")
    assert named_digest("dstack", data).hex() == "e175c8b6b70be0e9e8e9b18952a00f3add3fe3984ae84f9882d42a2ba70a3a68"
    fresh.send("bootstrap", key.address)
    assert fresh.call(NAMED, "dstack", data, signature) is True


def test_keymanager_the_signature_that_the_seeds_service_emits_never_verifies(manager):
    """It signs another digest (EIP-191 over a doubled SHA-256) and writes r || s || v."""
    emitted = bytes.fromhex(
        "2b77174d0f483e1af8678d248c89725cc4b06ad12cda5f2fbf3270069909fd971030d33878cc31de48c25443946d77d45014377346e9c2"
        "8850ab979bbc41beec1b"
    )
    for signature in (emitted, emitted[64:] + emitted[:64]):
        assert manager.call(NAMED, HOST, DATA, signature) is False
    assert manager.call(NAMED, HOST, DATA, NAMED_SIGNATURE[1:] + NAMED_SIGNATURE[:1]) is False, "the order counts"


def test_keymanager_second_generation_signatures_verify(manager):
    assert attest_digest(TAGGED_DATA).hex() == "ad703ea2ae917ba810534508858d66a2562b4da2cc5938a06714c398a1f42ca4"
    assert manager.call(TAGGED, TAGGED_DATA, TAGGED_SIGNATURE) is True
    assert manager.call(TAGGED, DATA, TAGGED_SIGNATURE) is False


def test_keymanager_second_generation_register_vector(manager, chain):
    assert PAYER.address == "0xb595b18c88b1f651ca387489067f855b5c8e6720"
    digest = manager.call("register_appdata", PAYER.address)
    assert digest.hex() == "708cfc18d6833efa1d30e844b83695cb894fa3488645c42a87e64b8bf2992d27"
    signature = bytes.fromhex(
        "1bf5152409c69158ff821d7f9017d4561b310ada055d8dfbdac8521c6b433541fb02a2dfdf79141ef5eb1cc62dce99f236e5582a37c0c6"
        "43f3151e58df092a1517"
    )
    chain.impersonate(PAYER.address)
    happened = events(manager.send(REGISTER, NEWCOMER.address, signature, sender=PAYER.address))
    assert happened == [("Requested", "0x1999bec693cfc3ffa9727070f9e2b8091ec563bf")]
    assert manager.call("requested", NEWCOMER.address) == REQUESTED
    foundry = manager.call("register_appdata", "0x7FA9385bE102ac3EAc297483Dd6233D62b3e1496")
    assert foundry.hex() == "5fe9ce1adfde1233a07b5fb9c9597cbafdfe67bcaaaf3300edeb53772a2af29c"


def test_keymanager_second_generation_onboard_vector(manager):
    digest = manager.call("onboard_appdata", NEWCOMER.address, FMSPC, MRTD, RESPONSE)
    assert digest.hex() == "26842a9a9aad8b7516bdc4f65db5d3e3db3777bd8255a7a4bd74d64799bea3f6"
    assert digest == onboard_digest(NEWCOMER.address, FMSPC, MRTD, RESPONSE)
    request(manager)
    manager.send("setUnboundOnboarding", True)
    happened = events(manager.send(ONBOARD, NEWCOMER.address, FMSPC, MRTD, RESPONSE, ONBOARD_SIGNATURE))
    assert happened == [("Onboarded", NEWCOMER.address, FMSPC, MRTD, RESPONSE)]
    assert manager.call("requested", NEWCOMER.address) == ONBOARDED
    assert manager.call("registry", NEWCOMER.address) == [FMSPC, MRTD]


def test_keymanager_second_generation_test_wallets(fresh):
    key, ephemeral = Key(abi.keccak(b"masterkey")), Key(abi.keccak(b"ephem"))
    assert ephemeral.address == "0x14425d302c5dff5e27c78c7eb6c590f5e71b6930"
    data, fmspc, mrtd = (b"0xcafe".ljust(32, b"\0"), b"1".ljust(16, b"\0"), b"23424".ljust(32, b"\0"))
    assert attest_digest(data).hex() == "2a98da1b5e97e42c6113cbc884646674d006eadd1aec3daaad9ed5e3784bf753"
    signature = (
        "1cc37203d0b021c3427ad999d0f3f52f4ea6d6ca7a5318b4b0fb680bb3bf6df4521b9b98c419c176f295a719ca5e6ac8ca53cede47b8c3"
        "128e513d7311061d7314"
    )
    fresh.send("bootstrap", key.address)
    assert fresh.call(TAGGED, data, bytes.fromhex(signature)) is True
    digest = fresh.call("onboard_appdata", ephemeral.address, fmspc, mrtd, b"")
    assert digest.hex() == "dbb3ea695c8ce649a33a9af10e0488fbda65fd06c14d3a202412d1d2154d7d93"
    onboard = (
        "1bfb37e11ad6056f2715b1b91d9f8374a6373b0a2b397e49b3cddbfc51402c0d151308a6b082126f8e74934d275dd5594d7330ac708811"
        "ade54fad308648d87d32"
    )
    fresh.send("allowMrtd", mrtd, True)
    fresh.send("allowTcb", fmspc, 0, 1)
    fresh.send("setUnboundOnboarding", True)
    request(fresh, ephemeral)
    fresh.send(ONBOARD, ephemeral.address, fmspc, mrtd, b"", bytes.fromhex(onboard))
    assert fresh.call("memberAllowed", ephemeral.address) is True


def test_keymanager_first_generation_onboard_vector(manager, owner):
    response = b"\1\2\3"
    assert abi.keccak(b"onboard" + BOX_KEY + response).hex() == (
        "cd312086920104ff71d267f8f92d647aea75ccca375e1bdbb6ac79b1b63cda41"
    )
    digest = seed_onboard_digest(BOX_KEY, response)
    assert digest.hex() == "00b4b08fe0b1600314b6db5df93b7a1d2604c305635266654002d9df39884145"
    assert events(manager.send(REGISTER_KEY, BOX_KEY)) == [("KeyRequested", BOX_KEY, owner)]
    answer = [BOX_KEY, FMSPC, MRTD, response, MASTER.sign(digest)]
    assert refusal(manager.send, ONBOARD_KEY, *answer) == "Signature does not verify", "it names no platform"
    happened = events(manager.send("setUnboundOnboarding", True))
    assert happened == [("UnboundOnboardingSet", True, owner)]
    assert events(manager.send(ONBOARD_KEY, *answer)) == [("Onboard", BOX_KEY, response)]
    assert manager.call("requestedKey", BOX_KEY) == ONBOARDED
    assert manager.call("registryOfKey", BOX_KEY) == [FMSPC, MRTD]
    assert manager.call("keyAllowed", BOX_KEY) is True


MACHINE = [
    bytes.fromhex("bf06bf167df2d81dd54095e8a540e802dc634a31a96e1a448a20201a63d0bd21"),
    bytes.fromhex("7ba9e262ce6979087e34632603f354dd8f8a870f5947d116af8114db6c9d0d74c48bec4280e5b4f4a37025a10905bb29"),
    bytes.fromhex("698a1e5764ff07840695fb46c809949cca352e6c9d26fc37dce872402adc071b3b069b0b217c1dcda68cf914253b6842"),
    bytes.fromhex("3c30787034cd9aabff0347bc8f08b9f24a0f6ae914bbca0f9aba681e857aa57a7a7cc5b0b67231779cdc345f107707c5"),
]
MACHINE_KEY = bytes.fromhex("5f8d66650cefa750bfd3b101655f55b9e443b91750d668b3f829c5a4b1f276bf")


def test_keymanager_replicatoor_allow_list_vector(manager):
    assert manager.call("get_mrtd", *MACHINE) is False
    assert events(manager.send("set_mrtd", *MACHINE, True)) == [("SetMRTD", *MACHINE, True)]
    assert manager.call("get_mrtd", *MACHINE) is manager.call("rtmrs", MACHINE_KEY) is True
    request(manager)
    manager.send(ONBOARD, *onboarding(manager, measurement=MACHINE_KEY))
    assert manager.call("memberAllowed", NEWCOMER.address) is True
    assert events(manager.send("set_mrtd", *MACHINE, False)) == [("SetMRTD", *MACHINE, False)]
    assert manager.call("memberAllowed", NEWCOMER.address) is False
    names = ["", "mrtd", "RTMR[0]", "RTMR[3]"]
    for place in (1, 2, 3):
        for size in (0, 47, 49):
            wrong = list(MACHINE)
            wrong[place] = bytes(size)
            assert refusal(manager.send, "set_mrtd", *wrong, True) == f"incorrect {names[place]} length"
            assert refusal(manager.call, "get_mrtd", *wrong) == f"incorrect {names[place]} length"


# What the originals took


@pytest.mark.parametrize(
    "signature", [b"", bytes(65), b"\x1b" + bytes(64), b"\x1b" + b"\xff" * 64, NAMED_SIGNATURE, TAGGED_SIGNATURE]
)
def test_keymanager_finding_10_nothing_verifies_before_the_bootstrap(fresh, signature):
    assert fresh.call("xPub") == ZERO
    assert fresh.call(NAMED, HOST, DATA, signature) is False
    assert fresh.call("verifyAttestation", HOST, DATA, signature) is False
    assert fresh.call(TAGGED, DATA, signature) is False
    assert fresh.call("verifyBound", HOST, "tls", DATA, 2**63, signature) is False


def test_keymanager_finding_10_a_signature_has_one_spelling(manager):
    v, r, s = NAMED_SIGNATURE[:1], NAMED_SIGNATURE[1:33], NAMED_SIGNATURE[33:]
    high = (N - int.from_bytes(s)).to_bytes(32)
    flipped = bytes([27 + 28 - v[0]])
    wrong = {
        "high s": flipped + r + high,
        "high s, other v": v + r + high,
        "other v": flipped + r + s,
        "v as a bit": bytes([v[0] - 27]) + r + s,
        "v of EIP-155": bytes([v[0] + 10]) + r + s,
        "one short": NAMED_SIGNATURE[:64],
        "one more": NAMED_SIGNATURE + b"\0",
        "compact": r + s,
        "empty": b"",
        "zero r": v + bytes(32) + s,
        "zero s": v + r + bytes(32),
    }
    taken = [name for name, signature in wrong.items() if manager.call(NAMED, HOST, DATA, signature)]
    assert taken == []
    for bit in range(0, 65 * 8, 37):
        changed = bytearray(NAMED_SIGNATURE)
        changed[bit // 8] ^= 1 << bit % 8
        assert manager.call(NAMED, HOST, DATA, bytes(changed)) is False


def test_keymanager_finding_3_bootstrap_is_the_owners_and_happens_once(fresh, owner, other):
    assert refusal(fresh.send, "bootstrap", MASTER.address, sender=other) == not_owner(other)
    evidence = [QUOTE_HASH, QUOTE]
    assert refusal(fresh.send, "bootstrapWithEvidence", MASTER.address, *evidence, sender=other) == not_owner(other)
    assert refusal(fresh.send, "bootstrap", ZERO) == "Zero address"
    receipt = fresh.send("bootstrap", MASTER.address)
    assert events(receipt) == [("BootstrapComplete", MASTER.address)]
    assert len(receipt["logs"][0]["topics"]) == 1, "the shape of the first generation"
    assert fresh.call("xPub") == fresh.call("xPubOfEpoch", 1) == MASTER.address
    assert fresh.call("epoch") == 1
    for key in (MASTER.address, other, ZERO):
        assert refusal(fresh.send, "bootstrap", key) == "Already bootstrapped"
        assert refusal(fresh.send, "bootstrapWithEvidence", key, *evidence) == "Already bootstrapped"


def test_keymanager_bootstrap_with_its_quote(fresh, owner):
    wrong = QUOTE_HASH[:31] + b"\0"
    mismatch = refusal(fresh.send, "bootstrapWithEvidence", MASTER.address, wrong, QUOTE)
    assert mismatch == "Evidence does not match its hash"
    assert refusal(fresh.send, "bootstrapWithEvidence", MASTER.address, QUOTE_HASH, b"") == "No evidence attached"
    happened = events(fresh.send("bootstrapWithEvidence", MASTER.address, QUOTE_HASH, QUOTE))
    posted = ("EvidencePosted", MASTER.address, QUOTE_HASH, bytes(32), owner)
    assert happened == [("BootstrapComplete", MASTER.address), posted]


def test_keymanager_anybody_posts_evidence_later(manager, other):
    happened = events(manager.send("postEvidence", MASTER.address, QUOTE_HASH, QUOTE, sender=other))
    assert happened == [("EvidencePosted", MASTER.address, QUOTE_HASH, bytes(32), other)]
    assert refusal(manager.send, "postEvidence", MASTER.address, QUOTE_HASH, b"") == "No evidence attached"
    assert refusal(manager.send, "postEvidence", ZERO, DATA, QUOTE) == "Evidence does not match its hash"


# Attestations of ours


def bound(contract, workload=HOST, purpose="tls", data=DATA, epoch=1, expires=2**63, signer=MASTER, **where):
    return signer.sign(typed(contract, "Attestation", workload, purpose, data, epoch, expires, **where))


def test_keymanager_bound_attestations(manager):
    separator = domain_separator(manager.chain.chain_id, manager.address)
    assert manager.call("domainSeparator") == separator
    signature, asked = bound(manager), [HOST, "tls", DATA, 2**63]
    assert manager.call("verifyBound", *asked, signature) is True
    for place, wrong in enumerate([HOST + "x", "ssh", DATA[:31] + b"\0", 2**63 - 1]):
        changed = asked[:place] + [wrong] + asked[place + 1 :]
        assert manager.call("verifyBound", *changed, signature) is False
    assert manager.call("verifyBound", *asked, bound(manager, epoch=2)) is False
    assert manager.call("verifyBound", *asked, bound(manager, signer=SECOND)) is False
    assert manager.call("verifyBound", *asked, NAMED_SIGNATURE) is False
    assert manager.call("verifyBound", *asked, signature + b"\0") is False


def test_keymanager_finding_9_attestations_expire(manager):
    now = int(manager.chain.block()["timestamp"], 16)
    for expires, holds in ((now, True), (now - 1, False), (0, False)):
        signature = bound(manager, expires=expires)
        data = manager.calldata("verifyBound", HOST, "tls", DATA, expires, signature)
        override = {"time": hex(now)}
        call = [{"to": manager.address, "data": "0x" + data.hex()}, "latest", {}, override]
        assert int(manager.chain.rpc("eth_call", *call), 16) == holds


def test_keymanager_finding_7_pairs_that_ran_together_are_told_apart(manager):
    signature = bound(manager, workload="ab", purpose="c")
    assert manager.call("verifyBound", "ab", "c", DATA, 2**63, signature) is True
    for workload, purpose in (("a", "bc"), ("abc", ""), ("", "abc")):
        assert manager.call("verifyBound", workload, purpose, DATA, 2**63, signature) is False


def test_keymanager_finding_7_no_replay_on_another_deployment_or_chain(chain, manager):
    twin = chain.deploy("KeyManager")
    twin.send("bootstrap", MASTER.address)
    asked = [HOST, "tls", DATA, 2**63]
    assert twin.call(NAMED, HOST, DATA, NAMED_SIGNATURE) is True, "the known digests name no deployment"
    assert twin.call("verifyBound", *asked, bound(manager)) is False
    assert twin.call("verifyBound", *asked, bound(twin)) is True
    assert twin.call("verifyBound", *asked, bound(twin, chain_id=chain.chain_id + 1)) is False


# Epochs


def test_keymanager_finding_9_a_rotation_ends_what_the_former_key_says(manager, owner):
    request(manager)
    manager.send(ONBOARD, *onboarding(manager))
    assert manager.call("memberAllowed", NEWCOMER.address) is True
    happened = events(manager.send("rotate", *rotation(manager)))
    rotated = ("XPubRotated", 2, MASTER.address, SECOND.address, owner)
    assert happened == [rotated, ("EvidencePosted", SECOND.address, QUOTE_HASH, bytes(32), owner)]
    assert (manager.call("epoch"), manager.call("xPub")) == (2, SECOND.address)
    assert [manager.call("xPubOfEpoch", epoch) for epoch in range(4)] == [ZERO, MASTER.address, SECOND.address, ZERO]
    assert manager.call(NAMED, HOST, DATA, NAMED_SIGNATURE) is False
    assert manager.call(TAGGED, TAGGED_DATA, TAGGED_SIGNATURE) is False
    assert manager.call(NAMED, HOST, DATA, SECOND.sign(named_digest(HOST, DATA))) is True
    # The member is none any more, until it asks again and a holder of the new key answers.
    assert manager.call("memberAllowed", NEWCOMER.address) is False
    assert manager.call("requested", NEWCOMER.address) == ONBOARDED
    assert refusal(manager.send, ONBOARD, *onboarding(manager, signer=SECOND, epoch=2)) == "Not requested"
    assert refusal(manager.send, "join", *joining(manager), QUOTE) == "Signature does not verify"
    manager.send("join", *joining(manager, epoch=2), QUOTE)
    assert refusal(manager.send, ONBOARD, *onboarding(manager)) == "Signature does not verify"
    manager.send(ONBOARD, *onboarding(manager, signer=SECOND, epoch=2))
    assert manager.call("memberAllowed", NEWCOMER.address) is True


def test_keymanager_finding_9_rotation_takes_a_new_key_that_can_sign(manager, chain, other):
    assert refusal(manager.send, "rotate", *rotation(manager), sender=other) == not_owner(other)
    untouched = chain.deploy("KeyManager")
    assert refusal(untouched.send, "rotate", *rotation(untouched, epoch=1)) == "Not bootstrapped"
    for wrong in (
        [SECOND.address, MASTER.sign(typed(manager, "Rotation", SECOND.address, 2))],
        [SECOND.address, SECOND.sign(typed(manager, "Rotation", SECOND.address, 3))],
        [SECOND.address, SECOND.sign(typed(manager, "Rotation", MASTER.address, 2))],
        [SECOND.address, b""],
        [ZERO, bytes(65)],
    ):
        assert refusal(manager.send, "rotate", *wrong, QUOTE_HASH, QUOTE) == "Signature does not verify"
    key, signature, *_ = rotation(manager)
    assert refusal(manager.send, "rotate", key, signature, QUOTE_HASH, b"") == "No evidence attached"
    manager.send("rotate", *rotation(manager))
    for former in (MASTER, SECOND):
        assert refusal(manager.send, "rotate", *rotation(manager, former, 3)) == "Key was in force before"


# Members


def test_keymanager_a_request_is_for_who_pays(manager, owner, other):
    signature = NEWCOMER.sign(register_digest(owner))
    assert refusal(manager.send, REGISTER, NEWCOMER.address, signature, sender=other) == "Signature does not verify"
    for wrong in (b"", signature[:64], signature + b"\0", signature[1:] + signature[:1], MASTER.sign(DATA)):
        assert refusal(manager.send, REGISTER, NEWCOMER.address, wrong) == "Signature does not verify"
    assert refusal(manager.send, REGISTER, ZERO, bytes(65)) == "Signature does not verify"
    assert events(manager.send(REGISTER, NEWCOMER.address, signature)) == [("Requested", NEWCOMER.address)]
    assert refusal(manager.send, REGISTER, NEWCOMER.address, signature) == "Already requested"
    assert refusal(manager.send, "join", *joining(manager), QUOTE) == "Already requested"
    manager.send(ONBOARD, *onboarding(manager))
    assert refusal(manager.send, REGISTER, NEWCOMER.address, signature) == "Already requested"


def test_keymanager_nobody_asks_before_the_bootstrap(fresh, owner):
    signature = NEWCOMER.sign(register_digest(owner))
    assert refusal(fresh.send, REGISTER, NEWCOMER.address, signature) == "Not bootstrapped"
    assert refusal(fresh.send, REGISTER_KEY, BOX_KEY) == "Not bootstrapped"
    assert refusal(fresh.send, "join", *joining(fresh, epoch=0), QUOTE) == "Not bootstrapped"


def test_keymanager_joining_binds_everything(manager, chain, owner, other):
    good = joining(manager)
    assert refusal(manager.send, "join", *good, QUOTE, sender=other) == "Signature does not verify"
    member, box_key, signature, evidence = good
    assert refusal(manager.send, "join", member, DATA, signature, evidence, QUOTE) == "Signature does not verify"
    assert refusal(manager.send, "join", member, box_key, signature, DATA, QUOTE) == "Signature does not verify"
    assert refusal(manager.send, "join", MASTER.address, *good[1:], QUOTE) == "Signature does not verify"
    assert refusal(manager.send, "join", *joining(manager, epoch=2), QUOTE) == "Signature does not verify"
    assert refusal(manager.send, "join", *joining(manager, box_key=bytes(32)), QUOTE) == "Zero key"
    assert refusal(manager.send, "join", *good, QUOTE + b"x") == "Evidence does not match its hash"
    assert refusal(manager.send, "join", *good, b"") == "No evidence attached"
    twin = chain.deploy("KeyManager")
    twin.send("bootstrap", MASTER.address)
    assert refusal(twin.send, "join", *good, QUOTE) == "Signature does not verify"
    happened = events(manager.send("join", *good, QUOTE))
    joined = ("JoinRequested", NEWCOMER.address, BOX_KEY, QUOTE_HASH, bytes(32), owner)
    assert happened == [("Requested", NEWCOMER.address), joined]


def test_keymanager_a_request_by_key(manager, owner):
    assert refusal(manager.send, REGISTER_KEY, bytes(32)) == "Zero key"
    assert events(manager.send(REGISTER_KEY, BOX_KEY)) == [("KeyRequested", BOX_KEY, owner)]
    assert refusal(manager.send, REGISTER_KEY, BOX_KEY) == "Already requested"
    digest = typed(manager, "OnboardKey", BOX_KEY, FMSPC, MRTD, b"answer", 1)
    answer = [BOX_KEY, FMSPC, MRTD, b"answer", MASTER.sign(digest)]
    for place, wrong in ((1, bytes(16)), (2, bytes(32)), (3, b"other")):
        changed = answer[:place] + [wrong] + answer[place + 1 :]
        refusal(manager.send, ONBOARD_KEY, *changed)
    assert events(manager.send(ONBOARD_KEY, *answer)) == [("Onboard", BOX_KEY, b"answer")]
    assert refusal(manager.send, ONBOARD_KEY, *answer) == "Not requested"
    # A key that looks like an address is not that address.
    lookalike = bytes(12) + raw(NEWCOMER.address)
    manager.send(REGISTER_KEY, lookalike)
    assert manager.call("requested", NEWCOMER.address) == NOT_YET


@pytest.mark.parametrize("way", ["join", REGISTER, REGISTER_KEY])
def test_keymanager_who_waits_while_the_key_changes_can_ask_again(manager, owner, way):
    def ask(epoch):
        if way == "join":
            return manager.send("join", *joining(manager, epoch=epoch), QUOTE)
        return request(manager) if way == REGISTER else manager.send(REGISTER_KEY, BOX_KEY)

    ask(1)
    assert refusal(ask, 1) == "Already requested"
    manager.send("rotate", *rotation(manager))
    ask(2)
    assert refusal(ask, 2) == "Already requested", "once in each epoch"
    manager.send("rotate", *rotation(manager, Key(b"\x52" * 32), 3))
    ask(3)
    if way == REGISTER_KEY:
        assert manager.call("requestedKey", BOX_KEY) == REQUESTED
        assert manager.call("keyAllowed", BOX_KEY) is False
        return
    assert manager.call("memberAllowed", NEWCOMER.address) is False, "asking is not being one"
    manager.send(ONBOARD, *onboarding(manager, signer=Key(b"\x52" * 32), epoch=3))
    assert manager.call("memberAllowed", NEWCOMER.address) is True


def test_keymanager_onboarding_happens_once_and_on_request(manager, other):
    answer = onboarding(manager)
    assert refusal(manager.send, ONBOARD, *answer) == "Not requested"
    request(manager)
    assert events(manager.send(ONBOARD, *answer, sender=other)) == [("Onboarded", *answer[:4])]
    assert refusal(manager.send, ONBOARD, *answer) == "Not requested", "no replay"
    assert manager.call("registry", NEWCOMER.address) == [FMSPC, MRTD]
    assert manager.call("memberAllowed", NEWCOMER.address) is True


def test_keymanager_onboarding_is_signed_by_a_holder_of_the_master_key(manager, chain):
    request(manager)
    good = onboarding(manager)
    wrong = [
        onboarding(manager, signer=SECOND),
        onboarding(manager, signer=NEWCOMER),
        onboarding(manager, epoch=2),
        [*good[:3], RESPONSE + b"\0", good[4]],
        [*good[:4], b""],
        [*good[:4], good[4] + b"\0"],
        [*good[:4], ONBOARD_SIGNATURE],  # names no contract: only where the owner says so
    ]
    for arguments in wrong:
        assert refusal(manager.send, ONBOARD, *arguments) == "Signature does not verify"
    twin = chain.deploy("KeyManager")
    twin.send("bootstrap", MASTER.address)
    twin.send("allowMrtd", MRTD, True)
    twin.send("allowTcb", FMSPC, 17, 3)
    request(twin)
    assert refusal(twin.send, ONBOARD, *good) == "Signature does not verify"
    manager.send(ONBOARD, *good)
    large = onboarding(twin, response=bytes(20481))
    assert refusal(twin.send, ONBOARD, *large) == "Data size exceeds limit"


def test_keymanager_finding_4_the_lists_are_enforced(manager):
    request(manager)
    other_mrtd, other_family = b"\x77" * 32, b"\x88" * 6 + bytes(10)
    not_allowed = onboarding(manager, measurement=other_mrtd)
    assert refusal(manager.send, ONBOARD, *not_allowed) == "Measurement not allowed"
    family = onboarding(manager, fmspc=other_family)
    assert refusal(manager.send, ONBOARD, *family) == "TCB configuration not allowed"
    assert refusal(manager.send, ONBOARD, *onboarding(manager, measurement=bytes(32))) == "Measurement not allowed"
    manager.send("allowMrenclave", other_mrtd, True)
    manager.send("allowTcb", other_family, 17, 1)
    manager.send(ONBOARD, *onboarding(manager, measurement=other_mrtd, fmspc=other_family))
    assert manager.call("memberAllowed", NEWCOMER.address) is True
    manager.send("allowTcb", other_family, 0, 0)
    assert manager.call("memberAllowed", NEWCOMER.address) is False
    manager.send("allowTcb", other_family, 18, 1)
    assert manager.call("memberAllowed", NEWCOMER.address) is True
    manager.send("allowMrenclave", other_mrtd, False)
    assert manager.call("memberAllowed", NEWCOMER.address) is False


def test_keymanager_a_stricter_rule_ends_no_membership_but_a_rotation_does(manager):
    request(manager)
    manager.send(ONBOARD, *onboarding(manager))
    manager.send("allowTcb", FMSPC, 18, 1)
    assert manager.call("memberAllowed", NEWCOMER.address) is True, "the number and the bits are for members"
    manager.send("rotate", *rotation(manager))
    assert manager.call("memberAllowed", NEWCOMER.address) is False


def test_keymanager_every_change_of_the_lists_leaves_an_event(fresh, owner):
    for function, event, getter in (
        ("allowMrtd", "MrtdAllowed", "allowed_mrtds"),
        ("allowMrenclave", "MrenclaveAllowed", "allowed_mrenclaves"),
    ):
        for allowed in (True, False):
            assert events(fresh.send(function, MRTD, allowed)) == [(event, MRTD, allowed, owner)]
            assert fresh.call(getter, MRTD) is allowed
        assert refusal(fresh.send, function, bytes(32), True) == "Zero measurement"
    assert events(fresh.send("allowTcb", FMSPC, 17, 0x3F)) == [("TcbAllowed", FMSPC, 17, 0x3F, owner)]
    assert fresh.call("allowed_tcbs", FMSPC) == [17, 0x3F]
    assert refusal(fresh.send, "allowTcb", FMSPC, 17, 0x40) == "Unknown TCB status"
    assert events(fresh.send("allowTcb", FMSPC, 9, 0)) == [("TcbAllowed", FMSPC, 0, 0, owner)]
    assert fresh.call("allowed_tcbs", FMSPC) == [0, 0]


def test_keymanager_sent_away_is_for_good(manager, owner):
    request(manager)
    manager.send(ONBOARD, *onboarding(manager))
    assert events(manager.send("deregister", NEWCOMER.address)) == [("Deregistered", NEWCOMER.address, owner)]
    assert manager.call("requested", NEWCOMER.address) == REJECTED
    assert manager.call("memberAllowed", NEWCOMER.address) is False
    assert events(manager.send("deregister", NEWCOMER.address)) == []
    assert refusal(request, manager) == "Sent away"
    assert refusal(manager.send, ONBOARD, *onboarding(manager)) == "Not requested"
    manager.send("rotate", *rotation(manager))
    assert refusal(request, manager) == "Sent away", "not in a later epoch either"
    assert refusal(manager.send, "join", *joining(manager, epoch=2), QUOTE) == "Sent away"
    manager.send(REGISTER_KEY, BOX_KEY)
    assert events(manager.send("deregisterKey", BOX_KEY)) == [("KeyDeregistered", BOX_KEY, owner)]
    assert manager.call("requestedKey", BOX_KEY) == REJECTED
    assert events(manager.send("deregisterKey", BOX_KEY)) == []


def test_keymanager_a_member_can_go_by_itself(manager, other):
    request(manager)
    manager.send(ONBOARD, *onboarding(manager))
    for wrong in (
        MASTER.sign(typed(manager, "Resign", NEWCOMER.address, 1)),
        NEWCOMER.sign(typed(manager, "Resign", NEWCOMER.address, 2)),
        NEWCOMER.sign(typed(manager, "Resign", MASTER.address, 1)),
        b"",
    ):
        assert refusal(manager.send, "resign", NEWCOMER.address, wrong) == "Signature does not verify"
    good = NEWCOMER.sign(typed(manager, "Resign", NEWCOMER.address, 1))
    manager.send("freeze")  # going is allowed at any time
    happened = events(manager.send("resign", NEWCOMER.address, good, sender=other))
    assert happened == [("Deregistered", NEWCOMER.address, other)]
    assert manager.call("requested", NEWCOMER.address) == REJECTED


# Who decides, and the brake


@pytest.mark.parametrize(
    "function, arguments",
    [
        ("bootstrap", [MASTER.address]),
        ("bootstrapWithEvidence", [MASTER.address, QUOTE_HASH, QUOTE]),
        ("rotate", [SECOND.address, b"", QUOTE_HASH, QUOTE]),
        ("allowMrtd", [MRTD, True]),
        ("allowMrenclave", [MRTD, True]),
        ("allowTcb", [FMSPC, 1, 1]),
        ("set_mrtd", [*MACHINE, True]),
        ("deregister", [NEWCOMER.address]),
        ("deregisterKey", [BOX_KEY]),
        ("set_container", ["image"]),
        ("setUnboundOnboarding", [True]),
        ("setPolicy", [MRTD]),
        ("unfreeze", []),
        ("transferOwnership", [ZERO]),
    ],
)
def test_keymanager_only_the_owner_decides(fresh, other, function, arguments):
    for role in (OPERATOR, METADATA, INSTANCE, GUARDIAN):
        fresh.send("grantRole", role, other)
    assert refusal(fresh.send, function, *arguments, sender=other) == not_owner(other)


def test_keymanager_ownership_moves_in_two_steps(fresh, owner, other):
    fresh.send("transferOwnership", other)
    assert (fresh.call("owner"), fresh.call("pendingOwner")) == (owner, other)
    assert refusal(fresh.send, "bootstrap", MASTER.address, sender=other) == not_owner(other)
    fresh.send("acceptOwnership", sender=other)
    assert refusal(fresh.send, "bootstrap", MASTER.address) == not_owner(owner)
    fresh.send("bootstrap", MASTER.address, sender=other)
    assert refusal(fresh.send, "grantRole", GUARDIAN, owner) == no_role(owner, ADMIN)


def test_keymanager_the_container_is_named(fresh):
    assert fresh.call("container") == ""
    assert events(fresh.send("set_container", "image@sha256:00")) == [("ContainerChanged", "image@sha256:00")]
    assert fresh.call("container") == "image@sha256:00"
    assert refusal(fresh.send, "set_container", "x" * 20481) == "Data size exceeds limit"


def test_keymanager_a_frozen_contract_vouches_for_nothing(manager, owner, other):
    request(manager)
    pending = onboarding(manager)
    manager.send("grantRole", GUARDIAN, other)
    manager.send("freeze", sender=other)
    machine = MACHINE
    for function, arguments in (
        (NAMED, [HOST, DATA, NAMED_SIGNATURE]),
        ("verifyAttestation", [HOST, DATA, NAMED_SIGNATURE]),
        (TAGGED, [TAGGED_DATA, TAGGED_SIGNATURE]),
        ("verifyBound", [HOST, "tls", DATA, 2**63, bound(manager)]),
        ("memberAllowed", [NEWCOMER.address]),
        ("keyAllowed", [BOX_KEY]),
        ("get_mrtd", machine),
    ):
        assert refusal(manager.call, function, *arguments) == "Contract is frozen"
    for function, arguments in (
        (ONBOARD, pending),
        (ONBOARD_KEY, [BOX_KEY, FMSPC, MRTD, b"", b""]),
        (REGISTER, [MASTER.address, MASTER.sign(register_digest(owner))]),
        (REGISTER_KEY, [BOX_KEY]),
        ("join", [*joining(manager, MASTER), QUOTE]),
        ("postEvidence", [MASTER.address, QUOTE_HASH, QUOTE]),
    ):
        assert refusal(manager.send, function, *arguments) == "Contract is frozen"
    # The owner cleans up, and puts another key in force, before it opens again.
    manager.send("deregister", NEWCOMER.address)
    manager.send("allowMrtd", MRTD, False)
    manager.send("rotate", *rotation(manager))
    assert refusal(manager.send, "unfreeze", sender=other) == not_owner(other)
    manager.send("unfreeze")
    assert manager.call(NAMED, HOST, DATA, NAMED_SIGNATURE) is False
