"""Reputation and its factory on a real chain: the known interface, what is refused that the originals took, and what ours
add: referrers that are trusted for a reason, and an ownership that survives a tracker with another key."""

import hashlib

import abi
import pytest
import reputation_gas
from evm import OLDER, ZERO, Anvil, Artifact, Reverted

DAY = 86400
QUOTE, OTHER_QUOTE = b"quote" * 1000, b"other" * 1000
SHOWN = hashlib.sha256(QUOTE).digest()
NOTHING = bytes(32)
PASSWORD = hashlib.sha256(b"password").digest()
EMPTY = ("", "", NOTHING, 0, 0)
ALICE = ("alice", "salt", PASSWORD, 1024, 2048)
NOT_OWNER = "Only the owner can call this function."
NOT_GUARDIAN = "Only the guardian can call this function."
NOT_GOVERNANCE = "Only governance can call this function."
FROZEN = "Contract is frozen"

# Of the first generation, as its clients have them compiled in.
REPUTATION = {
    "addUser(string,string,bytes32,uint256,uint256)": "0923742b",
    "allUsers(string)": "85a702be",
    "getOffchainDataUrl()": "49c1a25e",
    "getUserData(string)": "54ab2403",
    "migrateUserData(string)": "03260ecb",
    "offchainDataUrl()": "b5403e07",
    "owner()": "8da5cb5b",
    "referrerReputation()": "0fcf75e7",
    "setOffchainDataUrl(string)": "91bd8ff3",
    "updateUser(string,uint256,uint256)": "293bf5b4",
}
FACTORY = {"createReputation(address,bytes)": "372e3ff5"}
CREATED = "ReputationCreated(address,address,address,bytes)"


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


class World:
    """A factory under governance, and trackers that make their reputations with it."""

    def __init__(self, chain):
        self.chain = chain
        self.governance, self.tracker, self.second, self.third, self.stranger = chain.accounts[:5]
        self.factory = chain.deploy("ReputationFactory", self.governance.address, 7 * DAY, sender=self.governance)

    def created(self, referrer=ZERO, evidence=QUOTE, by=None):
        """The event's arguments: address, owner, accepted referrer, evidence."""
        receipt = self.factory.send("createReputation", referrer, evidence, sender=by or self.tracker)
        (event,) = receipt.events
        assert event.name == "ReputationCreated"
        return event.arguments

    def make(self, referrer=ZERO, evidence=QUOTE, by=None):
        return self.chain.contract("Reputation", self.created(referrer, evidence, by)[0])

    def guarded(self, guardian, delay=DAY):
        receipt = self.factory.send("createGuarded", ZERO, QUOTE, str(guardian), delay, sender=self.tracker)
        return self.chain.contract("Reputation", receipt.events[0].arguments[0])

    def attest(self, account, evidence=QUOTE):
        self.factory.send("setAttested", account.address, hashlib.sha256(evidence).digest(), sender=self.governance)

    def later(self, seconds):
        self.chain.rpc("evm_increaseTime", seconds)
        self.chain.mine()


@pytest.fixture
def world(chain):
    return World(chain)


@pytest.fixture
def ledger(world):
    """The first tracker's, attested, with one member."""
    contract = world.make()
    contract.send("addUser", *ALICE, sender=world.tracker)
    world.attest(world.tracker)
    return contract


def refusal(call, *arguments, **options):
    with pytest.raises(Reverted) as caught:
        call(*arguments, **options)
    return caught.value.reason


def events(receipt):
    return [(event.name, *event.arguments) for event in receipt.events]


# The known interface


@pytest.mark.parametrize(("name", "known"), [("Reputation", REPUTATION), ("ReputationFactory", FACTORY)])
def test_the_known_selectors(name, known):
    selectors = Artifact(name).about["selectors"]
    assert {signature: selectors.get(signature) for signature in known} == known


