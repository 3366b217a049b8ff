"""`attestry keystore --env-file`: every variable of the worker's three generations."""

import base64
import time

import pytest
from harness import PATIENCE, Program, attestry, key_file, request
from keystore import OPERATOR, TOKEN, Client, start_keystore, token_hash
from near import Chain, nodes

PRIVATE = "ed25519:1GMkH3brNXiNNs1tiFZHu4yZSRrzJwxi5wB9bHFtMikjwpAW9DMZzU2Pqakc5it8X3N5vPmqdN7KF4CCUpmKhq"

GOOD = {
    "NEAR_RPC_URL": "http://127.0.0.1:1",
    "OFFCHAINVM_CONTRACT_ID": "outlayer.testnet",
    "ALLOWED_WORKER_TOKEN_HASHES": token_hash(TOKEN),
    "TEE_MODE": "tdx",
    "OPERATOR_ACCOUNT_ID": OPERATOR,
}


def env_file(tmp_path, mode=0o600, **variables):
    path = tmp_path / "keystore.env"
    lines = [f"{name}={value}" for name, value in {**GOOD, **variables}.items() if value is not None]
    path.write_text("# a keystore\n\n" + "\n".join(lines) + "\n")
    path.chmod(mode)
    return path


def shown(tmp_path, *more, **variables):
    done = attestry("keystore", "--env-file", env_file(tmp_path, **variables), "--show", *more)
    assert done.code == 0, done
    return dict(line.split(" = ", 1) for line in done.out.splitlines()), done.err


def test_what_the_variables_become(tmp_path):
    settings, notes = shown(tmp_path, RUST_LOG="info", SERVER_PORT="9000", NEAR_NETWORK="mainnet")
    assert settings["keystore.listen"] == '"0.0.0.0:9000"'
    assert settings["keystore.network"] == '"mainnet"'
    assert "keystore.contract" not in settings and "no secrets are read from the chain" in notes
    assert settings["keystore.tee_mode"] == '"tdx"'
    assert settings["keystore.worker_tokens"] == f'"{token_hash(TOKEN)}"'
    assert "RUST_LOG is not used" in notes and "ALLOWED_COORDINATOR_TOKEN_HASHES is empty" in notes


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        ("outlayer_tee", "evidence"),
        (' "Outlayer_TEE" ', "evidence"),
        ("SGX", "sgx"),
        ("sev", "sev"),
        ("tdx", "tdx"),
        ("nitro", "nitro"),
    ],
)
def test_tee_modes(tmp_path, written, mode):
    assert shown(tmp_path, TEE_MODE=written)[0]["keystore.tee_mode"] == f'"{mode}"'


def test_variables_that_become_something_else_or_nothing(tmp_path):
    settings, notes = shown(
        tmp_path,
        NEAR_CONTRACT_ID="secrets.testnet",
        TEE_ALLOWED_KEY_TYPES="ed25519,ml-dsa-65",
        DSTACK_SIMULATOR_ENDPOINT="/run/dstack.sock",
        LOG_MASTER_KEY_HASH="true",
        KEYSTORE_KEY_TYPE="ed25519",
        MPC_DOMAIN_ID="2",
    )
    assert settings["keystore.contract"] == '"secrets.testnet"'
    assert settings["keystore.key_kinds"] == '"ed25519,ml-dsa-65"'
    assert settings["keystore.sealing_dstack"] == '"/run/dstack.sock"'
    for name in ("LOG_MASTER_KEY_HASH", "KEYSTORE_KEY_TYPE", "MPC_DOMAIN_ID"):
        assert f"{name} is not used" in notes, notes
    assert settings.get("keystore.master") is None
    settings, notes = shown(tmp_path, DSTACK_SIMULATOR_ENDPOINT="http://localhost:8090")
    assert "keystore.sealing_dstack" not in settings and "DSTACK_SIMULATOR_ENDPOINT is not used" in notes


