"""Approvals over /v1: signed by operators, in order, once, by enough of them."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from harness import request
from operators import Operator, canonical, envelope, rfc3339
from transparency import verify_log
from workload import Workload


def refused(reply, status, code):
    assert (reply.status, reply.code) == (status, code), reply
    return reply


@pytest.fixture
def created(operator, app):
    operator.approve(app, "app.create", app)
    return app


def test_approvals_are_leaves_and_add_up_to_the_app(dev, operator, app):
    ids = operator.make_app(app, dev.mrtd, "x", {"s": b"1"})
    state = operator.app(app)
    assert (state["policy"], state["identities"]) == (ids["policy"], [ids["identity"]])
    assert (state["configuration"], state["secrets"]) == (ids["configuration"], [ids["s"]])
    assert state["seq"] == 5
    types = [leaf["type"] for leaf in verify_log(dev) if leaf["app"] == app]
    assert types == [
        "approval.app.create",
        "approval.policy.approve",
        "approval.identity.approve",
        "approval.secret.approve",
        "approval.configuration.approve",
    ]
    listed = dev.call("GET", operator.path(f"/apps/{app}/approvals")).json()["approvals"]
    said = [json.loads(base64.b64decode(item["payload"])) for item in listed]
    assert [item["seq"] for item in said] == [1, 2, 3, 4, 5]


def test_approvals_replay_is_409(dev, operator, created):
    policy = operator.blob({"format": 1, "name": "p"})
    document = envelope(operator.payload(created, "policy.approve", policy), [operator.key])
    assert operator.send(document).status == 201
    size = len(dev.leaves())
    refused(operator.send(document), 409, "conflict")
    refused(operator.try_to(created, "app.create", created), 409, "conflict")
    assert len(dev.leaves()) == size


def test_approvals_of_a_strangers_key_are_403(operator, created):
    stranger = Ed25519PrivateKey.generate()
    policy = operator.blob({"format": 1, "name": "p"})
    refused(operator.try_to(created, "policy.approve", policy, [stranger]), 403, "denied")
    document = envelope(operator.payload(created, "policy.approve", policy), [stranger])
    document["signatures"][0]["keyid"] = operator.public
    refused(operator.send(document), 403, "denied")
    assert operator.app(created)["policy"] is None


def test_approvals_of_another_tenants_operator_are_403(dev, operator, created):
    there = Operator(dev, tenant="far-away")
    policy = operator.blob({"format": 1, "name": "p"})
    refused(operator.try_to(created, "policy.approve", policy, [there.key]), 403, "denied")


def test_approvals_of_a_removed_operator_are_403(dev, operator, created):
    leaver = Operator(dev)
    reply = dev.call("DELETE", operator.path(f"/operators/{leaver.public}"))
    assert reply.status == 204, reply
    refused(operator.try_to(created, "threshold.set", "1", [leaver.key]), 403, "denied")
    assert verify_log(dev)[-1]["type"] == "operator.remove"


def test_approvals_altered_after_signing_are_403(operator, created):
    policy = operator.blob({"format": 1, "name": "p"})
    document = envelope(operator.payload(created, "policy.approve", policy), [operator.key])
    said = json.loads(base64.b64decode(document["payload"]))
    said["expires"] = rfc3339(7200)
    document["payload"] = base64.b64encode(canonical(said)).decode()
    refused(operator.send(document), 403, "denied")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"seq": 1}, 409, "conflict"),
        ({"seq": 3}, 409, "conflict"),
        ({"prev": "00" * 32}, 409, "conflict"),
        ({"policy_sha256": "00" * 32}, 409, "conflict"),
        ({"audience": "attestry.local/elsewhere"}, 403, "denied"),
        ({"realm": "production"}, 403, "denied"),
        ({"expires": "2026-01-01T00:00:00Z"}, 403, "denied"),
        ({"action": "everything.approve"}, 400, "malformed"),
        ({"subject": "00" * 32}, 404, "not-found"),
        ({"v": 2}, 400, "malformed"),
        ({"more": 1}, 400, "malformed"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else None,
)
def test_approvals_that_say_something_else_are_refused(dev, operator, created, changes, status, code):
    policy = operator.blob({"format": 1, "name": "p"})
    size = len(dev.leaves())
    reply = operator.try_to(created, "policy.approve", policy, **changes)
    assert reply.code == code, reply
    assert reply.status == status, reply
    assert len(dev.leaves()) == size
    assert operator.app(created)["policy"] is None


def test_approvals_with_a_threshold_need_distinct_operators(dev, operator, created):
    second, third = Operator(dev), Operator(dev)
    operator.approve(created, "threshold.set", "2")
    policy = operator.blob({"format": 1, "name": "p"})
    refused(operator.try_to(created, "policy.approve", policy), 403, "denied")
    refused(operator.try_to(created, "policy.approve", policy, [operator.key, operator.key]), 403, "denied")
    stranger = Ed25519PrivateKey.generate()
    refused(operator.try_to(created, "policy.approve", policy, [operator.key, stranger]), 403, "denied")
    assert operator.app(created)["policy"] is None
    operator.approve(created, "policy.approve", policy, [second.key, third.key])
    assert operator.app(created)["policy"] == policy


def test_approvals_threshold_above_the_number_of_operators_is_refused(operator, created):
    assert operator.try_to(created, "threshold.set", "60").status == 400
    assert operator.try_to(created, "threshold.set", "0").status == 400
    assert operator.app(created)["threshold"] == 1


def test_approvals_revocation_is_idempotent_and_bars_what_was_signed_before_it(dev, operator, app):
    ids = operator.make_app(app, dev.mrtd)
    # Signed before the revocation, sent after it: its chain does not include the revocation.
    early = envelope(operator.payload(app, "identity.approve", ids["identity"]), [operator.key])
    revocation = envelope(operator.payload(app, "revoke", ids["identity"]), [operator.key])
    assert operator.send(revocation).status == 201
    state, size = operator.app(app), len(dev.leaves())
    assert state["identities"] == []
    assert operator.send(revocation).status == 201
    assert (operator.app(app), len(dev.leaves())) == (state, size)
    refused(operator.send(early), 409, "conflict")
    operator.approve(app, "identity.approve", ids["identity"])
    assert operator.app(app)["identities"] == [ids["identity"]]
    # The old revocation, sent again, does not take the new approval away.
    assert operator.send(revocation).status == 201
    assert operator.app(app)["identities"] == [ids["identity"]]
    assert Workload(dev, app).send().status == 201


def test_approvals_revocation_is_accepted_at_any_seq(dev, operator, app):
    ids = operator.make_app(app, dev.mrtd)
    operator.approve(app, "revoke", ids["identity"], seq=1, prev="")
    assert operator.app(app)["identities"] == []


def test_approvals_of_a_secret_that_nobody_stored_are_refused(operator, created):
    refused(operator.try_to(created, "secret.approve", "11" * 32), 404, "not-found")


@pytest.mark.parametrize("content", [b"not json", b'{"format":2}', b'{"format":1,"surprise":true}', b"[]"])
def test_approvals_of_a_document_that_is_no_policy_are_refused(operator, created, content):
    refused(operator.try_to(created, "policy.approve", operator.blob(content)), 400, "malformed")


@pytest.mark.parametrize(
    "change",
    [
        {"payloadType": "application/json"},
        {"payload": "*"},
        {"payload": base64.b64encode(b"{}").decode()},
        {"signatures": []},
        {"signatures": [{"sig": "AAAA"}]},
        {"signatures": "x"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_approvals_whose_envelope_is_wrong_are_refused(operator, created, change):
    document = envelope(operator.payload(created, "threshold.set", "1"), [operator.key])
    reply = operator.send({**document, **change})
    assert reply.status in (400, 403), reply


def test_approvals_and_everything_else_of_operators_need_the_token(dev, operator, created):
    for path in ["/apps", f"/apps/{created}", "/operators"]:
        for headers in [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic " + dev.token}]:
            reply = request(dev.admin, "GET", operator.path(path), headers=headers)
            refused(reply, 401, "unauthenticated")
            assert reply.headers["WWW-Authenticate"] == "Bearer"
    # Operators' routes are not on the public listener at all.
    reply = dev.request("GET", operator.path("/apps"), headers={"Authorization": f"Bearer {dev.token}"})
    assert reply.status == 404, reply
