"""Policy documents from outside: the schema and the parser agree, the linter finds every mistake, built-in policies
accept good evidence of every platform, signed lists let in what they name."""

import copy
import json
import pathlib

import jsonschema_rs
import pytest
from harness import attestry
from workload import b64u, forge

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "policy.schema.json"
AT = "2026-09-21T12:00:00Z"
MRTD = "ab" * 48
KEY = "11" * 32

GOOD = {
    "format": 1,
    "name": "web",
    "platforms": ["tdx", "snp", "sgx"],
    "tcb": {
        "accept": ["UpToDate", "SWHardeningNeeded"],
        "allow_advisories": [],
        "waive_advisories": [{"id": "INTEL-SA-00837", "until": "2027-01-01T00:00:00Z", "reason": "next maintenance"}],
        "min_evaluation_number": 17,
        "min_date": "2024-03-13T00:00:00Z",
        "minimum": {
            "tdx": {"components": [11, 11], "tdx_components": [5], "pcesvn": 13, "qe_isvsvn": 8},
            "sgx": {"components": [1] * 16, "pcesvn": 13},
            "snp": {
                "milan": {"reported": {"boot_loader": 3, "tee": 0, "snp": 24, "microcode": 219}, "launch": {"snp": 1}},
                "turin": {"committed": {"fmc": 1}, "current": {"microcode": 255}},
            },
        },
    },
    "debug": False,
    "migratable": False,
    "service_td": False,
    "reserved_attributes": False,
    "vmpl": [0, 3],
    "require": {
        "sept_ve_disable": True,
        "revocation": True,
        "committed_firmware": True,
        "secure_boot": False,
        "event_log": {"registers": ["rtmr0", "rtmr3"], "trust_log_labels": True},
    },
    "lists": [{"name": "berlin", "keys": [KEY, "22" * 32], "threshold": 2}],
    "identities": [
        {"name": "web 1", "source": "release 1", "claims": {"mrtd": [MRTD, "CD" * 48], "rtmr0": "00" * 48}},
        {"claims": {"measurement": "cd" * 48, "vmpl": 0}},
    ],
    "identities_from": ["set:web", {"set": "db.v2", "approvals": 2}],
    "conditions": [
        {
            "any_of": [
                {"claim": "chip_id", "in_list": "berlin"},
                {"claim": "fmspc", "prefix": "90c"},
                {
                    "all_of": [
                        {"claim": "pck_pcesvn", "at_least": 13},
                        {"claim": "pck_pcesvn", "at_most": 20},
                        {"any_of": [{"all_of": [{"claim": "smt_enabled", "equals": False}]}]},
                    ]
                },
                {"claim": "td_attributes", "bits_set": "0000001000000000"},
                {"claim": "guest_policy", "bits_clear": "0000080000000000"},
                {"claim": "sgx_type", "one_of": ["Scalable", "ScalableWithIntegrity"]},
            ]
        }
    ],
    "max_age_seconds": 3600,
    "max_collateral_staleness_seconds": 86400,
}


def changed(path, value):
    """GOOD with another value at one place; a value of ... takes the member away."""
    document = copy.deepcopy(GOOD)
    at = document
    for key in path[:-1]:
        at = at[key]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return document


def leaf(condition):
    return changed(["conditions"], [condition])


def nested(depth):
    condition = {"claim": "fmspc", "prefix": "9"}
    for level in range(depth):
        condition = {"any_of" if level % 2 else "all_of": [condition]}
    return leaf(condition)


ALSO_GOOD = {
    "least": {"format": 1},
    "no identity": {"format": 1, "identities": []},
    "no advisories": {"format": 1, "tcb": {"allow_advisories": ["INTEL-SA-00615"]}},
    "deepest": nested(4),
    "a zero beside another number": changed(["tcb", "minimum"], {"snp": {"genoa": {"reported": {"snp": 0, "tee": 1}}}}),
    "any of some": changed(["tcb", "minimum"], {"tdx": {"pcesvn": 1}, "sgx": "any", "nitro": "any", "maa": "any"}),
    "any of a family": changed(["tcb", "minimum", "snp", "genoa"], "any"),
}

