"""What the documents of PBTS's first tracker show their readers, call by call: their requests as curl and their own
clients send them, and the members of replies that they name. Where ours answers otherwise, the test says so."""

import base64
import hashlib
import json
import time

import pytest
from evm import ZERO, Anvil
from harness import start_dev
from pbts import bep10, receipts
from py_ecc.bls import G2ProofOfPossession as bls
from rawhttp import Connection
from reputations import World
from workload import forge

from tracker import Tracker, b64, unbencode

TORRENT = hashlib.sha1(b"the guide's torrent").digest()
PCCS = "https://my-pccs.example.com"


def curl(tracker, path, data=None, method="POST", token=None):
    """Status and JSON of what curl would send, which says no length where there is no -d."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost:8000", "User-Agent: curl/8.5.0", "Accept: */*"]
    body = (data if isinstance(data, str) else json.dumps(data)).encode() if data is not None else b""
    if data is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    with Connection(tracker.url) as connection:
        connection.send("\r\n".join([*lines, "", ""]).encode() + body)
        status, headers, answer = connection.receive_response()
    assert "json" in headers["content-type"], headers
    return status, json.loads(answer)


def done(tracker, path, data=None, **how):
    """The reply's members; success is one of them."""
    status, said = curl(tracker, path, data, **how)
    assert (status, said["success"]) == (200, True), said
    return said


def refused(tracker, path, data, wanted):
    status, said = curl(tracker, path, data)
    assert (status, said["success"]) == (wanted, False), said
    return said["error"]


def start(data, *settings):
    listen = ("--set=tracker.listen=127.0.0.1:0", "--set=tracker.plaintext=true")
    attestation = f"--set=tracker.attestation=simulated:{data}/forge.seed"
    return Tracker(start_dev(data, *listen, attestation, *(f"--set=tracker.{one}" for one in settings)))


@pytest.fixture(scope="module")
def tracker(tmp_path_factory):
    """With the routes that hand out private keys, as the first tracker had them."""
    data = tmp_path_factory.mktemp("guide") / "data"
    started = start(data, "tee_mode=enabled", "test_routes=true", f"pccs_urls={PCCS}")
    yield started
    assert started.server.terminate() == 0, started.server.output


# --- the guide to the TEE


def test_keygen_tee(tracker):
    said = done(tracker, "/keygen-tee")
    assert (said["key_type"], said["tee_derived"]) == ("BLS12-381 (TEE-derived)", True)
    assert said["derivation_time_ms"] > 0
    secret = int.from_bytes(base64.b64decode(said["private_key"]), "big")
    assert base64.b64decode(said["public_key"]) == bls.SkToPk(secret)
    # "Same salt -> same key", which the first tracker only promised.
    first, again, other = (done(tracker, "/keygen-tee", {"salt": salt}) for salt in ("alice", "alice", "bob"))
    assert first["private_key"] == again["private_key"] != other["private_key"]


def test_an_attestation_is_made_and_verified(tracker):
    said = done(tracker, "/generate-attestation", '{"payload": "user_registration_data"}')
    assert said["payload"] == "user_registration_data"
    assert said["quote_size_bytes"] == len(bytes.fromhex(said["quote"]))
    assert said["generation_time_ms"] > 0
    asked = {"quote": said["quote"], "expected_payload": "user_registration_data"}
    for more in ({}, {"pccs_url": PCCS}):
        judged = done(tracker, "/verify-attestation", asked | more)
        assert judged["is_valid"] is True and judged["verification_time_ms"] > 0
        assert judged["status"] == "OK"
    # The payload counts, which the first tracker compared with other bytes and let pass.
    assert done(tracker, "/verify-attestation", asked | {"expected_payload": "user_id:alice"})["is_valid"] is False


@pytest.mark.parametrize(
    "shown",
    [
        '{"quote": "...", "expected_payload": "..."}',
        '{"quote": "030002000000...", "expected_payload": "user_id:alice", "pccs_url": "https://my-pccs.example.com"}',
        '{"quote": "030002000000", "expected_payload": "user_id:alice"}',
    ],
)
def test_what_the_guide_shows_shortened_is_no_valid_quote(tracker, shown):
    said = done(tracker, "/verify-attestation", shown)
    assert said["is_valid"] is False and said["verification_time_ms"] >= 0


