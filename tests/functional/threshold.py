"""A threshold root for tests: nodes that are the real program, each with its own store, log and approvals, on machines of
one simulated vendor. docs/how-to/run-a-threshold-root.md, docs/formats/threshold.md"""

import contextlib
import json
import os
import pathlib
import time
from concurrent.futures import ThreadPoolExecutor

from harness import PATIENCE, Server, attestry
from operators import Operator
from ports import free_ports
from registry import rtmrs_of
from test_registry_authorities import registers_document
from workload import forge

NODES = "name:attestry-node"
APP = "name:payments"


class Cluster:
    """start(id) starts a node, or starts it again; all nodes must end well unless they were killed. With wires (wires.py) the
    nodes call each other through them."""

    def __init__(self, folder, wires=None):
        self.folder, self.wires = pathlib.Path(folder), wires
        self.seed_file = self.folder / "vendor.seed"
        self.vendor = os.urandom(16).hex() + "\n"
        self.seed_file.write_text(self.vendor)
        self.nodes, self.ports, self.addresses, self.operators = {}, {}, {}, {}
        self.lies = {}
        made = attestry("operator", "keygen", self.key_file)
        assert made.code == 0, made
        self.operator = made.out.strip()

    @property
    def key_file(self):
        return self.folder / "operator.key"

    def home(self, node):
        return self.folder / f"node-{node}"

    def init(self, node, *arguments, says=None):
        """says: the id, where that is not the name by which we know the node."""
        home = self.home(node)
        # A node that is started again must be where the others call it.
        fresh = node not in self.ports
        port = self.ports.setdefault(node, free_ports(1)[0])
        address = f"127.0.0.1:{port}"
        if fresh:
            self.addresses[node] = self.wires.make(node, port) if self.wires else address
        if self.wires:
            arguments = ("--address", self.addresses[node], *arguments)
        made = attestry(
            *(
                "node",
                "init",
                home,
                "--simulated",
                "--seed",
                self.seed_file,
                "--id",
                node if says is None else says,
                "--listen",
                address,
                "--operator",
                self.operator,
            ),
            *("--set", "log.level=info", *arguments),
        )
        assert made.code == 0, made

    def start(self, node, *arguments, says=None):
        fresh = not self.home(node).exists()
        if fresh:
            self.init(node, *arguments, says=says)
        server = self.begin(node)
        found = server.wait_for(r"^  server +(\S+), operators (\S+), metrics (\S+)/metrics")
        if self.wires:
            self.wires.processes[node] = server.process
        server.public, server.admin, server.metrics = found.groups()
        server.log_key = server.wait_for(r"^  log +(\S+)")[1]
        server.wait_for(r"^Serving until")
        if fresh:
            self.operators[node] = approve(server, NODES)
            approve(server, APP, self.operators[node])
        server.operator = self.operators[node]
        server.operator.server = server
        return server

    def begin(self, node):
        """The process alone: it may end before it serves."""
        lies = [f"--set=node.faults={self.lies[node]}"] if node in self.lies else []
        self.nodes[node] = Server(["node", "run", self.home(node), *lies], self.home(node) / "data")
        return self.nodes[node]

    def start_all(self, nodes, *arguments):
        with ThreadPoolExecutor(4) as several:
            list(several.map(lambda node: self.start(node, *arguments), nodes))

    def kill(self, *nodes):
        for node in nodes:
            self.nodes[node].process.kill()
        for node in nodes:
            self.nodes.pop(node).end()
            if self.wires:
                self.wires[node].cut()

    def turn(self, node, lies=None):
        """From now on it tells others these lies (node.faults), or none."""
        self.kill(node)
        self.lies = {**self.lies, node: lies} if lies else {one: what for one, what in self.lies.items() if one != node}
        return self.start(node)

    def command(self, node, *arguments):
        server = self.nodes[node]
        where = ("--server", server.admin, "--token-file", server.data / "admin.token")
        return attestry("node", *arguments, *where)

    def join(self, node, at):
        done = self.command(node, "join", self.addresses[at])
        assert done.code == 0, done

    def reshare(self, at, *arguments):
        return self.command(at, "reshare", "--key", self.key_file, *arguments)

    def status(self, node):
        reply = self.nodes[node].call("GET", "/v1/node")
        assert reply.status == 200, reply
        return reply.json()

    def derive(self, node, app=APP, *arguments):
        return attestry(
            *("node", "derive", "--server", self.nodes[node].public, "--master-key", self.master, "--app", app),
            *("--simulated-tee", self.home(node) / "data" / "forge.seed", "--format", "json", *arguments),
        )

    def key(self, node, app=APP, *arguments):
        """SHA-256 of what a workload that asks this node has for its key."""
        done = self.derive(node, app, *arguments)
        assert done.code == 0, done
        return json.loads(done.out)["key_sha256"]

    def keys(self, *nodes):
        """What these nodes say it is, or all that run."""
        nodes = nodes or sorted(self.nodes)
        with ThreadPoolExecutor(4) as several:
            return dict(zip(nodes, several.map(self.key, nodes), strict=True))

    def epochs(self):
        return {node: self.status(node)["epoch"] for node in sorted(self.nodes)}

    def until_all_are_in(self, epoch):
        until(lambda: set(self.epochs().values()) == {epoch}, self.epochs)
        holders = {node: self.status(node)["holds_share"] for node in self.nodes}
        assert set(holders.values()) == {True}, holders

    def meet(self, nodes, *arguments):
        first, *others = nodes
        self.start_all(nodes, *arguments)
        for node in others:
            self.join(node, first)

    def generate(self, threshold, nodes, *arguments):
        self.meet(nodes, *arguments)
        first = nodes[0]
        done = self.reshare(first, "--threshold", threshold, "--add", *nodes)
        assert done.code == 0, done
        self.master = self.status(first)["master_public_key"]

    def end(self):
        codes = {node: server.terminate() for node, server in self.nodes.items()}
        assert set(codes.values()) <= {0}, [(code, self.nodes[node].output) for node, code in codes.items() if code]


@contextlib.contextmanager
def cluster(folder, wires=None):
    made = Cluster(folder, wires)
    try:
        yield made
        made.end()
    finally:
        for server in made.nodes.values():
            server.kill()
        if wires:
            wires.end()


def approve(server, app, operator=None):
    """What the simulated vendor's machine runs may be this app."""
    operator = operator or Operator(server)
    operator.approve(app, "app.create", app)
    operator.approve(app, "policy.approve", operator.blob({"format": 1, "name": "software", "identities": []}))
    quote = forge(server.seed, bytes(64))
    operator.approve(app, "identity.approve", operator.blob(registers_document(rtmrs_of(quote), quote[184:232])))
    return operator


def until(look, what):
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end, what()
        time.sleep(0.05)
