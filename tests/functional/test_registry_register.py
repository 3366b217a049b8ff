"""Registration in the registry's dialect: evidence in the request, a contract on anvil says what may run."""

import base64
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from evm import Anvil
from harness import request
from registry import Released, Workload, allow, bare, ecies_seal, put_blob, start_registry

CONFIG = b'{"listen":"0.0.0.0:443"}'


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain):
    running = start_registry(tmp_path_factory.mktemp("registry") / "data", chain)
    yield running
    assert running.terminate() == 0, running.output


@pytest.fixture
def contract(chain):
    return chain.deploy("Registry")


@pytest.fixture
def operator(chain):
    """The deployer has the operator role."""
    return chain.accounts[0].key


def metadata(server, contract):
    reply = request(server.registry, "GET", f"/api/public/app_metadata/{bare(contract.address)}")
    assert reply.status == 200, reply
    return reply.json()


def ca_of(server, contract):
    return x509.load_pem_x509_certificate(base64.b64decode(metadata(server, contract)["ca_cert"]))


def test_registry_002_an_allowed_workload_gets_key_certificate_and_configuration(server, contract, operator):
    workload = Workload(server, contract.address, operator, names=["web.example"])
    allow(contract, workload, CONFIG)
    released = Released(workload.register())
    assert released.config == CONFIG
    leaf = released.certificate
    leaf.verify_directly_issued_by(ca_of(server, contract))
    assert leaf.subject.rfc4514_string() == f"CN={bare(contract.address)}.app"
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    ) == ["web.example"]
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert {*usage} == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert leaf.public_key() == workload.key.public_key()
    public = base64.b64decode(metadata(server, contract)["app_pubkey"])
    assert released.key.public_key() == serialization.load_pem_public_key(public)
    newest = server.leaves()[int(released.headers["X-Attestry-Leaf"])]
    assert newest["type"] == "release.registry"
    assert newest["app"] == f"evm:31337:0x{bare(contract.address)}"


def test_registry_023_a_secret_is_spliced_into_its_template(server, contract, operator):
    workload = Workload(server, contract.address, operator)
    app_key = serialization.load_pem_public_key(base64.b64decode(metadata(server, contract)["app_pubkey"]))
    secret = put_blob(server, contract.address, "secrets", ecies_seal(app_key, b'{"password":"p$1w"}'))
    allow(contract, workload, f'{{"db":"__SECRET_REF_{secret}"}}'.encode())
    assert json.loads(Released(workload.register()).config) == {"db": {"password": "p$1w"}}


def test_registry_011_an_identity_that_is_not_allowed_gets_nothing(server, contract, operator):
    workload = Workload(server, contract.address, operator)
    reply = workload.register()
    assert (reply.status, reply.text) == (403, "identity not allowed\n")
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


def test_registry_012_an_operator_without_the_role_is_named(server, contract, chain):
    workload = Workload(server, contract.address, chain.accounts[3].key)
    allow(contract, workload, CONFIG)
    reply = workload.register()
    assert reply.status == 403
    assert "Operator not authorized" in reply.text