# What each takes away, adds or changes; both the schema and the parser must see it.
REFUSED = {
    "no format": changed(["format"], ...),
    "another format": changed(["format"], 2),
    "format as text": changed(["format"], "1"),
    "unknown member": changed(["migrateable"], True),
    "empty name": changed(["name"], ""),
    "no platforms": changed(["platforms"], []),
    "unknown platform": changed(["platforms"], ["snp2"]),
    "debug as text": changed(["debug"], "yes"),
    "no status": changed(["tcb", "accept"], []),
    "revoked": changed(["tcb", "accept"], ["Revoked"]),
    "waivers alone": changed(["tcb", "allow_advisories"], ...),
    "no waivers": changed(["tcb", "waive_advisories"], []),
    "waiver without reason": changed(["tcb", "waive_advisories", 0, "reason"], ...),
    "waiver until some day": changed(["tcb", "waive_advisories", 0, "until"], "soon"),
    "negative number": changed(["tcb", "min_evaluation_number"], -1),
    "date without time": changed(["tcb", "min_date"], "2024-03-13"),
    "no minimum": changed(["tcb", "minimum"], {}),
    "minimum of nobody": changed(["tcb", "minimum"], {"nitro": {"pcesvn": 1}}),
    "minimum of some word": changed(["tcb", "minimum", "sgx"], "none"),
    "zero for PCESVN": changed(["tcb", "minimum", "sgx", "pcesvn"], 0),
    "zeros for components": changed(["tcb", "minimum", "sgx", "components"], [0] * 16),
    "zeros for a family": changed(["tcb", "minimum"], {"snp": {"genoa": {"reported": {"snp": 0}}}}),
    "seventeen components": changed(["tcb", "minimum", "sgx", "components"], [1] * 17),
    "component of two bytes": changed(["tcb", "minimum", "sgx", "components"], [256]),
    "FMC of Milan": changed(["tcb", "minimum", "snp", "milan", "reported", "fmc"], 1),
    "unknown TCB": changed(["tcb", "minimum", "snp", "milan", "now"], {"snp": 1}),
    "no VMPL": changed(["vmpl"], []),
    "the host's VMPL": changed(["vmpl"], [4]),
    "five VMPLs": changed(["vmpl"], [0, 1, 2, 3, 0]),
    "unknown requirement": changed(["require", "secureboot"], True),
    "no lists": changed(["lists"], []),
    "list without keys": changed(["lists", 0, "keys"], []),
    "list with a short key": changed(["lists", 0, "keys"], ["11"]),
    "list of no name": changed(["lists", 0, "name"], "Berlin!"),
    "identity without claims": changed(["identities", 0, "claims"], {}),
    "identity that measures no code": changed(["identities", 0, "claims"], {"rtmr0": MRTD}),
    "measurement of zeros": changed(["identities", 0, "claims", "mrtd"], "00" * 48),
    "short measurement": changed(["identities", 0, "claims", "mrtd"], "aabb"),
    "no measurement": changed(["identities", 0, "claims", "mrtd"], []),
    "unknown claim of an identity": changed(["identities", 0, "claims", "mrtt"], MRTD),
    "no sets": changed(["identities_from"], []),
    "set without scheme": changed(["identities_from"], ["web"]),
    "set of no approvals": changed(["identities_from"], [{"set": "web", "approvals": 0}]),
    "no conditions": changed(["conditions"], []),
    "unknown claim": leaf({"claim": "mrtt", "equals": MRTD}),
    "no operator": leaf({"claim": "mrtd"}),
    "two operators": leaf({"claim": "pck_pcesvn", "at_least": 1, "at_most": 2}),
    "unknown operator": leaf({"claim": "pck_pcesvn", "more_than": 1}),
    "bound on bytes": leaf({"claim": "mrtd", "at_least": 1}),
    "bits of a number": leaf({"claim": "pck_pcesvn", "bits_set": "03"}),
    "mask of another size": leaf({"claim": "td_attributes", "bits_set": "03"}),
    "mask without a bit": leaf({"claim": "td_attributes", "bits_set": "00" * 8}),
    "prefix of a number": leaf({"claim": "pck_pcesvn", "prefix": "1"}),
    "prefix of nothing": leaf({"claim": "fmspc", "prefix": ""}),
    "prefix that is no hex": leaf({"claim": "fmspc", "prefix": "xy"}),
    "prefix that is too long": leaf({"claim": "fmspc", "prefix": "00" * 7}),
    "one of none": leaf({"claim": "fmspc", "one_of": []}),
    "boolean as text": leaf({"claim": "smt_enabled", "equals": "true"}),
    "number as text": leaf({"claim": "pck_pcesvn", "equals": "13"}),
    "list that is no name": leaf({"claim": "chip_id", "in_list": ""}),
    "no alternatives": leaf({"any_of": []}),
    "alternatives and a claim": leaf({"any_of": [{"claim": "fmspc", "prefix": "9"}], "claim": "fmspc"}),
    "too deep": nested(5),
    "age as text": changed(["max_age_seconds"], "3600"),
    "age of a thousand years": changed(["max_age_seconds"], 10**11),
    "staleness of half a second": changed(["max_collateral_staleness_seconds"], 0.5),
}

