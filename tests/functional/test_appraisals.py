"""Stored appraisals from outside: what a server keeps of registrations, what a refusal says about itself, and judging
again on another machine."""

import hashlib
import json
import shutil

import pytest
import vectors
from harness import attestry, request
from workload import Workload

GOOD = next(c for c in vectors.cases() if c.expect["result"] == "ok" and c.name.split("/")[0] == "tdx")


@pytest.fixture
def hello(dev, operator, app):
    operator.make_app(app, dev.mrtd)
    return app


@pytest.fixture
def shell(dev, tmp_path):
    """The command line against the server, in a folder of its own."""
    env = {"ATTESTRY_SERVER": dev.admin, "ATTESTRY_TOKEN_FILE": str(dev.data / "admin.token")}

    def run(*arguments, code=0):
        done = attestry(*arguments, env=env, cwd=tmp_path)
        assert done.code == code, done
        return done

    return run


def released(dev, hello):
    """The appraisal that the log names for a release."""
    assert Workload(dev, hello).send().status == 201
    return next(leaf for leaf in reversed(dev.leaves()) if leaf["type"] == "release")["appraisal"]


def appraisal(dev, id):
    reply = dev.call("GET", f"/v1/appraisals/{id}")
    assert reply.status == 200, reply
    return reply.json()


