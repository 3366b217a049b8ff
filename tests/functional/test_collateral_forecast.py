"""Which workloads turn red on which day: a forecast is right when verification says the same on that day."""

import datetime
import json

import pytest
from harness import attestry
from operators import Operator, rfc3339
from test_measurement_sets import Measurements
from workload import Workload, measurement

AT = "2026-11-21T11:43:52Z"
# The forge's documents hold for 30 days from the start of the day before; its root's list for a year.
ENDS = datetime.datetime(2026, 12, 20, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    out = tmp_path_factory.mktemp("forecast")
    for kind, fault in (("tdx-v4", "none"), ("snp-milan-v3", "none"), ("tdx-v4", "sw-hardening-needed")):
        name = kind if fault == "none" else fault
        command = ["forge", "--kind", kind, "--fault", fault, "--seed", "forecast", "--at", AT, "--out", out / name]
        assert attestry(*command).code == 0
    return out


def forecast(*arguments):
    return attestry("collateral", "forecast", *arguments, "--format", "json")


def causes(document):
    """(day, check) -> cause"""
    return {(day["day"], cause["check"]): cause for day in document["days"] for cause in day["causes"]}


def verify(case, at, *arguments):
    done = attestry("verify", case, "--trust", case / "root.pem", "--at", at, "--format", "json", *arguments)
    return done.json()


def seconds_between(a, b):
    return (datetime.datetime.fromisoformat(b) - datetime.datetime.fromisoformat(a)).total_seconds()


def shifted(at, seconds):
    moved = datetime.datetime.fromisoformat(at) + datetime.timedelta(seconds=seconds)
    return moved.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("name", "checks"),
    [
        ("tdx-v4", {"dcap.tcb_info.validity", "dcap.qe_identity.validity", "dcap.crl.pck.validity"}),
        ("snp-milan-v3", {"snp.crl.validity"}),
    ],
)
def test_forecast_names_the_day_and_the_document_that_ends(cases, name, checks):
    case = cases / name
    done = forecast(case, "--trust", case / "root.pem", "--at", AT, "--days", 60)
    assert done.code == 1, done
    document = done.json()
    assert (document["workloads"], document["red_now"]) == (1, [])
    found = causes(document)
    for check in checks:
        [(day, cause)] = [(key[0], cause) for key, cause in found.items() if key[1] == check]
        assert day == "2026-12-20" or name.startswith("snp"), found.keys()
        assert cause["remedy"] == "collateral" and "import" in cause["what_to_do"]
        assert cause["document"].startswith("collateral ")
        assert [name.split("/")[0] for name in cause["refresh"]] == [cause["document"].split()[1]]
        assert [one["workload"] for one in cause["workloads"]] == [str(case)]
        # To the second: the check passes until then, and fails from then on.
        status = {
            when: next(c["status"] for c in verify(case, at)["checks"] if c["id"] == check)
            for when, at in (("before", shifted(cause["at"], -1)), ("then", cause["at"]))
        }
        assert status == {"before": "pass", "then": "fail"}
    first = min(cause["at"] for cause in found.values())
    assert verify(case, shifted(first, -1))["verdict"] == "accepted"
    assert verify(case, first)["verdict"] != "accepted"


def test_forecast_says_nothing_when_nothing_ends(cases):
    case = cases / "tdx-v4"
    done = forecast(case, "--trust", case / "root.pem", "--at", AT, "--days", 20)
    assert (done.code, done.json()["days"]) == (0, []), done
    text = attestry("collateral", "forecast", case, "--trust", case / "root.pem", "--at", AT, "--days", 20)
    assert "Nothing turns red" in text.out


def test_forecast_names_what_is_red_already(cases):
    case = cases / "tdx-v4"
    late = "2027-03-01T00:00:00Z"
    document = forecast(case, "--trust", case / "root.pem", "--at", late, "--days", 5).json()
    assert [one["workload"] for one in document["red_now"]] == [str(case)]
    assert document["red_now"][0]["root_cause"] == verify(case, late)["root_cause"]["id"]