def test_the_known_shapes():
    reputation, factory = Artifact("Reputation"), Artifact("ReputationFactory")
    user = "(string,string,bytes32,uint256,uint256)"
    assert [str(kind) for kind in reputation.functions["getUserData"].outputs] == [user]
    flat = ["string", "string", "bytes32", "uint256", "uint256"]
    assert [str(kind) for kind in reputation.functions["allUsers"].outputs] == flat
    (created,) = [event for event in factory.events if event.signature == CREATED]
    assert created.indexed == [False] * 4


def test_a_tracker_writes_its_members(world):
    contract = world.make()
    assert contract.call("owner") == world.tracker.address
    assert contract.call("referrerReputation") == ZERO
    assert contract.call("getUserData", "alice") == EMPTY
    contract.send("addUser", *ALICE, sender=world.tracker)
    assert contract.call("getUserData", "alice") == ALICE
    assert tuple(contract.call("allUsers", "alice")) == ALICE
    contract.send("updateUser", "alice", 5, 2**128 - 1, sender=world.tracker)
    assert contract.call("getUserData", "alice") == (*ALICE[:3], 5, 2**128 - 1)
    contract.send("setOffchainDataUrl", "ipfs://x", sender=world.tracker)
    assert contract.call("getOffchainDataUrl") == contract.call("offchainDataUrl") == "ipfs://x"


def test_long_names_and_salts(world):
    contract = world.make()
    user = ("n" * 100, "s" * 100, PASSWORD, 0, 0)
    contract.send("addUser", *user, sender=world.tracker)
    assert contract.call("getUserData", user[0]) == user


def test_only_the_owner_writes(world, ledger):
    stranger = world.stranger
    assert refusal(ledger.send, "addUser", *ALICE, sender=stranger) == NOT_OWNER
    assert refusal(ledger.send, "updateUser", "alice", 0, 9, sender=stranger) == NOT_OWNER
    assert refusal(ledger.send, "setOffchainDataUrl", "x", sender=stranger) == NOT_OWNER
    assert refusal(ledger.send, "setReferrer", ZERO, ZERO, NOTHING, sender=stranger) == NOT_OWNER
    assert refusal(ledger.send, "attest", QUOTE, sender=stranger) == NOT_OWNER
    assert refusal(ledger.send, "transferOwnership", stranger.address, sender=stranger) == NOT_OWNER


def test_the_known_refusals(world, ledger):
    assert refusal(ledger.send, "updateUser", "bob", 1, 1, sender=world.tracker) == "User does not exist"
    assert refusal(ledger.send, "migrateUserData", "alice") == "User exists"


# Members


def test_adding_never_overwrites(world, ledger):
    again = ("alice", "", PASSWORD, 0, 10**12)
    assert refusal(ledger.send, "addUser", *again, sender=world.tracker) == "User exists"
    assert ledger.call("getUserData", "alice") == ALICE


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        (("bob", "", NOTHING, 1, 1), "Password hash is zero"),
        (("", "", PASSWORD, 1, 1), "Username is empty"),
        (("bob", "", PASSWORD, 2**128, 1), "Size too large"),
        (("bob", "", PASSWORD, 1, 2**128), "Size too large"),
    ],
)
def test_members_that_cannot_be(world, ledger, user, reason):
    assert refusal(ledger.send, "addUser", *user, sender=world.tracker) == reason


def test_an_update_that_cannot_be(world, ledger):
    assert refusal(ledger.send, "updateUser", "alice", 2**128, 0, sender=world.tracker) == "Size too large"
    assert refusal(ledger.send, "updateUser", "alice", 0, 2**128, sender=world.tracker) == "Size too large"


# Creation


def test_evidence_is_kept_as_its_hash_and_emitted_whole(world):
    made, owner, referrer, evidence = world.created()
    assert (owner, referrer, evidence) == (world.tracker.address, ZERO, QUOTE)
    assert world.chain.contract("Reputation", made).call("attestation") == SHOWN
    assert world.make(evidence=b"").call("attestation") == NOTHING


