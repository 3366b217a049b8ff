"""A served tracker: announces, members, receipts."""

import threading
import time

import bls
import pytest
from harness import request as http_request
from harness import start_dev

from tracker import INFOHASH, Member, Tracker, b64

PLAIN = "--set=tracker.plaintext=true"


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    data = tmp_path_factory.mktemp("tracker") / "data"
    server = start_dev(data, "--set=tracker.listen=127.0.0.1:0", PLAIN, "--set=tracker.trusted_proxies=127.0.0.1")
    yield Tracker(server)
    assert server.terminate() == 0, server.output


def test_our_own_signatures_are_those_of_the_first_tracker():
    secret = int("3f8770fa96601672f73f74d30a4bd1d6d8a1a22bee1b39bac637352b92b995fe", 16)
    assert bls.public_key(secret).hex().startswith("a1b1f8e66414f6d714bf294475426eb524d0ab84")
    message = b"register" + b"ab" * 32 + b"alice"
    assert bls.sign(secret, message).hex().startswith("803c347dd1fe34eae7712c4b3b5bdd74a3e08ced")
    assert bls.prove_possession(secret).hex().startswith("b58d24075b1179843509fe264776fae96266901e")


def start(data, *settings):
    return Tracker(start_dev(data, "--set=tracker.listen=127.0.0.1:0", PLAIN, *settings))


def test_two_clients_find_each_other(tracker):
    torrent = b"\x00&%+= two clients !\xff"
    first = tracker.announce(6881, torrent=torrent, event="started", left=7)
    assert (first[b"complete"], first[b"incomplete"], first[b"peers"]) == (0, 1, b"")
    assert (first[b"interval"], first[b"min interval"]) == (1800, 900)
    assert first[b"tracker id"].decode() == tracker.call("GET", "/health").json()["instance_id"]
    second = tracker.announce(6882, torrent=torrent)
    assert second[b"peers"] == bytes([127, 0, 0, 1, 0x1A, 0xE1])
    assert second[b"external ip"] == bytes([127, 0, 0, 1])
    far = {"X-Real-IP": "2001:db8::7"}
    third = tracker.announce(80, torrent=torrent, headers=far, compact=0)
    assert sorted(peer[b"port"] for peer in third[b"peers"]) == [6881, 6882]
    assert {peer[b"ip"] for peer in third[b"peers"]} == {b"127.0.0.1"}
    assert all(len(peer[b"peer id"]) == 20 for peer in third[b"peers"])
    again = tracker.announce(6881, torrent=torrent, left=7)
    assert again[b"peers6"] == bytes.fromhex("20010db8000000000000000000000007") + b"\x00\x50"
    assert tracker.announce(6882, torrent=torrent, event="stopped")[b"complete"] == 1
    assert tracker.announce(6881, torrent=torrent, left=7)[b"peers"] == b""


def test_scrape_counts(tracker):
    torrent = b"scraped, scraped ..."
    tracker.announce(1, torrent=torrent, left=1)
    tracker.announce(2, torrent=torrent)
    tracker.announce(1, torrent=torrent, event="completed")
    answer = tracker.call("GET", "/scrape?info_hash=scraped%2c+scraped%20...&info_hash=short")
    assert answer.text == "d5:filesd20:" + torrent.decode() + "d8:completei2e10:downloadedi1e10:incompletei0eeee"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("info_hash=abc&port=1", "Invalid info_hash"),
        ("info_hash=aaaaaaaaaaaaaaaaaaaa", "Invalid port"),
        ("info_hash=aaaaaaaaaaaaaaaaaaaa&port=1&numwant=many", "Invalid numwant"),
        ("info_hash=aaaaaaaaaaaaaaaaaaaa&port=1&user_id=%", "Invalid percent encoding"),
    ],
)
def test_announces_that_say_nothing_fail_in_bencoding(tracker, query, reason):
    answer = tracker.call("GET", "/announce?" + query)
    assert (answer.status, answer.text) == (200, f"d14:failure reason{len(reason)}:{reason}e")


def test_only_a_trusted_proxy_says_where_a_client_is(tmp_path):
    tracker = start(tmp_path / "data")
    assert tracker.announce(7, headers={"X-Real-IP": "198.51.100.1"})[b"external ip"] == bytes([127, 0, 0, 1])
    assert tracker.server.terminate() == 0


