"""The dictionary of claims and the page that is made from it."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INTRODUCTION = "# Claims\n\nWhat a verdict can say of each platform, and a policy ask for. Made by `attestry claims --format markdown`.\n"


def attestry(program, *arguments):
    return subprocess.run([program, "claims", *arguments], capture_output=True, text=True, check=False)


def test_the_page_is_what_the_program_says(program):
    made = INTRODUCTION + attestry(program, "--format", "markdown").stdout
    page = ROOT / "docs/reference/claims.md"
    assert page.read_text() == made, "run: attestry claims --format markdown, below the introduction"


def test_one_platform(program):
    claims = json.loads(attestry(program, "--platform", "tdx", "--format", "json").stdout)["claims"]
    names = {claim["name"] for claim in claims}
    assert "mrtd" in names and "mrenclave" not in names
    assert next(c for c in claims if c["name"] == "mrtd")["identifies"]


def test_an_unknown_platform_is_wrong_use(program):
    answer = attestry(program, "--platform", "tpx")
    assert answer.returncode == 2
    assert "tdx" in answer.stderr
