"""attestry keymanager: the contract of a key manager, deployed and governed from the command line, on a real chain."""

import hashlib

import pytest
from endpoints import Endpoint, as_before, says, without_effect
from evm import Anvil
from harness import attestry
from keymanager import Key, domain_separator, typed_digest

MRTD, RTMR0, RTMR3, ROOTFS = "1d" * 48, "a0" * 48, "a3" * 48, "cf" * 32
FMSPC = "00806f050000"
MASTER, NEXT, MEMBER = Key(b"\x51" * 32), Key(b"\x52" * 32), Key(b"\x53" * 32)
NOT_YET, REQUESTED, ONBOARDED, REJECTED = range(4)


@pytest.fixture(scope="module")
def node():
    with Anvil() as chain:
        yield chain


class Owner:
    """One account's command line."""

    def __init__(self, node, folder, account):
        self.node, self.account = node, account
        self.key = folder / f"{account.address}.key"
        self.key.write_text(account.key.hex() + "\n")
        self.key.chmod(0o600)

    def run(self, *arguments, contract=None, signs=True):
        more = ["--rpc", self.node.url, "--network", "local", "--format", "json"]
        more += ["--contract", contract.address] if contract else []
        more += ["--key", self.key] if signs else []
        return attestry("keymanager", *arguments, *more)

    def does(self, *arguments, **more):
        done = self.run(*arguments, **more)
        assert done.code == 0, done
        return done.json()


@pytest.fixture
def owner(node, tmp_path):
    return Owner(node, tmp_path, node.accounts[0])


@pytest.fixture
def contract(node):
    return node.deploy("KeyManager")


@pytest.fixture
def quote(tmp_path):
    path = tmp_path / "quote.bin"
    path.write_bytes(bytes(range(256)) * 20)
    return path


def evidence_of(contract, done):
    receipt = contract.chain.receipt(done["transaction"], contract.artifact)
    return next(event for event in receipt.events if event.name in ("EvidencePosted", "JoinRequested"))


def test_keymanager_deploy_compares_the_code_on_the_chain(node, owner):
    made = owner.does("deploy")
    assert made["code_verified"] and made["kind"] == "key manager"
    found = node.contract("KeyManager", made["contract"])
    assert found.call("owner") == owner.account.address
    shown = owner.does("show", contract=found, signs=False)
    assert (shown["code_verified"], shown["epoch"], shown["frozen"]) == (True, 0, False)


def test_keymanager_lists_are_what_was_typed(owner, contract):
    owner.does("allow", "mrtd", MRTD, contract=contract)
    listed = hashlib.sha256(bytes.fromhex(MRTD)).digest()
    assert contract.call("allowed_mrtds", listed)
    owner.does("disallow", "mrtd", MRTD, contract=contract)
    assert not contract.call("allowed_mrtds", listed)
    owner.does("allow", "mrenclave", ROOTFS, contract=contract)
    assert contract.call("allowed_mrenclaves", bytes.fromhex(ROOTFS))
    machine = ["--rootfs", ROOTFS, "--mrtd", MRTD, "--rtmr0", RTMR0, "--rtmr3", RTMR3]
    owner.does("allow", "machine", *machine, contract=contract)
    words = [bytes.fromhex(word) for word in (ROOTFS, MRTD, RTMR0, RTMR3)]
    assert contract.call("get_mrtd", *words)
    statuses = ["--status", "UpToDate", "--status", "SWHardeningNeeded", "--min-evaluation", 17]
    owner.does("allow", "tcb", FMSPC, *statuses, contract=contract)
    family = bytes.fromhex(FMSPC) + bytes(10)
    assert list(contract.call("allowed_tcbs", family)) == [17, 3]
    owner.does("disallow", "tcb", FMSPC, contract=contract)
    assert list(contract.call("allowed_tcbs", family)) == [0, 0]


def test_keymanager_lists_refuse_what_can_never_be_meant(owner, contract):
    revoked = owner.run("allow", "tcb", FMSPC, "--status", "Revoked", contract=contract)
    assert revoked.code == 2 and "never be allowed" in revoked.err
    short = owner.run("allow", "mrtd", MRTD[:-2], contract=contract)
    assert short.code == 2 and "48 bytes" in short.err
    stranger = Owner(owner.node, owner.key.parent, owner.node.accounts[1])
    refused = stranger.run("allow", "mrtd", MRTD, contract=contract)
    assert refused.code == 1 and owner.account.address in refused.err.lower(), refused