def test_receipts_are_credited_once(tracker):
    alice, bob, eve = Member("alice"), Member("bob"), Member("eve")
    assert tracker.register(alice)["message"] == "User registered successfully"
    tracker.register(bob)
    first, second = bob.receipt(alice, 0), bob.receipt(alice, 1, piece_size=1000)
    forged = {**bob.receipt(alice, 2), "signature": b64(bls.sign(eve.secret, b"x"))}
    stale = bob.receipt(alice, 3, int(time.time()) - 4000)
    unknown = eve.receipt(alice, 4)
    answer = tracker.report(alice, [first, forged, second, first, stale, unknown, {"piece_index": -1}])
    assert (answer["submitted_receipts"], answer["verified_receipts"]) == (7, 2)
    assert [(one["index"], one["reason"]) for one in answer["refused"]] == [
        (1, "bad_signature"),
        (3, "spent"),
        (4, "stale"),
        (5, "unknown_receiver"),
        (6, "malformed"),
    ]
    assert (answer["total_uploaded"], answer["total_downloaded"]) == (17384, 0)
    assert (answer["ratio"], answer["ratio_infinite"]) == (None, True)
    assert tracker.totals(bob) == (0, 17384)
    again = tracker.report(alice, [first, second], uploaded_delta=10**9)
    assert (again["verified_receipts"], again["total_uploaded"]) == (0, 17384)
    assert [one["reason"] for one in again["refused"]] == ["spent", "spent"]
    # Nobody cashes what another sent.
    stolen = tracker.report(bob, [bob.receipt(alice, 9)])
    assert [one["reason"] for one in stolen["refused"]] == ["foreign_sender"]
    # A member who only takes starts nothing new, an unknown one may.
    assert tracker.announce(9, user_id="bob", event="started") == {b"failure reason": b"Insufficient ratio: 0.00 < 0.5"}
    for user, event in [("bob", ""), ("alice", "started"), ("stranger", "started")]:
        assert b"peers" in tracker.announce(9, user_id=user, event=event)


def test_registration_needs_a_proof(tracker):
    carol, dora = Member("carol"), Member("dora")
    good = tracker.registration(carol)
    possession = b64(bls.prove_possession(carol.secret))
    wrong = [
        ({"user_id": "carol"}, 400, "Missing user_id or public_key"),
        ({**good, "public_key": "!"}, 400, "Invalid public key encoding"),
        ({**good, "signature": None}, 401, None),
        ({**good, "signature": "!"}, 401, "Invalid signature format"),
        ({**good, "signature": b64(bytes(96))}, 401, "Invalid signature"),
        ({**good, "user_id": "caroline"}, 401, "Invalid signature"),
        (carol.registration("ab" * 32), 401, "Invalid signature"),
        ({**good, "proof_of_possession": b64(bls.prove_possession(dora.secret))}, 401, "Invalid proof of possession"),
        # Both are looked at, and whoever has seen a proof of possession could repeat it here.
        ({**good, "signature": b64(bytes(96)), "proof_of_possession": possession}, 401, "Invalid signature"),
        (
            {**good, "signature": None, "user_id": "mallory", "proof_of_possession": possession},
            401,
            "Missing signature: a proof of possession says nothing of user and tracker",
        ),
        ({**good, "public_key": b64(b"\xc0" + bytes(47))}, 400, None),
    ]
    for body, status, error in wrong:
        answer = tracker.post("/register", body)
        assert (answer.status, answer.json()["success"]) == (status, False), answer
        assert error in (None, answer.json()["error"]), answer
    tracker.register(carol, proof_of_possession=possession)
    taken = tracker.post("/register", good)
    assert (taken.status, taken.json()["error"]) == (409, "User already exists")
    carol.name = "carol2"
    second = tracker.post("/register", tracker.registration(carol))
    assert (second.status, second.json()["error"]) == (409, "Public key already registered")


def test_a_proof_of_possession_alone_is_a_switch(tmp_path):
    tracker = start(tmp_path / "data", "--set=tracker.unbound_proofs=true")
    carol = Member("carol")
    tracker.register(carol, signature=None, proof_of_possession=b64(bls.prove_possession(carol.secret)))
    assert tracker.server.terminate() == 0


def test_bad_reports_are_refused(tracker):
    gus = Member("gus")
    tracker.register(gus)
    for body, status, error in [
        ({}, 400, "Missing user_id"),
        ({"user_id": "nobody"}, 404, "User not registered"),
        ({"user_id": "gus", "uploaded_delta": -1}, 400, None),
        ({"user_id": "gus", "receipts": 7}, 400, None),
        ({"user_id": "gus", "receipts": [{}] * 1001}, 413, "too many receipts"),
        ({"user_id": "gus", "public_key": b64(bytes(48))}, 403, None),
        ("[1]", 400, None),
        ("{", 400, None),
    ]:
        answer = tracker.post("/report", body)
        assert (answer.status, answer.json()["success"]) == (status, False), answer
        assert error in (None, answer.json()["error"]), answer
    # No receipts, no credit: what a client says of itself counts for nothing.
    assert tracker.report(gus, [], uploaded_delta=5)["total_uploaded"] == 0
    assert tracker.call("GET", "/user/nobody").json() == {"error": "User not found"}


