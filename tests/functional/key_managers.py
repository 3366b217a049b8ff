"""Key managers on one contract, and the workloads and the host that call them, written from
docs/how-to/run-a-key-manager.md and docs/formats/keymanager.md."""

import contextlib
import hashlib
import hmac
import http.client
import json
import os
import socket
import ssl

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from endpoints import until
from harness import PATIENCE, Reply, Server, request, split_url
from keymanager import domain_separator, typed_digest
from registry import key_report_data, self_signed
from workload import b64u, forge, lp

JSON = {"Accept": "application/json"}
APP_DATA = (bytes(31) + b"\x2a").hex()
UP_TO_DATE = 0b11  # UpToDate, SWHardeningNeeded


def start_manager(data, chain=None, contract=None, **settings):
    """attestry dev with a key manager. The server has .apps (the last of its listeners) and .host."""
    chosen = {"keymanager.listen": "127.0.0.1:0", "keymanager.host_listen": "127.0.0.1:0", "keymanager.look_ms": 20}
    if contract is not None:
        chosen |= {
            "keymanager.contract": contract.address,
            "keymanager.rpc": chain.url,
            "keymanager.chain_id": chain.chain_id,
            "keymanager.finality": "depth:0",
            "keymanager.max_head_age": 0,
            "keymanager.attestation": f"simulated:{data}/forge.seed",
        }
    chosen |= settings
    sets = [f"--set={name}={value}" for name, value in chosen.items() if value is not None]
    server = Server(["dev", "--data", data, "--any-port", *sets], data)
    found = server.wait_for(r"^  server +(\S+), operators (\S+), metrics (\S+)/metrics")
    server.public, server.admin, server.metrics = found.groups()
    listeners = [server.wait_for(r"^  key manager +(\S+)$")[1] for _ in chosen["keymanager.listen"].split(",")]
    server.apps, server.listeners = listeners[0], listeners
    server.host = server.wait_for(r"^  key manager host +(\S+)$")[1] if chosen["keymanager.host_listen"] else None
    server.log_key = server.wait_for(r"^  log +(\S+)")[1]
    server.wait_for(r"^Serving until")
    return server


def identity_policy(folder, seed, name="managers", **claims):
    """A policy whose one identity is the simulated TD of that seed, with its boot."""
    quote = forge(seed, bytes(64))
    found = {"mrtd": [quote[184:232].hex()], "rtmr1": [quote[424:472].hex()], "rtmr2": [quote[472:520].hex()]}
    path = folder / f"{name}.json"
    path.write_text(
        json.dumps({"format": 1, "name": name, "identities": [{"name": name, "claims": {**found, **claims}}]})
    )
    return path


@contextlib.contextmanager
def managers(tmp_path, chain, contract, **common):
    """starter(name, **settings): servers on machines of one simulated vendor. All must end well."""
    running, seed = [], os.urandom(16).hex() + "\n"
    policy = identity_policy(tmp_path, seed)

    def starter(name, **settings):
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            (folder / "forge.seed").write_text(seed)
        chosen = {"keymanager.policy": policy, "keymanager.sources": "127.0.0.1=web", **common, **settings}
        server = start_manager(folder, chain, contract, **chosen)
        running.append(server)
        return server

    starter.seed = seed
    yield starter
    assert [server.output for server in running if server.running and server.terminate() != 0] == []


def over_unix(path, target, headers=None):
    connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path).removeprefix("unix:"))
    try:
        connection.request("GET", target, headers=headers or {})
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


class TlsClient:
    """One connection, with a client certificate that carries evidence."""

    def __init__(self, server, folder, evidence, key):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(server.data / "tls.pem")
        file = folder / f"client-{os.urandom(4).hex()}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(self_signed(key, evidence) + private)
        context.load_cert_chain(file)
        port = split_url(server.apps)[1]
        self.connection = http.client.HTTPSConnection("localhost", port, timeout=PATIENCE, context=context)

    def get(self, target, headers=None):
        self.connection.request("GET", target, headers=headers or {})
        answer = self.connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())


