"""Who must not get anything: replays, foreign nonces, evidence made for something else, policy refusals."""

import hmac
import json

import pytest
from operators import Operator
from transparency import Receipt, verify_log
from workload import Workload, b64u, binding, forge, lp, measurement, new_nonce, unb64u


@pytest.fixture
def hello(dev, operator, app):
    operator.make_app(app, dev.mrtd)
    return app


def failed_checks(reply):
    return [check["id"] for check in reply.json().get("checks", []) if check["status"] == "fail"]


def refused(reply, status, code):
    assert (reply.status, reply.code) == (status, code), reply
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert "sealed" not in reply.text
    return reply


def test_registration_replay_of_the_same_body_gives_the_same_reply(dev, hello):
    workload = Workload(dev, hello)
    body = workload.body()
    first = workload.send(body)
    size = len(dev.leaves())
    again = workload.send(body)
    assert (first.status, again.status) == (201, 201)
    assert again.json()["sealed"] == first.json()["sealed"]
    receipts = [Receipt(reply.json()["receipt"], dev.log_key) for reply in (first, again)]
    assert receipts[0].leaf_bytes == receipts[1].leaf_bytes
    assert receipts[0].index == receipts[1].index
    assert len(dev.leaves()) == size


def test_registration_same_nonce_with_another_body_is_409(dev, hello):
    first = Workload(dev, hello)
    assert first.send().status == 201
    second = Workload(dev, hello, nonce=first.nonce)
    refused(second.send(), 409, "replayed")


def test_registration_same_body_with_other_white_space_is_another_body(dev, hello):
    workload = Workload(dev, hello)
    body = workload.body()
    assert workload.send(body).status == 201
    refused(workload.send(body + "\n"), 409, "replayed")


def test_registration_nonce_of_another_server_is_refused(dev, hello, servers):
    other = servers.dev()
    reply = Workload(dev, hello, nonce=new_nonce(other)).send()
    refused(reply, 403, "denied")


@pytest.mark.parametrize("place", [1, 8, 9, 20, 25, 26, 41], ids=lambda place: f"byte {place}")
def test_registration_altered_nonce_is_refused(dev, hello, place):
    nonce = bytearray(new_nonce(dev))
    nonce[place] ^= 1
    size = len(dev.leaves())
    refused(Workload(dev, hello, nonce=bytes(nonce)).send(), 403, "denied")
    assert len(dev.leaves()) == size


def test_registration_nonce_of_another_purpose_is_refused(dev, hello):
    refused(Workload(dev, hello, nonce=new_nonce(dev, purpose=2)).send(), 403, "denied")


@pytest.mark.parametrize("size", [0, 41, 43])
def test_registration_nonce_of_another_size_is_malformed(dev, hello, size):
    workload = Workload(dev, hello)
    refused(workload.send(workload.body(nonce=b64u(bytes(size)), evidence=b"x")), 400, "malformed")


WRONG_BINDINGS = {
    "another app": lambda w: binding(w.audience, w.nonce, w.tenant, "name:other", w.spki, w.recipient),
    "another tenant": lambda w: binding(w.audience, w.nonce, "other", w.app, w.spki, w.recipient),
    "another nonce": lambda w: binding(w.audience, new_nonce(w.server), w.tenant, w.app, w.spki, w.recipient),
    "another key": lambda w: binding(w.audience, w.nonce, w.tenant, w.app, Workload(w.server, w.app).spki, w.recipient),
    "another recipient": lambda w: binding(w.audience, w.nonce, w.tenant, w.app, w.spki, b"\0\x20" + bytes(32)),
    "another audience": lambda w: binding("attestry.local/other", w.nonce, w.tenant, w.app, w.spki, w.recipient),
    "another purpose": lambda w: binding(w.audience, w.nonce, w.tenant, w.app, w.spki, w.recipient, purpose=2),
    "nothing": lambda w: bytes(64),
    "its first half only": lambda w: w.binding[:32] + bytes(32),
}


