"""What is derived and written for others: random values, storage, values that the keystore makes, changes that an owner
has signed. The master is that of keystore_ckd.md 4.6, whose vectors these are."""

import base64
import hashlib
import json
import os
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from keystore import COORDINATOR, Client, Worker, start_keystore
from near import Chain, base58, nodes
from workload import raw_public

MASTER = b"M-1 regression fixture ........."
REPO = {"type": "Repo", "repo": "github.com/alice/project", "branch": None}
ON_CHAIN = {"Repo": {"repo": "github.com/alice/project", "branch": None}}
OWNER = "alice.testnet"
SEED = f"github.com/alice/project:{OWNER}"


@pytest.fixture(scope="module")
def chain():
    return Chain()


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain):
    folder = tmp_path_factory.mktemp("authoring")
    master = folder / "master"
    master.write_text(MASTER.hex() + "\n")
    master.chmod(0o600)
    with nodes(chain) as running:
        made = start_keystore(folder / "data", chain, running, **{"keystore.master": f"file:{master}"})
        yield made
        assert made.terminate() == 0, made.output


@pytest.fixture(scope="module")
def worker(server, chain):
    made = Worker(server, chain)
    assert made.register().status == 200
    return made


@pytest.fixture
def coordinator(server):
    return Client(server, COORDINATOR)


def refused(reply, status, text):
    assert (reply.status, text in reply.json()["error"]) == (status, True), reply


def test_the_public_key_of_the_vector(worker):
    key = worker.pubkey("github.com/alice/project:alice.near:main").json()["pubkey"]
    assert key == "663837a4d23f3e34f45a435d13b239302378db37223747d196e94b20328b6153"


def test_random_values_of_the_vector(worker, server):
    reply = worker.in_session("/vrf/generate", {"alpha": "vrf:12345:alice.near:coin-flip"}).json()
    assert reply["output_hex"] == "ebd38d661e381babe71330cb8310b8f1046f6969ed8c0cde6be29998b4fd8cc9"
    assert reply["signature_hex"].startswith("1270cb7dcb4569406a7badd833c4b30a")
    key = Client(server, None).call("GET", "/vrf/pubkey").json()["vrf_public_key_hex"]
    assert key == "2af7d0053484472c0323cacc30cf5d430d2e1ac700683c88515a625efe717637"
    refused(worker.in_session("/vrf/generate", {"alpha": ""}), 400, "alpha must not be empty")


def test_an_address_of_the_vector(coordinator, worker):
    reply = coordinator.post("/wallet/derive-address", {"wallet_id": "fixed", "chain": "near"}).json()
    public = "124d4dc445d7e1699bc95e94461540a21e605acf993b04e86da59cb046059f13"
    assert reply == {"address": public, "public_key": "ed25519:" + public}
    refused(worker.post("/wallet/derive-address", {}), 401, "Invalid coordinator token")
    headers = {"X-Customer-Vault": "NOT A VAULT"}
    body = {"wallet_id": "fixed", "chain": "near"}
    refused(coordinator.post("/wallet/derive-address", body, headers), 400, "X-Customer-Vault is not a valid NEAR")
    other = coordinator.post("/wallet/derive-address", body, {"X-Customer-Vault": "vault.testnet"}).json()
    assert other != reply
    assert coordinator.post("/wallet/derive-address", body, {"X-Customer-Vault": " "}).json() == reply


def test_the_key_that_asks_for_a_vaults_master(worker):
    key = worker.post("/derive-vault-tee-key", {"vault_id": "acme.near"}).json()["public_key"]
    assert key.startswith("ed25519:")
    refused(worker.post("/derive-vault-tee-key", {"vault_id": "NO"}), 400, "vault_id is not a valid NEAR AccountId")


