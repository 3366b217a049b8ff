"""What wallets sign: the vectors of the formats over the wire, policies that the chain has, approvals, limits that
outlive the server, and what is refused."""

import base64
import concurrent.futures
import contextlib
import hashlib
import hmac
import json
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from harness import request
from keystore import COORDINATOR, TOKEN, Client, borsh, start_keystore
from near import Chain, base58, nodes, unbase58
from workload import raw_public

MASTER = "00112233445566778899aabbccddeeff" * 2
WALLET = "test-wallet-1"
MAIL = {
    "types": {
        "EIP712Domain": [
            {"name": "name", "type": "string"},
            {"name": "version", "type": "string"},
            {"name": "chainId", "type": "uint256"},
            {"name": "verifyingContract", "type": "address"},
        ],
        "Person": [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}],
        "Mail": [
            {"name": "from", "type": "Person"},
            {"name": "to", "type": "Person"},
            {"name": "contents", "type": "string"},
        ],
    },
    "primaryType": "Mail",
    "domain": {
        "name": "Ether Mail",
        "version": "1",
        "chainId": 1,
        "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
    },
    "message": {
        "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
        "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
        "contents": "Hello, Bob!",
    },
}
TRANSFER = {"kind": "transfer", "to": "alice.near", "amount": "1000000000000000000000000"}


class Wallets(Client):
    """A coordinator, and what the contract has about wallets."""

    def __init__(self, server, chain):
        super().__init__(server, COORDINATOR)
        self.chain, self.records = chain, chain.policies

    def key(self, wallet, **more):
        reply = self.post("/wallet/derive-address", {"wallet_id": wallet, "chain": "near"}, **more)
        assert reply.status == 200, reply
        return reply.json()["public_key"]

    def give_policy(self, wallet, policy, owner="alice.testnet", frozen=False):
        reply = self.post("/wallet/encrypt-policy", {"wallet_id": wallet, "policy": policy})
        assert reply.status == 200, reply
        entry = {"owner": owner, "encrypted_data": reply.json()["encrypted_data"], "frozen": frozen, "updated_at": 1}
        self.records[self.key(wallet)] = entry
        self.chain.move()
        return entry["encrypted_data"]

    def sign(self, wallet, op, **more):
        return self.post("/wallet/sign", {"wallet_id": wallet, "op": op, **more})

    def has_account(self, wallet):
        """The implicit account, with its key."""
        public = bytes.fromhex(self.key(wallet).removeprefix("ed25519:"))
        self.chain.accounts[public.hex()] = 10**24
        self.chain.keys[public.hex()] = {"ed25519:" + base58(public): "FullAccess"}
        self.chain.move()
        return public


def refused(reply, status, text):
    assert (reply.status, text in reply.json()["error"]) == (status, True), reply


@pytest.fixture(scope="module")
def chain():
    return Chain()


@pytest.fixture(scope="module")
def three(chain):
    with nodes(chain, 3) as running:
        yield running


@contextlib.contextmanager
def running(folder, chain, three, **more):
    master = folder / "master"
    if not master.exists():
        master.touch(mode=0o600)
        master.write_text(MASTER)
    made = start_keystore(folder / "data", chain, three, **{"keystore.master": f"file:{master}", **more})
    try:
        yield made
    finally:
        ended = made.terminate()
    assert ended == 0, made.output


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain, three):
    with running(tmp_path_factory.mktemp("wallets"), chain, three) as made:
        yield made


@pytest.fixture(scope="module")
def wallets(server, chain):
    return Wallets(server, chain)


def test_vectors_of_other_chains(wallets):
    wallets.give_policy(WALLET, {"capabilities": {"evm_sign": True, "solana_sign": True}})
    body = {"wallet_id": WALLET, "message_base64": "QPJNzwbzJNBNn9bvrOfR6iWlC2dQJ/x8e4rsZBkYJ8c="}
    solana = wallets.post("/wallet/solana/sign-message", body)
    assert solana.status == 200, solana
    assert solana.json()["signature"] == (
        "58Yit74SVnrX1b2qe2wCW151vDc4s31Bo4Cxqvqi3DxTdXB7JTk2AjX3fqb9huFsNuCuuoCZF9XuVRp5axyxmWwp"
    )
    assert solana.json()["address"] == "FcErmsHqwNYsA3d1YkU5js9YuV1GUrkiHrteibncyg8a"
    mail = wallets.post("/wallet/evm/sign-typed-data", {"wallet_id": WALLET, "typed_data": MAIL})
    assert mail.status == 200, mail
    assert mail.json()["signature"] == (
        "0x311ec12ad582d109d6af69f0da7f76687b02e2ec5b103905ca614afc95881b91"
        "3900497b6e0128758b11614051ed8b87fa8e2f0d15ea81b4e90a0108b939ee431c"
    )
    assert mail.json()["address"] == "0xF57953073d42d30dfBbb64C1673FEaf2c3176C38"
    text = wallets.post("/wallet/evm/sign-message", {"wallet_id": WALLET, "message": "Hello World"})
    digits = {"wallet_id": WALLET, "message": "48656c6c6f20576f726c64", "encoding": "hex"}
    assert text.json()["signature"] == wallets.post("/wallet/evm/sign-message", digits).json()["signature"]
    for signed, digest in (
        (mail, "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"),
        (text, "a1de988600a42c4b4ab089b619297c17d53cffae5d5120d82d8a92d0bb3b78f2"),
    ):
        op = json.dumps({"digest": digest, "kind": "evm_sign"}, separators=(",", ":"))
        assert signed.json()["request_hash"] == hashlib.sha256(op.encode()).hexdigest()