@pytest.mark.parametrize("carrier", ["calldata", "blob"])
def test_keymanager_bootstrap_leaves_its_evidence_on_the_chain(owner, contract, quote, carrier):
    done = owner.does("bootstrap", MASTER.address, "--evidence", quote, "--carrier", carrier, contract=contract)
    assert contract.call("xPub") == MASTER.address and contract.call("epoch") == 1
    posted = evidence_of(contract, done)
    assert posted.arguments[1] == hashlib.sha256(quote.read_bytes()).digest()
    if carrier == "calldata":
        assert posted.arguments[2] == bytes(32)
        return
    assert "0x" + posted.arguments[2].hex() == done["blob"]
    blob = bytes.fromhex(contract.chain.rpc("anvil_getBlobByHash", done["blob"])[2:])
    elements = b"".join(blob[i + 1 : i + 32] for i in range(0, len(blob), 32))
    assert elements[4 : 4 + int.from_bytes(elements[:4])] == quote.read_bytes()


def test_keymanager_blobs_go_with_proofs_of_either_form(owner, contract, quote):
    for sidecar in ("cells", "blob"):
        arguments = ["--evidence", quote, "--carrier", "blob", "--sidecar", sidecar]
        done = owner.does("post-evidence", MASTER.address, *arguments, contract=contract)
        assert "0x" + evidence_of(contract, done).arguments[2].hex() == done["blob"]


def test_keymanager_bootstrap_counts_once(owner, contract, quote):
    owner.does("bootstrap", MASTER.address, "--evidence", quote, contract=contract)
    again = owner.run("bootstrap", NEXT.address, "--evidence", quote, contract=contract)
    assert again.code == 1 and "Already bootstrapped" in again.err


def test_keymanager_rotation_needs_the_new_keys_signature(owner, contract, quote):
    owner.does("bootstrap", MASTER.address, contract=contract)
    separator = domain_separator(owner.node.chain_id, contract.address)
    good = NEXT.sign(typed_digest(separator, "Rotation", NEXT.address, 2))
    arguments = ["rotate", NEXT.address, "--evidence", quote, "--signature"]
    other = owner.run(*arguments, MASTER.sign(bytes(32)).hex(), contract=contract)
    assert other.code == 1 and "Signature does not verify" in other.err
    rsv = owner.run(*arguments, (good[1:] + good[:1]).hex(), contract=contract)
    assert rsv.code == 2 and "another order" in rsv.err
    owner.does(*arguments, good.hex(), contract=contract)
    assert (contract.call("xPub"), contract.call("epoch")) == (NEXT.address, 2)


def join(owner, contract, quote):
    separator = domain_separator(owner.node.chain_id, contract.address)
    box, digest = b"\x09" * 32, hashlib.sha256(quote.read_bytes()).digest()
    signed = typed_digest(separator, "Join", MEMBER.address, box, owner.account.address, digest, 1)
    arguments = ["--box-key", box.hex(), "--signature", MEMBER.sign(signed).hex(), "--evidence", quote]
    owner.does("join", MEMBER.address, *arguments, "--carrier", "blob", contract=contract)
    return separator


def test_keymanager_members_join_and_go(owner, contract, quote):
    owner.does("allow", "mrtd", MRTD, contract=contract)
    owner.does("allow", "tcb", FMSPC, contract=contract)
    owner.does("bootstrap", MASTER.address, contract=contract)
    separator = join(owner, contract, quote)
    assert contract.call("requested", MEMBER.address) == REQUESTED
    listed, family = hashlib.sha256(bytes.fromhex(MRTD)).digest(), bytes.fromhex(FMSPC) + bytes(10)
    answer = typed_digest(separator, "Onboard", MEMBER.address, family, listed, b"sealed", 1)
    arguments = ["--fmspc", FMSPC, "--measurement", listed.hex(), "--response", b"sealed".hex()]
    done = owner.does(
        "onboard", MEMBER.address, *arguments, "--signature", MASTER.sign(answer).hex(), contract=contract
    )
    assert f"requested({MEMBER.address}) is onboarded".lower() in done["effect"].lower(), done
    assert hashlib.sha256(b"sealed").hexdigest() in done["effect"]
    assert contract.call("memberAllowed", MEMBER.address)
    owner.does("deregister", MEMBER.address, contract=contract)
    assert contract.call("requested", MEMBER.address) == REJECTED
    assert owner.does("deregister", MEMBER.address, contract=contract)["already"]


