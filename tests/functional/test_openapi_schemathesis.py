"""The API against its own description: every operation is reached with a 2xx, and whatever is sent, every answer is
what /openapi.json promises."""

import collections
import copy
import json
import os
import pathlib
import re
import tempfile
import time

import hypothesis
import pytest
import schemathesis
from harness import PATIENCE, attestry, request, start_dev
from operators import Operator, envelope
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from test_measurement_sets import TYPE as MEASUREMENT_TYPE
from test_measurement_sets import Measurements, signed_list
from workload import Workload, b64u, measurement, unb64u

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Requests for each operation.
EXAMPLES = int(os.environ.get("TEST_OPENAPI_EXAMPLES", "25"))
APP = "name:described"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """With an app, an operator, blobs and a secret, so that every operation has something to find."""
    started = start_dev(tmp_path_factory.mktemp("openapi") / "data")
    started.operator = Operator(started)
    started.ids = started.operator.make_app(APP, measurement(started.seed), "x", {"password": b"y"})
    started.collateral = hold_collateral(started)
    yield started
    assert started.request("GET", "/health/ready").status == 200
    assert started.terminate() == 0, started.output


def hold_collateral(server):
    """Has the server hold an artefact of each kind; their names by the first part."""
    names = {}
    for kind in ("sgx-v3", "tdx-v4", "snp-milan-v3", "snp-milan-v3-vlek"):
        with tempfile.TemporaryDirectory() as folder:
            assert attestry("forge", "--seed", server.seed, "--kind", kind, "--out", folder).code == 0
            [evidence] = [path for path in pathlib.Path(folder).iterdir() if path.name in ("quote.bin", "report.bin")]
            reply = server.call("POST", "/v1/collateral/needs", {"evidence": b64u(evidence.read_bytes())})
        for name in reply.json()["ways"][0]["artefacts"]:
            if name.startswith("vlek"):
                continue  # nobody gives it out
            reply = server.call("POST", "/v1/collateral/fetch", {"artefact": name})
            assert reply.status == 200, reply
            names[name.split("/")[0]] = name
    return names


@pytest.fixture(scope="module")
def document(server):
    reply = server.request("GET", "/openapi.json")
    assert reply.status == 200
    return reply.json()


@pytest.fixture(scope="module")
def api(document):
    return schemathesis.openapi.from_dict(document)


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def send(server, case):
    """To the listener that serves the operation's role, with the credential that it asks for."""
    about = case.operation.definition.raw
    url = {"public": server.public, "admin": server.admin, "metrics": server.metrics}[about["x-attestry-role"]]
    headers = {"Authorization": f"Bearer {server.token}"} if about["x-attestry-auth"] == "admin" else {}
    return case.call(base_url=url, headers=headers)


def sealed_anew(server):
    """A tenant whose stored data is under new keys, so that the old ones can be retired."""
    name = "rotated"
    assert server.call("POST", f"/v1/tenants/{name}/sealing/rotate").status == 200
    deadline = time.monotonic() + PATIENCE
    while server.call("GET", f"/v1/tenants/{name}/sealing").json()["phase"] != "settled":
        assert time.monotonic() < deadline, "not settled"
    return name