def test_tee_status_and_modes(tmp_path):
    tracker = start(tmp_path / "data")
    mode = '{"tee_mode": "enabled"}'
    assert curl(tracker, "/tee/status", method="GET")[1]["tee_mode"] == "disabled", "the default"
    assert refused(tracker, "/keygen-tee", None, 500) == "TEE requested but mode is DISABLED"
    # The guide has anybody change it; ours asks who that is.
    assert curl(tracker, "/config", mode)[0] == 401
    assert done(tracker, "/config", mode, token=tracker.server.token)["message"] == "Configuration updated"
    done(tracker, "/keygen-tee")
    done(tracker, "/generate-attestation", '{"payload": "user_registration_data"}')
    status, said = curl(tracker, "/tee/status", method="GET")
    assert (status, said["tee_available"], said["tee_mode"]) == (200, True, "enabled")
    counted = said["statistics"]
    assert (counted["key_generations"], counted["attestations_generated"]) == (1, 1)
    assert counted["avg_key_gen_time_ms"] > 0 and counted["avg_attestation_time_ms"] > 0
    assert tracker.server.terminate() == 0


def test_the_guides_registration_with_a_tee(tracker):
    """Its four steps. Its tracker looked at none of what they send; what ours asks for instead is below each."""
    # 1. A key of the TEE.
    made = done(tracker, "/keygen-tee")
    private_key = int.from_bytes(base64.b64decode(made["private_key"]), "big")
    instance = curl(tracker, "/health", method="GET")[1]["instance_id"]
    # 2. The tracker's own TEE says of no key that it is a member's: anybody could ask it to. The member's does.
    message = "register||alice||tracker_instance_1"
    assert "payload" in refused(tracker, "/generate-attestation", {"payload": message}, 400)

    def evidence(seed=tracker.server.seed):
        nonce = curl(tracker, "/attestation-nonce", method="GET")[1]["nonce"]
        payload = receipts.attested_payload("alice", base64.b64decode(made["public_key"]), instance, nonce)
        assert payload == f"register||alice||{instance}||{made['public_key']}||{nonce}"
        return forge(seed, hashlib.sha256(payload.encode()).digest() + bytes(32)), nonce

    # 3. What is signed has no bars in it, and never had in the first tracker's code.
    def signed(by, what):
        signature = b64(bls.Sign(by, what))
        return {"user_id": "alice", "public_key": made["public_key"], "signature": signature}

    right = receipts.register_message(instance, "alice")
    assert refused(tracker, "/register", signed(private_key, message.encode()), 401) == "Invalid signature"
    # 4. A quote alone says not when it was made; beside its nonce it does.
    quote, nonce = evidence()
    body = signed(private_key, right) | {"attestation": quote.hex()}
    assert "attestation" in refused(tracker, "/register", body, 400)
    body["attestation"] = receipts.attestation(quote, nonce)
    # What the guide has the tracker verify: the signature, the attestation, and that it names this key.
    unsigned = signed(private_key + 1, right) | {"attestation": receipts.attestation(*evidence())}
    refused(tracker, "/register", unsigned, 401)
    forged = body | {"attestation": receipts.attestation(*evidence("another vendor"))}
    refused(tracker, "/register", forged, 422)
    other = receipts.registration("alice", private_key + 1, instance, body["attestation"])
    refused(tracker, "/register", other, 422)
    said = done(tracker, "/register", body)
    assert (said["instance_id"], said["message"]) == (instance, "User registered successfully")
    assert said["attested"] is True
    assert body == receipts.registration("alice", private_key, instance, body["attestation"]), "as the package makes it"


# --- members, receipts and announces


