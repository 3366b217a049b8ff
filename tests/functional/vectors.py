"""Cases of ATTESTRY_SHARED/vectors (or of tests/data where that is not there), and byte changes of them."""

import json
import os
import shutil

from harness import ROOT, attestry

SHARED = (ROOT / os.environ.get("ATTESTRY_SHARED", "../shared")).resolve() / "vectors"
HAVE_SHARED = (SHARED / "mutations.json").is_file()
PLATFORMS = ["tdx", "sgx", "snp", "nitro", "maa"]
SETS = [*PLATFORMS, *(f"synthetic/{platform}" for platform in PLATFORMS)]


class Case:
    def __init__(self, root, folder):
        self.folder = folder
        self.name = str(folder.relative_to(root))
        self.about = json.loads((folder / "case.json").read_text())
        self.expect = self.about["expect"]

    def trust_files(self):
        pattern = self.about.get("trust_anchor")
        if not pattern:
            return []
        if ".." in pattern:
            parent = self.folder.joinpath(pattern).parent.resolve()
            return sorted(parent.glob(pattern.rsplit("/", 1)[-1]))
        return sorted(self.folder.glob(pattern))

    def verify(self, folder=None, at=None, *more, policy="genuine", format="json"):
        """`attestry verify` on this case or on a changed copy of it."""
        command = ["verify", "--policy", policy, "--format", format, "--offline"]
        if at := at or self.about.get("verify_at"):
            command += ["--at", at]
        for file in self.trust_files():
            command += ["--trust", file]
        if issuer := self.about.get("expected_issuer"):
            command += ["--issuer", issuer]
        return attestry(*command, *more, folder or self.folder)

    def copy(self, to):
        """Without the answers beside it."""
        shutil.copytree(self.folder, to, ignore=shutil.ignore_patterns("case.json"))
        return to


def cases():
    root = SHARED if HAVE_SHARED else ROOT / "tests" / "data"
    found = []
    for name in SETS:
        for file in sorted((root / name).glob("*/case.json")):
            case = Case(root, file.parent)
            if case.expect.get("result") in ("ok", "fail") and len(list(file.parent.iterdir())) > 1:
                found.append(case)
    return found


def disagreement(expect, done):
    """Why the answer is not the expected one; None when it is."""
    if done.code not in (0, 1, 3):
        return f"exit {done.code}: {done.err[-300:]}"
    verdict = done.json()
    accepted = verdict["verdict"] == "accepted"
    if accepted != (done.code == 0) or (verdict["verdict"] == "undecided") != (done.code == 3):
        return f"exit {done.code} for {verdict['verdict']}"
    if accepted != (verdict["root_cause"] is None):
        return f"{verdict['verdict']} with root cause {verdict['root_cause']}"
    if expect["result"] == "fail":
        return "accepted what must be refused" if accepted else None
    if not accepted:
        return f"refused a good one: {verdict['root_cause']}"
    tcb = verdict["tcb"] or {}
    if expect.get("tcb_status") and tcb.get("status") != expect["tcb_status"]:
        return f"TCB status {tcb.get('status')}, not {expect['tcb_status']}"
    if expect.get("tcb_status") and "advisory_ids" in expect:
        if sorted(tcb["advisory_ids"]) != sorted(expect["advisory_ids"] or []):
            return f"advisories {tcb['advisory_ids']}, not {expect['advisory_ids']}"
    for name, value in (expect.get("measurements") or {}).items():
        if value is None or isinstance(value, dict | list):
            continue
        if str(verdict["claims"].get(name)).lower() != str(value).lower():
            return f"claim {name} is {verdict['claims'].get(name)}, not {value}"
    return None


def changed_bytes(data, op):
    """One change of mutations.json to a file's bytes."""
    data, new, at = bytearray(data), bytes.fromhex(op.get("hex", "")), op.get("at", 0)
    match op["op"]:
        case "xor":
            data[at : at + len(new)] = bytes(a ^ b for a, b in zip(data[at:], new, strict=False))
        case "put":
            data[at : at + len(new)] = new
        case "insert":
            data[at:at] = new
        case "cut":
            del data[at : at + op["size"]]
        case "append":
            data += new
        case "truncate":
            del data[op["size"] :]
        case other:
            raise ValueError(other)
    return bytes(data)


def changed_json(document, op, root):
    key = op["key"]
    match op["op"]:
        case "json_put":
            document[key] = op["value"]
        case "json_from":
            document[key] = json.loads((root / op["case"] / op["file"]).read_text())[key]
        case "json_replace":
            document[key] = document[key].replace(op["old"], op["new"], 1)
        case "json_xor_hex":
            change = {"op": "xor", "at": op["at"], "hex": op["hex"]}
            document[key] = changed_bytes(bytes.fromhex(document[key]), change).hex()
        case other:
            raise ValueError(other)
    return document


def mutate(folder, ops, root):
    """Applies changes to a copied case; gives the time of judgement if they set one."""
    at = None
    for op in ops:
        if op["op"] == "time":
            at = op["verify_at"]
            continue
        file = folder / op["file"]
        if op["op"] == "file_from":
            shutil.copy(root / op["case"] / op["from_file"], file)
        elif op["op"].startswith("json_"):
            file.write_text(json.dumps(changed_json(json.loads(file.read_text()), op, root)))
        else:
            file.write_bytes(changed_bytes(file.read_bytes(), op))
    return at
