"""attestry keymanager audit: how every member came to the master key, verified again from the chain or from a folder."""

import hashlib
import json
import shutil

import abi
import pytest
from endpoints import Endpoint
from evm import Anvil
from harness import attestry
from keymanager import Key, domain_separator, typed_digest

MRTD = "1d" * 48
BOX_KEY = b"\x09" * 32
MASTER, NEXT, MEMBER, OTHER = (Key(bytes([byte]) * 32) for byte in (0x51, 0x52, 0x53, 0x54))
FIRMWARE = ["--mrtd-suffices"]
LISTED = hashlib.sha256(bytes.fromhex(MRTD)).digest()


@pytest.fixture(scope="module")
def node():
    with Anvil() as chain:
        yield chain


class KeyService:
    """What servers of a key manager would do: evidence of a simulated TEE, and signatures."""

    def __init__(self, node, folder):
        self.node, self.folder, self.contract = node, folder, node.deploy("KeyManager")
        self.payer = node.accounts[0].address
        self.separator = domain_separator(node.chain_id, self.contract.address)
        self.key = folder / "owner.key"
        self.key.write_text(node.accounts[0].key.hex())
        self.key.chmod(0o600)
        self.case = self.forge(b"")
        claims = attestry("verify", self.case, "--trust", self.case / "root.pem", "--format", "json").json()["claims"]
        self.claims = claims
        self.fmspc = bytes.fromhex(claims["fmspc"]) + bytes(10)
        self.contract.send("allowMrtd", LISTED, True)
        self.contract.send("allowTcb", self.fmspc, 0, 1)

    def typed(self, name, *values):
        return typed_digest(self.separator, name, *values)

    def forge(self, report_data, mrtd=MRTD):
        case = self.folder / hashlib.sha256(report_data + mrtd.encode()).hexdigest()[:8]
        made = attestry("forge", "--out", case, "--mrtd", mrtd, "--report-data", report_data.hex() or "00")
        assert made.code == 0, made
        return case

    def quote(self, head, mrtd=MRTD):
        return (self.forge(head, mrtd) / "quote.bin").read_bytes()

    def bootstrap(self, head=None, quote=None):
        head = head or self.typed("Bootstrap", MASTER.address, 1)
        evidence = quote or self.quote(head)
        self.contract.send("bootstrapWithEvidence", MASTER.address, hashlib.sha256(evidence).digest(), evidence)

    def join(self, member=MEMBER, head=None, mrtd=MRTD, carrier="calldata", epoch=1):
        evidence = self.quote(head or self.typed("Newcomer", member.address, BOX_KEY, epoch), mrtd)
        digest = hashlib.sha256(evidence).digest()
        signature = member.sign(self.typed("Join", member.address, BOX_KEY, self.payer, digest, epoch))
        path = self.folder / "joining.bin"
        path.write_bytes(evidence)
        done = attestry(
            *["keymanager", "join", member.address, "--box-key", BOX_KEY.hex(), "--signature", signature.hex()],
            *["--evidence", path, "--carrier", carrier, "--contract", self.contract.address, "--network", "local"],
            *["--rpc", self.node.url, "--key", self.key],
        )
        assert done.code == 0, done

    def onboard(self, member=MEMBER, by=MASTER, epoch=1):
        said = (member.address, self.fmspc, LISTED, b"sealed")
        self.contract.send(
            "onboard(address,bytes16,bytes32,bytes,bytes)", *said, by.sign(self.typed("Onboard", *said, epoch))
        )

    def rotate(self, quote=None):
        evidence = quote or self.quote(self.typed("Bootstrap", NEXT.address, 2))
        signature = NEXT.sign(self.typed("Rotation", NEXT.address, 2))
        self.contract.send("rotate", NEXT.address, signature, hashlib.sha256(evidence).digest(), evidence)

    def audit(self, *arguments, fmt="json", firmware=FIRMWARE):
        chain = ["--network", "local", "--rpc", self.node.url]
        return self._audit(self.contract.address, *chain, *firmware, *arguments, "--format", fmt)

    def again(self, saved, fmt="json"):
        """Without a network."""
        return self._audit("--offline", saved, *FIRMWARE, "--format", fmt)

    def _audit(self, *arguments):
        trust = ["--trust", self.case / "root.pem", "--collateral", self.case / "collateral.json"]
        return attestry("keymanager", "audit", *arguments, *trust)


@pytest.fixture
def service(node, tmp_path):
    return KeyService(node, tmp_path)


@pytest.fixture
def known(service):
    """What its machines boot is known: with identities."""
    claims = service.claims
    rules = {name: [claims[name]] for name in ("mrtd", "rtmr1", "rtmr2")}
    path = service.folder / "members.json"
    path.write_text(json.dumps({"format": 1, "name": "members", "identities": [{"name": "members", "claims": rules}]}))
    return ["--policy", path]


def steps_of(done):
    return {step["kind"]: step for step in done.json()["steps"]}