def test_storage(worker):
    stored = {"project_uuid": None, "wasm_hash": "cd" * 32, "account_id": OWNER}
    asked = {**stored, "key": "counter", "value_base64": base64.b64encode(b"7").decode()}
    sealed = worker.in_session("/storage/encrypt", asked).json()
    assert sealed["key_hash"] == hashlib.sha256(b"counter").hexdigest()
    body = json.dumps({**stored, **{name: sealed[name] for name in sealed if name != "key_hash"}}).encode()
    headers = {"X-TEE-Session": worker.session, "Content-Type": "application/json"}
    reply = worker.post("/storage/decrypt", body, headers)
    opened = json.loads(worker.open_reply("/storage/decrypt", body, reply.json()["sealed_reply"]))
    assert opened == {"key": "counter", "value_base64": asked["value_base64"]}


def test_seeds_of_ones_own_are_sealed_for_but_not_opened(worker):
    text = base64.b64encode(b"x").decode()
    blob = worker.in_session("/encrypt", {"seed": SEED, "plaintext_base64": text}).json()["encrypted_base64"]
    asked = {"seed": SEED, "encrypted_base64": blob}
    refused(worker.in_session("/decrypt-raw", asked), 403, "keystore.raw_seeds")


def test_values_that_the_keystore_makes(coordinator, worker, chain):
    blob = base64.b64encode(worker.encrypted(SEED, b'{"API_KEY":"sk-test"}')).decode()
    wanted = [{"name": "PROTECTED_KEY", "generation_type": "hex32"}]
    asked = {"seed": SEED, "encrypted_secrets_base64": blob, "new_secrets": wanted}
    reply = coordinator.post("/add_generated_secret", asked).json()
    assert reply["all_keys"] == ["API_KEY", "PROTECTED_KEY"]
    chain.store(ON_CHAIN, "default", OWNER, reply["encrypted_data_base64"])
    secrets = json.loads(worker.decrypt(REPO, "default", OWNER)[1])
    assert secrets["API_KEY"] == "sk-test" and len(bytes.fromhex(secrets["PROTECTED_KEY"])) == 32
    asked["new_secrets"] = [{"name": "KEY", "generation_type": "hex32"}]
    assert coordinator.post("/add_generated_secret", asked).status == 400
    refused(worker.post("/add_generated_secret", asked), 401, "Invalid coordinator token")


def borsh(text):
    return struct.pack("<I", len(text)) + text


def test_a_change_that_its_owner_has_signed(coordinator, worker, chain):
    key, nonce = Ed25519PrivateKey.generate(), os.urandom(32)
    public = "ed25519:" + base58(raw_public(key))
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, b'{"OLD":"1","PROTECTED_K":"p"}'))

    def asked(message, **other):
        payload = struct.pack("<I", 2147484061) + borsh(message.encode()) + nonce + borsh(b"outlayer.testnet") + b"\0"
        return {
            "accessor": REPO,
            "profile": "default",
            "owner": OWNER,
            "mode": "reset",
            "secrets": {"NEW": "2"},
            "signed_message": message,
            "signature": base64.b64encode(key.sign(hashlib.sha256(payload).digest())).decode(),
            "public_key": public,
            "nonce": base64.b64encode(nonce).decode(),
            "recipient": "outlayer.testnet",
            **other,
        }

    message = f"Update Outlayer secrets for {OWNER}:default\nkeys:NEW"
    refused(coordinator.post("/update_user_secrets", asked(message)), 401, "does not belong to account")
    chain.add_key(OWNER, public)
    reply = coordinator.post("/update_user_secrets", asked(message))
    assert reply.status == 200, reply
    summary = reply.json()["summary"]
    assert summary["protected_keys_preserved"] == ["PROTECTED_K"] and summary["removed_keys"] == ["OLD"], summary
    chain.store(ON_CHAIN, "default", OWNER, reply.json()["encrypted_secrets_base64"])
    assert json.loads(worker.decrypt(REPO, "default", OWNER)[1]) == {"NEW": "2", "PROTECTED_K": "p"}
    other = asked(message, secrets={"EVIL": "2"})
    assert coordinator.post("/update_user_secrets", other).status == 400
    forged = asked(message, signature=base64.b64encode(bytes(64)).decode())
    assert coordinator.post("/update_user_secrets", forged).status in (400, 401)
