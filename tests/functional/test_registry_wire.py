"""The wire of the registry's dialect: numbered rows that concern its endpoints, headers, words and status codes."""

import base64
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import abi
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from endpoints import Endpoint
from evm import Anvil
from harness import PATIENCE, attestry, request, serve_arguments
from ports import free_ports
from registry import (
    MEASUREMENT,
    TYPE,
    Released,
    Workload,
    allow,
    bare,
    deploy_at,
    make_csr,
    measured,
    operator_extension,
    put_blob,
    raw_address,
    rtmrs_of,
    start_registry,
    through_proxy,
)

MASTER = bytes(range(32))
VECTOR = "0x0123456789abcdef0123456789abcdef01234567"
CONFIG = b'{"listen":"0.0.0.0:443"}'


def last(value, size=48):
    return (bytes(size - 1) + bytes([value])).hex()


TDX = {0: last(9), 1: last(1), 2: last(2), 3: last(3)}
AZURE = {4: "04" * 32, 9: "09" * 32, 11: "0b" * 32}


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


def seeded(folder, chain, **settings):
    """A server with the vectors' master key, a dummy attester and a proxy's socket."""
    master = folder / "master"
    master.write_text(MASTER.hex() + "\n")
    return start_registry(
        folder / "data",
        chain,
        **{
            "registry.kms": "simple",
            "registry.master": master,
            "registry.attestation": "dummy",
            "registry.proxy_listen": f"unix:{folder}/proxy.sock",
            **settings,
        },
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain):
    running = seeded(tmp_path_factory.mktemp("wire"), chain)
    yield running
    assert running.terminate() == 0, running.output


@pytest.fixture(scope="module")
def vector(chain):
    return deploy_at(chain, VECTOR)


@pytest.fixture
def contract(chain):
    return chain.deploy("Registry")


@pytest.fixture
def operator(chain):
    return chain.accounts[0].key


@pytest.fixture
def csr(contract, operator):
    key = ec.generate_private_key(ec.SECP256R1())
    return make_csr(contract.address, key, operator=operator_extension(key, operator))


def get(server, path, contract):
    return request(server.registry, "GET", f"/api/public/{path}/{contract}")


def from_proxy(server, contract, csr, registers=TDX, kind="qemu-tdx", path="register", **headers):
    return through_proxy(
        server, "POST", f"/api/attested/{path}/{bare(contract)}", csr, {**measured(registers, kind), **headers}
    )


def test_registry_001_liveness_readiness_and_drain(server):
    def say(url, path):
        reply = request(url, "GET", path)
        return reply.status, reply.text

    for url in (server.registry, server.admins):
        assert say(url, "/livez") == (200, '{"status":"alive"}\n')
        assert say(url, "/readyz") == (200, '{"status":"ready"}\n')
    assert say(server.admins, "/drain") == (200, '{"status":"draining"}\n')
    assert say(server.admins, "/drain") == (200, '{"status":"already draining"}\n')
    assert say(server.registry, "/readyz") == (503, '{"status":"not ready"}\n')
    assert say(server.registry, "/livez") == (200, '{"status":"alive"}\n')
    assert say(server.admins, "/undrain") == (200, '{"status":"ready"}\n')
    assert say(server.admins, "/undrain") == (200, '{"status":"already ready"}\n')
    assert say(server.registry, "/readyz") == (200, '{"status":"ready"}\n')


def test_registry_flaw_16_strangers_cannot_drain(server):
    assert request(server.registry, "GET", "/drain").status == 404


def test_registry_flaw_16_who_asks_is_who_connects(server):
    """Headers with which proxies name their clients make nobody another one, neither a stranger nor this machine."""
    for name in ("X-Real-IP", "X-Forwarded-For", "True-Client-IP", "Forwarded"):
        for address in ("127.0.0.1", "203.0.113.9", "for=203.0.113.9"):
            for path, first in (("/drain", "draining"), ("/undrain", "ready")):
                reply = request(server.admins, "GET", path, None, {name: address})
                assert (reply.status, reply.json()) == (200, {"status": first}), (name, address, reply)
            assert request(server.registry, "GET", "/drain", None, {name: address}).status == 404
    assert request(server.registry, "GET", "/readyz").status == 200


