"""Other people's verifiers use attestry as their cache of Intel's and AMD's services, without a change: dcap-qvl's
collateral client as a PCCS, go-sev-guest's getter as AMD's KDS."""

import asyncio
import base64
import contextlib
import datetime
import http.server
import json
import re
import subprocess
import threading

import dcap_qvl
import pytest
from harness import attestry, request, start_dev

QUOTES = ["sgx-v3", "tdx-v4", "tdx-v5"]
REPORTS = ["snp-milan-v2", "snp-milan-v3", "snp-genoa-v3", "snp-genoa-v5"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server whose collateral comes from the simulated vendors, and which gives out only what it holds."""
    started = start_dev(tmp_path_factory.mktemp("cache") / "data")
    yield started
    assert started.terminate() == 0, started.output


@pytest.fixture(scope="module")
def cases(server, tmp_path_factory):
    """Folders with evidence of the server's simulated machines, without any collateral."""
    out = tmp_path_factory.mktemp("cases")
    for kind in [*QUOTES, *REPORTS]:
        done = attestry("forge", "--seed", server.seed, "--kind", kind, "--out", out / kind)
        assert done.code == 0, done
        for name in ("collateral.json", "vcek.der", "cert_chain.pem", "crl.der"):
            (out / kind / name).unlink(missing_ok=True)
    return out


def fetch(server, folder):
    flags = ["--server", server.admin, "--token-file", server.data / "admin.token", "--format", "json"]
    return attestry("collateral", "fetch", folder, *flags)


def requests_of(server, operation):
    """How many of them the server has answered with 200."""
    text = request(server.metrics, "GET", "/metrics").text
    found = re.search(rf'attestry_requests_total{{operation="{operation}",status="200"}} (\S+)', text)
    return int(float(found[1])) if found else 0


def dcap_qvl_fetches(url, quote):
    """What its own client gets from a PCCS."""

    async def get():
        return await dcap_qvl.get_collateral(url, quote)

    return asyncio.run(get())


def root_of(folder):
    text = (folder / "root.pem").read_text()
    return base64.b64decode("".join(text.split("-----")[2].split()))


@pytest.mark.parametrize("kind", QUOTES)
def test_dcap_qvl_gets_its_collateral_from_attestry(server, cases, kind):
    quote = (cases / kind / "quote.bin").read_bytes()
    assert fetch(server, cases / kind).code == 0
    before = requests_of(server, f"pccs_{kind[:3]}_tcb")
    collateral = dcap_qvl_fetches(server.public, quote)
    assert requests_of(server, f"pccs_{kind[:3]}_tcb") == before + 1
    now = int(datetime.datetime.now(datetime.UTC).timestamp())
    report = dcap_qvl.verify_with_root_ca(quote, collateral, root_of(cases / kind), now)
    assert report.status == "UpToDate"
    # What it was given is what the vendor signed: one changed letter, and it says no.
    changed = json.loads(collateral.to_json())
    changed["tcb_info"] = changed["tcb_info"].replace("UpToDate", "upToDate", 1)
    wrong = dcap_qvl.QuoteCollateralV3.from_json(json.dumps(changed))
    with pytest.raises(ValueError, match="."):
        dcap_qvl.verify_with_root_ca(quote, wrong, root_of(cases / kind), now)


def test_dcap_qvl_is_told_what_is_not_held(tmp_path):
    server = start_dev(tmp_path / "data")
    try:
        done = attestry("forge", "--seed", server.seed, "--kind", "sgx-v3", "--out", tmp_path / "case")
        assert done.code == 0, done
        quote = (tmp_path / "case" / "quote.bin").read_bytes()
        with pytest.raises(Exception, match="404"):
            dcap_qvl_fetches(server.public, quote)
    finally:
        assert server.terminate() == 0, server.output


def test_dcap_qvl_of_a_server_that_may_fetch(tmp_path):
    server = start_dev(tmp_path / "data", "--set", "collateral.serve=fetch")
    try:
        done = attestry("forge", "--seed", server.seed, "--kind", "sgx-v3", "--out", tmp_path / "case")
        assert done.code == 0, done
        quote = (tmp_path / "case" / "quote.bin").read_bytes()
        collateral = dcap_qvl_fetches(server.public, quote)
        now = int(datetime.datetime.now(datetime.UTC).timestamp())
        assert dcap_qvl.verify_with_root_ca(quote, collateral, root_of(tmp_path / "case"), now).status == "UpToDate"
    finally:
        assert server.terminate() == 0, server.output


class Watched:
    """Stands before a vendor's service: counts what it is asked for, until it is dead."""

    def __init__(self, target):
        self.seen = []
        watched = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                watched.seen.append(self.path)
                reply = request(target, "GET", self.path)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    if name.lower() not in ("date", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.alive = True

    def die(self):
        if self.alive:
            self.alive = False
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@contextlib.contextmanager
def watched_vendors(data):
    """The simulated vendors of one server, each watched, and another server of the same vendors that asks these."""
    vendors = start_dev(data / "vendors")
    services = [
        next(line.split()[-3] for line in vendors.output.splitlines() if line.startswith(f"  {name} "))
        for name in ("collateral", "chips' keys")
    ]
    pcs, kds = map(Watched, services)
    (data / "cache").mkdir()
    (data / "cache" / "forge.seed").write_text(vendors.seed)
    settings = {"collateral.serve": "fetch", "collateral.pcs": pcs.url, "collateral.kds": kds.url}
    flags = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    cache = start_dev(data / "cache", *flags)
    try:
        yield cache, pcs, kds
    finally:
        ended = [cache.terminate(), vendors.terminate()]
        pcs.die()
        kds.die()
        assert ended == [0, 0], cache.output


def test_a_vendor_is_asked_once_for_all_and_may_be_dead_then(go_program, tmp_path):
    with watched_vendors(tmp_path) as (cache, pcs, kds):
        cases = {kind: tmp_path / kind for kind in ("tdx-v4", "snp-genoa-v3")}
        for kind, folder in cases.items():
            done = attestry("forge", "--seed", cache.seed, "--kind", kind, "--out", folder)
            assert done.code == 0, done
        quote = (cases["tdx-v4"] / "quote.bin").read_bytes()

        def ask():
            collateral = dcap_qvl_fetches(cache.public, quote)
            now = int(datetime.datetime.now(datetime.UTC).timestamp())
            root = root_of(cases["tdx-v4"])
            assert dcap_qvl.verify_with_root_ca(quote, collateral, root, now).status == "UpToDate"
            answer = go_fetches(go_program, cache, [cases["snp-genoa-v3"]])[str(cases["snp-genoa-v3"])]
            assert answer["ok"], answer
            return collateral.to_json()

        first = ask()
        # `attestry dev` itself registers a TDX machine: its collateral is asked for no more often because of others.
        asked = (sorted(pcs.seen), sorted(kds.seen))
        assert all(len(set(paths)) == len(paths) > 0 for paths in asked), asked
        assert len([path for path in kds.seen if path.startswith("/vcek/v1/Genoa/")]) == 3, kds.seen
        assert ask() == first
        assert (sorted(pcs.seen), sorted(kds.seen)) == asked
        pcs.die()
        kds.die()
        assert ask() == first


def go_fetches(go_program, server, folders):
    command = [*go_program, "fetch", server.public, *map(str, folders)]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return {line["case"]: line for line in map(json.loads, lines)}


def test_go_sev_guest_gets_its_certificates_from_attestry(go_program, server, cases):
    for kind in REPORTS:
        done = fetch(server, cases / kind)
        assert done.code == 0, done
    before = {name: requests_of(server, f"kds_vcek{name}") for name in ("", "_chain", "_crl")}
    answers = go_fetches(go_program, server, [cases / kind for kind in REPORTS])
    for kind in REPORTS:
        assert answers[str(cases / kind)]["ok"], answers[str(cases / kind)]
    assert requests_of(server, "kds_vcek") == before[""] + len(REPORTS)
    assert requests_of(server, "kds_vcek_chain") > before["_chain"]
    assert requests_of(server, "kds_vcek_crl") == before["_crl"] + len(REPORTS)


def test_go_sev_guest_still_says_no_to_what_is_wrong(go_program, server, cases, tmp_path):
    folder = tmp_path / "snp-milan-v3"
    done = attestry("forge", "--seed", server.seed, "--kind", "snp-milan-v3", "--fault", "changed", "--out", folder)
    assert done.code == 0, done
    assert fetch(server, cases / "snp-milan-v3").code == 0
    answer = go_fetches(go_program, server, [folder])[str(folder)]
    assert not answer["ok"] and "signature" in answer["error"]


def test_go_sev_guest_is_told_of_a_chip_that_is_not_held(go_program, server, tmp_path):
    folder = tmp_path / "snp-milan-v3"
    done = attestry("forge", "--seed", server.seed, "--kind", "snp-milan-v3", "--platform", 9, "--out", folder)
    assert done.code == 0, done
    answer = go_fetches(go_program, server, [folder])[str(folder)]
    assert not answer["ok"] and "404" in answer["error"]
