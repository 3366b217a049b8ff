"""Forged cases for the interop tests: every kind, good and with every fault, made by `attestry forge`."""

import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ATTESTRY = os.environ.get("ATTESTRY", str(ROOT / "build" / "attestry"))
# How servers are run is known to the functional tests.
sys.path.insert(0, str(ROOT / "tests" / "functional"))
KINDS = ["sgx-v3", "sgx-v4", "sgx-v5", "tdx-v4", "tdx-v5-td10", "tdx-v5", "tdx-v5-td15ex"]
AT = "2026-11-21T11:43:52Z"


class Case:
    def __init__(self, folder):
        self.folder = folder
        self.kind, self.fault = folder.parts[-2:]
        self.about = json.loads((folder / "case.json").read_text())
        self.expect = self.about["expect"]

    def read(self, name):
        return (self.folder / name).read_bytes()

    def __repr__(self):
        return f"{self.kind}/{self.fault}"


HERE = pathlib.Path(__file__).resolve().parent


def forge(kinds, out):
    """All cases of these kinds by (kind, fault)."""
    for kind in kinds:
        command = [ATTESTRY, "forge", "--kind", kind, "--fault", "all", "--seed", "interop", "--at", AT]
        subprocess.run([*command, "--out", str(out / kind)], check=True, stdout=subprocess.DEVNULL)
    found = [Case(path.parent) for path in sorted(out.glob("*/*/case.json"))]
    return {(case.kind, case.fault): case for case in found}


def judge(program, cases):
    """What a program of ours around somebody's library says of each case: error text, None when accepted."""
    command = [*program, "verify", *[str(case.folder) for case in cases]]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    by_folder = {line["case"]: line for line in map(json.loads, lines)}
    found = {(case.kind, case.fault): by_folder[str(case.folder)] for case in cases}
    return {key: None if line["ok"] else line["error"] for key, line in found.items()}


def attestry(*arguments):
    """Exit code and verdict of our own program."""
    command = [ATTESTRY, "verify", "--offline", "--format", "json", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="session")
def crates():
    """Where the sources of the crates of ./rust lie, by name: their tests have real evidence."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    done = subprocess.run(command, cwd=HERE / "rust", check=True, stdout=subprocess.PIPE)
    packages = json.loads(done.stdout)["packages"]
    return {package["name"]: pathlib.Path(package["manifest_path"]).parent for package in packages}


@pytest.fixture(scope="session")
def cases(tmp_path_factory):
    """All DCAP cases by (kind, fault)."""
    return forge(KINDS, tmp_path_factory.mktemp("forged"))


@pytest.fixture(scope="session")
def go_program(tmp_path_factory):
    """The Go program of ./go, built once."""
    go = shutil.which("go")
    assert go, "go is not in PATH; make interop brings it"
    program = tmp_path_factory.mktemp("go") / "interop"
    subprocess.run([go, "build", "-o", str(program), "."], cwd=HERE / "go", check=True)
    return [str(program)]


@pytest.fixture(scope="session")
def rust_program():
    """The Rust program of ./rust, built once; its objects are kept for the next run."""
    cargo = shutil.which("cargo")
    assert cargo, "cargo is not in PATH; make interop brings it"
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", str(ROOT / "build" / "interop-rust")))
    command = [cargo, "build", "--release", "--locked", "--quiet", "--target-dir", str(target)]
    subprocess.run(command, cwd=HERE / "rust", check=True)
    return [str(target / "release" / "interop"), str(int(datetime.datetime.fromisoformat(AT).timestamp()))]
