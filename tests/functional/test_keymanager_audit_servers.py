"""attestry keymanager audit, of what real servers of a key manager did on a chain, and of evidence of real machines."""

import hashlib

import pytest
import vectors
from evm import Anvil
from harness import attestry
from key_managers import ask, bootstrapped, joined, managers, unhex
from keymanager import Key

REAL = next(case for case in vectors.cases() if case.expect["result"] == "ok" and case.name.split("/")[0] == "tdx")


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture
def contract(chain):
    return chain.deploy("KeyManager")


def audit(chain, contract, *arguments):
    found = ["--network", "local", "--rpc", chain.url, "--format", "json"]
    return attestry("keymanager", "audit", contract.address, *found, *arguments)


def test_keymanager_audit_of_real_servers(tmp_path, chain, contract):
    with managers(tmp_path, chain, contract) as start:
        first, second = start("first"), start("second")
        bootstrapped(first, contract)
        joined(first, second, contract, chain.accounts[1])
        made = ask(first, "POST", "/bootstrap?rotate=true")
        arguments = [made["addr"].lower(), unhex(made["sig"]), unhex(made["evidence_sha256"]), unhex(made["quote"])]
        contract.send("allowMrtd", hashlib.sha256(unhex(made["quote"])[184:232]).digest(), True)
        contract.send("rotate", *arguments)
        case = tmp_path / "vendor"
        forged = attestry("forge", "--out", case, "--seed-file", first.data / "forge.seed")
        assert forged.code == 0, forged
    policy = tmp_path / "managers.json"
    trust = ["--trust", case / "root.pem", "--collateral", case / "collateral.json", "--policy", policy]
    saved = tmp_path / "saved"
    done = audit(chain, contract, *trust, "--save", saved)
    assert done.code == 0, done.out
    steps = done.json()["steps"]
    assert [step["kind"] for step in steps] == ["bootstrap", "request", "onboarding", "rotation"]
    for step in steps:
        details = {check["name"]: check["detail"] for check in step["checks"]}
        assert details["binding"] == "made for this contract and epoch"
    again = attestry("keymanager", "audit", "--offline", saved, "--format", "json", *trust)
    assert (again.code, again.out) == (0, done.out)


def test_keymanager_audit_of_a_real_machines_quote(chain, contract):
    """Genuine, and made for something else."""
    quote = (REAL.folder / "quote.bin").read_bytes()
    master = Key(b"\x51" * 32)
    contract.send("bootstrapWithEvidence", master.address, hashlib.sha256(quote).digest(), quote)
    more = ["--policy", "genuine", "--collateral", REAL.folder, "--at", REAL.about["verify_at"]]
    for file in REAL.trust_files():
        more += ["--trust", file]
    done = audit(chain, contract, *more)
    assert done.code == 1, done
    (step,) = done.json()["steps"]
    outcomes = {check["name"]: check["outcome"] for check in step["checks"]}
    assert (outcomes["posted"], outcomes["verdict"], outcomes["binding"]) == ("accepted", "accepted", "refused")
