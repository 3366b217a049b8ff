"""The server behind three endpoints of which two must agree: one that fails changes nothing, two are an outage and
never a denial."""

import contextlib
import itertools
import time

import abi
import pytest
from endpoints import Endpoint, until
from evm import Anvil
from registry import Released, Workload, allow, start_registry

CONFIG = b'{"listen":"0.0.0.0:443"}'
REFUSAL = abi.selector("Error(string)") + abi.encode([abi.Type({"type": "string", "name": ""})], ["not allowed"])
REVERT = {"error": {"code": 3, "message": "execution reverted", "data": "0x" + REFUSAL.hex()}}


def lagging(endpoint):
    endpoint.lag = 4


def censoring(endpoint):
    hidden = {"eth_call": REVERT, "eth_getLogs": {"result": []}}
    endpoint.change = lambda method, _, answer: hidden.get(method, answer)


def empty(endpoint):
    hidden = {"eth_call": {"result": "0x"}, "eth_getLogs": {"result": []}, "eth_getCode": {"result": "0x"}}
    endpoint.change = lambda method, _, answer: hidden.get(method, answer)


def silent(endpoint):
    endpoint.silent = True


def dead(endpoint):
    endpoint.die()


def heal(endpoint):
    endpoint.lag, endpoint.change, endpoint.silent = 0, None, False


FAULTS = [dead, empty, censoring, lagging, silent]  # the first cannot be healed
# Two that tell the same lie are a quorum of liars, which no number of endpoints is proof against.
PAIRS = [pair for pair in itertools.combinations(FAULTS, 2) if pair != (empty, censoring)]


def name(fault):
    return fault.__name__


class Service:
    """A server, its three endpoints and a contract."""

    def __init__(self, chain, endpoints, contract, server):
        self.chain, self.endpoints, self.contract, self.server = chain, endpoints, contract, server
        allow(contract, self.workload(), CONFIG)
        chain.mine(8)

    def workload(self):
        return Workload(self.server, self.contract.address, self.chain.accounts[0].key)

    def register(self):
        return self.workload().register()

    def go_on(self):
        """A block comes, and whoever is well has been asked for it."""
        self.chain.mine()
        well = self.endpoints[2]
        heads = well.asked.count("eth_chainId")
        until(lambda: well.asked.count("eth_chainId") >= heads + 3)

    def revocations(self):
        return [leaf for leaf in self.server.leaves() if leaf["type"] == "revocation.registry"]


@pytest.fixture
def service(tmp_path, chain):
    with contextlib.ExitStack() as stack:
        endpoints = [stack.enter_context(Endpoint(chain)) for _ in range(3)]
        contract = chain.deploy("Registry")
        asked = {"registry.rpc": ",".join(e.url for e in endpoints), "registry.quorum": 2, "registry.head_ms": 200}
        server = start_registry(tmp_path / "data", chain, **asked)
        made = Service(chain, endpoints, contract, server)
        made.go_on()
        yield made
        assert server.terminate() == 0, server.output


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_registry_one_bad_endpoint_changes_nothing(service, fault):
    fault(service.endpoints[0])
    service.go_on()
    Released(service.register())
    service.contract.send("removeConfigMapForIdentity", service.workload().identity)
    until(service.revocations)  # nor is a change hidden
    reply = service.register()
    assert (reply.status, reply.text) == (403, "identity not allowed\n")


@pytest.mark.parametrize("faults", PAIRS, ids=lambda pair: "_".join(map(name, pair)))
def test_registry_two_bad_endpoints_are_an_outage_and_no_denial(service, faults):
    Released(service.register())
    for fault, endpoint in zip(faults, service.endpoints, strict=False):
        fault(endpoint)
    service.contract.send("registerInstanceDomainName", "new.example")  # what is known of it holds no longer
    service.go_on()
    reply = service.register()
    assert reply.status == 503 and "chain: " in reply.text, reply
    heal(service.endpoints[1])
    until(lambda: service.register().status == 200)
    assert service.revocations() == []
    assert [leaf["type"] for leaf in service.server.leaves()].count("release.registry") == 2


@pytest.mark.parametrize(("quorum", "status"), [(1, 200), (2, 503)])
def test_registry_quorum_is_how_many_must_agree(tmp_path, chain, quorum, status):
    with Endpoint(chain) as one, Endpoint(chain) as other:
        contract = chain.deploy("Registry")
        asked = {"registry.rpc": f"{one.url},{other.url}", "registry.quorum": quorum}
        server = start_registry(tmp_path / "data", chain, **asked)
        workload = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, workload, CONFIG)
        other.die()
        assert workload.register().status == status
        assert server.terminate() == 0, server.output


def test_registry_a_newest_block_that_is_too_old_is_an_outage(tmp_path):
    with Anvil("--timestamp", int(time.time()) - 2700) as chain:
        contract = chain.deploy("Registry")
        server = start_registry(tmp_path / "data", chain, **{"registry.max_head_age": 1800})
        workload = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, workload, CONFIG)
        reply = workload.register()
        assert reply.status == 503 and "the newest block is too old" in reply.text, reply
        chain.rpc("evm_setNextBlockTimestamp", int(time.time()))
        chain.mine()
        Released(workload.register())
        assert server.terminate() == 0, server.output


def test_registry_who_lets_the_newest_block_be_old_lets_the_final_one(tmp_path):
    with Anvil("--timestamp", int(time.time()) - 5400) as chain:
        contract = chain.deploy("Registry")
        server = start_registry(tmp_path / "data", chain, **{"registry.max_head_age": 7200})
        workload = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, workload, CONFIG)
        Released(workload.register())
        assert server.terminate() == 0, server.output
