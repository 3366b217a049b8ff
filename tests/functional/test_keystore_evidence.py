"""Evidence with each request, as the first two generations send it: binding, freshness, replay, outages."""

import base64
import os
import time

import pytest
from harness import Program, request, serve_arguments
from key_managers import identity_policy
from keystore import Client, OldWorker, Worker, montgomery, seal_ecies, start_keystore
from near import Chain, nodes

REPO = {"type": "Repo", "repo": "github.com/alice/project", "branch": None}
ON_CHAIN = {"Repo": {"repo": "github.com/alice/project", "branch": None}}
OWNER = "alice.testnet"
SECRETS = b'{"API_KEY":"sk-test"}'
BODY = {"accessor": REPO, "profile": "default", "owner": OWNER, "user_account_id": "a.testnet"}


@pytest.fixture(scope="module")
def chain():
    return Chain()


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain):
    with nodes(chain) as running:
        made = start_keystore(tmp_path_factory.mktemp("evidence") / "data", chain, running)
        made.nodes = running
        yield made
        assert made.terminate() == 0, made.output


@pytest.fixture(scope="module")
def worker(server, chain):
    made = Worker(server, chain)
    made.challenge()
    chain.store(ON_CHAIN, "default", OWNER, made.encrypted(f"github.com/alice/project:{OWNER}", SECRETS))
    return OldWorker(server, made.audience)


def refused(reply, status, text):
    assert (reply.status, text in reply.json()["error"]) == (status, True), reply


@pytest.mark.parametrize(
    ("kind", "tee_type"),
    [("tdx-v4", "tdx"), ("tdx-v5", "tdx"), ("sgx-v3", "sgx"), ("snp-genoa-v3", "sev"), ("nitro", "nitro")],
)
def test_kinds(worker, kind, tee_type):
    reply = worker.post("/decrypt", worker.attested({**BODY, "task_id": kind}, kind=kind, tee_type=tee_type))
    assert reply.status == 200 and worker.open(reply) == SECRETS, reply
    assert set(reply.json()) == {"sealed_secrets"}


def test_a_quote_of_another_kind_than_it_says(worker):
    asked = worker.attested({**BODY, "task_id": "kind"}, kind="sgx-v3", tee_type="tdx")
    refused(worker.post("/decrypt", asked), 401, "the quote is of another kind than tee_type says")


def test_the_quote_of_the_first_server_that_was_never_looked_at(worker):
    asked = worker.attested(BODY)
    asked["attestation"]["quote"] = "AAAA"
    refused(worker.post("/decrypt", asked), 401, "Attestation verification failed: ")


@pytest.mark.parametrize("tee_type", ["none", "simulated", "trustzone"])
def test_types_without_hardware(worker, tee_type):
    asked = worker.attested(BODY, tee_type=tee_type)
    refused(worker.post("/decrypt", asked), 401, f"attestation, got {tee_type.upper()}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("owner", "eve.testnet"),
        ("user_account_id", "eve.testnet"),
        ("profile", "other"),
        ("task_id", "added"),
    ],
)
def test_a_body_that_was_changed(worker, name, value):
    asked = worker.attested(BODY)
    refused(worker.post("/decrypt", {**asked, name: value}), 401, "Attestation verification failed: ")


def test_a_reply_for_somebody_else(worker, server):
    other = OldWorker(server, worker.audience).attested(BODY)["attestation"]["worker_pubkey"]
    asked = worker.attested({**BODY, "task_id": "else"})
    asked["attestation"]["worker_pubkey"] = other
    refused(worker.post("/decrypt", asked), 401, "Attestation verification failed: ")
    del asked["attestation"]["worker_pubkey"]
    refused(worker.post("/decrypt", asked), 401, "worker_pubkey is missing")


def test_evidence_for_another_keystore(worker, server):
    other = OldWorker(server, "another.example")
    refused(other.post("/decrypt", other.attested(BODY)), 401, "Attestation verification failed: ")


@pytest.mark.parametrize(
    ("away", "text"),
    [
        (-301, "Attestation expired (older than 5 minutes)"),
        (120, "Attestation is from the future"),
        (2**62, "Attestation is from the future"),
    ],
)
def test_times(worker, away, text):
    asked = worker.attested(BODY, timestamp=int(time.time()) + away)
    refused(worker.post("/decrypt", asked), 401, text)


