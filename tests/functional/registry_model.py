"""What the contracts should do, in a few lines of Python: who may change what, and how they refuse.

A model is told the same calls as the contract. Each function of the interface that can change something has a method of
its name here; it either changes the model or raises Refused with the reason that the contract must give."""

import hashlib

import abi
from evm import ZERO

ADMIN = bytes(32)
OPERATOR, METADATA, INSTANCE, GUARDIAN = (
    abi.keccak(name.encode()) for name in ("ROLE_OPERATOR", "ROLE_METADATA", "ROLE_INSTANCE", "ROLE_GUARDIAN")
)
ROLES = [ADMIN, OPERATOR, METADATA, INSTANCE, GUARDIAN]
MAX_BYTES, MAX_DOMAIN = 20480, 260
FROZEN = "Contract is frozen"


class Refused(Exception):
    @property
    def reason(self):
        return self.args[0]


def require(condition, reason):
    if not condition:
        raise Refused(reason)


def no_role(sender, role):
    return f"AccessControlUnauthorizedAccount({sender}, 0x{role.hex()})"


def dcap_report(rtmr0=b"", **changed):
    """A report of 48-byte fields."""
    report = {"mrTd": bytes(48), "RTMRs": [rtmr0.ljust(48, b"\0"), *[bytes(48)] * 3]}
    return {**report, "mrOwner": bytes(48), "mrConfigId": bytes(48), "mrConfigOwner": bytes(48), **changed}


class Governed:
    """Who may change what, and the brake: the part that all contracts share."""

    def __init__(self, address, owner, granted):
        self.address, self.owner, self.pending = address, owner, ZERO
        self.frozen, self.policy = False, bytes(32)
        self.roles = {role: set() for role in ROLES}
        for role in [ADMIN, *granted]:
            self.roles[role].add(owner)

    # Guards

    def _owner(self, sender):
        require(sender == self.owner, f"OwnableUnauthorizedAccount({sender})")

    def _role(self, sender, role):
        require(sender in self.roles[role], no_role(sender, role))

    def _running(self):
        require(not self.frozen, FROZEN)

    # Ownership and roles

    def transferOwnership(self, sender, to):
        self._owner(sender)
        require(to != ZERO, f"OwnableInvalidOwner({ZERO})")
        self.pending = to

    def acceptOwnership(self, sender):
        require(sender == self.pending, f"OwnableUnauthorizedAccount({sender})")
        self._hand_over(sender)

    def renounceOwnership(self, sender):
        self._owner(sender)
        self._hand_over(ZERO)

    def _hand_over(self, to):
        self.owner, self.pending = to, ZERO
        self.roles[ADMIN] = set() if to == ZERO else {to}

    def grantRole(self, sender, role, account):
        self._role(sender, ADMIN)
        require(role != ADMIN or account == self.owner, "AdminFollowsOwnership()")
        self.roles[role].add(account)

    def revokeRole(self, sender, role, account):
        self._role(sender, ADMIN)
        require(role != ADMIN or account != self.owner, "AdminFollowsOwnership()")
        self.roles[role].discard(account)

    def renounceRole(self, sender, role, account):
        require(sender == account, "AccessControlBadConfirmation()")
        require(role != ADMIN or account != self.owner, "AdminFollowsOwnership()")
        self.roles[role].discard(account)

    # Brake, policy

    def freeze(self, sender):
        if sender != self.owner:
            self._role(sender, GUARDIAN)
        self._running()
        self.frozen = True

    def unfreeze(self, sender):
        self._owner(sender)
        require(self.frozen, "ExpectedPause()")
        self.frozen = False

    def setPolicy(self, sender, digest):
        self._owner(sender)
        self.policy = digest

    # Answers

    def _answer(self, function, *arguments):
        try:
            return function(*arguments)
        except Refused as refused:
            return refused.reason

    def expected(self, accounts, _pools):
        """(function, arguments) -> what a call must give; a text for a refusal. Lists without an order as sets."""
        answers = {
            ("owner", ()): self.owner,
            ("pendingOwner", ()): self.pending,
            ("paused", ()): self.frozen,
            ("policy", ()): self.policy,
        }
        for role in ROLES:
            for account in accounts:
                answers["hasRole", (role, account)] = account in self.roles[role]
        return answers


class Discovery(Governed):
    """What Registry and Kms share besides: identities, and what relying parties look up."""

    def __init__(self, address, owner, granted):
        super().__init__(address, owner, granted)
        self.pki = (b"", b"", b"")
        self.domains = {}  # name -> who registered it

    def _identity(self, *fields):
        return abi.keccak(bytes.fromhex(self.address[2:]) + b"".join(fields))

    def _dcap(self, report):
        names = ["mrtd", "RTMR[0]", "RTMR[1]", "RTMR[2]", "RTMR[3]", "mrOwner", "mrConfigId", "mrConfigOwner"]
        owners = [report[name] for name in ("mrOwner", "mrConfigId", "mrConfigOwner")]
        for name, value in zip(names, [report["mrTd"], *report["RTMRs"], *owners], strict=True):
            require(len(value) == 48, f"incorrect {name} length")
        return self._identity(*report["RTMRs"][:3])

    def _maa(self, report):
        return self._identity(report["PCRs"][4], report["PCRs"][9], report["PCRs"][11])

    def setPKI(self, sender, pki):
        self._owner(sender)
        require(all(len(part) <= MAX_BYTES for part in pki), "Data size exceeds limit")
        self.pki = pki

    def registerInstanceDomainName(self, sender, domain):
        self._role(sender, OPERATOR)
        self._running()
        require(0 < len(domain.encode()) <= MAX_DOMAIN, "Invalid domain name")
        self.domains.setdefault(domain, sender)

    def removeInstanceDomainName(self, sender, domain):
        if sender != self.owner:
            self._role(sender, OPERATOR)
            require(self.domains.get(domain, ZERO) == sender, "Domain name of another operator")
        require(domain in self.domains, "Domain name not registered")
        del self.domains[domain]

    def _judge(self, known, operator):
        self._running()
        require(operator in self.roles[OPERATOR], "Operator not authorized")
        return known

    def expected(self, accounts, pools):
        answers = super().expected(accounts, pools)
        answers["PKI", ()] = self.pki
        answers["InstanceDomainNames", ()] = set(self.domains)
        for identity in pools["identity"]:
            for account in accounts:
                judged = self._answer(self._judge, self.knows(identity), account)
                answers["IdentityAllowed", (identity, account)] = judged
        return answers