@pytest.mark.parametrize("what", WRONG_BINDINGS)
def test_registration_evidence_for_something_else_is_refused_and_consumes_nothing(dev, hello, what):
    workload = Workload(dev, hello)
    evidence = forge(dev.seed, WRONG_BINDINGS[what](workload))
    size = len(dev.leaves())
    reply = refused(workload.send(workload.body(evidence=evidence)), 422, "evidence-false")
    assert failed_checks(reply) == ["binding.report_data"]
    assert "binding.report_data" in reply.json()["detail"]
    assert len(dev.leaves()) == size
    # The nonce is still good: nobody can spend another's nonce with evidence that was not made for it.
    assert workload.send().status == 201


def test_registration_false_evidence_is_refused_with_its_check_and_consumes_nothing(dev, hello):
    workload = Workload(dev, hello)
    evidence = workload.evidence("tdx-v4", "--fault", "quote-signature")
    reply = refused(workload.send(workload.body(evidence=evidence)), 422, "evidence-false")
    assert "dcap.quote.signature" in failed_checks(reply)
    assert workload.send().status == 201


def test_registration_evidence_of_another_test_root_is_refused(dev, hello):
    workload = Workload(dev, hello)
    evidence = forge("somebody else", workload.binding)
    reply = refused(workload.send(workload.body(evidence=evidence)), 422, "evidence-false")
    assert "dcap.pck.root" in failed_checks(reply)


def test_registration_changed_csr_or_recipient_after_the_evidence_is_refused(dev, hello):
    workload, thief = Workload(dev, hello), Workload(dev, hello)
    for changes in ({"csr": b64u(thief.csr)}, {"recipient": b64u(thief.recipient)}):
        reply = refused(workload.send(workload.body(**changes)), 422, "evidence-false")
        assert failed_checks(reply) == ["binding.report_data"]


def test_registration_csr_whose_signature_is_broken_is_malformed(dev, hello):
    workload = Workload(dev, hello)
    csr = bytearray(workload.csr)
    csr[-1] ^= 1
    reply = workload.send(workload.body(csr=b64u(bytes(csr))))
    assert reply.status in (400, 422), reply
    assert "sealed" not in reply.text


def test_registration_unknown_measurement_is_403_consumes_the_nonce_and_is_a_leaf(dev, operator, app):
    operator.make_app(app, "ab" * 48)
    workload = Workload(dev, app)
    body = workload.body()
    size = len(dev.leaves())
    reply = refused(workload.send(body), 403, "denied")
    assert failed_checks(reply) == ["policy.measurement.allowed"]
    leaves = verify_log(dev)
    assert len(leaves) == size + 1
    assert (leaves[-1]["type"], leaves[-1]["app"]) == ("refusal", app)
    assert leaves[-1]["binding"] == workload.binding.hex()
    # The same body is told the same; approving the measurement afterwards does not open the old nonce.
    operator.approve(app, "identity.approve", operator.blob({"name": "late", "claims": {"mrtd": [dev.mrtd]}}))
    refused(workload.send(body), 403, "denied")
    refused(Workload(dev, app, nonce=workload.nonce).send(), 409, "replayed")
    assert len(dev.leaves()) == size + 2  # the approval
    assert Workload(dev, app).send().status == 201


def test_registration_debug_td_is_refused_by_policy(dev, hello):
    workload = Workload(dev, hello)
    evidence = workload.evidence("tdx-v4", "--fault", "debug")
    reply = refused(workload.send(workload.body(evidence=evidence)), 403, "denied")
    assert "policy.debug" in failed_checks(reply)


def test_registration_app_that_nobody_created_is_404(dev):
    refused(Workload(dev, "name:nobody").send(), 404, "not-found")


def test_registration_app_of_another_tenant_is_404(dev, hello):
    refused(Workload(dev, hello, tenant="elsewhere").send(), 404, "not-found")


def test_registration_tenants_do_not_share_keys_of_an_app_of_one_name(dev, hello):
    there = Operator(dev, tenant="elsewhere")
    there.make_app(hello, dev.mrtd)

    def keys(tenant):
        workload = Workload(dev, hello, tenant=tenant)
        reply = workload.send()
        assert reply.status == 201, reply
        release = workload.open(reply)
        assert release["tenant"] == tenant
        return {key["private"] for key in release["keys"]}

    assert keys("default").isdisjoint(keys("elsewhere"))