# Only the parser can see these.
ONLY_REFUSED_BY_THE_PARSER = {
    "list of nobody": leaf({"claim": "chip_id", "in_list": "paris"}),
    "threshold above the keys": changed(["lists", 0, "threshold"], 3),
    "list named twice": changed(["lists"], GOOD["lists"] * 2),
    "no such day": changed(["tcb", "min_date"], "2024-02-31T00:00:00Z"),
    "any of everything": changed(["tcb", "minimum"], {"tdx": "any", "snp": {"milan": "any"}}),
}


@pytest.fixture(scope="module")
def schema():
    done = attestry("policy", "schema")
    assert done.code == 0, done
    return done


@pytest.fixture(scope="module")
def validator(schema):
    document = schema.json()
    jsonschema_rs.meta.validate(document)
    return jsonschema_rs.Draft202012Validator(document)


def linted(document):
    done = attestry("policy", "lint", "-", "--at", AT, "--format", "json", stdin=json.dumps(document).encode())
    return done.code, done.json()["files"][0]


def parses(document):
    """Parser's mistakes alone have no verdict of the linter's own: a digest is there when the document parses."""
    return linted(document)[1]["sha256"] is not None


def test_policy_schema_is_the_one_in_the_documentation(schema):
    assert PAGE.read_text() == schema.out, "run: attestry policy schema > docs/reference/policy.schema.json"


@pytest.mark.parametrize("document", [GOOD, *ALSO_GOOD.values()], ids=["everything", *ALSO_GOOD])
def test_policy_schema_and_parser_take_what_is_good(validator, document):
    assert [error.message for error in validator.iter_errors(document)] == []
    assert parses(document), linted(document)


@pytest.mark.parametrize("document", REFUSED.values(), ids=list(REFUSED))
def test_policy_schema_and_parser_refuse_what_is_wrong(validator, document):
    assert not validator.is_valid(document)
    assert not parses(document)


@pytest.mark.parametrize("document", ONLY_REFUSED_BY_THE_PARSER.values(), ids=list(ONLY_REFUSED_BY_THE_PARSER))
def test_policy_parser_refuses_more_than_the_schema_can_say(validator, document):
    assert validator.is_valid(document)
    assert not parses(document)


@pytest.mark.parametrize("name", ["genuine", "default", "strict"])
def test_policy_builtin_is_good_by_schema_and_linter(validator, name):
    document = attestry("policy", "builtin", name).json()
    assert validator.is_valid(document)
    assert linted(document) == (0, {**linted(document)[1], "sound": True, "findings": []})


def test_policy_schema_is_served(dev, schema):
    reply = dev.request("GET", "/v1/policy-schema")
    assert reply.status == 200
    assert reply.json() == schema.json()


