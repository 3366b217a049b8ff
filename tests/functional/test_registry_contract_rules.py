"""A property of the contracts: nothing changes unless the rules say so. Random accounts call random functions; a model of
a few lines (registry_model.py) says which calls must succeed, and with what answers. The node's trace of each transaction
shows that a refused call changed not one bit of storage, and that every change left an event."""

import hashlib
import random

import contract_rules
import pytest
from evm import ZERO, Anvil
from registry_model import OPERATOR, ROLES, Kms, Registry, dcap_report, onboard_hash

STEPS = 160


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


class Arguments:
    """Small pools, so that calls meet each other's results."""

    def __init__(self, dice, model, accounts):
        self.dice, self.model, self.accounts = dice, model, accounts
        self.reports = [dcap_report(b"\1"), dcap_report(b"\2")]
        self.pcrs = [{"PCRs": [bytes([n]) * 32 for n in range(24)]}]
        self.words = [bytes(32), b"\1" * 32, b"\2" * 32]
        self.domains = ["one.example", "two.example:8443", "", "x" * 261]
        self.backends = ["file:///srv/blobs/", "s3://bucket/prefix/", ""]
        self.contents = [b"{}", b"secret", b"", b"x" * 20481]
        self.applications = ["0x" + "a1" * 20, "0x" + "b2" * 20]
        self.requests = [(b"KEY", 7, account, b"EVIDENCE") for account in accounts] + [(b"KEY", 0, accounts[0], b"")]
        self.pools = {
            "identity": [model._dcap(report) for report in self.reports] + [model._maa(self.pcrs[0]), self.words[1]],
            "content": [hashlib.sha256(content).digest() for content in self.contents],
            "application": self.applications,
            "request": [onboard_hash(request) for request in self.requests],
        }

    def of(self, function):
        pick = self.dice.choice
        pools = self.pools
        accounts = [*self.accounts, ZERO]
        short = dcap_report(mrOwner=bytes(47))
        makers = {
            "transferOwnership": lambda: [pick([*self.accounts[:2], ZERO])],
            "grantRole": lambda: [pick(ROLES), pick(accounts)],
            "revokeRole": lambda: [pick(ROLES), pick(accounts)],
            "renounceRole": lambda: [pick(ROLES), pick(accounts)],
            "setPolicy": lambda: [pick(self.words)],
            "setPKI": lambda: [(pick(self.contents), b"key", b"evidence")],
            "registerInstanceDomainName": lambda: [pick(self.domains)],
            "removeInstanceDomainName": lambda: [pick(self.domains)],
            "setConfigForIdentity": lambda: [pick(pools["identity"]), pick(self.words)],
            "setConfigForDCAP": lambda: [pick([*self.reports, short]), [], pick(self.words)],
            "setConfigForMAA": lambda: [pick(self.pcrs), pick(self.words)],
            "removeConfigMapForIdentity": lambda: [pick(pools["identity"])],
            "setStorageBackend": lambda: [pick(self.backends)],
            "removeStorageBackend": lambda: [pick(self.backends)],
            "addArtifact": lambda: [pick(self.contents)],
            "removeArtifact": lambda: [pick(pools["content"])],
            "allowlistIdentity": lambda: [pick(pools["identity"])],
            "allowlistDCAP": lambda: [pick([*self.reports, short])],
            "allowlistMAA": lambda: [pick(self.pcrs)],
            "removeAllowlistedIdentity": lambda: [pick(pools["identity"])],
            "AllowApplication": lambda: [pick(self.applications)],
            "RemoveAllowlistedApplication": lambda: [pick(self.applications)],
            "setApplicationPolicy": lambda: [pick(self.applications), pick(self.words)],
            "requestOnboard": lambda: [pick(self.requests)],
            "removeOnboardRequest": lambda: [pick(pools["request"])],
        }
        return makers.get(function, list)()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", [Registry, Kms], ids=lambda kind: kind.__name__)
def test_registry_064_random_calls_change_only_what_the_rules_allow(chain, kind, seed):
    contract = chain.deploy(kind.__name__)
    accounts = [account.address for account in chain.accounts[:4]]
    model = kind(contract.address, accounts[0])
    dice = random.Random(seed)
    arguments = Arguments(dice, model, accounts)
    changing = contract_rules.changing(contract, model)
    for account in accounts[1:3]:  # something to take away, and to quarrel about
        contract.send("grantRole", OPERATOR, account)
        model.grantRole(accounts[0], OPERATOR, account)
    themes = [changing, changing, [name for name in changing if "Domain" in name or "Onboard" in name]]
    contract_rules.walk(contract, model, arguments, accounts, themes, STEPS)