# In a network namespace whose loopback interface has an address that is not of 127.0.0.0/8.
FROM_ANOTHER_ADDRESS = """
import fcntl, http.client, json, pathlib, socket, ssl, struct, sys
from harness import PATIENCE
from registry import start_dev_registry

def ask(host, port, path, headers):
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection(host, port, timeout=PATIENCE, context=context)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()

def address(name, text):
    return struct.pack("16sH2x4s8x", name, socket.AF_INET, socket.inet_aton(text))

SIOCSIFADDR, SIOCSIFFLAGS, UP_AND_RUNNING = 0x8916, 0x8914, 0x41
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    fcntl.ioctl(control, SIOCSIFADDR, address(b"lo", "127.0.0.1"))
    fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", UP_AND_RUNNING))
    fcntl.ioctl(control, SIOCSIFADDR, address(b"lo:1", "203.0.113.7"))
server = start_dev_registry(pathlib.Path(sys.argv[1]), {
    "registry.listen": "127.0.0.1:0", "registry.admin_listen": "0.0.0.0:0", "registry.governance": "local",
    "registry.contracts": "any", "registry.chain_id": "31337", "tls.mode": "auto"})
public, port = (int(url.rsplit(":", 1)[1]) for url in (server.registry, server.admins))
said = []
for host, headers in (("203.0.113.7", {}), ("203.0.113.7", {"X-Forwarded-For": "127.0.0.1"}),
                      ("203.0.113.7", {"X-Real-IP": "127.0.0.1", "True-Client-IP": "127.0.0.1"})):
    for path in ("/drain", "/undrain", "/livez"):
        said.append([path, *ask(host, port, path, headers)])
said.append(["/readyz", *ask("127.0.0.1", public, "/readyz", {})])
said.append(["here", *ask("127.0.0.1", port, "/drain", {})])
assert server.terminate() == 0
print(json.dumps(said))
"""