class Member:
    """With keys of the tracker, which only tests ask it for."""

    def __init__(self, tracker, name):
        self.name, self.made = name, done(tracker, "/keygen")
        self.private_key, self.public_key = self.made["private_key"], self.made["public_key"]
        self.secret = base64.b64decode(self.private_key)

    def registration(self, tracker):
        instance = curl(tracker, "/health", method="GET")[1]["instance_id"]
        message = b"register" + instance.encode() + self.name.encode()
        signature = bls.Sign(int.from_bytes(self.secret, "big"), message)
        return {"user_id": self.name, "public_key": self.public_key, "signature": b64(signature)}


@pytest.fixture(scope="module")
def members(tracker):
    made = [Member(tracker, name) for name in ("guide-sender", "guide-receiver")]
    for member in made:
        done(tracker, "/register", member.registration(tracker))
    return made


def totals(tracker, member):
    status, said = curl(tracker, f"/user/{member.name}", method="GET")
    assert status == 200, said
    assert set(said) >= {"user_id", "public_key", "total_uploaded", "total_downloaded", "ratio", "registered_at"}
    assert (said["user_id"], said["public_key"]) == (member.name, member.public_key)
    return said["total_uploaded"], said["total_downloaded"]


def piece(index):
    return hashlib.sha1(b"piece %d" % index).hexdigest()


def attested(tracker, sender, receiver, index):
    """A receipt that the tracker's own route makes, and what it is about."""
    about = {
        "sender_public_key": sender.public_key,
        "piece_hash": piece(index),
        "piece_index": index,
        "infohash": TORRENT.hex(),
        "timestamp": int(time.time()),
    }
    made = done(tracker, "/attest", about | {"receiver_private_key": receiver.private_key})
    assert (made["timestamp"], made["message"]) == (about["timestamp"], "Receipt generated successfully")
    return about, made["receipt"]


def test_keys(tracker):
    made = Member(tracker, "guide-keys").made
    assert (made["key_type"], made["private_key_size"], made["public_key_size"]) == ("BLS12-381", 32, 48)
    assert made["warning"] == "Store private key securely! Never share it!"
    sizes = [len(base64.b64decode(made[name])) for name in ("private_key", "public_key")]
    assert sizes == [32, 48]


def test_registration(tracker):
    carol = Member(tracker, "guide-carol")
    body = carol.registration(tracker)
    said = done(tracker, "/register", body)
    assert len(said["instance_id"]) == 64 and said["message"] == "User registered successfully"
    assert refused(tracker, "/register", body, 409) == "User already exists"
    dave = Member(tracker, "guide-dave").registration(tracker)
    unsigned = {key: value for key, value in dave.items() if key != "signature"}
    assert refused(tracker, "/register", {"user_id": "guide-dave"}, 400) == "Missing user_id or public_key"
    assert refused(tracker, "/register", dave | {"signature": body["signature"]}, 401) == "Invalid signature"
    assert refused(tracker, "/register", dave | {"signature": "!"}, 401) == "Invalid signature format"
    # Where signatures are verified the first tracker let in who sent none, and said so in its log.
    refused(tracker, "/register", unsigned, 401)


def test_receipts_are_generated_and_verified(tracker, members):
    sender, receiver = members
    about, receipt = attested(tracker, sender, receiver, 0)
    asked = about | {"receiver_public_key": receiver.public_key, "receipt": receipt}
    said = done(tracker, "/verify-receipt", asked)
    assert (said["valid"], said["message"]) == (True, "Receipt is valid")
    tampered = done(tracker, "/verify-receipt", asked | {"piece_hash": piece(1)})
    assert (tampered["valid"], tampered["message"]) == (False, "Receipt is invalid")
    for name in asked:
        missing = {key: value for key, value in asked.items() if key != name}
        assert refused(tracker, "/verify-receipt", missing, 400) == "Missing required parameters", name


