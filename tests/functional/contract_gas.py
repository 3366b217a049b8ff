#!/usr/bin/env python3
"""What the contracts' functions cost: the table of docs/reference/contracts.md, measured on anvil.

build/venv/bin/python tests/functional/contract_gas.py [--write]      prints the table, or puts it into the page

Nothing here depends on a clock or on chance, so a test compares the page with what comes out."""

import hashlib

from evm import Anvil
from gas_page import GasPage
from keymanager import Key, attest_digest, domain_separator, named_digest, register_digest, typed_digest
from registry_model import OPERATOR, dcap_report, onboard_hash

PAGE = GasPage("contracts.md")

IDENTITY, CONFIG = b"\x1d" * 32, b"\xcf" * 32
APP, OTHER = "0x" + "a9" * 20, "0x" + "b7" * 20
PCRS = {"PCRs": [bytes([n]) * 32 for n in range(24)]}
MASTER, SECOND, NEWCOMER = (Key(bytes([byte]) * 32) for byte in (0x46, 0x51, 0x48))
FMSPC, RESPONSE, QUOTE = bytes(16), b"r" * 80, b"q" * 5000
PKI = (b"c" * 700, b"k" * 178, b"e" * 5000)


def governed():
    return [
        ("grantRole", [OPERATOR, OTHER], ""),
        ("revokeRole", [OPERATOR, OTHER], ""),
        ("setPolicy", [CONFIG], "the first"),
        ("freeze", [], ""),
        ("unfreeze", [], ""),
        ("transferOwnership", [OTHER], "the offer"),
    ]


def common():
    return [
        ("setPKI", [PKI], "CA 700, key 178, evidence 5,000 bytes"),
        ("registerInstanceDomainName", ["a.example"], "a name that fits into one word"),
        ("removeInstanceDomainName", ["a.example"], ""),
        *governed(),
    ]


def keymanager_steps(contract, owner):
    """As a key manager lives: its key, the lists, members of both generations, another key."""
    separator = domain_separator(contract.chain.chain_id, contract.address)

    def typed(key, name, *values):
        return key.sign(typed_digest(separator, name, *values))

    def onboarding(name, who):
        return [who, FMSPC, IDENTITY, RESPONSE, typed(MASTER, name, who, FMSPC, IDENTITY, RESPONSE, 1)]

    evidence = [hashlib.sha256(QUOTE).digest(), QUOTE]
    join = typed(NEWCOMER, "Join", NEWCOMER.address, CONFIG, owner, evidence[0], 1)
    rotation = typed(SECOND, "Rotation", SECOND.address, 2)
    machine = [IDENTITY, bytes(48), bytes(48), bytes(48)]
    return [
        ("bootstrapWithEvidence", [MASTER.address, *evidence], "quote 5,000 bytes in the call data"),
        ("allowMrtd", [IDENTITY, True], "new measurement"),
        ("allowMrenclave", [IDENTITY, True], "new measurement"),
        ("set_mrtd", [*machine, True], "new machine"),
        ("allowTcb", [FMSPC, 17, 3], "new family"),
        ("set_container", ["image@sha256:" + "0" * 64], ""),
        ("register(address,bytes)", [SECOND.address, SECOND.sign(register_digest(owner))], "second generation"),
        ("register(bytes32)", [CONFIG], "first generation"),
        ("join", [NEWCOMER.address, CONFIG, join, *evidence], "ours, quote 5,000 bytes in the call data"),
        ("onboard(address,bytes16,bytes32,bytes,bytes)", onboarding("Onboard", NEWCOMER.address), "sealed box"),
        ("onboard(bytes32,bytes16,bytes32,bytes,bytes)", onboarding("OnboardKey", CONFIG), "sealed box"),
        ("deregisterKey", [CONFIG], ""),
        ("resign", [NEWCOMER.address, typed(NEWCOMER, "Resign", NEWCOMER.address, 1)], ""),
        ("postEvidence", [MASTER.address, *evidence], "quote 5,000 bytes in the call data"),
        ("rotate", [SECOND.address, rotation, *evidence], "quote 5,000 bytes in the call data"),
        *governed(),
    ]


