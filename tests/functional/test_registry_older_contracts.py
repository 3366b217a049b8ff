"""Contracts of the older generations: the older names of the getters (tests/contracts), with IdentityAllowed() or without
it, and the digest that the oldest operators sign."""

import abi
import pytest
from cryptography import x509
from evm import OLDER, Anvil, Artifact
from harness import request
from registry import (
    PEM,
    Released,
    Workload,
    allow,
    bare,
    make_csr,
    put_blob,
    sha256,
    sign_recoverable,
    spki,
    start_registry,
)

CONFIG = b'{"listen":"0.0.0.0:443"}'
STORAGE = "file://./store/"
NAME = "web.example"


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture(scope="module", params=[True, False], ids=["believed", "not_believed"])
def server(tmp_path_factory, chain, request):
    believed = {"registry.first_generation": str(request.param).lower(), "registry.names": "strict"}
    running = start_registry(tmp_path_factory.mktemp("registry") / "data", chain, **believed)
    running.believes = request.param
    yield running
    assert running.terminate() == 0, running.output


def deployed(chain, name):
    contract = chain.deploy(Artifact(name, OLDER))
    contract.send("setStorageBackend", STORAGE)
    contract.send("registerInstanceDomainName", NAME)
    return contract


@pytest.fixture
def first(chain):
    return deployed(chain, "FirstRegistry")


@pytest.fixture
def second(chain):
    return deployed(chain, "SecondRegistry")


def workload_for(server, contract, account=0, names=(NAME,)):
    return Workload(server, contract.address, contract.chain.accounts[account].key, names=names)


def map_config(contract, workload):
    config = put_blob(workload.server, contract.address, "configs", CONFIG)
    contract.send("setConfigForIdentity", workload.identity, bytes.fromhex(config))


def refused(reply, text):
    assert reply.status == 403 and text in reply.text, reply


def released_in_full(reply):
    """The configuration from the storage that the contract lists, and a name that it lists."""
    released = Released(reply)
    assert released.config == CONFIG
    names = released.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]


def test_the_older_contracts_have_the_older_names_only():
    common = {"getConfigForIdentity", "allStorageBackends", "allInstanceDomainNames", "getPKI"}
    newer = {"ConfigForIdentity", "StorageBackends", "InstanceDomainNames", "PKI"}
    first, second = (set(Artifact(name, OLDER).functions) for name in ("FirstRegistry", "SecondRegistry"))
    assert common <= first and not first & {*newer, "IdentityAllowed", "policy"}
    assert common <= second and not second & {*newer, "policy"} and "IdentityAllowed" in second


def test_registry_first_generation_whoever_has_a_configuration_is_allowed_where_it_is_believed(server, first):
    workload = workload_for(server, first)
    map_config(first, workload)
    reply = workload.register()
    if server.believes:
        released_in_full(reply)
    else:
        refused(reply, "the contract has no IdentityAllowed()")


def test_registry_first_generation_nobody_else_is(server, first):
    unmapped = workload_for(server, first)
    refused(unmapped.register(), "Config not mapped" if server.believes else "the contract has no IdentityAllowed()")
    map_config(first, unmapped)
    stranger = workload_for(server, first, account=3)
    refused(
        stranger.register(), "Operator not authorized" if server.believes else "the contract has no IdentityAllowed()"
    )


def test_registry_second_generation_identity_allowed_is_what_counts(server, second):
    workload = workload_for(server, second)
    map_config(second, workload)
    refused(workload.register(), "identity not allowed")  # a configuration alone is not enough, believed or not
    second.send("allowIdentity", workload.identity, True)
    released_in_full(workload_for(server, second).register())
    second.send("allowIdentity", workload.identity, False)
    refused(workload_for(server, second).register(), "identity not allowed")


def test_registry_names_that_an_older_contract_does_not_list_are_refused(server, second):
    workload = workload_for(server, second, names=["other.example"])
    map_config(second, workload)
    second.send("allowIdentity", workload.identity, True)
    reply = workload.register()
    assert reply.status in (400, 403) and "other.example" in reply.text, reply


@pytest.mark.parametrize("generation", ["first", "second"])
def test_registry_older_contracts_domain_names_are_public(server, first, second, generation):
    contract = {"first": first, "second": second}[generation]
    reply = request(server.registry, "GET", f"/api/public/app_metadata/{bare(contract.address)}")
    assert reply.status == 200 and reply.json()["domain_names"] == [NAME], reply


# The oldest operators


def signed(server, contract, digest):
    """A workload whose operator has signed this digest of the PEM text of its key."""
    workload = Workload(server, contract.address)
    signature = sign_recoverable(contract.chain.accounts[0].key, digest(spki(workload.key, PEM)))
    workload.csr = make_csr(contract.address, workload.key, evidence=workload.quote, operator=signature)
    return workload


@pytest.mark.parametrize("digest", ["sha256", "keccak256"])
def test_registry_operators_sign_the_digest_of_the_settings(tmp_path, chain, contract, digest):
    oldest = {"registry.operator_digest": digest}
    server = start_registry(tmp_path / "data", chain, **oldest)
    digests = {"sha256": sha256, "keccak256": abi.keccak}
    for name, made in digests.items():
        workload = signed(server, contract, made)
        allow(contract, workload, CONFIG)
        if name == digest:
            Released(workload.register())
        else:
            refused(workload.register(), "Operator not authorized")
    assert server.terminate() == 0, server.output
