"""What workloads ask nodes of a threshold root for, by a workload that knows the formats alone: FORMATS 3 and 10,
docs/formats/threshold.md, and the curve in plain integers."""

import base64
import hashlib
import json
import struct

import pytest
from near import base58, unbase58
from threshold import APP, cluster
from workload import forge, hkdf_expand, hkdf_extract, measurement

NEAR = "near:alice.near"
REFUSED = "name:refused"
BOOTED = "name:booted"

# ---- BLS12-381's G1, as in the IETF's draft of pairing-friendly curves ----

FIELD = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
GENERATOR = bytes.fromhex(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
)


def decode(point):
    x = int.from_bytes(bytes([point[0] & 0x1F]) + point[1:])
    y = pow(x**3 + 4, (FIELD + 1) // 4, FIELD)
    assert y * y % FIELD == (x**3 + 4) % FIELD, "not on the curve"
    return x, y if (y > FIELD - y) == bool(point[0] & 0x20) else FIELD - y


def encode(point):
    x, y = point
    out = bytearray(x.to_bytes(48))
    out[0] |= 0x80 | (0x20 if y > FIELD - y else 0)
    return bytes(out)


def minus(first, second):
    """Of points that are different and not each other's opposite."""
    (x1, y1), (x2, y2) = first, (second[0], FIELD - second[1])
    slope = (y2 - y1) * pow(x2 - x1, -1, FIELD) % FIELD
    x = (slope * slope - x1 - x2) % FIELD
    return x, (slope * (x1 - x) - y1) % FIELD


def g1(text):
    kind, _, digits = text.partition(":")
    assert kind == "bls12381g1"
    return decode(unbase58(digits))


# ---- the workload ----


def lp(data):
    return struct.pack(">I", len(data)) + data


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


KINDS = {"name": b"\1", "near": b"\3"}


class Request:
    """With a = 1: A is the generator, and the result C - Y."""

    def __init__(self, cluster, node=0, app=NEAR, purpose=4, audience=None):
        self.server = cluster.nodes[node]
        reply = self.server.request("POST", "/v1/threshold/challenges")
        assert reply.status == 201, reply
        self.nonces = reply.json()["nonces"]
        gathered = lp(b"attestry/nonces/1")
        for one in self.nonces:
            gathered += lp(struct.pack(">I", one["node"])) + lp(unb64(one["nonce"]))
        kind, _, name = app.partition(":")
        parts = (
            *(b"attestry/report-data/1", bytes([purpose]), (audience or f"threshold:{cluster.master}").encode()),
            *(hashlib.sha256(gathered).digest(), b"default", KINDS[kind] + name.encode(), b""),
            *(b"\xff\x01" + GENERATOR, b""),
        )
        quote = forge(self.server.seed, hashlib.sha512(b"".join(map(lp, parts))).digest())
        self.body = {"nonces": self.nonces, "evidence": b64(quote), "app": app}
        key = "bls12381g1:" + base58(GENERATOR)
        if kind == "near":
            self.body["request"] = {"derivation_path": "mykey", "app_public_key": key, "domain_id": 2}
        else:
            self.body |= {"app_public_key": key, "epoch": 0}

    def post(self, **changes):
        body = json.loads(json.dumps(self.body)) | changes
        return self.server.request("POST", "/v1/threshold/derivations", body)


def approve_app(server, app, mrtd=None, **policy):
    """For the simulated machine of the server, or for one that has another measurement."""
    identity = {"name": app, "claims": {"mrtd": [mrtd or measurement(server.seed)]}}
    operator = server.operator
    operator.approve(app, "app.create", app)
    operator.approve(
        app, "policy.approve", operator.blob({"format": 1, "name": "software", "identities": [], **policy})
    )
    operator.approve(app, "identity.approve", operator.blob(identity))


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("three")) as made:
        made.generate(2, range(3))
        for server in made.nodes.values():
            approve_app(server, NEAR)
            approve_app(server, REFUSED, mrtd="55" * 48)
            approve_app(server, BOOTED, require={"event_log": True})
        yield made


