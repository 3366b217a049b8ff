"""Registrations bring the event logs of their boot, for policies that ask what was booted."""

import json
import pathlib
import tempfile

import pytest
from harness import attestry
from transparency import Receipt
from workload import Workload, b64u, unb64u

POLICY = {"format": 1, "name": "booted", "require": {"event_log": True}}
CCEL, DSTACK = "ccel.bin", "eventlog.json"


def forge_boot(seed, report_data=bytes(64), *more):
    """The quote of a TD whose registers are those of a logged boot, and its logs by file name."""
    with tempfile.TemporaryDirectory() as folder:
        done = attestry(
            "forge", "--seed", seed, "--event-log", "--report-data", report_data.hex(), "--out", folder, *more
        )
        assert done.code == 0, done
        files = {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}
        return files["quote.bin"], {name: files[name] for name in (CCEL, DSTACK)}


@pytest.fixture(scope="module")
def logs(dev):
    return forge_boot(dev.seed)[1]


@pytest.fixture
def booted(dev, operator, app):
    operator.make_app(app, dev.mrtd, policy=POLICY)
    return app


def body(workload, *logs, boot=(), **changes):
    quote, _ = forge_boot(workload.server.seed, workload.binding, *boot)
    said = {"event_logs": [b64u(log) for log in logs]} if logs else {}
    return workload.body(evidence=quote, **said, **changes)


def refused(reply, status, code, check):
    assert (reply.status, reply.code) == (status, code), reply
    assert "sealed" not in reply.text
    assert check in {found["id"] for found in reply.json()["checks"] if found["status"] == "fail"}
    return reply


def root_cause(dev, reply):
    """As the stored appraisal says it, which replays byte for byte, here and from its export."""
    kept = dev.call("GET", f"/v1/appraisals/{reply.json()['appraisal']}")
    assert kept.status == 200, kept
    return kept.json()["verdict"]["root_cause"]["id"]


def replayed(dev, appraisal, tmp_path):
    exported = dev.call("GET", f"/v1/appraisals/{appraisal}/export")
    assert exported.status == 200, exported
    (tmp_path / "appraisal.json").write_text(exported.text)
    done = attestry("appraisal", "replay", tmp_path / "appraisal.json", "--format", "json")
    assert json.loads(done.out)["same"] is True, done
    return exported.json()


def test_registration_event_log_that_the_policy_asks_for_is_missing(dev, booted):
    workload = Workload(dev, booted)
    reply = refused(workload.send(body(workload)), 403, "denied", "policy.event_log")
    assert root_cause(dev, reply) == "policy.event_log"
    # An empty list brings none.
    again = Workload(dev, booted)
    refused(again.send(body(again, event_logs=[])), 403, "denied", "policy.event_log")


def test_registration_event_log_leads_to_the_quote(dev, booted, logs, tmp_path):
    workload = Workload(dev, booted)
    reply = workload.send(body(workload, logs[CCEL]))
    assert reply.status == 201, reply
    assert workload.open(reply)["app"] == booted
    appraisal = Receipt(reply.json()["receipt"], dev.log_key).leaf["appraisal"]
    exported = replayed(dev, appraisal, tmp_path)
    (kept,) = exported["appraisal"]["supplements"]
    assert unb64u(exported["blobs"][kept["sha256"]]) == logs[CCEL]


def test_registration_event_log_of_another_boot_is_refused(dev, booted, logs, tmp_path):
    workload = Workload(dev, booted)
    sent = body(workload, logs[CCEL], boot=("--event-log-fault", "other-boot"))
    reply = refused(workload.send(sent), 422, "evidence-false", "eventlog.replay")
    assert root_cause(dev, reply) == "eventlog.replay"
    replayed(dev, reply.json()["appraisal"], tmp_path)
    # False evidence costs nothing: the log of this boot under the same nonce lets the workload in.
    assert workload.send(body(workload, logs[CCEL])).status == 201


def test_registration_event_log_is_judged_when_no_policy_asks(dev, operator, app, logs):
    operator.make_app(app, dev.mrtd)
    workload = Workload(dev, app)
    sent = body(workload, logs[CCEL], boot=("--event-log-fault", "other-boot"))
    refused(workload.send(sent), 422, "evidence-false", "eventlog.replay")
    assert workload.send(body(workload, logs[CCEL], logs[DSTACK])).status == 201


def test_registration_conditions_hold_on_what_the_log_says(dev, operator, app, logs):
    says = attestry("eventlog", "show", "-", "--format", "json", stdin=logs[DSTACK])
    assert says.code == 0, says
    compose = json.loads(says.out)["facts"]["eventlog.compose_hash"]
    condition = {"claim": "eventlog.compose_hash", "equals": compose}
    operator.make_app(app, dev.mrtd, policy={"format": 1, "name": "composed", "conditions": [condition]})
    workload = Workload(dev, app)
    assert workload.send(body(workload, logs[DSTACK])).status == 201
    other = Workload(dev, app)
    assert other.send(body(other)).status == 403


def test_registration_event_logs_belong_to_the_body_under_its_nonce(dev, booted, logs):
    workload = Workload(dev, booted)
    sent = body(workload, logs[CCEL])
    first = workload.send(sent)
    again = workload.send(sent)
    assert (first.status, again.status) == (201, 201), first
    assert again.json()["sealed"] == first.json()["sealed"]
    for other in (body(workload), body(workload, logs[DSTACK]), body(workload, logs[CCEL], logs[DSTACK])):
        reply = workload.send(other)
        assert (reply.status, reply.code) == (409, "replayed"), reply


def test_registration_event_logs_are_one_of_a_kind(dev, booted, logs):
    workload = Workload(dev, booted)
    log = b64u(logs[CCEL])
    for wrong in ([log] * 2, [log] * 3, log, None, {}, [7], [None], ["*"], [log + "="], [[log]]):
        reply = workload.send(workload.body(evidence=b"x", event_logs=wrong))
        assert (reply.status, reply.code) == (400, "malformed"), (str(wrong)[:20], reply)
    reply = workload.send(workload.body(evidence=b"x", event_logs=[b64u(bytes((4 << 20) + 1))]))
    assert reply.status == 413, reply
    # The nonce is still good, and a log far beyond the size of other requests is taken.
    padded = logs[CCEL] + b"\xff" * ((4 << 20) - len(logs[CCEL]))
    assert workload.send(body(workload, padded)).status == 201


def test_instance_command_sends_the_logs_of_its_boot(dev, booted, logs, tmp_path):
    for name, content in logs.items():
        (tmp_path / name).write_bytes(content)
    instance = ["instance", "--server", dev.public, "--trust", dev.trust_file, "--app", booted.removeprefix("name:")]
    instance += ["--simulated-tee", dev.data / "forge.seed"]
    none = attestry(*instance)
    assert none.code == 1 and "policy.event_log" in none.err, none
    # The simulated TD that measures its boot sends its logs itself; a log from elsewhere does not make up for one.
    assert attestry(*instance, "--simulated-boot").code == 0
    assert attestry(*instance, "--simulated-boot", "--event-log", tmp_path / CCEL).code == 0
    wrong = attestry(*instance, "--event-log", tmp_path / CCEL)
    assert wrong.code == 1 and "eventlog.replay" in wrong.err, wrong
    twice = attestry(*instance, "--event-log", tmp_path / CCEL, "--event-log", tmp_path / CCEL)
    assert twice.code == 2 and "--event-log" in twice.err, twice
    assert attestry(*instance, "--simulated-boot", "--kind", "sgx-v3").code == 2
