#!/usr/bin/env python3
"""The figures of the key services, each against the real program, as ratios within one run.

build/venv/bin/python bench/keys.py [--part leaf,keymanager,keystore,evidence,kv] [--seconds 5] [--rounds 3]

after `cmake --preset release` and `cmake --build build/release --target attestry benchmarks`. P is one P-256
verification of the system's OpenSSL 3, taken before and after every load; the median of the rounds is printed as JSON,
with all rounds. The load generator shares the machine's cores with the server. Every reply has its leaf durable in the
log and covered by a stored checkpoint: the log must have grown by as many leaves as there were replies."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("ATTESTRY_BENCH_BUILD", ROOT / "build" / "release"))
os.environ.setdefault("ATTESTRY", str(BUILD / "attestry"))
sys.path.insert(0, str(ROOT / "tests" / "functional"))

import harness  # noqa: E402

CLIENTS = 64
# Answers of the chain in the cache; one owner and one token make all of the load.
LOAD_OF_ONE_OWNER = {"keystore.chain_ttl_ms": 60_000, "keystore.owner_rate": 0, "keystore.token_rate": 0}
VALUE = {"data": {"user": "bench", "password": "0123456789abcdef0123456789abcdef"}}


def p256_us():
    text = subprocess.run(
        ["openssl", "speed", "-seconds", "1", "ecdsap256"], check=True, capture_output=True, text=True
    )
    return 1e6 / float(text.stdout.strip().splitlines()[-1].split()[-1])


class Load:
    """http_load on one server, `rounds` times."""

    def __init__(self, folder, seconds, rounds):
        self.folder, self.seconds, self.rounds = pathlib.Path(folder), seconds, rounds

    def once(self, url, pid, *arguments):
        before = p256_us()
        command = [BUILD / "bench" / "http_load", url, *arguments, "--seconds", self.seconds, "--pid", pid, "--json"]
        done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, text=True, check=False)
        figures = json.loads(done.stdout)
        if done.returncode != 0:
            raise SystemExit(f"bench: {url}: {figures}")
        p = (before + p256_us()) / 2
        cpu = figures["server_cpu_us_per_request"]
        return {
            "per_second": figures["rate_per_second"],
            "cpu_us": cpu,
            "cpu_in_p": round(cpu / p, 2),
            "p50_ms": figures["p50_us"] / 1000,
            "p99_ms": figures["p99_us"] / 1000,
            "p_us": round(p, 1),
            "replies": int(figures["requests"]),
        }

    def run(self, server, url, *arguments, leaves=True, rounds=None):
        """The rounds, and their median by rate."""
        made = []
        for _ in range(rounds or self.rounds):
            before = size_of_log(server)
            made.append(self.once(url, server.process.pid, "--connections", CLIENTS, *arguments))
            grown = size_of_log(server) - before
            if leaves and grown < made[-1]["replies"]:
                raise SystemExit(f"bench: {url}: {made[-1]['replies']} replies, but {grown} leaves")
        made.sort(key=lambda figures: figures["per_second"])
        return {"median": made[len(made) // 2], "rounds": made}

    def body(self, name, content):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path


def size_of_log(server):
    return int(harness.request(server.public, "GET", "/v1/log/checkpoint").text.splitlines()[1])


def headers(**named):
    return [part for name, value in named.items() for part in ("--header", f"{name.replace('_', '-')}: {value}")]


def quiet(**settings):
    return {"log.level": "error", **settings}


def leaf(load):
    """What HTTP, the store and the log cost without any service: the floor."""
    with tempfile.TemporaryDirectory(dir=load.folder) as data:
        command = [BUILD / "bench" / "leaf_server", data]
        process = subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        url, pid = process.stdout.readline().split()
        body = load.body("leaf.json", "x" * 100)
        made = [load.once(url, pid, body, "--connections", CLIENTS) for _ in range(load.rounds)]
        process.communicate("")
    made.sort(key=lambda figures: figures["per_second"])
    return {"leaf": {"median": made[len(made) // 2], "rounds": made}}


def keymanager(load):
    """GET /sealkey of an approved source."""
    from key_managers import start_manager

    server = start_manager(load.folder / "keymanager", **quiet(**{"keymanager.sources": "127.0.0.1=web"}))
    assert harness.request(server.host, "POST", "/bootstrap").status == 200
    out = {"keymanager_key": load.run(server, f"{server.apps}/sealkey", "--method", "GET")}
    server.terminate()
    return out


def keystore(load):
    """POST /decrypt in a session, the chain's answers in the cache; then with one worker thread and with two."""
    from keystore import TOKEN, Worker, start_keystore
    from near import Chain, nodes

    out = {}
    for workers in (1, 2):
        chain = Chain()
        with nodes(chain) as running:
            settings = quiet(**LOAD_OF_ONE_OWNER, **{"server.workers": workers})
            server = start_keystore(load.folder / f"keystore-{workers}", chain, running, **settings)
            worker, body = Worker(server, chain), store_secret(server, chain)
            assert worker.register().status == 200
            arguments = headers(Authorization=f"Bearer {TOKEN}", X_TEE_Session=worker.session)
            file = load.body("decrypt.json", body)
            out[f"keystore_decrypt_{workers}"] = load.run(server, f"{server.keystore}/decrypt", file, *arguments)
            server.terminate()
    cpu = [statistics.median(r["cpu_in_p"] for r in out[f"keystore_decrypt_{n}"]["rounds"]) for n in (1, 2)]
    return {**out, "cpu_two_workers_against_one": round(cpu[1] / cpu[0], 3)}