def refused_check(done, kind):
    assert done.code == 1, done
    step = steps_of(done)[kind]
    assert step["outcome"] == "refused"
    return {check["name"] for check in step["checks"] if check["outcome"] == "refused"}


@pytest.mark.parametrize("carrier", ["calldata", "blob"])
def test_keymanager_audit_of_a_whole_history(service, carrier):
    service.bootstrap()
    service.join(carrier=carrier)
    service.onboard()
    service.rotate()
    done = service.audit()
    assert done.code == 0, done
    report = done.json()
    assert (report["outcome"], report["xPub"].lower(), report["epoch"]) == ("accepted", NEXT.address, 2)
    assert [step["kind"] for step in report["steps"]] == ["bootstrap", "request", "onboarding", "rotation"]
    onboarding = steps_of(done)["onboarding"]
    names = [check["name"] for check in onboarding["checks"]]
    assert names == ["posted", "signature", "signature", "verdict", "binding", "software", "platform"]
    assert all(check["outcome"] == "accepted" for check in onboarding["checks"])
    assert onboarding["checks"][0]["detail"].startswith("in the blob" if carrier == "blob" else "in the call data")
    assert onboarding["simulated"]


@pytest.mark.parametrize("fmt", ["json", "text"])
def test_keymanager_audit_without_a_network_says_the_same_bytes(service, tmp_path, fmt):
    service.bootstrap()
    service.join(carrier="blob")
    service.onboard()
    saved = tmp_path / "saved"
    online = service.audit("--save", saved, fmt=fmt)
    assert online.code == 0, online
    moved = tmp_path / "elsewhere"
    shutil.move(saved, moved)
    offline = service.again(moved, fmt)
    assert (offline.code, offline.out) == (online.code, online.out)


def test_keymanager_audit_finds_evidence_that_was_made_for_something_else(service):
    service.bootstrap(head=b"\x01" * 32)
    assert refused_check(service.audit(), "bootstrap") == {"binding"}


def test_keymanager_audit_finds_another_contracts_evidence(service):
    separator = domain_separator(service.node.chain_id, "0x" + "11" * 20)
    service.bootstrap(head=typed_digest(separator, "Bootstrap", MASTER.address, 1))
    assert refused_check(service.audit(), "bootstrap") == {"binding"}


def test_keymanager_audit_finds_a_member_that_runs_something_else(service):
    service.bootstrap()
    service.join(mrtd="2e" * 48)
    service.onboard()  # whoever has the master key may say anything
    assert refused_check(service.audit(), "onboarding") == {"software"}


def test_keymanager_audit_looks_at_the_lists_of_that_time(service):
    service.bootstrap()
    service.join()
    service.onboard()
    service.contract.send("allowMrtd", LISTED, False)
    assert service.audit().code == 0
    evidence = service.quote(service.typed("Bootstrap", NEXT.address, 2))
    service.rotate(evidence)
    assert refused_check(service.audit(), "rotation") == {"software"}


def test_keymanager_audit_finds_a_forged_quote(service):
    case = service.folder / "forged"
    head = service.typed("Bootstrap", MASTER.address, 1)
    made = attestry(
        *["forge", "--out", case, "--mrtd", MRTD, "--report-data", head.hex(), "--seed", "somebody else"],
    )
    assert made.code == 0, made
    service.bootstrap(quote=(case / "quote.bin").read_bytes())
    assert "verdict" in refused_check(service.audit(), "bootstrap")


def test_keymanager_audit_of_a_request_that_nobody_answered_on_the_chain(service):
    """A member's answer is in the hands of its host before the chain knows of it."""
    service.bootstrap()
    service.join(head=b"\x02" * 32)
    done = service.audit()
    assert done.code == 3, done
    step = steps_of(done)["request"]
    assert (step["outcome"], step["counts"]) == ("undecided", True)
    assert "the members' logs say" in step["checks"][-1]["detail"]
    assert service.audit("--ignore-unanswered").code == 0
    service.join(member=OTHER)
    assert [step["outcome"] for step in service.audit().json()["steps"]] == ["accepted", "undecided", "accepted"]


def test_keymanager_audit_of_firmware_alone_is_undecided(service, known):
    """MRTD says what booted first, and nothing of what came then: the members say the same."""
    service.bootstrap()
    done = service.audit(firmware=[])
    assert done.code == 3, done
    software = next(check for check in steps_of(done)["bootstrap"]["checks"] if check["name"] == "software")
    assert software["outcome"] == "undecided" and "not what it booted" in software["detail"]
    assert service.audit(firmware=known).code == 0