def test_the_event_names_the_accepted_referrer(world, ledger):
    assert world.created(ledger.address, by=world.second)[2] == ledger.address
    assert world.make(ledger.address, by=world.second).call("referrerReputation") == ledger.address


def test_referrers_that_are_not_accepted(world, ledger):
    fake = world.chain.deploy(Artifact("FirstReputation", OLDER), sender=world.stranger)
    elsewhere = World(world.chain).make()
    silent = world.make(evidence=b"")
    ledger.send("freeze", sender=world.governance)
    implementation = world.factory.call("implementation")
    nobody = "0x" + "77" * 20
    for referrer in (nobody, fake, elsewhere, silent, ledger, world.factory, implementation):
        address = getattr(referrer, "address", referrer)
        made, _, accepted, _ = world.created(address, by=world.second)
        assert accepted == ZERO, address
        assert world.chain.contract("Reputation", made).call("referrerReputation") == ZERO


def test_nobody_but_the_factory_initialises(world, ledger):
    implementation = world.chain.contract("Reputation", world.factory.call("implementation"))
    arguments = [world.stranger.address, ZERO, SHOWN, ZERO, 0]
    for contract in (implementation, ledger):
        assert (
            refusal(contract.send, "initialize", *arguments, sender=world.stranger)
            == "Only the factory can call this function."
        )
    # A proxy of the implementation that somebody else makes stays without an owner.
    code = bytes.fromhex("3d602d80600a3d3981f3363d3d373d3d3d363d73") + bytes.fromhex(implementation.address[2:])
    code += bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
    stray = world.chain.contract("Reputation", world.chain.send(None, code, world.stranger)["contractAddress"])
    assert refusal(stray.send, "initialize", *arguments, sender=world.stranger).startswith("Only the factory")
    assert stray.call("owner") == ZERO
    assert world.created(stray.address, by=world.second)[2] == ZERO


def slot(number):
    return number.to_bytes(32, "big")


def forged(world, storage):
    """A proxy with the genuine ones' code over storage of the maker's choice: the code that creates it writes that first."""
    code = bytes.fromhex("363d3d373d3d3d363d73" + world.factory.call("implementation")[2:])
    code += bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
    writes = b"".join(b"\x7f" + value + b"\x7f" + key + b"\x55" for key, value in storage.items())
    # PUSH1 length, DUP1, PUSH2 offset, PUSH0, CODECOPY, PUSH0, RETURN
    offset = len(writes) + 10
    made = writes + bytes([0x60, len(code), 0x80, 0x61]) + offset.to_bytes(2, "big") + bytes.fromhex("5f395ff3") + code
    return world.chain.contract("Reputation", world.chain.send(None, made, world.stranger)["contractAddress"])


def test_code_alone_makes_no_genuine_one(world, ledger):
    """The tracker's account is attested, and somebody else makes what looks like that account's contract."""
    mallory = abi.keccak(b"mallory" + slot(8))
    fake = forged(
        world,
        {
            slot(0): bytes(12) + bytes.fromhex(world.tracker.address[2:]),
            slot(1): bytes(12) + bytes.fromhex(ledger.address[2:]),
            slot(2): SHOWN,
            mallory: PASSWORD,
            slot(int.from_bytes(mallory, "big") + 1): slot(2**100 << 128),
        },
    )
    assert world.chain.rpc("eth_getCode", fake.address, "latest") == world.chain.rpc(
        "eth_getCode", ledger.address, "latest"
    )
    assert fake.call("factory") == world.factory.address
    assert tuple(fake.call("standing")) == (world.tracker.address, SHOWN, False)
    assert fake.call("getUserData", "mallory") == ("mallory", "", PASSWORD, 0, 2**100)
    assert world.created(fake.address, by=world.second)[2] == ZERO
    # Nor does the owner's word for an attested tracker hold for it.
    successor = world.make(by=world.second)
    vouched = (fake.address, world.tracker.address, SHOWN)
    assert refusal(successor.send, "setReferrer", *vouched, sender=world.second) == "Referrer is not as said"
    assert world.factory.call("made", ledger.address) is True
    assert world.factory.call("made", fake.address) is False


