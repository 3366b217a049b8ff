"""What is derived and written for others: random values, storage, values that the keystore makes, changes that an owner
has signed. The master is that of keystore_ckd.md 4.6, whose vectors these are."""

import base64
import hashlib
import hmac
import json
import os
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from keystore import COORDINATOR, Client, Owner, Worker, start_keystore
from near import Chain, nodes
from workload import hkdf_expand, hkdf_extract, lp, raw_public

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
        made.nodes = running
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


def test_seeds_of_ones_own_where_a_switch_says_so(tmp_path, chain, server, worker):
    """/decrypt-raw, of the default master and of a vault's."""
    text = base64.b64encode(b"x").decode()
    mine = start_keystore(tmp_path / "data", chain, server.nodes, **{"keystore.raw_seeds": "true"})
    other = Worker(mine, chain)
    assert other.register().status == 200
    for vault in ({}, {"X-Customer-Vault": "vault.testnet"}):
        headers = {"X-TEE-Session": other.session, "Content-Type": "application/json", **vault}
        blob = other.post("/encrypt", json.dumps({"seed": SEED, "plaintext_base64": text}).encode(), headers).json()
        body = json.dumps({"seed": SEED, "encrypted_base64": blob["encrypted_base64"]}).encode()
        reply = other.post("/decrypt-raw", body, headers)
        assert set(reply.json()) == {"sealed_plaintext"}, reply
        assert other.open_reply("/decrypt-raw", body, reply.json()["sealed_plaintext"]) == b"x"
        assert mine.leaves()[int(reply.headers["X-Attestry-Leaf"])]["type"] == "keystore.decrypt"
        elsewhere = {**headers, "X-Customer-Vault": "other.testnet"}
        refused(other.post("/decrypt-raw", body, elsewhere), 500, "Decryption failed: ")
    assert mine.terminate() == 0, mine.output


def blob_v3(shown, seed, version, plaintext):
    """keystore.md, "Version 3"."""
    ephemeral, public = X25519PrivateKey.generate(), bytes.fromhex(shown["pubkey"])
    header = b"ATK3\1" + struct.pack(">I", shown["epoch"]) + bytes.fromhex(shown["key_id"])
    header += struct.pack(">Q", version) + raw_public(ephemeral)
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    info = lp(b"attestry/keystore/blob/3") + lp(header) + lp(public) + lp(seed)
    key = hkdf_expand(hkdf_extract(b"", shared), info, 32)
    return header + ChaCha20Poly1305(key).encrypt(bytes(12), plaintext, lp(header) + lp(seed))


def test_blobs_of_version_three_that_owners_write(worker, chain):
    named = {"accessor": REPO, "profile": "three", "owner": OWNER}
    shown = worker.post("/pubkey", {**named, "version": 3, "secrets_json": "{}"}).json()
    assert set(shown) == {"pubkey", "version", "epoch", "key_id"} and (shown["version"], shown["epoch"]) == (3, 1)
    digest = hashlib.sha256(lp(b"attestry/keystore/key-id/3") + bytes.fromhex(shown["pubkey"])).hexdigest()
    assert shown["key_id"] == digest[:16]
    assert shown["pubkey"] != worker.pubkey(SEED).json()["pubkey"]
    seed = b"".join(map(lp, [b"attestry/keystore/seed/3", b"repo", b"github.com/alice/project", OWNER.encode()]))
    blob = blob_v3(shown, seed, 1, b'{"A":"1"}')
    chain.store(ON_CHAIN, "three", OWNER, blob)
    reply, plaintext = worker.decrypt(REPO, "three", OWNER)
    assert plaintext == b'{"A":"1"}', reply
    # For what it was made for alone: moved elsewhere it opens nowhere.
    chain.store({"Project": {"project_id": "alice.testnet/app"}}, "three", OWNER, blob)
    elsewhere = {"type": "Project", "project_id": "alice.testnet/app"}
    refused(worker.decrypt(elsewhere, "three", OWNER)[0], 500, "Decryption failed: ")
    refused(worker.pubkey(SEED, version=2), 400, "version: expected 1")
    assert worker.pubkey(SEED, version=3).status == 422
    bad = {**named, "profile": "a b", "version": 3, "secrets_json": "{}"}
    refused(worker.post("/pubkey", bad), 400, "profile")