def test_a_signature_is_in_the_log(server, wallets):
    op = {"kind": "auth", "purpose": "bearer", "seed": "s"}
    reply = wallets.sign("logged", op)
    leaf = server.leaves()[int(reply.headers["X-Attestry-Leaf"])]
    assert leaf["type"] == "keystore.sign", leaf
    key = base64.urlsafe_b64decode(reply.headers["X-Attestry-Leaf-Key"] + "=")

    def committed(label, value):
        return hmac.digest(key, struct.pack(">I", len(label)) + label.encode() + value, "sha256").hex()

    known = {
        "op": reply.json()["request_hash"].encode(),
        "plaintext": reply.body,
        "seed": b"wallet:logged:near",
        "token": hashlib.sha256(COORDINATOR.encode()).hexdigest().encode(),
        "wallet": b"logged",
    }
    assert leaf["outputs"] == {label: committed(label, value) for label, value in known.items()}


def test_hashes_of_requests(wallets):
    call = "eyJyZWNlaXZlcl9pZCI6ImJvYi5uZWFyIiwiYW1vdW50IjoiMTAwMDAwMCJ9"
    known = [
        (TRANSFER, "53bcefe7c34c56b834624296b160cb3f4c0f880e91b964c4f6f7f593e45aac97"),
        (
            {"kind": "delete", "beneficiary": "alice.near"},
            "50daadd325ef7eb79d69dc41167070f2008396ef2bed75e7c9a684b103c6f790",
        ),
        (
            {"kind": "auth", "purpose": "bearer", "seed": "default"},
            "68dc4d7fd4e70d5ae43fb3e7050f2aa4919836de929bc9a10b6a27620094d628",
        ),
        (
            {"kind": "payment_check", "amount": "5", "token": "nep141:usdc.near"},
            "d25a695165be5ff1ccf7dad103c4128b812a0abc4aeca4668bd8404c4de9f5ce",
        ),
        (
            {
                "kind": "call", "to": "usdc.near", "method": "ft_transfer", "args_base64": call, "gas": "30000000000000",
                "deposit": "1",
            },
            "9d6b301f8b6cb503dd05b83ec7a2a6731287a8c54a70927432acb8bcc1cfd3cb",
        ),
    ]  # fmt: skip
    for op, wanted in known:
        reply = wallets.post("/wallet/check-policy", {"wallet_id": "nobody", "op": op})
        assert reply.json()["request_hash"] == wanted, reply
        assert reply.json()["allowed"] == (op["kind"] == "auth"), reply


def test_a_call_is_built_signed_and_taken_by_a_node(wallets, chain, three):
    wallets.give_policy("builder", {"rules": {"transaction_types": ["call"]}})
    op = {
        "kind": "call",
        "to": "usdc.near",
        "method": "ft_transfer",
        "args_base64": base64.b64encode(b'{"a":1}').decode(),
        "gas": "30000000000000",
        "deposit": "1",
    }
    refused(wallets.sign("builder", op), 400, "the wallet has no account on NEAR yet")
    public = wallets.has_account("builder")
    first, second = wallets.sign("builder", op).json(), wallets.sign("builder", op).json()
    assert (first["nonce"], second["nonce"]) == (8, 9), "two at once are two transactions"
    assert first["signer_id"] == public.hex() and first["public_key"] == "ed25519:" + public.hex()
    sent = three[0].run("broadcast_tx_commit", {"signed_tx_base64": first["signed_tx_base64"]})
    assert sent["transaction"]["hash"] == first["tx_hash"]
    assert chain.calls[-1] == (public.hex(), "usdc.near", "ft_transfer", {"a": 1})
    refused(wallets.sign("builder", TRANSFER), 403, "transaction_types")