# Migration


def test_a_member_moves_from_an_attested_tracker(world, ledger):
    successor = world.make(ledger.address, by=world.second)
    receipt = successor.send("migrateUserData", "alice", sender=world.stranger)
    assert events(receipt) == [("UserMigrated", "alice", ledger.address)]
    assert successor.call("getUserData", "alice") == ALICE


def test_a_referrer_that_nobody_vouches_for_is_not_trusted(world):
    # Anybody may make one with the factory, with any evidence, and write of himself what he likes.
    fake = world.make(by=world.stranger)
    fake.send("addUser", "mallory", "", PASSWORD, 0, 2**100, sender=world.stranger)
    world.attest(world.tracker)  # the same evidence, of somebody else
    successor = world.make(fake.address, by=world.second)
    assert refusal(successor.send, "migrateUserData", "mallory") == "Referrer is not trusted"
    world.attest(world.stranger, OTHER_QUOTE)  # other evidence of his
    assert refusal(successor.send, "migrateUserData", "mallory") == "Referrer is not trusted"
    assert successor.call("getUserData", "mallory") == EMPTY


def test_trust_is_taken_back(world, ledger):
    successor = world.make(ledger.address, by=world.second)
    world.factory.send("setAttested", world.tracker.address, NOTHING, sender=world.governance)
    assert refusal(successor.send, "migrateUserData", "alice") == "Referrer is not trusted"


def test_a_frozen_referrer_gives_nothing(world, ledger):
    successor = world.make(ledger.address, by=world.second)
    ledger.send("freeze", sender=world.governance)
    assert refusal(successor.send, "migrateUserData", "alice") == "Referrer is frozen"
    ledger.send("unfreeze", sender=world.governance)
    successor.send("migrateUserData", "alice")


def test_nothing_found_is_said(world, ledger):
    successor = world.make(ledger.address, by=world.second)
    assert refusal(successor.send, "migrateUserData", "bob") == "User not found"
    assert refusal(ledger.send, "migrateUserData", "bob") == "No referrer"


def test_a_member_moves_over_several_hops(world, ledger):
    for account in (world.second, world.third):
        world.attest(account)
    second = world.make(ledger.address, by=world.second)
    third = world.make(second.address, by=world.third)
    receipt = third.send("migrateUserData", "alice")
    assert events(receipt) == [("UserMigrated", "alice", ledger.address)]
    assert third.call("getUserData", "alice") == ALICE
    assert second.call("getUserData", "alice") == EMPTY


def test_every_hop_must_be_trusted(world):
    fake = world.make(by=world.stranger)
    fake.send("addUser", "mallory", "", PASSWORD, 0, 2**100, sender=world.stranger)
    world.attest(world.second)
    second = world.make(fake.address, by=world.second)
    third = world.make(second.address, by=world.third)
    assert refusal(third.send, "migrateUserData", "mallory") == "Referrer is not trusted"


def test_a_chain_of_referrers_ends(world, ledger):
    last = ledger
    for _ in range(8):
        last = world.make(last.address)
    last.send("migrateUserData", "alice")
    longer = world.make(world.make(world.make(ledger.address).address).address)
    for _ in range(6):
        longer = world.make(longer.address)
    assert refusal(longer.send, "migrateUserData", "alice") == "Too many referrers"
    # And a ring is a chain without an end.
    ledger.send("setReferrer", last.address, world.tracker.address, SHOWN, sender=world.tracker)
    assert refusal(ledger.send, "migrateUserData", "bob") == "Too many referrers"


