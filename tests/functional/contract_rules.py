"""A random walk through a contract, beside a model of its rules (registry_model.py, keymanager_model.py). The node's trace
of each transaction shows that a refused call changed not one bit of storage, and that every change left an event."""

import re

from evm import ZERO, Reverted
from registry_model import Refused


def method(function):
    """The model's name for it: overloaded functions are known by their signature, whose signs no Python name takes."""
    return re.sub(r"\W+", "_", function).strip("_")


def changing(contract, model):
    """The functions that can write, all of which the model must know."""
    functions = contract.artifact.functions.items()
    names = sorted(name for name, entry in functions if entry.mutability not in ("view", "pure"))
    assert [name for name in names if not hasattr(model, method(name))] == [], "the model lacks these"
    return names


def assert_equal(contract, model, accounts, pools):
    expected = model.expected(accounts, pools)
    found = contract.call_all(list(expected))
    for (call, wanted), got in zip(expected.items(), found, strict=True):
        if isinstance(got, Reverted):
            got = got.reason
        assert (set(got) if isinstance(wanted, set) else got) == wanted, call


def walk(contract, model, arguments, accounts, themes, steps):
    """themes: lists of functions, one of which each step chooses from: calls that have to do with each other meet more
    often than by chance alone. arguments: .dice, .pools, and .of(function)."""
    chain, dice = contract.chain, arguments.dice
    story, done = [], 0
    for _ in range(steps):
        thaw = model.frozen and model.owner != ZERO and dice.random() < 0.3
        function = "unfreeze" if thaw else dice.choice(dice.choice(themes))
        if function == "renounceOwnership" and dice.random() < 0.95:  # it ends most of what could be tried after it
            continue
        sender = model.owner if thaw else dice.choice([*accounts, model.owner, model.owner, model.pending])
        if sender == ZERO:
            sender = accounts[0]
        given = arguments.of(function)
        story.append((function, sender, given))
        try:
            refused = None
            getattr(model, method(function))(sender, *given)
        except Refused as refusal:
            refused = refusal.reason
        try:
            receipt = contract.send(function, *given, sender=sender)
        except Reverted as reverted:
            assert reverted.reason == refused, story
            assert not chain.changed(reverted.transaction, contract.address), story
            continue
        assert refused is None, f"should be refused: {refused}\n{story}"
        done += 1
        unchanged = not chain.changed(receipt["transactionHash"], contract.address)
        assert unchanged or receipt.events, f"a change without an event\n{story}"
        assert_equal(contract, model, accounts, arguments.pools)
    assert done > steps // 8, "too few of the calls were allowed to say much"
