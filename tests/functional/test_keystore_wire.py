"""The keystore's wire: three generations on one listener, tokens, and what is refused in which words."""

import base64
import hashlib
import json

import pytest
from keystore import COORDINATOR, TOKEN, Client, OldWorker, Worker, start_keystore
from near import Chain, nodes

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
    refused(
        old.post("/decrypt", old.attested({"encrypted_secrets": "%%"})),
        400,
        old.post("/decrypt", old.attested({"encrypted_secrets": "%%"})).json()["error"],
    )
