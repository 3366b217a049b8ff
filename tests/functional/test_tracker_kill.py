"""A tracker that is killed while members report: what it has answered stays, and nothing is credited twice."""

import http.client
import threading

from harness import start_dev

from tracker import Member, Tracker

SETTINGS = ("--set=tracker.listen=127.0.0.1:0", "--set=tracker.plaintext=true")
PIECE = 16384


def test_a_kill_under_load_loses_no_acknowledged_credit_and_pays_nothing_twice(tmp_path):
    tracker = Tracker(start_dev(tmp_path / "data", *SETTINGS))
    alice, bob = Member("alice"), Member("bob")
    tracker.register(alice)
    tracker.register(bob)
    receipts = [bob.receipt(alice, index) for index in range(96)]
    answered, enough, dead = [], threading.Event(), threading.Event()

    def report(first):
        for index in range(first, len(receipts), 4):
            try:
                answer = tracker.report(alice, [receipts[index]])
            except (OSError, http.client.HTTPException, AssertionError):
                dead.wait()
                return
            assert answer["verified_receipts"] == 1, answer
            answered.append(index)
            if len(answered) >= 24:
                enough.set()

    members = [threading.Thread(target=report, args=(first,)) for first in range(4)]
    for member in members:
        member.start()
    assert enough.wait(60)
    tracker.server.kill()
    dead.set()
    for member in members:
        member.join()
    assert 24 <= len(answered) < len(receipts), "killed while reports were under way"

    tracker = Tracker(start_dev(tmp_path / "data", *SETTINGS))
    kept = tracker.totals(alice)[0]
    assert kept % PIECE == 0 and kept >= len(answered) * PIECE
    again = tracker.report(alice, receipts)
    refused = {one["index"]: one["reason"] for one in again["refused"]}
    assert set(refused.values()) == {"spent"}
    assert set(answered) <= set(refused)
    # What was credited and not answered is spent, too: both ways each piece is paid for once.
    assert len(refused) * PIECE == kept
    assert tracker.totals(alice) == (len(receipts) * PIECE, 0)
    assert tracker.totals(bob) == (0, len(receipts) * PIECE)
    assert tracker.server.terminate() == 0
