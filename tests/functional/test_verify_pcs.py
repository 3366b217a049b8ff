"""Collateral from a service: `attestry verify --pcs` against the forge's, and against one that answers wrongly."""

import base64
import http.server
import re
import threading

import pytest
from harness import attestry, request
from workload import forge


@pytest.fixture(scope="module")
def pcs(dev):
    """URL of the simulated service that `attestry dev` runs."""
    found = re.search(r"^  collateral +(\S+) ", dev.output, re.MULTILINE)
    assert found, dev.output
    return found[1]


@pytest.fixture(scope="module")
def case(dev, tmp_path_factory):
    """A fresh quote of the simulated TEE without its collateral, and the root of its PKI."""
    folder = tmp_path_factory.mktemp("pcs") / "case"
    done = attestry("forge", "--seed", dev.seed, "--out", folder)
    assert done.code == 0, done
    (folder / "collateral.json").unlink()
    return folder


def verify(case, pcs, *arguments):
    return attestry(
        "verify",
        case,
        "--trust",
        case / "root.pem",
        "--pcs",
        pcs,
        "--policy",
        "genuine",
        "--format",
        "json",
        *arguments,
    )


class LyingPcs:
    """Passes GET on to a service and changes the bodies of the paths that it is told to."""

    def __init__(self, target, change):
        lying = self
        self.calls = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                lying.calls.append(self.path)
                reply = request(target, "GET", self.path)
                body = change(self.path, reply.body)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    if name.lower().endswith("issuer-chain") or name.lower() == "content-type":
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def test_verify_pcs_fetches_what_is_not_given(case, pcs):
    done = verify(case, pcs)
    assert done.code == 0, done
    verdict = done.json()
    assert (verdict["verdict"], verdict["evidence"], verdict["simulated"]) == ("accepted", "genuine", True)
    assert len(verdict["collateral"]) == 8


def test_verify_pcs_for_an_sgx_quote(dev, pcs, tmp_path):
    done = attestry("forge", "--seed", dev.seed, "--kind", "sgx-v3", "--out", tmp_path / "sgx")
    assert done.code == 0, done
    (tmp_path / "sgx" / "collateral.json").unlink()
    done = verify(tmp_path / "sgx", pcs)
    assert (done.code, done.json()["platform"]) == (0, "sgx"), done


def test_verify_pcs_is_not_asked_offline(case, pcs):
    done = verify(case, pcs, "--offline")
    assert (done.code, done.json()["verdict"]) == (3, "undecided"), done


def test_verify_pcs_that_is_away_leaves_it_undecided(case):
    done = verify(case, "http://127.0.0.1:1")
    assert (done.code, done.json()["verdict"]) == (3, "undecided"), done


LIES = {
    "/tcb?": (lambda body: body.replace(b"UpToDate", b"upToDate", 1), "tcb_info: dcap.tcb_info.signature"),
    "/qe/identity": (lambda body: body.replace(b"UpToDate", b"upToDate", 1), "qe_identity: dcap.qe_identity.signature"),
    "/pckcrl": (lambda body: body[:-1] + bytes([body[-1] ^ 1]), "pck_crl: dcap.crl.pck.signature"),
}


@pytest.mark.parametrize("path", LIES)
def test_verify_pcs_that_lies_is_named_and_refuses_nobody(case, pcs, path):
    change, names = LIES[path]
    with LyingPcs(pcs, lambda asked, body: change(body) if path in asked else body) as lying:
        done = verify(case, lying.url)
    assert len(lying.calls) == 4
    assert (done.code, done.json()["verdict"]) == (3, "undecided"), done
    assert lying.url in done.out
    assert names in done.out


def test_verify_pcs_passed_on_as_it_is_works(case, pcs):
    with LyingPcs(pcs, lambda _, body: body) as honest:
        assert verify(case, honest.url).code == 0


def metric(server, name):
    text = request(server.metrics, "GET", "/metrics").text
    return [float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)]


def test_verify_pcs_of_a_server_is_in_its_metrics(servers):
    server = servers.dev()
    # The demonstration has registered an instance by now: TCB info, QE identity and two revocation lists.
    assert metric(server, "attestry_collateral_fetches_total") == [4.0]
    [hits] = metric(server, "attestry_collateral_hits_total")
    evidence = base64.urlsafe_b64encode(forge(server.seed, bytes(64))).rstrip(b"=").decode()
    answer = server.request("POST", "/v1/verify", {"evidence": evidence})
    assert (answer.status, answer.json()["verdict"]) == (200, "accepted"), answer
    assert metric(server, "attestry_collateral_hits_total") == [hits + 1]
    assert metric(server, "attestry_collateral_fetches_total") == [4.0]
    assert metric(server, "attestry_collateral_failures_total") == [0.0]
    assert metric(server, "attestry_collateral_refused_total") == [0.0, 0.0]
    assert metric(server, 'attestry_verifier_cache_entries{cache="collateral"}') == [1.0]