def test_the_configuration_is_the_administrators(tracker):
    seen = tracker.call("GET", "/config").json()
    assert (seen["verify_signatures"], seen["receipt_window"], seen["min_ratio"]) == (True, 3600, 0.5)
    assert tracker.post("/config", {"verify_signatures": False}).status == 401
    own = {"headers": {"Authorization": f"Bearer {tracker.server.token}"}}
    for bad in [{"receipt_window": 1}, {"tee_mode": "x"}, {"verify_signatures": 1}]:
        assert tracker.post("/config", bad, **own).status == 400, bad
    assert tracker.post("/config", {"receipt_window": 7200}, **own).json()["message"] == "Configuration updated"
    assert tracker.call("GET", "/config").json()["receipt_window"] == 7200
    tracker.post("/config", {"receipt_window": 3600}, **own)


def test_private_keys_stay_with_clients(tracker):
    for path, body in [("/keygen", None), ("/attest", {"receiver_private_key": b64(bytes(31) + b"\1")})]:
        answer = tracker.post(path, body)
        assert (answer.status, answer.json()["success"]) == (403, False), answer


def test_receipts_are_verified_for_whoever_asks(tracker):
    alice, bob = Member("asker"), Member("giver")
    receipt = bob.receipt(alice, 5)
    asked = {**receipt, "sender_public_key": receipt["sender_pk"], "receipt": receipt["signature"]}
    good = tracker.post("/verify-receipt", asked).json()
    assert good == {"success": True, "valid": True, "message": "Receipt is valid"}
    assert tracker.post("/verify-receipt", {**asked, "piece_index": 6}).json()["valid"] is False
    missing = tracker.post("/verify-receipt", {**asked, "timestamp": 0})
    assert (missing.status, missing.json()["error"]) == (400, "Missing required parameters")


def test_credit_outlives_a_kill(tmp_path):
    data = tmp_path / "data"
    tracker = start(data)
    alice, bob = Member("alice"), Member("bob")
    tracker.register(alice)
    tracker.register(bob)
    paid = bob.receipt(alice, 0)
    assert tracker.report(alice, [paid])["verified_receipts"] == 1
    before = tracker.call("GET", "/health").json()
    tracker.server.kill()
    tracker = start(data)
    assert tracker.call("GET", "/health").json() == before
    assert tracker.totals(alice) == (16384, 0)
    assert tracker.totals(bob) == (0, 16384)
    assert tracker.report(alice, [paid])["refused"] == [{"index": 0, "reason": "spent"}]
    assert tracker.call("GET", "/stats").json()["total_users"] == 2
    assert [leaf["type"] for leaf in tracker.server.leaves() if leaf["type"].startswith("tracker.")] == [
        "tracker.member",
        "tracker.member",
        "tracker.report",
    ]
    shown = http_request(tracker.server.metrics, "GET", "/metrics").text
    assert "attestry_tracker_members 2" in shown and "attestry_tracker_spent_receipts 1" in shown, shown
    assert tracker.server.terminate() == 0


def test_switches_for_tests_and_for_members_only(tmp_path):
    tracker = start(tmp_path / "data", "--set=tracker.test_routes=true", "--set=tracker.members_only=true")
    made = tracker.post("/keygen", None).json()
    assert (made["key_type"], made["private_key_size"], made["public_key_size"]) == ("BLS12-381", 32, 48)
    alice = Member("alice")
    body = {
        "receiver_private_key": made["private_key"],
        "sender_public_key": b64(alice.key),
        "piece_hash": "00" * 20,
        "piece_index": 1,
        "infohash": INFOHASH.hex(),
    }
    attested = tracker.post("/attest", body).json()
    asked = {k: v for k, v in body.items() if k != "receiver_private_key"}
    asked |= {"receiver_public_key": made["public_key"], **{k: attested[k] for k in ("receipt", "timestamp")}}
    assert tracker.post("/verify-receipt", asked).json()["valid"] is True
    assert tracker.announce(1) == {b"failure reason": b"Members only: announce with your passkey"}
    tracker.server.kill()
    tracker = start(tmp_path / "data", "--set=tracker.members_only=true", "--set=tracker.unproven_members=true")
    assert tracker.announce(1) == {b"failure reason": b"Members only: user_id names none"}
    tracker.register(alice)
    assert b"peers" in tracker.announce(1, user_id="alice")
    assert tracker.server.terminate() == 0


