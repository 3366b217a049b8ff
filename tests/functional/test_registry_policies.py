"""Policies that contracts put in force by their SHA-256: an app's own, a key service's for an app, and a key service's for
its servers. The real contracts on anvil say them, at one block with everything else (docs/reference/contracts.md)."""

import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from evm import Anvil
from harness import request
from operators import Operator
from registry import (
    PEM,
    Released,
    Workload,
    allow,
    dcap_identity,
    ecies_open,
    raw_address,
    rtmrs_of,
    sha256,
    spki,
    start_registry,
)
from workload import commitment, forge, unb64u

CONFIG = b'{"listen":"0.0.0.0:443"}'
MASTER = bytes(range(32))
OPEN = {"format": 1, "name": "whatever is genuine"}
STRICT = {"format": 1, "name": "ours", "identities": [{"name": "ours", "claims": {"mrtd": ["11" * 48]}}]}
NONE = bytes(32)
UNKNOWN = b"\x05" * 32
SEED = "ab" * 16 + "\n"


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture
def kms(chain):
    return chain.deploy("Kms")


class Service:
    """A server of the key service, with what its owner does."""

    def __init__(self, folder, chain, endpoint, kms, **settings):
        self.chain, self.kms = chain, kms
        self.account = chain.accounts[0]
        master = folder / "master"
        master.write_text(MASTER.hex())
        self.server = start_registry(
            folder / "data",
            chain,
            **{
                "registry.kms": "simple",
                "registry.master": master,
                "registry.kms_contract": kms.address,
                "registry.contracts": "kms",
                "registry.rpc": endpoint.url,
                **settings,
            },
        )
        self.stores = Operator(self.server)

    def stored(self, policy):
        return bytes.fromhex(self.stores.blob(policy))

    def leaves(self, kind):
        return [leaf for leaf in self.server.leaves() if leaf["type"] == kind]


@pytest.fixture
def service(tmp_path, chain, endpoint, kms):
    made = Service(tmp_path, chain, endpoint, kms)
    yield made
    assert made.server.terminate() == 0, made.server.output


def refused(reply, status, *texts):
    assert reply.status == status and all(text in reply.text for text in texts), reply


def once_after(endpoint, method, number, act):
    """Does that, as soon as the endpoint has answered so many requests of that method."""
    answered = []

    def change(asked, _, answer):
        if asked == method:
            answered.append(asked)
            if len(answered) == number:
                act()
        return answer

    endpoint.change = change


# -- apps


@pytest.fixture(params=["app", "key service"])
def rule(request, service):
    """Whose contract names the policy of an app."""
    app = service.chain.deploy("Registry")
    service.kms.send("AllowApplication", app.address)
    return Rule(service, app, request.param)


class Rule:
    def __init__(self, service, app, whose):
        self.service, self.app, self.whose = service, app, whose
        self.label = "policy/contract" if whose == "app" else "policy/service"

    def set(self, digest):
        if self.whose == "app":
            self.app.send("setPolicy", digest)
        else:
            self.service.kms.send("setApplicationPolicy", self.app.address, digest)

    def workload(self):
        made = Workload(self.service.server, self.app.address, self.service.account.key)
        allow(self.app, made, CONFIG)
        return made


def test_registry_policy_that_accepts_is_in_the_leaf(rule):
    for digest in (NONE, rule.service.stored(OPEN)):
        rule.set(digest)
        released = Released(rule.workload().register())
        assert released.config == CONFIG
        leaf = rule.service.server.leaves()[int(released.headers["X-Attestry-Leaf"])]
        key = unb64u(released.headers["X-Attestry-Leaf-Key"])
        named = [name for name in leaf["outputs"] if name.startswith("policy/")]
        assert named == ([] if digest == NONE else [rule.label])
        if named:
            assert leaf["outputs"][rule.label] == commitment(key, rule.label, digest)


def test_registry_policy_that_refuses_names_its_check(rule):
    rule.set(rule.service.stored(STRICT))
    for path in ("register", "secrets"):
        reply = rule.workload().register(path)
        refused(reply, 403, f"policy of the {rule.whose}'s contract", "policy.measurement.allowed")
        assert reply.headers["X-Attestry-Appraisal"]
    assert rule.service.leaves("release.registry") == []


def test_registry_policy_that_is_not_stored_or_none_is_no_denial(rule):
    rule.set(UNKNOWN)
    made = rule.workload()
    refused(made.register(), 503, "not stored here", f"the {rule.whose}'s contract", UNKNOWN.hex())
    rule.set(rule.service.stored(b"[]"))
    refused(rule.workload().register(), 502, f"policy of the {rule.whose}'s contract")
    rule.set(rule.service.stored(OPEN))
    assert made.register().status == 200, "an outage does not use evidence up"


def test_registry_policy_changed_while_a_workload_is_looked_at(rule, endpoint):
    """Everything is of the block that was asked for first: a list of one block is not mixed with a policy of another,
    and a change helps nobody who has come before it. Before the release the chain is asked once more."""
    strict = rule.service.stored(STRICT)
    rule.set(strict)
    made = rule.workload()
    once_after(endpoint, "eth_getBlockByNumber", 1, lambda: rule.set(NONE))
    refused(made.register(), 403, "policy.measurement.allowed")
    again = rule.workload()
    once_after(endpoint, "eth_getBlockByNumber", 1, lambda: rule.set(strict))
    refused(again.register(), 409, "the app was changed while this was decided")
    refused(rule.workload().register(), 403, "policy.measurement.allowed")