def test_policy_lint_lists_every_mistake_and_its_place(tmp_path):
    wrong = changed(["conditions"], [{"claim": "mrtt", "equals": "00"}, {"claim": "fmspc", "prefix": "zz"}])
    del wrong["max_age_seconds"]  # of platforms that bear no time: a mistake, too
    wrong["tcb"]["accept"] = ["UpToDat"]
    wrong["tcb"]["waive_advisories"][0]["until"] = "2020-01-01T00:00:00Z"
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    (tmp_path / "good.json").write_text(json.dumps({"format": 1, "name": "good one"}))
    done = attestry("policy", "lint", "wrong.json", "good.json", "--at", AT, cwd=tmp_path)
    assert done.code == 2
    assert "wrong.json: 4 mistakes" in done.err
    for place in ["conditions[0]", "conditions[1]", "tcb.accept[0]", "tcb.waive_advisories[0]"]:
        assert place in done.err
    assert "Did you mean mrtd?" in done.err
    assert done.out.startswith("good.json: good: good one, sha256 ")
    assert attestry("policy", "check", "wrong.json", "--at", AT, cwd=tmp_path).err in done.err


def test_policy_lint_refuses_conditions_that_nothing_meets():
    pair = [{"claim": "pck_pcesvn", "equals": 3}, {"claim": "pck_pcesvn", "equals": 4}]
    code, report = linted({"format": 1, "conditions": pair})
    assert code == 2
    assert [(f["severity"], f["path"]) for f in report["findings"]] == [("error", "conditions[1]")]
    code, report = linted({"format": 1, "platforms": ["nitro"], "conditions": [{"claim": "mrtd", "prefix": "a"}]})
    assert code == 2 and report["findings"][0]["path"] == "conditions[0]"
    code, report = linted({"format": 1, "identities": []})
    assert code == 2 and "accepts nothing" in report["findings"][0]["what"]
    assert linted({"format": 1})[0] == 0


# --- with evidence --------------------------------------------------------------------------------------------------

KINDS = [
    "tdx-v4",
    "tdx-v5-td15ex",
    "sgx-v3",
    "snp-milan-v2",
    "snp-turin-v5",
    "nitro",
    "maa-sgx",
    "maa-azurevm-snp",
    "maa-tdxvm",
]


def forged(folder, kind, *flags):
    done = attestry("forge", "--kind", kind, "--at", AT, "--out", folder, *flags)
    assert done.code == 0, done
    return folder


def verify(folder, policy, *flags):
    """Exit code and verdict."""
    about = json.loads((folder / "case.json").read_text())
    command = ["verify", folder, "--offline", "--format", "json", "--policy", policy]
    if "--at" not in flags:
        command += ["--at", AT]
    if "trust_anchor" in about:
        command += ["--trust", folder / about["trust_anchor"]]
    if "expected_issuer" in about:
        issuer = about["expected_issuer"]
        command += ["--issuer", issuer, "--jwks", f"{issuer}={folder / 'jwks.json'}"]
    done = attestry(*command, *flags)
    return done.code, done.json()


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    made = {}

    def make(kind, *flags):
        if (kind, *flags) not in made:
            made[kind, *flags] = forged(folder / f"{kind}{len(made)}", kind, *flags)
        return made[kind, *flags]

    return make


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", ["genuine", "default", "strict"])
def test_policy_builtin_accepts_good_evidence_of_every_platform(cases, kind, policy):
    code, verdict = verify(cases(kind), policy)
    assert (code, verdict["verdict"]) == (0, "accepted"), verdict["root_cause"]


def failed(verdict):
    return {check["id"]: check for check in verdict["checks"] if check["status"] == "fail"}


def judged(cases, tmp_path, kind, policy, *flags):
    (tmp_path / "policy.json").write_text(json.dumps({"format": 1, **policy}))
    return verify(cases(kind), tmp_path / "policy.json", *flags)


