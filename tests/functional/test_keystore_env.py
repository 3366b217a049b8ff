"""`attestry keystore --env-file`: every variable of the worker's three generations."""

import pytest
from harness import PATIENCE, Program, attestry, request
from keystore import OPERATOR, TOKEN, token_hash

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
    assert settings["keystore.contract"] == '"outlayer.testnet"'
    assert settings["keystore.tee_mode"] == '"tdx"'
    assert settings["keystore.worker_tokens"] == f'"{token_hash(TOKEN)}"'
    assert "RUST_LOG is not used" in notes and "ALLOWED_COORDINATOR_TOKEN_HASHES is empty" in notes


@pytest.mark.parametrize(
    ("written", "mode"),
    [("outlayer_tee", "evidence"), (' "Outlayer_TEE" ', "evidence"), ("SGX", "sgx"), ("sev", "sev")],
)
def test_tee_modes(tmp_path, written, mode):
    assert shown(tmp_path, TEE_MODE=written)[0]["keystore.tee_mode"] == f'"{mode}"'


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
    ],
)
def test_mistakes(tmp_path, variables, text):
    done = attestry("keystore", "--env-file", env_file(tmp_path, **variables), "--show")
    assert done.code == 2 and text in done.err, done


@pytest.mark.parametrize("mode", ["none", "simulated"])
def test_what_verifies_nothing_is_for_the_simulated_realm(tmp_path, mode):
    path = env_file(tmp_path, TEE_MODE=mode)
    done = attestry("keystore", "--env-file", path, "--data", tmp_path / "data")
    assert done.code != 0 and "verifies nothing" in done.err, done
    assert not (tmp_path / "data").exists()
    assert attestry("keystore", "--env-file", path, "--simulated", "--show").code == 0


def test_a_file_with_keys_is_for_its_owner(tmp_path):
    path = env_file(tmp_path, 0o644, KEYSTORE_MASTER_SECRET="11" * 32)
    done = attestry("keystore", "--env-file", path, "--data", tmp_path / "data")
    assert done.code != 0 and "chmod 600" in done.err, done
    assert "11" * 32 not in done.out + done.err


def test_a_token_in_the_place_of_its_hash(tmp_path):
    path = env_file(tmp_path, ALLOWED_WORKER_TOKEN_HASHES=TOKEN)
    done = attestry("keystore", "--env-file", path, "--data", tmp_path / "data", "--simulated")
    assert done.code != 0 and "sha256sum" in done.err and TOKEN not in done.err, done


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
