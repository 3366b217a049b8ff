"""Measurement sets over /v1 and on the command line: proposed by one, approved by another, removed with all that rests
on them; and the signed lists that policies look into."""

import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from harness import attestry
from operators import Operator, canonical, envelope, rfc3339
from transparency import verify_log
from workload import Workload

TYPE = "application/vnd.attestry.measurement.v1+json"
LIST_TYPE = "application/vnd.attestry.list.v1+json"


class Measurements:
    """The signed changes of one set, written from the formats."""

    def __init__(self, operator, name):
        self.operator, self.server, self.name = operator, operator.server, name

    def document(self, mrtd, **more):
        return {
            "format": 1,
            "set": self.name,
            "platform": "tdx",
            "role": "front end",
            "identities": [{"name": f"at {mrtd[:8]}", "claims": {"mrtd": mrtd}}],
            **more,
        }

    def get(self, rest=""):
        return self.server.call("GET", self.operator.path(f"/measurements/{self.name}{rest}"))

    def payload(self, action, subject, /, **changes):
        present = self.get()
        head = present.json() if present.status == 200 else {"seq": 0, "prev": ""}
        return canonical(
            {
                "v": 1,
                "audience": self.server.origin,
                "realm": "simulated",
                "tenant": self.operator.tenant,
                "set": self.name,
                "action": f"measurement.{action}",
                "subject": subject,
                "preview": "",
                "seq": head["seq"] + 1,
                "prev": head["prev"],
                "expires": rfc3339(3600),
                **changes,
            }
        )

    def send(self, payload, keys):
        return self.server.call("POST", "/v1/measurements", envelope(payload, keys, TYPE))

    def try_to(self, action, subject, /, by=None, **changes):
        return self.send(self.payload(action, subject, **changes), [(by or self.operator).key])

    def do(self, action, subject, /, by=None, **changes):
        reply = self.try_to(action, subject, by, **changes)
        assert reply.status == 201, reply
        return reply.json()

    def state(self, id):
        return {entry["id"]: entry["state"] for entry in self.get().json()["entries"]}[id]


def refused(reply, status, code):
    assert (reply.status, reply.code) == (status, code), reply


@pytest.fixture
def front(dev, operator, app):
    """A set that only this test's app names, and the app itself, which nothing has been approved for."""
    sets = Measurements(operator, app.removeprefix("name:"))
    operator.approve(app, "app.create", app)
    policy = operator.blob({"format": 1, "name": "by set", "identities_from": [f"set:{sets.name}"]})
    operator.approve(app, "policy.approve", policy)
    sets.app, sets.policy = app, policy
    return sets


def registers(server, app):
    return Workload(server, app).send().status


def instances(server, operator, app):
    reply = server.call("GET", operator.path(f"/apps/{app}/instances"))
    assert reply.status == 200, reply
    return reply.json()["instances"]


def test_measurement_set_lets_in_what_two_operators_stand_for(dev, operator, front):
    second = Operator(dev)
    operator.approve(front.app, "threshold.set", "2")
    id = operator.blob(front.document(dev.mrtd))
    added = front.do("add", id)
    assert (added["entry"]["state"], added["required"]) == ("proposed", 2)
    assert registers(dev, front.app) == 403
    refused(front.try_to("approve", id), 403, "denied")
    assert registers(dev, front.app) == 403
    assert front.do("approve", id, second)["entry"]["state"] == "approved"
    assert registers(dev, front.app) == 201
    effective = dev.call("GET", operator.path(f"/apps/{front.app}/policy")).json()["policy"]
    assert effective["identities"][0]["source"] == f"set:{front.name}/{id}"
    assert "identities_from" not in effective
    types = [leaf["type"] for leaf in verify_log(dev)]
    assert {"measurement.add", "measurement.approve"} <= set(types)


