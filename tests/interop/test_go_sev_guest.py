"""Google's go-sev-guest judges what our forge makes, and we judge the real report that it ships."""

import json
import os
import pathlib
import subprocess

import pytest
from conftest import forge, judge

HERE = pathlib.Path(__file__).resolve().parent

# It refuses every report of Turin (v0.15.0).
KINDS = [
    f"snp-{product}-{version}{key}"
    for product in ("milan", "genoa")
    for version in ("v2", "v3", "v5")
    for key in ("", "-vlek")
]

# What its package verify leaves to package validate or to the caller, or does not look at; we refuse all of it.
LAXER = {
    "crl-early": "only the list's signature is checked, not its times",
    "crl-expired": "only the list's signature is checked, not its times",
    "crl-foreign": "the list's issuer name is not compared",
    "crl-other": "the list's issuer name is not compared",
    "debug": "guest policy is judged by its package validate",
    "hwid": "chip id is judged by its package validate",
    "hwid-like-integer": "chip id is judged by its package validate",
    "hwid-like-octets": "chip id is judged by its package validate",
    "masked-chip": "chip id is judged by its package validate",
    "masked-key": "not looked at",
    "migrate": "guest policy is judged by its package validate",
    "product-name": "ignored when the report names its processor",
    "tcb-boot-loader": "TCB against the certificate is judged by its package validate",
    "tcb-higher": "TCB against the certificate is judged by its package validate",
    "tcb-layout": "TCB against the certificate is judged by its package validate",
    "tcb-microcode": "TCB against the certificate is judged by its package validate",
    "tcb-snp": "TCB against the certificate is judged by its package validate",
    "tcb-tee": "TCB against the certificate is judged by its package validate",
    "trailing-byte": "anything behind the report is ignored",
    "vek-extension": "unknown extensions of AMD's arc are ignored",
    "version-4": "taken for a version 3",
    "vmpl-1": "VMPL is judged by its package validate",
    "vmpl-4": "VMPL is judged by its package validate",
    "vmpl-host": "VMPL is judged by its package validate",
}
# The program does not ask about revocation for a VLEK, because v0.15.0 panics then.
LAXER_VLEK = {"crl-by-ask", "crl-changed", "crl-garbage", "crl-revokes"}


@pytest.fixture(scope="module")
def snp_cases(tmp_path_factory):
    return forge(KINDS, tmp_path_factory.mktemp("snp"))


@pytest.fixture(scope="module")
def answers(snp_cases, go_program):
    return judge(go_program, list(snp_cases.values()))


@pytest.mark.parametrize("kind", KINDS)
def test_go_sev_guest_accepts_the_good_case(answers, kind):
    assert answers[(kind, "none")] is None


@pytest.mark.parametrize("kind", KINDS)
def test_go_sev_guest_refuses_what_is_forged_wrongly(snp_cases, answers, kind):
    lax = LAXER.keys() | (LAXER_VLEK if kind.endswith("-vlek") else set())
    wrong = {fault for (k, fault), case in snp_cases.items() if k == kind and case.expect["result"] != "ok"}
    assert len(wrong - lax) >= 20
    for fault in wrong - lax:
        assert answers[(kind, fault)] is not None, fault


def test_we_judge_the_report_that_go_sev_guest_ships(go_program, tmp_path):
    # A real report of 2022, of a guest whose policy allows debugging; no revocation list is shipped with it.
    sample = tmp_path / "sample"
    subprocess.run([*go_program, "sample", "snp", str(sample)], check=True)
    program = os.environ.get("ATTESTRY", str(HERE.parents[1] / "build" / "attestry"))
    command = [program, "verify", str(sample), "--at", "2022-10-24T00:55:28Z", "--offline", "--format", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    verdict = json.loads(done.stdout)
    assert done.returncode == 1 and verdict["evidence"] == "genuine" and verdict["simulated"] is False
    assert verdict["root_cause"]["id"] == "policy.debug"
