"""The keystore's wire: three generations on one listener, tokens, and what is refused in which words."""

import base64
import hashlib
import http.client
import json

import pytest
from harness import PATIENCE, request, split_url
from keystore import COORDINATOR, TOKEN, Client, OldWorker, Worker, start_keystore
from near import Chain, nodes
from workload import commitment

REPO = {"type": "Repo", "repo": "github.com/alice/project", "branch": None}
ON_CHAIN = {"Repo": {"repo": "github.com/alice/project", "branch": None}}
OWNER = "alice.testnet"
SEED = f"github.com/alice/project:{OWNER}"
SECRETS = b'{"API_KEY":"sk-test"}'


@pytest.fixture(scope="module")
def chain():
    return Chain()


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain):
    with nodes(chain) as running:
        made = start_keystore(tmp_path_factory.mktemp("keystore") / "data", chain, running)
        made.nodes = running
        yield made
        assert made.terminate() == 0, made.output


@pytest.fixture(scope="module")
def worker(server, chain):
    made = Worker(server, chain)
    reply = made.register()
    assert reply.status == 200, reply
    return made


@pytest.fixture
def stored(chain, worker):
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, SECRETS))
    yield chain
    chain.forget()


def refused(reply, status, text):
    assert (reply.status, reply.json()["error"]) == (status, text), reply


def test_the_third_generation_end_to_end(worker, stored):
    reply, plaintext = worker.decrypt(REPO, "default", OWNER)
    assert plaintext == SECRETS, reply
    assert set(reply.json()) == {"sealed_secrets"}


def test_each_release_is_in_the_log(server, worker, stored):
    before = [leaf["type"] for leaf in server.leaves()]
    worker.decrypt(REPO, "default", OWNER)
    after = [leaf["type"] for leaf in server.leaves()]
    assert after[len(before) :] == ["keystore.decrypt"]


def test_what_the_contract_does_not_have(worker, chain):
    reply, _ = worker.decrypt(REPO, "default", OWNER)
    refused(reply, 400, "Secrets not found in contract")


def test_health_and_the_one_key_of_the_first_generation(server):
    stranger = Client(server, None)
    key = stranger.call("GET", "/pubkey").json()
    assert len(bytes.fromhex(key["public_key_hex"])) == 32
    health = stranger.call("GET", "/health").json()
    assert health == {"status": "ok", "public_key": key["public_key_hex"], "tee_mode": "Tdx"}


@pytest.mark.parametrize("path", ["/nothing", "/", "/decrypt/more"])
def test_whoever_has_no_token_learns_of_no_path(server, path):
    refused(Client(server, None).call("GET", path), 401, "Missing Authorization header")
    assert Client(server).call("GET", path).status == 404


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("Basic abc", "Invalid Authorization header format"),
        (f"bearer {TOKEN}", "Invalid Authorization header format"),
        (f"Bearer  {TOKEN}", "Invalid token"),
        ("Bearer wrong", "Invalid token"),
        (f"Bearer {COORDINATOR}", "Invalid token"),
        (f"Bearer {hashlib.sha256(TOKEN.encode()).hexdigest()}", "Invalid token"),
    ],
)
def test_tokens_that_are_none(server, header, text):
    reply = Client(server, None).call("POST", "/decrypt", {}, {"Authorization": header})
    refused(reply, 401, text)


def test_bodies_that_are_none(server):
    client = Client(server)

    def status(body, kind="application/json"):
        reply = client.call("POST", "/decrypt", body, {"Content-Type": kind})
        assert reply.headers["Content-Type"].startswith("text/plain"), reply
        return reply.status

    assert status(b"{") == 400
    assert status(b"{}", "text/plain") == 415
    assert status(b"{}") == 422
    assert status(json.dumps({"accessor": REPO, "profile": 7, "owner": "a", "user_account_id": "b"}).encode()) == 422
    assert status(b'{"a":"' + b"x" * (2 << 20) + b'"}') == 413