def valid_requests(server):
    """For each operation what makes it succeed: path parameters, query, body, media type."""
    operator, workload = server.operator, Workload(server, APP)
    tenant = {"tenant": "default"}
    app = {**tenant, "app": APP}
    leaver = Operator(server)
    approval = envelope(operator.payload(APP, "epoch.advance", str(operator.app(APP)["epoch"] + 1)), [operator.key])
    sets = Measurements(operator, "described")
    entry = operator.blob(sets.document("ab" * 48))
    sets.do("add", entry)
    change = envelope(sets.payload("approve", entry), [operator.key], MEASUREMENT_TYPE)
    for version, name in enumerate(("kept", "gone"), 1):
        body = signed_list([operator.key], version, "ab" * 48, name)
        assert server.call("PUT", operator.path(f"/lists/{name}"), body).status == 200
    unused = operator.secret(APP, "unused", b"deposited, never approved")
    evidence = b64u(workload.evidence())
    reply = server.request(
        "POST",
        "/v1/verify",
        {"evidence": evidence, "policy": "genuine", "store": True},
        {"Authorization": f"Bearer {server.token}"},
    )
    fmspc = {"fmspc": server.collateral["tcb_info"].split("/")[2]}
    root_crl = {"uri": "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"}
    product = {"product": "Milan"}
    _, _, hwid, tcb = server.collateral["vcek"].split("/")
    levels = {f"{name}SPL": int(value) for name, value in re.findall(r"([a-z]+)([0-9]+)", tcb)}
    jwks = b64u(json.dumps({"keys": []}).encode())
    stored = {"id": reply.json()["appraisal"]}
    exported = server.call("GET", f"/v1/appraisals/{stored['id']}/export").json()
    return {
        "list_appraisals": {"query": {"limit": 10}},
        "show_appraisal": {"path_parameters": stored},
        "why_appraisal": {"path_parameters": stored},
        "export_appraisal": {"path_parameters": stored},
        "import_appraisal": {"body": exported},
        "verify_evidence": {"body": {"evidence": evidence, "policy": "default"}},
        "list_checks": {},
        "policy_schema": {},
        "show_check": {"path_parameters": {"id": "dcap.tcb.level"}},
        "create_challenge": {"body": {"purpose": 1}},
        "register_instance": {"body": json.loads(workload.body(evidence=unb64u(evidence)))},
        "approval_context": {},
        "set_operator": {"path_parameters": {**tenant, "key": "07" * 32}, "body": {"name": "a name"}},
        "remove_operator": {"path_parameters": {**tenant, "key": leaver.public}},
        "list_operators": {"path_parameters": tenant},
        "put_blob": {"path_parameters": tenant, "body": b"a blob", "media_type": "application/octet-stream"},
        "get_blob": {"path_parameters": {**tenant, "id": server.ids["policy"]}},
        "list_apps": {"path_parameters": tenant},
        "show_app": {"path_parameters": app},
        "show_policy": {"path_parameters": app},
        "list_approvals": {"path_parameters": app},
        "list_secrets": {"path_parameters": app},
        "put_secret": {"path_parameters": {**app, "name": "token"}, "body": {"value": b64u(b"secret")}},
        "remove_secret": {"path_parameters": {**app, "name": "unused", "id": unused}},
        "submit_approval": {"body": approval},
        "list_measurements": {"path_parameters": tenant},
        "show_measurement": {"path_parameters": {**tenant, "name": "described"}},
        "list_measurement_changes": {"path_parameters": {**tenant, "name": "described"}},
        "measurement_impact": {"path_parameters": {**tenant, "name": "described", "id": entry}},
        "submit_measurement": {"body": change},
        "approval_impact": {"path_parameters": {**app, "id": server.ids["policy"]}, "query": {"action": "revoke"}},
        "list_instances": {"path_parameters": app},
        "list_lists": {"path_parameters": tenant},
        "show_list": {"path_parameters": {**tenant, "name": "kept"}},
        "put_list": {
            "path_parameters": {**tenant, "name": "kept"},
            "body": signed_list([operator.key], 3, "cd" * 48, "kept"),
        },
        "remove_list": {"path_parameters": {**tenant, "name": "gone"}},
        "show_sealing": {"path_parameters": tenant},
        "rotate_sealing": {"path_parameters": tenant},
        "retire_sealing": {"path_parameters": {"tenant": sealed_anew(server)}},
        "log_checkpoint": {},
        "log_leaves": {"query": {"from": 0, "count": 10}},
        "log_receipt": {"path_parameters": {"index": 0}},
        "log_consistency": {"query": {"first": 1, "second": 2}},
        "list_collateral": {},
        "export_collateral": {"query": {"artefact": "tcb_info"}},
        "import_collateral": {"body": {"documents": [{"kind": "jwks", "bytes": jwks}]}},
        "collateral_needs": {"body": {"evidence": evidence}},
        "forecast_collateral": {"query": {"days": 3}},
        "fetch_collateral": {"body": {"artefact": server.collateral["qe_identity"]}},
        "pccs_sgx_tcb": {"query": fmspc},
        "pccs_tdx_tcb": {"query": {**fmspc, "update": "standard"}},
        "pccs_sgx_qe_identity": {},
        "pccs_tdx_qe_identity": {},
        "pccs_v3_qe_identity": {},
        "pccs_pck_crl": {"query": {"ca": "platform", "encoding": "der"}},
        "pccs_v3_pck_crl": {"query": {"ca": "platform"}},
        "pccs_root_crl": {},
        "pccs_v3_root_crl": {},
        "pccs_crl": {"query": root_crl},
        "pccs_v3_crl": {"query": root_crl},
        "kds_vcek": {"path_parameters": {**product, "hwid": hwid}, "query": levels},
        "kds_vcek_chain": {"path_parameters": product},
        "kds_vcek_crl": {"path_parameters": product},
        "kds_vlek_chain": {"path_parameters": product},
        "kds_vlek_crl": {"path_parameters": product},
        "server_info": {},
        "health_live": {},
        "health_ready": {},
        "metrics": {},
        "openapi": {},
    }


