"""Keys and quotes from a TEE: the original's behaviours, and what it promises without doing it. Most of it over the
socket of a guest agent."""

import asyncio
import base64
import hashlib
import logging
import sys
import types
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from pbts import guest_agent, quotes, receipts, tee_manager
from pbts.tee_manager import AttestationReport, TEEKeyPair, TEEManager, TEEMode
from pbts_guest_agent import APP_ID, APP_KEY, ROOT_KEY, derived_key, quote_over

DATA = Path(__file__).parents[1] / "data"
SALT = "0" * 32
DERIVED = bytes.fromhex("3f8770fa96601672f73f74d30a4bd1d6d8a1a22bee1b39bac637352b92b995fe")
DERIVED_PK = "a1b1f8e66414f6d714bf294475426eb524d0ab84e589e085ba4482c56966f49188f53caaed74d5f43b3d204e1cd93f48"
DERIVED_SIGNATURE = (
    "a5ae6488c959526752ae01c20d1cc1c2cdb2de31e01aa6ac9c02ad4c8499fa96"
    "556df0006e7966494515f8be1c9b5f1e75dcd6d96a7308fa7d3c39e4012f343d00"
)


@pytest.fixture
def manager(agent, monkeypatch):
    """In mode ENABLED, over a guest agent, without dstack's SDK."""
    monkeypatch.setattr(tee_manager, "TEE_AVAILABLE", True)
    monkeypatch.setattr(tee_manager, "DstackClient", guest_agent.DstackClient)
    return TEEManager(mode=TEEMode.ENABLED)


@pytest.fixture
def plain():
    return TEEManager()


# --- modes, and keys without a TEE


def test_modes():
    assert {mode.name: mode.value for mode in TEEMode} == {
        "DISABLED": "disabled",
        "ENABLED": "enabled",
        "BENCHMARK": "benchmark",
    }
    assert TEEManager().mode is TEEMode.DISABLED


def test_a_key_without_a_tee(plain):
    pair = plain.generate_keypair(tee_enabled=False)
    assert isinstance(pair, TEEKeyPair) and not pair.tee_derived
    assert (len(pair.private_key), len(pair.public_key)) == (32, 48)
    assert 0 < int.from_bytes(pair.private_key, "big") < receipts.CURVE_ORDER
    assert pair.public_key == receipts.public_key(pair.private_key)
    assert pair.derivation_time_ms > 0 and pair.salt is None and pair.derivation is None
    assert plain.generate_keypair().private_key != pair.private_key


def test_statistics(plain):
    empty = plain.get_statistics()
    assert set(empty.values()) == {0}
    assert set(empty) == {
        "key_generations",
        "attestations_generated",
        "total_key_gen_time_ms",
        "total_attestation_time_ms",
        "avg_key_gen_time_ms",
        "avg_attestation_time_ms",
    }
    total = sum(plain.generate_keypair().derivation_time_ms for _ in range(5))
    found = plain.get_statistics()
    assert found["key_generations"] == plain.stats["key_generations"] == 5
    assert found["total_key_gen_time_ms"] == pytest.approx(total)
    assert found["avg_key_gen_time_ms"] == pytest.approx(total / 5)
    plain.reset_statistics()
    assert plain.get_statistics() == empty


def test_without_a_tee_nothing_is_said_to_come_from_one(plain, monkeypatch):
    with pytest.raises(RuntimeError, match="^TEE requested but mode is DISABLED$"):
        plain.generate_keypair(tee_enabled=True)
    with pytest.raises(RuntimeError, match="^TEE not available for attestation$"):
        plain.generate_attestation("x")
    with pytest.raises(RuntimeError, match="^TEE not available$"):
        plain.get_ethereum_account()
    with pytest.raises(ValueError, match="salt"):
        plain.generate_keypair(salt="alice")
    monkeypatch.setattr(tee_manager, "TEE_AVAILABLE", False)
    for mode in (TEEMode.ENABLED, TEEMode.BENCHMARK):
        with pytest.raises(RuntimeError, match="dstack_sdk not available"):
            TEEManager(mode=mode)


