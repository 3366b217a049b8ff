"""With registry.storage_proofs, what allows a release is proved out of the contract's storage: a quorum of endpoints that
lies about a block whose hash is the true one gets nothing released, and nothing denied."""

import contextlib
import json
import subprocess

import abi
import pytest
from endpoints import Endpoint, says
from evm import ARTIFACTS
from harness import ROOT, attestry
from registry import Released, Workload, allow, sha256, start_registry

CONFIG = b'{"listen":"0.0.0.0:443"}'
PROVED = {"registry.storage_proofs": "true"}


@pytest.fixture
def endpoints(chain):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Endpoint(chain)) for _ in range(3)]


@contextlib.contextmanager
def running(data, chain, endpoints, **settings):
    urls = ",".join(endpoint.url for endpoint in endpoints)
    server = start_registry(data, chain, **{"registry.rpc": urls, **PROVED, **settings})
    yield server
    assert server.terminate() == 0, server.output


def workload(server, contract, **csr):
    return Workload(server, contract.address, contract.chain.accounts[0].key, **csr)


def register(server, contract):
    return workload(server, contract).register()


TRUE, FALSE = bytes(31) + b"\x01", bytes(32)


def test_registry_a_release_is_proved_at_every_block(tmp_path, chain, contract, endpoints):
    one = endpoints[0]
    with running(tmp_path / "data", chain, [one]) as server:
        allow(contract, workload(server, contract), CONFIG)
        Released(register(server, contract))
        assert one.asked.count("eth_getProof") == 1
        Released(register(server, contract))  # of this block it is known
        assert one.asked.count("eth_getProof") == 1
        calls = one.asked.count("eth_call")
        chain.mine()
        Released(register(server, contract))  # the answers are carried on, and proved anew
        assert one.asked.count("eth_getProof") > 1 and one.asked.count("eth_call") == calls


@pytest.mark.parametrize("proofs", ["false", "true"])
def test_registry_a_lying_quorum_gets_nothing_released(tmp_path, chain, contract, endpoints, proofs):
    settings = {"registry.storage_proofs": proofs, "registry.event_cache": "false"}
    with running(tmp_path / "data", chain, endpoints, **settings) as server:
        one = workload(server, contract)
        allow(contract, one, CONFIG)
        contract.send("removeConfigMapForIdentity", one.identity)
        for liar in endpoints[:2]:
            liar.change = says(contract, IdentityAllowed=TRUE, ConfigForIdentity=sha256(CONFIG))
        reply = register(server, contract)
        if proofs == "false":  # which is what the proofs are for
            Released(reply)
        else:
            assert reply.status == 503, reply
            assert "not what the block proves" in reply.text
            server.wait_for(r"chain\.answers_disproved")


def test_registry_a_lie_is_never_a_denial(tmp_path, chain, contract, endpoints):
    with running(tmp_path / "data", chain, endpoints[:1]) as server:
        allow(contract, workload(server, contract), CONFIG)
        lies = [
            {"IdentityAllowed": FALSE},
            {"ConfigForIdentity": sha256(b"another")},
            {"policy": sha256(b"a policy")},
        ]
        for lie in lies:
            endpoints[0].change = says(contract, **lie)
            contract.send("setStorageBackend", "file://./store/")  # its event has everything asked anew
            reply = register(server, contract)
            assert reply.status == 503, (lie, reply)
        endpoints[0].change = None
        contract.send("setStorageBackend", "file://./store/")
        Released(register(server, contract))
        assert not [leaf for leaf in server.leaves() if leaf["type"] == "revocation.registry"]


def test_registry_a_hidden_policy_is_found(tmp_path, chain, contract, endpoints):
    with running(tmp_path / "data", chain, endpoints[:1]) as server:
        allow(contract, workload(server, contract), CONFIG)
        contract.send("setPolicy", sha256(b"a policy"))
        endpoints[0].change = says(contract, policy=bytes(32))
        reply = register(server, contract)
        assert reply.status == 503 and "not what the block proves" in reply.text, reply


def test_registry_a_hidden_event_hides_nothing(tmp_path, chain, contract, endpoints):
    def hide(method, _, answer):
        return {"result": []} if method == "eth_getLogs" else answer

    with running(tmp_path / "data", chain, endpoints[:1]) as server:
        one = workload(server, contract)
        allow(contract, one, CONFIG)
        Released(register(server, contract))
        endpoints[0].change = hide
        contract.send("removeConfigMapForIdentity", one.identity)
        reply = register(server, contract)
        assert reply.status == 503 and "not what the block proves" in reply.text, reply


def test_registry_forged_proofs_are_an_outage_and_one_honest_endpoint_ends_it(tmp_path, chain, contract, endpoints):
    def forge(method, _, answer):
        if method == "eth_getProof":
            node = answer["result"]["storageProof"][0]["proof"][-1]
            answer["result"]["storageProof"][0]["proof"][-1] = node[:-2] + "0a"
        return answer

    def without(method, _, answer):
        return {"error": {"code": -32601, "message": "not here"}} if method == "eth_getProof" else answer

    with running(tmp_path / "data", chain, endpoints) as server:
        allow(contract, workload(server, contract), CONFIG)
        endpoints[0].change, endpoints[1].change, endpoints[2].change = forge, without, without
        reply = register(server, contract)
        assert reply.status == 503 and "no endpoint proves" in reply.text, reply
        endpoints[2].change = None
        Released(register(server, contract))