def keymanager_reads():
    named, tagged = SECOND.sign(named_digest("pod", CONFIG)), SECOND.sign(attest_digest(CONFIG))
    return [
        ("verify(string,bytes32,bytes)", ["pod", CONFIG, named]),
        ("verify(bytes32,bytes)", [CONFIG, tagged]),
        ("verifyBound", ["pod", "tls", CONFIG, 2**63, named]),
        ("memberAllowed", [NEWCOMER.address]),
    ]


def steps(name, contract, owner):
    if name == "KeyManager":
        return keymanager_steps(contract, owner)
    if name == "Registry":
        return [
            ("setConfigForIdentity", [IDENTITY, CONFIG], "new identity"),
            ("setConfigForIdentity", [IDENTITY, IDENTITY], "another configuration"),
            ("removeConfigMapForIdentity", [IDENTITY], ""),
            ("setConfigForDCAP", [dcap_report(), [], CONFIG], "new identity"),
            ("setConfigForMAA", [PCRS, CONFIG], "new identity"),
            ("setStorageBackend", ["s3://bucket/prefix/?region=eu-west-1"], ""),
            ("removeStorageBackend", ["s3://bucket/prefix/?region=eu-west-1"], ""),
            ("addArtifact", [b"x" * 1024], "1 KiB"),
            ("addArtifact", [b"y" * 20480], "20 KiB, the most"),
            *common(),
        ]
    request = (b"k" * 178, 77, owner, b"e" * 5000)
    return [
        ("allowlistIdentity", [IDENTITY], "new identity"),
        ("removeAllowlistedIdentity", [IDENTITY], ""),
        ("allowlistDCAP", [dcap_report()], "new identity"),
        ("allowlistMAA", [PCRS], "new identity"),
        ("AllowApplication", [APP], "new application"),
        ("setApplicationPolicy", [APP, CONFIG], "the first"),
        ("RemoveAllowlistedApplication", [APP], "with its policy"),
        ("requestOnboard", [request], "key 178, evidence 5,000 bytes"),
        ("removeOnboardRequest", [onboard_hash(request)], ""),
        *common(),
    ]


def reads(name, owner):
    if name == "KeyManager":
        return keymanager_reads()
    allowed = [("IdentityAllowed", [IDENTITY, owner]), ("DCAPIdentity", [dcap_report(), []]), ("MAAIdentity", [PCRS])]
    more = [("ConfigForIdentity", [IDENTITY, owner])] if name == "Registry" else [("ApplicationAllowed", [APP])]
    return allowed + more + [("PKI", [])]


def before_reads(name):
    if name == "KeyManager":
        return []
    if name == "Registry":
        return [("setPKI", [PKI]), ("setConfigForIdentity", [IDENTITY, CONFIG])]
    return [("setPKI", [PKI]), ("allowlistIdentity", [IDENTITY])]


def table():
    lines = ["| contract | call | gas | with |", "|---|---|--:|---|"]

    def row(name, call, gas, remark):
        lines.append(f"| {name} | {call} | {gas:,} | {remark} |")

    for name in ("Registry", "Kms", "KeyManager"):
        with Anvil() as chain:
            contract = chain.deploy(name)
            row(name, "deployment", contract.receipt.gas, f"{len(contract.artifact.bytecode):,} bytes of creation code")
            owner = chain.accounts[0].address
            for function, arguments, remark in steps(name, contract, owner):
                row(name, f"`{function}`", contract.send(function, *arguments).gas, remark)
            for function, arguments in before_reads(name):
                contract.send(function, *arguments)
            for function, arguments in reads(name, owner):
                data = "0x" + contract.calldata(function, *arguments).hex()
                gas = int(chain.rpc("eth_estimateGas", {"from": owner, "to": contract.address, "data": data}), 16)
                row(name, f"`{function}`", gas, "a read, free to callers from outside")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.show(table())
