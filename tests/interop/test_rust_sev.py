"""The crate sev (VirTEE) judges the signatures of what our forge makes: certificates up to the root, and the report."""

import pytest
from conftest import forge, judge

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
