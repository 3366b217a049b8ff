"""dcap-qvl, the verifier that most of the web3 world uses, judges what our forge makes."""

import base64
import datetime

import dcap_qvl
import pytest

# It takes SGX reports in quotes of version 3 only ("SGX TEE quote must have version 3").
KINDS = ["sgx-v3", "tdx-v4", "tdx-v5-td10", "tdx-v5", "tdx-v5-td15ex"]

# What this release of dcap-qvl does not look at, so that it takes these faulty cases for good ones; we refuse them.
LAXER = {
    "trailing-byte": "anything behind the declared length is ignored",
    "chain-order": "webpki sorts the certificates itself",
    "qe-report-data-tail": "only the first half of the QE report data is compared",
    "pceid": "the PCE id of the TCB info is not compared",
}


def judge(case, quote=None):
    """The report, or the reason of the refusal as ValueError. Another quote than the case's may be given."""
    pem = case.read("root.pem").decode()
    root = base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line))
    collateral = dcap_qvl.QuoteCollateralV3.from_json(case.read("collateral.json").decode())
    at = datetime.datetime.fromisoformat(case.about["verify_at"])
    return dcap_qvl.verify_with_root_ca(quote or case.read("quote.bin"), collateral, root, int(at.timestamp()))


@pytest.mark.parametrize("kind", KINDS)
def test_dcap_qvl_accepts_what_is_genuine(cases, kind):
    genuine = [case for case in cases.values() if case.kind == kind and case.expect["result"] == "ok"]
    assert (kind, "none") in cases and len(genuine) >= 4
    for case in genuine:
        report = judge(case)
        assert report.status == case.expect["tcb_status"], case
        assert report.advisory_ids == case.expect["advisory_ids"], case


@pytest.mark.parametrize("kind", KINDS)
def test_dcap_qvl_refuses_what_is_forged_wrongly(cases, kind):
    faulty = [case for case in cases.values() if case.kind == kind and case.expect["result"] == "fail"]
    assert len(faulty) >= 30
    for case in faulty:
        if case.fault in LAXER:
            continue
        with pytest.raises(ValueError):
            judge(case)


@pytest.mark.parametrize("kind", KINDS)
def test_dcap_qvl_refuses_every_changed_bit_of_the_signed_part(cases, kind):
    case = cases[(kind, "none")]
    good = case.read("quote.bin")
    for at in (60, 100, 200, 400):
        changed = bytes(byte ^ (index == at) for index, byte in enumerate(good))
        with pytest.raises(ValueError):
            judge(case, changed)


def test_dcap_qvl_refuses_forged_evidence_under_intels_root(cases):
    for kind in KINDS:
        case = cases[(kind, "none")]
        collateral = dcap_qvl.QuoteCollateralV3.from_json(case.read("collateral.json").decode())
        with pytest.raises(ValueError):
            dcap_qvl.verify(case.read("quote.bin"), collateral, 1795261432)
