"""attestry keymanager audit: how every member came to the master key, verified again from the chain or from a folder."""

import hashlib
import json
import shutil

import abi
import pytest
from evm import Anvil
from harness import attestry
from keymanager import Key, domain_separator, typed_digest

MRTD = "1d" * 48
BOX_KEY = b"\x09" * 32
MASTER, NEXT, MEMBER = Key(b"\x51" * 32), Key(b"\x52" * 32), Key(b"\x53" * 32)
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

    def audit(self, *arguments, fmt="json"):
        chain = ["--network", "local", "--rpc", self.node.url]
        return self._audit(self.contract.address, *chain, *arguments, "--format", fmt)

    def again(self, saved, fmt="json"):
        """Without a network."""
        return self._audit("--offline", saved, "--format", fmt)

    def _audit(self, *arguments):
        trust = ["--trust", self.case / "root.pem", "--collateral", self.case / "collateral.json"]
        return attestry("keymanager", "audit", *arguments, *trust)


@pytest.fixture
def service(node, tmp_path):
    return KeyService(node, tmp_path)


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


def test_keymanager_audit_of_a_request_alone_does_not_count(service):
    service.bootstrap()
    service.join(head=b"\x02" * 32)
    done = service.audit()
    assert done.code == 0, done
    assert (steps_of(done)["request"]["outcome"], steps_of(done)["request"]["counts"]) == ("refused", False)


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
