"""`attestry secret encrypt`, `decrypt` and `profile`. The other side, keystore, contract and old clients, is written here
from docs/formats/keystore.md."""

import base64
import hashlib
import hmac
import json
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from harness import attestry
from loopback import Handler, Loopback

MASTER = b"M-1 regression fixture ........."
SEED = "github.com/alice/project:alice.near:main"
FOR = ["--repo", "https://github.com/alice/project.git", "--owner", "alice.near", "--branch", "main"]
V0_SECRET = bytes(range(32))
V0_PUBLIC = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
V0_KEY = "ed25519:1GMkH3brNXiNNs1tiFZHu4yZSRrzJwxi5wB9bHFtMikjwpAW9DMZzU2Pqakc5it8X3N5vPmqdN7KF4CCUpmKhq"
DOTENV = "OPENAI_KEY=sk-test123,FOO=bar,PRIVATE=secret"
XOR = "206c4eee7fc9fbf778eb30e667297bb65e8155d5fbaff81712e8113eabd0c396266a4af47bbdd7d95ec068e1"


def scalar(seed):
    return X25519PrivateKey.from_private_bytes(hmac.new(MASTER, b"ecies:" + seed.encode(), hashlib.sha256).digest())


def v0_scalar():
    return X25519PrivateKey.from_private_bytes(hashlib.sha512(V0_SECRET).digest()[:32])


def hkdf(shared):
    return HKDF(hashes.SHA256(), 32, None, b"outlayer-keystore-v1").derive(shared)


def ecies_open(key, blob):
    assert blob[0] == 1
    shared = key.exchange(X25519PublicKey.from_public_bytes(blob[1:33]))
    return ChaCha20Poly1305(hkdf(shared)).decrypt(blob[33:45], blob[45:], None)


def ecies_seal(public, text):
    ephemeral = X25519PrivateKey.generate()
    key = hkdf(ephemeral.exchange(public))
    return (
        b"\1"
        + ephemeral.public_key().public_bytes_raw()
        + bytes(12)
        + ChaCha20Poly1305(key).encrypt(bytes(12), text, None)
    )


class Keystore(Handler):
    """Answers /pubkey of every generation, and keeps what it was told."""

    def do_GET(self):
        self.answer(json.dumps({"public_key_hex": V0_PUBLIC, "public_key_base58": "unused"}).encode())

    def do_POST(self):
        body = json.loads(self.body())
        self.server.told.append((self.path, body, self.headers.get("Authorization")))
        if "vault_id" in body and not self.headers.get("Authorization"):
            self.answer(b'{"error": "vault-scoped /pubkey requires coordinator or worker token"}', 401)
            return
        key = scalar(body["seed"]).public_key().public_bytes_raw()
        self.answer(json.dumps({"pubkey": key.hex()}).encode())


@pytest.fixture
def keystore():
    with Loopback(Keystore) as server:
        server.server.told = []
        yield server


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "master"
    path.write_text(f"KEYSTORE_MASTER_SECRET={MASTER.hex()}\n")
    path.chmod(0o600)
    return path


def test_encrypts_for_the_seed_and_tells_the_keystore_names_only(keystore):
    done = attestry("secret", "encrypt", "-", *FOR, "--keystore", keystore.url, stdin=b'{"B":"2","A":"sk-test"}')
    assert done.code == 0, done
    assert ecies_open(scalar(SEED), base64.b64decode(done.out)) == b'{"A":"sk-test","B":"2"}'
    ((path, body, _),) = keystore.server.told
    assert path == "/pubkey" and body == {"seed": SEED, "secrets_json": '{"A":"","B":""}'}


def test_takes_dotenv_as_the_first_scripts_did(keystore):
    done = attestry("secret", "encrypt", "--dotenv", DOTENV, *FOR, "--keystore", keystore.url, "--format", "json")
    assert done.code == 0, done
    made = done.json()
    assert made["seed"] == SEED and made["profile"] == "default"
    assert made["accessor"] == {"Repo": {"repo": "github.com/alice/project", "branch": "main"}}
    plain = ecies_open(scalar(SEED), base64.b64decode(made["encrypted_secrets_base64"]))
    assert json.loads(plain) == {"OPENAI_KEY": "sk-test123", "FOO": "bar", "PRIVATE": "secret"}


