"""Odd requests to every route of the keystore, the key manager and Vault's HTTP shapes: what is wrong with a request is
its caller's mistake (4xx), never the server's, and the server lives on."""

import pytest
from harness import request
from key_managers import APP_DATA, ask, start_manager
from keystore import COORDINATOR, TOKEN, Worker, start_keystore
from near import Chain, nodes
from vault import Vault

REPO = {"type": "Repo", "repo": "github.com/alice/project", "branch": None}
OWNER = "alice.testnet"
SEED = f"github.com/alice/project:{OWNER}"
ODD_TEXTS = ["", ":", "a:b", "/", "../x", "\0", "%00", "x" * 70_000, "é\u202e", "ed25519:", "0x", "AA==", "AAAA", " "]
ODD_VALUES = [*ODD_TEXTS, 0, -1, 1.5, 2**64, True, None, [], [[]], ["a"], {}, {"type": "Repo", "repo": "a:b"}, {"": {}}]
ODD_BODIES = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"1e999",
    b"{",
    b"\xff\xfe",
    b'{"a":"\xff"}',
    b'{"a":"\\ud800"}',
    b'{"seed":"\\ud800"}',
    b'{"seed":1,"seed":2}',
    b"[" * 50_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"accessor":' * 200 + b"1" + b"}" * 200,
    b"{}\0",
]
# Of what does not open, and of what this server was not set up for (docs/formats/keystore-wire.md).
KNOWN = ("Decryption failed: ", "MPC CKD context not configured")


def bodies_of(base):
    """Of a body that is right: each member away, and in its place everything that is odd."""
    yield from ODD_BODIES
    for name in base:
        yield {key: value for key, value in base.items() if key != name}
        for odd in ODD_VALUES:
            yield base | {name: odd}


def sweep(send, requests, known=KNOWN):
    """send(*request) for each. Those that were taken for a trouble of the server's own, one of a kind; `known`: how
    texts begin that are the caller's whatever the status."""
    wrong = {}
    for one in requests:
        reply = send(*one)
        if reply.status >= 500 and not reply.text.removeprefix('{"error":"').startswith(known):
            wrong.setdefault((one[0], reply.status, reply.text[:60]), (str(one)[:400], reply.text[:400]))
    return "\n".join(map(str, wrong.items()))


# ---- the keystore