def test_a_time_that_overflows(worker):
    asked = worker.attested(BODY, timestamp=2**64 - 1)
    refused(worker.post("/decrypt", asked), 401, "Attestation is from the future")


def test_a_request_is_good_once_and_after_a_crash_too(tmp_path, chain, server):
    mine = start_keystore(tmp_path / "data", chain, server.nodes)
    helper = Worker(mine, chain)
    helper.challenge()
    chain.store(ON_CHAIN, "mine", OWNER, helper.encrypted(f"github.com/alice/project:{OWNER}", SECRETS))
    old = OldWorker(mine, helper.audience)
    asked = old.attested({**BODY, "profile": "mine"})
    assert old.post("/decrypt", asked).status == 200
    refused(old.post("/decrypt", asked), 401, "this evidence was used already")
    mine.kill()
    again = start_keystore(tmp_path / "data", chain, server.nodes)
    old.server = again
    refused(old.post("/decrypt", asked), 401, "this evidence was used already")
    assert again.terminate() == 0, again.output


def test_an_outage_uses_nothing_up(worker, server, chain):
    asked = worker.attested({**BODY, "task_id": "outage"})
    server.nodes[0].dead = True
    try:
        refused(worker.post("/decrypt", asked), 503, "Failed to read secrets from contract: ")
    finally:
        server.nodes[0].dead = False
    assert worker.post("/decrypt", asked).status == 200


def test_the_first_generation_with_a_real_cipher(worker, server):
    public = bytes.fromhex(request(server.keystore, "GET", "/pubkey").json()["public_key_hex"])
    blob = base64.b64encode(seal_ecies(montgomery(public), SECRETS)).decode()
    reply = worker.post("/decrypt", worker.attested({"encrypted_secrets": blob, "task_id": "v0"}))
    assert reply.status == 200 and worker.open(reply) == SECRETS, reply
    leaf = server.leaves()[-1]
    assert leaf["type"] == "keystore.decrypt" and leaf["binding"] == worker.report_data.hex(), leaf


def test_the_first_generations_xor_is_not_read(worker):
    blob = base64.b64encode(bytes(61)).decode()
    refused(worker.post("/decrypt", worker.attested({"encrypted_secrets": blob})), 500, "Decryption failed: ")


@pytest.mark.parametrize(
    ("mode", "kind", "name", "shown"),
    [
        ("sgx", "sgx-v3", "SGX", "Sgx"),
        ("sev", "snp-genoa-v3", "SEV", "Sev"),
        ("tdx", "tdx-v4", "TDX", "Tdx"),
        ("nitro", "nitro", "NITRO", "Nitro"),
    ],
)
def test_a_server_of_one_kind_takes_its_own_alone(tmp_path, chain, server, mode, kind, name, shown):
    mine = start_keystore(tmp_path / "data", chain, server.nodes, **{"keystore.tee_mode": mode})
    helper = Worker(mine, chain)
    helper.challenge()
    chain.store(ON_CHAIN, mode, OWNER, helper.encrypted(f"github.com/alice/project:{OWNER}", SECRETS))
    old = OldWorker(mine, helper.audience)
    assert old.call("GET", "/health").json()["tee_mode"] == shown
    reply = old.post("/decrypt", old.attested({**BODY, "profile": mode}, kind=kind, tee_type=mode))
    assert reply.status == 200 and old.open(reply) == SECRETS, reply
    other = "tdx" if mode != "tdx" else "sgx"
    asked = old.attested({**BODY, "profile": mode}, kind=kind, tee_type=other)
    text = f"Attestation verification failed: Expected {name} attestation, got {other.upper()}"
    reply = old.post("/decrypt", asked)
    assert (reply.status, reply.json()["error"]) == (401, text), reply
    lying = old.attested({**BODY, "profile": mode}, kind="tdx-v4" if mode != "tdx" else "sgx-v3", tee_type=mode)
    refused(old.post("/decrypt", lying), 401, "the quote is of another kind than tee_type says")
    # A registration names no kind: the server's mode does.
    assert helper.register(kind=kind).status == 200
    foreign = helper.register(kind="tdx-v4" if mode != "tdx" else "sgx-v3")
    refused(foreign, 401, "the quote is of another kind")
    assert mine.terminate() == 0, mine.output