class Registry(Discovery):
    def __init__(self, address, owner):
        super().__init__(address, owner, [OPERATOR, METADATA, INSTANCE])
        self.configs, self.backends, self.artifacts = {}, set(), {}

    def knows(self, identity):
        return self.configs.get(identity, bytes(32)) != bytes(32)

    def setConfigForIdentity(self, sender, identity, config):
        self._owner(sender)
        self.configs[identity] = config

    def setConfigForDCAP(self, sender, report, _events, config):
        self._owner(sender)
        self.configs[self._dcap(report)] = config

    def setConfigForMAA(self, sender, report, config):
        self._owner(sender)
        self.configs[self._maa(report)] = config

    def removeConfigMapForIdentity(self, sender, identity):
        self._owner(sender)
        self.configs.pop(identity, None)

    def setStorageBackend(self, sender, location):
        self._owner(sender)
        require(len(location.encode()) <= MAX_BYTES, "Data size exceeds limit")
        self.backends.add(location)

    def removeStorageBackend(self, sender, location):
        self._owner(sender)
        self.backends.discard(location)

    def addArtifact(self, sender, data):
        self._role(sender, METADATA)
        self._running()
        require(len(data) <= MAX_BYTES, "Data size exceeds limit")
        if data:
            self.artifacts[hashlib.sha256(data).digest()] = data

    def removeArtifact(self, sender, content):
        self._owner(sender)
        require(content in self.artifacts, "Artifact does not exist")
        del self.artifacts[content]

    def _config(self, identity, operator):
        require(self._judge(self.knows(identity), operator), "Config not mapped")
        return self.configs[identity]

    def expected(self, accounts, pools):
        answers = super().expected(accounts, pools)
        answers["StorageBackends", ()] = self.backends
        for identity in pools["identity"]:
            answers["identityConfigMap", (identity,)] = self.configs.get(identity, bytes(32))
            for account in accounts:
                answers["ConfigForIdentity", (identity, account)] = self._answer(self._config, identity, account)
        for content in pools["content"]:
            answers["getArtifact", (content,)] = self.artifacts.get(content, "Artifact does not exist")
        return answers


class Kms(Discovery):
    def __init__(self, address, owner):
        super().__init__(address, owner, [OPERATOR])
        self.identities, self.applications, self.requests = set(), {}, {}

    def knows(self, identity):
        return identity in self.identities

    def allowlistIdentity(self, sender, identity):
        self._owner(sender)
        self.identities.add(identity)

    def allowlistDCAP(self, sender, report):
        self._owner(sender)
        self.identities.add(self._dcap(report))

    def allowlistMAA(self, sender, report):
        self._owner(sender)
        self.identities.add(self._maa(report))

    def removeAllowlistedIdentity(self, sender, identity):
        self._owner(sender)
        self.identities.discard(identity)

    def AllowApplication(self, sender, application):
        self._owner(sender)
        self.applications.setdefault(application, bytes(32))

    def RemoveAllowlistedApplication(self, sender, application):
        self._owner(sender)
        self.applications.pop(application, None)

    def setApplicationPolicy(self, sender, application, digest):
        self._owner(sender)
        require(application in self.applications, "Application not allowlisted")
        self.applications[application] = digest

    def requestOnboard(self, sender, request):
        self._role(sender, OPERATOR)
        self._running()
        pubkey, nonce, operator, evidence = request
        require(operator == sender, "operator must be the sender")
        require(nonce > 0, "nonce must be positive")
        require(len(pubkey) <= MAX_BYTES and len(evidence) <= MAX_BYTES, "Data size exceeds limit")
        self.requests[onboard_hash(request)] = request

    def removeOnboardRequest(self, sender, content):
        require(content in self.requests, "Onboard request does not exist")
        if sender != self.requests[content][2]:
            self._owner(sender)
        del self.requests[content]

    def _serves(self, application):
        self._running()
        return application in self.applications

    def _request(self, content):
        self._running()
        return self.requests.get(content, (b"", 0, ZERO, b""))

    def expected(self, accounts, pools):
        answers = super().expected(accounts, pools)
        answers["AllowlistedApplications", ()] = set(self.applications)
        for application in pools["application"]:
            answers["ApplicationAllowed", (application,)] = self._answer(self._serves, application)
            answers["applicationPolicy", (application,)] = self.applications.get(application, bytes(32))
        for identity in pools["identity"]:
            answers["allowlistedIdentities", (identity,)] = self.knows(identity)
        for content in pools["request"]:
            answers["fetchOnboardRequest", (content,)] = self._answer(self._request, content)
        return answers


def onboard_hash(request):
    return abi.keccak(abi.encode(["bytes", "int256", "address", "bytes"], request))