def test_policy_minimum_versions_of_real_looking_evidence(cases, tmp_path):
    _, verdict = verify(cases("snp-milan-v2"), "default")
    svn = verdict["claims"]["tcb_microcode"]
    minimum = {"tcb": {"minimum": {"snp": {"milan": {"reported": {"microcode": svn}}}}}}
    assert judged(cases, tmp_path, "snp-milan-v2", minimum)[0] == 0
    minimum["tcb"]["minimum"]["snp"]["milan"]["reported"]["microcode"] = svn + 1
    code, verdict = judged(cases, tmp_path, "snp-milan-v2", minimum)
    assert code == 1
    assert failed(verdict)["policy.tcb.minimum"]["actual"] == f"reported_tcb.microcode {svn}"
    assert judged(cases, tmp_path, "snp-turin-v5", minimum)[0] == 1, "no minimum for Turin is no permission"
    code, verdict = judged(cases, tmp_path, "nitro", minimum)
    assert (code, verdict["root_cause"]["id"]) == (1, "policy.tcb.minimum"), "nor is none for Nitro"
    assert 'name it in tcb.minimum, with versions or with "any"' in failed(verdict)["policy.tcb.minimum"]["detail"]
    minimum["tcb"]["minimum"]["nitro"] = "any"
    assert judged(cases, tmp_path, "nitro", minimum)[0] == 0

    _, verdict = verify(cases("tdx-v4"), "default")
    first = int(verdict["claims"]["pck_components"][:2], 16)
    assert judged(cases, tmp_path, "tdx-v4", {"tcb": {"minimum": {"tdx": {"components": [first]}}}})[0] == 0
    code, verdict = judged(cases, tmp_path, "tdx-v4", {"tcb": {"minimum": {"tdx": {"components": [first + 1]}}}})
    assert code == 1 and "policy.tcb.minimum" in failed(verdict)


def test_policy_age_is_of_the_evidence_and_fails_without_a_time(cases, tmp_path):
    later = ["--at", "2026-09-21T12:10:00Z"]
    assert judged(cases, tmp_path, "nitro", {"max_age_seconds": 600}, *later)[0] == 0
    code, verdict = judged(cases, tmp_path, "nitro", {"max_age_seconds": 60}, *later)
    assert code == 1 and "policy.age" in failed(verdict)
    code, verdict = judged(cases, tmp_path, "tdx-v4", {"max_age_seconds": 600})
    assert code == 1 and "bears no time" in failed(verdict)["policy.age"]["detail"]


def test_policy_event_log_must_be_there(cases, tmp_path):
    code, verdict = judged(cases, tmp_path, "tdx-v4", {"require": {"event_log": True}})
    assert code == 3 and "policy.event_log" in failed(verdict)
    folder = forged(tmp_path / "logged", "tdx-v4", "--event-log")
    (tmp_path / "policy.json").write_text(
        json.dumps({"format": 1, "require": {"event_log": True, "secure_boot": True}})
    )
    code, verdict = verify(folder, tmp_path / "policy.json")
    on = verdict["claims"]["eventlog.secure_boot"]
    assert code == (0 if on else 1)
    assert verdict["claims"]["eventlog.registers"] == "rtmr0 rtmr1 rtmr2 rtmr3"


def test_policy_takes_labels_of_a_log_only_beside_the_register(cases, tmp_path):
    folder = forged(tmp_path / "logged", "tdx-v4", "--event-log-fault", "relabelled-kernel")
    policy = tmp_path / "policy.json"
    line = {"claim": "eventlog.command_line", "prefix": "/vmlinuz "}

    def judge(rules):
        policy.write_text(json.dumps({"format": 1, **rules}))
        return verify(folder, policy)

    code, verdict = judge({"conditions": [line]})
    assert code == 1 and "only the log's word" in failed(verdict)["policy.condition"]["actual"]
    register = {"claim": "rtmr2", "equals": verdict["claims"]["rtmr2"]}
    assert judge({"conditions": [line, register]})[0] == 0
    assert judge({"conditions": [line], "require": {"event_log": {"trust_log_labels": True}}})[0] == 0


