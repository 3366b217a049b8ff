"""Forged cases for the interop tests: every quote kind, good and with every fault, made by `attestry forge`."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ATTESTRY = os.environ.get("ATTESTRY", str(ROOT / "build" / "attestry"))
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


@pytest.fixture(scope="session")
def cases(tmp_path_factory):
    """All cases by (kind, fault)."""
    out = tmp_path_factory.mktemp("forged")
    for kind in KINDS:
        command = [ATTESTRY, "forge", "--kind", kind, "--fault", "all", "--seed", "interop", "--at", AT]
        subprocess.run([*command, "--out", str(out / kind)], check=True, stdout=subprocess.DEVNULL)
    found = [Case(path.parent) for path in sorted(out.glob("*/*/case.json"))]
    return {(case.kind, case.fault): case for case in found}