def test_the_owner_vouches_for_a_referrer(world, ledger):
    world.factory.send("setAttested", world.tracker.address, NOTHING, sender=world.governance)
    successor = world.make(ledger.address, by=world.second)
    receipt = successor.send("setReferrer", ledger.address, world.tracker.address, SHOWN, sender=world.second)
    assert events(receipt) == [("ReferrerSet", ledger.address, world.tracker.address, SHOWN)]
    successor.send("migrateUserData", "alice")
    assert successor.call("getUserData", "alice") == ALICE


def test_vouching_is_for_one_owner_and_one_evidence(world, ledger):
    world.factory.send("setAttested", world.tracker.address, NOTHING, sender=world.governance)
    successor = world.make(ledger.address, by=world.second)
    arguments = (ledger.address, world.tracker.address, SHOWN)
    for wrong in ((ledger.address, world.third.address, SHOWN), (ledger.address, world.tracker.address, PASSWORD)):
        assert refusal(successor.send, "setReferrer", *wrong, sender=world.second) == "Referrer is not as said"
    successor.send("setReferrer", *arguments, sender=world.second)
    ledger.send("attest", OTHER_QUOTE, sender=world.tracker)
    assert refusal(successor.send, "migrateUserData", "alice") == "Referrer is not trusted"
    ledger.send("attest", QUOTE, sender=world.tracker)
    ledger.send("transferOwnership", world.stranger.address, sender=world.tracker)
    ledger.send("acceptOwnership", sender=world.stranger)
    ledger.send("attest", QUOTE, sender=world.stranger)
    assert refusal(successor.send, "migrateUserData", "alice") == "Referrer is not trusted"


def test_only_an_attested_owner_vouches(world, ledger):
    successor = world.make(evidence=b"", by=world.second)
    arguments = ["setReferrer", ledger.address, world.tracker.address, SHOWN]
    assert refusal(successor.send, *arguments, sender=world.second) == "Owner is not attested"
    receipt = successor.send("attest", OTHER_QUOTE, sender=world.second)
    shown = hashlib.sha256(OTHER_QUOTE).digest()
    assert events(receipt) == [("Attested", world.second.address, shown, OTHER_QUOTE)]
    successor.send(*arguments, sender=world.second)
    successor.send("migrateUserData", "alice")


def test_a_first_generation_contract_needs_the_owners_word(world):
    old = world.chain.deploy(Artifact("FirstReputation", OLDER), sender=world.tracker)
    old.send("addUser", *ALICE)
    successor = world.make(old.address, by=world.second)
    assert refusal(successor.send, "migrateUserData", "alice") == "No referrer"
    successor.send("setReferrer", old.address, world.tracker.address, NOTHING, sender=world.second)
    before = world.chain.snapshot()
    old.send("give", world.stranger.address)
    assert refusal(successor.send, "migrateUserData", "alice") == "Referrer is not trusted"
    world.chain.revert(before)
    receipt = successor.send("migrateUserData", "alice")
    assert events(receipt) == [("UserMigrated", "alice", old.address)]
    assert successor.call("getUserData", "alice") == ALICE


def test_a_referrer_of_another_factory(world):
    elsewhere = World(world.chain)
    old = elsewhere.make()
    old.send("addUser", *ALICE, sender=world.tracker)
    successor = world.make(by=world.second)
    successor.send("setReferrer", old.address, world.tracker.address, NOTHING, sender=world.second)
    old.send("freeze", sender=world.tracker)
    assert refusal(successor.send, "migrateUserData", "alice") == "Referrer is frozen"
    old.send("unfreeze", sender=world.governance)
    successor.send("migrateUserData", "alice")


def test_a_referrer_is_taken_away(world, ledger):
    successor = world.make(ledger.address, by=world.second)
    successor.send("setReferrer", ZERO, ZERO, NOTHING, sender=world.second)
    assert refusal(successor.send, "migrateUserData", "alice") == "No referrer"
    own = ["setReferrer", successor.address, world.second.address, SHOWN]
    assert refusal(successor.send, *own, sender=world.second) == "A contract cannot refer to itself"