def test_appraisal_of_a_release_is_the_one_that_its_leaf_names(dev, hello):
    id = released(dev, hello)
    kept = appraisal(dev, id)
    assert kept["origin"] == "release" and kept["app"] == hello
    assert kept["verdict"]["verdict"] == "accepted"
    # The id is the digest of the document, which anybody can compute.
    document = json.dumps(kept["appraisal"], separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    assert hashlib.sha256(document.encode()).hexdigest() == id
    assert kept["leaf_index"] == next(i for i, leaf in enumerate(dev.leaves()) if leaf.get("appraisal") == id)
    row = dev.call("GET", f"/v1/appraisals?app={hello}").json()["appraisals"][0]
    assert (row["id"], row["origin"], row["root_cause"]) == (id, "release", None)


def test_appraisal_of_a_release_replays_byte_for_byte_without_the_server(dev, hello, shell, tmp_path):
    id = released(dev, hello)
    shell("appraisal", "export", id[:12], "--out", "appraisal.json")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(tmp_path / "appraisal.json", elsewhere)
    again = attestry("appraisal", "replay", "appraisal.json", "--format", "json", cwd=elsewhere)
    assert again.code == 0, again
    assert again.json()["same"] is True and again.json()["appraisal"] == id
    # The registration was bound to its request, and so is the replay.
    checks = {check["id"]: check["status"] for check in again.json()["verdict"]["checks"]}
    assert checks["binding.report_data"] == "pass"
    stricter = attestry("appraisal", "replay", "appraisal.json", "--policy", "strict", cwd=elsewhere)
    assert stricter.code in (0, 1) and "another verdict" in stricter.out


def test_appraisal_explains_a_refusal_by_policy(dev, hello, shell):
    workload = Workload(dev, hello)
    body = workload.body(evidence=workload.evidence("tdx-v4", "--mrtd", "11" * 48))
    reply = workload.send(body)
    assert (reply.status, reply.code) == (403, "denied"), reply
    id = reply.json()["appraisal"]
    assert dev.leaves()[-1]["appraisal"] == id
    assert workload.send(body).json()["appraisal"] == id, "the repeated answer names it too"
    assert appraisal(dev, id)["refusal"]["code"] == "denied"
    done = shell("why", id, code=1)
    for part in ("REFUSED", id, "policy.measurement.allowed", "what to do", "refusal stored", hello):
        assert part in done.out, done
    tree = shell("why", id[:8], "--format", "json", code=1).json()
    assert tree["root_cause"]["id"] == "policy.measurement.allowed"
    assert tree["root_cause"]["source"] == {"document": "policy", "field": "identities"}
    assert dev.call("GET", f"/v1/appraisals/{id}/why").json() == tree
    listed = shell("appraisal", "list", "--app", hello, "--cause", "policy.measurement.allowed").out
    assert id[:16] in listed


def test_appraisal_explains_false_evidence_and_evidence_of_another_request(dev, hello, shell):
    workload = Workload(dev, hello)
    evidence = bytearray(workload.evidence())
    evidence[200] ^= 1
    size = len(dev.leaves())
    reply = workload.send(workload.body(evidence=bytes(evidence)))
    assert (reply.status, reply.code) == (422, "evidence-false"), reply
    done = shell("why", reply.json()["appraisal"], code=1)
    assert "dcap.quote.signature" in done.out and "attempt stored" in done.out
    stolen = workload.send(workload.body(evidence=Workload(dev, hello).evidence()))
    assert stolen.status == 422
    assert "binding.report_data" in shell("why", stolen.json()["appraisal"], code=1).out
    assert len(dev.leaves()) == size, "neither is in the log"
    attempts = dev.call("GET", f"/v1/appraisals?origin=attempt&app={hello}").json()["appraisals"]
    assert {row["id"] for row in attempts} == {reply.json()["appraisal"], stolen.json()["appraisal"]}


def test_appraisal_difference_of_two_registrations_is_told_by_component(dev, hello, shell):
    one, two = released(dev, hello), released(dev, hello)
    told = json.loads(shell("appraisal", "diff", one, two, "--format", "json", code=1).out)
    assert set(told["changes"]) <= {"request", "collateral", "checks"}, told
    assert any(change["what"] == "report_data" for change in told["changes"]["request"])
    assert "no difference" in shell("appraisal", "diff", one, one).out


def test_appraisals_are_for_administrators_and_of_one_tenant(dev, hello):
    id = released(dev, hello)
    for path in ("/v1/appraisals", f"/v1/appraisals/{id}", f"/v1/appraisals/{id}/why", f"/v1/appraisals/{id}/export"):
        assert request(dev.admin, "GET", path).status == 401
        assert dev.request("GET", path, headers={"Authorization": f"Bearer {dev.token}"}).status == 404
    assert dev.call("GET", f"/v1/appraisals/{id}?tenant=another").status == 404
    assert dev.call("GET", "/v1/appraisals?tenant=another").json() == {"appraisals": [], "next": None}
    assert dev.call("GET", "/v1/appraisals/0123").status == 400
    assert dev.call("GET", "/v1/appraisals?cursor=zz").status == 400
    assert dev.call("GET", "/v1/appraisals?origin=dream").status == 400


def test_appraisals_come_in_pages(dev, hello):
    made = [released(dev, hello) for _ in range(3)]
    seen, cursor = [], ""
    while cursor is not None:
        page = dev.call("GET", f"/v1/appraisals?app={hello}&limit=1{cursor and '&cursor=' + cursor}").json()
        seen += [row["id"] for row in page["appraisals"]]
        cursor = page["next"]
    assert sorted(seen) == sorted(made)


def test_verification_is_stored_for_administrators_only(dev, hello):
    body = {"evidence": json.loads(Workload(dev, hello).body())["evidence"], "policy": "genuine", "store": True}
    assert dev.request("POST", "/v1/verify", body).status == 401
    assert dev.request("POST", "/v1/verify", body, {"Authorization": "Bearer wrong"}).status == 401
    reply = dev.request("POST", "/v1/verify", body, {"Authorization": f"Bearer {dev.token}"})
    assert reply.status == 200, reply
    kept = appraisal(dev, reply.json()["appraisal"])
    assert kept["origin"] == "verification"
    plain = dev.request("POST", "/v1/verify", {**body, "store": False})
    assert "appraisal" not in plain.json()


def test_appraisal_is_exported_and_imported(dev, hello, shell, tmp_path):
    """From one place to another and back: the same id, whatever way it came."""
    id = released(dev, hello)
    exported = dev.call("GET", f"/v1/appraisals/{id}/export")
    (tmp_path / "a.json").write_bytes(exported.body)
    assert shell("appraisal", "import", "a.json", "--in", "kept").out.strip() == id
    assert id[:16] in shell("appraisal", "list", "--in", "kept").out
    assert "the same verdict" in shell("appraisal", "replay", id[:8], "--in", "kept").out
    shell("appraisal", "export", id, "--in", "kept", "--out", "b.json")
    assert json.loads((tmp_path / "b.json").read_text()) == exported.json()
    typed = {"Content-Type": "application/json"}
    assert dev.call("POST", "/v1/appraisals?tenant=another", exported.body, typed).status == 201
    assert dev.call("GET", f"/v1/appraisals/{id}?tenant=another").json()["origin"] == "import"
    changed = exported.body.replace(b'"stale_seconds":null', b'"stale_seconds":5')
    assert changed != exported.body
    assert dev.call("POST", "/v1/appraisals", changed, typed).status == 400


def test_appraisal_of_another_realm_is_not_taken(dev, shell, tmp_path):
    if not vectors.HAVE_SHARED:
        return
    done = GOOD.verify(None, None, "--appraisal", tmp_path / "real.json")
    assert done.code == 0
    body = (tmp_path / "real.json").read_bytes()
    reply = dev.call("POST", "/v1/appraisals", body, {"Content-Type": "application/json"})
    assert (reply.status, reply.code) == (409, "conflict"), reply


def test_why_takes_evidence_a_verdict_or_an_appraisal(tmp_path):
    bad = GOOD.copy(tmp_path / "bad")
    data = bytearray((bad / "quote.bin").read_bytes())
    data[0] = 9
    (bad / "quote.bin").write_bytes(data)
    kept = GOOD.verify(bad, None, "--appraisal", tmp_path / "a.json", "--store", tmp_path / "kept")
    (tmp_path / "verdict.json").write_text(kept.out)
    flags = ["--at", GOOD.about["verify_at"], "--offline", "--policy", "genuine"]
    flags += [word for file in GOOD.trust_files() for word in ("--trust", str(file))]
    of_evidence = attestry("why", bad, "--format", "json", *flags)
    of_verdict = attestry("why", tmp_path / "verdict.json", "--format", "json")
    of_appraisal = attestry("why", tmp_path / "a.json", "--format", "json")
    id = next(word for word in kept.err.split() if len(word) == 64)
    of_folder = attestry("why", id[:10], "--in", tmp_path / "kept", "--format", "json")
    assert [done.code for done in (of_evidence, of_verdict, of_appraisal, of_folder)] == [1, 1, 1, 1]
    assert of_appraisal.json()["appraisal"] == of_folder.json()["appraisal"] == id
    trees = [{**done.json(), "appraisal": None} for done in (of_evidence, of_verdict, of_appraisal, of_folder)]
    assert trees[0] == trees[1] == trees[2] == trees[3]
    root = trees[0]["root_cause"]
    assert (root["id"], root["actual"], root["detail"]) == ("dcap.quote.version", "9", "bytes 0 to 1")
    assert "dcap.quote.structure" in json.dumps(root["skipped"])
    assert not any("\x1b" in done.out for done in (of_evidence, attestry("why", tmp_path / "a.json")))


def test_why_and_appraisal_say_what_is_wrong_with_what_they_are_given(tmp_path):
    (tmp_path / "half.json").write_text('{"type":"attestry/appraisal-export"')
    (tmp_path / "other.json").write_text('{"a":1}')
    for arguments in (
        ["why", tmp_path / "half.json"],
        ["why", tmp_path / "other.json"],
        ["appraisal", "show", "no-such-thing"],
        ["appraisal", "replay", tmp_path / "other.json"],
        ["appraisal", "list", "--in", tmp_path / "nowhere"],
        ["appraisal", "show", "0123456789", "--in", tmp_path],
    ):
        done = attestry(*arguments)
        assert done.code in (1, 2) and done.out == "" and done.err, done


def test_stored_pieces_are_kept_once(tmp_path):
    kept = tmp_path / "kept"
    assert GOOD.verify(None, None, "--store", kept).code == 0
    pieces = len(list((kept / "blobs").iterdir()))
    assert GOOD.verify(None, None, "--store", kept, policy="default").code in (0, 1)
    assert len(list(kept.glob("*.json"))) == 2
    assert len(list((kept / "blobs").iterdir())) == pieces + 2, "another policy and its verdict"