def attested_client(server, folder, seed=None, report_data=None):
    key = ec.generate_private_key(ec.SECP256R1())
    quote = forge(seed or server.seed, key_report_data(key) if report_data is None else report_data)
    return TlsClient(server, folder, quote, key)


# What the host does


def ask(server, method, path, body=None):
    reply = request(server.host, method, path, body, JSON)
    assert reply.status == 200, reply
    return reply.json()


def unhex(text):
    return bytes.fromhex(text.removeprefix("0x"))


def wait_for_state(server, wanted):
    """Until the server has looked at the contract again."""
    seen = []

    def there():
        seen.append(request(server.host, "GET", "/status").json())
        return seen[-1]["state"] == wanted

    until(there)
    return seen[-1]


def put_in_force(contract, made):
    quote = unhex(made["quote"])
    assert hashlib.sha256(quote).digest() == unhex(made["evidence_sha256"])
    contract.send("bootstrapWithEvidence", made["addr"].lower(), unhex(made["evidence_sha256"]), quote)


def bootstrapped(server, contract):
    made = ask(server, "POST", "/bootstrap")
    put_in_force(contract, made)
    wait_for_state(server, "member")
    return made


def quote_facts(server, quote):
    """(FMSPC word, SHA-256 of MRTD) of a quote, as the contract has them."""
    claims = server.request("POST", "/v1/verify", {"evidence": b64u(quote)}).json()["claims"]
    return bytes.fromhex(claims["fmspc"]).ljust(16, b"\0"), hashlib.sha256(quote[184:232]).digest()


def list_machine(contract, server, quote, statuses=UP_TO_DATE, evaluation=0):
    fmspc, measurement = quote_facts(server, quote)
    contract.send("allowMrtd", measurement, True)
    contract.send("allowTcb", fmspc, evaluation, statuses)
    return fmspc, measurement


def asked_to_join(server, contract, payer):
    """The newcomer's keys and evidence, with its request in the contract."""
    made = ask(server, "POST", f"/register?payer={payer.address}")
    contract.send(
        "join",
        made["addr"].lower(),
        unhex(made["pubk"]),
        unhex(made["sig"]),
        unhex(made["evidence_sha256"]),
        unhex(made["quote"]),
        sender=payer,
    )
    return made


def help_newcomer(helper, made, **changed):
    body = {"pubk": made["pubk"], "quote": made["quote"], **changed}
    return request(helper.host, "POST", f"/helper/{made['addr']}", body, JSON)


def onboard(contract, made, answer):
    contract.send(
        "onboard(address,bytes16,bytes32,bytes,bytes)",
        made["addr"].lower(),
        unhex(answer["fmspc"]),
        unhex(answer["mrtd"]),
        unhex(answer["ciph"]),
        unhex(answer["sig"]),
    )


def joined(first, second, contract, payer):
    made = asked_to_join(second, contract, payer)
    list_machine(contract, first, unhex(made["quote"]))
    answer = help_newcomer(first, made)
    assert answer.status == 200, answer
    onboard(contract, made, answer.json())
    ask(second, "POST", f"/register/{answer.json()['ciph']}")
    wait_for_state(second, "member")
    return made


# What a workload gets


def sealkey(server, path="/sealkey", **headers):
    reply = request(server.apps, "GET", path, headers=headers)
    assert reply.status == 200, reply
    return reply.text


def workload_key(master, workload, purpose="sealing", epoch=1, length=32):
    info = lp(workload.encode()) + lp(purpose.encode()) + epoch.to_bytes(4) + length.to_bytes(4)
    salt = hashlib.sha256(b"attestry/keymanager/1").digest()
    prk = hmac.new(salt, master, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\1", hashlib.sha256).digest()[:length]


def bound_digest(contract, workload, made, app_data=APP_DATA):
    separator = domain_separator(contract.chain.chain_id, contract.address)
    bound = made["bound"]
    said = (workload, bound["purpose"], unhex(app_data), made["epoch"], bound["expires"])
    return typed_digest(separator, "Attestation", *said)


def report_data(contract, name, *values):
    head = typed_digest(domain_separator(contract.chain.chain_id, contract.address), name, *values)
    return head + bytes(32)