def test_blobs_of_version_three_that_the_keystore_writes(tmp_path, chain, server):
    mine = start_keystore(tmp_path / "data", chain, server.nodes, **{"keystore.writes": "3"})
    worker, coordinator, owner = Worker(mine, chain), Client(mine, COORDINATOR), Owner(chain)
    assert worker.register().status == 200
    chain.add_key(OWNER, owner.public)
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, b"{}"))
    reply = coordinator.post("/update_user_secrets", owner.asked(secrets={"NEW": "2"}))
    assert base64.b64decode(reply.json()["encrypted_secrets_base64"]).startswith(b"ATK3\1")
    assert stored(chain, worker, reply) == {"NEW": "2"}
    # A seed that a caller spells leads nowhere but to itself: what is written for others stays readable for all.
    wanted = [{"name": "PROTECTED_KEY", "generation_type": "hex32"}]
    made = coordinator.post("/add_generated_secret", {"seed": SEED, "new_secrets": wanted}).json()
    chain.store(ON_CHAIN, "default", OWNER, made["encrypted_data_base64"])
    assert set(json.loads(worker.decrypt(REPO, "default", OWNER)[1])) == {"PROTECTED_KEY"}
    assert mine.terminate() == 0, mine.output


def test_blobs_under_a_public_key_are_read_on_demand_alone(tmp_path, chain, server, worker):
    key = Ed25519PrivateKey.from_private_bytes(hmac.digest(MASTER, SEED.encode(), "sha256"))
    nonce = os.urandom(12)
    blob = nonce + ChaCha20Poly1305(raw_public(key)).encrypt(nonce, b'{"A":"1"}', None)
    chain.store(ON_CHAIN, "legacy", OWNER, blob)
    refused(worker.decrypt(REPO, "legacy", OWNER)[0], 500, "Decryption failed: ")
    master = tmp_path / "master"
    master.write_text(MASTER.hex() + "\n")
    master.chmod(0o600)
    switches = {"keystore.master": f"file:{master}", "keystore.broken_public_key_cipher": "true"}
    mine = start_keystore(tmp_path / "data", chain, server.nodes, **switches)
    other = Worker(mine, chain)
    assert other.register().status == 200
    assert other.decrypt(REPO, "legacy", OWNER)[1] == b'{"A":"1"}'
    assert mine.terminate() == 0, mine.output
    assert "keystore.broken_public_key_cipher: what is read was never secret" in mine.output


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
    refused(coordinator.post("/add_generated_secret", asked), 400, "name of a generated secret")
    asked["new_secrets"] = [{"name": "PROTECTED_KEY", "generation_type": "hex32"}]
    asked["encrypted_secrets_base64"] = reply["encrypted_data_base64"]
    text = "Cannot generate secrets: keys already exist: PROTECTED_KEY"
    refused(coordinator.post("/add_generated_secret", asked), 400, text)
    refused(
        coordinator.post("/add_generated_secret", {**asked, "encrypted_secrets_base64": "%%"}), 400, "Invalid base64: "
    )
    refused(worker.post("/add_generated_secret", asked), 401, "Invalid coordinator token")


@pytest.fixture
def owner(chain, worker):
    made = Owner(chain)
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, b'{"OLD":"1","PROTECTED_K":"p"}'))
    chain.add_key(OWNER, made.public)
    return made


def stored(chain, worker, reply, accessor=REPO, on_chain=ON_CHAIN, vault=None):
    assert reply.status == 200, reply
    chain.store(on_chain, "default", OWNER, reply.json()["encrypted_secrets_base64"], vault=vault)
    reply, plaintext = worker.decrypt(accessor, "default", OWNER)
    return json.loads(plaintext)