WALLET = {"wallet_id": "w", "vault_id": None}
STORED = {"project_uuid": None, "wasm_hash": "11" * 32, "account_id": OWNER}
NAME = {"accessor": REPO, "profile": "default", "owner": OWNER}
UPDATE = {
    **NAME,
    "mode": "append",
    "secrets": {"A": "b"},
    "new_accessor": None,
    "generate_protected": None,
    "vault_id": None,
    "signed_message": "x",
    "signature": "AA==",
    "public_key": "ed25519:11111111111111111111111111111111",
    "nonce": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "recipient": "x",
}
TRANSFER = {"kind": "transfer", "to": "alice.near", "amount": "1"}
BY_WORKERS = {
    "/decrypt": {**NAME, "user_account_id": "user.testnet", "task_id": "1"},
    "/encrypt": {"seed": SEED, "plaintext_base64": "AA=="},
    "/decrypt-raw": {"seed": SEED, "encrypted_base64": "AA=="},
    "/storage/encrypt": {**STORED, "key": "k", "value_base64": "AA=="},
    "/storage/decrypt": {**STORED, "encrypted_key_base64": "AA==", "encrypted_value_base64": "AA=="},
    "/vrf/generate": {"alpha": "x"},
    "/register-tee": {
        "public_key": "ed25519:11111111111111111111111111111111",
        "challenge": "00" * 32,
        "signature": "ed25519:1",
        "evidence": "AA==",
        "encryption_key": "11" * 32,
    },
}
BY_COORDINATORS = {
    "/pubkey": {"seed": SEED, "secrets_json": "{}", "vault_id": None, "version": 1, **NAME},
    "/add_generated_secret": {
        "seed": SEED,
        "encrypted_secrets_base64": None,
        "new_secrets": [{"name": "A", "generation_type": "hex32"}],
        "vault_id": None,
    },
    "/update_user_secrets": UPDATE,
    "/sign-vault-verification": {"vault_id": "vault.testnet"},
    "/admin/evict-customer": {"vault_id": "vault.testnet", "reason": "x"},
    "/admin/ban-vault": {"vault_id": "vault.testnet", "reason": "x"},
    "/admin/end-sessions": {"public_key": None, "session_id": None},
    "/derive-vault-tee-key": {"vault_id": "vault.testnet"},
    "/wallet/derive-address": {**WALLET, "chain": "near"},
    "/wallet/sign": {**WALLET, "op": TRANSFER, "approval_info": None, "policy": None},
    "/wallet/check-policy": {**WALLET, "op": TRANSFER, "approval_info": None, "policy": None},
    "/wallet/encrypt-policy": {**WALLET, "policy": {}},
    "/wallet/decrypt-policy": {**WALLET, "encrypted_data": "AA=="},
    "/wallet/sign-policy": {**WALLET, "encrypted_data": "AA==", "caller": OWNER},
    "/wallet/sign-secret-store": {
        **WALLET,
        **NAME,
        "encrypted_secrets_base64": "AA==",
        "access": "AllowAll",
        "payer": OWNER,
        "project_id": None,
        "wasm_hash": None,
    },
    "/wallet/sign-secret-delete": {**WALLET, **NAME, "payer": OWNER, "project_id": None, "wasm_hash": None},
    "/wallet/derive-ephemeral-key": {**WALLET, "chain": "near", "sub_path": "x"},
    "/wallet/evm/sign-typed-data": {**WALLET, "typed_data": {"types": {}, "primaryType": "A", "domain": {}}},
    "/wallet/evm/sign-message": {**WALLET, "message": "x", "encoding": "utf8"},
    "/wallet/evm/sign-transaction": {**WALLET, "transaction": {"chain_id": 1, "to": "0x" + "11" * 20}},
    "/wallet/solana/sign-message": {**WALLET, "message": None, "message_base64": "AA=="},
    "/wallet/solana/sign-transaction": {**WALLET, "message_base64": "AA==", "transaction_base64": "AA=="},
}


@pytest.fixture(scope="module")
def chain():
    return Chain()


@pytest.fixture(scope="module")
def keystore(tmp_path_factory, chain):
    switches = ["raw_seeds", "inline_policy", "wallets_without_policy", "export_keys"]
    more = {f"keystore.{name}": "true" for name in switches} | {"keystore.register_rate": 0}
    more |= {"keystore.token_rate": 0, "keystore.owner_rate": 0}
    with nodes(chain) as running:
        made = start_keystore(tmp_path_factory.mktemp("keystore") / "data", chain, running, **more)
        worker = Worker(made, chain)
        assert worker.register().status == 200
        yield worker
        assert made.terminate() == 0, made.output


@pytest.mark.parametrize(
    ("token", "routes"), [(TOKEN, BY_WORKERS), (COORDINATOR, BY_COORDINATORS)], ids=["workers", "coordinators"]
)
def test_odd_requests_to_a_keystore_are_their_callers_mistake(keystore, chain, token, routes):
    def send(path, body):
        headers = {"Authorization": f"Bearer {token}", "X-TEE-Session": keystore.session}
        return request(keystore.server.keystore, "POST", path, body, {**headers, "Content-Type": "application/json"})

    # As a contract that anybody may store in: what is asked for is there, by whatever name.
    repo = {"Repo": {"repo": "a:b", "branch": None}}
    chain.store(repo, "default", OWNER, keystore.encrypted(SEED, b"{}"))
    wrong = sweep(send, [(path, body) for path, base in routes.items() for body in bodies_of(base)])
    assert not wrong, wrong
    assert keystore.decrypt(REPO, "default", OWNER)[0].status == 400, "and the server is there"