def test_one_manager_for_a_process(monkeypatch):
    monkeypatch.setattr(tee_manager, "_tee_manager_instance", None)
    monkeypatch.setattr(tee_manager, "TEE_AVAILABLE", True)
    first = tee_manager.get_tee_manager(TEEMode.DISABLED)
    assert tee_manager.get_tee_manager(TEEMode.BENCHMARK) is first and first.mode is TEEMode.DISABLED
    tee_manager.set_tee_mode(TEEMode.ENABLED)
    second = tee_manager.get_tee_manager()
    assert second is not first and second.mode is TEEMode.ENABLED
    assert first.mode is TEEMode.ENABLED, "who holds the former one has the new mode, too"


# --- keys from a TEE


def test_a_key_of_the_tee(manager, agent):
    pair = manager.generate_keypair()
    (method, asked), *more = agent.requests
    assert method == "/GetKey" and not more
    assert asked["purpose"] == "signature"
    assert asked["path"] == "pbts/bls/" + pair.salt and len(pair.salt) == 32
    assert pair.tee_derived and pair.public_key == receipts.public_key(pair.private_key)
    assert manager.generate_keypair().public_key != pair.public_key, "another salt was drawn"
    assert manager.generate_keypair(salt=pair.salt).private_key == pair.private_key
    assert manager.get_statistics()["key_generations"] == 3


def test_the_same_salt_gives_the_key_of_the_vector(manager, agent):
    pair = manager.generate_keypair(salt=SALT)
    assert pair.private_key == DERIVED and pair.public_key.hex() == DERIVED_PK
    assert manager.generate_keypair(salt=bytes(16)).private_key == DERIVED, "bytes stand for their digits"
    assert TEEManager(mode=TEEMode.BENCHMARK).generate_keypair(tee_enabled=True, salt=SALT).private_key == DERIVED
    assert not TEEManager(mode=TEEMode.BENCHMARK).generate_keypair().tee_derived


def test_the_proof_of_derivation_leads_to_app_and_root(manager):
    proof = manager.generate_keypair(salt=SALT).derivation
    assert (proof.path, proof.purpose) == ("pbts/bls/" + SALT, "signature")
    assert proof.signature_chain[0].hex() == DERIVED_SIGNATURE
    assert proof.covers(DERIVED)
    assert proof.app_key().hex() == APP_KEY
    assert proof.root_key(APP_ID).hex() == ROOT_KEY
    assert proof.root_key(bytes(20)).hex() != ROOT_KEY, "not this app"
    assert replace(proof, purpose="tracker").app_key().hex() != APP_KEY, "not for this purpose"
    with pytest.raises(ValueError, match="no root signed"):
        replace(proof, signature_chain=proof.signature_chain[:1] + (b"",)).root_key(APP_ID)
    with pytest.raises(ValueError, match="no signature"):
        replace(proof, signature_chain=()).app_key()
    with pytest.raises(ValueError, match="in all 65 bytes"):
        replace(proof, signature_chain=(bytes(64),)).app_key()


def test_the_proof_covers_keys_that_were_reduced_too(manager):
    pairs = [manager.generate_keypair(salt=f"member-{number}") for number in range(6)]
    reduced = [derived_key(pair.derivation.path) != pair.private_key for pair in pairs]
    assert any(reduced) and not all(reduced)
    for pair in pairs:
        assert pair.derivation.covers(pair.private_key)
        assert pair.derivation.app_key().hex() == APP_KEY
    assert not pairs[0].derivation.covers(pairs[1].private_key)
    assert not pairs[0].derivation.covers(bytes(32))


@pytest.mark.parametrize("salt", ["", "a/b", "ä", "x" * 129, b"", bytes(65), "a\n"])
def test_salts_that_are_none(manager, agent, salt):
    with pytest.raises(ValueError, match="salt: expected"):
        manager.generate_keypair(salt=salt)
    assert agent.requests == []