def test_keymanager_audit_of_a_machine_without_its_kernel_is_undecided(service, known):
    service.bootstrap()
    service.contract.send("allowMrtd", LISTED, False)
    words = [bytes.fromhex(service.claims[name]) for name in ("rtmr0", "rtmr3")]
    service.contract.send("set_mrtd", b"\x17" * 32, bytes.fromhex(MRTD), *words, True)
    evidence = service.quote(service.typed("Bootstrap", NEXT.address, 2))
    service.rotate(evidence)

    def rotation(firmware):
        return steps_of(service.audit(firmware=firmware))["rotation"]["outcome"]

    assert rotation([]) == "undecided"
    assert rotation(["--machine-suffices"]) == rotation(known) == "accepted"


def test_keymanager_audit_of_other_code_is_undecided(service, tmp_path):
    """Only of this program's contract is it known that nobody becomes a member without an event."""
    service.bootstrap()
    saved = tmp_path / "saved"
    code = service.node.rpc("eth_getCode", service.contract.address, "latest")
    assert service.audit("--save", saved).json()["code"] == "accepted"
    service.node.rpc("anvil_setCode", service.contract.address, code + "00")
    done = service.audit()
    assert (done.code, done.json()["code"], done.json()["outcome"]) == (3, "undecided", "undecided"), done
    other = hashlib.sha256(bytes.fromhex(code[2:]) + b"\0").hexdigest()
    assert done.json()["code_sha256"] == other
    assert service.audit("--code-sha256", other).code == 0
    history = json.loads((saved / "history.json").read_text())
    assert service.again(saved).code == 0
    (saved / "history.json").write_text(json.dumps({**history, "version": 1, "code_sha256": None}))
    assert service.again(saved).code == 3


def test_keymanager_audit_is_not_spoiled_by_what_strangers_post(service):
    service.contract.send("bootstrap", MASTER.address)
    junk, stranger = b"junk", service.node.accounts[3]
    service.contract.send("postEvidence", MASTER.address, hashlib.sha256(junk).digest(), junk, sender=stranger)
    assert service.audit().code == 3
    evidence = service.quote(service.typed("Bootstrap", MASTER.address, 1))
    service.contract.send("postEvidence", MASTER.address, hashlib.sha256(evidence).digest(), evidence)
    assert service.audit().code == 0


def test_keymanager_audit_is_not_turned_by_a_node_that_gives_other_call_data(service):
    service.bootstrap()
    service.join()
    service.onboard()
    with Endpoint(service.node) as node:
        sent = abi.selector("onboard(address,bytes16,bytes32,bytes,bytes)").hex()

        def change(method, parameters, answer):
            data = (answer.get("result") or {}).get("input", "") if method == "eth_getTransactionByHash" else ""
            if data[2:].startswith(sent):
                # The signature's last bytes, in front of the zeros that fill its word.
                answer["result"]["input"] = data[:-64] + "00" * 4 + data[-56:]
            return answer

        node.change = change
        where = ["--network", "local", "--rpc", node.url]
        done = service._audit(service.contract.address, *where, *FIRMWARE, "--format", "json")
    assert done.code == 3, done
    assert "hold none that is good" in done.out


def test_keymanager_audit_without_evidence_is_undecided(service):
    service.contract.send("bootstrap", MASTER.address)
    done = service.audit()
    assert done.code == 3, done
    assert steps_of(done)["bootstrap"]["checks"][0]["detail"] == "no evidence was ever posted"


def test_keymanager_audit_of_a_register_without_evidence_is_undecided(service):
    service.bootstrap()
    digest = abi.keccak(b"register" + bytes.fromhex(service.payer[2:]))
    service.contract.send("register(address,bytes)", MEMBER.address, MEMBER.sign(digest))
    service.onboard()
    assert service.audit().code == 3


def test_keymanager_audit_that_begins_too_late_says_so(service):
    service.bootstrap()
    done = service.audit("--from", service.node.height)
    assert done.code == 1 and "does not begin with the contract" in done.err, done


def test_keymanager_audit_of_a_saved_history_that_was_changed(service, tmp_path):
    service.bootstrap()
    service.join()
    service.onboard()
    saved = tmp_path / "saved"
    assert service.audit("--save", saved).code == 0
    history = json.loads((saved / "history.json").read_text())

    def changed(logs):
        (saved / "history.json").write_text(json.dumps({**history, "logs": logs}))
        return service.again(saved)

    kept = [
        log for log in history["logs"] if log["topics"][0] != "0x" + abi.keccak(b"BootstrapComplete(address)").hex()
    ]
    done = changed(kept)
    assert done.code == 1 and "do not lead to the key" in done.err
    assert changed(history["logs"]).code == 0
    first = next((saved / "evidence").iterdir())
    evidence = bytearray(first.read_bytes())
    evidence[700] ^= 1
    first.write_bytes(evidence)
    assert service.again(saved).code == 1
    first.unlink()
    assert service.again(saved).code == 3


def test_keymanager_audit_of_a_chain_that_does_not_answer_is_no_refusal(service):
    done = attestry(
        *["keymanager", "audit", service.contract.address, "--chain-id", 31337, "--rpc", "http://127.0.0.1:9"],
    )
    assert done.code == 3, done