@pytest.mark.parametrize("name", ["X-Customer-Vault", "X-TEE-Session", "X-Attestry-Nonce", "Authorization"])
def test_odd_headers_of_a_keystores_requests_are_their_callers_mistake(keystore, name):
    for odd in ["", ":", "a:b", "\xff", "x" * 4000, "../x", '"', "Bearer"]:
        headers = {"Authorization": f"Bearer {TOKEN}", "X-TEE-Session": keystore.session, name: odd}
        for path in ("/encrypt", "/decrypt"):
            reply = request(keystore.server.keystore, "POST", path, BY_WORKERS[path], headers)
            assert reply.status < 500, (name, odd, reply)


# ---- the key manager


ODD_PARTS = ["%00", "%ff", "..", "%2e%2e", "a:b", "%3A", "%2F", "x" * 5000, "0x", "zz", "%C3%A9", "%", "+", "~", "-1"]


@pytest.mark.parametrize("compat", ["native", "keymanager", "dstack-vm"])
def test_odd_requests_to_a_key_manager_are_their_callers_mistake(tmp_path, compat):
    server = start_manager(tmp_path / "data", **{"keymanager.compat": compat, "keymanager.sources": "127.0.0.1=web"})
    ask(server, "POST", "/bootstrap")
    apps = [f"/{route}/{odd}" for route in ("getkey", "attest", "register", "x") for odd in ODD_PARTS]
    apps += [f"/{route}/{odd}/{APP_DATA}" for route in ("attest", "appdata") for odd in ODD_PARTS]
    apps += [f"/{route}/web/{odd}" for route in ("attest", "appdata") for odd in ODD_PARTS]
    apps += [f"/getkey?{name}={odd}" for name in ("epoch", "purpose", "x") for odd in ODD_PARTS]
    # Every failure is 500 in the known services, and is so in their modes; the text says whose it is.
    known = KNOWN if compat == "native" else ("malformed: ", "conflict: ", "not_found: ", "too_large: ", "denied: ")
    wrong = sweep(lambda path: request(server.apps, "GET", path), [(path,) for path in apps], known)
    hosts = [f"/{route}/{odd}" for route in ("helper", "register") for odd in ODD_PARTS]
    hosts += ["/onboard", "/receiveKey", "/requestKey", "/resign", f"/helper/0x{'11' * 20}"]
    wrong += sweep(
        lambda path, body: request(server.host, "POST", path, body),
        [(path, body) for path in hosts for body in bodies_of({"a": 1})],
        known,
    )
    assert server.terminate() == 0, server.output
    assert not wrong, wrong


# ---- Vault's shapes


