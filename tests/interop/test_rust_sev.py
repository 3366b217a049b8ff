"""The crate sev (VirTEE) judges the signatures of what our forge makes: certificates up to the root, and the report."""

import pytest
from conftest import attestry, forge, judge

KINDS = [
    f"snp-{product}" for product in ("milan-v2", "milan-v3", "milan-v5", "genoa-v3", "genoa-v5", "turin-v3", "turin-v5")
]

# Faults of a signature, or of bytes that one covers: what the crate is there for.
SIGNED = ["changed", "signature-other", "signature-zero", "vek-changed", "ask-changed", "impostor-ark"]


@pytest.fixture(scope="module")
def snp_cases(tmp_path_factory):
    return forge(KINDS, tmp_path_factory.mktemp("snp"))


@pytest.fixture(scope="module")
def answers(snp_cases, rust_program):
    return judge(rust_program, list(snp_cases.values()))


@pytest.mark.parametrize("kind", KINDS)
def test_sev_accepts_the_good_case(answers, kind):
    assert answers[(kind, "none")] is None


@pytest.mark.parametrize("kind", KINDS)
def test_sev_refuses_wrong_signatures(snp_cases, answers, kind):
    for fault in SIGNED:
        assert answers[(kind, fault)] is not None, fault


def test_we_accept_the_report_that_sev_ships(crates, tmp_path):
    # A real report of a Milan machine; no revocation list is shipped with it, which only `genuine` lets pass.
    data = crates["sev"] / "tests" / "certs_data"
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "report.bin").write_bytes(bytes.fromhex("".join((data / "report_milan.hex").read_text().split())))
    (folder / "vcek.der").write_bytes((data / "vcek_milan.der").read_bytes())
    (folder / "cert_chain.pem").write_bytes((data / "cert_chain_milan").read_bytes())
    code, verdict = attestry(folder, "--at", "2025-06-01T00:00:00Z", "--policy", "genuine")
    assert code == 0 and verdict["platform"] == "snp" and verdict["simulated"] is False
    assert {"id": "snp.crl.present", "status": "skipped"}.items() <= next(
        check for check in verdict["checks"] if check["id"] == "snp.crl.present"
    ).items()
    code, verdict = attestry(folder, "--at", "2025-06-01T00:00:00Z")
    assert verdict["verdict"] != "accepted" and verdict["root_cause"]["id"] == "policy.revocation"