def test_registry_a_contract_of_unknown_code_cannot_be_proved(tmp_path, chain, contract, endpoints):
    chain.rpc("anvil_setCode", contract.address, chain.rpc("eth_getCode", contract.address, "latest") + "00")
    with running(tmp_path / "data", chain, endpoints[:1]) as server:
        allow(contract, workload(server, contract), CONFIG)
        reply = register(server, contract)
        assert reply.status == 502 and "cannot be proved" in reply.text, reply


@pytest.mark.parametrize("change", ["disallow", "freeze", "role"])
def test_registry_a_denial_that_is_proved_is_a_denial(tmp_path, chain, contract, endpoints, change):
    with running(tmp_path / "data", chain, endpoints[:1]) as server:
        one = workload(server, contract)
        allow(contract, one, CONFIG)
        Released(one.register())
        if change == "disallow":
            contract.send("removeConfigMapForIdentity", one.identity)
        elif change == "freeze":
            contract.send("freeze")
        else:
            contract.send("revokeRole", contract.call("ROLE_OPERATOR"), chain.accounts[0].address)
        assert register(server, contract).status == 403


def test_registry_names_of_certificates_are_proved(tmp_path, chain, contract, endpoints):
    with running(tmp_path / "data", chain, endpoints[:1], **{"registry.names": "strict"}) as server:
        allow(contract, workload(server, contract), CONFIG)
        contract.send("registerInstanceDomainName", "web.example.org")
        Released(workload(server, contract, names=["web.example.org"]).register())
        lie = ["web.example.org", "bank.example.org"]
        outputs = contract.artifact.functions["InstanceDomainNames"].outputs
        for listed in (lie, ["bank.example.org"], []):  # one too many, one in another's place, one left out
            endpoints[0].change = says(contract, InstanceDomainNames=abi.encode(outputs, [listed]))
            contract.send("setStorageBackend", "file://./store/")
            for name in lie:
                reply = workload(server, contract, names=[name]).register()
                assert reply.status == 503 and "not what the block proves" in reply.text, (listed, name, reply)
        endpoints[0].change = None
        contract.send("setStorageBackend", "file://./store/")
        Released(workload(server, contract, names=["web.example.org"]).register())


# The layout


def test_registry_the_storage_layout_is_the_compilers():
    node = subprocess.run([ROOT / "tools" / "deps" / "node.sh"], capture_output=True, text=True, check=True).stdout
    done = subprocess.run(
        [node.strip(), ROOT / "contracts" / "compile.mjs", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["Registry", "Kms"])
def test_registry_structs_in_storage_are_as_the_proofs_take_them(name):
    layout = json.loads((ARTIFACTS / f"{name}.json").read_text())["storageLayout"]
    places = {one["label"]: one for one in layout["structs"]["t_struct(RoleData)_storage"]}
    assert (places["hasRole"]["slot"], places["hasRole"]["type"]) == ("0", "t_mapping(t_address,t_bool)")
    places = {one["label"]: one for one in layout["structs"]["t_struct(StringSet)_storage"]}
    assert places["_positions"]["slot"] == "1"
    assert (places["_values"]["slot"], places["_values"]["type"]) == ("0", "t_array(t_string_storage)dyn_storage")
    types = {one["label"]: one["type"] for one in layout["variables"]}
    assert types["_roles"] == "t_mapping(t_bytes32,t_struct(RoleData)_storage)"
    assert types["_domains"] == "t_struct(StringSet)_storage"
    assert (types["_paused"], types["policy"]) == ("t_bool", "t_bytes32")
    if name == "Registry":
        assert types["identityConfigMap"] == "t_mapping(t_bytes32,t_bytes32)"
        return
    assert types["allowlistedIdentities"] == "t_mapping(t_bytes32,t_bool)"
    assert types["applicationPolicy"] == "t_mapping(t_address,t_bytes32)"
    assert types["onboardRequests"] == "t_mapping(t_bytes32,t_struct(OnboardRequest)_storage)"
    assert (types["app_pki"], types["_applications"]) == ("t_struct(AppPKI)_storage", "t_struct(AddressSet)_storage")
    for struct, member, slot in (
        ("OnboardRequest", "nonce", "1"),
        ("AppPKI", "pubkey", "1"),
        ("AddressSet", "_inner", "0"),
        ("Set", "_positions", "1"),
    ):
        places = {one["label"]: one for one in layout["structs"][f"t_struct({struct})_storage"]}
        assert places[member]["slot"] == slot, struct


def test_registry_proofs_need_a_chain(tmp_path):
    done = attestry(
        *["config", "check", "--set", f"server.data={tmp_path}", "--set", "registry.listen=127.0.0.1:0"],
        *["--set", "registry.contracts=any", "--set", "registry.governance=local"],
        *["--set", "registry.storage_proofs=true"],
    )
    assert done.code == 2 and "registry.storage_proofs" in done.err + done.out, done
