"""A tracker with a TEE: keys, quotes, judgements, and members who register with evidence. Evidence is the forge's."""

import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingUnixStreamServer

import bls
import pytest
from harness import start_dev
from test_registration_event_logs import CCEL, forge_boot
from workload import b64u, forge

from tracker import Member, Tracker, b64

ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
REPORT_DATA = {"sgx-v3": 368, "sgx-v4": 368, "sgx-v5": 374, "tdx-v4": 568, "tdx-v5-td10": 574, "tdx-v5": 574}


def start(data, *settings):
    listen = ("--set=tracker.listen=127.0.0.1:0", "--set=tracker.plaintext=true")
    return Tracker(start_dev(data, *listen, *(f"--set=tracker.{one}" for one in settings)))


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    """The dev server's own simulated TEE."""
    data = tmp_path_factory.mktemp("tee") / "data"
    settings = [f"attestation=simulated:{data}/forge.seed", "tee_mode=enabled", "pccs_urls=https://pccs.example"]
    started = start(data, *settings, "test_routes=true")
    yield started
    assert started.server.terminate() == 0, started.server.output


def report_data(payload):
    data = payload.encode()
    return (data if len(data) <= 64 else hashlib.sha256(data).digest()).ljust(64, b"\0")


def verify(tracker, quote, payload, **more):
    answer = tracker.post("/verify-attestation", {"quote": quote.hex(), "expected_payload": payload, **more})
    assert answer.status == 200, answer
    return answer.json()


def attested(tracker, member, seed=None, change=lambda payload: payload, *how):
    """A registration with evidence of the simulated TEE of that seed."""
    given = tracker.call("GET", "/attestation-nonce").json()
    payload = f"register||{member.name}||{given['instance_id']}||{b64(member.key)}||{given['nonce']}"
    quote = forge(seed or tracker.server.seed, report_data(change(payload)), "tdx-v4", *how)
    return tracker.registration(member, attestation={"quote": quote.hex(), "nonce": given["nonce"]})


def test_the_same_salt_gives_the_same_key_and_a_proof(tracker):
    made = tracker.post("/keygen-tee", {"salt": "alice"}).json()
    assert (made["success"], made["tee_derived"], made["key_type"]) == (True, True, "BLS12-381 (TEE-derived)")
    again = tracker.post("/keygen-tee", {"salt": "alice"}).json()
    assert {**again, "derivation_time_ms": 0} == {**made, "derivation_time_ms": 0}
    others = [tracker.post("/keygen-tee", {"salt": "bob"}).json(), tracker.post("/keygen-tee", {}).json()]
    assert len({one["public_key"] for one in [made, *others]}) == 3
    assert made["derivation"]["path"] == "pbts/bls/alice"
    assert (made["derivation"]["purpose"], len(made["derivation"]["signature_chain"])) == ("signature", 1)
    for salt in ["a/b", "a b", "x" * 129, 7]:
        answer = tracker.post("/keygen-tee", {"salt": salt})
        assert (answer.status, answer.json()["success"]) == (400, False), salt


def test_quotes_carry_the_payload(tracker):
    for payload in ["hello", "x" * 64, "y" * 65]:
        made = tracker.post("/generate-attestation", {"payload": payload}).json()
        quote = bytes.fromhex(made["quote"])
        assert (made["payload"], made["quote_size_bytes"]) == (payload, len(quote))
        assert quote[568:632] == report_data(payload)
        judged = verify(tracker, quote, payload, pccs_url="https://pccs.example")
        assert (judged["is_valid"], judged["status"], judged["tcb_status"]) == (True, "OK", "UpToDate")
        assert (judged["report_data"], judged["simulated"]) == (report_data(payload).hex(), True)
        assert judged["measurements"]["mrtd"] == quote[184:232].hex()
        other = verify(tracker, quote, payload + "!")
        assert (other["is_valid"], other["evidence"]) == (False, "genuine")
        assert "report_data" in other["error"] or "report data" in other["error"]


@pytest.mark.parametrize("payload", ["register||eve||00", "PBTS-Tracker-v1.0:factory=0", "dip1::x", "a\n", "a\0", "é"])
def test_nobody_has_it_quote_what_could_mean_something_else(tracker, payload):
    answer = tracker.post("/generate-attestation", {"payload": payload})
    assert (answer.status, answer.json()["success"]) == (400, False)


