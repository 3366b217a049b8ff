"""`attestry verify` over every case of every platform, and what it does with input that nobody should send it."""

import json
import os
import shutil

import pytest
import vectors
from harness import attestry

CASES = vectors.cases()
GOOD = next(case for case in CASES if case.expect["result"] == "ok" and case.name.startswith("tdx"))
EVERY = int(os.environ.get("TEST_MUTATIONS_EVERY", "1"))


def mutations():
    if vectors.HAVE_SHARED:
        listed = json.loads((vectors.SHARED / "mutations.json").read_text())["mutations"]
        return [m for m in listed if m["base"].startswith(tuple(vectors.SETS))][::EVERY]
    size = (GOOD.folder / "quote.bin").stat().st_size
    flips = [{"op": "xor", "at": at, "hex": "01"} for at in range(0, 600, 45)]
    cuts = [{"op": "truncate", "size": at} for at in (0, 47, 600, 700, size - 1)]
    return [
        {"id": json.dumps(op), "base": GOOD.name, "expect": {"result": "fail"}, "ops": [{**op, "file": "quote.bin"}]}
        for op in [*flips, *cuts]
    ]


def test_verify_there_are_cases_of_every_platform():
    assert len(CASES) >= (264 if vectors.HAVE_SHARED else 30)
    for platform in vectors.PLATFORMS if vectors.HAVE_SHARED else ("tdx", "sgx"):
        for result in ("ok", "fail"):
            assert any(platform in case.name and case.expect["result"] == result for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verify_case(case, tmp_path):
    why = vectors.disagreement(case.expect, case.verify(case.copy(tmp_path / "case")))
    if why and "choice" in str(case.expect.get("strictness", case.about.get("strictness", ""))):
        return  # another answer is defensible; docs/reference says which is ours and why
    assert why is None


@pytest.mark.parametrize("mutation", mutations(), ids=lambda m: f"{m['id']} on {m['base']}")
def test_verify_mutation(mutation, tmp_path):
    case = next(case for case in CASES if case.name == mutation["base"])
    folder = case.copy(tmp_path / "case")
    at = vectors.mutate(folder, mutation["ops"], vectors.SHARED)
    assert vectors.disagreement(mutation["expect"], case.verify(folder, at)) is None


def test_verify_says_everything_that_the_format_promises(tmp_path):
    verdict = GOOD.verify().json()
    assert set(verdict) >= {
        "format", "catalogue", "at", "evidence_sha256", "anchors_sha256", "verdict", "evidence", "platform",
        "simulated", "root_cause", "tcb", "claims", "checks", "collateral", "valid_until",
    }  # fmt: skip
    assert set(verdict["tcb"]) >= {"status", "advisory_ids", "date", "evaluation_number"}
    for check in verdict["checks"]:
        assert set(check) >= {"id", "status"}
        assert check["status"] in ("pass", "fail", "skipped")
    for item in verdict["collateral"]:
        assert set(item) >= {"kind", "sha256", "issued", "expires"}


def test_verify_same_input_same_bytes():
    assert GOOD.verify().out == GOOD.verify().out


def test_verify_file_and_standard_input_are_judged_alike(tmp_path):
    quote = GOOD.folder / "quote.bin"
    more = ["--collateral", GOOD.folder / "collateral.json", "--at", GOOD.about["verify_at"], "--offline"]
    for file in GOOD.trust_files():
        more += ["--trust", file]
    from_file = attestry("verify", quote, *more, "--format", "json")
    from_stdin = attestry("verify", "-", *more, "--format", "json", stdin=quote.read_bytes())
    assert from_file.code == from_stdin.code == 0, (from_file, from_stdin)
    assert from_file.out == from_stdin.out
    assert from_file.json()["claims"] == GOOD.verify().json()["claims"]


def test_verify_text_says_the_verdict_first_and_failed_checks_before_passed_ones(tmp_path):
    folder = GOOD.copy(tmp_path / "case")
    quote = bytearray((folder / "quote.bin").read_bytes())
    quote[100] ^= 1
    (folder / "quote.bin").write_bytes(bytes(quote))
    done = GOOD.verify(folder, format="text")
    assert done.code == 1, done
    assert done.out.startswith("REFUSED")
    assert "dcap.quote.signature" in done.out[: done.out.index("Passed checks")]
    assert done.out.index("\nFailed check") < done.out.index("\nPassed checks")
    assert "\x1b" not in done.out


def test_verify_without_collateral_is_undecided(tmp_path):
    shutil.copy(GOOD.folder / "quote.bin", tmp_path / "quote.bin")
    done = attestry("verify", tmp_path / "quote.bin", "--offline", "--format", "json")
    assert done.code in (1, 3), done
    if not GOOD.trust_files():
        assert (done.code, done.json()["verdict"]) == (3, "undecided")


GARBAGE = {
    "empty": b"",
    "one byte": b"\x04",
    "text": b"hello\n",
    "zeros": bytes(5000),
    "ones": b"\xff" * 5000,
    "JSON": b'{"quote":1}',
    "header only": b"\4\0\2\0\x81\0\0\0" + bytes(40),
    "a megabyte": bytes(range(256)) * 4096,
}


@pytest.mark.parametrize("what", GARBAGE)
def test_verify_malformed_evidence_is_a_failed_check(what):
    done = attestry("verify", "-", "--offline", "--format", "json", stdin=GARBAGE[what])
    assert done.code == 1, done
    verdict = done.json()
    assert (verdict["verdict"], verdict["evidence"]) == ("refused", "false")
    assert verdict["root_cause"]["id"]


UNREADABLE = [b"", b"{", b"[]", b"null", b'{"tcb_info":1}', b"\xff\xfe", b'{"a":1,"a":2}']


@pytest.mark.parametrize("content", UNREADABLE, ids=repr)
def test_verify_unreadable_collateral_is_a_failed_check_not_an_error(tmp_path, content):
    folder = GOOD.copy(tmp_path / "case")
    (folder / "collateral.json").write_bytes(content)
    done = GOOD.verify(folder)
    assert done.code in (1, 3), done
    assert done.json()["root_cause"]["id"]


@pytest.mark.parametrize("name", ["tcb_info", "qe_identity", "root_ca_crl", "pck_crl", "tcb_info_signature"])
def test_verify_collateral_with_one_item_gone_or_broken_is_not_accepted(tmp_path, name):
    folder = GOOD.copy(tmp_path / "case")
    document = json.loads((folder / "collateral.json").read_text())
    for value in ("", "00", None):
        changed = {k: v for k, v in document.items() if k != name} if value is None else {**document, name: value}
        (folder / "collateral.json").write_text(json.dumps(changed))
        done = GOOD.verify(folder)
        assert done.code in (1, 3), (value, done)
        assert done.json()["root_cause"]["id"], value


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "/does/not/exist"],
        ["verify", "-", "--policy", "lenient"],
        ["verify", "-", "--at", "yesterday"],
        ["verify", "-", "--report-data", "xyz"],
        ["verify", "-", "--format", "xml"],
        ["verify", "-", "--trust", "/does/not/exist"],
        ["verify", "-", "--surprise"],
        ["verifi", "-"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_verify_wrong_use_is_exit_2_with_an_explanation(arguments):
    done = attestry(*arguments)
    assert done.code == 2, done
    assert done.err.strip()
    assert "Traceback" not in done.err


def test_verify_report_data_must_be_as_asked():
    data = GOOD.verify().json()["claims"]["report_data"]
    assert GOOD.verify(None, None, "--report-data", data).code == 0
    other = data[:-1] + ("1" if data[-1] == "0" else "0")
    done = GOOD.verify(None, None, "--report-data", other)
    assert done.code == 1, done
    assert done.json()["root_cause"]["id"] == "policy.report_data"


def test_verify_own_policy_file(tmp_path):
    mrtd = GOOD.verify().json()["claims"]["mrtd"]
    policy = tmp_path / "policy.json"
    for wanted, code in ((mrtd, 0), ("ab" * 48, 1)):
        claims = {"name": "it", "claims": {"mrtd": [wanted]}}
        policy.write_text(json.dumps({"format": 1, "name": "mine", "identities": [claims]}))
        done = GOOD.verify(policy=policy)
        assert done.code == code, done