def test_nothing_shows_a_key(manager, agent, caplog):
    with caplog.at_level(logging.DEBUG):
        pair = manager.generate_keypair(salt=SALT)
    shown = caplog.text + repr(pair) + str(guest_agent.DstackClient().get_key("pbts/bls/" + SALT, "signature"))
    assert SALT in caplog.text, "the path is said"
    for form in (DERIVED.hex(), repr(DERIVED), str(int.from_bytes(DERIVED, "big")), DERIVED.hex()[:16]):
        assert form not in shown


def test_an_agent_that_fails_gives_no_key(manager, agent):
    agent.failure = (400, "GetKey: no key")
    with pytest.raises(guest_agent.GuestAgentError, match="400: GetKey: no key"):
        manager.generate_keypair(salt=SALT)
    agent.failure = None
    for reply in ("", "[]", "{}", '{"key": "00", "signature_chain": []}', '{"key": "zz", "signature_chain": []}'):
        agent.reply = reply
        with pytest.raises(guest_agent.GuestAgentError, match="expected"):
            manager.generate_keypair(salt=SALT)
    agent.reply = '{"key": "%s", "signature_chain": []}' % ("0" * 64)
    with pytest.raises(ValueError, match="secret key"):
        manager.generate_keypair(salt=SALT)
    assert manager.get_statistics()["key_generations"] == 0


def test_where_an_agent_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("DSTACK_SIMULATOR_ENDPOINT", str(tmp_path / "none.sock"))
    with pytest.raises(FileNotFoundError, match="DSTACK_SIMULATOR_ENDPOINT"):
        guest_agent.DstackClient()
    with pytest.raises(ValueError, match="http://"):
        guest_agent.DstackClient("ftp://agent")
    (tmp_path / "none.sock").touch()
    with pytest.raises(guest_agent.GuestAgentError, match="no answer"):
        guest_agent.DstackClient().get_key("a", "b")


def test_dstacks_own_client_is_asked_in_the_same_way():
    with patch.object(tee_manager, "TEE_AVAILABLE", True), patch.object(tee_manager, "DstackClient") as client:
        client.return_value.get_key.return_value.decode_key.return_value = b"\x42" * 32
        client.return_value.get_quote.return_value.quote = b"QUOTE" * 200
        manager = TEEManager(mode=TEEMode.ENABLED)
        pair = manager.generate_keypair(tee_enabled=True)
        client.return_value.get_key.assert_called_once_with("pbts/bls/" + pair.salt, "signature")
        assert pair.private_key == b"\x42" * 32 and pair.derivation.signature_chain == ()
        report = manager.generate_attestation("payload")
        client.return_value.get_quote.assert_called_once_with(b"payload")
        assert report.quote == b"QUOTE" * 200 and report.quote_size_bytes == 1000


# --- quotes


def test_a_quote_carries_the_payload(manager, agent):
    for payload, data in (
        ("register||alice", b"register||alice"),
        ("x" * 64, b"x" * 64),
        ("x" * 65, hashlib.sha256(b"x" * 65).digest()),
        ("ä" * 33, hashlib.sha256("ä".encode() * 33).digest()),
    ):
        report = manager.generate_attestation(payload)
        assert isinstance(report, AttestationReport) and report.payload == payload
        assert agent.requests[-1] == ("/GetQuote", {"report_data": data.hex()})
        assert report.quote == quote_over(data).hex()
        assert report.quote_size_bytes == len(quote_over(data)), "bytes, not digits"
    found = manager.get_statistics()
    assert found["attestations_generated"] == 4
    assert found["avg_attestation_time_ms"] == found["total_attestation_time_ms"] / 4 > 0
    with pytest.raises(ValueError, match="report data: expected 1 to 64 bytes"):
        manager.generate_attestation("")