def test_measurement_removal_says_whom_it_hits_and_ends_it_at_once(dev, operator, front):
    id, other = operator.blob(front.document(dev.mrtd)), operator.blob(front.document("cd" * 48))
    for one in (id, other):
        front.do("add", one)
        front.do("approve", one)
    assert registers(dev, front.app) == 201
    assert [one["state"] for one in instances(dev, operator, front.app)] == ["live"]
    preview = front.get(f"/{id}/impact").json()
    said = preview["impact"]
    assert hashlib.sha256(canonical(said)).hexdigest() == preview["sha256"]
    assert said["apps"] == [{"app": front.app, "policy": front.policy, "identities_left": 1}]
    assert said["policies"] == [front.policy]
    assert [one["app"] for one in said["instances"]] == [front.app]

    # Another instance comes: the preview is no longer true, and nothing is removed.
    assert registers(dev, front.app) == 201
    refused(front.try_to("remove", id, preview=preview["sha256"]), 409, "conflict")
    assert registers(dev, front.app) == 201
    preview = front.get(f"/{id}/impact").json()
    done = front.do("remove", id, preview=preview["sha256"])
    assert len(done["ended"]["impact"]["instances"]) == 3
    assert registers(dev, front.app) == 403
    ended = instances(dev, operator, front.app)
    assert {one["state"] for one in ended} == {"ended"}
    assert id in ended[0]["why"]
    assert verify_log(dev)[-2]["type"] == "measurement.remove"

    # Approved once more it lets new ones in, and wakes none of the old ones.
    front.do("add", id)
    front.do("approve", id)
    assert registers(dev, front.app) == 201
    assert sorted(one["state"] for one in instances(dev, operator, front.app)) == ["ended"] * 3 + ["live"]


def test_measurement_of_a_direct_approval_does_not_rest_on_a_set(dev, operator, front):
    id = operator.blob(front.document(dev.mrtd))
    front.do("add", id)
    front.do("approve", id)
    operator.approve(front.app, "identity.approve", operator.blob({"claims": {"mrtd": dev.mrtd}}))
    assert registers(dev, front.app) == 201
    assert front.do("remove", id)["ended"]["impact"]["instances"] == []
    assert [one["state"] for one in instances(dev, operator, front.app)] == ["live"]
    assert registers(dev, front.app) == 201


def test_measurement_outside_its_validity_lets_nobody_in(dev, operator, front):
    for dates in [{"not_before": rfc3339(3600)}, {"not_after": rfc3339(-3600)}]:
        id = operator.blob(front.document(dev.mrtd, **dates))
        front.do("add", id)
        front.do("approve", id)
        assert registers(dev, front.app) == 403, dates
    id = operator.blob(front.document(dev.mrtd, not_before=rfc3339(-3600), not_after=rfc3339(3600)))
    front.do("add", id)
    front.do("approve", id)
    assert registers(dev, front.app) == 201


def test_measurement_changes_are_ordered_and_signed(dev, operator, front):
    id = operator.blob(front.document(dev.mrtd))
    size = len(dev.leaves())
    stranger = Ed25519PrivateKey.generate()
    refused(front.send(front.payload("add", id), [stranger]), 403, "denied")
    refused(front.try_to("approve", id), 404, "not-found")
    for changes, status, code in [
        ({"seq": 7}, 409, "conflict"),
        ({"prev": "00" * 32}, 409, "conflict"),
        ({"audience": "elsewhere"}, 403, "denied"),
        ({"realm": "production"}, 403, "denied"),
        ({"expires": "2026-01-01T00:00:00Z"}, 403, "denied"),
        ({"action": "measurement.bless"}, 400, "malformed"),
        ({"set": "elsewhere"}, 400, "malformed"),
        ({"subject": "00" * 32}, 404, "not-found"),
        ({"v": 2}, 400, "malformed"),
        ({"more": 1}, 400, "malformed"),
        ({"preview": "00" * 32}, 400, "malformed"),
    ]:
        refused(front.try_to("add", id, **changes), status, code)
    assert len(dev.leaves()) == size
    payload = front.payload("add", id)
    assert front.send(payload, [operator.key]).status == 201
    refused(front.send(payload, [operator.key]), 409, "conflict")
    refused(front.try_to("add", id), 409, "conflict")
    wrong_type = envelope(front.payload("approve", id), [operator.key])
    assert dev.call("POST", "/v1/measurements", wrong_type).status == 400


