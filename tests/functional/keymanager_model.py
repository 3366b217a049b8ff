"""What the contract KeyManager should do, in a few lines of Python, as registry_model.py does for the others."""

import hashlib

import abi
from evm import ZERO
from keymanager import (
    attest_digest,
    domain_separator,
    named_digest,
    onboard_digest,
    register_digest,
    seed_onboard_digest,
    typed_digest,
)
from registry_model import MAX_BYTES, Governed, require

NOT_YET, REQUESTED, ONBOARDED, REJECTED = range(4)
UNSIGNED = "Signature does not verify"
NOBODY = (NOT_YET, 0, bytes(16), bytes(32))


class KeyManager(Governed):
    """signed: signature -> (address, digest), for all good ones that anybody tries."""

    def __init__(self, address, owner, chain_id, signed):
        super().__init__(address, owner, [])
        self.separator, self.signed = domain_separator(chain_id, address), signed
        self.keys = []  # the master keys, of epoch 1 first
        self.mrtds, self.mrenclaves, self.machines, self.tcbs = set(), set(), set(), {}
        self.members, self.by_key = {}, {}  # -> (status, epoch, fmspc, measurement)
        self.unbound, self.name = False, ""

    @property
    def xpub(self):
        return self.keys[-1] if self.keys else ZERO

    @property
    def epoch(self):
        return len(self.keys)

    def typed(self, name, *values):
        return typed_digest(self.separator, name, *values)

    def _by(self, signer, digest, signature):
        return signer != ZERO and self.signed.get(signature) == (signer, digest)

    def _evidence(self, evidence_hash, evidence):
        require(evidence, "No evidence attached")
        require(hashlib.sha256(evidence).digest() == evidence_hash, "Evidence does not match its hash")

    # The master key

    def bootstrap(self, sender, key):
        self._owner(sender)
        require(not self.keys, "Already bootstrapped")
        require(key != ZERO, "Zero address")
        self.keys.append(key)

    def bootstrapWithEvidence(self, sender, key, evidence_hash, evidence):
        self._owner(sender)
        require(not self.keys, "Already bootstrapped")
        require(key != ZERO, "Zero address")
        self._evidence(evidence_hash, evidence)
        self.keys.append(key)

    def rotate(self, sender, key, signature, evidence_hash, evidence):
        self._owner(sender)
        require(self.keys, "Not bootstrapped")
        require(key not in self.keys, "Key was in force before")
        require(self._by(key, self.typed("Rotation", key, self.epoch + 1), signature), UNSIGNED)
        self._evidence(evidence_hash, evidence)
        self.keys.append(key)

    def postEvidence(self, _sender, _subject, evidence_hash, evidence):
        self._running()
        self._evidence(evidence_hash, evidence)

    # The lists

    def _put(self, allowed, items, item):
        items.add(item) if allowed else items.discard(item)

    def allowMrtd(self, sender, mrtd, allowed):
        self._owner(sender)
        require(mrtd != bytes(32), "Zero measurement")
        self._put(allowed, self.mrtds, mrtd)

    def allowMrenclave(self, sender, mrenclave, allowed):
        self._owner(sender)
        require(mrenclave != bytes(32), "Zero measurement")
        self._put(allowed, self.mrenclaves, mrenclave)

    def set_mrtd(self, sender, *arguments):
        self._owner(sender)
        *machine, allowed = arguments
        for name, value in zip(["mrtd", "RTMR[0]", "RTMR[3]"], machine[1:], strict=True):
            require(len(value) == 48, f"incorrect {name} length")
        self._put(allowed, self.machines, abi.keccak(b"".join(machine)))

    def allowTcb(self, sender, fmspc, least, statuses):
        self._owner(sender)
        require(statuses < 64, "Unknown TCB status")
        self.tcbs[fmspc] = [least, statuses] if statuses else [0, 0]

    def set_container(self, sender, name):
        self._owner(sender)
        require(len(name) <= MAX_BYTES, "Data size exceeds limit")
        self.name = name

    def setUnboundOnboarding(self, sender, accepted):
        self._owner(sender)
        self.unbound = accepted

    # Members

    def _request(self, members, who):
        self._running()
        require(self.keys, "Not bootstrapped")
        status, epoch, fmspc, measurement = members.get(who, NOBODY)
        require(status != REJECTED, "Sent away")
        require(status == NOT_YET or epoch < self.epoch, "Already requested")
        members[who] = (REQUESTED, self.epoch, fmspc, measurement)

    def register_address_bytes(self, sender, member, signature):
        require(self._by(member, register_digest(sender), signature), UNSIGNED)
        self._request(self.members, member)

    def register_bytes32(self, _sender, key):
        require(key != bytes(32), "Zero key")
        self._request(self.by_key, key)

    def join(self, sender, member, key, signature, evidence_hash, evidence):
        require(key != bytes(32), "Zero key")
        digest = self.typed("Join", member, key, sender, evidence_hash, self.epoch)
        require(self._by(member, digest, signature), UNSIGNED)
        before = dict(self.members)
        self._request(self.members, member)
        try:
            self._evidence(evidence_hash, evidence)
        except Exception:
            self.members = before
            raise

    def _known(self, measurement):
        return measurement in self.mrtds | self.mrenclaves | self.machines

    def _patched(self, fmspc):
        return self.tcbs.get(fmspc, [0, 0])[1] != 0

    def _admit(self, members, who, fmspc, measurement, response, good):
        self._running()
        status = members.get(who, NOBODY)[0]
        require(status == REQUESTED, "Not requested")
        require(len(response) <= MAX_BYTES, "Data size exceeds limit")
        require(self._known(measurement), "Measurement not allowed")
        require(self._patched(fmspc), "TCB configuration not allowed")
        require(good, UNSIGNED)
        members[who] = (ONBOARDED, self.epoch, fmspc, measurement)

    def onboard_address_bytes16_bytes32_bytes_bytes(self, _sender, member, fmspc, measurement, response, signature):
        digests = [self.typed("Onboard", member, fmspc, measurement, response, self.epoch)]
        if self.unbound:
            digests.append(onboard_digest(member, fmspc, measurement, response))
        good = any(self._by(self.xpub, digest, signature) for digest in digests)
        self._admit(self.members, member, fmspc, measurement, response, good)

    def onboard_bytes32_bytes16_bytes32_bytes_bytes(self, _sender, key, fmspc, measurement, response, signature):
        digests = [self.typed("OnboardKey", key, fmspc, measurement, response, self.epoch)]
        if self.unbound:
            digests.append(seed_onboard_digest(key, response))
        good = any(self._by(self.xpub, digest, signature) for digest in digests)
        self._admit(self.by_key, key, fmspc, measurement, response, good)

    def _reject(self, members, who):
        members[who] = (REJECTED, *members.get(who, NOBODY)[1:])

    def deregister(self, sender, member):
        self._owner(sender)
        self._reject(self.members, member)

    def deregisterKey(self, sender, key):
        self._owner(sender)
        self._reject(self.by_key, key)

    def resign(self, _sender, member, signature):
        require(self._by(member, self.typed("Resign", member, self.epoch), signature), UNSIGNED)
        self._reject(self.members, member)

    # Answers

    def _allowed(self, members, who):
        self._running()
        status, epoch, fmspc, measurement = members.get(who, NOBODY)
        return status == ONBOARDED and epoch == self.epoch and self._known(measurement) and self._patched(fmspc)

    def _verifies(self, digest, signature):
        self._running()
        return self._by(self.xpub, digest, signature)

    def expected(self, accounts, pools):
        answers = super().expected(accounts, pools)
        answers["xPub", ()], answers["epoch", ()] = self.xpub, self.epoch
        answers["container", ()], answers["unboundOnboarding", ()] = self.name, self.unbound
        for number, key in enumerate(self.keys):
            answers["xPubOfEpoch", (number + 1,)] = key
        for measurement in pools["measurement"]:
            answers["allowed_mrtds", (measurement,)] = measurement in self.mrtds
            answers["allowed_mrenclaves", (measurement,)] = measurement in self.mrenclaves
            answers["rtmrs", (measurement,)] = measurement in self.machines
        for fmspc in pools["fmspc"]:
            answers["allowed_tcbs", (fmspc,)] = self.tcbs.get(fmspc, [0, 0])
        both = (
            (pools["member"], self.members, "requested", "registry", "memberAllowed"),
            (pools["key"], self.by_key, "requestedKey", "registryOfKey", "keyAllowed"),
        )
        for pool, members, status, registry, allowed in both:
            for who in pool:
                found = members.get(who, NOBODY)
                answers[status, (who,)], answers[registry, (who,)] = found[0], list(found[2:])
                answers[allowed, (who,)] = self._answer(self._allowed, members, who)
        for caller, data, signature in pools["attestation"]:
            good = self._answer(self._verifies, named_digest(caller, data), signature)
            answers["verify(string,bytes32,bytes)", (caller, data, signature)] = good
            good = self._answer(self._verifies, attest_digest(data), signature)
            answers["verify(bytes32,bytes)", (data, signature)] = good
        return answers
