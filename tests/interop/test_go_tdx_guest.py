"""Google's go-tdx-guest judges what our forge makes, and we judge the real quote that it ships."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent

# What go-tdx-guest leaves to its caller or does not look at, so that it takes these faulty cases for good ones.
LAXER = {
    "debug": "TD attributes are judged by its package validate",
    "vendor-id": "the vendor id is judged by its package validate",
    "tcb-info-future": "only the end of the validity is compared",
    "trailing-byte": "kept aside as extra bytes",
}


@pytest.fixture(scope="session")
def interop(tmp_path_factory):
    """The Go program of ./go, built once."""
    go = shutil.which("go")
    assert go, "go is not in PATH; make interop brings it"
    program = tmp_path_factory.mktemp("go") / "interop"
    subprocess.run([go, "build", "-o", str(program), "."], cwd=HERE / "go", check=True)
    return str(program)


@pytest.fixture(scope="session")
def answers(cases, interop):
    """Its answer for every TDX v4 case (it takes no other): fault -> error text, None when accepted."""
    mine = [case for case in cases.values() if case.kind == "tdx-v4"]
    command = [interop, "verify", *[str(case.folder) for case in mine]]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    by_folder = {line["case"]: line for line in map(json.loads, lines)}
    return {case.fault: None if (line := by_folder[str(case.folder)])["ok"] else line["error"] for case in mine}


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


def test_we_judge_the_quote_that_go_tdx_guest_ships_as_intel_does(interop, tmp_path):
    # A real quote of 2023 whose TDX SVN is below every level of the TCB info of its time.
    sample = tmp_path / "sample"
    subprocess.run([interop, "sample", str(sample)], check=True)
    program = os.environ.get("ATTESTRY", str(HERE.parents[1] / "build" / "attestry"))
    command = [program, "verify", str(sample / "quote.bin"), "--collateral", str(sample / "collateral.json")]
    command += ["--at", "2023-06-28T08:03:58Z", "--offline", "--format", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    verdict = json.loads(done.stdout)
    assert done.returncode == 1 and verdict["verdict"] == "refused" and verdict["simulated"] is False
    assert verdict["root_cause"]["id"] == "dcap.tcb.level"
    failed = {check["id"] for check in verdict["checks"] if check["status"] == "fail"}
    assert not [check for check in failed if "signature" in check or "chain" in check or "root" in check]