def nep413(message, nonce, recipient):
    def text(value):
        return struct.pack("<I", len(value)) + value

    tag = struct.pack("<I", 2**31 + 413)
    return hashlib.sha256(tag + text(message.encode()) + nonce + text(recipient.encode()) + b"\0").digest()


def test_intents_are_built_here(wallets):
    wallets.give_policy("intents", {})
    public = bytes.fromhex(wallets.key("intents").removeprefix("ed25519:"))
    withdraw = {"kind": "withdraw", "to": "bob.near", "amount": "7", "token": "nep141:usdc.near"}
    moved = {"kind": "intents_transfer", "to": "bob.near", "amount": "7", "token": "nep141:usdc.near"}
    built = {
        "withdraw": {"intent": "ft_withdraw", "token": "usdc.near", "receiver_id": "bob.near", "amount": "7"},
        "intents_transfer": {"intent": "transfer", "receiver_id": "bob.near", "tokens": {"nep141:usdc.near": "7"}},
    }
    for op in (withdraw, moved):
        reply = wallets.sign("intents", op)
        assert reply.status == 200, reply
        out = reply.json()
        said = json.loads(out["message"])
        assert said["intents"] == [built[op["kind"]]] and said["signer_id"] == public.hex(), out
        digest = nep413(out["message"], base64.b64decode(out["nonce_base64"]), out["recipient"])
        Ed25519PublicKey.from_public_bytes(public).verify(unbase58(out["signature_base58"]), digest)
        assert out["recipient"] == "intents.near"
    refused(wallets.sign("intents", withdraw, artifact={"recipient": "evil.near"}), 400, "intents.near or intents.far")


def test_bytes_of_others_are_those_of_the_request(wallets):
    wallets.give_policy("pinned", {"capabilities": {"raw_sign": True, "sign_message": True, "swap": True}})
    payload = b"some bytes"
    op = {"kind": "raw", "chain": "solana", "payload_hash": hashlib.sha256(payload).hexdigest()}
    good = wallets.sign("pinned", op, artifact={"payload_base64": base64.b64encode(payload).decode()})
    public = bytes.fromhex(good.json()["public_key"].removeprefix("ed25519:"))
    Ed25519PublicKey.from_public_bytes(public).verify(unbase58(good.json()["signature_base58"]), payload)
    other = wallets.sign("pinned", op, artifact={"payload_base64": base64.b64encode(b"other").decode()})
    refused(other, 400, "supplied bytes do not match op.payload_hash")
    order = {"kind": "sign_message", "message_hash": hashlib.sha256(b"{}").hexdigest(), "recipient": "intents.near"}
    refused(wallets.sign("pinned", order, artifact={"message": "{}"}), 403, "a message to intents.near is an order")
    op = {"kind": "sign_message", "message_hash": hashlib.sha256(b"hello").hexdigest(), "recipient": "app.near"}
    refused(wallets.sign("pinned", op, artifact={"message": "hallo"}), 400, "supplied message does not match")
    out = wallets.sign("pinned", op, artifact={"message": "hello"}).json()
    public = bytes.fromhex(out["public_key"].removeprefix("ed25519:"))
    digest = nep413("hello", base64.b64decode(out["nonce_base64"]), "app.near")
    Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(out["signature_base64"]), digest)
    swap = {"message": "{}", "nonce_base64": base64.b64encode(b"n" * 32).decode(), "recipient": "intents.near"}
    assert wallets.sign("pinned", {"kind": "swap"}, artifact=swap).status == 200
    refused(wallets.sign("pinned", {"kind": "swap"}, artifact={**swap, "recipient": "x.near"}), 400, "intents.near")
    refused(wallets.sign("pinned", {"kind": "confidential"}, artifact=swap), 403, "capability confidential")


