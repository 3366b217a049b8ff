"""The crate nsm-nitro-enclave-utils judges what our forge makes."""

import pytest
from conftest import attestry, forge, judge

# What it does not look at, so that it takes these faulty documents for good ones; we refuse them.
LAXER = {
    "algorithm": "the header's algorithm is not read",
    "cabundle-reversed": "webpki sorts the certificates itself",
    "debug": "PCRs are left to the caller",
    "digest": "the digest's name is not compared",
    "leaf-no-signature": "key usage is not looked at",
    "nonce-text": "byte and text strings are taken alike",
    "pcr-duplicate": "the last of two values counts",
    "pcr-index": "PCRs are left to the caller",
    "pcr-size": "PCRs are left to the caller",
    "user-data-large": "sizes are not compared",
}
# Good ones that it refuses: RFC 9052 allows a tag, and headers that are not protected.
STRICTER = {"tagged", "unprotected-header"}


@pytest.fixture(scope="module")
def nitro_cases(tmp_path_factory):
    return forge(["nitro"], tmp_path_factory.mktemp("nitro"))


@pytest.fixture(scope="module")
def answers(nitro_cases, rust_program):
    return judge(rust_program, list(nitro_cases.values()))


def test_nsm_utils_accepts_what_is_genuine(nitro_cases, answers):
    genuine = [key for key, case in nitro_cases.items() if case.expect["result"] == "ok" and key[1] not in STRICTER]
    assert ("nitro", "none") in genuine and len(genuine) >= 2
    for key in genuine:
        assert answers[key] is None, key


def test_nsm_utils_refuses_what_is_forged_wrongly(nitro_cases, answers):
    wrong = [key for key, case in nitro_cases.items() if case.expect["result"] != "ok" and key[1] not in LAXER]
    assert len(wrong) >= 24
    for key in wrong:
        assert answers[key] is not None, key


def test_we_accept_the_document_that_nitro_attest_ships(crates, tmp_path):
    # A real document of AWS, made on 6 January 2025; its certificate lived for three hours.
    document = crates["nitro_attest"] / "tests" / "fixtures" / "attestation.cose"
    code, verdict = attestry(document, "--at", "2025-01-06T16:07:05Z")
    assert code == 0 and verdict["verdict"] == "accepted" and verdict["simulated"] is False
    assert verdict["claims"]["module_id"] == "i-0bee92034f3d60691-enc01943c5eaab3ad6a"
    code, verdict = attestry(document, "--at", "2025-01-07T16:07:05Z")
    assert code == 1 and verdict["root_cause"]["id"] == "nitro.chain.validity"
    changed = bytearray(document.read_bytes())
    changed[-1] ^= 1
    (tmp_path / "changed.cose").write_bytes(changed)
    code, verdict = attestry(tmp_path / "changed.cose", "--at", "2025-01-06T16:07:05Z")
    assert code == 1 and verdict["root_cause"]["id"] == "nitro.cose.signature"
