"""The server and its chain: what strangers may cost, what a commit looks at, and what is remembered over restarts."""

import contextlib
import threading
import time

import pytest
from endpoints import until
from harness import PATIENCE, attestry, request
from registry import Released, Workload, allow, bare, start_registry
from registry_admin import Admin, write_admins

CONFIG = b'{"listen":"0.0.0.0:443"}'
POLLED = {"registry.head_ms": "200"}


@contextlib.contextmanager
def running(data, chain, url=None, **settings):
    server = start_registry(data, chain, **({"registry.rpc": url} if url else {}), **settings)
    yield server
    assert server.terminate() == 0, server.output


def polled(endpoint):
    """The server has asked for the newest block, and has the answer, since this was called."""
    heads = endpoint.asked.count("eth_chainId")
    until(lambda: endpoint.asked.count("eth_chainId") >= heads + 3)


def metadata(server, address):
    return request(server.registry, "GET", f"/api/public/app_metadata/{address}")


@pytest.mark.parametrize("proofs", [False, True])
def test_registry_a_first_registration_costs_one_round_trip_to_the_chain(tmp_path, chain, contract, endpoint, proofs):
    data = tmp_path / "data"
    quiet = {"registry.head_ms": "60000", "registry.storage_proofs": str(proofs).lower()}  # the head: every 30 s
    with running(data, chain) as server:
        allow(contract, Workload(server, contract.address, chain.accounts[0].key), CONFIG)
    with running(data, chain, endpoint.url, **quiet) as server:
        until(lambda: gauges(server)["attestry_chain_endpoints_agreeing"] == 1)
        before = endpoint.rounds
        Released(Workload(server, contract.address, chain.accounts[0].key).register())
        expected = [{"eth_call"}, {"eth_getBlockByHash", "eth_getProof"}][: 1 + proofs]
        assert [set(batch) for batch in endpoint.batches[before:]] == expected
        Released(Workload(server, contract.address, chain.accounts[0].key).register())
        assert endpoint.rounds == before + len(expected)  # what the block says is known


def test_registry_the_head_is_asked_for_besides_and_never_by_a_registration(tmp_path, chain, contract, endpoint):
    with running(tmp_path / "data", chain, endpoint.url, **POLLED) as server:
        workload = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, workload, CONFIG)
        polled(endpoint)
        Released(workload.register())
        calls = [batch for batch in endpoint.batches if "eth_call" in batch]
        assert len(calls) == 1 and set(calls[0]) == {"eth_call"}


def test_registry_065_questions_of_strangers_hold_up_nobody_else(tmp_path, chain, contract, endpoint):
    with running(tmp_path / "data", chain, endpoint.url, **POLLED) as server:
        workload = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, workload, CONFIG)
        polled(endpoint)
        strangers = [f"{number:040x}" for number in range(0xABCDEF01, 0xABCDEF01 + 40)]
        endpoint.silent_about = set(strangers)
        replies = []
        asking = [threading.Thread(target=lambda a=a: replies.append(metadata(server, a))) for a in strangers]
        for thread in asking:
            thread.start()
        until(lambda: endpoint.held > 0)
        assert request(server.registry, "GET", "/livez").status == 200
        Released(workload.register())  # the chain's head is fresh, and the contract is asked
        for thread in asking:
            thread.join(PATIENCE)
        assert {reply.status for reply in replies} == {503}
        endpoint.silent_about = set()
        assert metadata(server, bare(contract.address)).status == 200


def test_registry_065_the_same_question_of_strangers_is_asked_once(tmp_path, chain, contract, endpoint):
    with running(tmp_path / "data", chain, endpoint.url, **POLLED) as server:
        for address, status in ((bare(contract.address), 200), ("77" * 20, 404)):
            assert metadata(server, address).status == status
            calls = endpoint.asked.count("eth_call")
            assert metadata(server, address).status == status
            assert endpoint.asked.count("eth_call") == calls


def while_deciding(endpoint, what):
    """Does it once, when the contract has been asked."""
    done = []

    def change(method, _, answer):
        if method == "eth_call" and not done:
            done.append(True)
            what()
            polled(endpoint)
        return answer

    endpoint.change = change


def test_registry_blocks_that_come_meanwhile_are_no_conflict(tmp_path, chain, contract, endpoint):
    with running(tmp_path / "data", chain, endpoint.url, **POLLED) as server:
        workload = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, workload, CONFIG)
        polled(endpoint)
        while_deciding(endpoint, lambda: chain.mine(64))  # as when two epochs become final at once
        Released(workload.register())


def test_registry_what_is_taken_back_meanwhile_is_not_released(tmp_path, chain, contract, endpoint):
    with running(tmp_path / "data", chain, endpoint.url, **POLLED) as server:
        workload = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, workload, CONFIG)
        polled(endpoint)
        while_deciding(endpoint, lambda: contract.send("removeConfigMapForIdentity", workload.identity))
        reply = workload.register()
        assert (reply.status, reply.text) == (403, "identity not allowed\n")


def test_registry_another_configuration_meanwhile_is_a_conflict(tmp_path, chain, contract, endpoint):
    with running(tmp_path / "data", chain, endpoint.url, **POLLED) as server:
        workload = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, workload, CONFIG)
        polled(endpoint)
        while_deciding(endpoint, lambda: contract.send("setConfigForIdentity", workload.identity, bytes(31) + b"\x01"))
        reply = workload.register()
        assert reply.status == 409 and "was changed while this was decided" in reply.text, reply