def test_forecast_names_the_end_of_a_waiver(cases, tmp_path):
    case = cases / "sw-hardening-needed"
    advisories = json.loads((case / "case.json").read_text())["expect"]["advisory_ids"]
    assert advisories
    waivers = [{"id": name, "until": "2026-12-01T00:00:00Z", "reason": "maintenance"} for name in advisories]
    policy = tmp_path / "policy.json"
    tcb = {"accept": ["UpToDate", "SWHardeningNeeded"], "allow_advisories": [], "waive_advisories": waivers}
    policy.write_text(json.dumps({"format": 1, "name": "waiving", "tcb": tcb}))
    flags = ["--trust", case / "root.pem", "--at", AT, "--policy", policy]
    assert attestry("verify", case, *flags).code == 0
    document = forecast(case, *flags, "--days", 15).json()
    [((day, _), cause)] = causes(document).items()
    assert day == "2026-12-01" and cause["remedy"] == "policy" and "policy" in cause["what_to_do"]
    assert verify(case, shifted(cause["at"], -1), "--policy", policy)["verdict"] == "accepted"
    assert verify(case, cause["at"], "--policy", policy)["verdict"] == "refused"


def test_forecast_says_when_only_new_evidence_helps(tmp_path):
    case = tmp_path / "maa"
    assert attestry("forge", "--kind", "maa-sevsnpvm", "--seed", "forecast", "--at", AT, "--out", case).code == 0
    issuer = json.loads((case / "case.json").read_text())["expected_issuer"]
    flags = ["--issuer", issuer, "--jwks", f"{issuer}={case / 'jwks.json'}"]
    document = forecast(case, *flags, "--at", AT, "--days", 2).json()
    assert document["red_now"] == []
    found = causes(document)
    [cause] = [cause for (_, check), cause in found.items() if check == "maa.time.expires"]
    assert (cause["remedy"], cause["refresh"]) == ("evidence", []) and "No newer collateral" in cause["what_to_do"]
    assert attestry("verify", case, *flags, "--at", shifted(cause["at"], -1)).code == 0
    assert attestry("verify", case, *flags, "--at", cause["at"]).code == 1


def test_forecast_groups_machines_by_day_and_cause(cases):
    both = [cases / "tdx-v4", cases / "sw-hardening-needed"]
    flags = ["--trust", both[0] / "root.pem", "--at", AT, "--days", 60]
    found = causes(forecast(*both, *flags).json())
    assert {len(cause["workloads"]) for cause in found.values()} == {2}
    text = attestry("collateral", "forecast", *both, *flags).out
    for word in ("2026-12-20", "dcap.tcb_info.validity", "2 workloads", "because", "do "):
        assert word in text


def test_forecast_of_a_server_sees_a_measurement_end(servers):
    server = servers.dev()
    operator, app, ends = Operator(server), "name:dated", rfc3339(45 * 86400)
    operator.approve(app, "app.create", app)
    policy = operator.blob({"format": 1, "name": "by set", "identities_from": ["set:dated"]})
    operator.approve(app, "policy.approve", policy)
    measurements = Measurements(operator, "dated")
    entry = operator.blob(measurements.document(measurement(server.seed), not_after=ends))
    measurements.do("add", entry)
    measurements.do("approve", entry)
    assert Workload(server, app).send().status == 201
    flags = ["--server", server.admin, "--token-file", server.data / "admin.token"]
    found = causes(forecast("--days", 60, *flags).json()["forecast"])
    [cause] = [cause for cause in found.values() if cause["remedy"] == "policy"]
    assert cause["check"] == "policy.measurement.allowed" and abs(seconds_between(ends, cause["at"])) <= 1
    assert [one["workload"] for one in cause["workloads"]] == [app]


def test_forecast_of_a_server_names_its_releases(servers):
    server = servers.dev()
    app = "name:forecast"
    Operator(server).make_app(app, measurement(server.seed), "x", {})
    assert Workload(server, app).send().status == 201
    flags = ["--server", server.admin, "--token-file", server.data / "admin.token"]
    done = forecast("--days", 60, *flags)
    assert done.code == 1, done
    document = done.json()["forecast"]
    named = {one["workload"] for cause in causes(document).values() for one in cause["workloads"]}
    assert named == {"name:hello", app} and document["workloads"] == 2 and done.json()["left_out"] == 0
    ends = {check: day for day, check in causes(document)}
    tomorrow = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=1)
    assert ends["dcap.tcb_info.validity"] == str(tomorrow + datetime.timedelta(days=30))
    # Each workload can be looked at by its appraisal.
    workload = next(iter(causes(document).values()))["workloads"][0]
    assert server.call("GET", f"/v1/appraisals/{workload['appraisal']}").status == 200
    assert server.call("GET", "/v1/collateral/forecast?days=0").status == 400
    assert forecast("--days", 5, *flags).code == 0
