"""Settings of a key manager that have no page of tests of their own: what each changes, and what is so without it."""

import contextlib
import os
import re
import time

import pytest
from endpoints import Endpoint, until
from evm import Anvil
from harness import attestry, request
from key_managers import (
    APP_DATA,
    JSON,
    ask,
    attested_client,
    bootstrapped,
    identity_policy,
    managers,
    start_manager,
    unhex,
)
from storage import Authority


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture(scope="module")
def contract(chain):
    return chain.deploy("KeyManager")


def checked(tmp_path, **settings):
    """`attestry config check` of a key manager's settings, which are refused: what it says."""
    config = tmp_path / "attestry.toml"
    lines = [f'{name} = "{value}"' for name, value in {"listen": "127.0.0.1:0", **settings}.items()]
    config.write_text("[keymanager]\n" + "\n".join(lines) + "\n")
    done = attestry("config", "check", "--config", config)
    assert done.code != 0, done
    return done.err


# ---- attest_seconds


def holds(contract, made, at):
    """Whether the contract takes the signature in a block of that time."""
    bound = made["bound"]
    said = (made["workload"], bound["purpose"], unhex(made["appdata"]), bound["expires"], unhex(bound["sig_vrs"]))
    data = contract.calldata("verifyBound", *said)
    call = [{"to": contract.address, "data": "0x" + data.hex()}, "latest", {}, {"time": hex(at)}]
    return bool(int(contract.chain.rpc("eth_call", *call), 16))


@pytest.mark.parametrize(("setting", "seconds"), [(None, 3600), (90, 90)])
def test_keymanager_attest_seconds_is_how_long_a_contract_takes_an_attestation(tmp_path, chain, setting, seconds):
    contract = chain.deploy("KeyManager")
    with managers(tmp_path, chain, contract, **{"keymanager.attest_seconds": setting}) as start:
        server = start("first")
        bootstrapped(server, contract)
        before = int(time.time())
        made = request(server.apps, "GET", f"/attest/{APP_DATA}", headers=JSON).json()
        expires = made["bound"]["expires"]
        assert before + seconds <= expires <= int(time.time()) + seconds, made
        assert [holds(contract, made, at) for at in (before, expires, expires + 1)] == [True, True, False]


def test_keymanager_attest_seconds_of_no_length_are_none(tmp_path):
    for wrong in ("0", "-1", "1000000000", "an hour"):
        assert "keymanager.attest_seconds" in checked(tmp_path, attest_seconds=wrong)


# ---- identity_seconds


def examined(server):
    """How often evidence was looked at."""
    text = request(server.metrics, "GET", "/metrics").text
    found = re.findall(r'^attestry_verifier_cache_(?:hits|misses)_total\{cache="platform"\} (\d+)', text, re.M)
    assert len(found) == 2, text
    return sum(map(int, found))


@contextlib.contextmanager
def knowing_workloads(tmp_path, **settings):
    """A server over TLS that knows the workload "web" by its evidence."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "forge.seed").write_text(os.urandom(16).hex() + "\n")
    policy = identity_policy(tmp_path, (data / "forge.seed").read_text(), "web")
    server = start_manager(data, **{"tls.mode": "auto", "keymanager.workloads": policy, **settings})
    ask(server, "POST", "/bootstrap")
    yield server
    assert server.terminate() == 0, server.output


def test_keymanager_identity_seconds_is_how_long_evidence_is_believed(tmp_path):
    with knowing_workloads(tmp_path) as server:
        client = attested_client(server, tmp_path)
        assert client.get("/sealkey").status == 200
        seen = examined(server)
        assert {client.get("/sealkey").status for _ in range(50)} == {200}
        assert examined(server) == seen, "the evidence of a connection is looked at once"
        assert attested_client(server, tmp_path).get("/sealkey").status == 200
        assert examined(server) > seen, "that of another connection by itself"


def test_keymanager_identity_seconds_end_and_the_evidence_is_looked_at_again(tmp_path):
    with knowing_workloads(tmp_path, **{"keymanager.identity_seconds": 1}) as server:
        client = attested_client(server, tmp_path)
        assert client.get("/sealkey").status == 200
        seen = examined(server)
        replies = []

        def again():
            replies.append(client.get("/sealkey"))
            return examined(server) > seen

        until(again)
        assert {reply.status for reply in replies} == {200} and len({reply.text for reply in replies}) == 1


# ---- quorum


def outage(method, parameters, answer):
    return {"error": {"code": -32000, "message": "no answer today"}}


@pytest.mark.parametrize(("quorum", "dead"), [(0, [200, 200, 503]), (1, [200, 200, 200]), (3, [200, 503, 503])])
def test_keymanager_quorum_is_how_many_endpoints_must_agree(tmp_path, chain, contract, quorum, dead):
    with contextlib.ExitStack() as stack:
        three = [stack.enter_context(Endpoint(chain)) for _ in range(3)]
        settings = {"keymanager.rpc": ",".join(one.url for one in three), "keymanager.quorum": quorum}
        start = stack.enter_context(managers(tmp_path, chain, contract, **settings))
        server = start("first")
        seen = []
        for count in range(3):
            for one in three[:count]:
                one.change = outage
            seen.append(request(server.host, "POST", "/bootstrap", headers=JSON).status)
        assert seen == dead
        for one in three:
            one.change = None
        until(lambda: request(server.host, "POST", "/bootstrap", headers=JSON).status == 200)


def test_keymanager_quorum_is_at_most_all_endpoints(tmp_path, contract):
    said = checked(tmp_path, contract=contract.address, rpc="http://a,http://b", quorum="3")
    assert "keymanager.quorum" in said and "larger than the number of endpoints" in said


# ---- rpc_ca


@pytest.mark.parametrize(("trusted", "status"), [("ours", 200), ("theirs", 503), ("", 503)])
def test_keymanager_rpc_ca_is_whom_the_endpoints_are_believed_by(tmp_path, chain, contract, trusted, status):
    authorities = {name: Authority(name) for name in ("ours", "theirs")}
    for name, authority in authorities.items():
        (tmp_path / f"{name}.pem").write_bytes(authority.pem)
    ca = tmp_path / f"{trusted}.pem" if trusted else ""
    with Endpoint(chain, tls=authorities["ours"].issue(tmp_path, "endpoint", ["127.0.0.1"])) as endpoint:
        settings = {"keymanager.rpc": endpoint.url, "keymanager.rpc_ca": ca}
        with managers(tmp_path, chain, contract, **settings) as start:
            server = start("first")
            assert request(server.host, "POST", "/bootstrap").status == status
            assert ("eth_call" in endpoint.asked) == (status == 200)


def test_keymanager_rpc_ca_that_is_none_is_a_mistake(tmp_path):
    (tmp_path / "none.pem").write_text("no certificate")
    assert "keymanager.rpc_ca" in checked(tmp_path, rpc_ca=tmp_path / "none.pem")
    assert "there is no file" in checked(tmp_path, rpc_ca=tmp_path / "no-such.pem")