# Ownership


def test_ownership_moves_when_it_is_accepted(world, ledger):
    receipt = ledger.send("transferOwnership", world.second.address, sender=world.tracker)
    assert events(receipt) == [("OwnershipTransferStarted", world.tracker.address, world.second.address)]
    assert ledger.call("owner") == world.tracker.address
    pending = "Only the pending owner can call this function."
    assert refusal(ledger.send, "acceptOwnership", sender=world.stranger) == pending
    receipt = ledger.send("acceptOwnership", sender=world.second)
    assert events(receipt) == [("OwnershipTransferred", world.tracker.address, world.second.address)]
    assert refusal(ledger.send, "updateUser", "alice", 0, 0, sender=world.tracker) == NOT_OWNER
    ledger.send("updateUser", "alice", 1, 1, sender=world.second)
    assert refusal(ledger.send, "acceptOwnership", sender=world.second) == pending


def test_evidence_ends_with_its_owner(world, ledger):
    successor = world.make(ledger.address, by=world.third)
    ledger.send("transferOwnership", world.second.address, sender=world.tracker)
    ledger.send("acceptOwnership", sender=world.second)
    assert ledger.call("attestation") == NOTHING
    assert refusal(successor.send, "migrateUserData", "alice") == "Referrer is not trusted"
    ledger.send("attest", OTHER_QUOTE, sender=world.second)
    world.attest(world.second, OTHER_QUOTE)
    successor.send("migrateUserData", "alice")


def test_a_tracker_with_another_key_is_recovered(world, ledger):
    assert refusal(ledger.send, "startRecovery", world.second.address, sender=world.tracker) == NOT_GUARDIAN
    receipt = ledger.send("startRecovery", world.second.address, sender=world.governance)
    until = int(world.chain.block(receipt.get("blockNumber"))["timestamp"], 16) + 7 * DAY
    assert events(receipt) == [("RecoveryStarted", world.second.address, until, world.governance.address)]
    assert refusal(ledger.send, "finishRecovery", sender=world.second) == "Too early"
    world.later(7 * DAY - 10)
    assert refusal(ledger.send, "finishRecovery", sender=world.second) == "Too early"
    world.later(10)
    recovering = "Only the recovering owner can call this function."
    assert refusal(ledger.send, "finishRecovery", sender=world.governance) == recovering
    ledger.send("finishRecovery", sender=world.second)
    assert ledger.call("owner") == world.second.address
    assert ledger.call("attestation") == NOTHING
    ledger.send("updateUser", "alice", 1, 1, sender=world.second)
    assert refusal(ledger.send, "updateUser", "alice", 0, 0, sender=world.tracker) == NOT_OWNER
    assert refusal(ledger.send, "finishRecovery", sender=world.second) == recovering


def test_an_owner_who_is_alive_objects(world, ledger):
    ledger.send("startRecovery", world.second.address, sender=world.governance)
    assert refusal(ledger.send, "cancelRecovery", sender=world.stranger).startswith("Only the owner or the guardian")
    receipt = ledger.send("cancelRecovery", sender=world.tracker)
    assert events(receipt) == [("RecoveryCancelled", world.second.address, world.tracker.address)]
    world.later(8 * DAY)
    assert refusal(ledger.send, "finishRecovery", sender=world.second).startswith("Only the recovering owner")
    assert refusal(ledger.send, "cancelRecovery", sender=world.tracker) == "No recovery"


