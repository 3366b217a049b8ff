"""A property of the key manager's contract: nothing changes unless the rules say so, whoever calls what in which order
(contract_rules.py, keymanager_model.py)."""

import hashlib
import random

import abi
import contract_rules
import pytest
from evm import ZERO, Anvil
from keymanager import Key, attest_digest, named_digest, onboard_digest, register_digest, seed_onboard_digest
from keymanager_model import KeyManager
from registry_model import GUARDIAN, ROLES

STEPS = 320
MASTERS = [Key(bytes([0x40 + n]) * 32) for n in range(3)]
NEWCOMERS = [Key(bytes([0x60 + n]) * 32) for n in range(5)]
QUOTE = b"quote"
QUOTE_HASH = hashlib.sha256(QUOTE).digest()


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


class Arguments:
    """Small pools, so that calls meet each other's results; signatures are mostly good ones for the state of now."""

    def __init__(self, dice, model, accounts):
        self.dice, self.model, self.accounts = dice, model, accounts
        self.machine = [b"\1" * 32, b"\2" * 48, b"\3" * 48, b"\4" * 48]
        self.measurements = [b"\5" * 32, b"\6" * 32, abi.keccak(b"".join(self.machine))]
        self.fmspcs = [b"\7" * 6 + bytes(10), b"\x08" * 6 + bytes(10)]
        self.members = [key.address for key in NEWCOMERS]
        self.boxes = [bytes([n]) * 32 for n in (0x11, 0x12, 0x13)]
        attestations = [
            ("pod", self.boxes[0], self.sign(master, digest))
            for master in MASTERS
            for digest in (named_digest("pod", self.boxes[0]), attest_digest(self.boxes[0]))
        ]
        self.pools = {
            "measurement": self.measurements,
            "fmspc": self.fmspcs,
            "member": self.members,
            "key": self.boxes,
            "attestation": [*attestations, ("pod", self.boxes[0], bytes(65))],
        }

    def sign(self, key, digest):
        """Now and then one that is no good."""
        if self.dice.random() < 0.1:
            return b"\x1b" + bytes(64)
        signature = key.sign(digest)
        self.model.signed[signature] = (key.address, digest)
        return signature

    def master(self):
        """Mostly who holds the key of now."""
        now = [key for key in MASTERS if key.address == self.model.xpub]
        return self.dice.choice([*now * 4, MASTERS[0]])

    def evidence(self):
        return self.dice.choice([[QUOTE_HASH, QUOTE]] * 6 + [[QUOTE_HASH, b""], [QUOTE_HASH, b"another"]])

    def payer(self):
        """Mostly who sends most."""
        return self.dice.choice([*self.accounts, self.model.owner, self.model.owner])

    def rotation(self):
        key = self.dice.choice(MASTERS)
        return [key.address, self.sign(key, self.model.typed("Rotation", key.address, self.model.epoch + 1))]

    def joining(self):
        key, box, payer = self.dice.choice(NEWCOMERS), self.dice.choice(self.boxes), self.payer()
        digest = self.model.typed("Join", key.address, box, payer, QUOTE_HASH, self.model.epoch)
        return [key.address, box, self.sign(key, digest)]

    def onboarding(self, name, pool, known):
        who, fmspc = self.dice.choice(pool), self.dice.choice(self.fmspcs)
        measurement = self.dice.choice(self.measurements)
        ours = self.model.typed(name, who, fmspc, measurement, b"answer", self.model.epoch)
        digest = self.dice.choice([ours, ours, known(who, fmspc, measurement)])
        return [who, fmspc, measurement, b"answer", self.sign(self.master(), digest)]

    def of(self, function):
        pick = self.dice.choice
        keys = [*(key.address for key in MASTERS), ZERO]
        accounts = [*self.accounts, ZERO]
        newcomer = pick(NEWCOMERS)
        short = [*self.machine[:3], bytes(47)]
        makers = {
            "transferOwnership": lambda: [pick([*self.accounts[:2], ZERO])],
            "grantRole": lambda: [pick(ROLES), pick(accounts)],
            "revokeRole": lambda: [pick(ROLES), pick(accounts)],
            "renounceRole": lambda: [pick(ROLES), pick(accounts)],
            "setPolicy": lambda: [pick(self.measurements)],
            "bootstrap": lambda: [pick(keys)],
            "bootstrapWithEvidence": lambda: [pick(keys), *self.evidence()],
            "rotate": lambda: [*self.rotation(), *self.evidence()],
            "postEvidence": lambda: [pick(keys), *self.evidence()],
            "allowMrtd": lambda: [pick([*self.measurements[:2], bytes(32)]), pick([True, True, False])],
            "allowMrenclave": lambda: [pick([*self.measurements[:2], bytes(32)]), pick([True, True, False])],
            "set_mrtd": lambda: [*pick([self.machine, self.machine, short]), pick([True, False])],
            "allowTcb": lambda: [pick(self.fmspcs), pick([0, 17]), pick([0, 1, 3, 63, 64])],
            "set_container": lambda: [pick(["image", "", "x" * 20481])],
            "setUnboundOnboarding": lambda: [pick([True, False])],
            "register(address,bytes)": lambda: [
                newcomer.address,
                self.sign(newcomer, register_digest(self.payer())),
            ],
            "register(bytes32)": lambda: [pick([*self.boxes, bytes(32)])],
            "join": lambda: [*self.joining(), *self.evidence()],
            "onboard(address,bytes16,bytes32,bytes,bytes)": lambda: self.onboarding(
                "Onboard", self.members, lambda who, *rest: onboard_digest(who, *rest, b"answer")
            ),
            "onboard(bytes32,bytes16,bytes32,bytes,bytes)": lambda: self.onboarding(
                "OnboardKey", self.boxes, lambda who, *rest: seed_onboard_digest(who, b"answer")
            ),
            "deregister": lambda: [pick(self.members)],
            "deregisterKey": lambda: [pick(self.boxes)],
            "resign": lambda: [
                newcomer.address,
                self.sign(newcomer, self.model.typed("Resign", newcomer.address, self.model.epoch)),
            ],
        }
        return makers.get(function, list)()


@pytest.mark.parametrize("seed", range(4))
def test_keymanager_random_calls_change_only_what_the_rules_allow(chain, seed):
    contract = chain.deploy("KeyManager")
    accounts = [account.address for account in chain.accounts[:3]]
    model = KeyManager(contract.address, accounts[0], chain.chain_id, {})
    arguments = Arguments(random.Random(seed), model, accounts)
    changing = contract_rules.changing(contract, model)
    contract.send("grantRole", GUARDIAN, accounts[1])
    model.grantRole(accounts[0], GUARDIAN, accounts[1])
    contract.send("bootstrap", MASTERS[0].address)
    model.bootstrap(accounts[0], MASTERS[0].address)
    lists = ["rotate", *(name for name in changing if name.startswith("allow"))]
    members = [name for name in changing if name.startswith(("register", "join", "onboard"))]
    contract_rules.walk(
        contract, model, arguments, accounts, [changing, lists, members, members, members, members], STEPS
    )