def test_what_they_become_as_json(tmp_path):
    secret = "11" * 32
    variables = {"RUST_LOG": "info", "KEYSTORE_MASTER_SECRET": secret}
    settings, _ = shown(tmp_path, "--data", tmp_path / "data", **variables)
    given = ["keystore", "--env-file", env_file(tmp_path, **variables), "--data", tmp_path / "data", "--format", "json"]
    done = attestry(*given, "--show")
    assert (done.code, done.err) == (0, ""), done
    assert done.json()["settings"] == {name: value.strip('"') for name, value in settings.items()}
    notes = "\n".join(done.json()["notes"])
    assert "RUST_LOG is not used" in notes and f"writes {tmp_path / 'data'}.master" in notes, done
    assert secret not in done.out and set(done.json()) == {"settings", "notes"}
    alone = attestry(*given)
    assert alone.code == 2 and "with --show" in alone.err, alone
    assert [path.name for path in tmp_path.iterdir()] == ["keystore.env"]


def test_the_first_generations_account_turns_its_check_on(tmp_path):
    settings, notes = shown(tmp_path, KEYSTORE_ACCOUNT_ID="keystore.testnet")
    assert settings["keystore.published_key_method"] == '"outlayer.testnet/get_keystore_pubkey"'
    assert settings["keystore.generation"] == '"v0"' and "publish-key" in notes


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"SERVER_PORT": "http"}, "Invalid SERVER_PORT"),
        ({"SERVER_HOST": "a b"}, "Invalid server address"),
        ({"TEE_MODE": "trustzone"}, "Invalid TEE_MODE: trustzone"),
        ({"NEAR_RPC_URL": None}, "NEAR_RPC_URL is required"),
        ({"OFFCHAINVM_CONTRACT_ID": None}, "OFFCHAINVM_CONTRACT_ID is required"),
        ({"TEE_MODE": "outlayer_tee", "OPERATOR_ACCOUNT_ID": None}, "OPERATOR_ACCOUNT_ID is required"),
        ({"KEYSTORE_MASTER_SECRET": "abc"}, "64 hex digits"),
        ({"KEYSTORE_MASTER_SECRET": "00" * 32, "USE_TEE_REGISTRATION": "true"}, "are both set"),
        ({"USE_TEE_REGISTRATION": "true"}, "KEYSTORE_DAO_CONTRACT is required"),
        ({"ALLOWED_WORKER_TOKEN_HASH": "x"}, "Did you mean ALLOWED_WORKER_TOKEN_HASHES?"),
        ({"KEYSTORE_ALLOW_INLINE_POLICY": "yes"}, "KEYSTORE_ALLOW_INLINE_POLICY is neither true nor false"),
    ],
)
def test_mistakes(tmp_path, variables, text):
    done = attestry("keystore", "--env-file", env_file(tmp_path, **variables), "--show")
    assert done.code == 2 and text in done.err, done


@pytest.mark.parametrize("simulated", [True, False], ids=["simulated", "production"])
@pytest.mark.parametrize("source", ["KEYSTORE_MASTER_SECRET", "KEYSTORE_MASTER_SECRET_OUT_PATH"])
def test_a_start_that_is_refused_keeps_no_key(tmp_path, simulated, source):
    value = "5a" * 32 if source == "KEYSTORE_MASTER_SECRET" else tmp_path / "made"
    given = env_file(tmp_path, **{source: value, "SERVER_HOST": "127.0.0.1", "SERVER_PORT": "0"})
    more = ["--simulated"] if simulated else []
    wrong = ["--with=--set=limits.connections=many"]
    done = attestry("keystore", "--env-file", given, "--data", tmp_path / "data", *more, *wrong)
    assert done.code == 2 and "limits.connections" in done.err, done
    assert [path.name for path in tmp_path.iterdir()] == ["keystore.env"]


@pytest.mark.parametrize("mode", ["none", "simulated"])
def test_what_verifies_nothing_is_for_the_simulated_realm(tmp_path, mode):
    path = env_file(tmp_path, TEE_MODE=mode)
    done = attestry("keystore", "--env-file", path, "--data", tmp_path / "data")
    assert done.code != 0 and "verifies nothing" in done.err, done
    assert not (tmp_path / "data").exists()
    assert attestry("keystore", "--env-file", path, "--simulated", "--show").code == 0