def test_what_is_not_genuine_is_not_valid(tracker):
    quote = forge(tracker.server.seed, report_data("p"))
    assert verify(tracker, quote, "p")["is_valid"]
    padded = verify(tracker, quote + bytes(70), "p")
    assert padded["is_valid"], padded
    patched = quote[:568] + report_data("q") + quote[632:]
    for forged in [patched, quote[:700], b"\4", forge("somebody else", report_data("q"))]:
        judged = verify(tracker, forged, "q")
        assert (judged["is_valid"], judged["success"]) == (False, True) and judged["error"]
    assert not verify(tracker, quote, "p" + "\0" * 3 + "x")["is_valid"]
    assert tracker.post("/verify-attestation", {"quote": "zz", "expected_payload": "p"}).json()["is_valid"] is False
    for body, error in [
        ({"quote": quote.hex()}, "Missing quote or expected_payload"),
        ({"expected_payload": "p"}, "Missing quote or expected_payload"),
        (
            {"quote": quote.hex(), "expected_payload": "p", "pccs_url": "https://evil.example"},
            "pccs_url: expected one of tracker.pccs_urls",
        ),
    ]:
        answer = tracker.post("/verify-attestation", body)
        assert (answer.status, answer.json()["error"]) == (400, error)


@pytest.mark.parametrize("kind", sorted(REPORT_DATA))
def test_the_payload_is_looked_for_where_the_version_has_it(tracker, kind):
    quote = forge(tracker.server.seed, report_data("version"), kind)
    at = REPORT_DATA[kind]
    assert quote[at : at + 64] == report_data("version")
    assert verify(tracker, quote, "version")["is_valid"]
    assert not verify(tracker, quote, "another")["is_valid"]


def test_status_counts(tracker):
    before = tracker.call("GET", "/tee/status").json()
    assert (before["tee_available"], before["tee_mode"], before["tee"]) == (True, "enabled", "simulated")
    tracker.post("/keygen-tee", {})
    tracker.post("/generate-attestation", {"payload": "count"})
    tracker.post("/generate-attestation", {})
    after = tracker.call("GET", "/tee/status").json()["statistics"]
    for name in ["key_generations", "attestations_generated"]:
        assert after[name] == before["statistics"][name] + 1
    assert after["avg_attestation_time_ms"] == pytest.approx(
        after["total_attestation_time_ms"] / after["attestations_generated"]
    )
    config = tracker.call("GET", "/config").json()
    assert (config["tee_available"], config["tee_mode"]) == (True, "enabled")


def test_a_tracker_without_a_tee(tmp_path):
    tracker = start(tmp_path / "data")
    status = tracker.call("GET", "/tee/status")
    assert (status.status, status.json()["tee_mode"], status.json()["tee_available"]) == (200, "unavailable", False)
    assert tracker.call("GET", "/config").json()["tee_mode"] == "disabled"
    for path, body in [("/keygen-tee", {}), ("/generate-attestation", {"payload": "p"})]:
        assert tracker.post(path, body).status == 503
    quote = forge(tracker.server.seed, report_data("p"))
    assert verify(tracker, quote, "p")["is_valid"]
    assert tracker.server.terminate() == 0


def test_the_mode_disabled_and_private_keys(tmp_path):
    data = tmp_path / "data"
    tracker = start(data, f"attestation=simulated:{data}/forge.seed")
    for path, error in [
        ("/keygen-tee", "TEE requested but mode is DISABLED"),
        ("/generate-attestation", "TEE not available for attestation"),
    ]:
        answer = tracker.post(path, {"payload": "p"})
        assert (answer.status, answer.json()["error"]) == (500, error)
    assert tracker.server.terminate() == 0
    tracker = start(data, f"attestation=simulated:{data}/forge.seed", "tee_mode=benchmark")
    made = tracker.post("/keygen-tee", {"salt": "s"}).json()
    assert "private_key" not in made and made["regular_time_ms"] > 0
    assert tracker.server.terminate() == 0
    tracker = start(data, f"attestation=simulated:{data}/forge.seed", "tee_mode=enabled")
    assert tracker.post("/keygen-tee", {"salt": "s"}).json()["public_key"] == made["public_key"], "after a restart"
    assert tracker.server.terminate() == 0


