"""Requests as the first worker's documentation has them, byte for byte, and what makes them safe: a TLS connection that
evidence vouches for. Where there is none they are refused, unless a switch says otherwise."""

import base64
import http.client
import json
import ssl
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from harness import PATIENCE, request, split_url
from keystore import OldWorker, OverTls, Worker, client_certificate, forge, montgomery, seal_ecies, start_keystore
from near import Chain, nodes
from registry import key_report_data

REPO = {"type": "Repo", "repo": "github.com/alice/project", "branch": None}
ON_CHAIN = {"Repo": {"repo": "github.com/alice/project", "branch": None}}
OWNER = "alice.testnet"
SEED = f"github.com/alice/project:{OWNER}"
SECRETS = b'{"API_KEY":"sk-test"}'
OTHER_VENDOR = "00" * 16


@pytest.fixture(scope="module")
def chain():
    return Chain()


@pytest.fixture(scope="module")
def node(chain):
    with nodes(chain) as running:
        yield running[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain, node):
    made = start_keystore(tmp_path_factory.mktemp("attested") / "data", chain, [node], **{"tls.mode": "auto"})
    yield made
    assert made.terminate() == 0, made.output


@pytest.fixture(scope="module")
def blob(server, chain):
    key = json.loads(OverTls(server, chain).call("GET", "/pubkey").body)["public_key_hex"]
    return base64.b64encode(seal_ecies(montgomery(bytes.fromhex(key)), SECRETS)).decode()


def seed_body(blob, quote="AAAA", tee_type="tdx"):
    """The example of the first worker's documentation."""
    return (
        f'{{"encrypted_secrets":"{blob}","attestation":{{"tee_type":"{tee_type}","quote":"{quote}",'
        f'"worker_pubkey":null,"timestamp":{int(time.time())}}},"task_id":"task-123"}}'
    ).encode()


def refused(reply, status, text):
    assert (reply.status, text in reply.json()["error"]) == (status, True), reply


def attested(server, chain, tmp_path, seed=None, key_of_evidence=None, kind="tdx-v4"):
    key = ec.generate_private_key(ec.SECP256R1())
    quote = forge(seed or server.seed, key_report_data(key_of_evidence or key), kind)
    return OverTls(server, chain, certificate=client_certificate(tmp_path, key, quote))


def last_leaf(server):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(*split_url(server.public), timeout=PATIENCE, context=context)
    connection.request("GET", "/v1/log/leaves?from=0&count=1000")
    page = json.loads(connection.getresponse().read())
    connection.close()
    return page["leaves"][-1]["leaf"]


def given(reply):
    assert (reply.status, set(reply.json())) == (200, {"plaintext_secrets"}), reply
    return base64.b64decode(reply.json()["plaintext_secrets"])


def test_a_certificate_with_evidence_gets_the_plaintext_of_old(server, chain, blob, tmp_path):
    worker = attested(server, chain, tmp_path)
    assert given(worker.post("/decrypt", seed_body(blob))) == SECRETS
    leaf = last_leaf(server)
    assert leaf["type"] == "keystore.decrypt" and leaf["binding"] and leaf["policy"], leaf
    # The connection is its own: it may ask again with the same.
    assert given(worker.post("/decrypt", seed_body(blob))) == SECRETS