@pytest.mark.parametrize(
    "keys",
    [
        {"KEYSTORE_MASTER_SECRET": "11" * 32},
        {"KEYSTORE_PRIVATE_KEY": PRIVATE},
        {"KEYSTORE_MASTER_SECRET": "11" * 32, "KEYSTORE_PRIVATE_KEY": PRIVATE},
    ],
)
def test_a_file_with_keys_is_for_its_owner(tmp_path, keys):
    path = env_file(tmp_path, 0o644, **keys)
    done = attestry("keystore", "--env-file", path, "--data", tmp_path / "data")
    assert done.code != 0 and "chmod 600" in done.err, done
    for key in keys.values():
        assert key not in done.out + done.err


def master_key(server):
    """What is derived from the master, to tell two of them apart."""
    url = server.wait_for(r"^  keystore +(\S+)$")[1]
    return request(url, "GET", "/vrf/pubkey", timeout=PATIENCE).json()["vrf_public_key_hex"]


def test_a_master_that_is_made_once_and_kept_where_the_operator_says(tmp_path):
    out = tmp_path / "master.env"
    here = {"SERVER_HOST": "127.0.0.1", "SERVER_PORT": "0", "KEYSTORE_MASTER_SECRET_OUT_PATH": out}
    path = env_file(tmp_path, **here)
    seen = []
    for folder in ("first", "second"):
        server = Program("keystore", "--env-file", path, "--data", tmp_path / folder, "--simulated")
        seen.append(master_key(server))
        assert server.terminate() == 0, server.output
        assert out.stat().st_mode & 0o777 == 0o600
        name, digits = out.read_text().strip().split("=")
        assert name == "KEYSTORE_MASTER_SECRET" and len(bytes.fromhex(digits)) == 32
        assert digits not in server.output
    assert seen[0] == seen[1]
    out.chmod(0o644)
    done = attestry("keystore", "--env-file", path, "--data", tmp_path / "third", "--simulated")
    assert done.code != 0 and "chmod 600" in done.err and digits not in done.err, done
    assert not (tmp_path / "third").exists()


def test_the_first_generations_key_and_its_broken_cipher(tmp_path):
    """The vectors of keystore_ckd.md 1.5: the key, and XOR, which is read where a switch says so."""
    here = {"SERVER_HOST": "127.0.0.1", "SERVER_PORT": "0", "TEE_MODE": "none", "KEYSTORE_PRIVATE_KEY": PRIVATE}
    command = ["keystore", "--env-file", env_file(tmp_path, **here), "--data", tmp_path / "data", "--simulated"]

    def decrypted(url):
        attestation = {"tee_type": "none", "quote": "bm8tYXR0ZXN0YXRpb24=", "timestamp": int(time.time())}
        body = {"encrypted_secrets": "FB5K8Hff7/lkkDe3f28ip0iGEMW1", "attestation": attestation}
        return request(url, "POST", "/decrypt", body, {"Authorization": f"Bearer {TOKEN}"}, timeout=PATIENCE)

    server = Program(*command)
    url = server.wait_for(r"^  keystore +(\S+)$")[1]
    public = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
    assert request(url, "GET", "/pubkey", timeout=PATIENCE).json()["public_key_hex"] == public
    reply = decrypted(url)
    assert reply.status == 500 and reply.json()["error"].startswith("Decryption failed: "), reply
    assert server.terminate() == 0, server.output
    server = Program(*command, "--with=--set=keystore.broken_xor_cipher=true")
    url = server.wait_for(r"^  keystore +(\S+)$")[1]
    reply = decrypted(url)
    assert base64.b64decode(reply.json()["plaintext_secrets"]) == b'{"API_KEY":"sk-test"}', reply
    assert server.terminate() == 0, server.output
    assert "keystore.broken_xor_cipher: what is read was never secret" in server.output


def test_the_hash_of_a_token_is_the_real_one():
    """keystore_ckd.md 1.3; the example that the original ships is another string's."""
    assert token_hash("test-worker-token-123") == "424f15acac0d286f52c25a5a092b01c5594b91f8ae8902abbd2402bf110f0d60"


