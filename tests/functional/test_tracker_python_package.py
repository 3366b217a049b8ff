"""What clients/python/pbts makes is what a served tracker takes: py_ecc and our BLS agree on the wire."""

import base64
import hashlib
import io
import json
import re
import time
import types

import pytest
from harness import ROOT, start_dev
from pbts import bep10, derivation, guest_agent, receipts, tee_manager
from test_registration_event_logs import CCEL, DSTACK, forge_boot
from test_tracker_tee import Agent, report_data
from workload import forge

from tracker import Tracker

README = ROOT / "clients/python/pbts/README.md"
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
        answer = tracker.post("/register", receipts.registration(member.name, member.secret, instance) | more)
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


@pytest.fixture
def booted(tmp_path):
    """A tracker whose members show what they booted."""
    (tmp_path / "policy.json").write_text(json.dumps({"format": 1, "name": "booted", "require": {"event_log": True}}))
    settings = (
        "listen=127.0.0.1:0",
        "plaintext=true",
        "attested_members=true",
        f"member_policy={tmp_path}/policy.json",
    )
    server = start_dev(tmp_path / "data", *(f"--set=tracker.{one}" for one in settings))
    yield Tracker(server)
    assert server.terminate() == 0, server.output


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """agent(tracker) starts the guest agent beside a member, which says what was booted."""
    started = []

    def start(tracker):
        def quoted(data):
            quote, logs = forge_boot(tracker.server.seed, data)
            return quote, logs[DSTACK].decode()

        socket = tmp_path / "member.sock"
        started.append(Agent(socket, lambda: tracker.server.seed, quoted))
        monkeypatch.setenv("DSTACK_SIMULATOR_ENDPOINT", str(socket))
        monkeypatch.setattr(tee_manager, "TEE_AVAILABLE", True)
        monkeypatch.setattr(tee_manager, "DstackClient", guest_agent.DstackClient)

    yield start
    for one in started:
        one.stop()
        assert one.faults == []


def asked(tracker):
    given = tracker.call("GET", "/attestation-nonce").json()
    return given["instance_id"], given["nonce"]


def test_a_manager_registers_with_evidence_and_the_log_of_its_boot(booted, agent):
    agent(booted)
    manager = tee_manager.TEEManager(mode=tee_manager.TEEMode.ENABLED)
    pair = manager.generate_keypair(salt="alice")
    # Without the log the policy has nothing to go by; of another key than the quoted one it is false.
    unlogged = booted.post("/register", manager.registration("alice", pair, *asked(booted), event_logs=()))
    assert (unlogged.status, unlogged.json()["success"]) == (403, False), unlogged
    theirs = manager.registration("alice", manager.generate_keypair(salt="eve"), *asked(booted))
    ours = receipts.registration("alice", pair.private_key, asked(booted)[0], theirs["attestation"])
    assert booted.post("/register", ours).status == 422
    body = manager.registration("alice", pair, *asked(booted))
    answer = booted.post("/register", body)
    assert (answer.status, answer.json().get("attested")) == (200, True), answer
    assert booted.call("GET", "/user/alice").json()["public_key"] == b64(pair.public_key)


def test_evidence_from_elsewhere_over_the_payload_of_the_package(booted):
    """A client that asks its TEE by itself, and reads the log from its firmware."""
    bob = Member("package-bob")
    instance, nonce = asked(booted)
    payload = receipts.attested_payload(bob.name, bob.key, instance, nonce)
    quote, logs = forge_boot(booted.server.seed, report_data(payload))
    for wrong, status in (
        (forge_boot(booted.server.seed, report_data(payload.upper()))[0], 422),
        (forge("another vendor", report_data(payload)), 422),
    ):
        said = receipts.attestation(wrong, nonce, [logs[CCEL]])
        answer = booted.post("/register", receipts.registration(bob.name, bob.secret, instance, said))
        assert (answer.status, answer.json()["success"]) == (status, False), answer
    said = receipts.attestation(quote, nonce, [logs[CCEL], logs[DSTACK]])
    answer = booted.post("/register", receipts.registration(bob.name, bob.secret, instance, said))
    assert (answer.status, answer.json().get("attested")) == (200, True), answer


def test_what_the_readme_shows(tracker, agent, monkeypatch):
    """Its blocks in their order, and what a tracker and a peer make of what they send."""
    agent(tracker)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # The forge's signatures are judged by the tracker; that dcap-qvl is asked is for tests/clients.
    monkeypatch.setattr(tee_manager, "_judge_with_dcap_qvl", lambda quote, source: "UpToDate")
    monkeypatch.setattr(derivation.DerivationProof, "app_key", lambda self: b"the agent signs nothing real")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    keys, plain, attested, elsewhere, receipt, peers = blocks
    bob, now = Member("bob"), int(time.time())
    known = {"tracker": tracker.url, "tracker_instance": asked(tracker)[0], "secret": bob.secret, "timestamp": now}
    exec(keys, known)
    assert known["valid"] and json.loads(known["report"].event_log)

    def members():
        return tracker.call("GET", "/stats").json()["total_users"]

    before = members()
    exec(plain, known)
    exec(attested, known)
    assert members() == before + 2
    assert tracker.call("GET", "/user/alice").json()["public_key"] == b64(known["pair"].public_key)

    carol = Member("carol")
    logs = []

    def quote(data):
        made, boot = forge_boot(tracker.server.seed, data)
        logs.append(boot[CCEL])
        return made

    known |= {"given": dict(zip(("instance_id", "nonce"), asked(tracker), strict=True)), "secret": carol.secret}
    known |= {"my_tee": types.SimpleNamespace(quote=quote), "open": lambda path, mode: io.BytesIO(logs[-1])}
    exec(elsewhere.replace('"alice"', '"carol"'), known)
    answer = tracker.post("/register", known["body"])
    assert (answer.status, answer.json().get("attested")) == (200, True), answer

    piece = b"a piece"
    sent = types.SimpleNamespace(frames=[])
    theirs = bep10.BEP10Handler()
    known |= {
        "secret": bob.secret,
        "sender_pk": known["pair"].public_key,
        "infohash": INFOHASH,
        "piece": piece,
        "piece_hash": hashlib.sha1(piece).digest(),
        "piece_index": 7,
        "connection": types.SimpleNamespace(sendall=sent.frames.append),
        "payload_of_their_handshake": theirs.create_handshake()[6:],
    }
    exec(receipt, known)
    assert tracker.call("GET", "/user/alice").json()["total_uploaded"] == 262144
    exec(peers, known)
    handshake, message = sent.frames
    assert theirs.parse_handshake(handshake[6:])
    given = theirs.parse_message(message[5], message[6:])
    assert given.piece_index == 7 and receipts.verify(bob.key, given.get_message(), given.signature)