def test_evidence_in_the_body_for_the_certificates_key(server, chain, blob, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    worker = OverTls(server, chain, certificate=client_certificate(tmp_path, key))
    quote = base64.b64encode(forge(server.seed, key_report_data(key), "tdx-v4")).decode()
    assert given(worker.post("/decrypt", seed_body(blob, quote))) == SECRETS
    # Of no use over another connection, and a connection alone is none either.
    thief = OverTls(server, chain, certificate=client_certificate(tmp_path, ec.generate_private_key(ec.SECP256R1())))
    refused(thief.post("/decrypt", seed_body(blob, quote)), 401, "Attestation verification failed: ")
    refused(worker.post("/decrypt", seed_body(blob)), 401, "Attestation verification failed: ")
    refused(OverTls(server, chain).post("/decrypt", seed_body(blob, quote)), 401, "worker_pubkey is missing")


def test_evidence_for_another_key_of_another_vendor_or_another_kind(server, chain, blob, tmp_path):
    other = attested(server, chain, tmp_path, key_of_evidence=ec.generate_private_key(ec.SECP256R1()))
    refused(other.post("/decrypt", seed_body(blob)), 401, "Attestation verification failed: ")
    fake = attested(server, chain, tmp_path, seed=OTHER_VENDOR)
    refused(fake.post("/decrypt", seed_body(blob)), 401, "Attestation verification failed: ")
    worker = attested(server, chain, tmp_path)
    text = "the quote is of another kind than tee_type says"
    refused(worker.post("/decrypt", seed_body(blob, tee_type="sgx")), 401, text)
    assert given(worker.post("/decrypt", seed_body(blob))) == SECRETS
    refused(worker.post("/decrypt", seed_body(blob, tee_type="sgx")), 401, text)


def test_old_requests_over_an_attested_connection_are_fresh(server, chain, blob, tmp_path):
    worker = attested(server, chain, tmp_path)
    body = json.loads(seed_body(blob))
    body["attestation"]["timestamp"] -= 301
    refused(worker.post("/decrypt", body), 401, "Attestation expired (older than 5 minutes)")


def test_the_second_generation_over_an_attested_connection(server, chain, tmp_path):
    worker = attested(server, chain, tmp_path)
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, SECRETS))
    attestation = {"tee_type": "tdx", "quote": "AAAA", "timestamp": int(time.time())}
    body = {"accessor": REPO, "profile": "default", "owner": OWNER, "user_account_id": "a.testnet"}
    assert given(worker.post("/decrypt", {**body, "attestation": attestation})) == SECRETS


def test_the_third_generation_over_an_attested_connection(server, chain, tmp_path):
    worker = attested(server, chain, tmp_path)
    reply = worker.register(kind=None)
    assert reply.status == 200 and "sealed_session_key" not in reply.json(), reply
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, SECRETS))
    reply, plaintext = worker.decrypt(REPO, "default", OWNER)
    assert set(reply.json()) == {"plaintext_secrets"} and plaintext == SECRETS, reply
    thief = attested(server, chain, tmp_path)
    thief.session = worker.session
    refused(thief.decrypt(REPO, "default", OWNER)[0], 403, "TEE session not found or expired")
    plain = OverTls(server, chain, certificate=client_certificate(tmp_path, ec.generate_private_key(ec.SECP256R1())))
    refused(plain.register(kind=None), 401, "a worker registers with evidence here")


def test_without_such_a_connection_the_old_body_is_refused(tmp_path, chain, node):
    server = start_keystore(tmp_path / "data", chain, [node])
    audience = Worker(server, chain)
    audience.challenge()
    worker = OldWorker(server, audience.audience)
    public = bytes.fromhex(request(server.keystore, "GET", "/pubkey").json()["public_key_hex"])
    blob = base64.b64encode(seal_ecies(montgomery(public), SECRETS)).decode()
    asked = worker.attested({"encrypted_secrets": blob, "task_id": "task-123"}, keyless=True)
    assert asked["attestation"]["worker_pubkey"] is None
    refused(worker.post("/decrypt", asked), 401, "worker_pubkey is missing")
    assert server.terminate() == 0, server.output

    # The same body where a switch says so: evidence that is bound to it, once, and the plaintext of old.
    server = start_keystore(tmp_path / "data", chain, [node], **{"keystore.plaintext_replies": "true"})
    worker.server = server
    refused(worker.post("/decrypt", json.loads(seed_body(blob))), 401, "Attestation verification failed: ")
    changed = {**asked, "task_id": "task-124"}
    refused(worker.post("/decrypt", changed), 401, "Attestation verification failed: ")
    assert given(worker.post("/decrypt", asked)) == SECRETS
    refused(worker.post("/decrypt", asked), 401, "this evidence was used already")
    with_key = worker.attested({"encrypted_secrets": blob, "task_id": "task-125"})
    assert given(worker.post("/decrypt", with_key)) == SECRETS
    assert server.terminate() == 0, server.output