def refused(reply, status, slug, detail=""):
    assert reply.status == status, reply
    problem = reply.json()
    assert problem["type"] == f"urn:attestry:error:{slug}", problem
    assert detail in json.dumps(problem), problem


def leaves(cluster, kind):
    return [sum(leaf["type"] == kind for leaf in server.leaves()) for server in cluster.nodes.values()]


def test_a_workload_of_nears_opens_the_key_that_the_program_opens(three):
    request = Request(three)
    reply = request.post()
    assert reply.status == 200, reply
    answer = reply.json()
    result = encode(minus(g1(answer["big_c"]), g1(answer["big_y"])))
    key = hkdf_expand(hkdf_extract(b"", result), b"", 32)
    done = three.derive(1, NEAR, "--path", "mykey")
    assert done.code == 0, done
    assert hashlib.sha256(key).hexdigest() == json.loads(done.out)["key_sha256"]
    # In the tagged form, with the nonces of another time: another answer, the same key.
    again = Request(three, node=2)
    again.body["request"]["app_public_key"] = {"AppPublicKey": again.body["request"]["app_public_key"]}
    other = again.post().json()
    assert other["big_y"] != answer["big_y"]
    assert encode(minus(g1(other["big_c"]), g1(other["big_y"]))) == result


def test_a_request_has_one_answer_and_one_leaf_at_each_node(three):
    before = leaves(three, "threshold.derivation")
    request = Request(three)
    first = request.post()
    assert first.status == 200, first
    assert request.post().body == first.body
    added = [now - then for now, then in zip(leaves(three, "threshold.derivation"), before, strict=True)]
    assert sorted(added) == [0, 1, 1]
    request.body["request"]["derivation_path"] = "other"
    # The node that was not asked yet would answer; two are needed.
    refused(request.post(), 409, "replayed")


def test_what_evidence_was_not_made_for_is_refused(three):
    request = Request(three, app=APP)
    for point in (bytes([0xC0]) + bytes(47), bytes([0x80]) + bytes(46) + b"\4"):  # the identity, and of no use
        refused(request.post(app_public_key="bls12381g1:" + base58(point)), 400, "malformed")
    refused(request.post(app=REFUSED), 422, "evidence-false", "not made for this request")
    refused(request.post(app=NEAR), 422, "evidence-false", "not made for this request")
    refused(request.post(nonces=request.nonces[:2]), 422, "evidence-false", "not made for this request")
    refused(request.post(nonces=[*request.nonces, request.nonces[0]]), 400, "malformed", "ids ascending")
    refused(Request(three, app=APP, purpose=1).post(), 422, "evidence-false", "not made for this request")
    refused(Request(three, app=APP, audience="threshold:other").post(), 422, "evidence-false", "not made for")
    assert request.post().status == 200, "what it was made for is still answered"


def test_a_refusal_by_policy_is_no_outage(three):
    before = leaves(three, "refusal")
    request = Request(three, app=REFUSED)
    refused(request.post(), 403, "denied", "policy")
    added = [now - then for now, then in zip(leaves(three, "refusal"), before, strict=True)]
    assert sum(added) >= 2, "two of three that refuse are enough"
    refused(request.post(), 403, "denied", "policy")
    refused(Request(three, app="name:unknown").post(), 404, "not-found")


def test_an_outage_is_no_refusal(three):
    request = Request(three, app=APP)
    three.kill(1, 2)
    refused(request.post(), 503, "unavailable", "nodes")
    for node in (1, 2):
        three.start(node)
    assert request.post().status == 200, "the same request, once they are back"


def test_event_logs_go_along(three):
    refused(Request(three, app=BOOTED).post(), 403, "denied", "event_log")
    done = three.derive(0, BOOTED, "--simulated-boot")
    assert done.code == 0, done


@pytest.mark.parametrize(
    "domain, status, text",
    [
        (1, 400, "Domain 1 has purpose Sign, but this method requires CKD."),
        (9, 404, "The provided domain ID, 9, was not found."),
    ],
)
def test_the_contracts_words_for_other_domains(three, domain, status, text):
    request = Request(three)
    request.body["request"]["domain_id"] = domain
    reply = request.post()
    assert reply.status == status, reply
    assert text in reply.json()["detail"]