def test_a_quote_brings_the_log_of_its_boot(manager, agent):
    assert manager.generate_attestation("x").event_log == "[]"
    agent.event_log = '[{"imr": 3, "event": "app-id"}]'
    report = manager.generate_attestation("x")
    assert report.event_log == agent.event_log
    assert "app-id" not in repr(report)
    assert AttestationReport("00", 1.0, "x", 1).event_log == "", "the original's has none"


INSTANCE, NONCE = "ab" * 32, "cd" * 40


def test_an_attested_registration(manager, agent):
    pair = manager.generate_keypair(salt=SALT)
    agent.event_log = log = '[{"imr": 3}]'
    body = manager.registration("alice", pair, INSTANCE, NONCE)
    key = base64.b64encode(bytes.fromhex(DERIVED_PK)).decode()
    payload = f"register||alice||{INSTANCE}||{key}||{NONCE}"
    assert agent.requests[-1] == ("/GetQuote", {"report_data": hashlib.sha256(payload.encode()).hexdigest()})
    quote = quote_over(hashlib.sha256(payload.encode()).digest()).hex()
    logs = [base64.urlsafe_b64encode(log.encode()).decode()]
    assert body.pop("attestation") == {"quote": quote, "nonce": NONCE, "event_logs": logs}
    assert (body["user_id"], body["public_key"]) == ("alice", key)
    message = receipts.register_message(INSTANCE, "alice")
    assert receipts.verify(pair.public_key, message, base64.b64decode(body.pop("signature")))
    assert set(body) == {"user_id", "public_key"}
    # Logs of somebody else's choice; none; and none where the agent has none.
    other = manager.registration("alice", pair, INSTANCE, NONCE, event_logs=[b"ccel"])
    assert other["attestation"]["event_logs"] == ["Y2NlbA"]
    assert "event_logs" not in manager.registration("alice", pair, INSTANCE, NONCE, event_logs=())["attestation"]
    for nothing in ("", "[]", " []\n"):
        agent.event_log = nothing
        assert "event_logs" not in manager.registration("alice", pair, INSTANCE, NONCE)["attestation"]
    asked = len(agent.requests)
    with pytest.raises(ValueError, match="nonce: expected 40 bytes"):
        manager.registration("alice", pair, INSTANCE, "cd")
    assert len(agent.requests) == asked, "nothing was quoted"


def test_no_attested_registration_without_a_tee(plain):
    with pytest.raises(RuntimeError, match="^TEE not available for attestation$"):
        plain.registration("alice", plain.generate_keypair(), INSTANCE, NONCE)


CASES = [
    ("tdx/forged-v4", 568),
    ("tdx/forged-v5-td10", 574),
    ("tdx/forged-v5-td15", 574),
    ("tdx/forged-v5-td15ex", 574),
    ("sgx/forged-v3", 368),
    ("sgx/forged-v4", 368),
    ("sgx/forged-v5", 374),
]


def judged(status="UpToDate"):
    """A manager whose verifier takes every quote, and what it was asked."""
    asked = []

    def verifier(quote, source):
        asked.append((quote, source))
        return status

    return TEEManager(verifier=verifier), asked


@pytest.mark.parametrize("case, at", CASES)
def test_the_payload_is_looked_for_where_each_version_has_it(case, at):
    quote = bytearray((DATA / case / "quote.bin").read_bytes())
    quote[at : at + 64] = b"user_id:alice".ljust(64, b"\0")
    quote = bytes(quote)
    assert quotes.report_data(quote) == quote[at : at + 64]
    manager, asked = judged()
    valid, took = manager.verify_attestation(quote.hex(), "user_id:alice")
    assert valid is True and took > 0
    assert manager.verify_attestation(quote + bytes(70), "user_id:alice")[0], "what follows the quote is passed over"
    assert len(asked) == 2
    for other in ("user_id:bob", "user_id:alic", "user_id:alice\0x", "user_id:alice" + "x" * 60):
        assert manager.verify_attestation(quote.hex(), other)[0] is False
    assert len(asked) == 2, "nothing was fetched for a quote of another payload"
    assert manager.verify_attestation(quote.hex(), "user_id:bob", check_payload=False)[0] is True


