"""Every failure has one root cause that names what is wrong: as tests/data/root_causes.json keeps them. When a wording
changes on purpose: `python tests/functional/root_causes.py --write`, and read the difference."""

import json
import re

import pytest
import root_causes
import vectors

GOLDEN = json.loads(root_causes.GOLDEN.read_text())


def differences(expected, found):
    return {
        name: (expected.get(name), found.get(name))
        for name in sorted(set(expected) | set(found))
        if expected.get(name) != found.get(name)
    }


@pytest.fixture(scope="module")
def mutated():
    """Nothing in a checkout without the shared vectors: there the forged failures are judged alone."""
    return root_causes.of_mutations() if vectors.HAVE_SHARED else {}


def test_root_causes_are_of_many_kinds():
    everything = [cause for group in GOLDEN.values() for cause in group.values()]
    assert len({root_causes.wording(cause) for cause in everything}) >= 150
    assert len({cause["check"] for cause in everything}) >= 100


def test_root_causes_of_forged_evidence():
    found = {name: root_causes.cause_of(verdict) for name, verdict in root_causes.of_forge().items()}
    assert differences(GOLDEN["forged"], found) == {}


def test_root_causes_of_the_cases():
    if not vectors.HAVE_SHARED:
        return
    found = {name: root_causes.cause_of(verdict) for name, verdict in root_causes.of_cases().items()}
    assert differences(GOLDEN["cases"], found) == {}


def test_root_causes_of_the_mutations(mutated):
    found = {name: root_causes.cause_of(verdict) for name, (_, verdict) in mutated.items()}
    assert not vectors.HAVE_SHARED or differences(GOLDEN["mutations"], found) == {}


# Names of a bundle's members that are called otherwise in a verdict.
KINDS = {
    "tcb_info_issuer_chain": "tcb_info_chain",
    "qe_identity_issuer_chain": "qe_identity_chain",
    "pck_crl_issuer_chain": "pck_crl_chain",
}
FILES = {"vcek.der": "vek", "vlek.der": "vek", "cert_chain.pem": "amd_chain", "crl.der": "amd_crl", "jwks.json": "jwks"}
# Checks about one part of a bundle, by their beginnings: their id names it.
PARTS = {
    "tcb_info": "dcap.tcb_info",
    "tcb_info_signature": "dcap.tcb_info.signature",
    "tcb_info_chain": "dcap.tcb_info.chain",
    "qe_identity": "dcap.qe_identity",
    "qe_identity_signature": "dcap.qe_identity.signature",
    "qe_identity_chain": "dcap.qe_identity.chain",
    "pck_crl": "dcap.crl.pck",
    "root_ca_crl": "dcap.crl.root",
    "vek": ("snp.vek", "snp.chain.validity", "snp.chip_id", "snp.tcb.reported"),
    "amd_chain": "snp.chain",
    "amd_crl": "snp.crl",
    "jwks": "maa.",
}
EVIDENCE = {"quote.bin", "report.bin", "attestation.cbor", "token.jwt"}


def says(cause):
    return " ".join(cause[key] for key in ("expected", "actual", "detail"))


def covers(cause, begin, end):
    """Whether the text gives a range of bytes, or a place, that has to do with these bytes."""
    text = says(cause)
    ranges = [(int(a), int(b) + 1) for a, b in re.findall(r"bytes (\d+) (?:to|and) (\d+)", text)]
    ranges += [(int(a), int(a) + 1) for a in re.findall(r"(?:at )?byte (\d+)\b", text)]
    return any(a < end and begin < b for a, b in ranges)


def certificate_of_quote(case, at):
    """Whether the byte stands in the PEM of a quote's certificates, or in the DER of a document's."""
    data = (case.folder / "quote.bin").read_bytes()
    return data.find(b"-----BEGIN CERTIFICATE-----") <= at


def names_the_change(mutation, cause, case):
    op = mutation["ops"][0]
    check = cause["check"]
    if op["op"].startswith("json_"):
        part = KINDS.get(op["key"], op["key"])
        return check.startswith(PARTS[part])
    if op["file"] in FILES:
        return check.startswith(PARTS[FILES[op["file"]]])
    assert op["file"] in EVIDENCE
    if op["op"] == "truncate":
        return check in ("evidence.size", "snp.report.size") or "cut off" in says(cause) or "bytes" in cause["actual"]
    if op["op"] == "append":
        return "more" in cause["actual"] or check == "snp.report.size"
    if op["file"] == "quote.bin" and check.startswith("dcap.pck.") and "at" in op:
        return certificate_of_quote(case, op["at"])
    if op["file"] == "attestation.cbor" and check.startswith("nitro.chain."):
        return "certificate" in says(cause)
    if op["file"] == "token.jwt":
        return check.startswith("maa.")
    size = len(bytes.fromhex(op.get("hex", ""))) or op.get("size", 1)
    return covers(cause, op["at"], op["at"] + size)


def test_root_causes_name_what_was_changed(mutated):
    """Every mutation of one operation: the cause's check is of the changed document, and where bytes of the evidence
    were changed, its text gives the place."""
    by_name = {case.name: case for case in vectors.cases()}
    wrong = []
    for name, (mutation, verdict) in mutated.items():
        if len(mutation["ops"]) != 1:
            continue
        cause = root_causes.cause_of(verdict)
        if not names_the_change(mutation, cause, by_name[mutation["base"]]):
            wrong.append((name, mutation["ops"], cause))
    assert wrong == []


def test_root_causes_are_one_each(mutated):
    """The failed checks that no other failure explains: what stands first of them is the root cause."""
    for name, (_, verdict) in mutated.items():
        assert verdict["root_cause"]["id"], name
        failed = [check["id"] for check in verdict["checks"] if check["status"] == "fail"]
        assert failed.count(verdict["root_cause"]["id"]) == 1, name
