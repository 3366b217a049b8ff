"""Workers' sessions: challenges, evidence, the operator's keys, restarts, and how sessions end."""

import json
import os
import ssl
import time

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import mldsa
from endpoints import until
from harness import PATIENCE, request
from keystore import COORDINATOR, OPERATOR, Client, OverTls, Worker, start_keystore
from near import Chain, base58, nodes

REPO = {"type": "Repo", "repo": "github.com/alice/project", "branch": None}
ON_CHAIN = {"Repo": {"repo": "github.com/alice/project", "branch": None}}
OWNER = "alice.testnet"
SEED = f"github.com/alice/project:{OWNER}"
SECRETS = b'{"API_KEY":"sk-test"}'


@pytest.fixture(scope="module")
def chain():
    return Chain()


@pytest.fixture(scope="module")
def node(chain):
    with nodes(chain) as running:
        yield running[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain, node):
    made = start_keystore(tmp_path_factory.mktemp("sessions") / "data", chain, [node])
    yield made
    assert made.terminate() == 0, made.output


def refused(reply, status, text):
    assert (reply.status, text in reply.json()["error"]) == (status, True), reply


def test_a_challenge_is_good_for_one_try(server, chain):
    worker = Worker(server, chain)
    body = worker.registration(signature=worker.signature(b"something else"))
    refused(worker.post("/register-tee", body), 400, "Signature verification failed: ")
    right = {**body, "signature": worker.signature(bytes.fromhex(body["challenge"]))}
    refused(worker.post("/register-tee", right), 400, "Invalid or expired challenge")


def test_evidence_is_asked_for(server, chain):
    refused(Worker(server, chain).register(kind=None), 401, "Attestation verification failed: ")


@pytest.mark.parametrize("kind", ["tdx-v4", "tdx-v5", "sgx-v3", "snp-milan-v3", "nitro"])
def test_workers_of_several_kinds(server, chain, kind):
    assert Worker(server, chain).register(kind=kind).status == 200


def test_evidence_of_another_key_or_challenge(server, chain):
    worker, other = Worker(server, chain), Worker(server, chain)
    refused(worker.register(encryption_key=other.registration()["encryption_key"]), 401, "Attestation")
    refused(worker.register(evidence=worker.registration()["evidence"]), 401, "Attestation")
    assert worker.register().status == 200


def test_a_key_that_the_operators_account_does_not_have(server, chain):
    worker = Worker(server, chain)
    chain.remove_key(OPERATOR, worker.public)
    text = f"Public key {worker.public} not found on operator account {OPERATOR}"
    refused(worker.register(), 401, text)


def test_a_chain_that_is_away_is_no_refusal(server, chain, node):
    worker = Worker(server, chain)
    node.dead = True
    try:
        reply = worker.register()
    finally:
        node.dead = False
    refused(reply, 503, "NEAR RPC check failed: ")
    assert reply.headers["Retry-After"]
    assert worker.register().status == 200


def test_operators_end_sessions(server, chain):
    worker = Worker(server, chain)
    assert worker.register().status == 200
    assert worker.in_session("/vrf/generate", {"alpha": "a"}).status == 200
    coordinator = Client(server, COORDINATOR)
    assert coordinator.post("/admin/end-sessions", {"public_key": worker.public}).json() == {"ended": 1}
    refused(worker.in_session("/vrf/generate", {"alpha": "a"}), 403, "TEE session not found or expired")
    assert worker.post("/admin/end-sessions", {"public_key": worker.public}).status == 401


def test_sessions_survive_a_crash(tmp_path, chain, node):
    server = start_keystore(tmp_path / "data", chain, [node])
    worker = Worker(server, chain)
    assert worker.register().status == 200
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, SECRETS))
    server.kill()
    again = start_keystore(tmp_path / "data", chain, [node])
    worker.server = again
    reply, plaintext = worker.decrypt(REPO, "default", OWNER)
    assert plaintext == SECRETS, reply
    assert again.terminate() == 0, again.output


