"""Servers for the functional tests. Each has its own data folder and free ports; each must end well on SIGTERM."""

import hashlib
import itertools

import pytest
from endpoints import Endpoint
from evm import Anvil
from harness import start_dev, start_serve
from operators import Operator
from storage import IpfsNode, Swift
from workload import measurement


@pytest.fixture
def servers(tmp_path):
    """Starts servers and sees to their end: servers.dev(), servers.serve(**settings)."""
    started = []

    class Starter:
        def dev(self, data=None, *arguments, env=None):
            started.append(start_dev(data or tmp_path / f"dev{len(started)}", *arguments, env=env))
            return started[-1]

        def serve(self, data=None, **settings):
            started.append(start_serve(data or tmp_path / f"serve{len(started)}", **settings))
            return started[-1]

    yield Starter()
    codes = [(server.arguments, server.terminate()) for server in started if server.running]
    assert [code for code in codes if code[1] != 0] == []


@pytest.fixture(scope="session")
def dev(tmp_path_factory):
    """One `attestry dev` for all tests that do not stop it; each makes apps of its own."""
    server = start_dev(tmp_path_factory.mktemp("shared") / "data")
    server.mrtd = measurement(server.seed)
    yield server
    assert server.terminate() == 0, server.output


@pytest.fixture(scope="session")
def operator(dev):
    return Operator(dev)


_numbers = itertools.count(1)


@pytest.fixture
def app(dev, operator):
    """The name of a new app, not created yet."""
    return f"name:app-{next(_numbers)}"


@pytest.fixture(scope="session")
def swift(tmp_path_factory):
    server = Swift(tmp_path_factory.mktemp("swift") / "run")
    yield server
    server.stop()


@pytest.fixture
def bucket(swift, request):
    """A new bucket, named after the test."""
    name = "b-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    assert swift.s3("PUT", f"/{name}")[0] == 200
    return name


@pytest.fixture(scope="session")
def ipfs():
    node = IpfsNode()
    yield node
    node.stop()


@pytest.fixture
def chain():
    """An anvil of its own; a file whose tests share one says so with a fixture of the same name."""
    with Anvil() as node:
        yield node


@pytest.fixture
def contract(chain):
    return chain.deploy("Registry")


@pytest.fixture
def endpoint(chain):
    """In front of the chain: counts, and lies or is silent where it is told to."""
    with Endpoint(chain) as one:
        yield one