def test_registry_flaw_16_other_machines_cannot_drain(tmp_path):
    """A connection to the listener from an address that is no loopback address."""
    as_user = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(
        ["unshare", *as_user, "--net", sys.executable, "-c", FROM_ANOTHER_ADDRESS, tmp_path / "data"],
        cwd=pathlib.Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        timeout=10 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    *asked, ready, here = json.loads(done.stdout)
    for path, status, text in asked:
        wanted = {"/livez": (200, '{"status":"alive"}\n')}.get(path, (403, "from this machine only\n"))
        assert (status, text) == wanted, path
    assert ready == ["/readyz", 200, '{"status":"ready"}\n'], "nobody drained it"
    assert here == ["here", 200, '{"status":"draining"}\n'], "and this machine may"


def test_registry_003_keys_are_those_of_the_vectors(server, vector, operator):
    key = ec.generate_private_key(ec.SECP256R1())
    vector.send(
        "setConfigForIdentity", abi.keccak(raw_address(VECTOR) + bytes.fromhex(TDX[1] + TDX[2] + TDX[3])), CONFIG_ID
    )
    if not vector.call("StorageBackends"):
        vector.send("setStorageBackend", "file://./store/")
    put_blob(server, VECTOR, "configs", CONFIG)
    csr = make_csr(VECTOR, key, operator=operator_extension(key, operator))
    released = Released(from_proxy(server, VECTOR, csr))
    digest = hashlib.sha256(released.key_pem).hexdigest()
    assert digest == "9a3ace7298f5e4fe5eb4b650792c0db2b2db503bf3c414f2c1d00bb4ef72ef57"
    public = base64.b64decode(get(server, "pki", bare(VECTOR)).json()["app_pubkey"])
    assert hashlib.sha256(public).hexdigest() == "1a9368bd45d344234e4c0aa55aa52fc698cdc69624f5ae351b53886d27842f26"
    ca = x509.load_pem_x509_certificate(base64.b64decode(get(server, "pki", bare(VECTOR)).json()["ca_cert"]))
    point = ca.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    assert point.hex() == (
        "04669c58b95522cec80bac7078a431369393ce203b983314ac12b929f502a3d5b9"
        "1bf7f11fa31b72347412658304bb87a997e0f44554cd64f9dc44485f30c42390"
    )
    assert ca.subject.rfc4514_string() == f"CN=CA for {bare(VECTOR)}.app,O=SimpleKMS"


CONFIG_ID = hashlib.sha256(CONFIG).digest()


def test_registry_004_a_restart_changes_no_key(tmp_path, chain, contract):
    first = seeded(tmp_path, chain)
    before = get(first, "pki", bare(contract.address)).json()
    assert first.terminate() == 0
    second = seeded(tmp_path, chain)
    assert get(second, "pki", bare(contract.address)).json() == before
    assert second.terminate() == 0


def test_registry_005_apps_are_strangers_to_each_other(server, chain, contract, operator):
    other = chain.deploy("Registry")
    workload = Workload(server, contract.address, operator)
    allow(contract, workload, CONFIG)
    released = Released(workload.register())
    ours, theirs = (get(server, "pki", bare(c.address)).json() for c in (contract, other))
    assert ours["app_pubkey"] != theirs["app_pubkey"]
    foreign = x509.load_pem_x509_certificate(base64.b64decode(theirs["ca_cert"]))
    with pytest.raises((InvalidSignature, ValueError)):
        released.certificate.verify_directly_issued_by(foreign)


@pytest.mark.parametrize("kind", [None, "dummy", "none", "sev-snp", ""])
def test_registry_006_unknown_types_are_invalid_measurements(server, contract, csr, kind):
    headers = measured(TDX, kind or "")
    if kind is None:
        del headers[TYPE]
    reply = through_proxy(server, "POST", f"/api/attested/register/{bare(contract.address)}", csr, headers)
    assert reply.status == 400
    assert "could not parse identity from request: invalid measurements: " in reply.text
    assert "unsupported operation" in reply.text


@pytest.mark.parametrize(
    ("registers", "words"),
    [
        ("not JSON", "could not parse measurements"),
        ("[]", "could not parse measurements"),
        ({1: last(1), 2: last(2), 3: last(3)}, "mrtd missing"),
        ({0: last(9), 2: last(2), 3: last(3)}, "rtmr 0 missing"),
        ({0: last(9), 1: last(1), 3: last(3)}, "rtmr 1 missing"),
        ({0: last(9), 1: last(1), 2: last(2)}, "rtmr 2 missing"),
        ({**TDX, 1: "abc"}, "could not decode rtmr 0"),
        ({**TDX, 1: last(1, 47)}, "invalid rtmr 0 value"),
        ({**TDX, 0: last(1, 47)}, "invalid mrtd measurement value"),
    ],
)
def test_registry_007_missing_and_malformed_measurements(server, contract, csr, registers, words):
    headers = {TYPE: "qemu-tdx", MEASUREMENT: registers} if isinstance(registers, str) else measured(registers)
    reply = through_proxy(server, "POST", f"/api/attested/register/{bare(contract.address)}", csr, headers)
    assert reply.status == 400
    assert "invalid measurements: " in reply.text
    assert words in reply.text
    missing = through_proxy(server, "POST", f"/api/attested/register/{bare(contract.address)}", csr, {TYPE: "qemu-tdx"})
    assert (missing.status, "measurements header missing" in missing.text) == (400, True)


def test_registry_008_an_empty_body(server, contract):
    for path in ("register", "secrets"):
        reply = from_proxy(server, contract.address, b"", path=path)
        assert (reply.status, reply.text) == (400, "Empty CSR in request body\n")


@pytest.mark.parametrize("address", ["1" * 39, "1" * 41, "g" * 40, "0x" + "1" * 38, "0x"])
def test_registry_009_bad_addresses(server, csr, address):
    post = through_proxy(server, "POST", f"/api/attested/register/{address}", csr, measured(TDX))
    assert (post.status, post.text) == (400, "Invalid contract address format\n")
    for path in ("app_metadata", "pki"):
        reply = get(server, path, address)
        assert (reply.status, reply.text) == (400, "Invalid contract address format\n")


def test_registry_009_the_prefix_is_for_reading_only(server, contract, csr):
    address = "0x" + bare(contract.address)
    assert get(server, "pki", address).status == 200
    post = through_proxy(server, "POST", f"/api/attested/register/{address}", csr, measured(TDX))
    assert (post.status, post.text) == (400, "Invalid contract address format\n")
    second = through_proxy(server, "POST", f"/api/attested/secrets/{address}", csr, measured(TDX))
    assert (second.status, second.text) == (403, "identity not allowed\n")


def with_a_bad_signature(csr):
    der = bytearray(base64.b64decode("".join(csr.decode().splitlines()[1:-1])))
    der[-1] ^= 1
    return (
        b"-----BEGIN CERTIFICATE REQUEST-----\n"
        + base64.b64encode(bytes(der))
        + b"\n-----END CERTIFICATE REQUEST-----\n"
    )


@pytest.mark.parametrize("path", ["register", "secrets"])
def test_registry_010_a_request_with_a_bad_signature(server, contract, csr, path):
    assert from_proxy(server, contract.address, csr, path=path).status == 403, "good, and nobody allowed it"
    reply = from_proxy(server, contract.address, with_a_bad_signature(csr), path=path)
    assert (reply.status, "csr parsing error" in reply.text) == (400, True), reply


def test_registry_013_the_operator_of_a_signature_is_asked_about(server, chain, contract):
    """Only the account that signed has the role: so the signature was recovered to it."""
    account = chain.accounts[5]
    key = ec.generate_private_key(ec.SECP256R1())
    csr = make_csr(contract.address, key, operator=operator_extension(key, account.key))
    identity = abi.keccak(raw_address(contract.address) + bytes.fromhex(TDX[1] + TDX[2] + TDX[3]))
    contract.send("setConfigForIdentity", identity, CONFIG_ID)
    contract.send("setStorageBackend", "file://./store/")
    put_blob(server, contract.address, "configs", CONFIG)
    assert "Operator not authorized" in from_proxy(server, contract.address, csr).text
    contract.send("grantRole", contract.call("ROLE_OPERATOR"), account.address)
    assert from_proxy(server, contract.address, csr).status == 200


@pytest.mark.parametrize("change", ["v27", "v28", "64 bytes", "66 bytes", "garbage"])
def test_registry_014_broken_operator_signatures(server, contract, operator, change):
    key = ec.generate_private_key(ec.SECP256R1())
    good = operator_extension(key, operator)
    bad = {
        "v27": good[:64] + b"\x1b",
        "v28": good[:64] + b"\x1c",
        "64 bytes": good[:64],
        "66 bytes": good + b"\0",
        "garbage": b"\xff" * 65,
    }[change]
    reply = from_proxy(server, contract.address, make_csr(contract.address, key, operator=bad))
    assert reply.status == 400
    assert "operator signature verification error" in reply.text


def test_registry_015_the_identity_of_a_td_is_the_contracts_own(server, contract, csr):
    report = tuple([bytes.fromhex(TDX[0]), [*(bytes.fromhex(TDX[i]) for i in (1, 2, 3)), bytes(48)], *[bytes(48)] * 3])
    identity = contract.call("DCAPIdentity", report, [])
    contract.send("setConfigForIdentity", identity, CONFIG_ID)
    contract.send("setStorageBackend", "file://./store/")
    put_blob(server, contract.address, "configs", CONFIG)
    assert from_proxy(server, contract.address, csr).status == 200
    assert from_proxy(server, contract.address, csr, {**TDX, 3: last(4)}).text == "identity not allowed\n"
    assert from_proxy(server, contract.address, csr, {**TDX, 4: last(7)}).status == 200, "RTMR3 is no part of it"


@pytest.mark.parametrize("kind", ["dcap-tdx", "gcp-tdx"])
def test_registry_015_newer_names_of_the_type(server, contract, csr, kind):
    assert from_proxy(server, contract.address, csr, kind=kind).text == "identity not allowed\n"


def test_registry_016_the_identity_of_azure_is_the_contracts_own(server, contract, csr):
    values = [bytes.fromhex(AZURE.get(i, "00" * 32)) for i in range(24)]
    identity = contract.call("MAAIdentity", (values,))
    contract.send("setConfigForIdentity", identity, CONFIG_ID)
    contract.send("setStorageBackend", "file://./store/")
    put_blob(server, contract.address, "configs", CONFIG)
    assert from_proxy(server, contract.address, csr, AZURE, "azure-tdx").status == 200
    raw = {number: value[:32] for number, value in AZURE.items()}
    reply = from_proxy(server, contract.address, csr, raw, "azure-tdx")
    assert (reply.status, "invalid MAA measurement value" in reply.text) == (400, True)


@pytest.mark.parametrize("number", [24, -1, 4294967296])
def test_registry_017_registers_that_do_not_exist(server, contract, csr, number):
    reply = from_proxy(server, contract.address, csr, {**AZURE, number: "00" * 32}, "azure-tdx")
    assert (reply.status, "invalid measurements" in reply.text) == (400, True)
    assert request(server.registry, "GET", "/livez").status == 200


def report_data(contract, pki):
    return (raw_address(contract) + hashlib.sha256(pki["ca_cert"] + pki["app_pubkey"]).digest() + bytes(12)).hex()


def test_registry_018_metadata_and_019_dummy_evidence(server, contract):
    contract.send("registerInstanceDomainName", "one.example")
    reply = get(server, "app_metadata", bare(contract.address))
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.text.endswith("\n")
    out = reply.json()
    assert sorted(out) == ["app_pubkey", "attestaion", "attestation", "ca_cert", "domain_names"]
    assert out["attestaion"] == out["attestation"]
    assert out["domain_names"] == ["one.example"]
    raw = {name: base64.b64decode(out[name]) for name in ("ca_cert", "app_pubkey", "attestation")}
    expected = "Attestation for CA " + report_data(contract.address, raw)
    assert raw["attestation"].decode() == expected
    second = get(server, "pki", bare(contract.address)).json()
    assert second == {name: out[name] for name in ("app_pubkey", "attestation", "ca_cert")}


class QuoteProvider:
    """A strict stand-in of the remote provider: GET /attest/<128 hex digits>, and what it was asked."""

    def __init__(self):
        self.asked, self.status, self.quote = [], 200, b"a quote"
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                found = re.fullmatch(r"/attest/([0-9a-f]{128})", self.path)
                status = provider.status if found else 404
                if found:
                    provider.asked.append(found[1])
                self.send_response(status)
                self.send_header("Content-Length", str(len(provider.quote)))
                self.end_headers()
                self.wfile.write(provider.quote)

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def test_registry_020_a_remote_quote_provider(tmp_path, chain, contract):
    provider = QuoteProvider()
    running = seeded(tmp_path, chain, **{"registry.attestation": provider.url})
    try:
        provider.status = 500
        refused = get(running, "pki", bare(contract.address))
        assert refused.status == 503
        assert "Failed to get PKI: " in refused.text
        assert "500" in refused.text
        provider.status = 200
        deadline = time.monotonic() + PATIENCE  # a failure is remembered for a moment
        while get(running, "pki", bare(contract.address)).status != 200:
            assert time.monotonic() < deadline
        out = {
            name: base64.b64decode(value) for name, value in get(running, "pki", bare(contract.address)).json().items()
        }
        assert out["attestation"] == b"a quote"
        assert set(provider.asked) == {report_data(contract.address, out)}
        before = len(provider.asked)
        for _ in range(20):
            get(running, "pki", bare(contract.address))
        assert len(provider.asked) == before, "strangers cannot keep the quoting enclave busy"
    finally:
        assert running.terminate() == 0
        provider.stop()


def test_registry_flaw_12_made_up_addresses_cost_no_quote(tmp_path, chain, contract):
    """Anybody can think of addresses; the quoting enclave works for contracts that are there, and once for each."""
    provider = QuoteProvider()
    running = seeded(tmp_path, chain, **{"registry.attestation": provider.url})
    try:
        for number in range(50):
            for page in ("pki", "app_metadata"):
                reply = get(running, page, hashlib.sha256(bytes([number])).hexdigest()[:40])
                assert reply.status == 404, reply
        assert provider.asked == []
        assert get(running, "pki", bare(contract.address)).status == 200
        assert len(provider.asked) == 1
    finally:
        assert running.terminate() == 0
        provider.stop()


def test_registry_flaw_12_certificates_are_the_same_for_everybody(server, contract):
    assert len({get(server, "pki", bare(contract.address)).body for _ in range(3)}) == 1


def test_registry_flaw_01_headers_of_anybody_are_refused(server, contract, csr):
    reply = request(server.registry, "POST", f"/api/attested/register/{bare(contract.address)}", csr, measured(TDX))
    assert reply.status == 403
    assert "authenticated proxy" in reply.text


def test_registry_flaw_01_the_old_way_is_a_switch_that_marks_every_page_and_log(tmp_path, chain, contract, operator):
    running = seeded(tmp_path, chain, **{"registry.believe_headers_of_anybody": "true"})
    workload = Workload(running, contract.address, operator)
    allow(contract, workload, CONFIG)
    path = f"/api/attested/register/{bare(contract.address)}"
    headers = measured({index: register.hex() for index, register in enumerate((bytes(48), *rtmrs_of(workload.quote)))})
    csr = make_csr(contract.address, workload.key, operator=workload.operator)
    released = request(running.registry, "POST", path, csr, headers)
    Released(released)
    pages = [released, request(running.registry, "POST", path, csr, measured(TDX))]
    pages += [get(running, page, bare(contract.address)) for page in ("pki", "app_metadata")]
    for url in (running.registry, running.admins):
        pages += [request(url, "GET", page) for page in ("/livez", "/readyz", "/no/such/page", "/admin/status")]
    pages += [request(running.registry, "GET", "/api/attested/onboard/" + "00" * 32)]
    pages += [request(running.registry, "POST", path, bytes(2 << 20))]
    assert {page.status for page in pages} >= {200, 403, 404, 413}
    for page in pages:
        assert "anybody" in page.headers["X-Attestry-Warning"], page
    assert "voucher/anybody" in running.leaves()[int(released.headers["X-Attestry-Leaf"])]["outputs"]
    assert running.terminate() == 0
    assert "registry.believe_headers_of_anybody" in running.output
    assert "keys are released on the word of whoever asked" in running.output


def test_registry_flaw_15_old_status_codes_are_a_switch(tmp_path, chain, contract, csr):
    running = seeded(tmp_path, chain, **{"registry.old_status": "true"})
    assert from_proxy(running, contract.address, csr).status == 500
    assert from_proxy(running, contract.address, csr, path="secrets").status == 401
    assert from_proxy(running, contract.address, csr, {}).status == 400
    bad = with_a_bad_signature(csr)
    for path, status in (("register", 500), ("secrets", 401)):
        reply = from_proxy(running, contract.address, bad, path=path)
        assert (reply.status, "csr parsing error" in reply.text) == (status, True), reply
    assert running.terminate() == 0


def trouble(method, parameters, answer):
    """An endpoint that fails, with more words than anybody else needs."""
    return {"error": {"code": -32000, "message": "canary: db at node-7.internal is down"}}


def test_registry_flaw_15_an_outage_of_the_chain_is_not_described_to_strangers(tmp_path, chain, contract, csr):
    with Endpoint(chain) as endpoint:
        running = seeded(tmp_path, chain, **{"registry.rpc": endpoint.url})
        assert from_proxy(running, contract.address, csr).status == 403
        endpoint.change = trouble
        chain.mine(3)
        made_up = "13" * 20
        replies = [from_proxy(running, contract.address, csr, path=path) for path in ("register", "secrets")]
        replies += [get(running, "app_metadata", made_up)]
        for reply in replies:
            assert reply.status == 503, reply
            for inside in ("canary", endpoint.name, str(tmp_path), "127.0.0.1"):
                assert inside not in reply.text, reply
        assert running.terminate() == 0
        assert "canary" in running.output and endpoint.name in running.output


def test_registry_flaw_15_a_quote_provider_is_not_described_to_strangers(tmp_path, chain, contract):
    (port,) = free_ports(1)
    running = seeded(tmp_path, chain, **{"registry.attestation": f"http://127.0.0.1:{port}"})
    reply = get(running, "pki", bare(contract.address))
    assert (reply.status, reply.text) == (503, "Failed to get PKI: attestation: the quote provider does not answer\n")
    assert running.terminate() == 0
    assert f"http://127.0.0.1:{port}" in running.output


def test_registry_flaw_15_folders_of_the_server_are_not_described(server, contract, operator):
    workload = Workload(server, contract.address, operator)
    allow(contract, workload, CONFIG)
    contract.send("removeStorageBackend", "file://./store/")
    for uri in ("file://./absent/", "file:///etc/", "file://./../else/", f"file://./{'x' * 300}/"):
        contract.send("setStorageBackend", uri)
        reply = workload.register()
        assert reply.status in (502, 503) and "could not process config: " in reply.text, reply
        assert str(server.files) not in reply.text and str(server.data) not in reply.text, reply
        contract.send("removeStorageBackend", uri)


def test_registry_051_contracts_that_are_not_served(tmp_path, chain, contract, csr):
    running = seeded(tmp_path, chain, **{"registry.contracts": "0x" + "77" * 20})
    for path in ("register", "secrets"):
        reply = from_proxy(running, contract.address, csr, path=path)
        assert (reply.status, reply.text) == (403, "application not allowed\n")
    for path in ("app_metadata", "pki"):
        assert get(running, path, bare(contract.address)).status == 403
    assert get(running, "pki", "77" * 20).status == 200
    assert running.terminate() == 0


@pytest.mark.parametrize("old", ["false", "true"])
def test_registry_052_an_outage_of_the_chain_is_no_denial(tmp_path, csr, old):
    """Whatever is asked; the certificates of a contract that was there a moment ago have been made already."""
    with Anvil() as node:
        own, unseen = node.deploy("Registry"), node.deploy("Registry")
        running = seeded(tmp_path, node, **{"registry.old_status": old})
        assert from_proxy(running, own.address, csr).status == (500 if old == "true" else 403)
        assert get(running, "pki", bare(own.address)).status == 200
    # The second generation of the first servers said 401 here, which the switch brings back.
    for reply, words, old_status in (
        (from_proxy(running, own.address, csr), "could not verify identity is allowed: ", 500),
        (from_proxy(running, own.address, csr, path="secrets"), "could not verify identity is allowed: ", 401),
        (get(running, "app_metadata", bare(own.address)), "Failed to get domain names: ", 500),
        (get(running, "pki", bare(unseen.address)), "Failed to get PKI: ", 500),
    ):
        wanted = old_status if old == "true" else 503
        assert (reply.status, words in reply.text) == (wanted, True), reply
        assert bool(reply.headers["Retry-After"]) == (wanted == 503), reply
    assert get(running, "pki", bare(own.address)).status == 200
    assert running.terminate() == 0


def test_registry_second_generation_secrets(server, contract, operator):
    workload = Workload(server, contract.address, operator)
    allow(contract, workload, CONFIG)
    out = json.loads(workload.register("secrets").body)
    assert sorted(out) == ["app_privkey", "attestation", "operator", "tls_cert"]
    assert out["operator"] == [0] * 20
    bound = bytes(20) + base64.b64decode(out["tls_cert"]) + base64.b64decode(out["app_privkey"])
    expected = (raw_address(contract.address) + hashlib.sha256(bound).digest() + bytes(12)).hex()
    assert base64.b64decode(out["attestation"]).decode() == "Attestation for CA " + expected


def test_registry_a_simulated_tee_vouches_for_nothing_in_production(tmp_path):
    seed = tmp_path / "forge.seed"
    seed.write_text("a seed\n")
    settings = {
        "registry.listen": "127.0.0.1:0",
        "registry.governance": "local",
        "registry.chain_id": 31337,
        "registry.contracts": "any",
        "registry.attestation": f"simulated:{seed}",
    }
    done = attestry(*serve_arguments(tmp_path / "data", **settings))
    assert done.code == 2 and "vouches for nothing" in done.err and "attestry dev" in done.err, done


def test_registry_settings_that_give_keys_away_are_said_at_the_start(tmp_path, chain):
    running = seeded(tmp_path, chain, **{"registry.evidence_once": "false", "registry.attestation": "dummy"})
    assert running.terminate() == 0
    assert "registry.evidence_once: whoever has seen a request" in running.output
    assert "registry.attestation: nobody can verify" in running.output
