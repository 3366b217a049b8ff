"""Keys and quotes of a TEE, for a PBTS tracker and its members.

The names, messages and statistics are those of the original tee_manager, so that `from tee_manager import ...` becomes
`from pbts.tee_manager import ...`. What differs: a salt gives the same key again, with the proof of its derivation; key
material is never logged nor part of a repr; a quote is valid only when it carries the expected payload; an outage raises
an error and is never said as an invalid quote.

A TEEManager may be used by several threads.
"""

import asyncio
import hashlib
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pbts import quotes, receipts
from pbts.derivation import DerivationProof
from pbts.guest_agent import find_endpoint

try:
    from dstack_sdk import DstackClient

    TEE_AVAILABLE = True
except ImportError:
    from pbts.guest_agent import DstackClient

    TEE_AVAILABLE = find_endpoint() is not None

KEY_PATH_PREFIX = "pbts/bls/"
KEY_PURPOSE = "signature"
PCCS_URLS = ("https://api.trustedservices.intel.com", "https://pccs.phala.network")
FETCH_SECONDS = 30
_SALT = re.compile(r"[A-Za-z0-9._:@-]{1,128}", re.ASCII)


class TEEMode(Enum):
    DISABLED = "disabled"
    ENABLED = "enabled"
    BENCHMARK = "benchmark"


class AttestationUnavailable(RuntimeError):
    """A quote could not be judged: what it takes cannot be had now. Nothing is known about the quote."""


@dataclass
class TEEKeyPair:
    """A BLS key pair: 32 and 48 bytes. `salt` and `derivation` are those of keys from the TEE; keep the salt to have the
    same key again."""

    private_key: bytes = field(repr=False)
    public_key: bytes
    tee_derived: bool
    derivation_time_ms: float | None = None
    salt: str | None = None
    derivation: DerivationProof | None = None


@dataclass
class AttestationReport:
    """`quote` as the guest agent gives it, in hexadecimal; `quote_size_bytes` counts the quote's own bytes. `event_log` is
    the JSON text beside it, of what was measured into the quote's registers; empty: the agent gave none."""

    quote: str | bytes = field(repr=False)
    generation_time_ms: float
    payload: str
    quote_size_bytes: int
    event_log: str = field(default="", repr=False)


def report_data(payload: str) -> bytes:
    """What a quote says for `payload`: its UTF-8 up to 64 bytes, SHA-256 of it beyond; the agent fills up with zeros."""
    data = payload.encode()
    return data if len(data) <= quotes.REPORT_DATA_SIZE else hashlib.sha256(data).digest()


def _new_statistics() -> dict[str, float]:
    return {
        "key_generations": 0,
        "attestations_generated": 0,
        "total_key_gen_time_ms": 0,
        "total_attestation_time_ms": 0,
    }


def _milliseconds_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000


