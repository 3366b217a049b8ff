"""Google's go-tdx-guest judges what our forge makes, and we judge the real quote that it ships."""

import json
import os
import pathlib
import subprocess

import pytest
from conftest import judge

HERE = pathlib.Path(__file__).resolve().parent

# What go-tdx-guest leaves to its caller or does not look at, so that it takes these faulty cases for good ones.
LAXER = {
    "debug": "TD attributes are judged by its package validate",
    "vendor-id": "the vendor id is judged by its package validate",
    "tcb-info-future": "only the end of the validity is compared",
    "trailing-byte": "kept aside as extra bytes",
}


@pytest.fixture(scope="session")
def answers(cases, go_program):
    """Its answer for every TDX v4 case (it takes no other): fault -> error text, None when accepted."""
    found = judge(go_program, [case for case in cases.values() if case.kind == "tdx-v4"])
    return {fault: error for (_, fault), error in found.items()}


def test_go_tdx_guest_accepts_the_good_case(answers):
    assert answers["none"] is None


def test_go_tdx_guest_refuses_every_fault(cases, answers):
    refused = [fault for fault, error in answers.items() if error is not None]
    assert len(refused) >= 30
    for fault, error in answers.items():
        if fault != "none" and fault not in LAXER:
            assert error is not None, fault


def test_go_tdx_guest_wants_the_latest_tcb_and_says_so(cases, answers):
    for case in cases.values():
        if case.kind == "tdx-v4" and case.expect["result"] == "ok" and case.fault != "none":
            assert "TCB" in answers[case.fault], case


def test_we_judge_the_quote_that_go_tdx_guest_ships_as_intel_does(go_program, tmp_path):
    # A real quote of 2023 whose TDX SVN is below every level of the TCB info of its time.
    sample = tmp_path / "sample"
    subprocess.run([*go_program, "sample", "tdx", str(sample)], check=True)
    program = os.environ.get("ATTESTRY", str(HERE.parents[1] / "build" / "attestry"))
    command = [program, "verify", str(sample / "quote.bin"), "--collateral", str(sample / "collateral.json")]
    command += ["--at", "2023-06-28T08:03:58Z", "--offline", "--format", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    verdict = json.loads(done.stdout)
    assert done.returncode == 1 and verdict["verdict"] == "refused" and verdict["simulated"] is False
    assert verdict["root_cause"]["id"] == "dcap.tcb.level"
    failed = {check["id"] for check in verdict["checks"] if check["status"] == "fail"}
    assert not [check for check in failed if "signature" in check or "chain" in check or "root" in check]