def test_a_change_that_its_owner_has_signed(coordinator, worker, chain, server):
    made = Owner(chain)
    chain.store(ON_CHAIN, "default", OWNER, worker.encrypted(SEED, b'{"OLD":"1","PROTECTED_K":"p"}'))
    refused(
        coordinator.post("/update_user_secrets", made.asked(secrets={"NEW": "2"})), 401, "does not belong to account"
    )
    chain.add_key(OWNER, made.public)
    asked = made.asked(secrets={"NEW": "2"})
    reply = coordinator.post("/update_user_secrets", asked)
    summary = reply.json()["summary"]
    assert summary["protected_keys_preserved"] == ["PROTECTED_K"] and summary["removed_keys"] == ["OLD"], summary
    assert {"before", "caller", "seed"} <= set(server.leaves()[-1]["outputs"])
    assert stored(chain, worker, reply) == {"NEW": "2", "PROTECTED_K": "p"}
    assert coordinator.post("/update_user_secrets", {**asked, "secrets": {"EVIL": "2"}}).status == 400
    forged = {**made.asked(secrets={"NEW": "2"}), "signature": base64.b64encode(bytes(64)).decode()}
    assert coordinator.post("/update_user_secrets", forged).status in (400, 401)


def test_a_signature_is_good_once_and_for_this_keystore(tmp_path, coordinator, worker, owner, chain, server):
    asked = owner.asked(secrets={"NEW": "2"})
    assert coordinator.post("/update_user_secrets", asked).status == 200
    # Other values under the same names: what a coordinator that has seen the signature would try.
    again = {**asked, "secrets": {"NEW": "3"}}
    refused(coordinator.post("/update_user_secrets", again), 401, "this signature was used already")
    other = owner.asked(secrets={"NEW": "2"}, recipient="other.testnet")
    refused(coordinator.post("/update_user_secrets", other), 400, "recipient: the signature is for 'other.testnet'")


def test_what_is_added_made_and_moved(coordinator, worker, owner, chain):
    made = [{"name": "PROTECTED_NEW", "generation_type": "hex16"}]
    reply = coordinator.post(
        "/update_user_secrets", owner.asked(secrets={"NEW": "2"}, mode="append", generate_protected=made)
    )
    now = stored(chain, worker, reply)
    assert set(now) == {"OLD", "NEW", "PROTECTED_K", "PROTECTED_NEW"} and len(now["PROTECTED_NEW"]) == 32
    text = "Cannot regenerate existing PROTECTED_ secret: PROTECTED_NEW"
    again = owner.asked(mode="append", generate_protected=made)
    refused(coordinator.post("/update_user_secrets", again), 400, text)
    # To another accessor, and under a vault's master.
    target = {"type": "Project", "project_id": "alice.testnet/app"}
    asked = owner.asked(mode="append", new_accessor=target, vault_id="vault.testnet")
    reply = coordinator.post("/update_user_secrets", asked)
    on_chain = {"Project": {"project_id": "alice.testnet/app"}}
    assert stored(chain, worker, reply, target, on_chain, "vault.testnet") == now


def test_a_signature_for_values(tmp_path, coordinator, worker, owner, chain, server):
    asked = owner.asked(secrets={"NEW": "2"}, whole=True, vault_id="vault.testnet")
    for change in (
        {"secrets": {"NEW": "3"}},
        {"mode": "append"},
        {"vault_id": "other.testnet"},
        {"new_accessor": REPO},
    ):
        refused(coordinator.post("/update_user_secrets", {**asked, **change}), 400, "signed_message")
    assert coordinator.post("/update_user_secrets", asked).status == 200
    strict = start_keystore(tmp_path / "data", chain, server.nodes, **{"keystore.signed_values": "true"})
    mine = Client(strict, COORDINATOR)
    chain.store(ON_CHAIN, "default", OWNER, mine.encrypted(SEED, b'{"OLD":"1"}'))
    refused(mine.post("/update_user_secrets", owner.asked(secrets={"A": "1"})), 400, "signed_message names no values")
    assert mine.post("/update_user_secrets", owner.asked(secrets={"A": "1"}, whole=True)).status == 200
    assert strict.terminate() == 0, strict.output
