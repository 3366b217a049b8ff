"""A server whose keys of apps come from a threshold root: docs/how-to/use-a-threshold-root.md."""

import re

import pytest
from harness import attestry, start_dev
from key_servers import with_seed
from keystore import Client, start_keystore
from near import Chain
from near import nodes as near_nodes
from registry_admin import CONTRACT, pki
from threshold import APP, NODES, approve, cluster, until
from workload import Workload

SERVERS = "name:attestry-server"


@pytest.fixture
def three(tmp_path):
    """Nodes that let servers derive for themselves; starter(name, **settings) starts one."""
    servers = []
    with cluster(tmp_path) as made:
        made.generate(2, range(3), "--servers", SERVERS, "--server-dialects", "registry,keystore")
        for node in made.nodes.values():
            approve(node, SERVERS, node.operator)

        def starter(name="server", **settings):
            folder = tmp_path / name
            fresh = not folder.exists()
            if fresh:
                with_seed(folder, made.vendor)
            chosen = {**settings_of(made, folder), **settings}
            server = start_dev(folder, *(f"--set={key}={value}" for key, value in chosen.items()))
            servers.append(server)
            if listens := re.search(r"^  registry +(\S+)$", server.output, re.M):
                server.registry = listens[1]
            if fresh:
                server.operator = approve(server, APP)
            return server

        made.server = starter
        try:
            yield made
        finally:
            for server in servers:
                server.kill()


def settings_of(made, folder):
    return {
        "keys.source": "threshold",
        "threshold.nodes": ",".join(made.addresses.values()),
        "threshold.master_public_key": made.master,
        "threshold.attestation": f"simulated:{folder}/forge.seed",
        "threshold.patience_seconds": 3,
        "log.level": "info",
    }


def readiness(server):
    reply = server.request("GET", "/health/ready")
    return reply.status, reply.json()["parts"]["threshold root"]


def is_ready(server):
    until(lambda: readiness(server)[0] == 200, lambda: (readiness(server), server.output))


def let_nodes_in(server):
    """Until then nobody has said which software a node of this server runs."""
    approve(server, NODES, server.operator)
    is_ready(server)


def keys(server):
    workload = Workload(server, APP)
    reply = workload.send()
    assert reply.status == 201, reply
    return workload.open(reply)["keys"]


def test_apps_have_their_keys_of_the_nodes(three):
    server = three.server()
    status, part = readiness(server)
    assert (status, part["ready"]) == (503, False)
    refused = Workload(server, APP).send()
    assert (refused.status, refused.code) == (503, "unavailable"), refused
    let_nodes_in(server)
    first = keys(server)
    another = three.server("another")
    let_nodes_in(another)
    assert keys(another) == first, "whatever server: none of them has the root"

    three.start(3, "--servers", SERVERS)
    approve(three.nodes[3], SERVERS, three.nodes[3].operator)
    three.join(3, 0)
    done = three.reshare(0, "--add", "3", "--remove", "1")
    assert done.code == 0, done
    assert keys(server) == first
    assert server.terminate() == 0
    again = three.server()
    is_ready(again)
    assert keys(again) == first, "of other nodes, and by nothing that was kept"
    for each in (again, another):
        assert each.terminate() == 0


def test_a_server_without_nodes_comes_up_and_waits_for_them(three):
    server = three.server()
    let_nodes_in(server)
    first = keys(server)
    three.kill(1, 2)
    assert keys(server) == first, "what it has derived it still has"
    assert server.terminate() == 0

    server = three.server()
    status, part = readiness(server)
    assert (status, part["ready"]) == (503, False)
    workload = Workload(server, APP)
    body = workload.body()
    away = workload.send(body)
    assert (away.status, away.code) == (503, "unavailable"), away
    three.start(1)
    is_ready(server)
    reply = workload.send(body)
    assert reply.status == 201, "nothing was consumed"
    assert workload.open(reply)["keys"] == first
    assert server.terminate() == 0


def test_the_registry_has_its_master_of_the_nodes(three):
    listens = {"registry.listen": "127.0.0.1:0", "registry.admin_listen": "127.0.0.1:0", "registry.contracts": "any"}
    server = three.server(**listens)
    assert pki(server).status == 503
    let_nodes_in(server)
    until(lambda: pki(server).status == 200, lambda: server.output)
    first = pki(server).json()
    assert server.terminate() == 0
    three.kill(0, 1)
    server = three.server(**listens)
    assert pki(server).status == 503
    three.start(0)
    until(lambda: pki(server).status == 200, lambda: server.output)
    assert pki(server).json()["app_pubkey"] == first["app_pubkey"]
    assert pki(server, "ab" * 20).json()["app_pubkey"] != first["app_pubkey"]
    assert server.terminate() == 0
    assert CONTRACT


def test_the_keystore_has_its_master_of_the_nodes_and_keeps_it(three, tmp_path):
    folder, chain, seed = (
        with_seed(tmp_path / "keystore", three.vendor),
        Chain(),
        "github.com/alice/project:alice.testnet",
    )
    with near_nodes(chain) as endpoints:

        def start():
            return start_keystore(folder, chain, [endpoints[0]], **settings_of(three, folder))

        server = start()
        try:
            client = Client(server)
            assert client.pubkey(seed).status == 503
            server.operator = approve(server, APP)
            let_nodes_in(server)
            until(lambda: client.pubkey(seed).status == 200, lambda: server.output)
            first = client.pubkey(seed).json()["pubkey"]
            assert server.call("GET", "/v1/keystore/masters").json()["source"] == "threshold"
            assert server.terminate() == 0
            three.kill(0, 1, 2)
            server = start()
            assert Client(server).pubkey(seed).json()["pubkey"] == first, "sealed at rest, as every keystore's"
            assert server.terminate() == 0
        finally:
            server.kill()


def test_a_data_folder_keeps_its_key_source(three, tmp_path):
    server = three.server()
    assert server.terminate() == 0
    folder = tmp_path / "server"
    for changed in ({"keys.source": "local", "threshold.nodes": "", "threshold.master_public_key": ""},):
        sets = [f"--set={key}={value}" for key, value in {**settings_of(three, folder), **changed}.items()]
        refused = attestry("dev", "--data", folder, "--any-port", "--once", *sets)
        assert refused.code == 2, refused
        assert "Every app would get other keys" in refused.err


def test_mistakes_of_the_settings_are_named(tmp_path):
    def mistakes(**said):
        sets = [f"--set={key.replace('__', '.')}={value}" for key, value in said.items()]
        done = attestry("config", "check", f"--set=server.data={tmp_path}/none", "--set=server.realm=simulated", *sets)
        assert done.code == 2, done
        return done.err

    assert "local or threshold" in mistakes(keys__source="simple")
    bare = mistakes(keys__source="threshold")
    for wanted in ("threshold.nodes", "threshold.master_public_key", "threshold.attestation"):
        assert wanted in bare
    assert "is for keys.source = threshold" in mistakes(threshold__nodes="10.0.0.1:9447,10.0.0.2:9447")
    wrong = mistakes(
        keys__source="threshold",
        threshold__nodes="nowhere,10.0.0.1:9447,10.0.0.1:9447",
        threshold__master_public_key="bls12381g2:abc",
        threshold__app="no:app",
        threshold__attestation="http://127.0.0.1:1",
    )
    for wanted in ("HOST:PORT", "each node once", "threshold.master_public_key", "threshold.app"):
        assert wanted in wrong