def test_wallets_sign_nothing_for_what_the_keystore_obeys(tmp_path, chain, three):
    """Votes of approvers and orders of the DAO are signed by others' keys, whatever a policy allows."""
    dao = "dao.testnet"
    with running(tmp_path, chain, three, **{"keystore.dao_contract": dao}) as server:
        wallets = Wallets(server, chain)
        wallets.give_policy("voter", {"capabilities": {"raw_sign": True, "sign_message": True}})
        public = wallets.has_account("voter")
        hashed = hashlib.sha256(b"approve:1:x:y").hexdigest()

        def raw(preimage, **more):
            digest = hashlib.sha256(preimage).digest()
            op = {"kind": "raw", "chain": "near", "payload_hash": hashlib.sha256(digest).hexdigest()}
            return wallets.sign("voter", op, artifact={"payload_base64": base64.b64encode(digest).decode(), **more})

        def shown(preimage):
            return raw(preimage, preimage_base64=base64.b64encode(preimage).decode())

        for own in (chain.contract, dao):
            message = {"kind": "sign_message", "message_hash": hashed, "recipient": own}
            refused(wallets.sign("voter", message, artifact={"message": "approve:1:x:y"}), 403, "this keystore obeys")
            call = {"kind": "call", "to": own, "method": "vote", "args_base64": "", "gas": "1", "deposit": "0"}
            refused(wallets.sign("voter", call), 403, "this keystore obeys")
            refused(wallets.sign("voter", {"kind": "transfer", "to": own, "amount": "1"}), 403, "this keystore obeys")
            vote = struct.pack("<I", 2147484061) + borsh(b"approve:1:x:y") + bytes(32) + borsh(own.encode()) + b"\0"
            refused(raw(vote), 403, "may be the digest of a transaction or of a vote")
            refused(shown(vote), 403, "this keystore obeys")
            refused(raw(vote, preimage_base64=base64.b64encode(b"other").decode()), 400, "whose SHA-256 is the payload")
        refused(shown(borsh(b"intents.near")), 403, "is an order")
        refused(shown(b"store_wallet_policy:v1:" + public.hex().encode()), 403, "its own route")
        good = shown(b"of somebody else")
        Ed25519PublicKey.from_public_bytes(public).verify(
            unbase58(good.json()["signature_base58"]), hashlib.sha256(b"of somebody else").digest()
        )
        message = {"kind": "sign_message", "message_hash": hashed, "recipient": "app.near"}
        assert wallets.sign("voter", message, artifact={"message": "approve:1:x:y"}).status == 200


def test_a_wallet_proves_who_it_is(wallets):
    out = wallets.sign("newcomer", {"kind": "auth", "purpose": "bearer", "seed": "default"})
    assert out.status == 200, "no policy is needed: it moves nothing"
    out = out.json()
    assert out["auth_message"] == f"auth:default:{out['auth_timestamp']}"
    public = bytes.fromhex(out["public_key"].removeprefix("ed25519:"))
    Ed25519PublicKey.from_public_bytes(public).verify(
        unbase58(out["auth_signature_base58"]), out["auth_message"].encode()
    )
    refused(wallets.sign("newcomer", TRANSFER), 403, "this wallet has no policy")


@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        ({"frozen": True}, "frozen"),
        ({"rules": {"addresses": {"mode": "whitelist", "list": ["bob.near"]}}}, "addresses"),
        ({"rules": {"addresses": {"mode": "blacklist", "list": ["alice.near"]}}}, "addresses"),
        ({"rules": {"limits": {"per_transaction": "5"}}}, "limits.per_transaction"),
        ({"rules": {"transaction_types": ["call"]}}, "transaction_types"),
        ({"rules": {"allowed_tokens": ["nep141:usdc.near"]}}, "allowed_tokens"),
    ],
)
def test_what_a_policy_forbids(wallets, policy, rule):
    wallets.give_policy("bound", policy)
    refused(wallets.sign("bound", TRANSFER), 403, f"the wallet's policy forbids it: {rule}")
    said = wallets.post("/wallet/check-policy", {"wallet_id": "bound", "op": TRANSFER}).json()
    assert (said["allowed"], rule in said["reason"]) == (False, True), said


def test_the_contract_freezes_a_wallet(wallets):
    wallets.give_policy("stopped", {}, frozen=True)
    refused(wallets.sign("stopped", TRANSFER), 403, "frozen")
    refused(wallets.sign("stopped", {"kind": "auth", "purpose": "bearer", "seed": "s"}), 403, "frozen")


def test_limits_are_counted_and_outlive_the_server(tmp_path, chain, three):
    op = {**TRANSFER, "amount": "4"}
    with running(tmp_path, chain, three) as server:
        wallets = Wallets(server, chain)
        wallets.give_policy("thrifty", {"rules": {"limits": {"monthly": "10", "hourly_tx_count": 9}}})
        wallets.has_account("thrifty")
        assert [wallets.sign("thrifty", op).status for _ in range(3)] == [200, 200, 403]
    with running(tmp_path, chain, three) as server:
        wallets = Wallets(server, chain)
        refused(wallets.sign("thrifty", op), 403, "limits.monthly")
        assert wallets.sign("thrifty", {**op, "amount": "2"}).status == 200, "what is left"
        refused(wallets.sign("thrifty", {**op, "amount": "1"}), 403, "limits.monthly")


def test_requests_at_once_do_not_all_fit_under_one_limit(wallets):
    wallets.give_policy("busy", {"rules": {"limits": {"daily": "10"}}})
    wallets.has_account("busy")
    op = {**TRANSFER, "amount": "4"}
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda _: wallets.sign("busy", op), range(12)))
    assert sorted(reply.status for reply in replies) == [200] * 2 + [403] * 10
    nonces = [reply.json()["nonce"] for reply in replies if reply.status == 200]
    assert len(set(nonces)) == 2, nonces