def test_an_address_registers_only_so_many_members_an_hour(tmp_path):
    limits = ("--set=tracker.registrations_per_hour=2", "--set=tracker.trusted_proxies=127.0.0.1")
    tracker = start(tmp_path / "data", *limits)
    alice, bob, carol, dave = (Member(name) for name in ("alice", "bob", "carol", "dave"))
    tracker.register(alice)
    # What is refused counts, too: it costs the tracker as much.
    assert tracker.post("/register", {"user_id": "bob"}).status == 400
    answer = tracker.post("/register", tracker.registration(bob))
    assert answer.status == 429, answer
    assert 1 <= int(answer.headers["Retry-After"]) <= 1800
    assert answer.json()["success"] is False
    assert "2 at once, and as many an hour; try again in" in answer.json()["error"], answer

    def status(member, address):
        body = tracker.registration(member)
        return tracker.post("/register", body, headers={"X-Real-IP": address}).status

    assert status(bob, "198.51.100.7") == 200
    # Of IPv6 one line has a /56.
    assert status(carol, "2001:db8:0:100::1") == 200
    assert status(carol, "2001:db8:0:1ff::2") == 409
    assert status(dave, "2001:db8:0:180::3") == 429
    assert status(dave, "2001:db8:0:200::3") == 200
    # Nothing else is counted, and no administrator.
    assert tracker.report(alice, [bob.receipt(alice, 0)])["verified_receipts"] == 1
    assert tracker.as_admin("POST", "/passkey/revoke", {"user_id": "alice"}).status == 200
    tracker.server.kill()
    for settings, last in [((), 429), (("--set=tracker.registrations_per_hour=0",), 400)]:
        tracker = start(tmp_path / "data", *settings)
        assert {tracker.post("/register", {}).status for _ in range(100)} == {400}
        assert tracker.post("/register", {}).status == last
        assert tracker.server.terminate() == 0


def test_a_tracker_listens_for_both_families(tmp_path):
    tracker = Tracker(start_dev(tmp_path / "data", "--set=tracker.listen=127.0.0.1:0,[::1]:0", PLAIN))
    four, six = (line.split()[1] for line in tracker.server.lines if line.startswith("  tracker "))
    torrent = b"both families, 1 way"
    first = tracker.announce(6, torrent=torrent, source=six)
    second = tracker.announce(4, torrent=torrent, source=four)
    assert (first[b"external ip"], second[b"external ip"]) == (bytes(15) + b"\1", bytes([127, 0, 0, 1]))
    assert (second[b"peers"], second[b"peers6"]) == (b"", bytes(15) + b"\1\0\6")
    assert tracker.announce(6, torrent=torrent, source=six)[b"peers"] == bytes([127, 0, 0, 1, 0, 4])
    assert tracker.server.terminate() == 0


def test_a_flood_of_forged_reports_takes_nobody_elses_turn(tracker):
    """One address has a thread and 32 places at most, whoever it says that it is."""
    hal, ida = Member("hal"), Member("ida")
    tracker.register(hal)
    tracker.register(ida)
    genuine = ida.receipt(hal, 0)
    forged = [{**genuine, "piece_index": index} for index in range(1, 41)]
    turned_away, statuses = threading.Event(), []

    def forge():
        body = {"user_id": "hal", "receipts": forged}
        answer = tracker.post("/report", body, headers={"X-Real-IP": "198.51.100.66"})
        statuses.append(answer.status)
        if answer.status == 503:
            assert answer.headers["Retry-After"] == "1"
            turned_away.set()
        else:
            assert answer.json()["verified_receipts"] == 0

    flood = [threading.Thread(target=forge) for _ in range(44)]
    for one in flood:
        one.start()
    assert turned_away.wait(60)
    body = {"user_id": "hal", "receipts": [genuine]}
    answer = tracker.post("/report", body, headers={"X-Real-IP": "198.51.100.7"})
    assert (answer.status, answer.json()["verified_receipts"]) == (200, 1), answer.json()
    assert any(one.is_alive() for one in flood), "answered while the flood still waits"
    for one in flood:
        one.join()
    assert len(statuses) == 44 and statuses.count(200) >= 33, statuses
