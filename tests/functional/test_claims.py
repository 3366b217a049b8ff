"""The dictionary of claims and the page that is made from it."""

from harness import ROOT, attestry

INTRODUCTION = (
    "# Claims\n\nWhat a verdict can say of each platform, and a policy ask for. "
    "Made by `attestry claims --format markdown`.\n"
)


def test_claims_page_is_what_the_program_says():
    made = INTRODUCTION + attestry("claims", "--format", "markdown").out
    page = ROOT / "docs/reference/claims.md"
    assert page.read_text() == made, "run: attestry claims --format markdown, below the introduction"


def test_claims_of_one_platform():
    claims = attestry("claims", "--platform", "tdx", "--format", "json").json()["claims"]
    names = {claim["name"] for claim in claims}
    assert "mrtd" in names and "mrenclave" not in names
    assert next(c for c in claims if c["name"] == "mrtd")["identifies"]


def test_claims_of_an_unknown_platform_is_wrong_use():
    answer = attestry("claims", "--platform", "tpx")
    assert answer.code == 2
    assert "tdx" in answer.err