def test_an_administrator_changes_the_mode(tmp_path):
    data = tmp_path / "data"
    tracker = start(data, f"attestation=simulated:{data}/forge.seed")
    admin = {"Authorization": f"Bearer {tracker.server.token}"}
    assert tracker.post("/config", {"tee_mode": "enabled"}).status == 401
    assert tracker.post("/config", {"tee_mode": "on"}, headers=admin).json()["error"] == "Invalid tee_mode: on"
    assert tracker.post("/keygen-tee", {}).status == 500
    assert tracker.post("/config", {"tee_mode": "enabled"}, headers=admin).status == 200
    assert tracker.post("/keygen-tee", {}).status == 200
    assert tracker.call("GET", "/config").json()["tee_mode"] == "enabled"
    assert tracker.server.terminate() == 0


def test_an_outage_of_collateral_is_no_verdict(tmp_path):
    listen = ("--set=tracker.listen=127.0.0.1:0", "--set=tracker.plaintext=true")
    away = ("--set=collateral.pcs=http://127.0.0.1:9", "--set=collateral.timeout_seconds=1")
    tracker = Tracker(start_dev(tmp_path / "data", *listen, *away))
    quote = forge(tracker.server.seed, report_data("p"))
    answer = tracker.post("/verify-attestation", {"quote": quote.hex(), "expected_payload": "p"})
    assert (answer.status, answer.json()["success"], "is_valid" in answer.json()) == (503, False, False), answer
    alice = Member("alice")
    body = attested(tracker, alice)
    for _ in range(2):  # the nonce is not used up
        answer = tracker.post("/register", body)
        assert answer.status == 503, answer
    assert tracker.server.terminate() == 0


def test_members_register_with_evidence(tmp_path):
    tracker = start(tmp_path / "data", "attested_members=true")
    alice, bob, eve = Member("alice"), Member("bob"), Member("eve")
    bare = tracker.post("/register", tracker.registration(alice))
    assert (bare.status, bare.json()["error"]) == (401, "Missing attestation")
    body = attested(tracker, alice)
    answer = tracker.post("/register", body)
    assert (answer.status, answer.json().get("attested")) == (200, True), answer
    # The same evidence again: for itself, and for somebody else.
    replayed = tracker.post("/register", body)
    assert (replayed.status, replayed.json()["error"]) == (409, "User already exists")
    stolen = attested(tracker, bob)
    mallory = {**tracker.registration(eve), "attestation": stolen["attestation"]}
    assert tracker.post("/register", mallory).status == 422
    assert tracker.post("/register", {**stolen, "user_id": "eve"}).status == 401
    # What was refused used up nothing.
    assert tracker.post("/register", stolen).status == 200
    for wrong, status in [
        (attested(tracker, eve, "another vendor"), 422),
        (attested(tracker, eve, None, lambda payload: payload.replace("||eve||", "||adam||")), 422),
        (attested(tracker, eve, None, lambda payload: payload.split("||" + b64(eve.key))[0]), 422),
        (attested(tracker, eve, None, lambda payload: payload[:-1]), 422),
        ({**tracker.registration(eve), "attestation": "04"}, 400),
        ({**tracker.registration(eve), "attestation": {"quote": "04"}}, 400),
        ({**attested(tracker, eve), "proof_of_possession": b64(bls.prove_possession(bob.secret))}, 401),
        ({**attested(tracker, eve), "signature": tracker.registration(bob)["signature"]}, 401),
    ]:
        answer = tracker.post("/register", wrong)
        assert (answer.status, answer.json()["success"]) == (status, False), answer
    foreign = attested(tracker, eve)
    foreign["attestation"]["nonce"] = os.urandom(40).hex()
    answer = tracker.post("/register", foreign)
    assert (answer.status, answer.json()["error"]) == (400, "nonce of the attestation")
    # Who shows nothing of the key has its evidence not looked at, and the nonce is still good.
    whole = attested(tracker, eve)
    assert tracker.post("/register", {**whole, "signature": tracker.registration(bob)["signature"]}).status == 401
    assert tracker.post("/register", whole).status == 200
    assert tracker.server.terminate() == 0