@pytest.mark.parametrize("hidden", ["membership", "sealed key"])
def test_keymanager_onboarding_is_done_when_the_contract_shows_both(node, owner, contract, quote, hidden):
    """The newcomer's host and auditors take the sealed key from the event, and members the membership from the contract."""
    owner.does("allow", "mrtd", MRTD, contract=contract)
    owner.does("allow", "tcb", FMSPC, contract=contract)
    owner.does("bootstrap", MASTER.address, contract=contract)
    separator = join(owner, contract, quote)
    listed, family = hashlib.sha256(bytes.fromhex(MRTD)).digest(), bytes.fromhex(FMSPC) + bytes(10)
    answer = typed_digest(separator, "Onboard", MEMBER.address, family, listed, b"sealed", 1)
    arguments = ["--fmspc", FMSPC, "--measurement", listed.hex(), "--response", b"sealed".hex()]
    arguments += ["--signature", MASTER.sign(answer).hex(), "--network", "local", "--contract", contract.address]

    def no_logs(method, _, answer):
        return {"result": []} if method == "eth_getLogs" else answer

    with Endpoint(node) as one, Endpoint(node) as two:
        change = says(contract, requested=REQUESTED.to_bytes(32, "big")) if hidden == "membership" else no_logs
        one.change = two.change = change
        rpc = ["--rpc", one.url, "--rpc", two.url]
        refused = attestry("keymanager", "onboard", MEMBER.address, *arguments, *rpc, "--key", owner.key)
    assert refused.code == 1 and "is onboarded, and its sealed key" in refused.err, refused
    assert "done in block" not in refused.out and contract.call("memberAllowed", MEMBER.address)


def test_keymanager_says_in_words_what_is_done_now_and_next(owner, contract, quote):
    owner.does("allow", "mrtd", MRTD, contract=contract)
    owner.does("allow", "tcb", FMSPC, contract=contract)
    text = ["--rpc", owner.node.url, "--network", "local", "--contract", contract.address, "--key", owner.key]
    put = attestry("keymanager", "bootstrap", MASTER.address, *text)
    assert put.code == 0 and f"seen there: xPub() is {MASTER.address}".lower() in put.out.lower(), put
    separator = join(owner, contract, quote)
    listed, family = hashlib.sha256(bytes.fromhex(MRTD)).digest(), bytes.fromhex(FMSPC) + bytes(10)
    answer = typed_digest(separator, "Onboard", MEMBER.address, family, listed, b"sealed", 1)
    arguments = ["--fmspc", FMSPC, "--measurement", listed.hex(), "--response", b"sealed".hex()]
    arguments += ["--signature", MASTER.sign(answer).hex()]
    tried = attestry("keymanager", "onboard", MEMBER.address, *arguments, *text, "--dry-run")
    assert tried.code == 0 and "seen there" not in tried.out and "next:" not in tried.out, tried
    done = attestry("keymanager", "onboard", MEMBER.address, *arguments, *text)
    assert done.code == 0 and "seen there: requested(" in done.out, done
    assert f"next: at the newcomer's server, POST /register/{b'sealed'.hex()}" in done.out


def test_keymanager_says_done_of_what_the_contract_shows(node, owner, contract):
    """A receipt says that a call succeeded, and not what it did."""
    member = MEMBER.address
    with Endpoint(node) as one, Endpoint(node) as two, Endpoint(node) as liar:
        rpc = [word for endpoint in (one, two, liar) for word in ("--rpc", endpoint.url)]
        more = [*rpc, "--network", "local", "--contract", contract.address, "--key", owner.key]
        liar.change = says(contract, allowed_mrtds=(0).to_bytes(32, "big"))
        done = attestry("keymanager", "allow", "mrtd", MRTD, *more)
        assert done.code == 0 and "done in block" in done.out, done
        # Two that say the same believe each other: another contract, or another chain, is behind that address.
        one.change = two.change = liar.change = says(contract, requested=(ONBOARDED).to_bytes(32, "big"))
        refused = attestry("keymanager", "deregister", member, *more)
        assert refused.code == 1 and f"requested({member}) is rejected".lower() in refused.err.lower(), refused
        assert "done in block" not in refused.out
        assert contract.call("requested", member) == REJECTED


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["allow", "machine"], "on the list: 0x"),
        (["disallow", "machine"], "not on the list: 0x"),
        (["allow", "tcb", FMSPC], "allowed_tcbs is 0, 1"),
        (["disallow", "tcb", FMSPC], "allowed_tcbs is 0, 0"),
        (["post-evidence", MEMBER.address, "--carrier", "calldata"], "an event EvidencePosted about 0x"),
        (["post-evidence", MEMBER.address, "--carrier", "blob"], "an event EvidencePosted about 0x"),
    ],
    ids=lambda value: " ".join(value[:2] + value[3:]) if isinstance(value, list) else "",
)
def test_keymanager_rules_and_evidence_are_done_when_the_contract_shows_them(
    node, owner, contract, quote, arguments, expected
):
    more = ["--network", "local", "--contract", contract.address, "--key", owner.key]
    if "machine" in arguments:
        more += ["--rootfs", ROOTFS, "--mrtd", MRTD, "--rtmr0", RTMR0, "--rtmr3", RTMR3]
    if "post-evidence" in arguments:
        more += ["--evidence", quote]
    if arguments[0] == "disallow":
        subjects = arguments[2:]
        machine = more[6:]
        owner.does("allow", *arguments[1:2], *subjects, *machine, contract=contract)

    def run(rpc):
        return attestry("keymanager", *arguments, *rpc, *more)

    refused = without_effect(node, run)
    assert refused.code == 1 and expected in refused.err, refused
    assert "the contract does not say what it should" in refused.err and "done in block" not in refused.out
    with Endpoint(node) as one, Endpoint(node) as two, Endpoint(node) as liar:
        liar.change = as_before(node)
        done = run([word for endpoint in (one, two, liar) for word in ("--rpc", endpoint.url)])
        assert done.code == 0 and "done in block" in done.out, done