class TEEManager:
    """`pccs_urls` names the sources of collateral that verify_attestation may be told to ask, beside PCCS_URLS; the
    variable PBTS_PCCS_URLS (separated by commas) does too. `verifier` judges quotes: it is given a quote and the address
    of its source, returns the status, raises ValueError for what is not genuine and AttestationUnavailable when it
    cannot tell. By default dcap-qvl does."""

    def __init__(
        self,
        mode: TEEMode = TEEMode.DISABLED,
        *,
        pccs_urls: Iterable[str] = (),
        verifier: Callable[[bytes, str], str] | None = None,
    ):
        if mode != TEEMode.DISABLED and not TEE_AVAILABLE:
            raise RuntimeError("TEE mode requested but dstack_sdk not available")
        self.mode = mode
        self.tee_available = TEE_AVAILABLE
        self.logger = logging.getLogger(__name__)
        named = os.environ.get("PBTS_PCCS_URLS", "").split(",")
        self.pccs_urls = tuple(url.strip().rstrip("/") for url in (*pccs_urls, *named, *PCCS_URLS) if url.strip())
        self._verifier = verifier or _judge_with_dcap_qvl
        self._lock = threading.Lock()
        self.reset_statistics()

    # --- keys

    def generate_keypair(self, tee_enabled: bool | None = None, salt: str | bytes | None = None) -> TEEKeyPair:
        """From the TEE when `tee_enabled`, which the mode decides when it is not said. There the same `salt` gives the
        same key; without one a salt is drawn, and is in the result. Raises RuntimeError when there is no TEE to ask, and
        ValueError for a salt that is none or that has no effect."""
        use_tee = self.mode == TEEMode.ENABLED if tee_enabled is None else tee_enabled
        if use_tee and self.mode == TEEMode.DISABLED:
            raise RuntimeError("TEE requested but mode is DISABLED")
        if use_tee and not self.tee_available:
            raise RuntimeError("TEE requested but not available")
        if salt is not None and not use_tee:
            raise ValueError("salt: expected none, since keys that are not from the TEE are random")
        start = time.perf_counter()
        pair = self._derived(_salt_text(salt)) if use_tee else _random_pair()
        pair.derivation_time_ms = _milliseconds_since(start)
        with self._lock:
            self.stats["key_generations"] += 1
            self.stats["total_key_gen_time_ms"] += pair.derivation_time_ms
        return pair

    def _derived(self, salt: str) -> TEEKeyPair:
        path = KEY_PATH_PREFIX + salt
        response = DstackClient().get_key(path, KEY_PURPOSE)
        derived = response.decode_key()
        # Zero, which no agent gives in practice, is an error: the original would make it a key that everybody has.
        secret = receipts.secret_key(derived).to_bytes(32, "big")
        self.logger.info("derived a key of the TEE for the path %s", path)
        proof = DerivationProof.of(path, KEY_PURPOSE, derived, _signatures(response))
        return TEEKeyPair(secret, receipts.public_key(secret), True, salt=salt, derivation=proof)

    # --- quotes

    def generate_attestation(self, payload: str) -> AttestationReport:
        """A quote that carries report_data(payload). Raises RuntimeError when there is no TEE to ask."""
        if self.mode == TEEMode.DISABLED or not self.tee_available:
            raise RuntimeError("TEE not available for attestation")
        start = time.perf_counter()
        response = DstackClient().get_quote(report_data(payload))
        quote, log = response.quote, getattr(response, "event_log", None)
        took = _milliseconds_since(start)
        size = len(quote) if isinstance(quote, bytes) else len(quote.removeprefix("0x")) // 2
        with self._lock:
            self.stats["attestations_generated"] += 1
            self.stats["total_attestation_time_ms"] += took
        return AttestationReport(quote, took, payload, size, log if isinstance(log, str) else "")

    def registration(
        self,
        user_id: str,
        key_pair: TEEKeyPair,
        instance_id: str,
        nonce: str,
        event_logs: Iterable[bytes | str] | None = None,
    ) -> dict[str, Any]:
        """The body of /register for an attested registration: a fresh quote names user, tracker, key and `nonce`, which
        the tracker's /attestation-nonce gives with its `instance_id`. `event_logs` are sent in place of the guest
        agent's own; `()` sends none. Raises as generate_attestation does."""
        payload = receipts.attested_payload(user_id, key_pair.public_key, instance_id, nonce)
        report = self.generate_attestation(payload)
        if event_logs is None:
            # A log without events says nothing of the boot, and is refused where it is sent.
            event_logs = () if report.event_log.strip() in ("", "[]") else (report.event_log,)
        said = receipts.attestation(report.quote, nonce, event_logs)
        return receipts.registration(user_id, key_pair.private_key, instance_id, said)

    def verify_attestation(
        self, quote: str | bytes, expected_payload: str, pccs_url: str | None = None, check_payload: bool = True
    ) -> tuple[bool, float]:
        """Whether `quote` is genuine, of a platform that is up to date, and carries the payload; and the milliseconds
        that it took. `check_payload=False` says nothing of the payload. Raises AttestationUnavailable when that cannot
        be found out, ValueError for a `pccs_url` that was not allowed (see the class)."""
        start = time.perf_counter()
        source = self._allowed(pccs_url)
        refused = self._refusal(quote, expected_payload if check_payload else None, source)
        if refused:
            self.logger.warning("attestation refused: %s", refused)
        return refused is None, _milliseconds_since(start)

    def _allowed(self, pccs_url: str | None) -> str:
        if pccs_url is None:
            return self.pccs_urls[0]
        if pccs_url.rstrip("/") not in self.pccs_urls:
            raise ValueError("pccs_url: expected one of PBTS_PCCS_URLS or of the argument pccs_urls; add it there")
        return pccs_url.rstrip("/")

    def _refusal(self, quote: str | bytes, payload: str | None, source: str) -> str | None:
        try:
            raw = quote if isinstance(quote, bytes) else bytes.fromhex(quote.removeprefix("0x"))
            carried = quotes.report_data(raw)
            # Before anything is fetched: what does not carry the payload is refused whatever it is.
            if payload is not None and carried != report_data(payload).ljust(quotes.REPORT_DATA_SIZE, b"\0"):
                return "the quote carries another payload than the expected one"
            status = self._verifier(raw, source)
        except ValueError as error:
            return str(error)
        return None if str(status).upper() == "UPTODATE" else f"the platform's status is {status}"

    # --- accounts

    def get_ethereum_account(self, path: str = "ethereum/pbts", purpose: str = "tracker"):
        """An eth_account whose secret is the TEE's key of `path`. Raises RuntimeError when there is no TEE to ask, or no
        eth-account."""
        if self.mode == TEEMode.DISABLED or not self.tee_available:
            raise RuntimeError("TEE not available")
        try:
            from eth_account import Account
        except ImportError as error:
            raise RuntimeError("eth_account not available: install pbts[ethereum]") from error
        return Account.from_key(DstackClient().get_key(path, purpose).decode_key())

    # --- statistics

    def get_statistics(self) -> dict[str, Any]:
        """Counters, total and average times in milliseconds; averages are 0 where nothing was counted."""
        with self._lock:
            found: dict[str, Any] = dict(self.stats)
        for counter, name in (("key_generations", "key_gen"), ("attestations_generated", "attestation")):
            total = found[f"total_{name}_time_ms"]
            found[f"avg_{name}_time_ms"] = total / found[counter] if found[counter] else 0
        return found

    def reset_statistics(self) -> None:
        with self._lock:
            self.stats = _new_statistics()