def test_measurement_removal_bars_an_approval_that_was_signed_before_it(dev, operator, front):
    second = Operator(dev)
    id = operator.blob(front.document(dev.mrtd))
    front.do("add", id)
    early = front.payload("approve", id)
    front.do("remove", id)
    refused(front.send(early, [second.key]), 409, "conflict")
    assert front.state(id) == "removed"
    late = front.try_to("approve", id)
    refused(late, 409, "conflict")
    assert "was removed: add it again" in late.text
    front.do("add", id)
    front.do("approve", id)
    assert front.state(id) == "approved"


@pytest.mark.parametrize(
    "wrong",
    [
        {"platform": "snp"},
        {"platform": "tpm"},
        {"role": ""},
        {"surprise": 1},
        {"identities": []},
        {"identities": [{"claims": {"mrtd": "00" * 48}}]},
        {"not_after": "tomorrow"},
        {"provenance": {"statement_sha256": "aa"}},
    ],
    ids=json.dumps,
)
def test_measurement_document_that_is_wrong_is_refused(dev, operator, front, wrong):
    refused(front.try_to("add", operator.blob({**front.document(dev.mrtd), **wrong})), 400, "malformed")


def test_measurement_source_cannot_be_claimed_by_an_identity(dev, operator, front):
    identity = {"source": f"set:{front.name}/x", "claims": {"mrtd": dev.mrtd}}
    refused(operator.try_to(front.app, "identity.approve", operator.blob(identity)), 400, "malformed")


# --- on the command line --------------------------------------------------------------------------------------------


@pytest.fixture
def shell(dev, tmp_path):
    env = {"ATTESTRY_SERVER": dev.admin, "ATTESTRY_TOKEN_FILE": str(dev.data / "admin.token")}

    def run(*arguments, code=0, key=None):
        done = attestry(*arguments, *(["--key", key] if key else []), env=env, cwd=tmp_path)
        assert done.code == code, done
        return done

    run.folder = tmp_path
    for name in ["ann", "bob"]:
        public = run("operator", "keygen", f"{name}.key").out.strip()
        run("operator", "add", public, "--name", name)
    return run


def test_measurement_commands_from_evidence_to_removal(dev, operator, front, shell):
    set_name = front.name
    operator.approve(front.app, "threshold.set", "2")
    folder = shell.folder / "case"
    shell("forge", "--kind", "tdx-v4", "--mrtd", dev.mrtd, "--out", folder)
    judged = attestry(
        "verify", folder, "--trust", folder / "root.pem", "--policy", "genuine", "--format", "json", "--offline"
    )
    assert judged.code == 0, judged
    (shell.folder / "verdict.json").write_text(judged.out)
    add = ["measurement", "add", "--set", set_name, "--role", "front end", "--claim", "mrtd", "--commit", "abc"]

    raw = shell(*add, "--from-evidence", folder / "quote.bin", "--dry-run", code=1)
    assert "--unverified" in raw.err
    shell(*add, "--from-evidence", folder / "quote.bin", "--dry-run", "--unverified")
    made = json.loads(shell(*add, "--from-evidence", "verdict.json", "--dry-run").out)
    assert made["identities"] == [{"name": "front end", "claims": {"mrtd": dev.mrtd}}]
    assert made["provenance"] == {"commit": "abc"}

    added = shell(*add, "--from-evidence", "verdict.json", key="ann.key")
    assert "proposed" in added.out and "2 distinct operators" in added.err
    listed = json.loads(shell("measurement", "list", "--format", "json").out)["measurements"]
    id = next(one for one in listed if one["set"] == set_name)["entries"][0]["id"]
    assert id[:16] in shell("measurement", "list").out

    assert "cannot be the next person" in shell("measurement", "approve", set_name, id[:8], key="ann.key", code=1).err
    assert "approved, 2 operators" in shell("measurement", "approve", set_name, id[:12], key="bob.key").out
    assert registers(dev, front.app) == 201
    assert "abc" in shell("measurement", "show", set_name).out
    assert "live" in shell("app", "instances", front.app).out

    dry = shell("measurement", "remove", set_name, id, "--dry-run")
    assert f"{front.app}, 0 identities left: nobody could register any more" in dry.out
    preview = json.loads(shell("measurement", "remove", set_name, id, "--dry-run", "--format", "json").out)["sha256"]
    unconfirmed = shell("measurement", "remove", set_name, id, key="bob.key", code=2)
    assert f"--confirm {preview[:16]}" in unconfirmed.err
    assert (
        "others than you saw"
        in shell("measurement", "remove", set_name, id, "--confirm", "00" * 8, key="bob.key", code=1).err
    )
    assert registers(dev, front.app) == 201
    preview = json.loads(shell("measurement", "remove", set_name, id, "--dry-run", "--format", "json").out)["sha256"]
    done = shell("measurement", "remove", set_name, id, "--confirm", preview[:16], key="bob.key")
    assert "2 instances ended" in done.out
    assert registers(dev, front.app) == 403
    assert "ended" in shell("app", "instances", front.app).out


