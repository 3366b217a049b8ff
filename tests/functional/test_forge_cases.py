"""What is kept in tests/data is what the forge makes, and real evidence of public packages is judged as it must be."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ATTESTRY = os.environ.get("ATTESTRY", str(ROOT / "build" / "attestry"))
SAMPLES = pathlib.Path(os.environ.get("ATTESTRY_SAMPLES", str(ROOT / ".cache" / "samples")))


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/*/*"))}


def verdict_of(folder, *flags):
    """Exit code and verdict of `attestry verify` on a case folder at the case's time."""
    about = json.loads((folder / "case.json").read_text())
    command = [ATTESTRY, "verify", str(folder), "--at", about["verify_at"], "--policy", "genuine", "--offline"]
    if "trust_anchor" in about:
        command += ["--trust", str(folder / about["trust_anchor"])]
    if "expected_issuer" in about:
        command += ["--issuer", about["expected_issuer"]]
    done = subprocess.run([*command, "--format", "json", *flags], stdout=subprocess.PIPE, check=False)
    return done.returncode, json.loads(done.stdout), about["expect"]


def agrees(folder):
    code, verdict, expect = verdict_of(folder)
    outcome = expect.get("verdict", "accepted" if expect["result"] == "ok" else "refused")
    assert (verdict["verdict"], code) == (outcome, {"accepted": 0, "refused": 1, "undecided": 3}[outcome]), folder
    if expect["result"] == "fail":
        assert verdict["root_cause"]["id"], folder
        return
    if "tcb_status" in expect:
        assert verdict["tcb"]["status"] == expect["tcb_status"], folder
    if "advisory_ids" in expect:
        assert sorted(verdict["tcb"]["advisory_ids"]) == sorted(expect["advisory_ids"]), folder
    for name, value in expect.get("measurements", {}).items():
        assert str(verdict["claims"][name]) == str(value), (folder, name)


def test_forge_makes_the_test_data_of_this_checkout_byte_for_byte(tmp_path):
    environment = {**os.environ, "ATTESTRY": ATTESTRY}
    subprocess.run([str(ROOT / "tools" / "make_test_data.sh"), str(tmp_path)], check=True, env=environment)
    made = files(tmp_path)
    kept = {name: data for name, data in files(ROOT / "tests" / "data").items() if name.split("/")[0] in ("tdx", "sgx")}
    assert len(made) > 100
    assert sorted(made) == sorted(kept)
    assert [name for name in made if made[name] != kept[name]] == []


@pytest.mark.parametrize("folder", sorted((ROOT / "tests" / "data").glob("*/forged-*")), ids=lambda path: path.name)
def test_forge_data_is_judged_as_stated(folder):
    agrees(folder)


def test_forge_samples_of_public_packages_are_judged_as_stated():
    folders = sorted(path.parent for path in SAMPLES.glob("*/case.json"))
    assert len(folders) >= 4, f"no samples in {SAMPLES}: tools/deps/samples.py brings them"
    for folder in folders:
        agrees(folder)


PLATFORMS = ["snp-milan-v2", "snp-turin-v5", "snp-milan-v5-vlek", "nitro", "maa-sgx", "maa-azurevm-snp"]


@pytest.mark.parametrize("kind", PLATFORMS)
def test_forge_every_fault_of_every_platform_is_judged_as_stated(kind, tmp_path):
    command = [ATTESTRY, "forge", "--kind", kind, "--fault", "all", "--seed", "functional", "--out", str(tmp_path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    cases = sorted(path.parent for path in tmp_path.glob("*/case.json"))
    assert len(cases) >= 30 and (tmp_path / "none") in cases
    for folder in cases:
        agrees(folder)
