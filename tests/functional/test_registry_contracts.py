"""The governance contracts on a real chain: the known interface (selectors, events, refusals, roles), and what ours add."""

import hashlib

import contract_gas
import pytest
from evm import OPENZEPPELIN, ZERO, Anvil, Artifact, Contract, Reverted
from registry import dcap_identity, extended_identity, rtmrs_of, told_identities
from registry_model import ADMIN, GUARDIAN, INSTANCE, METADATA, OPERATOR, dcap_report, no_role, onboard_hash

IDENTITY, CONFIG, POLICY = b"\x1d" * 32, b"\xcf" * 32, b"\x90" * 32
APP = "0x" + "a9" * 20
BIG = b"x" * 20480

# What clients of every generation call, with the selectors that they have compiled in.
BOTH = """
PKI a9ac54e9  setPKI 6c3e695d  app_pki c2f38479  DCAPIdentity 5a69887d  MAAIdentity 863c43d4  IdentityAllowed 1619e345
registerInstanceDomainName 73fe8cc4  InstanceDomainNames 70c608d6  m_instanceDomainNames 6511dbe2
ROLE_OPERATOR 98a1b397  ROLE_METADATA 8404c1a3  ROLE_INSTANCE 53f24b6d  MAX_BYTES_SIZE aaae748e
owner 8da5cb5b  transferOwnership f2fde38b  renounceOwnership 715018a6  hasRole 91d14854  grantRole 2f2ff15d
revokeRole d547741f  renounceRole 36568abe  getRoleAdmin 248a9ca3  DEFAULT_ADMIN_ROLE a217fddf  supportsInterface 01ffc9a7
getPKI 14b94434  allInstanceDomainNames d12847a6  instanceDomainNames 9936b92b
"""
REGISTRY = """
ConfigForIdentity 4c01253d  setConfigForIdentity 1b0ce1c1  setConfigForDCAP 80be6875  setConfigForMAA ed1fce63
removeConfigMapForIdentity 8533d8b7  setStorageBackend 27ae3ad9  removeStorageBackend 9fe18d65  StorageBackends d0ab83ac
m_storageBackends 3f3cc1c6  addArtifact 73c3f136  getArtifact 37668af5  artifacts a63e3a37  identityConfigMap d4f72ac1
getConfigForIdentity def011b4  allStorageBackends c7d77a9d  storageBackends aa539d26
"""
KMS = """
allowlistDCAP c0f1340b  allowlistMAA 7182ee20  allowlistIdentity da4fddef  removeAllowlistedIdentity 322febce
allowlistedIdentities e712f5b2  HashOnboardRequest b5e3be7a  requestOnboard 1301b9ff  fetchOnboardRequest f588d2fc
onboardRequests 9087f2b0  ApplicationAllowed 36a70c78  AllowApplication fb2e19ec  RemoveAllowlistedApplication 0adb7b5b
"""
SELECTORS = {"Registry": BOTH + REGISTRY, "Kms": BOTH + KMS}
TOPICS = {
    "ArtifactAdded(bytes32,address)": "0089f1e7da0d286fa2eafc218d8bfefe2896a6950867624e64c6fd7b91cd45d6",
    "IdentityConfigSet(bytes32,bytes32,address)": "612c411f843e4588de9fb22a49cf8c4ef009c7943e145b5682bc64cc41411cbe",
    "InstanceDomainRegistered(string,address)": "1cffa1975e8ac674a45ba4538b3fecb27ef432cf4cfa52b4c2a25d1ac6b3e3aa",
    "PKIUpdated(address,(bytes,bytes,bytes))": "284bc1ef7d0ba7c60b8f7283abd7cac9396efaf624dd518cd69a9998265bbcb7",
    "StorageBackendSet(string,address)": "d0f13741ab421dfd2f943f230044db0169f77baf12de4af5aa8eaee88ba605da",
    "StorageBackendRemoved(string,address)": "f633b6242693f791d1142706b90f2590545fe665e0919e3089a47797f83eea1f",
    "IdentityAllowlisted(bytes32,address)": "f1c63c82bb552724847bbe3164e4b33ba29fd3215457e7a41998f59511ff25ca",
}
ROLE_VALUES = {
    "ROLE_OPERATOR": "aa3edb77f7c8cc9e38e8afe78954f703aeeda7fffe014eeb6e56ea84e62f6da7",
    "ROLE_METADATA": "88e3f5011d64b9d77f00831d307d6a444c0879817013864000484019d061e023",
    "ROLE_INSTANCE": "921b443815ac473050a9950b17eb79b9ab085599704130a8fb15679f8e0b2e07",
}
ERRORS = {
    "AccessControlUnauthorizedAccount(address,bytes32)": "e2517d3f",
    "AccessControlBadConfirmation()": "6697b232",
    "OwnableUnauthorizedAccount(address)": "118cdaa7",
    "OwnableInvalidOwner(address)": "1e4fbdf7",
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
def registry(chain):
    return chain.deploy("Registry")


@pytest.fixture
def kms(chain):
    return chain.deploy("Kms")


@pytest.fixture(params=["Registry", "Kms"])
def contract(chain, request):
    return chain.deploy(request.param)


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


def pcrs(**changed):
    return {"PCRs": [changed.get(f"pcr{n}", bytes(32)) for n in range(24)]}


# The interface as clients have it compiled in


@pytest.mark.parametrize("name", SELECTORS)
def test_registry_064_selectors_are_the_known_ones(name):
    words = SELECTORS[name].split()
    known = dict(zip(words[::2], words[1::2], strict=True))
    artifact = Artifact(name)
    ours = {function: entry.selector.hex() for function, entry in artifact.functions.items()}
    assert {function: ours.get(function) for function in known} == known
    compiled = {signature.split("(")[0]: value for signature, value in artifact.about["selectors"].items()}
    assert compiled == ours


def test_registry_064_events_have_the_known_topics_and_nothing_indexed():
    ours = {entry.signature: entry for name in SELECTORS for entry in Artifact(name).events}
    assert {signature: ours[signature].topic.hex() for signature in TOPICS} == TOPICS
    assert not any(any(ours[signature].indexed) for signature in TOPICS)


def test_registry_064_errors_have_the_known_selectors():
    for name in SELECTORS:
        ours = {entry.signature: entry.selector.hex() for entry in Artifact(name).errors}
        assert {signature: ours.get(signature) for signature in ERRORS} == ERRORS


def test_registry_064_constants(contract):
    for name, value in ROLE_VALUES.items():
        assert contract.call(name).hex() == value
    assert contract.call("MAX_BYTES_SIZE") == 20480
    assert contract.call("DEFAULT_ADMIN_ROLE") == ADMIN
    assert contract.call("getRoleAdmin", OPERATOR) == ADMIN
    assert contract.call("supportsInterface", bytes.fromhex("7965db0b")) is True  # IAccessControl
    assert contract.call("supportsInterface", bytes.fromhex("ffffffff")) is False


def test_registry_064_the_deployer_gets_the_known_roles(chain, registry, kms, owner, other):
    def roles(contract, account):
        return {
            role for role in (ADMIN, OPERATOR, METADATA, INSTANCE, GUARDIAN) if contract.call("hasRole", role, account)
        }

    assert roles(registry, owner) == {ADMIN, OPERATOR, METADATA, INSTANCE}
    assert roles(kms, owner) == {ADMIN, OPERATOR}
    assert roles(registry, other) == roles(kms, other) == set()
    assert registry.call("owner") == kms.call("owner") == owner


def test_registry_064_the_code_on_chain_is_the_artifact(chain, contract):
    assert chain.rpc("eth_getCode", contract.address, "latest") == contract.artifact.about["deployedBytecode"]


def test_registry_064_no_fallback_and_no_ether(chain, contract):
    with pytest.raises(Reverted):
        chain.eth_call(contract.address, bytes.fromhex("deadbeef"))
    for data in (b"", contract.calldata("setPolicy", POLICY)):
        with pytest.raises(Reverted):
            chain.send(contract.address, data, value=hex(1))
    assert chain.rpc("eth_getBalance", contract.address, "latest") == "0x0"


def test_registry_064_the_reference_page_is_complete_and_measured():
    page = contract_gas.PAGE.read_text()
    for name in (*SELECTORS, "KeyManager"):
        artifact = Artifact(name)
        for entry in artifact.functions.values():
            assert f"| `{entry.signature}` | `{entry.selector.hex()}` |" in page, entry.signature
        for entry in artifact.events:
            assert f"| `{entry.signature}` | `{entry.topic.hex()}` |" in page, entry.signature
    assert contract_gas.PAGE.table() == contract_gas.table(), "make contracts-gas"


# Identities: the vectors that every implementation of the formula must give


@pytest.fixture
def known_address(chain):
    """The contract's code at the address of the vectors."""
    address = "0x0123456789abcdef0123456789abcdef01234567"
    chain.rpc("anvil_setCode", address, Artifact("Kms").about["deployedBytecode"])
    return Contract(chain, "Kms", address)


def last(byte):
    return bytes(47) + bytes([byte])


def test_registry_064_dcap_identity_vector(known_address):
    report = dcap_report(RTMRs=[last(1), last(2), last(3), bytes(48)])
    data = known_address.calldata("DCAPIdentity", report, [])
    assert len(data) == 1156
    assert hashlib.sha256(data).hexdigest() == "bf760ed5312a29d4ab4a1941f71bb9414c33f3f63abf941e3c5eaf6c9e3dbf7d"
    identity = known_address.call("DCAPIdentity", report, [])
    assert identity.hex() == "f774c02b9017a767c574d5b1fdd4c3248e64444554aa7b4de26211231911d8d5"
    log = [(1, 2, b"payload", bytes(32))]
    assert known_address.call("DCAPIdentity", report, log) == identity, "the event log is no part of it"


def test_registry_064_maa_identity_vector(known_address):
    report = pcrs(pcr4=b"\4" * 32, pcr9=b"\t" * 32, pcr11=b"\v" * 32)
    data = known_address.calldata("MAAIdentity", report)
    assert len(data) == 772
    assert hashlib.sha256(data).hexdigest() == "e7749feda7a3e4b60c8ace46337b7696d7a4840e144031efeb3fdc89d7f61ac4"
    identity = known_address.call("MAAIdentity", report)
    assert identity.hex() == "90768dabdf94ab406af161e54b132669f77691963635272cfa337d99c63c6b90"


PUBLIC_KEY = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9ea177Yw9Q9Vo9pftrwADPjv+72f
0xx92CJPt1V10VWI9VHsi766ZtAEc6cW3c8T4O5JKohH3k0p56+5xbQAWg==
-----END PUBLIC KEY-----
"""


def test_registry_064_onboard_hash_vector(kms):
    request = (PUBLIC_KEY, 0x0102030405, "0x" + "11" * 20, b"ATT")
    expected = "fc1867df7fe08585cfb05ad8fc7deba4b978e7352ed4b53acb50ddb2f534a228"
    assert kms.call("HashOnboardRequest", request).hex() == expected == onboard_hash(request).hex()


def test_registry_064_identity_depends_on_the_contract(registry, kms):
    assert registry.call("DCAPIdentity", dcap_report(), []) != kms.call("DCAPIdentity", dcap_report(), [])
    assert registry.call("MAAIdentity", pcrs()) != kms.call("MAAIdentity", pcrs())


@pytest.mark.parametrize("wrong", [b"", bytes(47), bytes(49)], ids=len)
@pytest.mark.parametrize(
    "field", ["mrtd", "RTMR[0]", "RTMR[1]", "RTMR[2]", "RTMR[3]", "mrOwner", "mrConfigId", "mrConfigOwner"]
)
def test_registry_064_a_register_of_another_size_is_refused(contract, field, wrong):
    report = dcap_report()
    if field.startswith("RTMR"):
        report["RTMRs"][int(field[5])] = wrong
    else:
        report["mrTd" if field == "mrtd" else field] = wrong
    assert refusal(contract.call, "DCAPIdentity", report, []) == f"incorrect {field} length"
    function = "setConfigForDCAP" if contract.artifact.name == "Registry" else "allowlistDCAP"
    rest = ([], CONFIG) if contract.artifact.name == "Registry" else ()
    assert refusal(contract.send, function, report, *rest) == f"incorrect {field} length"


# PKI and domain names, the same in both


def test_registry_064_pki(contract, owner, other):
    assert contract.call("PKI") == (b"", b"", b"")
    pki = (b"CA", b"KEY", BIG)
    assert events(contract.send("setPKI", pki)) == [("PKIUpdated", owner, pki)]
    assert contract.call("PKI") == contract.call("getPKI") == pki
    assert tuple(contract.call("app_pki")) == pki
    assert refusal(contract.send, "setPKI", pki, sender=other) == not_owner(other)
    for place in range(3):
        oversized = [b"", b"", b""]
        oversized[place] = BIG + b"x"
        assert refusal(contract.send, "setPKI", tuple(oversized)) == "Data size exceeds limit"
    assert contract.call("PKI") == pki


def test_registry_064_domain_names(contract, owner, other):
    register = "registerInstanceDomainName"
    assert events(contract.send(register, "a.example")) == [("InstanceDomainRegistered", "a.example", owner)]
    contract.send(register, "b.example:8443")
    contract.send(register, "a.example")
    names = ["a.example", "b.example:8443"]
    assert contract.call("InstanceDomainNames") == contract.call("allInstanceDomainNames") == names
    for index, name in enumerate(names):
        assert contract.call("m_instanceDomainNames", index) == contract.call("instanceDomainNames", index) == name
    refusal(contract.call, "m_instanceDomainNames", 2)
    assert refusal(contract.send, register, "c.example", sender=other) == no_role(other, OPERATOR)
    for bad in ("", "x" * 261):
        assert refusal(contract.send, register, bad) == "Invalid domain name"


def test_registry_064_a_domain_name_is_removed_by_its_operator_or_the_owner(contract, chain, owner, other):
    remove, stranger = "removeInstanceDomainName", chain.accounts[2].address
    for operator in (other, stranger):
        contract.send("grantRole", OPERATOR, operator)
    contract.send("registerInstanceDomainName", "a.example", sender=other)
    contract.send("registerInstanceDomainName", "b.example", sender=other)
    # Registering it again does not make it the property of somebody else.
    contract.send("registerInstanceDomainName", "a.example", sender=stranger)
    assert refusal(contract.send, remove, "a.example", sender=stranger) == "Domain name of another operator"
    assert events(contract.send(remove, "a.example", sender=other)) == [("InstanceDomainRemoved", "a.example", other)]
    contract.send("revokeRole", OPERATOR, other)
    assert refusal(contract.send, remove, "b.example", sender=other) == no_role(other, OPERATOR)
    assert events(contract.send(remove, "b.example")) == [("InstanceDomainRemoved", "b.example", owner)]
    assert contract.call("InstanceDomainNames") == []
    assert refusal(contract.send, remove, "b.example") == "Domain name not registered"
    contract.send("grantRole", OPERATOR, other)
    refused = refusal(contract.send, remove, "b.example", sender=other)
    assert refused == "Domain name of another operator", "a removed name belongs to nobody"


# Registry


def test_registry_064_configuration_of_identities(registry, owner, other):
    assert registry.call("IdentityAllowed", IDENTITY, owner) is False
    assert refusal(registry.call, "ConfigForIdentity", IDENTITY, owner) == "Config not mapped"
    receipt = registry.send("setConfigForIdentity", IDENTITY, CONFIG)
    assert events(receipt) == [("IdentityConfigSet", IDENTITY, CONFIG, owner)]
    assert registry.call("IdentityAllowed", IDENTITY, owner) is True
    assert registry.call("ConfigForIdentity", IDENTITY, owner) == CONFIG
    assert registry.call("getConfigForIdentity", IDENTITY, owner) == CONFIG
    assert registry.call("identityConfigMap", IDENTITY) == CONFIG
    for function in ("IdentityAllowed", "ConfigForIdentity", "getConfigForIdentity"):
        assert refusal(registry.call, function, IDENTITY, other) == "Operator not authorized"
        assert refusal(registry.call, function, IDENTITY, ZERO) == "Operator not authorized"
    receipt = registry.send("removeConfigMapForIdentity", IDENTITY)
    assert events(receipt) == [("IdentityConfigRemoved", IDENTITY, owner)]
    assert registry.call("IdentityAllowed", IDENTITY, owner) is False
    assert refusal(registry.call, "getConfigForIdentity", IDENTITY, owner) == "Config not mapped"
    assert events(registry.send("removeConfigMapForIdentity", IDENTITY)) == []


def test_registry_064_configuration_by_measurements(registry, owner):
    report, azure = dcap_report(last(7)), pcrs(pcr4=b"\4" * 32)
    identity = registry.call("DCAPIdentity", report, [])
    receipt = registry.send("setConfigForDCAP", report, [], CONFIG)
    assert events(receipt) == [("IdentityConfigSet", identity, CONFIG, owner)]
    assert registry.call("ConfigForIdentity", identity, owner) == CONFIG
    identity = registry.call("MAAIdentity", azure)
    receipt = registry.send("setConfigForMAA", azure, CONFIG)
    assert events(receipt) == [("IdentityConfigSet", identity, CONFIG, owner)]
    assert registry.call("ConfigForIdentity", identity, owner) == CONFIG


@pytest.mark.parametrize(
    "function, arguments",
    [
        ("setConfigForIdentity", [IDENTITY, CONFIG]),
        ("setConfigForDCAP", [dcap_report(), [], CONFIG]),
        ("setConfigForMAA", [pcrs(), CONFIG]),
        ("removeConfigMapForIdentity", [IDENTITY]),
        ("setStorageBackend", ["file:///blobs/"]),
        ("removeStorageBackend", ["file:///blobs/"]),
        ("removeArtifact", [CONFIG]),
        ("setPolicy", [POLICY]),
        ("unfreeze", []),
    ],
)
def test_registry_064_only_the_owner_changes_a_registry(registry, other, function, arguments):
    for role in (OPERATOR, METADATA, INSTANCE, GUARDIAN):
        registry.send("grantRole", role, other)
    assert refusal(registry.send, function, *arguments, sender=other) == not_owner(other)


def test_registry_064_storage_backends(registry, owner):
    places = ["file:///blobs/", "s3://bucket/prefix/", "ipfs://localhost:5001/"]
    for place in places:
        assert events(registry.send("setStorageBackend", place)) == [("StorageBackendSet", place, owner)]
    registry.send("setStorageBackend", places[0])
    assert registry.call("StorageBackends") == registry.call("allStorageBackends") == places
    assert registry.call("m_storageBackends", 1) == registry.call("storageBackends", 1) == places[1]
    receipt = registry.send("removeStorageBackend", places[0])
    assert events(receipt) == [("StorageBackendRemoved", places[0], owner)]
    # Set twice and removed once, it is gone; the last one takes its place.
    assert registry.call("StorageBackends") == [places[2], places[1]]
    absent = registry.send("removeStorageBackend", "file:///never/")
    assert events(absent) == [("StorageBackendRemoved", "file:///never/", owner)], "as old clients expect"
    assert refusal(registry.send, "setStorageBackend", "x" * 20481) == "Data size exceeds limit"


def test_registry_064_artifacts(registry, owner, other):
    content = hashlib.sha256(BIG).digest()
    assert refusal(registry.call, "getArtifact", content) == "Artifact does not exist"
    assert events(registry.send("addArtifact", BIG)) == [("ArtifactAdded", content, owner)]
    assert registry.call("getArtifact", content) == registry.call("artifacts", content) == BIG
    assert events(registry.send("addArtifact", BIG)) == [("ArtifactAdded", content, owner)]
    assert refusal(registry.send, "addArtifact", BIG + b"x") == "Data size exceeds limit"
    assert refusal(registry.send, "addArtifact", b"x", sender=other) == no_role(other, METADATA)
    registry.send("grantRole", METADATA, other)
    assert events(registry.send("addArtifact", b"x", sender=other))[0][2] == other
    assert events(registry.send("removeArtifact", content)) == [("ArtifactRemoved", content, owner)]
    assert refusal(registry.call, "getArtifact", content) == "Artifact does not exist"
    assert refusal(registry.send, "removeArtifact", content) == "Artifact does not exist"


# Kms


def test_registry_064_allowlisted_identities(kms, owner, other):
    assert kms.call("IdentityAllowed", IDENTITY, owner) is False
    assert events(kms.send("allowlistIdentity", IDENTITY)) == [("IdentityAllowlisted", IDENTITY, owner)]
    assert kms.call("IdentityAllowed", IDENTITY, owner) is kms.call("allowlistedIdentities", IDENTITY) is True
    assert refusal(kms.call, "IdentityAllowed", IDENTITY, other) == "Operator not authorized"
    removed = [("AllowlistedIdentityRemoved", IDENTITY, owner)]
    assert events(kms.send("removeAllowlistedIdentity", IDENTITY)) == removed
    assert kms.call("IdentityAllowed", IDENTITY, owner) is False
    assert events(kms.send("removeAllowlistedIdentity", IDENTITY)) == []
    for function, report, identity in (
        ("allowlistDCAP", dcap_report(), kms.call("DCAPIdentity", dcap_report(), [])),
        ("allowlistMAA", pcrs(), kms.call("MAAIdentity", pcrs())),
    ):
        assert events(kms.send(function, report)) == [("IdentityAllowlisted", identity, owner)]
        assert kms.call("IdentityAllowed", identity, owner) is True


@pytest.mark.parametrize(
    "function, arguments",
    [
        ("allowlistIdentity", [IDENTITY]),
        ("allowlistDCAP", [dcap_report()]),
        ("allowlistMAA", [pcrs()]),
        ("removeAllowlistedIdentity", [IDENTITY]),
        ("AllowApplication", [APP]),
        ("RemoveAllowlistedApplication", [APP]),
        ("setApplicationPolicy", [APP, POLICY]),
        ("setPolicy", [POLICY]),
        ("unfreeze", []),
    ],
)
def test_registry_064_only_the_owner_changes_a_kms(kms, other, function, arguments):
    for role in (OPERATOR, METADATA, INSTANCE, GUARDIAN):
        kms.send("grantRole", role, other)
    assert refusal(kms.send, function, *arguments, sender=other) == not_owner(other)


def test_registry_064_onboard_requests(kms, owner, other):
    request = (PUBLIC_KEY, 77, owner, b"EVIDENCE")
    name = onboard_hash(request)
    assert kms.call("fetchOnboardRequest", name) == (b"", 0, ZERO, b"")
    assert events(kms.send("requestOnboard", request)) == [("OnboardRequested", name, owner)]
    assert kms.call("fetchOnboardRequest", name) == tuple(kms.call("onboardRequests", name)) == request
    assert refusal(kms.send, "requestOnboard", request, sender=other) == no_role(other, OPERATOR)
    kms.send("grantRole", OPERATOR, other)
    assert refusal(kms.send, "requestOnboard", request, sender=other) == "operator must be the sender"
    for nonce in (0, -1):
        assert refusal(kms.send, "requestOnboard", (PUBLIC_KEY, nonce, owner, b"")) == "nonce must be positive"
    for large in ((BIG + b"x", 1, owner, b""), (b"", 1, owner, BIG + b"x")):
        assert refusal(kms.send, "requestOnboard", large) == "Data size exceeds limit"
    second = (PUBLIC_KEY, 78, other, b"EVIDENCE")
    kms.send("requestOnboard", second, sender=other)
    assert refusal(kms.send, "removeOnboardRequest", name, sender=other) == not_owner(other)
    withdrawn = [("OnboardRequestRemoved", onboard_hash(second), other)]
    assert events(kms.send("removeOnboardRequest", onboard_hash(second), sender=other)) == withdrawn
    kms.send("removeOnboardRequest", name)
    assert kms.call("fetchOnboardRequest", name).nonce == 0
    assert refusal(kms.send, "removeOnboardRequest", name) == "Onboard request does not exist"


# What ours add: brake, ownership, policies


def test_registry_064_freeze_stops_what_leads_to_a_release(registry, kms, owner):
    registry.send("setConfigForIdentity", IDENTITY, CONFIG)
    kms.send("allowlistIdentity", IDENTITY)
    kms.send("AllowApplication", APP)
    request = (PUBLIC_KEY, 7, owner, b"")
    kms.send("requestOnboard", request)
    stopped = [
        (registry, "IdentityAllowed", [IDENTITY, owner]),
        (registry, "ConfigForIdentity", [IDENTITY, owner]),
        (registry, "getConfigForIdentity", [IDENTITY, owner]),
        (kms, "IdentityAllowed", [IDENTITY, owner]),
        (kms, "ApplicationAllowed", [APP]),
        (kms, "fetchOnboardRequest", [onboard_hash(request)]),
    ]
    writes = [
        (registry, "registerInstanceDomainName", ["a.example"]),
        (registry, "addArtifact", [b"x"]),
        (kms, "requestOnboard", [request]),
    ]
    for contract in (registry, kms):
        assert events(contract.send("freeze")) == [("Paused", owner)]
        assert contract.call("paused") is True
        assert refusal(contract.send, "freeze") == "Contract is frozen"
    for contract, function, arguments in stopped:
        assert refusal(contract.call, function, *arguments) == "Contract is frozen"
    for contract, function, arguments in writes:
        assert refusal(contract.send, function, *arguments) == "Contract is frozen"
    # The owner can clean up before it opens again.
    registry.send("removeConfigMapForIdentity", IDENTITY)
    for contract in (registry, kms):
        assert events(contract.send("unfreeze")) == [("Unpaused", owner)]
        assert refusal(contract.send, "unfreeze") == "ExpectedPause()"
    assert registry.call("IdentityAllowed", IDENTITY, owner) is False
    for contract, function, arguments in stopped[3:]:
        contract.call(function, *arguments)


def test_registry_064_a_guardian_can_stop_and_not_start(contract, owner, other):
    assert refusal(contract.send, "freeze", sender=other) == no_role(other, GUARDIAN)
    contract.send("grantRole", GUARDIAN, other)
    assert events(contract.send("freeze", sender=other)) == [("Paused", other)]
    assert refusal(contract.send, "unfreeze", sender=other) == not_owner(other)
    contract.send("unfreeze")


def test_registry_064_policies(registry, kms, owner):
    for contract in (registry, kms):
        assert contract.call("policy") == bytes(32)
        assert events(contract.send("setPolicy", POLICY)) == [("PolicySet", POLICY, owner)]
        assert contract.call("policy") == POLICY
    assert refusal(kms.send, "setApplicationPolicy", APP, POLICY) == "Application not allowlisted"
    kms.send("AllowApplication", APP)
    changed = [("ApplicationPolicySet", APP, POLICY, owner)]
    assert events(kms.send("setApplicationPolicy", APP, POLICY)) == changed
    assert kms.call("applicationPolicy", APP) == POLICY
    gone = [("ApplicationPolicySet", APP, bytes(32), owner), ("AllowlistedApplicationRemoved", APP, owner)]
    assert events(kms.send("RemoveAllowlistedApplication", APP)) == gone
    kms.send("AllowApplication", APP)
    assert kms.call("applicationPolicy", APP) == bytes(32)


def test_registry_064_ownership_moves_in_two_steps_and_takes_the_admin_role_along(contract, chain, owner, other):
    stranger = chain.accounts[2].address
    assert refusal(contract.send, "transferOwnership", other, sender=other) == not_owner(other)
    assert refusal(contract.send, "transferOwnership", ZERO) == f"OwnableInvalidOwner({ZERO})"
    assert events(contract.send("transferOwnership", other)) == [("OwnershipTransferStarted", owner, other)]
    assert (contract.call("owner"), contract.call("pendingOwner")) == (owner, other)
    assert refusal(contract.send, "setPolicy", POLICY, sender=other) == not_owner(other)
    assert refusal(contract.send, "acceptOwnership", sender=stranger) == not_owner(stranger)
    happened = events(contract.send("acceptOwnership", sender=other))
    assert ("OwnershipTransferred", owner, other) in happened
    assert ("RoleRevoked", ADMIN, owner, other) in happened
    assert ("RoleGranted", ADMIN, other, other) in happened
    # The deployer can neither decide nor grant any more, not even to itself; the new owner can take its roles.
    assert refusal(contract.send, "setPolicy", POLICY) == not_owner(owner)
    for role in (ADMIN, OPERATOR, GUARDIAN):
        assert refusal(contract.send, "grantRole", role, owner) == no_role(owner, ADMIN)
    contract.send("revokeRole", OPERATOR, owner, sender=other)
    assert refusal(contract.call, "IdentityAllowed", IDENTITY, owner) == "Operator not authorized"


def test_registry_064_an_offer_of_ownership_can_be_withdrawn(contract, owner, other):
    contract.send("transferOwnership", other)
    contract.send("transferOwnership", owner)
    assert refusal(contract.send, "acceptOwnership", sender=other) == not_owner(other)
    contract.send("acceptOwnership")
    contract.send("grantRole", OPERATOR, other)


def test_registry_064_the_admin_role_is_the_owners_alone(contract, owner, other):
    assert refusal(contract.send, "grantRole", ADMIN, other) == "AdminFollowsOwnership()"
    assert refusal(contract.send, "revokeRole", ADMIN, owner) == "AdminFollowsOwnership()"
    assert refusal(contract.send, "renounceRole", ADMIN, owner) == "AdminFollowsOwnership()"
    assert refusal(contract.send, "grantRole", ADMIN, other, sender=other) == no_role(other, ADMIN)


def test_registry_064_renouncing_leaves_nobody_who_decides(contract, owner, other):
    contract.send("grantRole", GUARDIAN, other)
    assert refusal(contract.send, "renounceOwnership", sender=other) == not_owner(other)
    contract.send("renounceOwnership")
    assert contract.call("owner") == ZERO
    assert refusal(contract.send, "grantRole", OPERATOR, owner) == no_role(owner, ADMIN)
    # The brake still works, and then for good.
    contract.send("freeze", sender=other)
    assert refusal(contract.send, "unfreeze") == not_owner(owner)


def test_registry_064_roles_are_granted_revoked_and_renounced(contract, owner, other):
    assert events(contract.send("grantRole", OPERATOR, other)) == [("RoleGranted", OPERATOR, other, owner)]
    assert refusal(contract.send, "grantRole", OPERATOR, other, sender=other) == no_role(other, ADMIN)
    assert refusal(contract.send, "revokeRole", OPERATOR, owner, sender=other) == no_role(other, ADMIN)
    assert events(contract.send("revokeRole", OPERATOR, other)) == [("RoleRevoked", OPERATOR, other, owner)]
    contract.send("grantRole", OPERATOR, other)
    assert refusal(contract.send, "renounceRole", OPERATOR, other) == "AccessControlBadConfirmation()"
    contract.send("renounceRole", OPERATOR, other, sender=other)
    assert contract.call("hasRole", OPERATOR, other) is False


def test_registry_064_a_timelock_can_own_it(chain, registry, owner):
    delay = 3600
    timelock = chain.deploy(Artifact("TimelockController", OPENZEPPELIN), delay, [owner], [owner], ZERO)

    def schedule(function, *arguments):
        planned = [registry.address, 0, registry.calldata(function, *arguments), bytes(32), bytes(32)]
        timelock.send("schedule", *planned, delay)
        return planned

    registry.send("transferOwnership", timelock.address)
    plans = [schedule("acceptOwnership"), schedule("setConfigForIdentity", IDENTITY, CONFIG)]
    refusal(timelock.send, "execute", *plans[0])  # too early
    chain.rpc("evm_increaseTime", delay)
    for plan in plans:
        timelock.send("execute", *plan)
    assert registry.call("owner") == timelock.address
    assert registry.call("hasRole", ADMIN, timelock.address) is True
    assert registry.call("IdentityAllowed", IDENTITY, owner) is True
    assert refusal(registry.send, "removeConfigMapForIdentity", IDENTITY) == not_owner(owner)


def test_registry_064_lists_end_before_they_cannot_be_read(chain, kms, owner):
    limit = kms.call("MAX_LIST_LENGTH")
    assert limit == 1024
    # Fills the list behind the contract's back, as 1,024 transactions would: its length stands in one slot.
    kms.send("AllowApplication", APP)
    read = kms.call("AllowlistedApplications")
    assert read == [APP]
    slots = [slot for slot in range(64) if chain.rpc("eth_getStorageAt", kms.address, hex(slot), "latest")[-1] == "1"]
    for slot in slots:
        before = chain.rpc("eth_getStorageAt", kms.address, hex(slot), "latest")
        chain.rpc("anvil_setStorageAt", kms.address, hex(slot), "0x" + limit.to_bytes(32, "big").hex())
        if len(kms.call("AllowlistedApplications")) == limit:
            break
        chain.rpc("anvil_setStorageAt", kms.address, hex(slot), before)
    assert refusal(kms.send, "AllowApplication", "0x" + "77" * 20) == "Too many entries"


# Flaws of the known system


def test_registry_flaw_04_an_artifact_has_no_other_name_than_its_hash(registry):
    receipt = registry.send("addArtifact", b"content")
    content = hashlib.sha256(b"content").digest()
    assert receipt.events[0].arguments[0] == content
    assert registry.call("getArtifact", content) == b"content"
    registry.send("addArtifact", b"other content")
    assert registry.call("getArtifact", content) == b"content", "what has a name keeps it"


def test_registry_flaw_05_an_extended_identity_is_allowed_by_itself(chain, registry, owner, tmp_path):
    """The known formula leaves out MRTD and more; the extended identities that `attestry registry identity` tells are
    other numbers, and allowing the narrow one allows none of them."""
    seen = []
    for firmware in ("08" * 48, "09" * 48):
        quote, narrow, extended = told_identities(
            tmp_path / firmware[:2], registry.address, chain.chain_id, "flaw 5", "--mrtd", firmware
        )
        registers = rtmrs_of(quote)
        zero = dict.fromkeys(("mrOwner", "mrConfigId", "mrConfigOwner"), bytes(48))
        report = {"mrTd": quote[184:232], "RTMRs": registers, **zero}
        assert registry.call("DCAPIdentity", report, []) == narrow == dcap_identity(registry.address, registers)
        assert extended == extended_identity(chain.chain_id, registry.address, quote)
        seen.append((narrow, extended))
    (narrow, extended), (same, other) = seen
    assert narrow == same and extended != other, "only the extended one tells them apart"
    registry.send("setConfigForIdentity", narrow, CONFIG)
    assert registry.call("IdentityAllowed", extended, owner) is False
    registry.send("removeConfigMapForIdentity", narrow)
    registry.send("setConfigForIdentity", extended, CONFIG)
    assert registry.call("IdentityAllowed", extended, owner) is True
    assert registry.call("IdentityAllowed", narrow, owner) is False
    assert registry.call("IdentityAllowed", other, owner) is False


def test_registry_flaw_06_an_operator_counts_only_with_the_role(kms, owner, other):
    kms.send("allowlistIdentity", IDENTITY)
    assert refusal(kms.call, "IdentityAllowed", IDENTITY, other) == "Operator not authorized"
    kms.send("grantRole", OPERATOR, other)
    assert kms.call("IdentityAllowed", IDENTITY, other) is True
    kms.send("revokeRole", OPERATOR, other)
    assert refusal(kms.call, "IdentityAllowed", IDENTITY, other) == "Operator not authorized"


def test_registry_flaw_08_an_application_that_is_removed_is_not_allowed(kms, owner):
    """In the known contract an application that was allowed twice and removed once stayed allowed, and none could be
    listed."""
    assert kms.call("ApplicationAllowed", APP) is False
    assert events(kms.send("AllowApplication", APP)) == [("ApplicationAllowlisted", APP, owner)]
    assert events(kms.send("AllowApplication", APP)) == []
    assert kms.call("ApplicationAllowed", APP) is True
    assert kms.call("AllowlistedApplications") == [APP]
    kms.send("RemoveAllowlistedApplication", APP)
    assert kms.call("ApplicationAllowed", APP) is False
    assert kms.call("AllowlistedApplications") == []
    assert events(kms.send("RemoveAllowlistedApplication", APP)) == []