def test_a_policy_for_members_may_ask_what_was_booted(tmp_path):
    (tmp_path / "policy.json").write_text(json.dumps({"format": 1, "name": "booted", "require": {"event_log": True}}))
    tracker = start(tmp_path / "data", "attested_members=true", f"member_policy={tmp_path}/policy.json")
    alice = Member("alice")

    def registration(sent, *boot):
        given = tracker.call("GET", "/attestation-nonce").json()
        payload = f"register||alice||{given['instance_id']}||{b64(alice.key)}||{given['nonce']}"
        quote, logs = forge_boot(tracker.server.seed, report_data(payload), *boot)
        attestation = {"quote": quote.hex(), "nonce": given["nonce"]}
        if sent is not None:
            attestation["event_logs"] = [b64u(log) for log in sent(logs)]
        return tracker.registration(alice, attestation=attestation)

    wrong = [
        (registration(None), 403),
        (registration(lambda logs: []), 403),
        (registration(lambda logs: [logs[CCEL]], "--event-log-fault", "other-boot"), 422),
        (registration(lambda logs: [logs[CCEL]] * 2), 400),
    ]
    for body, status in wrong:
        answer = tracker.post("/register", body)
        assert (answer.status, answer.json()["success"]) == (status, False), answer
    answer = tracker.post("/register", registration(lambda logs: [logs[CCEL]]))
    assert (answer.status, answer.json().get("attested")) == (200, True), answer
    assert tracker.server.terminate() == 0


class Agent:
    """A guest agent of dstack whose quotes are the forge's; `faults` is what was asked otherwise than documented.
    `seed()` is the vendor's; `quoted(report_data)` gives a quote and its event log, for those who ask what was booted."""

    def __init__(self, path, seed, quoted=None):
        self.faults, self.asked, agent = [], [], self
        quoted = quoted or (lambda report_data: (forge(seed(), report_data), "[]"))

        def quote(report_data):
            made, log = quoted(bytes.fromhex(report_data))
            return {"quote": made.hex(), "event_log": log, "report_data": report_data}

        replies = {
            "/GetKey": lambda body: {
                "key": hashlib.sha256(body["path"].encode()).hexdigest(),
                "signature_chain": ["11" * 64 + "00", "22" * 64 + "01"],
            },
            "/GetQuote": lambda body: quote(**body),
        }
        fields = {"/GetKey": {"path", "purpose"}, "/GetQuote": {"report_data"}}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self):
                return "unix"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                agent.asked.append((self.path, body))
                if self.headers["Content-Type"] != "application/json" or set(body) != fields.get(self.path):
                    agent.faults.append((self.path, body))
                text = json.dumps(replies[self.path](body)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(text)

        class Server(ThreadingUnixStreamServer):
            daemon_threads = True

        self._server = Server(str(path), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


def test_a_guest_agent_of_dstack(tmp_path):
    socket, data = tmp_path / "agent.sock", tmp_path / "data"
    agent = Agent(socket, lambda: (data / "forge.seed").read_text())
    tracker = start(data, f"attestation=dstack:{socket}", "tee_mode=enabled", "test_routes=true")
    assert tracker.call("GET", "/tee/status").json()["tee"] == "dstack"
    made = tracker.post("/keygen-tee", {"salt": "alice"}).json()
    secret = int(hashlib.sha256(b"pbts/bls/alice").hexdigest(), 16) % ORDER
    assert made["private_key"] == b64(secret.to_bytes(32, "big"))
    assert made["public_key"] == b64(bls.public_key(secret))
    assert made["derivation"]["signature_chain"] == ["11" * 64 + "00", "22" * 64 + "01"]
    quote = tracker.post("/generate-attestation", {"payload": "who are you"}).json()["quote"]
    assert verify(tracker, bytes.fromhex(quote), "who are you")["is_valid"]
    assert agent.asked == [
        ("/GetKey", {"path": "pbts/bls/alice", "purpose": "signature"}),
        ("/GetQuote", {"report_data": report_data("who are you").hex()}),
    ]
    assert agent.faults == []
    # An agent that is away is an outage.
    agent.stop()
    for path, body in [("/keygen-tee", {"salt": "alice"}), ("/generate-attestation", {"payload": "p"})]:
        assert tracker.post(path, body).status == 503
    assert tracker.server.terminate() == 0