def test_a_session_is_asked_for(worker, stored):
    body = {"accessor": REPO, "profile": "default", "owner": OWNER, "user_account_id": "a.testnet"}
    refused(worker.post("/decrypt", body), 403, "TEE session required. Register via /tee-challenge + /register-tee")
    refused(worker.in_session("/decrypt", body, "abc"), 403, "Invalid TEE session ID format")
    unknown = "00000000-0000-4000-8000-000000000000"
    refused(worker.in_session("/decrypt", body, unknown), 403, "TEE session not found or expired")


def test_names_that_nobody_may_set(server):
    client = Client(server, None)
    assert client.pubkey(SEED, {"API_KEY": "x"}).status == 200
    for name in ("NEAR_SENDER_ID", "OUTLAYER_PROJECT_ID", "PROTECTED_KEY"):
        reply = client.pubkey(SEED, {name: "x"})
        assert reply.status == 400 and name in reply.json()["error"], reply
    reply = client.post("/pubkey", {"seed": SEED, "secrets_json": "[]"})
    assert reply.status == 400 and reply.json()["error"].startswith("Invalid JSON format: "), reply


def test_a_vaults_key_is_for_those_with_a_token(server):
    refused(
        Client(server, None).pubkey(SEED, vault_id="vault.testnet"),
        401,
        "vault-scoped /pubkey requires coordinator or worker token",
    )
    default = Client(server, COORDINATOR).pubkey(SEED).json()
    assert Client(server, COORDINATOR).pubkey(SEED, vault_id=" ").json() == default
    assert Client(server, COORDINATOR).pubkey(SEED, vault_id="vault.testnet").json() != default
    reply = Client(server, COORDINATOR).pubkey(SEED, vault_id="NOT A VAULT")
    assert reply.status == 400, reply
    assert reply.json()["error"].startswith("vault_id is not a valid NEAR AccountId (NOT A VAULT): "), reply


def test_the_second_generation_with_real_evidence(server, worker, stored):
    old = OldWorker(server, worker.audience)
    body = {"accessor": REPO, "profile": "default", "owner": OWNER, "user_account_id": "a.testnet", "task_id": "1"}
    asked = old.attested(body)
    reply = old.post("/decrypt", asked)
    assert reply.status == 200, reply
    assert old.open(reply) == SECRETS
    refused(old.post("/decrypt", asked), 401, "Attestation verification failed: this evidence was used already")


def test_the_first_generation_with_real_evidence(server, worker):
    old = OldWorker(server, worker.audience)
    junk = base64.b64encode(bytes(100)).decode()
    reply = old.post("/decrypt", old.attested({"encrypted_secrets": junk}))
    assert reply.status == 500 and reply.json()["error"].startswith("Decryption failed: "), reply
    reply = old.post("/decrypt", old.attested({"encrypted_secrets": "%%"}))
    assert reply.status == 400 and reply.json()["error"].startswith("Invalid base64: "), reply


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/encrypt", {"seed": SEED, "plaintext_base64": "%%"}),
        ("/storage/encrypt", {"wasm_hash": "ab" * 32, "account_id": OWNER, "key": "k", "value_base64": "%%"}),
        (
            "/storage/decrypt",
            {"wasm_hash": "ab" * 32, "account_id": OWNER, "encrypted_key_base64": "%%", "encrypted_value_base64": ""},
        ),
    ],
)
def test_base64_that_is_none(worker, path, body):
    reply = worker.in_session(path, body)
    assert reply.status == 400 and reply.json()["error"].startswith("Invalid base64: "), reply


