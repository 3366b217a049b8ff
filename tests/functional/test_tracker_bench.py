"""attestry tracker bench: every experiment with small numbers, and what it gives; the figures themselves are nobody's promise."""

import json
import math
import re
import xml.etree.ElementTree as ElementTree

import pytest
from evm import Anvil
from harness import ROOT, attestry

SVG = "{http://www.w3.org/2000/svg}"
PLOTS = {"receipts", "tee", "client_download", "tracker_overhead", "scalability_peers", "scalability_swarms", "gas"}
RESULTS = {"receipts", "tee", "client_download", "tracker_overhead", "scalability", "gas"}
TIMES = {"mean_ms", "median_ms", "stdev_ms", "min_ms", "max_ms", "p95_ms"}


def bench(*arguments):
    return attestry("tracker", "bench", *arguments)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "out"
    done = bench("--quick", "--format", "json", "--out", folder)
    assert done.code == 0, done
    return done, folder


def check_times(times):
    assert times.keys() >= TIMES
    assert 0 <= times["min_ms"] <= times["median_ms"] <= times["max_ms"]
    assert times["min_ms"] <= times["mean_ms"] <= times["max_ms"]


def test_all_experiments_are_in_one_document_and_in_their_own(quick):
    done, folder = quick
    found = done.json()
    assert found.keys() >= RESULTS
    assert found["quick"] and found["tee_source"] == "simulated (forge)"
    assert json.loads((folder / "all_results.json").read_text()) == found
    for name in RESULTS:
        assert json.loads((folder / f"{name}.json").read_text()) == found[name], name
    assert re.search(r"^\[6/6\] gas$", done.err, re.M), done.err
    summary = (folder / "SUMMARY.txt").read_text()
    assert "Overhead with TEE against without" in summary and "the forge stands in" in summary
    assert "410 ms" in (folder / "COMPARISON.txt").read_text()


def test_receipts_are_verified_together_and_one_by_one(quick):
    found = quick[0].json()["receipts"]
    check_times(found["receipt_generation"])
    check_times(found["receipt_verification"])
    assert [batch["batch_size"] for batch in found["batches"]] == [2, 5]
    for batch in found["batches"]:
        one_by_one, together = batch["individual_verification"], batch["aggregate_verification"]
        check_times(one_by_one)
        assert math.isclose(batch["speedup"], one_by_one["median_ms"] / together["median_ms"])


def test_tee_has_the_shape_of_the_original(quick):
    found = quick[0].json()["tee"]
    assert found["tee_available"] and found["simulated"]
    keys = found["key_generation"]
    check_times(keys["regular"])
    check_times(keys["tee"])
    assert keys["tee"].keys() >= {"overhead_vs_regular", "overhead_percent"}
    assert found["attestation_generation"]["total_ms"] > 0
    verified = found["attestation_verification"]
    assert (verified["success_rate"], verified["num_attempts"], verified["num_successful"]) == (1, 1, 1)
    check_times(verified["cached"])


def test_downloads_earn_what_was_received(quick):
    found = quick[0].json()["client_download"]
    cells = {(one["piece_size_kb"], one["speed_mbps"]) for one in found["results"]}
    assert cells == {(piece, speed) for piece in (64, 256) for speed in (10, 50)}
    for one in found["results"]:
        piece_ms = one["piece_size_kb"] * 1024 / (one["speed_mbps"] * 1e6) * 1000
        assert math.isclose(one["overhead_percent"], one["extra_ms_per_piece"] / piece_ms * 100)
    settled = found["settled"]
    assert settled["credited_bytes"] == settled["receipts"] * 64 * 1024 > 900_000


def test_overhead_compares_both_trackers(quick):
    rows = {row["operation"]: row for row in quick[0].json()["tracker_overhead"]["operations"]}
    both = ["announce", "registration", "report of 1 receipt", "report of 3 receipts", "announce, 2 clients at once"]
    for name in both:
        row = rows[name]
        check_times(row["without_tee"])
        check_times(row["with_tee"])
        assert row["with_tee"]["server_cpu_ms"] > 0
        ratio = row["with_tee"]["median_ms"] / row["without_tee"]["median_ms"]
        assert math.isclose(row["overhead_percent"], (ratio - 1) * 100, abs_tol=1e-6)
    assert rows["quote"]["without_tee"] is None and rows["quote"]["overhead_percent"] is None


def test_scalability_counts_what_it_was_asked_for(quick):
    found = quick[0].json()["scalability"]
    assert [(one["peers"], one["announces"]) for one in found["peer_scaling"]] == [(2, 2), (5, 5)]
    for one in found["peer_scaling"]:
        check_times(one["announce"])
        check_times(one["report"])
    swarms = found["swarm_scaling"]
    assert [one["swarm_size"] for one in swarms] == [20, 50]
    # An announce that was refused would be shorter, and has no peers.
    assert swarms[0]["announce"]["answer_bytes"] > 19 * 6
    assert swarms[1]["announce"]["answer_bytes"] > 49 * 6


def documented_gas():
    page = (ROOT / "docs" / "reference" / "reputation-contract.md").read_text()
    rows = re.findall(r"^\| `?([\w ]+)`? \| ([^|]*?) *\| ([\d,]+) \| ([\d,]+) \|$", page, re.M)
    return {(call, remark): (int(a.replace(",", "")), int(b.replace(",", ""))) for call, remark, a, b in rows}


