"""What clients/python/pbts makes is what a served tracker takes: py_ecc and our BLS agree on the wire."""

import base64
import hashlib
import time

import pytest
from harness import start_dev
from pbts import bep10, receipts

from tracker import Tracker

INFOHASH = hashlib.sha1(b"package").digest()


class Member:
    def __init__(self, name):
        self.name, self.secret = name, receipts.generate_secret_key()
        self.key = receipts.public_key(self.secret)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    data = tmp_path_factory.mktemp("tracker") / "data"
    server = start_dev(data, "--set=tracker.listen=127.0.0.1:0", "--set=tracker.plaintext=true")
    yield Tracker(server)
    assert server.terminate() == 0, server.output


def b64(data):
    return base64.b64encode(data).decode()


def test_members_and_receipts_of_every_form(tracker):
    instance = tracker.call("GET", "/health").json()["instance_id"]
    alice, bob = Member("package-alice"), Member("package-bob")
    possession = {"proof_of_possession": b64(receipts.prove_possession(bob.secret))}
    for member, more in ((alice, {}), (bob, possession)):
        signature = receipts.sign(member.secret, receipts.register_message(instance, member.name))
        body = {"user_id": member.name, "public_key": b64(member.key), "signature": b64(signature)} | more
        answer = tracker.post("/register", body)
        assert answer.status == 200, answer.text
        # Its passkey, which it can ask for and change later.
        passkey = answer.json()["passkey"]
        for rotate in (False, True):
            now = int(time.time())
            message = receipts.passkey_message(instance, member.name, now, rotate=rotate)
            asked = {"user_id": member.name, "timestamp": now, "rotate": rotate}
            shown = tracker.post("/passkey", asked | {"signature": b64(receipts.sign(member.secret, message))})
            assert shown.status == 200, shown.text
            assert (shown.json()["passkey"] == passkey) is not rotate

    now = int(time.time())

    def receipt(index, instance_id=None):
        piece = hashlib.sha1(b"%d" % index).digest()
        made = receipts.Receipt(INFOHASH, alice.key, bob.key, piece, index, now, 1000, instance_id)
        return made.signed(bob.secret).to_json()

    piece, hour = bep10.compute_piece_hash(b"3"), bep10.compute_time_epoch(now)
    peers = bep10.PBTSReceipt(INFOHASH, alice.key, bob.key, piece, 3, now, hour, b"")
    from_peer = {
        "infohash": INFOHASH.hex(),
        "sender_pk": b64(alice.key),
        "receiver_pk": b64(bob.key),
        "piece_hash": piece.hex(),
        "piece_index": 3,
        "t_epoch": hour,
        "piece_size": 1000,
        "signature": b64(receipts.sign(bob.secret, peers.get_message())),
    }
    elsewhere = receipt(4, "ab" * 32)
    larger = receipt(5, instance) | {"piece_size": 2000}
    sent = [receipt(1), receipt(2, instance), from_peer, elsewhere, larger]
    found = tracker.post("/report", {"user_id": alice.name, "receipts": sent}).json()
    assert found["verified_receipts"] == 3, found
    assert [(one["index"], one["reason"]) for one in found["refused"]] == [(3, "bad_signature"), (4, "bad_signature")]
    assert tracker.totals(alice) == (3000, 0)
    assert tracker.totals(bob) == (0, 3000)