@pytest.mark.parametrize(
    ("arguments", "seed"),
    [
        (["--repo", "git@github.com:a/b.git"], "github.com/a/b:alice.near"),
        (["--wasm-hash", "AB" * 32], f"wasm_hash:{'ab' * 32}:alice.near"),
        (["--project", "alice.near/app"], "project:alice.near/app:alice.near"),
        (["--payment-key", "7"], "system:payment_key:alice.near:7"),
    ],
)
def test_every_accessor_has_its_seed(keystore, arguments, seed):
    done = attestry(
        "secret", "encrypt", "--dotenv", "A=1", *arguments, "--owner", "alice.near", "--keystore", keystore.url
    )
    assert done.code == 0, done
    assert ecies_open(scalar(seed), base64.b64decode(done.out)) == b'{"A":"1"}'


def test_first_generation_gets_an_array_of_bytes_and_a_real_cipher(keystore, tmp_path):
    for source in (["--keystore", keystore.url], ["--pubkey", V0_PUBLIC]):
        done = attestry("secret", "encrypt", "--v0", "--dotenv", DOTENV, *source)
        assert done.code == 0, done
        blob = bytes(json.loads(done.out))
        assert ecies_open(v0_scalar(), blob).decode() == DOTENV
        assert blob != bytes.fromhex(XOR)
    key = tmp_path / "key"
    key.write_text(V0_KEY)
    key.chmod(0o600)
    assert Ed25519PrivateKey.from_private_bytes(V0_SECRET).public_key().public_bytes_raw().hex() == V0_PUBLIC
    back = attestry("secret", "decrypt", "-", "--key", key, stdin=done.out.encode())
    assert (back.code, back.out) == (0, DOTENV + "\n"), back


def test_a_vault_needs_a_token(keystore, tmp_path):
    command = ["secret", "encrypt", "--dotenv", "A=1", *FOR, "--keystore", keystore.url, "--vault", "v.near"]
    done = attestry(*command)
    assert done.code == 1 and "vault-scoped /pubkey requires coordinator or worker token" in done.err, done
    token = tmp_path / "token"
    token.write_text("test-worker-token-123\n")
    assert attestry(*command, "--token-file", token).code == 0
    assert keystore.server.told[-1][2] == "Bearer test-worker-token-123"


def test_recovers_with_the_master_secret(key_file, tmp_path):
    blob = ecies_seal(scalar(SEED).public_key(), b'{"A":"1"}')
    for text in (
        base64.b64encode(blob),
        json.dumps(list(blob)).encode(),
        json.dumps({"encrypted_secrets_base64": base64.b64encode(blob).decode()}).encode(),
    ):
        for which in (FOR, ["--seed", SEED]):
            done = attestry("secret", "decrypt", "-", "--key", key_file, *which, stdin=text)
            assert (done.code, done.out) == (0, '{"A":"1"}\n'), done
    other = attestry(
        "secret", "decrypt", "-", "--key", key_file, "--seed", "x:alice.near", stdin=base64.b64encode(blob)
    )
    assert other.code == 2 and "tried as" in other.err and "/pubkey" not in other.err, other
    wrong = tmp_path / "wrong"
    wrong.write_text("00" * 31)
    wrong.chmod(0o600)
    assert attestry("secret", "decrypt", "-", "--key", wrong, "--seed", SEED, stdin=base64.b64encode(blob)).code == 2


