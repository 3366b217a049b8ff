#!/usr/bin/env python3
"""The figures of the tracker, each against the real program, as ratios within one run.

build/venv/bin/python bench/tracker.py [--part memory,aggregate,http,udp,reports,flood] [--seconds 5] [--rounds 3] [--json FILE]

after `cmake --preset release` and `cmake --build build/release --target attestry benchmarks`. The load generators share
the machine's cores with the server. P is one P-256 verification of the system's OpenSSL 3, taken beside every part; of
rounds the median counts. Prints a table, and everything as JSON into FILE ("-": only that, to the terminal)."""

import argparse
import contextlib
import http.client as http_client
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("ATTESTRY_BENCH_BUILD", ROOT / "build" / "release"))
os.environ.setdefault("ATTESTRY", str(BUILD / "attestry"))
sys.path[:0] = [str(ROOT / "tests" / "functional"), str(ROOT / "bench")]

import harness  # noqa: E402
from ports import free_ports  # noqa: E402

from keys import p256_us  # noqa: E402

TORRENTS, PEERS_EACH = 10_000, 5
CONNECTIONS = 64
FORGED, RECEIPTS, FLOOD_PER_SECOND, OPEN_RATE = 100, 25, 300, 4000
FLOODER = "127.0.0.2"
# One machine makes all of the load.
LOAD_OF_ONE_ADDRESS = {
    "tracker.udp_rate": 0,
    "tracker.peers_per_address": 0,
    "tracker.registrations_per_hour": 0,
    "log.level": "error",
}


def program(name, *arguments):
    return [str(BUILD / "bench" / name), *map(str, arguments)]


def figures_of(command):
    """What it prints; floods and lost datagrams make the exit code, not an error here."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        raise SystemExit(f"bench: {command[0]} failed")
    return json.loads(done.stdout)


def middle(rounds, key):
    return sorted(rounds, key=lambda one: one[key])[len(rounds) // 2]


class Bench:
    def __init__(self, folder, seconds, rounds):
        self.folder, self.seconds, self.rounds = pathlib.Path(folder), seconds, rounds
        self.announces = self.folder / "announces"
        # In random order, so that no torrent is in a cache because its other peers were just there.
        numbers = list(range(TORRENTS * PEERS_EACH))
        random.Random(1).shuffle(numbers)
        self.announces.write_text("".join(f"{announce(number)}\n" for number in numbers))

    @contextlib.contextmanager
    def tracker(self):
        datagrams = f"127.0.0.1:{free_ports(1)[0]}"
        settings = {
            "tracker.listen": "127.0.0.1:0",
            "tracker.plaintext": "true",
            "tracker.udp_listen": datagrams,
            **LOAD_OF_ONE_ADDRESS,
        }
        data = tempfile.mkdtemp(dir=self.folder)
        server = harness.start_dev(f"{data}/data", *(f"--set={name}={value}" for name, value in settings.items()))
        server.tracker = next(line.split()[1] for line in server.lines if line.startswith("  tracker "))
        server.datagrams = datagrams
        try:
            yield server
        finally:
            server.terminate()

    def http(self, server, *more, seconds=None):
        return figures_of(
            program(
                "http_load",
                f"{server.tracker}/announce",
                *("--method", "GET", "--paths", self.announces, "--connections", CONNECTIONS),
                *("--seconds", seconds or self.seconds, "--pid", server.process.pid, "--json", *more),
            )
        )


def announce(number):
    torrent, place = number % TORRENTS, number // TORRENTS
    query = {
        "info_hash": torrent.to_bytes(20, "little"),
        "peer_id": b"-XX1000-%012d" % number,
        "port": 1000 + place,
        "uploaded": 0,
        "downloaded": 0,
        "left": 0 if place % 3 == 0 else 123456789,
        "compact": 1,
        "numwant": 50,
        "key": "5F3A1B2C",
        "event": "started" if place == 0 else "",
    }
    return "/announce?" + urllib.parse.urlencode(query, quote_via=urllib.parse.quote)


def memory(_bench):
    """A million peers in 100,000 swarms, each shape in a process of its own."""
    return {shape: figures_of(program("tracker_memory", shape)) for shape in ("even", "skewed", "members")}


def aggregate(bench):
    """100 receipts of 100 receivers together and one by one."""
    rounds = []
    for _ in range(bench.rounds):
        what = (
            "--benchmark_filter=BM_ReceiptsTogether/(1/1|10/10|100/100)/0|BM_ReceiptsTogether/100/100/100|OneByOne/100"
        )
        made = figures_of(program("tracker_bench", "--benchmark_format=json", what))["benchmarks"]
        us = {one["name"]: one["cpu_time"] for one in made}
        together = us["BM_ReceiptsTogether/100/100/0"]
        rounds.append(
            {
                "together_1_us": us["BM_ReceiptsTogether/1/1/0"],
                "together_10_us": us["BM_ReceiptsTogether/10/10/0"],
                "together_100_us": together,
                "all_forged_100_us": us["BM_ReceiptsTogether/100/100/100"],
                "one_by_one_100_us": us["BM_ReceiptsOneByOne/100"],
                "ratio": us["BM_ReceiptsOneByOne/100"] / together,
            }
        )
    return {"median": middle(rounds, "ratio"), "rounds": rounds}


def http(bench):
    with bench.tracker() as server:
        rounds = [bench.http(server) for _ in range(bench.rounds)]
        answer = harness.request(server.tracker, "GET", announce(0)).body
    # Failures have the status 200, too.
    if not answer.startswith(b"d8:complete") or b"5:peers24:" not in answer:
        raise SystemExit(f"bench: {answer}")
    for one in rounds:
        if one["errors"]:
            raise SystemExit(f"bench: {one}")
    return {"median": middle(rounds, "rate_per_second"), "rounds": rounds}


def udp(bench):
    with bench.tracker() as server:
        command = program("udp_load", server.datagrams, "--seconds", bench.seconds, "--pid", server.process.pid)
        rounds = [figures_of([*command, "--torrents", str(TORRENTS)]) for _ in range(bench.rounds)]
    return {"median": middle(rounds, "rate_per_second"), "rounds": rounds}


def reports(bench):
    with bench.tracker() as server:
        return figures_of(program("tracker_reports", server.tracker, server.process.pid, 60 * bench.rounds))


def wait_for_the_last(server):
    """Until the tracker has done what it took of the flood: requests of one address are taken in turn."""
    while True:
        connection = http_client.HTTPConnection(*harness.split_url(server.tracker), source_address=(FLOODER, 0))
        with contextlib.closing(connection):
            connection.request("POST", "/report", "{}")
            if connection.getresponse().status == 400:
                return
        time.sleep(0.1)


def flood(bench):
    """Announces while another address sends forged reports, and while it does not: many short turns, because what else
    the machine does changes from second to second, and the median of what the turns' neighbours show."""
    pairs = []
    with bench.tracker() as server:
        bodies = bench.folder / "forged"
        bodies.mkdir()
        figures_of(program("tracker_reports", server.tracker, server.process.pid, 1, bodies, FORGED, RECEIPTS))
        command = program(
            "http_load",
            f"{server.tracker}/report",
            bodies,
            *("--source", FLOODER, "--connections", 64, "--rate", FLOOD_PER_SECOND, "--sleeps"),
            *("--warmup", 0, "--seconds", 3600),
        )

        def announces():
            """At a rate that leaves room, and as many as go."""
            turn = ("--warmup", 0.2)
            opened = bench.http(server, *turn, "--rate", OPEN_RATE, seconds=1)
            return {"open": opened, "closed": bench.http(server, *turn, seconds=1)}

        bench.http(server)
        for _ in range(4 * bench.rounds):
            quiet = announces()
            attack = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            try:
                pairs.append({"quiet": quiet, "flood": announces()})
            finally:
                attack.kill()
                attack.wait()
            wait_for_the_last(server)

    def slower(kind, key):
        return round(statistics.median(one["flood"][kind][key] / one["quiet"][kind][key] for one in pairs) - 1, 3)

    return {
        "fewer_closed_loop": -slower("closed", "rate_per_second"),
        "slower_p50": slower("open", "p50_us"),
        "slower_p99": slower("open", "p99_us"),
        "pairs": pairs,
    }


