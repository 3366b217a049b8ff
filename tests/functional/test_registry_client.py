"""The first registries' command lines: attestry registry register and metadata, and their servers' flags."""

import base64
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from evm import Anvil
from harness import Program, attestry, key_file
from registry import Workload, allow, bare, spki, start_registry

CONFIG = b'{"a":1}'
TDX = {str(i): f"{i:02x}" * 48 for i in range(5)}


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain):
    data = tmp_path_factory.mktemp("client") / "data"
    settings = {
        "registry.attestation": f"simulated:{data}/forge.seed",
        "registry.believe_headers_of_anybody": "true",
    }
    running = start_registry(data, chain, **settings)
    yield running
    assert running.terminate() == 0, running.output


@pytest.fixture
def contract(chain):
    return chain.deploy("Registry")


@pytest.fixture
def workload(server, chain, contract):
    return Workload(server, contract.address, chain.accounts[0].key)


def client(command, server, contract, *arguments, stdin=None):
    where = ["--app-contract", contract.address, "--provisioning-server-addr", server.registry]
    return attestry("registry", command, *where, *arguments, stdin=stdin)


def test_register_prints_what_the_server_answers(server, contract, workload, tmp_path):
    allow(contract, workload, CONFIG)
    (tmp_path / "csr.pem").write_bytes(workload.csr)
    done = client("register", server, contract, "--csr", tmp_path / "csr.pem")
    assert done.code == 0, done
    out = {name: base64.b64decode(value) for name, value in json.loads(done.out).items()}
    assert out["config"] == CONFIG
    assert serialization.load_pem_private_key(out["app_privkey"], None)
    assert spki(x509.load_pem_x509_certificate(out["tls_cert"])) == spki(workload.key)


def test_register_says_why_there_is_nothing(server, contract, workload):
    done = client("register", server, contract, "--csr", "-", stdin=workload.csr)
    assert done.code == 1 and done.out == "", done
    assert "403 identity not allowed" in done.err
    assert "attestry why " in done.err
    identifier = done.err.split("attestry why ")[1].split("`")[0]
    why = attestry("why", identifier, "--server", server.admin, "--token-file", server.data / "admin.token")
    assert why.code in (0, 1) and "identity not allowed" in why.out, why


def test_register_makes_a_key_where_a_proxy_vouches(server, contract, tmp_path):
    key = tmp_path / "key.pem"
    headers = ["--debug-set-attestation-type-header", "qemu-tdx"]
    headers += ["--debug-set-attestation-measurement-header", json.dumps(TDX)]
    done = client("register", server, contract, "--key-out", key, *headers)
    assert done.code == 1 and "403 " in done.err, done
    assert "Operator not authorized" in done.err, "the contract was asked, so the measurements were read"
    assert key.stat().st_mode & 0o777 == 0o600
    assert serialization.load_pem_private_key(key.read_bytes(), None)
    again = client("register", server, contract, "--key-out", key, *headers)
    assert again.code == 1 and "is there already" in again.err, again
    assert "measurements header missing" in client("register", server, contract, *headers[:2]).err


def test_metadata_is_verified_by_the_servers_evidence(server, contract, tmp_path):
    forged = tmp_path / "td"
    assert attestry("forge", "--seed-file", server.data / "forge.seed", "--out", forged).code == 0
    quote = (forged / "quote.bin").read_bytes()
    policy = tmp_path / "policy.json"

    def said(mrtd):
        identity = {"name": "the registry", "claims": {"mrtd": [mrtd]}}
        policy.write_text(json.dumps({"format": 1, "name": "registry", "identities": [identity]}))
        trust = ["--trust", forged / "root.pem", "--collateral", forged / "collateral.json", "--offline"]
        return client("metadata", server, contract, "--policy", policy, *trust)

    good = said(quote[48 + 136 : 48 + 184].hex())
    assert good.code == 0 and good.json()["verified"] is True, good
    ca = x509.load_pem_x509_certificate(base64.b64decode(good.json()["ca_cert"]))
    assert bare(contract.address) in ca.subject.rfc4514_string()
    other = said("5a" * 48)
    assert other.code == 1 and other.out == "", other
    nobody = client("metadata", server, contract)
    assert nobody.code == 2 and "--policy" in nobody.err, nobody
    unverified = client("metadata", server, contract, "--unverified")
    assert unverified.json()["verified"] is False and "not verified" in unverified.err


def test_serve_takes_the_old_servers_flags(tmp_path, chain):
    (tmp_path / "master").touch(mode=0o600)
    (tmp_path / "master").write_text("00" * 32)
    data = tmp_path / "data"
    new = {"server.data": data, "unlock.source": f"file:{key_file(data)}", "registry.master": tmp_path / "master"}
    new |= {"server.listen": "127.0.0.1:0", "server.admin_listen": "127.0.0.1:0", "tls.mode": "off"}
    new |= {"registry.chain_id": chain.chain_id, "registry.contracts": "any", "collateral.offline": "true"}
    old = ["--rpc-addr", chain.url, "--listen-addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0"]
    old += ["--kms-type", "simple", "--shamirkms-listen-addr", "127.0.0.1:0", "--log-json", "--log-debug"]
    running = Program("serve", *(f"--set={name}={value}" for name, value in new.items()), *old)
    running.wait_for(r"^  registry +http://127.0.0.1:\d+$")
    running.wait_for(r"^  registry admins +http://127.0.0.1:\d+$")
    assert running.terminate() == 0
    assert json.loads(next(line for line in running.output.splitlines() if line.startswith("{")))


def test_serve_takes_no_master_key_by_a_flag(tmp_path):
    done = attestry("serve", "--kms-type", "simple", "--simple-kms-seed", "00" * 32)
    assert done.code == 2 and "registry.master=FILE" in done.err, done