def moves(token, kind="withdraw", amount="4"):
    return {"kind": kind, "to": "bob.near", "amount": amount, "token": token}


def test_a_token_has_one_limit_however_it_is_called(wallets):
    wallets.give_policy("spelled", {"rules": {"limits": {"daily": {"usdc.near": "10"}}}})
    assert wallets.sign("spelled", moves("usdc.near")).status == 200
    assert wallets.sign("spelled", moves("nep141:usdc.near", "intents_transfer")).status == 200
    for kind in ("withdraw", "intents_transfer"):
        for token in ("usdc.near", "nep141:usdc.near"):
            refused(wallets.sign("spelled", moves(token, kind)), 403, "limits.daily")
            body = json.dumps({"wallet_id": "spelled", "op": moves(token, kind)})
            for letter, escape in ((".", "\\u002e"), (":", "\\u003a"), ("n", "\\u006e")):
                spelled = body.replace(token, token.replace(letter, escape)).encode()
                reply = wallets.post("/wallet/sign", spelled, {"Content-Type": "application/json"})
                refused(reply, 403, "limits.daily")
        # Spellings that are no token of the contract's move nothing.
        for token in ("NEP141:usdc.near", "nep141:USDC.near", "nep141:nep141:usdc.near", " usdc.near", "usdc.near ",
                      "nep141: usdc.near", "nep141:usdc.near:", ":usdc.near", "usdc%2enear", "nep141%3ausdc.near"):  # fmt: skip
            refused(wallets.sign("spelled", moves(token, kind)), 400, "op.token")
    assert wallets.sign("spelled", moves("usdc.near", amount="2")).status == 200, "what is left"


def test_allowed_tokens_hold_however_they_are_called(wallets):
    for named in ("usdc.near", "nep141:usdc.near"):
        wallets.give_policy("choosy", {"rules": {"allowed_tokens": [named]}})
        for token in ("usdc.near", "nep141:usdc.near"):
            assert wallets.sign("choosy", moves(token)).status == 200, (named, token)
        for token in ("usdt.near", "nep141:usdt.near", "native"):
            refused(wallets.sign("choosy", moves(token)), 403, "allowed_tokens")


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        ({"limits": {"per_transaction": "9" * 30}}, "limits.per_transaction"),
        ({"limits": {"hourly": {"native": "9" * 30}}}, "limits.hourly"),
        ({"limits": {"daily": {"*": "9" * 30}}}, "limits.daily"),
        ({"limits": {"monthly": {"native": "9" * 30}}}, "limits.monthly"),
        ({"allowed_tokens": ["usdc.near"]}, "allowed_tokens"),
        ({"limits": {"per_transaction": {"usdc.near": "1"}}}, None),
        ({}, None),
    ],
)
def test_an_account_is_not_deleted_past_limits(wallets, rules, rule):
    """It moves all that the account has, which no limit allows."""
    wallets.give_policy("leaving", {"rules": rules})
    wallets.has_account("leaving")
    delete = {"kind": "delete", "beneficiary": "alice.near"}
    reply = wallets.sign("leaving", delete)
    said = wallets.post("/wallet/check-policy", {"wallet_id": "leaving", "op": delete}).json()
    if rule:
        refused(reply, 403, f"the wallet's policy forbids it: {rule}")
        assert said["allowed"] is False and rule in said["reason"], said
    else:
        assert (reply.status, said["allowed"]) == (200, True), reply


class Approver:
    def __init__(self, chain, account):
        self.key, self.account, self.contract = Ed25519PrivateKey.generate(), account, chain.contract
        self.public = "ed25519:" + base58(raw_public(self.key))

    def vote(self, wallet_key, request_hash, approval="a1", word="approve", nonce=b"n" * 32):
        digest = nep413(f"{word}:{approval}:{wallet_key}:{request_hash}", nonce, self.contract)
        return {
            "approver": self.account,
            "public_key": self.public,
            "signature": base64.b64encode(self.key.sign(digest)).decode(),
            "nonce": base64.b64encode(nonce).decode(),
        }