def _salt_text(salt: str | bytes | None) -> str:
    if salt is None:
        return secrets.token_hex(16)
    text = salt.hex() if isinstance(salt, bytes) else salt
    if not _SALT.fullmatch(text):
        raise ValueError("salt: expected 1 to 64 bytes, or 1 to 128 characters of A-Z, a-z, 0-9 and . _ : @ -")
    return text


def _random_pair() -> TEEKeyPair:
    secret = receipts.generate_secret_key()
    return TEEKeyPair(secret, receipts.public_key(secret), False)


def _signatures(response) -> tuple[bytes, ...]:
    chain = getattr(response, "signature_chain", None)
    if not isinstance(chain, (list, tuple)):
        return ()
    return tuple(bytes.fromhex(signature) for signature in chain)


def _judge_with_dcap_qvl(quote: bytes, source: str) -> str:
    try:
        import dcap_qvl
    except ImportError as error:
        raise AttestationUnavailable("dcap_qvl not available for attestation verification") from error

    # These raise ValueError for what no collateral would make a genuine quote, and which is no outage therefore.
    parsed = dcap_qvl.parse_quote(quote)
    if parsed.cert_chain_pem_bytes() is not None:
        parsed.fmspc()

    async def fetch():
        return await asyncio.wait_for(dcap_qvl.get_collateral(source, quote), FETCH_SECONDS)

    try:
        collateral = _run(fetch)
    except Exception as error:
        raise AttestationUnavailable(f"no collateral from {source}: {error or type(error).__name__}") from error
    return dcap_qvl.verify(quote, collateral, int(time.time())).status


def _run(work: Callable[[], Any]):
    """The result of a coroutine, whether or not this thread has a loop that is running."""
    outcome: list = []

    def run():
        try:
            outcome.append((asyncio.run(work()), None))
        except Exception as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    result, error = outcome[0]
    if error:
        raise error
    return result


_tee_manager_instance: TEEManager | None = None
_instance_lock = threading.Lock()


def get_tee_manager(mode: TEEMode | None = None) -> TEEManager:
    """The one manager of this process; `mode` counts when it is made, at the first call."""
    global _tee_manager_instance
    with _instance_lock:
        if _tee_manager_instance is None:
            _tee_manager_instance = TEEManager(mode or TEEMode.DISABLED)
        return _tee_manager_instance


def set_tee_mode(mode: TEEMode) -> None:
    """A new manager for this process, of that mode. Who still holds the former one has it in the new mode, too."""
    global _tee_manager_instance
    with _instance_lock:
        fresh = TEEManager(mode)
        if _tee_manager_instance is not None:
            _tee_manager_instance.mode = mode
        _tee_manager_instance = fresh