def test_a_guardian_of_its_own(world):
    contract = world.guarded(world.third, 2 * DAY)
    assert contract.call("guardian") == world.third.address
    assert contract.call("recoveryDelay") == 2 * DAY
    assert refusal(contract.send, "startRecovery", world.second.address, sender=world.governance) == NOT_GUARDIAN
    contract.send("startRecovery", world.second.address, sender=world.third)
    world.later(2 * DAY)
    contract.send("finishRecovery", sender=world.second)
    assert contract.call("owner") == world.second.address
    short = "Recovery delay below one day"
    arguments = [ZERO, QUOTE, world.third.address, DAY - 1]
    assert refusal(world.factory.send, "createGuarded", *arguments, sender=world.tracker) == short
    assert refusal(world.chain.deploy, "ReputationFactory", world.governance.address, DAY - 1) == short
    assert refusal(world.factory.send, "createGuarded", ZERO, QUOTE, ZERO, DAY) == "Zero address"


def test_freezing_stops_every_change(world, ledger):
    successor = world.make(ledger.address, by=world.second)
    assert refusal(successor.send, "freeze", sender=world.stranger).startswith("Only the owner or the guardian")
    assert events(successor.send("freeze", sender=world.second)) == [("Frozen", world.second.address)]
    by = {"sender": world.second}
    assert refusal(successor.send, "addUser", *ALICE, **by) == FROZEN
    assert refusal(successor.send, "updateUser", "alice", 0, 0, **by) == FROZEN
    assert refusal(successor.send, "migrateUserData", "alice", **by) == FROZEN
    assert refusal(successor.send, "setReferrer", ZERO, ZERO, NOTHING, **by) == FROZEN
    assert refusal(successor.send, "setOffchainDataUrl", "x", **by) == FROZEN
    assert refusal(successor.send, "attest", QUOTE, **by) == FROZEN
    assert refusal(successor.send, "transferOwnership", world.third.address, **by) == FROZEN
    assert refusal(successor.send, "acceptOwnership", **by) == FROZEN
    assert refusal(successor.send, "unfreeze", **by) == NOT_GUARDIAN
    assert events(successor.send("unfreeze", sender=world.governance)) == [("Unfrozen", world.governance.address)]
    successor.send("migrateUserData", "alice", **by)


# The factory


def test_only_governance_says_who_is_attested(world):
    arguments = ["setAttested", world.stranger.address, SHOWN]
    assert refusal(world.factory.send, *arguments, sender=world.stranger) == NOT_GOVERNANCE
    receipt = world.factory.send(*arguments, sender=world.governance)
    assert events(receipt) == [("AttestedSet", world.stranger.address, SHOWN, world.governance.address)]
    assert world.factory.call("attestedAs", world.stranger.address) == SHOWN


def test_governance_moves_when_it_is_accepted(world, ledger):
    factory = world.factory
    assert refusal(factory.send, "transferGovernance", world.third.address, sender=world.third) == NOT_GOVERNANCE
    factory.send("transferGovernance", world.third.address, sender=world.governance)
    assert factory.call("governance") == world.governance.address
    assert refusal(factory.send, "acceptGovernance", sender=world.stranger).startswith("Only the pending governance")
    factory.send("acceptGovernance", sender=world.third)
    assert factory.call("governance") == ledger.call("guardian") == world.third.address
    assert refusal(factory.send, "setAttested", world.third.address, SHOWN, sender=world.governance) == NOT_GOVERNANCE


# The page


def test_the_reference_page_is_complete_and_measured():
    page = reputation_gas.PAGE.read_text()
    for name in ("Reputation", "ReputationFactory"):
        artifact = Artifact(name)
        for entry in artifact.functions.values():
            assert f"| `{entry.signature}` | `{entry.selector.hex()}` |" in page, entry.signature
        for entry in artifact.events:
            assert f"| `{entry.signature}` | `{entry.topic.hex()}` |" in page, entry.signature
    assert reputation_gas.PAGE.table() == reputation_gas.table(), "make contracts-gas"


def test_nothing_costs_more_than_in_the_first_generation():
    for call, ours, seed in reputation_gas.compared():
        assert ours <= seed, call
