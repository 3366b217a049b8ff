"""The root cause of every failure that the vectors and the forge know, as tests/data/root_causes.json keeps them.

python root_causes.py [--write]     # what the program says now: statistics; with --write, into the golden file
"""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import vectors
from harness import ATTESTRY, ROOT, attestry

GOLDEN = ROOT / "tests" / "data" / "root_causes.json"
SEED = "root causes"
AT = "2026-06-15T00:00:00Z"
# One kind of each verifier, and what only some kinds can have wrong.
FORGED = ["sgx-v3", "tdx-v4", "tdx-v5", "snp-milan-v3", "snp-turin-v5", "snp-genoa-v5-vlek", "nitro", "maa-sgx",
          "maa-azurevm-snp"]  # fmt: skip
LOG_FAULTS = ["other-boot", "changed-text", "changed-payload", "second-separator", "missing-event", "cut"]
THREADS = 4


def steady(text):
    """Without digests and times, which say nothing about the wording."""
    text = re.sub(r"\b[0-9a-f]{16,}\b", "<hex>", text)
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>", text)


def cause_of(verdict):
    cause = verdict["root_cause"]
    return {"check": cause["id"], **{key: steady(cause[key]) for key in ("expected", "actual", "detail")}}


def wording(cause):
    """What makes two failures the same: check and texts, whatever the numbers."""
    return tuple(re.sub(r"\d+", "N", cause[key]) for key in ("check", "expected", "actual", "detail"))


def judged_mutation(mutation, by_name):
    case = by_name[mutation["base"]]
    with tempfile.TemporaryDirectory() as folder:
        copy = case.copy(pathlib.Path(folder) / "case")
        vectors.mutate(copy, mutation["ops"], vectors.SHARED)
        return case.verify(copy).json()


def mutations():
    """Those that must be refused and are not only a question of time."""
    listed = json.loads((vectors.SHARED / "mutations.json").read_text())["mutations"]
    return [
        m
        for m in listed
        if m["base"].split("/")[0] in vectors.PLATFORMS
        and m["expect"]["result"] == "fail"
        and all(op["op"] != "time" for op in m["ops"])
    ]


def in_parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, items))


def of_mutations():
    """{"mutation on case": verdict}"""
    by_name = {case.name: case for case in vectors.cases()}
    wanted = mutations()
    verdicts = in_parallel(lambda m: judged_mutation(m, by_name), wanted)
    return {f"{m['id']} on {m['base']}": (m, verdict) for m, verdict in zip(wanted, verdicts, strict=True)}


def of_cases():
    """{"case": verdict} of the cases that are refused under the genuine policy."""
    found = vectors.cases()
    verdicts = in_parallel(lambda case: case.verify().json(), found)
    return {case.name: verdict for case, verdict in zip(found, verdicts, strict=True) if verdict["root_cause"]}


def verify_forged(folder, *more):
    about = json.loads((folder / "case.json").read_text())
    command = ["verify", folder, "--at", about["verify_at"], "--policy", "genuine", "--offline", "--format", "json"]
    if "trust_anchor" in about:
        command += ["--trust", folder / about["trust_anchor"]]
    if "expected_issuer" in about:
        command += ["--issuer", about["expected_issuer"]]
    return attestry(*command, *more).json()


def forge(out, *more):
    command = [ATTESTRY, "forge", "--seed", SEED, "--at", AT, "--out", out, *more]
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


def of_forge():
    """{"kind fault": verdict}: needs nothing but the program."""
    with tempfile.TemporaryDirectory() as top:
        folders = {}
        for kind in FORGED:
            out = pathlib.Path(top) / kind
            forge(out, "--kind", kind, "--fault", "all")
            folders |= {f"{kind} {path.parent.name}": path.parent for path in sorted(out.glob("*/case.json"))}
        for fault in LOG_FAULTS:
            out = pathlib.Path(top) / f"log-{fault}"
            forge(out, "--kind", "tdx-v4", "--event-log", "--event-log-fault", fault)
            folders[f"tdx-v4 event log {fault}"] = out
        verdicts = in_parallel(verify_forged, folders.values())
        return {name: verdict for name, verdict in zip(folders, verdicts, strict=True) if verdict["root_cause"]}


def now():
    out = {"forged": {name: cause_of(verdict) for name, verdict in of_forge().items()}}
    if vectors.HAVE_SHARED:
        out["mutations"] = {name: cause_of(verdict) for name, (_, verdict) in of_mutations().items()}
        out["cases"] = {name: cause_of(verdict) for name, verdict in of_cases().items()}
    return out


def write(found):
    """One line for each failure: what a reviewer reads, and what a diff shows."""
    groups = []
    for group in sorted(found):
        lines = [
            f"    {json.dumps(name)}: {json.dumps(found[group][name], ensure_ascii=False)}"
            for name in sorted(found[group])
        ]
        groups.append(f"  {json.dumps(group)}: {{\n" + ",\n".join(lines) + "\n  }")
    GOLDEN.write_text("{\n" + ",\n".join(groups) + "\n}\n")


def main():
    found = now()
    everything = [cause for group in found.values() for cause in group.values()]
    for group, causes in sorted(found.items()):
        print(f"{group}: {len(causes)} failures, {len({wording(c) for c in causes.values()})} distinct")
    print(f"together: {len(everything)} failures, {len({wording(c) for c in everything})} distinct,")
    print(f"{len({c['check'] for c in everything})} checks")
    if "--write" in sys.argv:
        write(found)
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