AT_VAULT = {
    ("POST", "secret/data/x"): {"data": {"a": "b"}, "options": {"cas": 0}},
    ("PATCH", "secret/data/x"): {"data": {"a": "b"}, "options": {"cas": 1}},
    ("POST", "secret/delete/x"): {"versions": [1]},
    ("POST", "secret/undelete/x"): {"versions": [1]},
    ("POST", "secret/destroy/x"): {"versions": [9]},
    ("POST", "secret/metadata/x"): {"max_versions": 3, "cas_required": False, "delete_version_after": "1h"},
    ("POST", "secret/config"): {"max_versions": 3, "cas_required": False, "delete_version_after": "1h"},
    ("POST", "transit/keys/fresh"): {"type": "aes256-gcm96", "derived": False, "exportable": False},
    ("POST", "transit/keys/there/config"): {"min_decryption_version": 1, "deletion_allowed": False},
    ("POST", "transit/keys/there/rotate"): {},
    ("POST", "transit/encrypt/there"): {"plaintext": "AA==", "context": "AA==", "batch_input": None, "key_version": 1},
    ("POST", "transit/decrypt/there"): {"ciphertext": "vault:v1:AA==", "context": "AA==", "batch_input": None},
    ("POST", "transit/rewrap/there"): {"ciphertext": "vault:v1:AA==", "key_version": 1},
    ("POST", "transit/datakey/plaintext/there"): {"bits": 256, "context": ""},
    ("POST", "transit/sign/rsa"): {"input": "AA==", "hash_algorithm": "sha2-256", "signature_algorithm": "pss"},
    ("POST", "transit/verify/rsa"): {"input": "AA==", "signature": "vault:v1:AA==", "salt_length": "auto"},
    ("POST", "transit/sign/ed"): {"input": "AA==", "prehashed": False, "marshaling_algorithm": "asn1"},
    ("POST", "transit/hmac/there"): {"input": "AA==", "algorithm": "sha2-256", "key_version": 1},
    ("POST", "transit/random/32"): {"format": "hex", "bytes": 32},
    ("POST", "transit/hash"): {"input": "AA==", "algorithm": "sha2-256", "format": "hex"},
    ("POST", "transit/restore/x"): {"backup": "AA==", "force": False},
    ("POST", "auth/token/create"): {"policies": ["a"], "ttl": "1h", "num_uses": 1, "meta": {"a": "b"}, "period": "1h"},
    ("POST", "auth/token/lookup"): {"token": "x"},
    ("POST", "auth/token/revoke"): {"token": "x"},
    ("POST", "auth/token/renew"): {"token": "x", "increment": "1h"},
    ("POST", "auth/attestry/challenge"): {"role": "web"},
    ("POST", "auth/attestry/login"): {"role": "web", "nonce": "AA", "evidence": "AA", "public_key": "AA", "csr": None},
    ("POST", "auth/attestry/role/web"): {"app": "name:web", "token_policies": ["web"], "token_ttl": "10m"},
    ("PUT", "sys/policies/acl/x"): {"policy": 'path "secret/*" { capabilities = ["read"] }'},
    ("POST", "sys/mounts/more"): {"type": "kv", "options": {"version": "2"}, "config": {"max_lease_ttl": "1h"}},
    ("POST", "sys/mounts/secret/tune"): {"description": "x", "options": {}},
    ("POST", "sys/namespaces/space"): {"custom_metadata": {"a": "b"}},
    ("POST", "sys/capabilities"): {"token": "x", "paths": ["secret/x"]},
    ("POST", "sys/leases/renew"): {"lease_id": "x", "increment": 1},
}
VAULT_PATHS = ["secret/data/{}", "secret/metadata/{}", "transit/keys/{}", "transit/export/{}/there", "sys/mounts/{}"]
VAULT_PATHS += ["sys/policies/acl/{}", "sys/namespaces/{}", "auth/attestry/role/{}", "{}", "transit/random/{}"]
VAULT_PATHS += ["sys/internal/ui/mounts/{}", "transit/hash/{}", "sys/leases/revoke-prefix/{}", "auth/token/{}"]


def test_odd_requests_to_vaults_shapes_are_their_callers_mistake(tmp_path):
    vault = Vault.start(tmp_path / "data")
    for name, kind in [("there", "aes256-gcm96"), ("rsa", "rsa-2048"), ("ed", "ed25519")]:
        vault.done("POST", f"transit/keys/{name}", {"type": kind})
    requests = [(*route, body) for route, base in AT_VAULT.items() for body in bodies_of(base)]
    for method in ("GET", "LIST", "POST", "DELETE", "PATCH"):
        requests += [(method, path.format(odd), None) for path in VAULT_PATHS for odd in ODD_PARTS]
    wrong = sweep(vault.call, requests)
    for name in ("X-Vault-Token", "X-Vault-Namespace"):
        for odd in ["", ":", "\xff", "x" * 4000, "../x", "/", "a//b"]:
            headers = {"X-Vault-Token": vault.root, name: odd}
            reply = request(vault.url, "GET", "/v1/secret/data/x", headers=headers)
            assert reply.status < 500, (name, odd, reply)
    vault.stop()
    assert not wrong, wrong