def store_secret(server, chain):
    """A secret on the chain, and the request for it."""
    from keystore import Client

    owner, accessor = "alice.testnet", {"type": "Repo", "repo": "github.com/alice/project", "branch": None}
    blob = Client(server).encrypted(f"github.com/alice/project:{owner}", b'{"API_KEY":"sk-test"}')
    chain.store({"Repo": {"repo": accessor["repo"], "branch": None}}, "default", owner, blob)
    return {
        "accessor": accessor,
        "profile": "default",
        "owner": owner,
        "user_account_id": "user.testnet",
        "task_id": "1",
    }


def evidence(load):
    """POST /decrypt with a TDX quote made for just this request, each sent once."""
    from keystore import TOKEN, start_keystore
    from near import Chain, nodes

    chain, made = Chain(), []
    with nodes(chain) as running:
        server = start_keystore(load.folder / "evidence", chain, running, **quiet(**LOAD_OF_ONE_OWNER))
        body = load.body("evidence.json", store_secret(server, chain))
        arguments = headers(Authorization=f"Bearer {TOKEN}")
        for number in range(load.rounds):
            bodies = load.folder / f"bodies-{number}"
            bodies.mkdir()
            make = [
                BUILD / "bench" / "keystore_requests",
                body,
                server.origin,
                server.data / "forge.seed",
                12_000,
                bodies,
            ]
            subprocess.run([*map(str, make)], check=True)
            once = ["--once", "--warmup", "0", *arguments]
            made += load.run(server, f"{server.keystore}/decrypt", bodies, *once, rounds=1)["rounds"]
        server.terminate()
    made.sort(key=lambda figures: figures["per_second"])
    return {"keystore_fresh_evidence": {"median": made[len(made) // 2], "rounds": made}}


def kv(load):
    """Reads and writes of versioned secrets at 1,000 places, in Vault's shapes."""
    server = harness.start_dev(load.folder / "kv", "--set=vault.listen=127.0.0.1:0", "--set=log.level=error")
    server.vault = next(line.split()[1] for line in server.lines if line.startswith("  vault "))
    token = server.call("POST", "/v1/vault/tokens", {"policies": ["root"]}).json()["auth"]["client_token"]
    arguments = ["--places", "1000", *headers(X_Vault_Token=token)]
    url = f"{server.vault}/v1/secret/data/bench/place-{{}}"
    value = load.body("kv.json", VALUE)
    out = {"kv_write": load.run(server, url, value, *arguments, leaves=False)}
    out["kv_read"] = load.run(server, url, "--method", "GET", *arguments)
    server.terminate()
    return out


PARTS = {"leaf": leaf, "keymanager": keymanager, "keystore": keystore, "evidence": evidence, "kv": kv}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default=",".join(PARTS), help="which of them, comma-separated")
    parser.add_argument("--seconds", default="5", help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    out = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory(prefix="attestry-bench-") as folder:
        for part in chosen.part.split(","):
            out |= PARTS[part](Load(folder, chosen.seconds, chosen.rounds))
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
