"""/v1/verify: expected report data, and event logs beside the evidence."""

import base64
import json

import pytest
from harness import attestry
from workload import b64u, forge

DATA = bytes(range(64))


def verify(dev, evidence, **more):
    return dev.request("POST", "/v1/verify", {"evidence": b64u(evidence), **more})


def failed(reply):
    assert reply.status == 200, reply
    return {check["id"]: check for check in reply.json()["checks"] if check["status"] == "fail"}


@pytest.fixture(scope="module")
def logged(dev, tmp_path_factory):
    """A quote and its log, by the simulated TEE of the server."""
    folder = tmp_path_factory.mktemp("logged") / "case"
    done = attestry("forge", "--seed", dev.seed, "--kind", "tdx-v4", "--out", folder, "--event-log")
    assert done.code == 0, done
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files["quote.bin"], next(content for name, content in files.items() if "ccel" in name)


def test_verify_http_report_data_is_compared(dev):
    quote = forge(dev.seed, DATA)
    assert verify(dev, quote, report_data=DATA.hex()).json()["verdict"] == "accepted"
    assert "policy.report_data" in failed(verify(dev, quote, report_data=DATA[:-1].hex()))
    assert verify(dev, quote, report_data="0").status == 400
    assert verify(dev, quote, report_data=None).status == 400


def test_verify_http_empty_report_data_asks_for_zeros_and_not_for_anything(dev):
    assert "policy.report_data" in failed(verify(dev, forge(dev.seed, DATA), report_data=""))
    reply = verify(dev, forge(dev.seed, bytes(64)), report_data="")
    assert reply.json()["verdict"] == "accepted"
    checks = {check["id"]: check["status"] for check in reply.json()["checks"]}
    assert checks["policy.report_data"] == "pass"
    left_out = verify(dev, forge(dev.seed, DATA)).json()
    assert left_out["verdict"] == "accepted"
    assert "policy.report_data" not in {check["id"] for check in left_out["checks"]}


def test_verify_http_event_log_leads_to_the_quote(dev, logged):
    quote, log = logged
    policy = {"format": 1, "require": {"event_log": True}}
    without = verify(dev, quote, policy=policy)
    assert without.json()["verdict"] == "undecided" and "policy.event_log" in failed(without)
    reply = verify(dev, quote, policy=policy, event_logs=[b64u(log)])
    assert reply.json()["verdict"] == "accepted", reply.json()["root_cause"]
    assert reply.json()["claims"]["eventlog.registers"] == "rtmr0 rtmr1 rtmr2"
    cut = log[: len(log.rstrip(b"\xff")) - 1]
    assert verify(dev, quote, policy=policy, event_logs=[b64u(cut)]).json()["verdict"] == "refused"
    assert verify(dev, quote, policy=policy, event_logs=[]).json()["verdict"] == "undecided"


def test_verify_http_event_logs_are_one_of_a_kind(dev, logged):
    quote, log = logged
    assert verify(dev, quote, event_logs=[b64u(log)] * 2).status == 400
    assert verify(dev, quote, event_logs=[b64u(log)] * 3).status == 400
    assert verify(dev, quote, event_logs=b64u(log)).status == 400
    assert verify(dev, quote, event_logs=[7]).status == 400
    assert verify(dev, quote, event_logs=["*"]).status == 400
    # One of each kind is taken, and each is judged.
    reply = verify(dev, quote, event_logs=[b64u(log), b64u(b"[]")])
    assert reply.status == 200
    assert reply.json()["verdict"] == "refused", "a log of no events leads nowhere"


def test_verify_http_a_stored_appraisal_keeps_the_log_and_the_empty_report_data(dev, logged, tmp_path):
    quote, log = logged
    body = {"evidence": b64u(quote), "event_logs": [b64u(log)], "report_data": "", "store": True}
    reply = dev.request("POST", "/v1/verify", body, {"Authorization": f"Bearer {dev.token}"})
    assert reply.status == 200, reply
    exported = dev.call("GET", f"/v1/appraisals/{reply.json()['appraisal']}/export")
    (tmp_path / "appraisal.json").write_text(exported.text)
    assert exported.json()["appraisal"]["report_data"] == ""
    replayed = attestry("appraisal", "replay", tmp_path / "appraisal.json", "--format", "json")
    assert json.loads(replayed.out)["same"] is True, replayed
    assert base64.urlsafe_b64encode(log).decode().rstrip("=") in exported.json()["blobs"].values()
