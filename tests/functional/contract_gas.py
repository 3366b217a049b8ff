#!/usr/bin/env python3
"""What the contracts' functions cost: the table of docs/reference/contracts.md, measured on anvil.

build/venv/bin/python tests/functional/contract_gas.py [--write]      prints the table, or puts it into the page

Nothing here depends on a clock or on chance, so a test compares the page with what comes out."""

import pathlib
import sys

from evm import Anvil
from registry_model import OPERATOR, dcap_report, onboard_hash

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "reference" / "contracts.md"
BEGIN, END = "<!-- gas: begin -->\n", "<!-- gas: end -->\n"

IDENTITY, CONFIG = b"\x1d" * 32, b"\xcf" * 32
APP, OTHER = "0x" + "a9" * 20, "0x" + "b7" * 20
PCRS = {"PCRs": [bytes([n]) * 32 for n in range(24)]}
PKI = (b"c" * 700, b"k" * 178, b"e" * 5000)


def common():
    return [
        ("setPKI", [PKI], "CA 700, key 178, evidence 5,000 bytes"),
        ("registerInstanceDomainName", ["a.example"], "a name that fits into one word"),
        ("removeInstanceDomainName", ["a.example"], ""),
        ("grantRole", [OPERATOR, OTHER], ""),
        ("revokeRole", [OPERATOR, OTHER], ""),
        ("setPolicy", [CONFIG], "the first"),
        ("freeze", [], ""),
        ("unfreeze", [], ""),
        ("transferOwnership", [OTHER], "the offer"),
    ]


def steps(name, owner):
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
    allowed = [("IdentityAllowed", [IDENTITY, owner]), ("DCAPIdentity", [dcap_report(), []]), ("MAAIdentity", [PCRS])]
    more = [("ConfigForIdentity", [IDENTITY, owner])] if name == "Registry" else [("ApplicationAllowed", [APP])]
    return allowed + more + [("PKI", [])]


def table():
    lines = ["| contract | call | gas | with |", "|---|---|--:|---|"]

    def row(name, call, gas, remark):
        lines.append(f"| {name} | {call} | {gas:,} | {remark} |")

    for name in ("Registry", "Kms"):
        with Anvil() as chain:
            contract = chain.deploy(name)
            row(name, "deployment", contract.receipt.gas, f"{len(contract.artifact.bytecode):,} bytes of creation code")
            owner = chain.accounts[0].address
            for function, arguments, remark in steps(name, owner):
                row(name, f"`{function}`", contract.send(function, *arguments).gas, remark)
            contract.send("setPKI", PKI)
            if name == "Registry":
                contract.send("setConfigForIdentity", IDENTITY, CONFIG)
            else:
                contract.send("allowlistIdentity", IDENTITY)
            for function, arguments in reads(name, owner):
                data = "0x" + contract.calldata(function, *arguments).hex()
                gas = int(chain.rpc("eth_estimateGas", {"from": owner, "to": contract.address, "data": data}), 16)
                row(name, f"`{function}`", gas, "a read, free to callers from outside")
    return "\n".join(lines) + "\n"


def in_page():
    return PAGE.read_text().split(BEGIN)[1].split(END)[0]


def main():
    made = table()
    if "--write" in sys.argv:
        PAGE.write_text(PAGE.read_text().replace(BEGIN + in_page() + END, BEGIN + made + END))
    else:
        print(made, end="")


if __name__ == "__main__":
    main()