PARTS = {"memory": memory, "aggregate": aggregate, "http": http, "udp": udp, "reports": reports, "flood": flood}


def table(made):
    """Rows of what, goal, figure, for the parts that there are."""
    rows = []
    if part := made.get("memory"):
        for shape, what in (("even", "ten in each"), ("skewed", "by popularity"), ("members", "each a member's")):
            mib, us = part[shape]["mib"], part[shape]["announce_us"]
            rows.append((f"1,000,000 peers in 100,000 swarms, {what}", "150 MiB", f"{mib:.0f} MiB, {us:.1f} us each"))
    if part := made.get("aggregate"):
        one, p = part["median"], part["p_us"]
        rows.append(
            (
                "100 receipts together against one by one",
                "1.7 x",
                f"{one['ratio']:.2f} x ({one['together_100_us'] / p:.0f} P against {one['one_by_one_100_us'] / p:.0f} P)",
            )
        )
    for name, what, goal in (
        ("http", "announce over HTTP, keep-alive", "20 us, 20,000/s"),
        ("udp", "announce over UDP", "60,000/s"),
    ):
        if part := made.get(name):
            one = part["median"]
            cpu = one["server_cpu_us_per_request"]
            figure = f"{cpu:.1f} us ({cpu / part['p_us']:.2f} P), {one['rate_per_second']:,.0f}/s"
            rows.append((what, goal, figure))
    if part := made.get("reports"):
        for count, goal in (("1", "2.5"), ("10", "10"), ("100", "80")):
            one, p = part[count], part["p_us"]
            figure = f"{one['p50_ms']:.2f} ms, CPU {one['cpu_ms']:.2f} ms ({one['cpu_ms'] * 1000 / p:.0f} P)"
            rows.append((f"report with {count} receipts, verified and durable", f"{goal} ms", figure))
    if part := made.get("flood"):
        figure = f"{part['fewer_closed_loop']:.0%} fewer a second; p50 at 4,000/s {part['slower_p50']:+.0%}"
        rows.append(("announces of others under a flood of forged reports", "20 %", figure))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default=",".join(PARTS), help="which of them, comma-separated")
    parser.add_argument("--seconds", default="5", help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", default="")
    chosen = parser.parse_args()
    out = {"cores": os.cpu_count(), "load_average": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(prefix="attestry-bench-", dir=os.environ.get("ATTESTRY_BENCH_FOLDER")) as folder:
        bench = Bench(folder, chosen.seconds, chosen.rounds)
        for name in chosen.part.split(","):
            before = p256_us()
            out[name] = PARTS[name](bench)
            out[name]["p_us"] = round((before + p256_us()) / 2, 1)
    out["rows"] = table(out)
    if chosen.json == "-":
        print(json.dumps(out, indent=1))
        return
    if chosen.json:
        pathlib.Path(chosen.json).write_text(json.dumps(out, indent=1))
    for what, goal, figure in out["rows"]:
        print(f"{what:75} {goal:18} {figure}")


if __name__ == "__main__":
    main()
