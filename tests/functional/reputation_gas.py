#!/usr/bin/env python3
"""What reputations cost, beside the first generation's: the table of docs/reference/reputation-contract.md, on anvil.

build/venv/bin/python tests/functional/reputation_gas.py [--write]      prints the table, or puts it into the page

Nothing here depends on a clock or on chance, so a test compares the page with what comes out. The first generation's
figures were measured with the same steps on the same node, its sources (wichtfx/pbts at d19f826) compiled with the same
compiler and settings as ours; the sources are not ours and not here."""

import hashlib

from evm import ZERO, Anvil
from gas_page import GasPage

PAGE = GasPage("reputation-contract.md")
QUOTE = (bytes(range(256)) * 20)[:5006]
SHOWN = hashlib.sha256(QUOTE).digest()
PASSWORD = hashlib.sha256(b"password").digest()
URL = "ipfs://" + "b" * 59
# By call and circumstances. It stores a quote's hex where ours stores the hash of its bytes.
FIRST = {
    ("deployment of the factory", ""): 1_030_862,
    ("createReputation", "no evidence"): 820_610,
    ("createReputation", "a quote of 5,006 bytes"): 1_062_648,
    ("createReputation", "the same, with a referrer"): 1_090_484,
    ("addUser", "a salt, one size"): 117_840,
    ("addUser", "no salt, no sizes"): 77_808,
    ("updateUser", "one size for the first time"): 54_483,
    ("updateUser", "again"): 37_383,
    ("migrateUserData", "the referrer's owner is attested"): 154_006,
    ("setOffchainDataUrl", "66 bytes"): 114_434,
}
# A factory is deployed once for all trackers and pays for itself with the third reputation; the URL costs a call through
# the proxy more.
MAY_COST_MORE = ("deployment of the factory", "setOffchainDataUrl")


def measured():
    """(call, circumstances, gas)"""
    with Anvil() as chain:
        owner = chain.accounts[0].address
        factory = chain.deploy("ReputationFactory", owner, 7 * 86400)
        yield "deployment of the factory", "", factory.receipt.gas

        def create(referrer, evidence):
            receipt = factory.send("createReputation", referrer, evidence)
            return chain.contract("Reputation", receipt.events[0].arguments[0]), receipt.gas

        yield "createReputation", "no evidence", create(ZERO, b"")[1]
        ledger, gas = create(ZERO, QUOTE)
        yield "createReputation", "a quote of 5,006 bytes", gas
        successor, gas = create(ledger.address, QUOTE)
        yield "createReputation", "the same, with a referrer", gas
        for function, arguments, remark in (
            ("addUser", ["user0", "salt0", PASSWORD, 0, 1024], "a salt, one size"),
            ("addUser", ["user2", "", PASSWORD, 0, 0], "no salt, no sizes"),
            ("updateUser", ["user0", 1024, 2048], "one size for the first time"),
            ("updateUser", ["user0", 4096, 8192], "again"),
            ("setOffchainDataUrl", [URL], "66 bytes"),
        ):
            yield function, remark, ledger.send(function, *arguments).gas
        before = chain.snapshot()
        yield "setReferrer", "vouches", successor.send("setReferrer", ledger.address, owner, SHOWN).gas
        yield "migrateUserData", "the owner vouches", successor.send("migrateUserData", "user0").gas
        chain.revert(before)
        yield "setAttested", "the first", factory.send("setAttested", owner, SHOWN).gas
        remark = "the referrer's owner is attested"
        yield "migrateUserData", remark, successor.send("migrateUserData", "user0").gas
        third, _ = create(successor.address, QUOTE)
        yield "migrateUserData", "two hops away", third.send("migrateUserData", "user2").gas
        yield "attest", "a quote of 5,006 bytes", ledger.send("attest", QUOTE).gas
        yield "transferOwnership", "the offer", ledger.send("transferOwnership", owner).gas
        yield "startRecovery", "", ledger.send("startRecovery", owner).gas
        yield "freeze", "", ledger.send("freeze").gas


def table():
    lines = ["| call | with | gas | first generation |", "|---|---|--:|--:|"]
    for call, remark, gas in measured():
        first = FIRST.get((call, remark))
        name = call if " " in call else f"`{call}`"
        lines.append(f"| {name} | {remark} | {gas:,} | {f'{first:,}' if first else '–'} |")
    return "\n".join(lines) + "\n"


def compared():
    """(call, ours, the first generation's) of what trackers do again and again."""
    for call, remark, gas in measured():
        if (call, remark) in FIRST and call not in MAY_COST_MORE:
            yield call, gas, FIRST[call, remark]


if __name__ == "__main__":
    PAGE.show(table())