def test_keymanager_a_frozen_contract_still_shows_what_was_taken_back(owner, contract):
    machine = ["--rootfs", ROOTFS, "--mrtd", MRTD, "--rtmr0", RTMR0, "--rtmr3", RTMR3]
    owner.does("allow", "machine", *machine, contract=contract)
    contract.send("freeze")
    owner.does("disallow", "machine", *machine, contract=contract)


def test_keymanager_transactions_have_a_greatest_cost(owner, contract):
    refused = owner.run("allow", "mrtd", MRTD, "--max-cost", "0.000001", contract=contract)
    assert refused.code == 1 and "may cost more than the limit" in refused.err, refused
    done = owner.run("allow", "mrtd", MRTD, contract=contract)
    assert done.code == 0 and "  at most " in done.err and " ether" in done.err, done
    for wrong in ("x", "-1", "19", "1e3", "."):
        assert owner.run("allow", "mrtd", MRTD, f"--max-cost={wrong}", contract=contract).code == 2


def test_keymanager_one_endpoints_receipt_is_not_the_chains(owner, contract, tmp_path):
    """Two that did not take the transaction and one that says it is done: it is not."""
    with Endpoint(owner.node) as liar, Endpoint(owner.node) as other:
        chosen = [*(f"--rpc={url}" for url in (liar.url, other.url, owner.node.url)), "--network", "local"]
        other.change = lambda method, parameters, answer: (
            {"result": None} if method == "eth_getTransactionReceipt" else answer
        )
        done = attestry(
            *["keymanager", "allow", "mrtd", MRTD, "--contract", contract.address, *chosen, "--key", owner.key],
        )
        assert done.code == 0, done
        liar.change = other.change
        waits = ["--timeout", 2]
        done = attestry(
            *["keymanager", "disallow", "mrtd", MRTD, "--contract", contract.address, *chosen, "--key", owner.key],
            *waits,
        )
        assert done.code != 0 and "more than half" in done.err, done


def test_keymanager_members_resign_by_their_own_signature(owner, contract, quote):
    owner.does("bootstrap", MASTER.address, contract=contract)
    separator = join(owner, contract, quote)
    farewell = MEMBER.sign(typed_digest(separator, "Resign", MEMBER.address, 1))
    owner.does("resign", MEMBER.address, "--signature", farewell.hex(), contract=contract)
    assert contract.call("requested", MEMBER.address) == REJECTED


def test_keymanager_profiles_name_networks():
    listed = {one["name"]: one for one in attestry("keymanager", "profiles", "--format", "json").json()}
    assert (listed["mainnet"]["chain_id"], listed["sepolia"]["chain_id"]) == (1, 11155111)
    assert (listed["base"]["chain_id"], listed["base"]["blobs"]) == (8453, False)
    assert listed["local"]["chain_id"] == listed["anvil"]["chain_id"] == 31337
    assert listed["goerli"]["ended"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--network", "goerli"], "does not exist any more"),
        (["--network", "mainnett"], "no network has this name"),
        (["--network", "mainnet", "--chain-id", "5"], "different chains"),
        (["--network", "mainnet"], "which endpoint?"),
        ([], "which chain?"),
    ],
)
def test_keymanager_networks_that_cannot_be_are_refused(arguments, words):
    done = attestry("keymanager", "show", "--contract", "0x" + "11" * 20, *arguments)
    assert done.code == 2 and words in done.err, done


def test_keymanager_a_network_without_blobs_gets_call_data(owner, contract, quote):
    arguments = ["--evidence", quote, "--carrier", "blob", "--network", "base", "--rpc", owner.node.url]
    done = attestry(
        "keymanager", "post-evidence", MASTER.address, *arguments, "--contract", contract.address, "--key", owner.key
    )
    assert done.code == 2 and "takes no blobs" in done.err