def test_approvals(wallets, chain, three):
    alice, bob, eve = (Approver(chain, f"{name}.testnet") for name in ("alice", "bob", "eve"))
    for one in (alice, bob):
        chain.add_key(one.account, one.public)
    approvers = [
        {"id": "alice.testnet", "role": "admin"},
        {"id": "bob.testnet", "role": "signer", "pubkey": bob.public},
    ]
    wallets.give_policy("shared", {"approval": {"threshold": 2, "approvers": approvers, "excluded_types": ["delete"]}})
    wallets.has_account("shared")
    key = wallets.key("shared")
    said = wallets.post("/wallet/check-policy", {"wallet_id": "shared", "op": TRANSFER}).json()
    assert (said["allowed"], said["requires_approval"], said["required_approvals"]) == (True, True, 2), said
    hashed = said["request_hash"]

    def signed(*approvals, reject=(), approval="a1", op=TRANSFER):
        info = {"id": approval, "approvals": list(approvals), "rejections": list(reject)}
        return wallets.sign("shared", op, approval_info=info)

    refused(wallets.sign("shared", TRANSFER), 403, "asks for approvals: 2")
    refused(wallets.sign("shared", {"kind": "auth", "purpose": "bearer", "seed": "s"}), 403, "asks for approvals: 2")
    votes = [alice.vote(key, hashed), bob.vote(key, hashed)]
    refused(signed(votes[0]), 403, "asks for approvals: 2")
    refused(signed(votes[0], votes[0]), 403, "asks for approvals: 2")
    refused(signed(votes[0], eve.vote(key, hashed)), 403, "asks for approvals: 2")
    stolen = Approver(chain, "bob.testnet")
    chain.add_key("bob.testnet", stolen.public)
    refused(signed(votes[0], stolen.vote(key, hashed)), 403, "asks for approvals: 2")  # bob's key is pinned
    refused(signed(*votes, op={**TRANSFER, "amount": "9"}), 403, "asks for approvals: 2")  # of another operation
    refused(signed(*votes, reject=[bob.vote(key, hashed, word="reject")]), 403, "an approver has rejected it")
    refused(signed(*votes, approval="a:1"), 400, "approval_info.id")
    for node in three:
        node.dead = True
    try:
        chain.move()
        assert signed(*votes).status == 503, "an outage is no denial"
    finally:
        for node in three:
            node.dead = False
    assert signed(*votes).status == 200
    refused(signed(*votes), 403, "this approval was used already")
    again = [one.vote(key, hashed, approval="a2") for one in (alice, bob)]
    assert signed(*again, approval="a2").status == 200
    chain.remove_key("alice.testnet", alice.public)
    gone = [one.vote(key, hashed, approval="a3") for one in (alice, bob)]
    refused(signed(*gone, approval="a3"), 403, "asks for approvals: 2")
    assert wallets.sign("shared", {"kind": "delete", "beneficiary": "alice.near"}).status == 200, "an excluded type"


def test_a_policy_is_signed_for_its_owner_only(wallets):
    encrypted = wallets.post("/wallet/encrypt-policy", {"wallet_id": "owned", "policy": {}}).json()["encrypted_data"]
    opened = wallets.post("/wallet/decrypt-policy", {"wallet_id": "owned", "encrypted_data": encrypted})
    assert opened.json() == {"policy": {}}, opened
    body = {"wallet_id": "owned", "encrypted_data": encrypted, "caller": "alice.testnet"}
    signed = wallets.post("/wallet/sign-policy", body).json()
    public = bytes.fromhex(signed["public_key_hex"])
    text = f"store_wallet_policy:v1:ed25519:{public.hex()}:{len(encrypted)}:{encrypted}:alice.testnet"
    digest = hashlib.sha256(text.encode()).digest()
    Ed25519PublicKey.from_public_bytes(public).verify(bytes.fromhex(signed["signature_hex"]), digest)
    wallets.give_policy("owned", {}, owner="alice.testnet")
    assert wallets.post("/wallet/sign-policy", body).status == 200
    refused(wallets.post("/wallet/sign-policy", {**body, "caller": "eve.testnet"}), 403, "another account's")
    wallets.give_policy("owned", {"frozen": True}, owner="alice.testnet")
    assert wallets.post("/wallet/sign-policy", body).status == 200, "the owner thaws it"
    wallets.records[wallets.key("owned")]["owner"] = None
    wallets.chain.move()
    refused(wallets.post("/wallet/sign-policy", body), 403, "frozen")
    refused(wallets.post("/wallet/sign-policy", {**body, "wallet_id": "other"}), 400, "does not decrypt")
    bad = {"wallet_id": "owned", "policy": {"rules": {"no_such_rule": 1}}}
    refused(wallets.post("/wallet/encrypt-policy", bad), 400, "no_such_rule")


