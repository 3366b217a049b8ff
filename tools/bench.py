#!/usr/bin/env python3
"""The figures of docs/performance.md, as ratios within one run.   tools/bench.py [--quick] [--peers] [--json FILE]

P is one P-256 verification of the system's OpenSSL 3 (`openssl speed ecdsap256`), taken before and after the rest.
Builds the preset `release`, runs the benchmark programs and a server of its own, prints one table. Exits 0 whatever the
figures are: machines are shared and noisy, so nothing here is a test.
"""

import argparse
import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/release"


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, capture_output=True, **options).stdout


def build():
    say("building the release preset with benchmarks")
    configure = ["cmake", "--preset", "release", "--log-level=WARNING"]
    subprocess.run(configure, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    targets = ["cmake", "--build", BUILD, "--target", "attestry", "benchmarks"]
    subprocess.run(targets, cwd=ROOT, check=True, stdout=sys.stderr)


def p256_us(seconds):
    """Microseconds of CPU per OpenSSL P-256 verification."""
    text = run("openssl", "speed", "-seconds", str(seconds), "ecdsap256")
    verify_per_second = float(text.strip().splitlines()[-1].split()[-1])
    return 1e6 / verify_per_second


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def median(values):
    return sorted(values)[len(values) // 2]


def google_benchmark(name, *arguments):
    text = run(str(BUILD / "bench" / name), "--benchmark_format=json", *arguments)
    made = json.loads(text)["benchmarks"]
    # "BM_Name/7" by its name with the argument, and without it where there is one only.
    return {b["name"]: b for b in made} | {b["name"].split("/")[0]: b for b in made}


class Dev:
    """`attestry dev` of the release build in a folder of its own."""

    def __init__(self, folder):
        self.data = Path(folder) / "dev"
        self.process = subprocess.Popen(
            [BUILD / "attestry", "dev", "--any-port", "--data", self.data],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )
        self.url = None
        for line in self.process.stdout:
            if match := re.search(r"server +(http://[0-9.:]+),", line):
                self.url = match.group(1)
            if "Serving until" in line:
                return
        raise SystemExit("bench: attestry dev did not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def http_verify(dev, folder, quick):
    """Server CPU per POST /v1/verify, keep-alive, collateral held, 500 platforms rotating."""
    cases = Path(folder) / "cases"
    seed = (dev.data / "forge.seed").read_text()
    run(str(BUILD / "attestry"), "forge", "--out", str(cases), "--count", "500", "--seed", seed, "--kind", "tdx-v4")
    bodies = Path(folder) / "bodies"
    bodies.mkdir()
    for i, quote in enumerate(sorted(cases.glob("**/quote.bin"))):
        evidence = base64.urlsafe_b64encode(quote.read_bytes()).rstrip(b"=").decode()
        (bodies / f"{i:04}.json").write_text(json.dumps({"evidence": evidence, "policy": "genuine"}))
    text = run(
        str(BUILD / "bench/http_load"),
        dev.url + "/v1/verify",
        str(bodies),
        "--seconds",
        "3" if quick else "10",
        "--connections",
        "8",
        "--pid",
        str(dev.process.pid),
        "--json",
    )
    return json.loads(text)


def registrations(dev, _folder, quick):
    text = run(
        str(BUILD / "bench/register_load"),
        dev.url,
        str(dev.data / "trust.json"),
        str(dev.data / "forge.seed"),
        str(dev.process.pid),
        "500" if quick else "3000",
    )
    return json.loads(text)


def idle_server(folder):
    """Resident memory and time from exec to ready of `attestry serve`, second start, key file."""
    key = Path(folder) / "root.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(32))
    command = [
        BUILD / "attestry",
        "serve",
        "--data",
        Path(folder) / "serve",
        "--unlock",
        f"file:{key}",
        "--set",
        "collateral.offline=true",
    ]
    for name in ("server.listen", "server.admin_listen", "server.metrics_listen"):
        command += ["--set", f"{name}=127.0.0.1:0"]
    figures = []
    for _ in range(4):
        begin = time.monotonic()
        process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process.stdout.readline()
        ready_ms = (time.monotonic() - begin) * 1000
        status = Path(f"/proc/{process.pid}/status").read_text()
        rss_mib = int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024
        process.send_signal(signal.SIGTERM)
        process.communicate()
        figures.append((ready_ms, rss_mib))
    later = figures[1:]
    return min(f[0] for f in later), max(f[1] for f in later)


def key_services(quick):
    """bench/keys.py, in the interpreter that the functional tests use."""
    times = ("--seconds", "1", "--rounds", "1") if quick else ("--seconds", "4", "--rounds", "3")
    return json.loads(run(str(ROOT / "build/venv/bin/python"), str(ROOT / "bench/keys.py"), *times, cwd=ROOT))


def threshold_root(quick):
    """bench/threshold_root.py, likewise."""
    times = ("--derivations", "10", "--rounds", "1") if quick else ("--derivations", "100", "--rounds", "3")
    return json.loads(run(str(ROOT / "build/venv/bin/python"), str(ROOT / "bench/threshold_root.py"), *times, cwd=ROOT))


def tracker(quick):
    """bench/tracker.py, likewise; with the rows that it prints."""
    times = ("--seconds", "1", "--rounds", "1") if quick else ("--seconds", "5", "--rounds", "3")
    script = [str(ROOT / "build/venv/bin/python"), str(ROOT / "bench/tracker.py"), *times, "--json", "-"]
    return json.loads(run(*script, cwd=ROOT))


def row(rows, what, goal, figure, command):
    rows.append({"what": what, "goal": goal, "figure": figure, "command": command})


def measure(quick):
    rows, raw = [], {"cpu": cpu_model(), "cores": os.cpu_count()}
    # In turns, because a shared machine is now faster and now slower: a ratio is taken within a round, and the median of
    # the rounds counts.
    rounds = 3 if quick else 7
    say(f"OpenSSL P-256 and verification, {rounds} rounds in turns")
    ps, times, in_p = [], {}, {}
    for _ in range(rounds):
        for program in ("verify_bench", "platform_bench", "ckd_bench", "authority_bench"):
            before = p256_us(1)
            result = google_benchmark(program, "--benchmark_min_time=0.2")
            ps.append((before + p256_us(1)) / 2)
            for name, b in result.items():
                took = b.get("cpu_us", b["cpu_time"])
                times.setdefault(name, []).append(took)
                in_p.setdefault(name, []).append(took / ps[-1])
    p = median(ps)
    ratios = {name: median(values) for name, values in in_p.items()}
    verify_us = {name: median(values) for name, values in times.items()}
    raw |= {"p256_us": ps, "verify_us": times, "ratios": ratios}
    with tempfile.TemporaryDirectory(prefix="attestry-bench-") as folder:
        requests, registered = [], []
        for number in range(1 if quick else 3):
            say(f"POST /v1/verify over loopback, then registrations, round {number + 1}")
            for load, results in ((http_verify, requests), (registrations, registered)):
                before = p256_us(1)
                place = tempfile.mkdtemp(dir=folder)
                with Dev(place) as dev:
                    results.append(load(dev, place, quick))
                results[-1]["p256_us"] = (before + p256_us(1)) / 2
        raw |= {"http_verify": requests, "registration": registered}
        say("idle server")
        ready_ms, rss_mib = idle_server(folder)
    say("appraisal by a policy of fifty conditions")
    appraisal = google_benchmark("policy_bench", "--benchmark_min_time=0.2")
    appraisal_us = {name: b["cpu_time"] for name, b in appraisal.items()}
    raw |= {"appraisal_us": appraisal_us}
    say("group commit on a disk with slow syncs")
    store = next(iter(google_benchmark("store_bench").values()))["ratio"]
    say("key manager, keystore and Vault's shapes")
    services = key_services(quick)
    raw |= {"key_services": services}
    say("seven nodes of a threshold root")
    nodes = threshold_root(quick)
    raw |= {"threshold_root": nodes}
    say("a tracker with receipts")
    receipts = tracker(quick)
    raw |= {"tracker": receipts}
    raw |= {"ready_ms": ready_ms, "rss_mib": rss_mib, "store": store}
    bench = "build/release/bench/"
    for name, what, goal, program in (
        ("BM_WarmCollateralNewPlatform", "TDX v4, warm collateral, platform not seen before", "2.9 P", "verify_bench"),
        ("BM_WarmCollateralSeenPlatform", "TDX v4, warm collateral, platform seen before", "1.1 P", "verify_bench"),
        ("BM_ColdVerification", "TDX v4, cold: all parsed, all nine signatures", "8.6 P", "verify_bench"),
        ("BM_SnpSeenChip", "SEV-SNP, VCEK seen before", "3.2 P", "platform_bench"),
        ("BM_SnpNewChip", "SEV-SNP, new chip under a known chain and list", "4.4 P", "platform_bench"),
        ("BM_SnpCold", "SEV-SNP, cold", "7.2 P", "platform_bench"),
        ("BM_NitroSeenChain", "Nitro document, chain seen before", "3.4 P", "platform_bench"),
        ("BM_NitroCold", "Nitro document, cold: all five signatures", "16 P", "platform_bench"),
        ("BM_MaaToken", "Azure Attestation token, key set read before", "0.45 P", "platform_bench"),
    ):
        row(rows, what, goal, f"{ratios[name]:.2f} P ({verify_us[name]:.0f} us)", bench + program)
    for name, what, goal in (
        ("BM_CkdShare/7", "CKD: one node's share of 7, A decoded and checked", "5.8 P"),
        ("BM_CkdCoordinator/7", "CKD: coordinator of 7, its own share included", "9.5 P"),
        ("BM_CkdCoordinator/16", "CKD: coordinator of 16", "14 P"),
        ("BM_CkdUnblindAndVerify", "CKD: unblinded, hashed and checked by pairings", "15 P"),
    ):
        row(rows, what, goal, f"{ratios[name]:.2f} P ({verify_us[name]:.0f} us)", bench + "ckd_bench")
    name = "BM_Authorise"
    figure = f"{ratios[name]:.1f} P ({verify_us[name]:.0f} us)"
    row(rows, "CKD: one node's decision about a workload, 16 at a time", "-", figure, bench + "authority_bench")
    parse_us, json_us = verify_us["BM_ParseQuote"], verify_us["BM_VerdictJson"]
    row(rows, "parse alone", "0.5 us", f"{parse_us:.2f} us", bench + "verify_bench")
    row(rows, "verdict rendered as JSON", "20 us", f"{json_us:.1f} us", bench + "verify_bench")
    log_us = verify_us["BM_EventLog120"]
    row(rows, "event log of 120 events: read, replayed, told", "150 us", f"{log_us:.0f} us", bench + "verify_bench")
    fifty_us = appraisal_us["BM_AppraisalFiftyConditions"]
    row(rows, "appraisal with a policy of 50 conditions", "5 us", f"{fifty_us:.1f} us", bench + "policy_bench")
    # A platform that was seen costs one signature, which is P.
    beyond = median([r["server_cpu_us_per_request"] - r["p256_us"] for r in requests])
    cpu = median([r["server_cpu_us_per_request"] for r in requests])
    row(
        rows,
        "POST /v1/verify, keep-alive, platforms rotating: server CPU",
        "signature + 60 us",
        f"{cpu:.0f} us = signature (P) + {beyond:.0f} us",
        bench + "http_load",
    )
    cpu_ms = median([r["registration_cpu_ms"] for r in registered])
    row(rows, "full registration: server CPU", "1 ms", f"{cpu_ms:.2f} ms", bench + "register_load")
    half = sorted((r["half_rate"] for r in registered), key=lambda h: h["p99_ms"])[len(registered) // 2]
    row(
        rows,
        "full registration: p99 at half of saturation, open loop",
        "10 ms",
        f"{half['p99_ms']:.1f} ms at {half['per_second']:.0f}/s",
        bench + "register_load",
    )
    what = "group commit, sync 5 ms slower: 64 clients against one"
    row(rows, what, "20 x", f"{store:.0f} x", bench + "store_bench")
    row(rows, "idle server: resident memory", "30 MiB", f"{rss_mib:.1f} MiB", "attestry serve")
    row(rows, "idle server: exec to ready", "100 ms", f"{ready_ms:.0f} ms", "attestry serve")
    for name, what, goal in (
        ("keystore_decrypt_1", "keystore decrypt in a session", "60 us, 15,000/s"),
        ("keystore_fresh_evidence", "keystore decrypt, fresh evidence in each request", "3,000/s"),
        ("keymanager_key", "key of the key manager", "15,000/s"),
        ("kv_read", "KV read in Vault's shapes, with its leaf", "10,000/s"),
        ("kv_write", "KV write in Vault's shapes", "4,500/s"),
    ):
        m = services[name]["median"]
        row(rows, what, goal, f"{m['per_second']:.0f}/s, {m['cpu_us']:.0f} us ({m['cpu_in_p']:.2f} P)", "bench/keys.py")
    two = services["cpu_two_workers_against_one"]
    row(rows, "CPU of a decrypt with two worker threads against one", "1.10", f"{two:.2f}", "bench/keys.py")
    for name, what in (("four_of_seven", "four of seven nodes"), ("seven_of_seven", "all seven nodes")):
        figure = f"{nodes[name]['whole_ms']['p50']:.1f} ms"
        row(rows, f"full derivation by {what} on loopback", "8 ms", figure, "bench/threshold_root.py")
    row(rows, "idle node: resident memory", "30 MiB", f"{nodes['idle_node_mib']:.1f} MiB", "bench/threshold_root.py")
    for what, goal, figure in receipts["rows"]:
        row(rows, what, goal, figure, "bench/tracker.py")
    return p, rows, raw


def peers():
    script = ROOT / "bench/peers/run.sh"
    if not script.exists():
        return []
    say("peers on the same files")
    with tempfile.TemporaryDirectory(prefix="attestry-peers-") as folder:
        for case, kind in (("tdx", "tdx-v4"), ("snp", "snp-genoa-v3"), ("nitro", "nitro"), ("maa", "maa-azurevm-snp")):
            run(str(BUILD / "attestry"), "forge", "--out", f"{folder}/{case}", "--kind", kind, "--seed", "peers")
        # A peer that fails says why on the terminal, and the other one's line is kept.
        text = subprocess.run([script, folder], stdout=subprocess.PIPE, text=True, check=False).stdout
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short runs, to see that everything works")
    parser.add_argument("--peers", action="store_true", help="other verifiers beside it")
    parser.add_argument("--json", metavar="FILE", help="all raw figures")
    arguments = parser.parse_args()
    if not shutil.which("openssl"):
        raise SystemExit("bench: openssl is missing (tools/deps/install.sh bench)")
    build()
    p, rows, raw = measure(arguments.quick)
    if arguments.peers:
        raw["peers"] = peers()
        for peer in raw["peers"]:
            figure = f"{peer['us'] / p:.2f} P ({peer['us']:.0f} us)"
            row(rows, f"peer {peer['peer']}, cold, the same kind of quote", "-", figure, "make bench-peers")
    print(f"{raw['cpu']}, {raw['cores']} cores; P = {p:.1f} us\n")
    print("| what | at most | measured | with |\n|---|---|---|---|")
    for r in rows:
        print(f"| {r['what']} | {r['goal']} | {r['figure']} | `{r['command']}` |")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"p256_us": p, "rows": rows, "raw": raw}, indent=1))


main()