def test_reports_with_receipts_and_double_spends(tracker, members):
    sender, receiver = members
    about, signature = attested(tracker, sender, receiver, 10)
    names = ("piece_hash", "piece_index", "infohash", "timestamp")
    receipt = {
        "receiver_public_key": receiver.public_key,
        "sender_pk": sender.public_key,
        **{name: about[name] for name in names},
        "signature": signature,
        "piece_size": 16384,
    }
    # As the first tracker's own tests send it: without size and sender, who is the reporter then.
    about, signature = attested(tracker, sender, receiver, 11)
    bare = {"receiver_public_key": receiver.public_key, **{name: about[name] for name in names}, "signature": signature}
    up, down = totals(tracker, sender)
    received = totals(tracker, receiver)
    body = {
        "user_id": sender.name,
        "public_key": sender.public_key,
        "uploaded_delta": 10**9,
        "downloaded_delta": 10**9,
        "receipts": [receipt, bare],
    }
    said = done(tracker, "/report", body)
    # Receipts count, and what a client says of itself does not.
    assert (said["total_uploaded"], said["total_downloaded"]) == (up + 2 * 16384, down)
    assert said["verified_receipts"] == 2 and "ratio" in said
    assert totals(tracker, receiver) == (received[0], received[1] + 2 * 16384), "who received owes"
    again = done(tracker, "/report", body)
    assert (again["total_uploaded"], again["verified_receipts"]) == (said["total_uploaded"], 0)
    assert {one["reason"] for one in again["refused"]} == {"spent"}
    assert refused(tracker, "/report", {"receipts": []}, 400) == "Missing user_id"
    assert refused(tracker, "/report", {"user_id": "nobody"}, 404) == "User not registered"


def test_reports_of_the_peers_client(tracker, members):
    """Its names: receiver_pk and t_epoch, neither time nor size; the first tracker passed them all over."""
    sender, receiver = members
    data, hour = b"piece 20", bep10.compute_time_epoch(time.time())
    keys = [base64.b64decode(member.public_key) for member in members]
    given = bep10.PBTSReceipt(TORRENT, *keys, bep10.compute_piece_hash(data), 20, time.time(), hour, b"")
    signature = bls.Sign(int.from_bytes(receiver.secret, "big"), given.get_message())
    receipt = {
        "infohash": given.infohash.hex(),
        "sender_pk": b64(given.sender_pk),
        "receiver_pk": b64(given.receiver_pk),
        "piece_hash": given.piece_hash.hex(),
        "piece_index": given.piece_index,
        "t_epoch": given.t_epoch,
        "signature": b64(signature),
    }
    up, _ = totals(tracker, sender)
    said = done(tracker, "/report", {"user_id": sender.name, "receipts": [receipt]})
    assert (said["verified_receipts"], said["total_uploaded"]) == (1, up + 16384)


def test_announces_and_scrapes(tracker, members):
    sender, _ = members
    asked = {"uploaded": 0, "downloaded": 0, "event": "started", "compact": 1, "numwant": 50, "torrent": TORRENT}
    pbts = {"user_id": sender.name, "public_key": sender.public_key, "signature": b64(bytes(96))}
    instance = curl(tracker, "/health", method="GET")[1]["instance_id"]
    names = {b"complete", b"incomplete", b"interval", b"min interval", b"peers", b"tracker id"}
    said = tracker.announce(6881, **asked, **pbts)
    assert set(said) >= names
    assert (said[b"interval"], said[b"min interval"], said[b"tracker id"]) == (1800, 900, instance.encode())
    compact = tracker.announce(6882, **asked)
    assert bytes([127, 0, 0, 1]) + (6881).to_bytes(2, "big") in compact[b"peers"]
    (found,) = tracker.announce(6882, **asked | {"compact": 0})[b"peers"]
    assert set(found) == {b"ip", b"peer id", b"port"} and found[b"port"] == 6881
    (bare,) = tracker.announce(6882, **asked | {"compact": 0}, no_peer_id=1)[b"peers"]
    assert set(bare) == {b"ip", b"port"}
    escaped = "".join(f"%{byte:02x}" for byte in TORRENT)
    scraped = unbencode(tracker.call("GET", f"/scrape?info_hash={escaped}").body)
    assert scraped == {b"files": {TORRENT: {b"complete": 2, b"downloaded": 0, b"incomplete": 0}}}
    tracker.announce(6881, **asked | {"event": "stopped"})
    tracker.announce(6882, **asked | {"event": "stopped"})
    for wrong, reason in (({"torrent": b"x"}, b"Invalid info_hash"), ({"port": 0}, b"Invalid port")):
        said = tracker.announce(**{"port": 6881} | asked | wrong)
        assert said == {b"failure reason": reason}