def test_simulated_code_hashes_of_ones_own(tmp_path, chain, server):
    hashes = {"keystore.tee_mode": "simulated", "keystore.simulated_code_hashes": "ab" * 32}
    mine = start_keystore(tmp_path / "data", chain, server.nodes, **hashes)
    client = Client(mine)
    chain.store(ON_CHAIN, "hashes", OWNER, client.encrypted(f"github.com/alice/project:{OWNER}", SECRETS))

    def asked(quote, tee_type="simulated"):
        shown = {"tee_type": tee_type, "quote": base64.b64encode(quote).decode(), "timestamp": int(time.time())}
        return client.post("/decrypt", {**BODY, "profile": "hashes", "attestation": shown})

    assert asked(b"\xab" * 32).status == 200
    refused(asked(bytes(32)), 401, f"expected one of [{'ab' * 32}]")
    refused(asked(b"\xab" * 32, "sgx"), 401, "Expected simulated attestation, got SGX")
    assert mine.terminate() == 0, mine.output


def test_workers_of_other_software(tmp_path, chain, server):
    """keystore.policy with an identity: the same genuine machine, another measurement."""
    seed = os.urandom(16).hex() + "\n"
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "forge.seed").write_text(seed)
    policy = identity_policy(tmp_path, seed)
    mine = start_keystore(folder, chain, server.nodes, **{"keystore.policy": policy})
    good = Worker(mine, chain)
    assert good.register().status == 200
    chain.store(ON_CHAIN, "identity", OWNER, good.encrypted(f"github.com/alice/project:{OWNER}", SECRETS))
    old = OldWorker(mine, good.audience)
    reply = old.post("/decrypt", old.attested({**BODY, "profile": "identity"}))
    assert reply.status == 200 and old.open(reply) == SECRETS, reply
    assert mine.terminate() == 0, mine.output
    # The operator approves another release: the software that runs has no rights any more, and no session either.
    other = identity_policy(tmp_path, seed, "other", mrtd=["11" * 48])
    mine = start_keystore(folder, chain, server.nodes, **{"keystore.policy": other})
    good.server = old.server = mine
    reply, _ = good.decrypt(REPO, "identity", OWNER)
    refused(reply, 403, "TEE session not found or expired")
    refused(old.post("/decrypt", old.attested({**BODY, "profile": "identity"})), 401, "Attestation verification failed")
    refused(good.register(), 401, "Attestation verification failed")
    assert mine.terminate() == 0, mine.output


@pytest.mark.parametrize(
    ("mode", "quote", "shown"),
    [("none", b"no-attestation", "None"), ("simulated", bytes(32), "Simulated")],
)
def test_modes_of_the_simulated_realm(tmp_path, chain, server, mode, quote, shown):
    mine = start_keystore(tmp_path / "data", chain, server.nodes, **{"keystore.tee_mode": mode})
    client = Client(mine)
    assert client.call("GET", "/health").json()["tee_mode"] == shown
    chain.store(ON_CHAIN, mode, OWNER, client.encrypted(f"github.com/alice/project:{OWNER}", SECRETS))
    attestation = {"tee_type": mode, "quote": base64.b64encode(quote).decode(), "timestamp": int(time.time())}
    reply = client.post("/decrypt", {**BODY, "profile": mode, "attestation": attestation})
    assert base64.b64decode(reply.json()["plaintext_secrets"]) == SECRETS, reply
    old = {**attestation, "timestamp": int(time.time()) - 301}
    refused(client.post("/decrypt", {**BODY, "profile": mode, "attestation": old}), 401, "Attestation expired")
    if mode == "simulated":
        short = {**attestation, "quote": base64.b64encode(b"short").decode()}
        text = "Invalid simulated quote length"
        refused(client.post("/decrypt", {**BODY, "profile": mode, "attestation": short}), 401, text)
        other = {**attestation, "quote": base64.b64encode(bytes(31) + b"1").decode()}
        text = "Code measurement mismatch: got "
        refused(client.post("/decrypt", {**BODY, "profile": mode, "attestation": other}), 401, text)
    assert mine.terminate() == 0, mine.output


@pytest.mark.parametrize("mode", ["none", "simulated"])
def test_a_production_server_has_no_such_mode(tmp_path, mode):
    sets = {"keystore.listen": "127.0.0.1:0", "keystore.tee_mode": mode}
    server = Program(*serve_arguments(tmp_path / "data", **sets))
    server.wait_for(r"keystore.tee_mode")
    assert server.end() != 0, server.output