def test_a_long_payload_is_carried_as_its_hash():
    manager, _ = judged()
    payload = "x" * 1000
    quote = quote_over(hashlib.sha256(payload.encode()).digest())
    assert manager.verify_attestation(quote.hex(), payload)[0]
    assert not manager.verify_attestation(quote.hex(), payload + "x")[0]


@pytest.mark.parametrize("status", ["OutOfDate", "SWHardeningNeeded", "ConfigurationNeeded", "Revoked", "Unknown", ""])
def test_only_a_platform_that_is_up_to_date_is_valid(status, caplog):
    manager, _ = judged(status)
    assert not manager.verify_attestation(quote_over(b"x"), "x")[0]
    assert f"status is {status}" in caplog.text


@pytest.mark.parametrize(
    "quote", ["", "zz", "abc", "04000200", "0400020081000000" + "00" * 500, b"", "0600" + "00" * 700]
)
def test_what_is_no_quote_is_not_valid(quote):
    manager, asked = judged()
    assert manager.verify_attestation(quote, "x")[0] is False
    assert asked == []


@pytest.mark.parametrize("at, value", [(48, 9), (50, 0), (4, 0), (0, 6)])
def test_bodies_that_are_not_what_the_header_says(at, value):
    quote = bytearray((DATA / "tdx/forged-v5-td15/quote.bin").read_bytes())
    quote[at] = value
    with pytest.raises(quotes.QuoteError, match="expected"):
        quotes.report_data(bytes(quote))


def test_collateral_is_asked_for_only_where_it_may_be(monkeypatch):
    manager, asked = judged()
    quote = quote_over(b"x")
    with pytest.raises(ValueError, match="PBTS_PCCS_URLS"):
        manager.verify_attestation(quote, "x", pccs_url="https://elsewhere.example")
    assert asked == []
    assert manager.verify_attestation(quote, "x", pccs_url="https://pccs.phala.network/")[0]
    monkeypatch.setenv("PBTS_PCCS_URLS", "https://mine.example/, https://ours.example")
    manager, asked = judged()
    assert manager.verify_attestation(quote, "x", pccs_url="https://ours.example")[0]
    assert manager.verify_attestation(quote, "x")[0]
    assert [source for _, source in asked] == ["https://ours.example", "https://mine.example"]


class DcapQvl(types.ModuleType):
    """dcap-qvl 0.7.0 as far as it is called, with its own order of arguments."""

    def __init__(self, outage=None, forged=False):
        super().__init__("dcap_qvl")
        self.outage, self.forged, self.fetched = outage, forged, []

    def parse_quote(self, quote):
        assert isinstance(quote, bytes)
        return types.SimpleNamespace(cert_chain_pem_bytes=lambda: b"pem", fmspc=lambda: "00906ED50000")

    async def get_collateral(self, pccs_url, raw_quote):
        assert isinstance(pccs_url, str) and isinstance(raw_quote, bytes)
        self.fetched.append(pccs_url)
        await asyncio.sleep(0)
        if self.outage:
            raise self.outage
        return "collateral"

    def verify(self, raw_quote, collateral, now_secs):
        assert collateral == "collateral" and isinstance(now_secs, int)
        if self.forged:
            raise ValueError("signature")
        return types.SimpleNamespace(status="UpToDate", advisory_ids=[])


def test_quotes_are_judged_by_dcap_qvl(monkeypatch):
    quote, manager = quote_over(b"x").hex(), TEEManager()
    library = DcapQvl()
    monkeypatch.setitem(sys.modules, "dcap_qvl", library)
    assert manager.verify_attestation(quote, "x")[0]
    assert library.fetched == ["https://api.trustedservices.intel.com"]

    async def within_a_loop():
        return manager.verify_attestation(quote, "x")

    assert asyncio.run(within_a_loop())[0]
    monkeypatch.setitem(sys.modules, "dcap_qvl", DcapQvl(forged=True))
    assert not manager.verify_attestation(quote, "x")[0]