def test_approvals_are_asked_for_whatever_needs_no_policy(wallets):
    approval = {"threshold": 2, "approvers": [{"id": f"{name}.testnet", "role": "signer"} for name in ("bob", "eve")]}
    public = wallets.key("guarded")
    agent = public.removeprefix("ed25519:")
    blob = base64.b64encode(wallets.encrypted(f"project:a.near/p:{agent}", b'{"KEY":"v"}')).decode()
    left = {"wallet_id": "guarded", "project_id": "a.near/p", "payer": "payer.near"}
    store = {**left, "encrypted_secrets_base64": blob, "access": "AllowAll"}
    asked = {
        "sign": {"wallet_id": "guarded", "op": {"kind": "auth", "purpose": "bearer", "seed": "s"}},
        "sign-secret-store": store,
        "sign-secret-delete": left,
    }
    for policy in (None, {}, {"approval": {**approval, "excluded_types": ["auth", "secret_store", "secret_delete"]}}):
        if policy is not None:
            wallets.give_policy("guarded", policy)
        assert {wallets.post(f"/wallet/{route}", body).status for route, body in asked.items()} == {200}, policy
    encrypted = wallets.give_policy("guarded", {"approval": approval}, owner="alice.testnet")
    for route, body in asked.items():
        refused(wallets.post(f"/wallet/{route}", body), 403, "asks for approvals: 2")
    replaced = {"wallet_id": "guarded", "encrypted_data": encrypted, "caller": "alice.testnet"}
    assert wallets.post("/wallet/sign-policy", replaced).status == 200, "its owner may take the policy back"
    refused(wallets.post("/wallet/sign-policy", {**replaced, "caller": "eve.testnet"}), 403, "")


def test_secrets_that_a_wallet_leaves_for_itself(wallets):
    public = bytes.fromhex(wallets.key("agent").removeprefix("ed25519:"))
    agent = public.hex()
    blob = base64.b64encode(wallets.encrypted(f"project:a.near/p:{agent}", b'{"KEY":"v"}')).decode()
    body = {
        "wallet_id": "agent",
        "project_id": "a.near/p",
        "encrypted_secrets_base64": blob,
        "payer": "payer.near",
        "access": {"Whitelist": {"accounts": [agent]}},
    }
    signed = wallets.post("/wallet/sign-secret-store", body)
    assert signed.status == 200, signed
    assert (signed.json()["wallet_pubkey"], signed.json()["agent_account"]) == ("ed25519:" + agent, agent)
    access = json.dumps(body["access"], separators=(",", ":"))
    text = f"store_secrets_for:v1:ed25519:{agent}:8:a.near/p:{agent}:{blob}:payer.near::{access}"
    key = Ed25519PublicKey.from_public_bytes(public)
    key.verify(bytes.fromhex(signed.json()["signature_hex"]), hashlib.sha256(text.encode()).digest())
    refused(wallets.post("/wallet/sign-secret-store", {**body, "project_id": "b.near/p"}), 400, "does not decrypt")
    refused(wallets.post("/wallet/sign-secret-store", {**body, "vault_id": "v.near"}), 400, "does not decrypt")
    refused(wallets.post("/wallet/sign-secret-store", {**body, "access": "Everybody"}), 400, "")
    refused(wallets.post("/wallet/sign-secret-store", {**body, "wasm_hash": "ab" * 32}), 400, "either project_id or")

    gone = {"wallet_id": "agent", "wasm_hash": "AB" * 32, "payer": "payer.near"}
    signed = wallets.post("/wallet/sign-secret-delete", gone).json()
    text = f"delete_agent_secret:v1:ed25519:{agent}:69:wasm:{'ab' * 32}:{agent}:payer.near"
    key.verify(bytes.fromhex(signed["signature_hex"]), hashlib.sha256(text.encode()).digest())


def message_of(signers):
    """A legacy message of Solana without instructions."""
    return bytes([len(signers), 0, 0, len(signers)]) + b"".join(signers) + b"h" * 32 + b"\0"


def test_messages_for_solana(wallets):
    wallets.give_policy("sol", {"capabilities": {"solana_sign": True}})
    asked = {"wallet_id": "sol", "message": "hello"}
    public = unbase58(wallets.post("/wallet/solana/sign-message", asked).json()["address"])
    mine, others = message_of([public]), message_of([b"x" * 32])

    def post(route, message):
        body = {"wallet_id": "sol", "message_base64": base64.b64encode(message).decode()}
        return wallets.post(f"/wallet/solana/{route}", body)

    refused(post("sign-message", mine), 400, "this message is one of a transaction")
    signed = post("sign-transaction", mine)
    Ed25519PublicKey.from_public_bytes(public).verify(unbase58(signed.json()["signature"]), mine)
    refused(post("sign-transaction", others), 400, "not this wallet's to sign")
    assert post("sign-transaction", b"no message").status == 400