def test_registry_policy_and_list_are_one_question(rule, endpoint):
    rule.set(rule.service.stored(OPEN))
    made = rule.workload()
    endpoint.asked.clear()
    rounds = []
    endpoint.change = lambda method, _, answer: (rounds.append(endpoint.rounds) if method == "eth_call" else 0, answer)[
        1
    ]
    assert made.register().status == 200
    assert len(set(rounds)) == 1, rounds
    endpoint.change = None
    rule.service.kms.send("RemoveAllowlistedApplication", rule.app.address)
    refused(rule.workload().register(), 403, "application not allowed")
    if rule.whose == "app":
        rule.service.kms.send("AllowApplication", rule.app.address)
        rule.service.kms.send("freeze")
        refused(rule.workload().register(), 403, "application not allowed", "Contract is frozen")


# -- servers of the key service


class Candidate:
    """A machine that asks for the master, with a request of its own on the chain."""

    def __init__(self, service, nonce=0x0102030405):
        self.service, kms = service, service.kms
        self.key = ec.generate_private_key(ec.SECP256R1())
        pubkey, account = spki(self.key, PEM), str(service.account)
        self.data = (
            raw_address(kms.address)
            + sha256(pubkey + nonce.to_bytes((nonce.bit_length() + 7) // 8) + raw_address(account))
            + bytes(12)
        )
        self.quote = forge(service.server.seed, self.data)
        self.identity = dcap_identity(kms.address, rtmrs_of(self.quote))
        kms.send("allowlistIdentity", self.identity)
        [event] = kms.send("requestOnboard", (pubkey, nonce, account, self.quote)).events
        self.hash = event.arguments[0]

    def fetch(self):
        return request(self.service.server.registry, "GET", "/api/attested/onboard/" + self.hash.hex())

    def is_given(self):
        reply = self.fetch()
        assert reply.status == 200, reply
        assert ecies_open(self.key, reply.body) == MASTER
        return reply.body


@pytest.fixture
def giver(tmp_path, chain, endpoint, kms):
    vendor = tmp_path / "data"
    vendor.mkdir()
    (vendor / "forge.seed").write_text(SEED)
    mrtd = forge(SEED, bytes(64))[184:232].hex()
    own = tmp_path / "servers.json"
    own.write_text(json.dumps({**OPEN, "identities": [{"name": "key servers", "claims": {"mrtd": [mrtd]}}]}))
    made = Service(tmp_path, chain, endpoint, kms, **{"registry.policy": own})
    yield made
    assert made.server.terminate() == 0, made.server.output


def test_registry_policy_for_servers_that_accepts_is_in_the_leaf(giver):
    policy = giver.stored(OPEN)
    giver.kms.send("setPolicy", policy)
    candidate = Candidate(giver)
    blob = candidate.is_given()
    [leaf] = giver.leaves("release.onboard")
    says = lambda label, value: commitment(candidate.hash, label, value)  # noqa: E731
    assert leaf["outputs"] == {
        "identity": says("identity", candidate.identity),
        "operator": says("operator", raw_address(str(giver.account))),
        "policy/service": says("policy/service", policy),
    }
    assert leaf["app"] == f"evm:{giver.chain.chain_id}:0x{raw_address(giver.kms.address).hex()}"
    assert (leaf["binding"], leaf["reply"]) == (candidate.data.hex(), hashlib.sha256(blob).hexdigest())
    blocks = [giver.chain.block(number) for number in range(giver.chain.height + 1)]
    snapshots = [f"evm:{giver.chain.chain_id}@{int(block['number'], 16)}:{block['hash']}" for block in blocks]
    assert leaf["governance"] in {says("governance", snapshot.encode()) for snapshot in snapshots}


def test_registry_policy_for_servers_that_refuses_names_its_check(giver):
    giver.kms.send("setPolicy", giver.stored(STRICT))
    refused(Candidate(giver).fetch(), 403, "policy of the key service's contract: ", "policy.measurement.allowed")
    assert giver.leaves("release.onboard") == []


def test_registry_policy_for_servers_that_is_not_stored_or_none_is_no_denial(giver):
    giver.kms.send("setPolicy", UNKNOWN)
    candidate = Candidate(giver)
    refused(candidate.fetch(), 503, "not stored here", UNKNOWN.hex())
    giver.kms.send("setPolicy", giver.stored(b"[]"))
    refused(candidate.fetch(), 502, "policy of the key service's contract: ")
    assert giver.leaves("release.onboard") == []
    giver.kms.send("setPolicy", giver.stored(OPEN))
    candidate.is_given()


def test_registry_policy_changed_while_a_server_is_looked_at(giver, endpoint):
    """Between the first look at the request and the one question that decides."""
    strict = giver.stored(STRICT)
    candidate = Candidate(giver)
    once_after(endpoint, "eth_call", 1, lambda: giver.kms.send("setPolicy", strict))
    refused(candidate.fetch(), 403, "policy.measurement.allowed")
    endpoint.change = None
    giver.kms.send("setPolicy", NONE)
    candidate.is_given()


def test_registry_policy_changed_after_a_server_was_answered(giver):
    """The same bytes go to the same request, but never under a policy that refuses its server."""
    candidate = Candidate(giver)
    blob = candidate.is_given()
    giver.kms.send("setPolicy", giver.stored(STRICT))
    refused(candidate.fetch(), 403, "policy.measurement.allowed")
    giver.kms.send("setPolicy", giver.stored(OPEN))
    assert candidate.is_given() == candidate.is_given() == blob
    first, second = giver.leaves("release.onboard")
    assert "policy/service" not in first["outputs"]
    digest = hashlib.sha256(json.dumps(OPEN).encode()).digest()
    expected = hmac.digest(candidate.hash, len("policy/service").to_bytes(4) + b"policy/service" + digest, "sha256")
    assert second["outputs"]["policy/service"] == expected.hex()
    assert first["reply"] == second["reply"]