def test_registration_app_without_policy_or_identity_releases_to_nobody(dev, operator, app):
    operator.approve(app, "app.create", app)
    refused(Workload(dev, app).send(), 403, "denied")
    operator.approve(app, "policy.approve", operator.blob({"format": 1, "name": "empty"}))
    reply = refused(Workload(dev, app).send(), 403, "denied")
    assert failed_checks(reply) == ["policy.measurement.allowed"]


def test_registration_revoked_identity_gets_nothing_more(dev, operator, app):
    ids = operator.make_app(app, dev.mrtd)
    early = Workload(dev, app)
    body = early.body()
    assert early.send(body).status == 201
    waiting = Workload(dev, app)
    waiting_body = waiting.body()
    operator.approve(app, "revoke", ids["identity"])
    refused(waiting.send(waiting_body), 403, "denied")
    refused(Workload(dev, app).send(), 403, "denied")


def test_registry_flaw_10_a_new_epoch_gives_other_keys(dev, operator, app):
    operator.make_app(app, dev.mrtd)

    def keys():
        workload = Workload(dev, app)
        release = workload.open(workload.send())
        return release["epoch"], {key["private"] for key in release["keys"]}

    before = keys()
    operator.approve(app, "epoch.advance", str(operator.app(app)["epoch"] + 1))
    after = keys()
    assert after[0] == before[0] + 1
    assert before[1].isdisjoint(after[1])


def test_registration_keys_of_former_epochs_are_released_until_they_are_retired(dev, operator, app):
    operator.make_app(app, dev.mrtd)

    def release():
        workload = Workload(dev, app)
        return workload.open(workload.send())

    def former(one):
        return {key["epoch"]: key["private"] for key in one["former_keys"] if key["algorithm"] == "aes256"}

    def present(one):
        return next(key["private"] for key in one["keys"] if key["algorithm"] == "aes256")

    zero = release()
    assert zero["former_keys"] == []
    operator.approve(app, "epoch.advance", "1")
    one = release()
    assert former(one) == {0: present(zero)}
    operator.approve(app, "epoch.advance", "2")
    two = release()
    assert former(two) == {0: present(zero), 1: present(one)}
    value = b"".join(
        lp(part)
        for key in two["former_keys"]
        if key["epoch"] == 1
        for part in (key["algorithm"].encode(), unb64u(key["private"]))
    )
    label = "keys/epoch/1"
    committed = [leaf["outputs"][label] for leaf in dev.leaves() if label in leaf["outputs"]][-1]
    assert committed == hmac.digest(unb64u(two["leaf_key"]), lp(label.encode()) + value, "sha256").hex()
    operator.approve(app, "epoch.retire", "1")
    assert former(release()) == {1: present(one)} and operator.app(app)["oldest_epoch"] == 1
    operator.approve(app, "epoch.retire", "2")
    assert release()["former_keys"] == []


def test_registration_reply_opens_for_its_recipient_only(dev, hello):
    workload, thief = Workload(dev, hello), Workload(dev, hello)
    reply = workload.send()
    thief.nonce = workload.nonce
    with pytest.raises(Exception, match="^$|tag|Invalid"):
        thief.open(reply)
    assert workload.open(reply)["app"] == hello


def test_registration_of_the_wrong_simulated_machine_sees_all_its_failed_checks(dev, operator, app):
    policy = {"format": 1, "name": "strict", "tcb": {"accept": ["UpToDate"]}}
    other = measurement("another")
    operator.make_app(app, other, policy=policy)
    workload = Workload(dev, app)
    reply = refused(workload.send(), 403, "denied")
    checks = {check["id"]: check for check in reply.json()["checks"]}
    assert checks["binding.report_data"]["status"] == "pass"
    assert json.dumps(checks["policy.measurement.allowed"]).count(dev.mrtd) >= 1