def test_gas_without_a_chain_is_that_of_the_documents(quick):
    found = quick[0].json()["gas"]
    assert not found["measured"] and found["source"] == "docs/reference/reputation-contract.md"
    known = documented_gas()
    assert len(found["operations"]) == 7
    for row in found["operations"]:
        assert known[row["call"], row["with"]] == (row["gas"], row["first_generation"]), row
    add = next(row for row in found["operations"] if row["call"] == "addUser")
    assert math.isclose(add["cost_usd"], add["gas"] * 30e-9 * 3000)


def test_gas_is_measured_on_a_chain(tmp_path):
    with Anvil() as chain:
        key = tmp_path / "key"
        key.touch(mode=0o600)
        key.write_text(chain.accounts[0].key.hex() + "\n")
        where = ["--rpc", chain.url, "--key", key, "--out", tmp_path / "out", "--output", tmp_path / "one.json"]
        done = bench("gas", "--users", 2, "--format", "json", *where)
    assert done.code == 0, done
    found = done.json()["gas"]
    assert found["measured"] and json.loads((tmp_path / "one.json").read_text()) == found
    known = documented_gas()
    for row in found["operations"]:
        check_times(row["time"])
        # Names and bytes differ a little from those of the documents' table.
        assert abs(row["gas"] / known[row["call"], row["with"]][0] - 1) < 0.1, row


def test_plots_are_documents_for_light_and_dark(quick):
    folder = quick[1]
    assert {path.stem for path in folder.glob("*.svg")} == PLOTS
    for name in PLOTS:
        text = (folder / f"{name}.svg").read_text()
        root = ElementTree.fromstring(text)
        assert root.tag == f"{SVG}svg" and root.find(f"{SVG}title").text, name
        assert "prefers-color-scheme:dark" in root.find(f"{SVG}style").text
        labels = [one.text for one in root.iter(f"{SVG}text") if one.text]
        assert len(labels) > 8, name
        shapes = [one for kind in ("rect", "circle", "path") for one in root.iter(SVG + kind)]
        for shape in shapes:
            for attribute in ("x", "y", "width", "height", "cx", "cy"):
                if attribute in shape.attrib:
                    assert -1 <= float(shape.attrib[attribute]) <= 760, (name, shape.attrib)
        assert len(shapes) > 3, name
        assert "nan" not in text and 'inf"' not in text


def test_one_experiment_with_flags_of_its_own(tmp_path):
    flags = ["--iterations", 2, "--batch-sizes", 3, 4, "--output", tmp_path / "r.json", "--out", tmp_path / "out"]
    done = bench("receipts", *flags)
    assert done.code == 0, done
    assert "Receipts, medians of one core" in done.out and "times faster" in done.out
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["iterations"] == 2 and [batch["batch_size"] for batch in found["batches"]] == [3, 4]


def test_what_is_said_wins_over_quick(tmp_path):
    done = bench("receipts", "--quick", "--batch-sizes", 7, "--out", tmp_path, "--format", "json")
    found = done.json()["receipts"]
    assert found["iterations"] == 2 and [batch["batch_size"] for batch in found["batches"]] == [7]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--receipt-iterations", 0], "--receipt-iterations"),
        (["--receipt-batch-sizes", "ten"], "--receipt-batch-sizes"),
        (["receipts", "--batch-sizes", 1001], "--batch-sizes"),
        (["client-download", "--piece-sizes", 16385], "--piece-sizes"),
        (["client-download", "--speeds", 0], "--speeds"),
        (["--format", "xml"], "--format"),
        (["--tracker-url", "ftp://tracker"], "--tracker-url"),
        (["gas", "--rpc", "http://127.0.0.1:1"], "--rpc and --key together"),
        (["tracker-overhead", "--no-auto-start"], "--tee-tracker-url"),
        (["tracker-overhead", "--no-auto-start", "--tracker-url", "http://127.0.0.1:1"], "--tee-tracker-url"),
        (["--quick", "receipts"], "--quick stands before the experiment's name"),
        (["receipt"], "receipt"),
        (["--bogus"], "--bogus"),
    ],
)
def test_wrong_flags_are_refused_before_anything_is_made(tmp_path, arguments, says):
    done = attestry("tracker", "bench", *arguments, cwd=tmp_path)
    assert done.code == 2, done
    assert says in done.err, done
    assert list(tmp_path.iterdir()) == []


def test_everything_skipped_is_a_mistake(tmp_path):
    skips = ["receipts", "tee", "client-download", "tracker-overhead", "scalability", "gas"]
    done = bench(*(f"--skip-{name}" for name in skips), "--out", tmp_path / "out")
    assert done.code == 2 and "every experiment is skipped" in done.err, done


def test_a_tracker_that_is_not_there_is_no_figure(tmp_path):
    done = bench("scalability", "--quick", "--tracker-url", "http://127.0.0.1:1", "--out", tmp_path)
    assert done.code == 3, done
    assert "127.0.0.1:1" in done.err


def test_an_agent_that_is_not_there_is_no_figure(tmp_path):
    done = bench("tee", "--quick", "--dstack", tmp_path / "none.sock", "--out", tmp_path / "out")
    assert done.code == 3, done
    assert "none.sock" in done.err