def test_a_session_ends_with_its_access_key(tmp_path, chain, node):
    server = start_keystore(tmp_path / "data", chain, [node], **{"keystore.recheck_seconds": 1})
    worker, other = Worker(server, chain), Worker(server, chain)
    assert worker.register().status == other.register().status == 200
    chain.remove_key(OPERATOR, worker.public)
    until = time.monotonic() + PATIENCE
    while worker.in_session("/vrf/generate", {"alpha": "a"}).status == 200:
        assert time.monotonic() < until
    refused(worker.in_session("/vrf/generate", {"alpha": "a"}), 403, "TEE session not found or expired")
    assert other.in_session("/vrf/generate", {"alpha": "a"}).status == 200
    assert server.terminate() == 0, server.output


def test_a_registered_key_alone_is_enough_only_where_a_switch_says_so(tmp_path, chain, node):
    server = start_keystore(tmp_path / "data", chain, [node], **{"keystore.trust_registered_keys": "true"})
    worker = Worker(server, chain)
    reply = worker.register(kind=None)
    assert reply.status == 200 and "sealed_session_key" not in reply.json(), reply
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, SECRETS))
    reply, plaintext = worker.decrypt(REPO, "default", OWNER)
    assert set(reply.json()) == {"plaintext_secrets"} and plaintext == SECRETS, reply
    assert server.terminate() == 0, server.output


def test_a_switch_that_is_off_again_ends_the_sessions_that_it_let_in(tmp_path, chain, node):
    server = start_keystore(tmp_path / "data", chain, [node], **{"keystore.trust_registered_keys": "true"})
    trusted, attested = Worker(server, chain), Worker(server, chain)
    assert trusted.register(kind=None).status == attested.register().status == 200
    assert trusted.in_session("/vrf/generate", {"alpha": "a"}).status == 200
    assert server.terminate() == 0, server.output
    server = start_keystore(tmp_path / "data", chain, [node], **{"keystore.recheck_seconds": 1})
    trusted.server = attested.server = server
    refused(trusted.in_session("/vrf/generate", {"alpha": "a"}), 403, "TEE session not found or expired")
    assert attested.in_session("/vrf/generate", {"alpha": "a"}).status == 200
    until(lambda: Client(server).call("GET", "/admin/loaded-vaults").json()["tee_sessions"] == 1)
    assert server.terminate() == 0, server.output


def test_a_key_without_an_answer_keeps_no_other_from_being_looked_at(tmp_path, chain):
    with nodes(chain) as [node]:
        server = start_keystore(tmp_path / "data", chain, [node], **{"keystore.recheck_seconds": 1})
        workers = sorted((Worker(server, chain) for _ in range(3)), key=lambda worker: worker.public)
        for worker in workers:
            assert worker.register().status == 200
        silent, gone, stays = workers

        def says_nothing_about_one(method, params, result):
            asked = method == "query" and params.get("public_key") == silent.public
            return {"nothing": True} if asked else result

        node.lie = says_nothing_about_one
        chain.remove_key(OPERATOR, gone.public)
        until(lambda: gone.in_session("/vrf/generate", {"alpha": "a"}).status == 403)
        assert stays.in_session("/vrf/generate", {"alpha": "a"}).status == 200
        # An outage is no denial.
        assert silent.in_session("/vrf/generate", {"alpha": "a"}).status == 200
        assert "attestry_keystore_oldest_look_seconds" in request(server.metrics, "GET", "/metrics").text
        assert server.terminate() == 0, server.output


