#!/usr/bin/env python3
"""`make demo-threshold`: a master key that no machine has, held by seven nodes and then by seven others.

A workload gets a key from them, two are killed, the key moves to the other seven, the first ones are gone for good, and
it is still the same key. All nodes are the real program, with a store and a log each; the TEE alone is simulated.

build/venv/bin/python tests/functional/demo_threshold.py [--folder FOLDER]

Each step says what happens, shows the command that one would type and what came out, and is checked: exit code 1, and
the reason, when anything is not as it should be. --folder keeps the files; else they are removed."""

import json
import sys

from demo import Demo, main, require, say, show_command
from threshold import APP, Cluster

FIRST, NEXT = range(7), range(7, 14)


class ThresholdDemo(Demo):
    def at(self, node):
        """The flags that say which node an operator speaks to."""
        server = self.cluster.nodes[node]
        token = str(server.data / "admin.token").replace(f"{self.folder}/", "")
        return ("--server", server.admin, "--token-file", token)

    def start(self, *nodes):
        for node in nodes:
            self.cluster.start(node)
            self.cleanup.callback(self.end_server, self.cluster.nodes[node])

    def key(self, node):
        words = ("node", "derive", "--server", self.cluster.nodes[node].public, "--master-key", self.cluster.master)
        tee = f"node-{node}/data/forge.seed"
        return json.loads(self.run(*words, "--app", APP, "--simulated-tee", tee, "--format", "json"))

    def prepare(self):
        self.step("An operator's key: its owner says who is in the cluster")
        self.cluster = Cluster(self.folder)
        show_command(["attestry", "operator", "keygen", "operator.key"])
        require(len(self.cluster.operator) == 64, f"its public key is {self.cluster.operator}")

    def start_seven(self):
        self.step("Seven nodes, each with a store, a log and approvals of its own")
        show_command(
            ["attestry", "node", "init", "node-0", "--simulated", "--id", 0, "--listen", "127.0.0.1:9447"]
            + ["--operator", self.cluster.operator]
        )
        show_command(["attestry", "node", "run", "node-0"], after=" &")
        self.start(*FIRST)
        say(
            "The same for nodes 1 to 6. At each one operators approve the measured software of nodes, and an app, "
            f"{APP}. Then the nodes call the first one; both ends of each session show their evidence."
        )
        for node in FIRST[1:]:
            words = ("node", "join", self.cluster.addresses[0], *self.at(node))
            if node == FIRST[1]:
                self.run(*words)
            else:
                self.finish(words)
        candidates = self.cluster.status(0)["candidates"]
        require([one["id"] for one in candidates] == list(FIRST[1:]), "node 0 knows the other six")

    def generate(self):
        self.step("They make a master key together: any four of the seven can derive, and no machine ever has it")
        ids = list(FIRST)
        self.run("node", "reshare", "--threshold", 4, "--add", *ids, "--key", "operator.key", *self.at(0))
        self.cluster.master = self.cluster.status(0)["master_public_key"]
        require(all(self.cluster.status(node)["holds_share"] for node in FIRST), "each of the seven holds one share")

    def derive(self):
        self.step("A workload has its key derived. Each node looks at the workload's evidence by itself")
        answer = self.key(0)
        self.first = answer["key_sha256"]
        require(len(answer["participants"]) == 4, f"nodes {answer['participants']} took part")
        require(answer["failing"] == [], "none of them failed; what they sent, only the workload can open")

    def kill_two(self):
        self.step("Two nodes die (kill -9)")
        show_command(["kill", "-9", "NODE-5", "NODE-6"])
        self.cluster.kill(5, 6)
        require(self.key(1)["key_sha256"] == self.first, "the other five derive the same key")
        self.run("node", "status", *self.at(0), most=20)

    def move(self):
        self.step("Seven other nodes join, and the key moves to them; two of the old ones are still dead")
        self.start(*NEXT)
        for node in NEXT:
            self.finish(("node", "join", self.cluster.addresses[0], *self.at(node)))
        words = ("node", "reshare", "--threshold", 4, "--add", *NEXT, "--remove", *FIRST, "--key", "operator.key")
        self.run(*words, *self.at(0))
        require(all(self.cluster.status(node)["holds_share"] for node in NEXT), "each new node holds one share")
        holding = [node for node in FIRST if node in self.cluster.nodes and self.cluster.status(node)["holds_share"]]
        require(holding == [], "the old ones have erased theirs: what is stolen from now on is worth nothing")

    def lose_the_first(self):
        self.step("The first seven are gone for good")
        show_command(["kill", "-9", *(f"NODE-{node}" for node in FIRST if node in self.cluster.nodes)])
        self.cluster.kill(*(node for node in FIRST if node in self.cluster.nodes))
        require(self.key(9)["key_sha256"] == self.first, "the new nodes derive the same key")

    def lose_quorum(self):
        self.step("Four of the new nodes die, too: one too many. That is said plainly, and is no refusal")
        self.cluster.kill(10, 11, 12, 13)
        self.run("node", "status", *self.at(7), most=20, code=3)
        words = ("node", "derive", "--server", self.cluster.nodes[7].public, "--master-key", self.cluster.master)
        self.run(*words, "--app", APP, "--simulated-tee", "node-7/data/forge.seed", code=3)
        self.start(10)
        require(self.key(7)["key_sha256"] == self.first, "one of them is back, and so is the key")

    STORY = (prepare, start_seven, generate, derive, kill_two, move, lose_the_first, lose_quorum)


if __name__ == "__main__":
    sys.exit(main("demo-threshold", __doc__.splitlines()[0], ThresholdDemo))