def test_registry_a_chain_of_quick_blocks_is_served(tmp_path, contract, endpoint, chain):
    chain.rpc("evm_setAutomine", False)
    chain.rpc("anvil_setIntervalMining", 1)
    with running(tmp_path / "data", chain, endpoint.url, **POLLED) as server:
        workload = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, workload, CONFIG)
        polled(endpoint)
        for _ in range(3):
            Released(Workload(server, contract.address, chain.accounts[0].key).register())
            polled(endpoint)


def test_registry_an_older_view_of_the_chain_is_refused_after_a_restart(tmp_path, chain, contract):
    data = tmp_path / "data"
    kept = {"registry.floor": "kept"}
    before = chain.snapshot()
    chain.mine(5)
    with running(data, chain, **kept) as server:
        assert metadata(server, bare(contract.address)).status == 200
    chain.revert(before)
    with running(data, chain, **kept) as server:
        reply = metadata(server, bare(contract.address))
        assert reply.status == 503
        assert "has seen as the head before" in reply.text
        workload = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, workload, CONFIG)
        assert workload.register().status == 503
        chain.mine(10)  # another branch, above that block
        assert "reorganisation below the finality" in metadata(server, bare(contract.address)).text
    with running(data, chain, **{"registry.floor": "forgotten"}) as server:
        assert metadata(server, bare(contract.address)).status == 200


# Revocations


def revocations(server):
    return [leaf for leaf in server.leaves() if leaf["type"] == "revocation.registry"]


def why(server, appraisal):
    done = attestry(
        "why", appraisal, "--server", server.admin, "--token-file", server.data / "admin.token", "--no-color"
    )
    assert done.code == 0, done
    return done.out


def test_registry_a_revocation_on_the_chain_is_one_leaf_and_stops_renewals(tmp_path, chain, contract, endpoint):
    with running(tmp_path / "data", chain, endpoint.url, **POLLED) as server:
        workload = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, workload, CONFIG)
        polled(endpoint)
        released = Released(workload.register())
        leaf = server.leaves()[int(released.headers["X-Attestry-Leaf"])]
        assert "taken back" not in why(server, leaf["appraisal"])
        contract.send("removeConfigMapForIdentity", workload.identity)
        until(lambda: revocations(server))
        ended = revocations(server)[0]
        assert (ended["app"], ended["appraisal"]) == (leaf["app"], leaf["appraisal"])
        assert f"taken back on the chain at block {chain.height}" in why(server, leaf["appraisal"])
        renewal = Workload(server, contract.address, chain.accounts[0].key).register()
        assert (renewal.status, renewal.text) == (403, "identity not allowed\n")
        assert len(revocations(server)) == 1


def test_registry_a_new_release_stops_with_the_block_of_the_revocation(tmp_path, chain, contract):
    with running(tmp_path / "data", chain, **{"registry.head_ms": "0"}) as server:
        first = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, first, CONFIG)
        Released(first.register())
        contract.send("removeConfigMapForIdentity", first.identity)
        assert Workload(server, contract.address, chain.accounts[0].key).register().status == 403


@pytest.mark.parametrize("ends", ["frozen", "operator"])
def test_registry_a_revocation_that_nobody_saw_is_a_leaf_after_the_restart(tmp_path, chain, contract, endpoint, ends):
    data = tmp_path / "data"
    with running(data, chain, endpoint.url, **POLLED) as server:
        workload = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, workload, CONFIG)
        polled(endpoint)
        released = Released(workload.register())
        appraisal = server.leaves()[int(released.headers["X-Attestry-Leaf"])]["appraisal"]
    if ends == "frozen":
        contract.send("freeze")
    else:
        contract.send("revokeRole", contract.call("ROLE_OPERATOR"), chain.accounts[0].address)
    for _ in range(2):  # the second start finds nothing to add
        with running(data, chain, endpoint.url, **POLLED) as server:
            until(lambda server=server: revocations(server))
            assert len(revocations(server)) == 1
            assert "taken back on the chain" in why(server, appraisal)


# Figures


def gauges(server):
    text = request(server.metrics, "GET", "/metrics").text
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    found = {name: float(value) for name, value in lines}
    return {name: found.get(name) for name in found if name.startswith(("attestry_chain_", "attestry_registry_"))}


def test_registry_figures_tell_of_the_chain(tmp_path, chain, contract, endpoint):
    age = {"registry.max_head_age": "3600"}
    with running(tmp_path / "data", chain, endpoint.url, **POLLED, **age) as server:
        polled(endpoint)
        now = gauges(server)
        assert now["attestry_registry_unlocked"] == 1
        assert now["attestry_chain_endpoints_agreeing"] == 1
        assert now["attestry_chain_stalled"] == 0
        assert 0 <= now["attestry_chain_head_age_seconds"] < 3600
        chain.rpc("evm_setNextBlockTimestamp", int(time.time()) + 7200)
        chain.mine()
        until(lambda: gauges(server)["attestry_chain_stalled"] == 1)
        assert gauges(server)["attestry_chain_head_age_seconds"] < -60
        endpoint.change = lambda *_: {"error": {"code": -32000, "message": "not now"}}
        until(lambda: gauges(server)["attestry_chain_endpoints_agreeing"] == 0)


def test_registry_figures_tell_of_a_master_key_that_is_not_there(tmp_path, chain):
    admins = write_admins(tmp_path / "admins.json", [Admin() for _ in range(3)])
    shamir = {"registry.kms": "shamir", "registry.admins": admins, "registry.threshold": 2}
    with running(tmp_path / "data", chain, **shamir) as server:
        assert gauges(server)["attestry_registry_unlocked"] == 0
