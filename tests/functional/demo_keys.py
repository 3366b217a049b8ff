#!/usr/bin/env python3
"""`make demo-keys`: keys for workloads, in the two ways in which others ask for them. A key manager on a chain (anvil):
its contract, its first server, a workload whose signature a contract verifies, a second server that joins, an audit of
all that from the chain alone. Then a keystore: an owner's secret with a condition, a worker without evidence, one with
it, a crash. Everything is real but the TEE, which is simulated, and the NEAR network, for which three nodes of the
tests stand in.

build/venv/bin/python tests/functional/demo_keys.py [--folder FOLDER]

Each step says what happens, shows the command that one would type and what came out, and is checked: exit code 1, and
the reason, when anything is not as it should be. --folder keeps the files; else they are removed."""

import base64
import contextlib
import json
import os
import signal
import sys

import keystore
import near
from demo import Demo, Wrong, main, require, say, show_command, show_output
from evm import Anvil
from harness import request
from key_managers import JSON, identity_policy, quote_facts, start_manager, unhex, wait_for_state

APP_DATA = (bytes(31) + b"\x2a").hex()
OWNER, REPO = "alice.testnet", "github.com/alice/project"


class KeysDemo(Demo):
    def __init__(self, folder):
        super().__init__(folder)
        self.servers = {}

    def get(self, url, path, method="GET", **body):
        """A request as a workload or the host sends it -> its answer."""
        words = ["curl", *(["-X", method] if method != "GET" else []), f"{url}{path}"]
        for name in body:
            words += ["-d", f"{name}=…"]
        show_command(words)
        reply = request(url, method, path, body or None, JSON)
        text = reply.text if len(reply.text) < 300 else f"{reply.text[:160]}… ({len(reply.text)} characters)"
        show_output(f"{reply.status} {text}")
        return reply

    # The key manager

    def start_chain(self):
        self.step("A chain of our own (anvil), and a key manager's contract on it")
        self.chain = self.cleanup.enter_context(Anvil())
        self.owner, self.payer = self.chain.accounts[:2]
        for name, account in (("owner.key", self.owner), ("payer.key", self.payer)):
            self.path(name).touch(mode=0o600)
            self.path(name).write_text(account.key.hex() + "\n")
        self.environment |= {"ATTESTRY_RPC": self.chain.url, "ATTESTRY_CHAIN_ID": str(self.chain.chain_id)}
        print(f"      $ export ATTESTRY_RPC={self.chain.url} ATTESTRY_CHAIN_ID={self.chain.chain_id}")
        made = json.loads(self.run("keymanager", "deploy", "--key", "owner.key", "--format", "json", quiet=True))
        self.contract = self.chain.contract("KeyManager", made["contract"])
        self.environment["ATTESTRY_CONTRACT"] = self.contract.address
        require(made["code_verified"], f"the contract is {self.contract.address}, its code is the one that we compiled")
        print(f"      $ export ATTESTRY_CONTRACT={self.contract.address}")

    def start(self, name):
        """A server on a machine of one simulated vendor, in front of workloads that are known by their address."""
        folder = self.path(name)
        if not folder.exists():
            folder.mkdir()
            (folder / "forge.seed").write_text(self.seed)
        with contextlib.chdir(self.folder):
            server = start_manager(
                folder,
                self.chain,
                self.contract,
                **{"keymanager.policy": self.policy, "keymanager.sources": "127.0.0.1=web"},
            )
        show_command(["attestry", *map(self.shorter, server.process.args[1:])], after=" &")
        self.cleanup.callback(self.end_server, server)
        self.servers[name] = server
        return server

    def shorter(self, word):
        """Paths as from the demo's folder."""
        return str(word).replace(f"{self.folder}/", "")

    def start_first(self):
        self.step("The first server starts. Before it is a member, it gives nobody anything")
        self.seed = os.urandom(16).hex() + "\n"
        self.policy = identity_policy(self.folder, self.seed)
        first = self.start("first")
        require(self.get(first.apps, "/sealkey").status == 503, "no key yet: 503")

    def bootstrap(self):
        self.step(
            "Its host has it make the master key, with evidence for it. The contract's owner lists what may hold it"
        )
        first = self.servers["first"]
        self.made = self.get(first.host, "/bootstrap", "POST").json()
        quote = unhex(self.made["quote"])
        self.path("first.quote").write_bytes(quote)
        fmspc, _ = quote_facts(first, quote)
        self.run("keymanager", "allow", "mrtd", quote[184:232].hex(), "--key", "owner.key", most=1)
        self.run("keymanager", "allow", "tcb", fmspc[:6].hex(), "--key", "owner.key", most=1)
        say("What is on the lists when a key comes into force is what an audit looks at. Then the key:")
        self.run(
            "keymanager", "bootstrap", self.made["addr"], "--evidence", "first.quote", "--key", "owner.key", most=1
        )
        wait_for_state(first, "member")
        require(self.contract.call("xPub") == self.made["addr"].lower(), "the contract's xPub is its key")

    def give_keys(self):
        self.step("A workload asks for its key, and for a signature that contracts verify")
        first = self.servers["first"]
        self.key = self.get(first.apps, "/sealkey").json()
        require(self.get(first.host, "/sealkey").status == 404, "the host does not have that route")
        signed = self.get(first.apps, f"/attest/{APP_DATA}?purpose=tls").json()
        said = ("web", unhex(APP_DATA), unhex(signed["sig_vrs"]))
        require(self.contract.call("verifyAttestation", *said) is True, 'verifyAttestation("web", …) says yes')
        require(
            self.contract.call("verifyAttestation", "other", *said[1:]) is False,
            "for another workload's name it says no",
        )
        leaves = [leaf["type"] for leaf in first.leaves() if leaf["type"].startswith("keymanager.")]
        require(len(leaves) == 3, f"the log has a leaf for each: {', '.join(leaves)}")

    def refuse_newcomer(self):
        self.step("A second server asks to join. As long as the contract knows of no request, nobody helps it")
        second = self.start("second")
        newcomer = self.get(second.host, f"/register?payer={self.payer.address}", "POST").json()
        self.newcomer = newcomer
        self.path("second.quote").write_bytes(unhex(newcomer["quote"]))
        reply = self.help_it()
        require(reply.status in (403, 409), "the first server has verified its quote, read the contract, and refused")

    def help_it(self):
        body = {"pubk": self.newcomer["pubk"], "quote": self.newcomer["quote"]}
        return self.get(self.servers["first"].host, f"/helper/{self.newcomer['addr']}", "POST", **body)

    def let_in(self):
        self.step("Its request goes on the chain, with its evidence: now it gets the master key, sealed to it")
        second, newcomer = self.servers["second"], self.newcomer
        join = ["keymanager", "join", newcomer["addr"], "--box-key", newcomer["pubk"], "--signature", newcomer["sig"]]
        self.run(*join, "--evidence", "second.quote", "--key", "payer.key", most=1)
        reply = self.help_it()
        if reply.status != 200:
            raise Wrong(f"it was refused: {reply.status} {reply.text}")
        answer = reply.json()
        onboard = ["keymanager", "onboard", self.newcomer["addr"], "--fmspc", answer["fmspc"]]
        onboard += ["--measurement", answer["mrtd"], "--response", answer["ciph"], "--signature", answer["sig"]]
        self.run(*onboard, "--key", "payer.key", most=1)
        self.get(second.host, f"/register/{answer['ciph']}", "POST")
        wait_for_state(second, "member")
        require(self.get(second.apps, "/sealkey").json()["key"] == self.key["key"], "both give the workload one key")

    def restart(self):
        self.step("The first server is killed, and comes back with what it had")
        first = self.servers["first"]
        print(f"      $ kill -9 {first.process.pid}")
        require(first.kill() == -signal.SIGKILL, "it is gone")
        first = self.start("first")
        wait_for_state(first, "member")
        require(self.get(first.apps, "/sealkey").json()["key"] == self.key["key"], "the same key")

    def audit(self):
        self.step("Anybody audits from the chain alone how each member came to the master key; and again offline")
        folder = self.path("first-forge")
        self.finish(["forge", "--seed-file", "first/forge.seed", "--report-data", "00" * 64, "--out", "first-forge"])
        trust = ["--trust", f"{folder.name}/root.pem", "--collateral", f"{folder.name}/collateral.json"]
        trust += ["--policy", self.shorter(self.policy)]
        online = self.run("keymanager", "audit", self.contract.address, *trust, "--save", "history", most=30)
        offline = self.run("keymanager", "audit", "--offline", "history", *trust, quiet=True)
        require(offline == online, "the saved history says the same, without a network")

    def end_managers(self):
        self.step("The key managers end")
        for name, server in self.servers.items():
            require(server.terminate() == 0, f"the {name} server ends by itself, with exit code 0")

    # The keystore

    def start_keystore(self):
        self.step("A keystore, which believes two of three nodes of a NEAR network (nodes of the tests stand in)")
        self.near = near.Chain()
        self.nodes = self.cleanup.enter_context(near.nodes(self.near, 3))
        self.run_keystore()
        health = self.get(self.server.keystore, "/health")
        require(health.status == 200, "it is there")

    def run_keystore(self):
        with contextlib.chdir(self.folder):
            self.server = keystore.start_keystore(self.path("keystore"), self.near, self.nodes)
        show_command(["attestry", *map(self.shorter, self.server.process.args[1:])], after=" &")
        self.cleanup.callback(self.end_server, self.server)

    def store_secret(self):
        self.step("An owner encrypts variables for her program and stores them in the contract, for two accounts only")
        self.path("secrets.json").write_text('{"API_KEY": "sk-live-1"}\n')
        words = ["secret", "encrypt", "secrets.json", "--repo", "https://github.com/alice/project.git"]
        words += ["--owner", OWNER, "--keystore", self.server.keystore]
        blob = self.run(*words).strip()
        require(b"sk-live" not in base64.b64decode(blob), "nobody can read it who sees the chain")
        access = {"Whitelist": {"accounts": ["bob.testnet", "carol.testnet"]}}
        self.near.store({"Repo": {"repo": REPO, "branch": None}}, "default", OWNER, base64.b64decode(blob), access)
        say(f"store_secrets(…, access = {json.dumps(access)})")

    def refuse_worker(self):
        self.step("A worker that has the token and a registered key, but shows no evidence, gets no session")
        self.worker = keystore.Worker(self.server, self.near)
        reply = self.worker.register(kind=None)
        show_output(f"POST /register-tee -> {reply.status} {reply.text}")
        require(reply.status != 200, "refused")

    def ask(self, user):
        accessor = {"type": "Repo", "repo": REPO, "branch": None}
        reply, plain = self.worker.decrypt(accessor, "default", OWNER, user=user)
        show_output(f"POST /decrypt for {user} -> {reply.status} {reply.text}")
        return reply, plain

    def decrypt(self):
        self.step(
            "With evidence of its TD over challenge and keys it has a session, and what it asks for is sealed to it"
        )
        reply = self.worker.register()
        show_output(f"POST /register-tee -> {reply.status}")
        require(reply.status == 200, "a session, bound to its key")
        reply, plain = self.ask("bob.testnet")
        require(reply.status == 200 and json.loads(plain) == {"API_KEY": "sk-live-1"}, "bob's program has its variable")
        require("sk-live" not in reply.text and "plaintext_secrets" not in reply.json(), "only the worker can open it")
        reply, _ = self.ask("mallory.testnet")
        require(reply.status == 401, "mallory is not on the list: Access denied by access condition")

    def crash_keystore(self):
        self.step("The keystore is killed; the worker's session is still good afterwards, and the log complete")
        print(f"      $ kill -9 {self.server.process.pid}")
        require(self.server.kill() == -signal.SIGKILL, "it is gone")
        self.run_keystore()
        self.worker.server = self.server
        reply, plain = self.ask("carol.testnet")
        require(reply.status == 200 and json.loads(plain) == {"API_KEY": "sk-live-1"}, "the same secret")
        leaves = [leaf["type"] for leaf in self.server.leaves() if leaf["type"].startswith("keystore.decrypt")]
        require(len(leaves) == 2, "the log has a leaf for each decryption, and nobody can take one out of it")

    def end_keystore(self):
        self.step("The end")
        show_command(["kill", self.server.process.pid])
        require(self.server.terminate() == 0, "the keystore ends by itself, with exit code 0")

    STORY = (
        start_chain,
        start_first,
        bootstrap,
        give_keys,
        refuse_newcomer,
        let_in,
        restart,
        audit,
        end_managers,
        start_keystore,
        store_secret,
        refuse_worker,
        decrypt,
        crash_keystore,
        end_keystore,
    )


if __name__ == "__main__":
    sys.exit(main("demo-keys", "Keys for workloads: a key manager on a chain, and a keystore.", KeysDemo))