def test_measurement_commands_say_what_is_missing(shell):
    assert "FILE or --from-evidence" in shell("measurement", "add", code=2).err
    assert "no measurement set" in shell("measurement", "show", "nothing", code=1).err
    (shell.folder / "m.json").write_text(json.dumps({"format": 1}))
    assert "set" in shell("measurement", "add", "m.json", code=2).err


# --- signed lists ---------------------------------------------------------------------------------------------------


def signed_list(keys, version, mrtd, name="places"):
    document = {"format": 1, "name": name, "version": version, "not_after": rfc3339(3600), "claims": {"mrtd": [mrtd]}}
    return envelope(canonical(document), keys, LIST_TYPE)


def test_lists_that_are_stored_decide_about_registrations(dev, operator, app):
    name = app.removeprefix("name:")
    signer = Ed25519PrivateKey.generate()
    stranger = Ed25519PrivateKey.generate()
    from operators import public_hex

    policy = {
        "format": 1,
        "lists": [{"name": name, "keys": [public_hex(signer)]}],
        "conditions": [{"claim": "mrtd", "in_list": name}],
    }
    operator.make_app(app, dev.mrtd, policy=policy)
    path = operator.path(f"/lists/{name}")
    assert registers(dev, app) == 403, "without the list"
    assert dev.call("PUT", path, signed_list([stranger], 1, dev.mrtd, name)).status == 200
    assert registers(dev, app) == 403, "signed by somebody else"
    assert dev.call("PUT", path, signed_list([signer], 2, dev.mrtd, name)).status == 200
    assert registers(dev, app) == 201
    refused(dev.call("PUT", path, signed_list([signer], 1, dev.mrtd, name)), 409, "conflict")
    refused(dev.call("PUT", path, signed_list([signer], 9, dev.mrtd, "other")), 400, "malformed")
    assert dev.call("PUT", path, signed_list([signer], 3, "ab" * 48, name)).status == 200
    assert registers(dev, app) == 403, "no longer in the list"
    assert dev.call("GET", path).json()["payloadType"] == LIST_TYPE
    assert name in [one["name"] for one in dev.call("GET", operator.path("/lists")).json()["lists"]]
    assert dev.call("DELETE", path).status == 204
    refused(dev.call("GET", path), 404, "not-found")
    refused(dev.call("PUT", path, signed_list([signer], 3, dev.mrtd, name)), 409, "conflict")
    types = [leaf["type"] for leaf in verify_log(dev)]
    assert {"list.put", "list.remove"} <= set(types)


def test_list_commands(dev, shell):
    document = {"format": 1, "name": "cli", "version": 1, "not_after": rfc3339(3600), "claims": {"vmpl": [0]}}
    (shell.folder / "list.json").write_text(json.dumps(document))
    (shell.folder / "signed.json").write_text(shell("policy", "sign-list", "list.json", key="ann.key").out)
    assert "cli version 1, 1 values" in shell("place-list", "put", "signed.json").out
    assert "cli" in shell("place-list", "list").out
    assert json.loads(shell("place-list", "show", "cli").out)["payloadType"] == LIST_TYPE
    shell("place-list", "remove", "cli")
    shell("place-list", "show", "cli", code=1)
