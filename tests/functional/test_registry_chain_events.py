"""What attestry's own contracts said is kept from block to block until one has an event of theirs."""

import contextlib

import pytest
from registry import Released, Workload, allow, start_registry

CONFIG = b'{"listen":"0.0.0.0:443"}'


@contextlib.contextmanager
def running(data, chain, endpoint, **settings):
    server = start_registry(data, chain, **{"registry.rpc": endpoint.url, **settings})
    yield server
    assert server.terminate() == 0, server.output


def register(server, contract):
    return Workload(server, contract.address, contract.chain.accounts[0].key).register()


def allowed(server, contract):
    allow(contract, Workload(server, contract.address, contract.chain.accounts[0].key), CONFIG)


def calls_of(endpoint, what):
    """How often the contract is called meanwhile."""
    before = endpoint.asked.count("eth_call")
    what()
    return endpoint.asked.count("eth_call") - before


def test_registry_blocks_go_by_without_new_calls(tmp_path, chain, contract, endpoint):
    with running(tmp_path / "data", chain, endpoint) as server:
        allowed(server, contract)
        assert calls_of(endpoint, lambda: Released(register(server, contract))) > 0
        for blocks in (1, 5, 100):
            chain.mine(blocks)
            assert calls_of(endpoint, lambda: Released(register(server, contract))) == 0
        assert endpoint.asked.count("eth_getCode") == 1


def test_registry_the_cache_over_blocks_can_be_switched_off(tmp_path, chain, contract, endpoint):
    with running(tmp_path / "data", chain, endpoint, **{"registry.event_cache": "false"}) as server:
        allowed(server, contract)
        for _ in range(2):
            assert calls_of(endpoint, lambda: Released(register(server, contract))) > 0
            chain.mine()
        assert "eth_getCode" not in endpoint.asked


def test_registry_contracts_of_other_code_are_asked_at_every_block(tmp_path, chain, contract, endpoint):
    code = chain.rpc("eth_getCode", contract.address, "latest")
    chain.rpc("anvil_setCode", contract.address, code + "00")  # behaves alike, and need not emit anything
    with running(tmp_path / "data", chain, endpoint) as server:
        allowed(server, contract)
        for _ in range(3):
            assert calls_of(endpoint, lambda: Released(register(server, contract))) > 0
            chain.mine()


CHANGES = {
    "disallow": lambda contract, identity: contract.send("removeConfigMapForIdentity", identity),
    "freeze": lambda contract, _: contract.send("freeze"),
    "policy": lambda contract, _: contract.send("setPolicy", bytes(31) + b"\x05"),
    "role": lambda contract, _: contract.send(
        "revokeRole", contract.call("ROLE_OPERATOR"), contract.chain.accounts[0].address
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_registry_a_change_is_seen_in_the_very_next_block(tmp_path, chain, contract, endpoint, change):
    with running(tmp_path / "data", chain, endpoint) as server:
        allowed(server, contract)
        identity = Workload(server, contract.address).identity
        Released(register(server, contract))
        chain.mine(3)
        assert calls_of(endpoint, lambda: Released(register(server, contract))) == 0
        CHANGES[change](contract, identity)
        reply = register(server, contract)
        # A policy that is named and stored nowhere is no denial, and nothing is released without it.
        assert reply.status == (503 if change == "policy" else 403), reply
        chain.mine()
        assert register(server, contract).status == reply.status


def test_registry_a_change_in_a_block_of_another_branch_is_seen_when_it_is_final(tmp_path, chain, contract, endpoint):
    with running(tmp_path / "data", chain, endpoint, **{"registry.finality": "depth:2"}) as server:
        allowed(server, contract)
        identity = Workload(server, contract.address).identity
        chain.mine(4)
        Released(register(server, contract))
        taking_back = {
            "from": str(chain.accounts[0]),
            "to": contract.address,
            "data": "0x" + contract.calldata("removeConfigMapForIdentity", identity).hex(),
        }
        chain.reorg(2, [(taking_back, 0)])  # the first of the two new blocks, neither of which is final
        assert calls_of(endpoint, lambda: Released(register(server, contract))) == 0
        chain.mine()
        reply = register(server, contract)
        assert (reply.status, reply.text) == (403, "identity not allowed\n")


def test_registry_a_change_of_a_branch_that_was_left_does_not_count(tmp_path, chain, contract, endpoint):
    with running(tmp_path / "data", chain, endpoint, **{"registry.finality": "depth:2"}) as server:
        allowed(server, contract)
        chain.mine(4)
        Released(register(server, contract))
        contract.send("freeze")
        assert calls_of(endpoint, lambda: Released(register(server, contract))) == 0  # the block is not final
        chain.reorg(1)  # without the transaction
        chain.mine(3)
        assert not contract.call("paused")
        assert calls_of(endpoint, lambda: Released(register(server, contract))) == 0