def test_broken_ciphers_are_read_only_on_demand(key_file, tmp_path):
    v0 = tmp_path / "key"
    v0.write_text(V0_KEY)
    v0.chmod(0o600)
    xor = json.dumps(list(bytes.fromhex(XOR))).encode()
    refused = attestry("secret", "decrypt", "-", "--key", v0, stdin=xor)
    assert refused.code == 1 and "is no ECIES v1 blob" in refused.err, refused
    taken = attestry("secret", "decrypt", "-", "--key", v0, "--allow-xor", stdin=xor)
    assert (taken.code, taken.out) == (0, DOTENV + "\n"), taken
    public = Ed25519PrivateKey.from_private_bytes(hmac.new(MASTER, SEED.encode(), hashlib.sha256).digest())
    key = public.public_key().public_bytes_raw()
    blob = base64.b64encode(bytes(12) + ChaCha20Poly1305(key).encrypt(bytes(12), b"{}", None))
    command = ["secret", "decrypt", "-", "--key", key_file, "--seed", SEED]
    assert attestry(*command, stdin=blob).code == 1
    old = attestry(*command, "--allow-public-key-cipher", stdin=blob)
    assert (old.code, old.out) == (0, "{}\n") and "its key is public" in old.err, old


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dotenv", "A=1"], "what is the secret for?"),
        ([*FOR], "what is to be encrypted?"),
        (["--dotenv", "A=1", *FOR, "--project", "x/y"], "one of --repo"),
        (["--dotenv", "A=1", *FOR], "whose key is it encrypted for?"),
        (["--dotenv", "A", *FOR, "--pubkey", "00" * 32], "part 1 of the secrets"),
        (["--dotenv", "WALLET_ID=1", *FOR, "--pubkey", "00" * 32], "is a reserved name"),
        (["--dotenv", "PROTECTED_A=1", *FOR, "--pubkey", "00" * 32], "is a PROTECTED_ name"),
        (["--dotenv", "A=1", *FOR, "--pubkey", "00" * 32], "small order"),
        (["--dotenv", "A=1", "--repo", "h:1/a", "--owner", "alice.near", "--pubkey", "09" * 32], "no ':'"),
        (["--dotenv", "A=1", "--v0", "--pubkey", "00" * 32], "Ed25519 public key"),
    ],
)
def test_mistakes(arguments, said):
    done = attestry("secret", "encrypt", *arguments)
    assert done.code != 0 and said in done.err and not done.out, done


class NearNode(Handler):
    """One RPC node of testnet, whose contract has one secret of alice's."""

    HASH = "9MjpcnwW3TSdzGweNfPbkx8M74q1XzUcT1PAN8G5bNDz"
    ENTRY = {
        "encrypted_secrets": base64.b64encode(b"\1" + bytes(80)).decode(),
        "access": {"Whitelist": {"accounts": ["bob.near"]}},
        "created_at": 1,
        "updated_at": 1,
        "storage_deposit": "5000000000000000000000",
        "accessor": {"Project": {"project_id": "alice.near/app"}},
    }

    def result(self, method, params):
        if method == "status":
            return {"chain_id": "testnet", "sync_info": {"syncing": False}}
        if method == "block":
            return {"header": {"height": 100, "hash": self.HASH, "timestamp": self.server.time}}
        asked = json.loads(base64.b64decode(params["args_base64"]))
        assert params["account_id"] == "outlayer.testnet"
        if params["method_name"] == "list_user_secrets":
            assert asked == {"account_id": "alice.near"}
            said = [{"profile": "default", **{name: self.ENTRY[name] for name in ("accessor", "created_at")}}]
        else:
            assert params["method_name"] == "get_secret_with_vault"
            known = asked["profile"] == "default"
            said = {"profile": self.ENTRY if known else None, "vault_id": "v.near" if known else None}
        return {"result": list(json.dumps(said).encode()), "logs": [], "block_height": 100, "block_hash": self.HASH}

    def do_POST(self):
        body = json.loads(self.body())
        answer = {"jsonrpc": "2.0", "id": body["id"], "result": self.result(body["method"], body["params"])}
        self.answer(json.dumps(answer).encode())


def test_profiles_of_an_owner():
    with Loopback(NearNode) as node:
        node.server.time = int(time.time()) * 10**9
        where = ["--near-rpc", node.url, "--network", "testnet"]
        listed = attestry("secret", "profile", "list", "--owner", "alice.near", *where)
        assert listed.code == 0 and listed.out.startswith('default  {"Project"'), listed
        which = ["--project", "alice.near/app", "--owner", "alice.near"]
        shown = attestry("secret", "profile", "show", *which, *where, "--format", "json")
        assert shown.code == 0, shown
        assert shown.json() == {
            "accessor": {"Project": {"project_id": "alice.near/app"}},
            "access": {"Whitelist": {"accounts": ["bob.near"]}},
            "access_valid": True,
            "vault": "v.near",
            "bytes": 81,
            "cipher": "ECIES v1",
        }
        none = attestry("secret", "profile", "show", *which, "--profile", "other", *where)
        assert none.code == 1 and "Secrets not found in contract" in none.err, none
    away = attestry("secret", "profile", "list", "--owner", "alice.near", *where)
    assert away.code == 3, away