def test_every_release_names_its_leaf(server, worker, stored):
    """The index is that of the leaf, and the key opens its commitments (docs/formats/log.md)."""
    coordinator = Client(server, COORDINATOR)
    text = base64.b64encode(b"7").decode()
    named = {"wasm_hash": "ab" * 32, "account_id": OWNER}
    sealed = worker.in_session("/storage/encrypt", {**named, "key": "k", "value_base64": text})
    again = {name: sealed.json()[name] for name in ("encrypted_key_base64", "encrypted_value_base64")}
    replies = {
        "keystore.encrypt": [sealed, worker.in_session("/encrypt", {"seed": SEED, "plaintext_base64": text})],
        "keystore.decrypt": [
            worker.decrypt(REPO, "default", OWNER)[0],
            worker.in_session("/storage/decrypt", {**named, **again}),
        ],
        "keystore.vrf": [worker.in_session("/vrf/generate", {"alpha": "a"})],
        "keystore.derive": [
            worker.pubkey(SEED),
            worker.post("/derive-vault-tee-key", {"vault_id": "acme.near"}),
            coordinator.post("/wallet/derive-address", {"wallet_id": "fixed", "chain": "near"}),
        ],
    }
    leaves = server.leaves()
    for kind, given in replies.items():
        for reply in given:
            assert reply.status == 200, reply
            leaf = leaves[int(reply.headers["X-Attestry-Leaf"])]
            assert leaf["type"] == kind, leaf
            key = base64.urlsafe_b64decode(reply.headers["X-Attestry-Leaf-Key"] + "=")
            token = COORDINATOR if reply is replies["keystore.derive"][2] else TOKEN
            who = hashlib.sha256(token.encode()).hexdigest().encode()
            assert leaf["outputs"]["token"] == commitment(key, "token", who), leaf
            if kind in ("keystore.vrf", "keystore.encrypt"):
                assert leaf["outputs"]["worker"] == commitment(key, "worker", worker.public.encode()), leaf
                assert leaf["policy"], leaf
    before = len(server.leaves())
    assert Client(server, None).pubkey(SEED).status == 200
    assert Client(server, None).call("GET", "/vrf/pubkey").status == 200
    assert len(server.leaves()) == before


def test_what_is_counted(server, worker):
    def counted():
        lines = request(server.metrics, "GET", "/metrics").text.splitlines()
        of = [line for line in lines if line.startswith("attestry_keystore_releases_total")]
        return {line.split('kind="')[1].split('"')[0]: float(line.split()[-1]) for line in of}

    before = counted()
    worker.in_session("/vrf/generate", {"alpha": "a"})
    worker.post("/derive-vault-tee-key", {"vault_id": "acme.near"})
    worker.in_session("/encrypt", {"seed": SEED, "plaintext_base64": ""})
    worker.pubkey(SEED)
    after = counted()
    more = {kind: after[kind] - before[kind] for kind in after}
    assert more == {**dict.fromkeys(after, 0), "vrf": 1, "derive": 1, "encrypt": 1, "pubkey": 1}


@pytest.mark.parametrize(
    ("generation", "shown", "malformed", "token"),
    [
        ("v0", "Tdx", "Invalid Authorization header format", "Invalid token"),
        ("v1", "Tdx", "Invalid Authorization format", "Invalid worker token"),
        ("v2", "outlayer_tee", "Invalid Authorization format", "Invalid worker token"),
    ],
)
def test_generations(tmp_path, chain, server, generation, shown, malformed, token):
    mine = start_keystore(tmp_path / "data", chain, server.nodes, **{"keystore.generation": generation})
    stranger = Client(mine, None)
    health = stranger.call("GET", "/health").json()
    assert health.pop("public_key", None) == (
        stranger.call("GET", "/pubkey").json()["public_key_hex"] if generation == "v0" else None
    )
    assert health == {"status": "ok", "tee_mode": shown}
    refused(stranger.call("POST", "/decrypt", {}, {"Authorization": "Basic x"}), 401, malformed)
    refused(stranger.call("POST", "/decrypt", {}, {"Authorization": "Bearer wrong"}), 401, token)
    refused(stranger.call("POST", "/update_user_secrets", {}), 401, "Missing Authorization header")
    refused(Client(mine).post("/update_user_secrets", {}), 401, "Invalid coordinator token")
    assert mine.terminate() == 0, mine.output