def test_the_hash_of_the_originals_example_lets_nobody_in(tmp_path):
    """It is printed there as 54bf7eee…, and no token is known for it."""
    chain = Chain()
    token = "test-worker-token-123"
    example = "54bf7eee" + token_hash(token)[8:]
    with nodes(chain) as running:
        for hashes, status in ((example, 401), (f"{example},{token_hash(token)}", 200)):
            server = start_keystore(tmp_path / "data", chain, running, **{"keystore.worker_tokens": hashes})
            reply = Client(server, token).call("GET", "/admin/loaded-vaults")
            assert reply.status == status, (hashes, reply)
            assert server.terminate() == 0, server.output


def test_a_token_in_the_place_of_its_hash(tmp_path):
    path = env_file(tmp_path, ALLOWED_WORKER_TOKEN_HASHES=TOKEN, SERVER_HOST="127.0.0.1")
    done = attestry("keystore", "--env-file", path, "--data", tmp_path / "data", "--simulated")
    assert done.code != 0 and "sha256sum" in done.err and TOKEN not in done.err, done


def test_a_server_for_other_machines_needs_tls_or_a_word(tmp_path):
    """In the clear it is refused, and each of the ways that the refusal names, taken as it is written there, works."""
    path = env_file(tmp_path, SERVER_HOST="0.0.0.0", SERVER_PORT="0")
    command = ["keystore", "--env-file", path, "--data", tmp_path / "data", "--simulated"]
    done = attestry(*command)
    assert done.code == 2 and "0.0.0.0:0" in done.err, done
    assert "SERVER_HOST and SERVER_PORT of the environment are keystore.listen" in done.err, done
    assert "tls.mode to auto" in done.err and "set keystore.plaintext to true" in done.err, done
    for way, scheme in (("--with=--set=tls.mode=auto", "https"), ("--with=--set=keystore.plaintext=true", "http")):
        assert way in done.err.split(), done
        server = Program(*command, way)
        assert server.wait_for(r"^  keystore +(\S+)$")[1].startswith(f"{scheme}://0.0.0.0:")
        server.wait_for(r"^Serving until")
        assert server.terminate() == 0, server.output
        said = "keystore.plaintext: whoever is between here and where TLS ends reads every secret" in server.output
        assert said == (scheme == "http"), server.output


def test_a_production_server_says_how_it_is_unlocked(tmp_path):
    done = attestry("keystore", "--env-file", env_file(tmp_path), "--data", tmp_path / "data")
    assert done.code == 2 and "--with=--unlock=file:PATH" in done.err.split(), done
    here = env_file(tmp_path, SERVER_HOST="127.0.0.1", SERVER_PORT="0")
    ports = [f"--with=--set=server.{name}=127.0.0.1:0" for name in ("listen", "admin_listen", "metrics_listen")]
    key = key_file(tmp_path / "data")
    command = ["keystore", "--env-file", here, "--data", tmp_path / "data", f"--with=--unlock=file:{key}", *ports]
    server = Program(*command, "--with=--set=collateral.offline=true")
    assert server.wait_for(r"keystore +(\S+)$")[1].startswith("https://127.0.0.1:")
    assert server.terminate() == 0, server.output


def test_a_server_from_an_environment(tmp_path):
    """The master of KEYSTORE_MASTER_SECRET: the vector of keystore_ckd.md 4.6."""
    master = b"M-1 regression fixture .........".hex()
    path = env_file(tmp_path, SERVER_HOST="127.0.0.1", SERVER_PORT="0", KEYSTORE_MASTER_SECRET=master)
    server = Program("keystore", "--env-file", path, "--data", tmp_path / "data", "--simulated")
    try:
        url = server.wait_for(r"^  keystore +(\S+)$")[1]
        body = {"seed": "github.com/alice/project:alice.near:main", "secrets_json": "{}"}
        reply = request(url, "POST", "/pubkey", body, timeout=PATIENCE)
        assert reply.json()["pubkey"] == "663837a4d23f3e34f45a435d13b239302378db37223747d196e94b20328b6153", reply
        health = request(url, "GET", "/health").json()
        assert health == {"status": "ok", "tee_mode": "Tdx"}
    finally:
        assert server.terminate() == 0, server.output
    assert (tmp_path / "data.master").stat().st_mode & 0o777 == 0o600
    assert master not in server.output
