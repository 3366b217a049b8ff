"""Two trackers that share the record of spent receipts: one serves it, the other claims there before it credits."""

import hashlib
import http.server
import threading

from harness import attestry, start_dev
from harness import request as http_request
from ports import free_ports

from tracker import Member, Tracker, b64

SETTINGS = ("--set=tracker.listen=127.0.0.1:0", "--set=tracker.plaintext=true")
TOKEN = "a token of the second"


class Between:
    """Stands between the two: hands on, holds answers back, or is not there."""

    def __init__(self, to):
        self.to, self.hold, self.held, self.go = to, False, threading.Event(), threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = http_request(outer.to, "POST", self.path, body, dict(self.headers))
                if outer.hold:
                    outer.held.set()
                    outer.go.wait()
                    return
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def instance_of(tracker):
    return tracker.call("GET", "/health").json()["instance_id"]


def test_a_receipt_is_spent_once_among_instances(tmp_path):
    alone = Tracker(start_dev(tmp_path / "second", *SETTINGS))
    instance = instance_of(alone)
    assert alone.server.terminate() == 0
    known = f"--set=tracker.claimers={instance}:{hashlib.sha256(TOKEN.encode()).hexdigest()}"
    first = Tracker(start_dev(tmp_path / "first", *SETTINGS, known))
    between = Between(first.url)
    (tmp_path / "token").write_text(TOKEN + "\n")
    asking = (f"--set=tracker.spent_at={between.url}", f"--set=tracker.spent_token={tmp_path / 'token'}")

    def start_second():
        return Tracker(start_dev(tmp_path / "second", *SETTINGS, *asking))

    second = start_second()
    assert instance_of(second) == instance
    alice, bob = Member("alice"), Member("bob")
    for tracker in (first, second):
        tracker.register(alice)
        tracker.register(bob)
    receipts = [bob.receipt(alice, index) for index in range(4)]

    def reasons(tracker, *which):
        said = tracker.report(alice, [receipts[index] for index in which])
        return said["verified_receipts"], [one["reason"] for one in said["refused"]]

    assert reasons(second, 0) == (1, [])
    assert reasons(first, 0, 1) == (1, ["spent"])
    assert reasons(second, 1, 0) == (0, ["spent", "spent"])

    # Killed when the claim was granted and nothing was credited: the same instance may claim again, no other.
    between.hold = True
    lost = threading.Thread(target=lambda: _drop(second, alice, receipts[2]))
    lost.start()
    assert between.held.wait(60)
    second.server.kill()
    between.go.set()
    lost.join()
    between.hold = False
    assert reasons(first, 2) == (0, ["spent"])
    second = start_second()
    assert second.totals(alice) == (16384, 0)
    assert reasons(second, 2) == (1, [])
    assert reasons(second, 2) == (0, ["spent"])

    # An outage is no verdict.
    between.to = f"http://127.0.0.1:{free_ports(1)[0]}"
    away = second.post("/report", {"user_id": "alice", "receipts": [receipts[3]]})
    assert (away.status, away.json()["success"]) == (503, False), away.json()
    assert second.totals(alice) == (2 * 16384, 0)
    between.to = first.url
    assert reasons(second, 3) == (1, [])
    assert TOKEN not in second.server.output + first.server.output
    for tracker in (first, second):
        assert tracker.server.terminate() == 0, tracker.server.output


def _drop(tracker, member, receipt):
    try:
        tracker.post("/report", {"user_id": member.name, "receipts": [receipt]})
    except OSError:
        return
    raise AssertionError("it was to die")


def test_claims_are_an_instances_own(tmp_path):
    mine, other = "ab" * 32, "cd" * 32
    hashed = hashlib.sha256(TOKEN.encode()).hexdigest()
    tracker = Tracker(start_dev(tmp_path / "data", *SETTINGS, f"--set=tracker.claimers={mine}:{hashed}"))
    claim = {"id": "11" * 32, "last": 1}

    def ask(body, token=TOKEN):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return tracker.call("POST", "/v1/tracker/claims", body, headers)

    good = {"instance": mine, "claims": [claim]}
    assert ask(good, token=None).status == ask(good, token="x").status == 401
    assert ask({**good, "instance": other}).status == 403
    for bad in ["[]", "{", {}, {**good, "claims": 1}, {**good, "claims": [{}]}, {**good, "instance": b64(b"x")}]:
        assert ask(bad).status == 400, bad
    assert ask({**good, "claims": [claim] * 10_001}).status == 413
    assert ask(good).json() == ask(good).json() == {"granted": [True]}
    assert ask({**good, "claims": []}).json() == {"granted": []}
    assert tracker.server.terminate() == 0
    without = Tracker(start_dev(tmp_path / "data", *SETTINGS))
    assert without.post("/v1/tracker/claims", good).status == 404
    assert without.server.terminate() == 0


def test_claimers_are_others_and_each_is_there_once(tmp_path):
    tracker = Tracker(start_dev(tmp_path / "data", *SETTINGS))
    own, other = instance_of(tracker), "cd" * 32
    assert tracker.server.terminate() == 0

    def start(*claimers):
        said = ",".join(f"{instance}:{hashlib.sha256(token.encode()).hexdigest()}" for instance, token in claimers)
        words = ("dev", "--data", tmp_path / "data", "--any-port", *SETTINGS, f"--set=tracker.claimers={said}")
        return attestry(*words)

    copied = start((own, TOKEN))
    assert copied.code == 2 and f"{own}, which is this one's own" in copied.err, copied
    twice = start((other, TOKEN), (other, "another token"))
    assert twice.code == 2 and f"{other} twice" in twice.err, twice