def test_policy_alternatives_that_fail_are_explained(cases, tmp_path):
    alternatives = [
        {"claim": "fmspc", "equals": "ffffffffffff"},
        {"all_of": [{"claim": "pck_pcesvn", "at_least": 60000}, {"claim": "sgx_type", "prefix": "s"}]},
    ]
    code, verdict = judged(cases, tmp_path, "tdx-v4", {"conditions": [{"any_of": alternatives}]})
    detail = failed(verdict)["policy.condition"]["detail"]
    assert code == 1
    assert "alternative 1: fmspc ffffffffffff, found fmspc " in detail
    assert "alternative 2: (pck_pcesvn at least 60000" in detail and "sgx_type" not in detail


def test_policy_place_lists_are_signed_and_let_in_what_they_name(cases, tmp_path):
    keys = {}
    for name in ["ann", "eve"]:
        keys[name] = attestry("operator", "keygen", f"{name}.key", cwd=tmp_path).out.strip()
    chip = verify(cases("snp-milan-v2"), "default")[1]["claims"]["chip_id"]
    policy = {
        "lists": [{"name": "berlin", "keys": [keys["ann"]]}],
        "conditions": [{"claim": "chip_id", "in_list": "berlin"}],
    }

    def made(file, signer, chips, **more):
        document = {"format": 1, "name": "berlin", "version": 1, "not_after": "2027-01-01T00:00:00Z"}
        (tmp_path / "list").write_text(json.dumps({**document, "claims": {"chip_id": chips}, **more}))
        done = attestry("policy", "sign-list", "list", "--key", f"{signer}.key", cwd=tmp_path)
        if done.code == 0:
            (tmp_path / file).write_text(done.out)
        return done

    assert made("here", "ann", [chip]).code == 0
    assert made("elsewhere", "ann", ["aa" * 64]).code == 0
    assert made("forged", "eve", [chip]).code == 0
    assert made("past", "ann", [chip], not_after="2026-01-01T00:00:00Z").code == 0
    assert "128 hex digits" in made("bad", "ann", ["aa"]).err

    def code_with(*files):
        flags = [flag for file in files for flag in ("--place-list", tmp_path / file)]
        return judged(cases, tmp_path, "snp-milan-v2", policy, *flags)

    assert code_with("here")[0] == 0
    for wrong, check in {"elsewhere": "policy.condition", "forged": "policy.list", "past": "policy.list"}.items():
        code, verdict = code_with(wrong)
        assert code == 1 and check in failed(verdict), wrong
    assert "policy.list" in failed(code_with()[1])
    assert code_with("forged", "here")[0] == 0

    again = attestry("policy", "sign-list", "here", "--key", "eve.key", cwd=tmp_path)
    assert len(again.json()["signatures"]) == 2
    twice = attestry("policy", "sign-list", "here", "--key", "ann.key", cwd=tmp_path)
    assert twice.code != 0 and "has signed the list already" in twice.err


def test_policy_lists_in_a_request(dev, tmp_path):
    """The server judges with the lists that a request brings: the policy says whose they must be."""
    public = attestry("operator", "keygen", "ann.key", cwd=tmp_path).out.strip()
    document = {"format": 1, "name": "x", "version": 1, "not_after": "2100-01-01T00:00:00Z"}
    (tmp_path / "list").write_text(json.dumps({**document, "claims": {"mrtd": [dev.mrtd]}}))
    signed = attestry("policy", "sign-list", "list", "--key", "ann.key", cwd=tmp_path).json()

    def judged_by(key, lists):
        policy = {"lists": [{"name": "x", "keys": [key]}], "conditions": [{"claim": "mrtd", "in_list": "x"}]}
        body = {"evidence": b64u(forge(dev.seed, bytes(64))), "policy": {"format": 1, **policy}, "lists": lists}
        return dev.request("POST", "/v1/verify", body)

    assert judged_by(public, [signed]).json()["verdict"] == "accepted"
    reply = judged_by(KEY, [signed])
    assert reply.status == 200, reply
    assert failed(reply.json())["policy.list"]["actual"] == "signed by 0 of them"
    assert judged_by(public, [{"payloadType": "x"}]).status == 400
    assert judged_by(public, [signed] * 5).status == 400
