"""Idempotency-Key on the writes of operators, and the rate of one client."""

import concurrent.futures
import json

import pytest
from harness import request
from operators import Operator, envelope
from workload import measurement

KEY = "Idempotency-Key"


def keyed(server, method, path, body=None, key="k", **headers):
    return server.call(method, path, body, {KEY: key, **headers})


def test_idempotency_an_approval_needs_no_key(dev, operator, app):
    document = envelope(operator.payload(app, "app.create", app), [operator.key])
    before = len(dev.leaves())
    first = keyed(dev, "POST", "/v1/approvals", document, app)
    again = keyed(dev, "POST", "/v1/approvals", document, app)
    assert (first.status, again.status) == (201, 409)
    assert again.headers["Idempotency-Replayed"] is None
    assert len(dev.leaves()) == before + 1
    state = dev.call("GET", operator.path(f"/apps/{app}")).json()
    assert state["prev"] == first.json()["payload_sha256"]


def test_idempotency_a_blob_is_answered_as_the_first_time(dev, operator, app):
    path, text = operator.path("/blobs"), {"Content-Type": "text/plain"}
    first = keyed(dev, "POST", path, b"x", app, **text)
    again = keyed(dev, "POST", path, b"x", app, **text)
    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert first.headers["Idempotency-Replayed"] is None
    assert again.headers["Idempotency-Replayed"] == "true"


def test_idempotency_a_secret_is_stored_once(dev, operator, app):
    operator.make_app(app, measurement(dev.seed))
    path = operator.path(f"/apps/{app}/secrets/password")
    first = keyed(dev, "PUT", path, {"value": "aHVudGVyMg"}, app)
    assert first.status == 201, first
    assert keyed(dev, "PUT", path, {"value": "aHVudGVyMg"}, app).json() == first.json()
    other = keyed(dev, "PUT", path, {"value": "aHVudGVyMw"}, app)
    assert (other.status, other.code) == (409, "conflict")
    assert "another request" in other.json()["detail"] and other.json()["remedy"]
    assert [s["id"] for s in dev.call("GET", operator.path(f"/apps/{app}/secrets")).json()["secrets"]] == [
        first.json()["id"]
    ]
    assert keyed(dev, "PUT", path, {"value": "aHVudGVyMg"}, app + "2").json()["id"] != first.json()["id"]


def test_idempotency_of_a_removal(dev):
    gone = Operator(dev)
    path = gone.path(f"/operators/{gone.public}")
    assert [keyed(dev, "DELETE", path, key=gone.public).status for _ in range(2)] == [204, 204]
    assert dev.call("DELETE", path).status == 404


def test_idempotency_outlives_the_server(servers, tmp_path):
    server = servers.serve(tmp_path / "data")
    operator = Operator(server, add=False)
    path = operator.path(f"/operators/{operator.public}")
    first = keyed(server, "PUT", path, {"name": "kept"})
    assert first.status == 200, first
    assert server.terminate() == 0
    server = servers.serve(tmp_path / "data")
    again = keyed(server, "PUT", path, {"name": "kept"})
    assert (again.body, again.headers["Idempotency-Replayed"]) == (first.body, "true")
    assert keyed(server, "PUT", path, {"name": "other"}).status == 409


def test_idempotency_a_refused_request_may_be_corrected_under_its_key(dev, operator):
    path = operator.path(f"/operators/{operator.public}")
    assert keyed(dev, "PUT", path, {"nam": "x"}, "corrected").status == 400
    assert keyed(dev, "PUT", path, {"name": "an operator"}, "corrected").status == 200


def test_idempotency_needs_the_credential_first(dev, operator):
    path = operator.path(f"/operators/{operator.public}")
    assert keyed(dev, "PUT", path, {"name": "an operator"}, "mine").status == 200
    assert request(dev.admin, "PUT", path, {"name": "an operator"}, {KEY: "mine"}).status == 401


@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 129, "t\tab"])
def test_idempotency_bad_keys_are_refused(dev, operator, key):
    reply = keyed(dev, "POST", operator.path("/blobs"), b"x", key, **{"Content-Type": "text/plain"})
    assert (reply.status, reply.code) == (400, "malformed")


def test_idempotency_many_at_once_are_carried_out_once(dev, operator, app):
    operator.make_app(app, measurement(dev.seed))
    path = operator.path(f"/apps/{app}/secrets/password")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: keyed(dev, "PUT", path, {"value": "aHVudGVyMg"}, app), range(16)))
    assert {reply.status for reply in replies} <= {201, 409}
    good = [reply.body for reply in replies if reply.status == 201]
    assert good and len(set(good)) == 1
    assert len(dev.call("GET", operator.path(f"/apps/{app}/secrets")).json()["secrets"]) == 1
    assert keyed(dev, "PUT", path, {"value": "aHVudGVyMg"}, app).body == good[0]


# Named by what they carry: the second time changes nothing, or is refused as out of sequence. Or they only ask.
REPEATABLE = {
    "submit_approval",
    "import_appraisal",
    "submit_measurement",
    "import_collateral",
    "collateral_needs",
    "fetch_collateral",
    "export_collateral",
}


def test_idempotency_is_in_the_openapi_document(dev):
    document = json.loads(dev.request("GET", "/openapi.json").body)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            names = {p["name"] for p in operation.get("parameters", []) if p["in"] == "header"}
            write = method in ("put", "post", "delete") and operation["x-attestry-role"] == "admin"
            write = write and operation["operationId"] not in REPEATABLE
            assert names == ({KEY} if write else set()), (method, path)


def limited(servers, **settings):
    limits = {"limits.requests_per_second": "1", "limits.burst": "10", "limits.rate_exempt": ""}
    return servers.serve(**{**limits, **settings})


def test_rate_one_client_is_told_to_wait(servers):
    server = limited(servers)
    replies = [server.request("GET", "/v1/server") for _ in range(12)]
    refused = [reply for reply in replies if reply.status == 429]
    assert {reply.status for reply in replies} == {200, 429}
    assert [reply.status for reply in replies[:5]] == [200] * 5
    assert refused[0].code == "rate-limited"
    assert int(refused[0].headers["Retry-After"]) >= 1
    # Operators and Prometheus are not the clients that this is about.
    assert {server.call("GET", "/v1/tenants/default/apps").status for _ in range(12)} == {200}
    assert {request(server.metrics, "GET", "/metrics").status for _ in range(12)} == {200}
    counted = request(server.metrics, "GET", "/metrics").text
    assert 'status="429"' in counted


def test_rate_exempt_clients_and_no_rate(servers):
    for settings in ({"limits.rate_exempt": "192.0.2.0/24,127.0.0.1"}, {"limits.requests_per_second": "0"}):
        server = limited(servers, **settings)
        assert {server.request("GET", "/v1/server").status for _ in range(12)} == {200}


def test_rate_by_default_loopback_has_none(servers):
    server = servers.serve(**{"limits.requests_per_second": "1", "limits.burst": "1"})
    assert {server.request("GET", "/v1/server").status for _ in range(12)} == {200}