def test_transactions_for_evm_chains(wallets):
    transaction = {
        "chainId": 1, "nonce": 0, "maxPriorityFeePerGas": 1, "maxFeePerGas": "0x10", "gas": 21000,
        "to": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB", "value": "5",
    }  # fmt: skip
    body = {"wallet_id": "evm", "transaction": transaction}
    limits = {"limits": {"daily": {"evm:1": "9"}}}
    wallets.give_policy("evm", {"capabilities": {"evm_sign": True}, "rules": limits})
    signed = wallets.post("/wallet/evm/sign-transaction", body)
    assert signed.status == 200, signed
    out = signed.json()
    assert out["signed_transaction"].startswith("0x02") and len(out["signature"]) == 132 and len(out["tx_hash"]) == 66
    refused(wallets.post("/wallet/evm/sign-transaction", body), 403, "limits.daily")
    wallets.give_policy("evm", {})
    refused(wallets.post("/wallet/evm/sign-transaction", body), 403, "capability evm_sign")


def test_a_wallet_of_a_vault_is_another_wallet(wallets):
    of_vault = {"headers": {"X-Customer-Vault": "vault.testnet"}}
    assert wallets.key("same") != wallets.key("same", **of_vault)
    wallets.give_policy("same", {})
    body = {"wallet_id": "same", "op": {"kind": "auth", "purpose": "register", "seed": "s"}}
    both = [wallets.post("/wallet/sign", body, **more).json()["public_key"] for more in ({}, of_vault)]
    assert both == [wallets.key("same"), wallets.key("same", **of_vault)]
    bad = wallets.post("/wallet/sign", body, headers={"X-Customer-Vault": "No Account"})
    refused(bad, 400, "X-Customer-Vault is not a valid NEAR AccountId (No Account)")


ROUTES = [
    "derive-ephemeral-key", "sign", "evm/sign-typed-data", "evm/sign-message", "evm/sign-transaction",
    "solana/sign-message", "solana/sign-transaction", "check-policy", "encrypt-policy", "decrypt-policy", "sign-policy",
    "sign-secret-store", "sign-secret-delete",
]  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
def test_coordinators_only(server, route):
    refused(Client(server, TOKEN).post(f"/wallet/{route}", {}), 401, "Invalid coordinator token")
    missing = Client(server, COORDINATOR).post(f"/wallet/{route}", {})
    assert (missing.status, "missing field `wallet_id`" in missing.text) == (422, True), missing


def test_what_is_behind_switches(wallets, tmp_path, chain, three):
    ephemeral = {"wallet_id": "w", "chain": "near", "sub_path": "x/1"}
    refused(wallets.post("/wallet/derive-ephemeral-key", ephemeral), 403, "keystore.export_keys")
    message = {"wallet_id": "w", "message": "hi", "policy": {"capabilities": {"evm_sign": True}}}
    refused(wallets.post("/wallet/evm/sign-message", message), 403, "keystore.inline_policy")
    switches = ("export_keys", "inline_policy", "wallets_without_policy")
    on = {f"keystore.{name}": "true" for name in switches}
    with running(tmp_path, chain, three, **on) as server:
        open_ones = Wallets(server, chain)
        out = open_ones.post("/wallet/derive-ephemeral-key", ephemeral).json()
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(out["private_key"]))
        assert raw_public(key).hex() == out["implicit_account_id"]
        assert out["public_key"] == "ed25519:" + out["implicit_account_id"]
        refused(open_ones.post("/wallet/derive-ephemeral-key", {**ephemeral, "sub_path": ""}), 400, "sub_path")
        assert open_ones.post("/wallet/evm/sign-message", message).status == 200
        del message["policy"]
        refused(open_ones.post("/wallet/evm/sign-message", message), 403, "capability evm_sign")
        open_ones.has_account("w")
        assert open_ones.sign("w", TRANSFER).status == 200
        open_ones.give_policy(
            "w", {"approval": {"threshold": 1, "approvers": [{"id": "bob.testnet", "role": "admin"}]}}
        )
        refused(open_ones.post("/wallet/derive-ephemeral-key", ephemeral), 403, "asks for approvals: 1")


def test_a_policy_that_cannot_be_read_allows_nothing(wallets, chain):
    wallets.give_policy("unread", {})
    entry = wallets.records[wallets.key("unread")]
    for broken in ({**entry, "encrypted_data": base64.b64encode(b"\1" * 80).decode()}, "no entry", {"owner": "x"}):
        wallets.records[wallets.key("unread")] = broken
        chain.move()
        reply = wallets.sign("unread", TRANSFER)
        assert reply.status in (500, 503), reply


def test_without_a_contract_nothing_is_signed(tmp_path, chain, three):
    none = {"keystore.contract": "", "keystore.operator_account": "", "keystore.rpc": ""}
    with running(tmp_path, chain, three, **none) as server:
        client = Client(server, COORDINATOR)
        refused(client.post("/wallet/sign", {"wallet_id": "w", "op": TRANSFER}), 500, "NEAR client not configured")
        assert request(server.keystore, "GET", "/health").status == 200
