"""Operators of key servers and what they ask of them, written from docs/formats/registry.md."""

import base64
import contextlib
import json
import os

import abi
from harness import request
from registry import (
    Released,
    Workload,
    allow,
    bare,
    dcap_identity,
    raw_address,
    rtmrs_of,
    sha256,
    sign_recoverable,
    start_registry,
)
from workload import forge

MASTER = bytes(range(32))
AUTH, GENERATE, ONBOARD = "/api/operator/auth", "/api/operator/generate", "/api/operator/onboard"
CONFIG = b'{"listen":"0.0.0.0:443"}'


def with_seed(folder, seed):
    folder.mkdir()
    (folder / "forge.seed").write_text(seed)
    return folder


def policy_for(folder, seed):
    """Of the servers' firmware, which the contract's identity does not cover."""
    mrtd = forge(seed, bytes(64))[184:232].hex()
    path = folder / "servers.json"
    identity = {"name": "key servers", "claims": {"mrtd": [mrtd]}}
    path.write_text(json.dumps({"format": 1, "name": "servers", "identities": [identity]}))
    return path


@contextlib.contextmanager
def key_servers(tmp_path, chain, kms):
    """starter(name, **settings): servers of the contract's key service, on machines of one simulated vendor. All must
    end well."""
    running, seed = [], os.urandom(16).hex() + "\n"
    policy = policy_for(tmp_path, seed)

    def starter(name, **settings):
        folder = tmp_path / name
        if not folder.exists():
            with_seed(folder, seed)
        server = start_registry(
            folder,
            chain,
            **{
                "registry.kms_contract": kms.address,
                "registry.attestation": f"simulated:{folder}/forge.seed",
                "registry.policy": policy,
                **settings,
            },
        )
        server.kms = kms
        running.append(server)
        return server

    yield starter
    assert [server.output for server in running if server.running and server.terminate() != 0] == []


def request_digest(server, path, body=b"", host=None, chain_id=None, contract=None):
    domain = abi.keccak(
        abi.keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
        + abi.keccak(b"attestry")
        + abi.keccak(b"1")
        + (chain_id or server.kms.chain.chain_id).to_bytes(32)
        + raw_address(contract or server.kms.address).rjust(32, b"\0")
    )
    kind = abi.keccak(b"OperatorRequest(bytes32 nonce,string host,string path,bytes32 bodySha256)")
    host = host or server.admins.removeprefix("http://")
    struct = abi.keccak(kind + nonce_of(server) + abi.keccak(host.encode()) + abi.keccak(path.encode()) + sha256(body))
    return abi.keccak(b"\x19\x01" + domain + struct)


def nonce_of(server):
    reply = request(server.admins, "GET", AUTH)
    assert reply.status == 200 and len(reply.body) == 32, reply
    return reply.body


def authorize(server, account, **meant):
    signature = sign_recoverable(account.key, request_digest(server, AUTH, **meant))
    return request(server.admins, "POST", AUTH, signature)


def signed(server, account, path, body=b"", **meant):
    signature = sign_recoverable(account.key, request_digest(server, path, body, **meant))
    return request(server.admins, "POST", path, body, {"X-Attestry-Operator-Signature": signature.hex()})


def asked(server, account):
    reply = request(server.admins, "GET", f"/api/operator/onboard_request/{bare(account.address)}")
    assert reply.status == 200, reply
    out = reply.json()
    return (
        base64.b64decode(out["Pubkey"]),
        out["Nonce"],
        out["Operator"],
        base64.b64decode(out["Attestation"]),
    )


def onboard_report_data(kms, pubkey, nonce, account):
    minimal = nonce.to_bytes((nonce.bit_length() + 7) // 8)
    return raw_address(kms.address) + sha256(pubkey + minimal + raw_address(account)) + bytes(12)


def fetch(giver, id_):
    return request(giver.registry, "GET", f"/api/attested/onboard/{id_}")


def bring(kms, wanted, sender=None):
    """On the chain. The request's hash."""
    receipt = kms.send("requestOnboard", wanted, sender=sender)
    [event] = receipt.events
    return event.arguments[0]


def publish(kms, server):
    """The owner publishes the service's own key, as the server that has the master says it."""
    found = request(server.registry, "GET", f"/api/public/pki/{bare(kms.address)}").json()
    kms.send("setPKI", [base64.b64decode(found[name]) for name in ("ca_cert", "app_pubkey", "attestation")])


def let_in(kms, server):
    kms.send("allowlistIdentity", dcap_identity(kms.address, rtmrs_of(forge(server.seed, bytes(64)))))


def onboarded(kms, giver, receiver, account):
    publish(kms, giver)
    let_in(kms, receiver)
    assert authorize(receiver, account).status == 200
    bring(kms, asked(receiver, account))
    return signed(receiver, account, ONBOARD, giver.registry.encode())


def app_key(server, chain, contract, account):
    made = Workload(server, contract.address, account.key)
    allow(contract, made, CONFIG)
    return Released(made.register()).key_pem


def public_key(server, contract):
    return request(server.registry, "GET", f"/api/public/pki/{bare(contract.address)}")


def refused(reply, status, text):
    assert reply.status == status and text in reply.text, reply