def test_what_can_be_read(tracker, members):
    said = {path: curl(tracker, f"/{path}", method="GET")[1] for path in ("stats", "health", "config")}
    assert set(said["stats"]) >= {"instance_id", "total_torrents", "total_peers", "total_users", "min_ratio"}
    assert said["stats"]["total_users"] >= len(members) and said["stats"]["min_ratio"] == 0.5
    assert (said["health"]["status"], said["health"]["signature_verification"]) == ("healthy", True)
    names = {"instance_id", "verify_signatures", "receipt_window", "min_ratio", "max_peers", "used_receipts_count"}
    assert set(said["config"]) >= names | {"tee_available", "tee_mode"}
    assert len({one["instance_id"] for one in said.values()}) == 1
    status, missing = curl(tracker, "/user/nobody", method="GET")
    assert (status, missing["error"]) == (404, "User not found")


def test_the_configuration_is_read_as_it_was_written(tracker):
    token = tracker.server.token
    for window in (7200, 3600):
        done(tracker, "/config", {"receipt_window": window, "verify_signatures": True}, token=token)
        assert curl(tracker, "/config", method="GET")[1]["receipt_window"] == window
    status, said = curl(tracker, "/config", {"tee_mode": "on"}, token=token)
    assert (status, said["error"]) == (400, "Invalid tee_mode: on")


# --- the contract


@pytest.fixture
def world(tmp_path):
    with Anvil() as chain:
        made = World(chain, tmp_path)
        yield made
        for tracker in made.running:
            assert tracker.server.terminate() == 0, tracker.server.output


def write(tracker, path, **body):
    """The first tracker let anybody write; ours its administrator."""
    assert curl(tracker, f"/contract/{path}", body)[0] == 401
    return done(tracker, f"/contract/{path}", body, token=tracker.server.token)


def test_contract_routes(world):
    """All of them, in the order of a tracker's life."""
    first, second = world.start("one", world.one), world.start("two", world.two)
    status, said = curl(first, "/contract/status", method="GET")
    names = {"configured", "connected", "rpc_url", "account_address", "factory_address", "reputation_address"}
    assert status == 200 and set(said) >= names
    assert (said["configured"], said["connected"], said["reputation_address"]) == (True, True, None)
    alice = {"username": "alice", "password_hash": "0x" + "ab" * 32}
    status, said = curl(first, "/contract/register", alice, token=first.server.token)
    assert (status, said["error"]) == (400, "No Reputation contract initialized. Call /contract/init first.")
    made = write(first, "init")
    assert made["referrer_address"] == ZERO and made["message"]
    registered = write(first, "register", **alice, salt="salt", download_size=100, upload_size=300)
    assert registered["username"] == "alice" and registered["message"]
    assert len(bytes.fromhex(registered["tx_hash"].removeprefix("0x"))) == 32
    updated = write(first, "update", username="alice", download_size=200, upload_size=300)
    assert (updated["download_size"], updated["upload_size"]) == (200, 300) and updated["tx_hash"]
    status, said = curl(first, "/contract/user/alice", method="GET")
    assert (status, said["contract_address"]) == (200, made["reputation_address"])
    shown = {"username": "alice", "salt": "salt", "passwordHash": alice["password_hash"]}
    assert said["user"].items() >= {**shown, "downloadSize": 200, "uploadSize": 300, "ratio": 1.5}.items()
    # A successor takes members over, once governance has attested the former tracker.
    former = world.chain.contract("Reputation", made["reputation_address"].lower())
    world.factory.send("setAttested", world.one.address, former.call("attestation"), sender=world.governance)
    again = write(second, "init", referrer_address=made["reputation_address"])
    assert again["referrer_address"] == made["reputation_address"]
    migrated = write(second, "migrate", username="alice")
    assert migrated["username"] == "alice" and migrated["tx_hash"] and migrated["message"]
    status, said = curl(second, "/contract/user/alice", method="GET")
    assert (status, said["user"]["uploadSize"]) == (200, 300)
