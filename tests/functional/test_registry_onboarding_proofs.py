"""With registry.storage_proofs, what a quorum says of the key service's contract is proved out of its storage: liars get
no master out, none in, and no app served. Both servers are the real program."""

import base64
import os

import abi
import pytest
from endpoints import says
from evm import Anvil
from harness import request
from key_servers import (
    CONFIG,
    MASTER,
    ONBOARD,
    asked,
    authorize,
    bring,
    fetch,
    key_servers,
    let_in,
    publish,
    refused,
    signed,
)
from registry import Released, Workload, allow, bare

PROVED = {"registry.storage_proofs": "true", "registry.event_cache": "false"}


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture
def operator(chain):
    return chain.accounts[0]


@pytest.fixture
def kms(chain):
    return chain.deploy("Kms")


@pytest.fixture
def start(tmp_path, chain, kms):
    with key_servers(tmp_path, chain, kms) as starter:
        yield starter


@pytest.fixture
def giver(start, tmp_path):
    return start("giver", **simple(tmp_path))


@pytest.fixture
def receiver(start):
    return start("receiver", **{"registry.kms": "onboard"})


def simple(tmp_path):
    file = tmp_path / "master"
    file.write_text(MASTER.hex())
    return {"registry.kms": "simple", "registry.master": file}


def behind(endpoint, start, name, **settings):
    return start(name, **{"registry.rpc": endpoint.url, **PROVED, **settings})


def test_registry_047_a_quorum_that_lies_about_a_server_gets_no_master(
    start, kms, operator, receiver, endpoint, tmp_path
):
    giver = behind(endpoint, start, "doubtful", **simple(tmp_path))
    assert authorize(receiver, operator).status == 200
    hash_ = bring(kms, asked(receiver, operator)).hex()
    refused(fetch(giver, hash_), 403, "unauthorized")
    endpoint.change = says(kms, IdentityAllowed=bytes(31) + b"\1")
    kms.chain.mine()
    refused(fetch(giver, hash_), 503, "not what the block proves")
    endpoint.change = None
    let_in(kms, receiver)
    kms.send("setPolicy", b"\5" * 32)
    endpoint.change = says(kms, policy=bytes(32))
    kms.chain.mine()
    refused(fetch(giver, hash_), 503, "not what the block proves")
    kms.send("setPolicy", bytes(32))
    endpoint.change = None
    kms.chain.mine()
    assert fetch(giver, hash_).status == 200
    assert [leaf["type"] for leaf in giver.leaves()].count("release.onboard") == 1


def test_registry_047_a_withdrawn_request_is_no_lie_and_a_hidden_one_is(
    start, kms, chain, operator, receiver, endpoint, tmp_path
):
    giver = behind(endpoint, start, "doubtful", **simple(tmp_path))
    let_in(kms, receiver)
    assert authorize(receiver, operator).status == 200
    wanted = asked(receiver, operator)
    hash_ = bring(kms, wanted)
    looked = []
    fetched = kms.artifact.functions["fetchOnboardRequest"].selector.hex()

    def gone_since(method, parameters, answer):
        if method == "eth_call" and parameters[0]["data"][2:10] == fetched:
            looked.append(answer)
            if len(looked) > 1:
                outputs = kms.artifact.functions["fetchOnboardRequest"].outputs
                return {"result": "0x" + abi.encode(outputs, [(b"", 0, "0x" + "00" * 20, b"")]).hex()}
        return answer

    endpoint.change = gone_since
    refused(fetch(giver, hash_.hex()), 503, "not what the block proves")
    looked.clear()

    def withdrawn_meanwhile(method, parameters, answer):
        if method == "eth_call" and parameters[0]["data"][2:10] == fetched and not looked:
            looked.append(answer)
            kms.send("removeOnboardRequest", hash_)
        return answer

    endpoint.change = withdrawn_meanwhile
    refused(fetch(giver, hash_.hex()), 404, f"onchain onboard request {hash_.hex()} not found")


def test_registry_047_a_quorum_that_lies_about_the_key_gets_no_other_master_taken(
    start, kms, giver, operator, endpoint, tmp_path
):
    receiver = behind(endpoint, start, "deceived", **{"registry.kms": "onboard"})
    publish(kms, giver)
    let_in(kms, receiver)
    assert authorize(receiver, operator).status == 200
    bring(kms, asked(receiver, operator))
    file = tmp_path / "another"
    file.write_text(os.urandom(32).hex())
    thief = start("thief", **{"registry.kms": "simple", "registry.master": file})
    key = base64.b64decode(request(thief.registry, "GET", f"/api/public/pki/{bare(kms.address)}").json()["app_pubkey"])
    endpoint.change = says(kms, PKI=abi.encode(kms.artifact.functions["PKI"].outputs, [(b"", key, b"")]))
    kms.chain.mine()
    refused(signed(receiver, operator, ONBOARD, thief.registry.encode()), 503, "not what the block proves")
    endpoint.change = None
    kms.chain.mine()
    assert signed(receiver, operator, ONBOARD, giver.registry.encode()).status == 200


def test_registry_048_a_quorum_that_lies_about_an_operator_lets_nobody_run_a_server(
    start, kms, chain, endpoint, tmp_path
):
    receiver = behind(endpoint, start, "run", **{"registry.kms": "onboard"})
    endpoint.change = says(kms, hasRole=bytes(31) + b"\1")
    kms.chain.mine()
    refused(authorize(receiver, chain.accounts[5]), 503, "not what the block proves")
    endpoint.change = None
    kms.chain.mine()
    assert authorize(receiver, chain.accounts[5]).status == 403
    assert authorize(receiver, chain.accounts[0]).status == 200


def test_registry_051_a_quorum_that_lies_about_the_list_of_apps(start, kms, chain, operator, endpoint, tmp_path):
    server = behind(endpoint, start, "lists", **simple(tmp_path), **{"registry.contracts": "kms"})
    contract = chain.deploy("Registry")
    one = Workload(server, contract.address, operator.key)
    allow(contract, one, CONFIG)
    refused(one.register(), 403, "application not allowed")
    endpoint.change = says(kms, ApplicationAllowed=bytes(31) + b"\1")
    chain.mine()
    refused(Workload(server, contract.address, operator.key).register(), 503, "not what the block proves")
    kms.send("AllowApplication", contract.address)
    kms.send("setApplicationPolicy", contract.address, b"\5" * 32)
    endpoint.change = says(kms, applicationPolicy=bytes(32))
    chain.mine()
    refused(Workload(server, contract.address, operator.key).register(), 503, "not what the block proves")
    kms.send("setApplicationPolicy", contract.address, bytes(32))
    endpoint.change = None
    chain.mine()
    Released(Workload(server, contract.address, operator.key).register())