@pytest.mark.parametrize("outage", [ValueError("PCCS answers 503"), TimeoutError()])
def test_an_outage_is_not_an_invalid_quote(monkeypatch, outage):
    monkeypatch.setitem(sys.modules, "dcap_qvl", DcapQvl(outage=outage))
    with pytest.raises(tee_manager.AttestationUnavailable, match="no collateral from https://api"):
        TEEManager().verify_attestation(quote_over(b"x"), "x")
    monkeypatch.setitem(sys.modules, "dcap_qvl", None)
    with pytest.raises(RuntimeError, match="dcap_qvl not available for attestation verification"):
        TEEManager().verify_attestation(quote_over(b"x"), "x")


# What the original's guide shows, with the name of the module in its imports changed; its own addresses are in it.
GUIDE = """
from pbts.tee_manager import TEEManager, TEEMode, set_tee_mode

set_tee_mode(TEEMode.ENABLED)

# Initialize manager with TEE enabled
manager = TEEManager(mode=TEEMode.ENABLED)

# Generate keypair
keypair = manager.generate_keypair(tee_enabled=True)

# Generate attestation
attestation = manager.generate_attestation(payload="user_id:alice")

# Verify attestation (uses Intel PCS by default)
is_valid, time_ms = manager.verify_attestation(
    quote=attestation.quote,
    expected_payload="user_id:alice"
)
first = is_valid

# Or use custom PCCS
is_valid, time_ms = manager.verify_attestation(
    quote=attestation.quote,
    expected_payload="user_id:alice",
    pccs_url="https://my-pccs.example.com"
)

print(f"Valid: {is_valid}, Time: {time_ms:.2f}ms")
statistics = manager.get_statistics()
manager.reset_statistics()
"""


def test_the_code_of_the_guide_runs_under_the_new_import(manager, monkeypatch, capsys):
    library = DcapQvl()
    monkeypatch.setitem(sys.modules, "dcap_qvl", library)
    monkeypatch.setenv("PBTS_PCCS_URLS", ",https://my-pccs.example.com")
    monkeypatch.setattr(tee_manager, "_tee_manager_instance", None)
    found = {}
    exec(GUIDE, found)
    assert tee_manager.get_tee_manager().mode is TEEMode.ENABLED
    pair, attestation = found["keypair"], found["attestation"]
    assert (len(pair.private_key), len(pair.public_key), pair.tee_derived) == (32, 48, True)
    assert pair.derivation_time_ms > 0
    assert (attestation.payload, attestation.quote_size_bytes) == ("user_id:alice", len(attestation.quote) // 2)
    assert attestation.generation_time_ms > 0
    assert found["first"] is found["is_valid"] is True
    assert library.fetched == ["https://my-pccs.example.com"] * 2
    assert capsys.readouterr().out.startswith("Valid: True, Time: ")
    for name in ("key_generations", "attestations_generated"):
        assert found["statistics"][name] == 1
    for name in ("avg_key_gen_time_ms", "avg_attestation_time_ms"):
        assert found["statistics"][name] > 0
    assert set(found["manager"].get_statistics().values()) == {0}


def test_an_ethereum_account_is_made_of_the_key_of_its_path(manager, monkeypatch):
    library = types.ModuleType("eth_account")
    library.Account = types.SimpleNamespace(from_key=lambda key: ("account", key.hex()))
    monkeypatch.setitem(sys.modules, "eth_account", library)
    expected = "3505137a75d2bcfa9a7cb33fb479486d5947f68b982b197e8a2e00275ee8ad48"
    assert manager.get_ethereum_account() == ("account", expected)
    monkeypatch.setitem(sys.modules, "eth_account", None)
    with pytest.raises(RuntimeError, match=r"eth_account not available: install pbts\[ethereum\]"):
        manager.get_ethereum_account()
