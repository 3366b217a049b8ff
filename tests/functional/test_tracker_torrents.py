"""Torrents that a tracker was given: announces of others, and receipts of pieces that there are not."""

import pytest
from harness import start_dev

from tracker import INFOHASH, Member, Tracker, torrent_of


@pytest.fixture
def tracker(tmp_path):
    known = ("--set=tracker.known_torrents_only=true", "--set=tracker.plaintext=true")
    made = Tracker(start_dev(tmp_path / "data", "--set=tracker.listen=127.0.0.1:0", *known))
    yield made
    assert made.server.terminate() == 0, made.server.output


def test_a_torrent_becomes_known_and_binds_its_receipts(tracker):
    file, infohash = torrent_of(pieces=3, size=2 * 16384 + 100)
    assert tracker.announce(1, torrent=infohash) == {b"failure reason": b"Unknown torrent"}
    assert tracker.post("/torrents", file).status == 401
    assert tracker.as_admin("POST", "/torrents", file + b"x").status == 400
    answer = tracker.as_admin("POST", "/torrents", file).json()
    shape = {"infohash": infohash.hex(), "piece_length": 16384, "pieces": 3, "total_size": 32868, "private": True}
    assert answer == {"success": True, "added": True, **shape}
    assert tracker.as_admin("POST", "/torrents", file).json()["added"] is False
    assert tracker.call("GET", f"/torrents/{infohash.hex()}").json() == {"success": True, **shape}
    assert b"peers" in tracker.announce(1, torrent=infohash)

    alice, bob = Member("alice"), Member("bob")
    tracker.register(alice)
    tracker.register(bob)

    def given(index, **more):
        return bob.receipt(alice, index, torrent=infohash, **more)

    unnamed = {**given(1), "piece_hash": "00" * 20}
    report = [given(0), given(2, piece_size=101), given(2), given(3), unnamed, bob.receipt(alice, 0)]
    said = tracker.report(alice, report)
    assert [(one["index"], one["reason"]) for one in said["refused"]] == [
        (1, "piece_too_large"),
        (3, "unknown_piece"),
        (4, "unknown_piece"),
        (5, "unknown_torrent"),
    ]
    assert (said["verified_receipts"], said["credited_bytes"]) == (2, 16484)
    # The receiver hands it in before the sender does, as small as he likes: it is paid for as the piece that it names.
    hurried = tracker.post("/report", {"user_id": "alice", "receipts": [given(1, piece_size=1)]}).json()
    assert hurried["credited_bytes"] == 16384


def test_a_torrent_is_known_after_a_kill_until_it_is_removed(tmp_path):
    settings = ("--set=tracker.listen=127.0.0.1:0", "--set=tracker.plaintext=true")
    tracker = Tracker(start_dev(tmp_path / "data", *settings))
    file, infohash = torrent_of(pieces=1, size=5)
    assert b"peers" in tracker.announce(1, torrent=INFOHASH)
    assert tracker.as_admin("POST", "/torrents", file).status == 200
    tracker.server.kill()
    tracker = Tracker(start_dev(tmp_path / "data", *settings))
    path = f"/torrents/{infohash.hex()}"
    assert tracker.call("GET", path).json()["total_size"] == 5
    assert tracker.call("DELETE", path).status == 401
    assert tracker.as_admin("DELETE", path).json() == {"success": True}
    assert tracker.as_admin("DELETE", path).status == 404
    assert tracker.call("GET", path).status == 404
    kinds = [leaf["type"] for leaf in tracker.server.leaves() if leaf["type"].startswith("tracker.")]
    assert kinds == ["tracker.torrent", "tracker.torrent.removed"]
    assert tracker.server.terminate() == 0
