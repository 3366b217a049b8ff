"""Passkeys: what a member's ordinary client proves itself with, over HTTP and UDP."""

import hashlib
import socket
import struct
import time

import bls
import pytest
from harness import start_dev

from tracker import INFOHASH, Member, Tracker, b64, torrent_of, unbencode

SETTINGS = ("--set=tracker.listen=127.0.0.1:0", "--set=tracker.plaintext=true")
ONLY = {b"failure reason": b"Members only: announce with your passkey"}
UNKNOWN = {b"failure reason": b"Unknown passkey"}


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(*settings):
        started.append(Tracker(start_dev(tmp_path / "data", *SETTINGS, *settings)))
        return started[-1]

    yield begin
    assert started[-1].server.terminate() == 0, started[-1].server.output


def asked(tracker, member, rotate=False, when=None):
    when = int(time.time()) if when is None else when
    instance = bytes.fromhex(tracker.call("GET", "/health").json()["instance_id"])
    said = instance + bytes([rotate]) + when.to_bytes(8) + member.name.encode()
    signature = bls.sign(member.secret, b"PBTS passkey\n" + hashlib.sha256(said).digest())
    return {"user_id": member.name, "timestamp": when, "rotate": rotate, "signature": b64(signature)}


def test_a_passkey_proves_a_member(start):
    tracker = start("--set=tracker.members_only=true", "--set=tracker.peers_per_member=1")
    alice, bob = Member("alice"), Member("bob")
    passkey = tracker.register(alice)["passkey"]
    other = tracker.register(bob)["passkey"]
    assert len(passkey) == 40 and passkey != other
    # A name is no proof: everybody knows it.
    assert tracker.announce(1) == tracker.announce(1, user_id="alice") == ONLY
    assert tracker.announce(1, passkey="0" * 40) == tracker.announce(1, passkey="x") == UNKNOWN
    assert b"warning message" not in tracker.announce(1, passkey=passkey)
    # Peers are counted for the member, whatever name is said beside.
    assert b"this member has" in tracker.announce(2, passkey=passkey, user_id="bob")[b"warning message"]
    assert b"warning message" not in tracker.announce(3, passkey=other)
    query = f"/scrape?info_hash=%{INFOHASH.hex('%')}"
    assert b"failure reason" in unbencode(tracker.call("GET", query).body)
    assert b"failure reason" in unbencode(tracker.call("GET", f"/{'0' * 40}{query}").body)
    counts = unbencode(tracker.call("GET", f"/{passkey}{query}").body)[b"files"][INFOHASH]
    assert counts[b"complete"] == 2
    # The ratio is the passkey's owner's.
    assert tracker.report(bob, [alice.receipt(bob, 0)])["verified_receipts"] == 1
    low = tracker.announce(1, passkey=passkey, user_id="bob", event="started")
    assert low == {b"failure reason": b"Insufficient ratio: 0.00 < 0.5"}
    assert b"peers" in tracker.announce(3, passkey=other, event="started")
    assert passkey not in tracker.server.output and other not in tracker.server.output


def test_a_passkey_proves_a_member_over_udp(start):
    tracker = start("--set=tracker.members_only=true", "--set=tracker.udp_listen=127.0.0.1:0")
    address = tracker.udp_url.removeprefix("udp://")
    passkey = tracker.register(Member("alice"))["passkey"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(60)
        client.connect(("127.0.0.1", int(address.rsplit(":", 1)[1])))

        def ask(request):
            client.send(request)
            return client.recv(2048)

        connection = ask(struct.pack(">QII", 0x41727101980, 0, 1))[8:]

        def announce(url):
            said = INFOHASH + bytes(20) + bytes(24) + bytes(12) + b"\xff" * 4 + (6881).to_bytes(2)
            return ask(connection + struct.pack(">II", 1, 2) + said + bytes([2, len(url)]) + url)

        for url in [b"/announce", b"/announce?user_id=alice", b""]:
            assert announce(url)[8:] == ONLY[b"failure reason"], url
        assert announce(b"/" + b"0" * 40 + b"/announce")[8:] == b"Unknown passkey"
        answer = announce(f"/{passkey}/announce".encode())
        assert struct.unpack(">5I", answer[:20]) == (1, 2, 1800, 0, 1)
        assert b"Members only" in ask(connection + struct.pack(">II", 2, 3) + INFOHASH)
    assert passkey not in tracker.server.output


def test_a_passkey_is_changed_by_its_member_and_by_an_administrator(start):
    tracker = start()
    alice, bob = Member("alice"), Member("bob")
    first = tracker.register(alice)["passkey"]
    tracker.register(bob)
    assert tracker.post("/passkey", asked(tracker, alice)).json() == {"success": True, "passkey": first}
    now = int(time.time())
    change = asked(tracker, alice, rotate=True, when=now)
    forged = {**change, "signature": asked(tracker, bob, rotate=True, when=now)["signature"]}
    shown = {**asked(tracker, alice, when=now), "rotate": True}
    for body, status in [
        (forged, 401),
        (shown, 401),
        (asked(tracker, alice, when=now - 400), 401),
        (asked(tracker, alice, when=now + 400), 401),
        ({**change, "signature": "!"}, 401),
        ({**change, "user_id": "nobody"}, 404),
        ({"user_id": "alice"}, 400),
    ]:
        assert tracker.post("/passkey", body).status == status, body
    assert b"peers" in tracker.announce(1, passkey=first)
    second = tracker.post("/passkey", change).json()["passkey"]
    assert tracker.post("/passkey", change).status == 409
    assert tracker.announce(1, passkey=first) == UNKNOWN
    assert b"peers" in tracker.announce(1, passkey=second)
    assert tracker.post("/passkey/revoke", {"user_id": "alice"}).status == 401
    assert tracker.as_admin("POST", "/passkey/revoke", {"user_id": "nobody"}).status == 404
    assert tracker.as_admin("POST", "/passkey/revoke", {"user_id": "alice"}).json() == {"success": True}
    assert tracker.announce(1, passkey=second) == UNKNOWN
    third = tracker.post("/passkey", asked(tracker, alice)).json()["passkey"]
    tracker.server.kill()
    tracker = start()
    assert b"peers" in tracker.announce(1, passkey=third)
    assert tracker.announce(1, passkey=first) == tracker.announce(1, passkey=second) == UNKNOWN


def test_members_bring_torrents_where_they_may(start):
    file, infohash = torrent_of(pieces=1, size=5)
    tracker = start()
    passkey = tracker.register(Member("alice"))["passkey"]
    assert tracker.post(f"/{passkey}/torrents", file).status in (404, 405)
    tracker.server.kill()
    tracker = start("--set=tracker.members_add_torrents=true")
    assert tracker.post(f"/{'0' * 40}/torrents", file).status == 401
    assert tracker.post(f"/{passkey}/torrents", file).json()["added"] is True
    assert tracker.call("GET", f"/torrents/{infohash.hex()}").status == 200