NOT_READY = "Keystore not ready. Waiting for DAO approval and master key from MPC."


@pytest.mark.parametrize(("old", "status"), [("false", 503), ("true", 401)])
def test_before_the_masters_are_there(tmp_path, chain, server, old, status):
    sealed = {"keystore.sealing": "key-file", "keystore.sealing_key_file": tmp_path / "seal.key"}
    made = start_keystore(tmp_path / "data", chain, server.nodes, **sealed)
    worker = Worker(made, chain)
    assert worker.register().status == 200
    assert made.terminate() == 0, made.output
    (tmp_path / "seal.key").rename(tmp_path / "away.key")
    made = start_keystore(tmp_path / "data", chain, server.nodes, **sealed, **{"keystore.old_status": old})
    worker.server = made
    stranger = Client(made, None)
    assert stranger.call("GET", "/health").json() == {"status": "ok", "public_key": None, "tee_mode": "Tdx"}
    for reply in (
        stranger.call("GET", "/pubkey"),
        stranger.pubkey(SEED),
        stranger.call("GET", "/vrf/pubkey"),
        worker.decrypt(REPO, "default", OWNER)[0],
        worker.in_session("/vrf/generate", {"alpha": "a"}),
        worker.in_session("/encrypt", {"seed": SEED, "plaintext_base64": ""}),
        worker.post("/tee-challenge", None),
        worker.post("/register-tee", {"public_key": worker.public, "challenge": "00" * 32, "signature": "x"}),
        Client(made, COORDINATOR).post("/wallet/derive-address", {"wallet_id": "a", "chain": "near"}),
    ):
        refused(reply, status, NOT_READY)
    assert made.terminate() == 0, made.output


@pytest.mark.parametrize("operator", ["operator.testnet", None])
def test_a_server_that_reads_no_contract(tmp_path, chain, server, operator):
    """It registers workers where it knows whose they are, and has nothing to read secrets from."""
    mine = start_keystore(
        tmp_path / "data",
        chain,
        server.nodes,
        **{"keystore.contract": None, "keystore.operator_account": operator},
    )
    worker = Worker(mine, chain)
    if operator:
        assert worker.register().status == 200
    else:
        refused(worker.register(), 500, "OPERATOR_ACCOUNT_ID not configured on keystore")
    old = OldWorker(mine, worker.audience)
    body = {"accessor": REPO, "profile": "default", "owner": OWNER, "user_account_id": "a.testnet"}
    refused(old.post("/decrypt", old.attested(body)), 500, "NEAR client not configured")
    assert mine.terminate() == 0, mine.output


def test_a_vault_header_that_is_no_text(server):
    connection = http.client.HTTPConnection(*split_url(server.keystore), timeout=PATIENCE)
    body = json.dumps({"wallet_id": "fixed", "chain": "near"})
    headers = {"Authorization": f"Bearer {COORDINATOR}", "Content-Type": "application/json"}
    connection.request("POST", "/wallet/derive-address", body, {**headers, "X-Customer-Vault": b"\xff.near"})
    answer = connection.getresponse()
    assert answer.status == 400 and "X-Customer-Vault header is not valid UTF-8" in answer.read().decode()
    connection.close()


def test_logs_name_nobody(tmp_path, chain, server):
    mine = start_keystore(tmp_path / "data", chain, server.nodes, **{"log.level": "debug"})
    worker = Worker(mine, chain)
    assert worker.register().status == 200
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, SECRETS))
    reply, plaintext = worker.decrypt(REPO, "default", OWNER)
    assert plaintext == SECRETS, reply
    worker.decrypt(REPO, "other", OWNER)
    worker.post("/decrypt", {"accessor": REPO, "profile": "?", "owner": OWNER, "user_account_id": "a.testnet"})
    assert mine.terminate() == 0, mine.output
    assert "keystore" in mine.output
    for secret in (OWNER, "github.com/alice", TOKEN, "sk-test", "API_KEY", worker.session):
        assert secret not in mine.output, secret