def test_a_nonce_of_the_request_is_in_its_reply(server, chain):
    worker = Worker(server, chain)
    assert worker.register().status == 200
    stored = {"wasm_hash": "cd" * 32, "account_id": OWNER}
    asked = {**stored, "key": "counter", "value_base64": "Nw=="}
    sealed = worker.in_session("/storage/encrypt", asked).json()
    body = json.dumps({**stored, **{name: sealed[name] for name in sealed if name != "key_hash"}}).encode()
    headers = {"X-TEE-Session": worker.session, "Content-Type": "application/json"}
    nonce = os.urandom(16)
    reply = worker.post("/storage/decrypt", body, {**headers, "X-Attestry-Nonce": nonce.hex()}).json()["sealed_reply"]
    assert json.loads(worker.open_reply("/storage/decrypt", body, reply, nonce))["key"] == "counter"
    for other in (os.urandom(16), None):
        with pytest.raises(InvalidTag):
            worker.open_reply("/storage/decrypt", body, reply, other)
    bad = worker.post("/storage/decrypt", body, {**headers, "X-Attestry-Nonce": "1"})
    refused(bad, 400, "X-Attestry-Nonce: expected 32 hex digits")


def test_a_worker_with_a_key_that_no_quantum_computer_forges(tmp_path, chain, node):
    server = start_keystore(tmp_path / "data", chain, [node], **{"keystore.key_kinds": "ed25519,ml-dsa-65"})
    worker = Worker(server, chain)
    key = mldsa.MLDSA65PrivateKey.generate()
    worker.public = "ml-dsa-65:" + base58(key.public_key().public_bytes_raw())
    worker.signature = lambda message: "ml-dsa-65:" + base58(key.sign(message))
    chain.add_key(OPERATOR, worker.public)
    assert worker.register().status == 200
    assert worker.in_session("/vrf/generate", {"alpha": "a"}).status == 200
    body = worker.registration()
    other = "ml-dsa-65:" + base58(key.sign(b"something else"))
    refused(worker.post("/register-tee", {**body, "signature": other}), 400, "Signature verification failed: ")
    assert server.terminate() == 0, server.output
    server = start_keystore(tmp_path / "data", chain, [node])
    worker.server = server
    refused(worker.in_session("/vrf/generate", {"alpha": "a"}), 403, "TEE session not found or expired")
    refused(worker.register(), 400, "keys of this kind are not taken (keystore.key_kinds)")
    assert server.terminate() == 0, server.output


def test_whoever_ended_sessions_is_in_the_log(server, chain):
    worker = Worker(server, chain)
    assert worker.register().status == 200
    coordinator = Client(server, COORDINATOR)
    reply = coordinator.post("/admin/end-sessions", {"session_id": worker.session})
    assert reply.json() == {"ended": 1}
    leaf = server.leaves()[int(reply.headers["X-Attestry-Leaf"])]
    assert leaf["type"] == "keystore.end-sessions" and set(leaf["outputs"]) == {"worker", "token"}, leaf
    before = len(server.leaves())
    assert coordinator.post("/admin/end-sessions", {"session_id": worker.session}).json() == {"ended": 0}
    assert len(server.leaves()) == before


def test_registrations_are_in_the_log(server, chain):
    before = len(server.leaves())
    assert Worker(server, chain).register().status == 200
    assert [leaf["type"] for leaf in server.leaves()[before:]] == ["keystore.register"]


def test_a_session_is_of_use_over_its_own_connection_alone(tmp_path, chain, node):
    server = start_keystore(tmp_path / "data", chain, [node], **{"tls.mode": "auto"})
    worker, thief = OverTls(server, chain), OverTls(server, chain)
    assert worker.register().status == 200
    asked = {"alpha": "a"}
    assert worker.in_session("/vrf/generate", asked).status == 200
    refused(thief.in_session("/vrf/generate", asked, worker.session), 403, "TEE session not found or expired")
    said = {"X-TEE-Session": worker.session, ":tls-exporter": "x" * 32}
    with pytest.raises(ValueError, match="Invalid header name"):
        thief.post("/vrf/generate", asked, said)
    assert worker.in_session("/vrf/generate", asked).status == 200
    old = OverTls(server, chain, ssl.TLSVersion.TLSv1_2)
    refused(old.register(), 400, "a session is bound to its connection: use TLS 1.3")
    for one in (worker, thief, old):
        one.connection.close()
    assert server.terminate() == 0, server.output