def test_openapi_document_names_listener_and_credential_of_every_operation(document):
    assert document["openapi"].startswith("3.1")
    for path, method, operation in operations(document):
        assert operation["x-attestry-role"] in ("public", "admin", "metrics"), (path, method)
        assert operation["x-attestry-auth"] in ("none", "admin", "evidence", "signature"), (path, method)
        assert operation["summary"] and operation["operationId"]
        if operation["x-attestry-auth"] == "admin":
            assert operation["security"] == [{"adminToken": []}]


def test_openapi_every_operation_reaches_a_2xx_that_its_schema_describes(server, api, document):
    valid = valid_requests(server)
    described = {operation["operationId"] for _, _, operation in operations(document)}
    assert described == set(valid), "an operation has no valid request here, or the other way round"
    for path, method, about in operations(document):
        case = api[path][method].Case(**{"media_type": "application/json", **valid[about["operationId"]]})
        response = send(server, case)
        assert 200 <= response.status_code < 300, (path, method, response.status_code, response.content)
        case.validate_response(response, checks=CHECKS)


def test_openapi_answer_that_is_not_as_described_is_noticed(server, document):
    wrong = copy.deepcopy(document)
    wrong["components"]["schemas"]["Challenge"]["required"].append("surprise")
    case = schemathesis.openapi.from_dict(wrong)["/v1/challenges"]["POST"].Case(body={}, media_type="application/json")
    with pytest.raises(FailureGroup, match='"surprise" is a required property'):
        case.validate_response(send(server, case), checks=CHECKS)


def test_openapi_credential_is_really_asked_for(server, document):
    for path, method, about in operations(document):
        if about["x-attestry-auth"] != "admin":
            continue
        for name in ("tenant", "app", "key", "id", "name"):
            path = path.replace("{" + name + "}", "x")
        assert request(server.admin, method, path).status == 401, (path, method)
        # Nor is it on the public listener, with or without the token.
        headers = {"Authorization": f"Bearer {server.token}"}
        assert request(server.public, method, path, headers=headers).status in (404, 405), (path, method)


def is_answer_of_an_absent_backend(response):
    """503 with Retry-After is a described answer, not a defect."""
    return response.status_code == 503 and "retry-after" in {name.lower() for name in response.headers}


def examples_of(operation):
    """Good and bad requests of one operation."""
    kinds = [operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]
    return hypothesis.strategies.one_of(kinds)


def test_openapi_whatever_is_sent_the_answer_is_as_described(server, api):
    answers = collections.Counter()
    for result in api.get_all_operations():
        operation = result.ok()

        @hypothesis.given(examples_of(operation))
        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        def check(case):
            response = send(server, case)
            answers[response.status_code // 100] += 1
            if is_answer_of_an_absent_backend(response):
                return
            case.validate_response(response, checks=CHECKS)
            if response.status_code >= 400:
                said = response.json()
                assert said["status"] == response.status_code
                assert said["trace_id"]

        check()
    assert answers[2] > 0 and answers[4] > 0
