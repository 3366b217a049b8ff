#!/usr/bin/env python3
"""`make demo-registry`: the registry from nothing to a configuration with a secret in it, then a crash and a recovery.
Everything is real but the TEE, which is simulated: a chain (anvil), our contracts on it, a file store and an IPFS node,
three admins of whom two are enough, and one workload.

build/venv/bin/python tests/functional/demo_registry.py [--folder FOLDER]

Each step says what happens, shows the command that one would type and what came out, and is checked: exit code 1, and
the reason, when anything is not as it should be. --folder keeps the files; else they are removed."""

import base64
import contextlib
import hashlib
import json
import signal
import sys

import registry
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from demo import Demo, Wrong, main, require, say, show_command, show_output
from evm import Anvil
from harness import Server, request
from ports import free_ports
from storage import IpfsNode

TEMPLATE = '{"listen": "0.0.0.0:443", "database": {"user": "web", "password": "__SECRET_REF_%s"}}\n'
PASSWORD = 'p$1w "quoted"'


class RegistryDemo(Demo):
    # The parts, in the order of the story

    def start_chain(self):
        self.step("A chain of our own (anvil), and the app's contract on it")
        self.chain = self.cleanup.enter_context(Anvil())
        self.owner, self.operator = self.chain.accounts[:2]
        for name, account in (("owner.key", self.owner), ("operator.key", self.operator)):
            self.path(name).touch(mode=0o600)
            self.path(name).write_text(account.key.hex() + "\n")
        self.environment |= {"ATTESTRY_RPC": self.chain.url, "ATTESTRY_CHAIN_ID": str(self.chain.chain_id)}
        print(f"      $ export ATTESTRY_RPC={self.chain.url} ATTESTRY_CHAIN_ID={self.chain.chain_id}")
        made = json.loads(self.run("registry", "deploy", "--key", "owner.key", "--format", "json", quiet=True))
        self.contract = made["contract"]
        self.environment["ATTESTRY_CONTRACT"] = self.contract
        require(made["code_verified"], f"the contract is {self.contract}, its code is the one that we compiled")
        print(f"      $ export ATTESTRY_CONTRACT={self.contract}")

    def make_admins(self):
        self.step("Three admins, of whom any two give the master key: a key pair each, and the file of admins")
        self.ports = free_ports(2)
        self.bootstrap = f"http://127.0.0.1:{self.ports[1]}"
        self.ceremony = ["admin", "--server", self.bootstrap, "ceremony", "--folder", "ceremony", "--yes"]
        self.run(*self.ceremony, code=3, quiet=True)
        admins = json.loads(self.path("ceremony/shamir-admins.json").read_text())["admins"]
        require(len(admins) == 3, "three admins are in ceremony/shamir-admins.json; it asks for a server now")

    def start_server(self):
        self.path("files").mkdir(exist_ok=True)
        settings = {
            "registry.listen": f"127.0.0.1:{self.ports[0]}",
            "registry.admin_listen": f"127.0.0.1:{self.ports[1]}",
            "registry.kms": "shamir",
            "registry.admins": "ceremony/shamir-admins.json",
            "registry.threshold": 2,
            "registry.contracts": self.contract,
            "registry.rpc": self.chain.url,
            "registry.chain_id": self.chain.chain_id,
            "registry.operator_signature": "v2",
            "registry.templates": "json",
            "registry.attestation": "simulated:data/forge.seed",
            "registry.storage_root": "files",
            # A development chain: it finalises nothing, stands still between transactions, and is on this machine.
            "registry.finality": "depth:0",
            "registry.max_head_age": 0,
            "registry.head_ms": 0,
            "registry.storage_private": "true",
        }
        words = ["dev", "--data", "data", "--any-port", *(f"--set={name}={value}" for name, value in settings.items())]
        show_command(["attestry", *words], after=" &")
        sys.stdout.flush()
        with contextlib.chdir(self.folder):
            self.server = Server(words, self.path("data"))
        self.cleanup.callback(self.end_server, self.server)
        self.url = self.server.wait_for(r"^  registry +(http\S+)$")[1]
        self.server.public = self.server.wait_for(r"^  log +(\S+)") and next(
            line.split()[1].rstrip(",") for line in self.server.lines if line.startswith("  server ")
        )
        self.server.wait_for(r"^Serving until")

    def split_master_key(self):
        self.step("The server starts, makes the master key, splits it, and every admin takes a share")
        self.start_server()
        require(self.pki().status == 503, "before there is a key, the server says so: 503")
        self.run(*self.ceremony, most=40)
        require(self.state() == "complete", "the server has its key")

    def state(self):
        return request(self.bootstrap, "GET", "/admin/status").json()["state"]

    def pki(self):
        return request(self.url, "GET", f"/api/public/pki/{registry.bare(self.contract)}")

    def publish(self):
        self.step("The owner verifies that a TD of ours holds the app's key, and puts its CA on the chain")
        quote = self.forge("registry-td")
        identity = {"name": "the registry", "claims": {"mrtd": [quote[48 + 136 : 48 + 136 + 48].hex()]}}
        self.path("registry-policy.json").write_text(
            json.dumps({"format": 1, "name": "registry", "identities": [identity]})
        )
        self.verify = ["--policy", "registry-policy.json", "--offline"]
        self.verify += ["--trust", "registry-td/root.pem", "--collateral", "registry-td/collateral.json"]
        self.run("registry", "publish-pki", "--server", self.url, *self.verify, "--key", "owner.key", most=1)
        self.ca_pem = base64.b64decode(self.pki().json()["ca_cert"])
        on_chain = self.chain.contract("Registry", self.contract).call("PKI")
        require(on_chain[0] == self.ca_pem, "the chain has the CA that the server has")

    def forge(self, name, report_data=None):
        """Evidence of the simulated TEE."""
        words = ["--out", name]
        shown = [*words, "--report-data", '"$REPORT_DATA"'] if report_data else words
        show_command(shown, before="attestry forge --seed-file data/forge.seed ")
        words += ["--report-data", report_data] if report_data else []
        self.finish(["forge", "--seed-file", "data/forge.seed", *words])
        return self.path(f"{name}/quote.bin").read_bytes()

    def store_configuration(self):
        self.step("A secret sealed for the app's key, and a template that refers to it, on two kinds of storage")
        self.ipfs = IpfsNode()
        self.cleanup.callback(self.ipfs.stop)
        self.files = self.path(f"files/default/{registry.bare(self.contract)}/store")
        self.stores = ["--store", f"file://./{self.files.relative_to(self.folder)}/", "--store", self.ipfs.uri]
        self.stores += ["--app", f"evm:{self.chain.chain_id}:{self.contract.lower()}"]
        self.path("password.txt").write_text(PASSWORD)
        sealed = ["secret", "seal", "password.txt", "--app", self.contract, "--server", self.url, "--content", "sealed"]
        reference = self.run(*sealed, *self.verify).strip()
        secret = reference.removeprefix("__SECRET_REF_")
        require(PASSWORD.encode() not in self.path(f"sealed/secrets/{secret}").read_bytes(), "it cannot be read")
        self.path("app.json").write_text(TEMPLATE % secret)
        self.run("blob", "put", f"sealed/secrets/{secret}", "--type", "secret", *self.stores)
        self.config = self.run("blob", "put", "app.json", *self.stores).strip()
        say("Both are named by their SHA-256, so no storage can pass off anything else.")

    def new_workload(self, name):
        """A TD with a fresh key: what the report must carry, the quote, and the request that holds it."""
        folder = self.path(name)
        folder.mkdir()
        csr = ["registry", "csr", "--operator-key", "operator.key", "--out", f"{name}/csr.pem"]
        first = [*csr, "--key-out", f"{name}/key.pem"]
        show_command(["attestry", *first], before="REPORT_DATA=$(", after=")")
        self.forge(f"{name}/evidence", self.finish(first).stdout.strip())
        self.path(f"{name}/csr.pem").unlink()
        self.run(*csr, "--tls-key", f"{name}/key.pem", "--evidence-extension", f"{name}/evidence/quote.bin", quiet=True)

    def prepare_workload(self):
        self.step("A workload in a TD makes a key, and has its TEE vouch for that key")
        self.new_workload("td")
        identity = ["registry", "identity", "td/evidence/quote.bin", "--format", "json", "--offline"]
        identity += ["--trust", "td/evidence/root.pem", "--collateral", "td/evidence/collateral.json"]
        self.identity = json.loads(self.run(*identity, quiet=True))["extended"]
        require(len(self.identity) == 64, f"it is known by {self.identity}")

    def register(self, name):
        """The request that an instance sends -> its answer."""
        url = f"{self.url}/api/attested/register/{registry.bare(self.contract)}"
        show_command(["curl", "--data-binary", f"@{name}/csr.pem", url])
        csr = self.path(f"{name}/csr.pem").read_bytes()
        path = f"/api/attested/register/{registry.bare(self.contract)}"
        reply = request(self.url, "POST", path, csr, {"Content-Type": "application/octet-stream"})
        show_output(f"{reply.status} " + ("key, certificate, configuration" if reply.status == 200 else reply.text))
        return reply

    def refuse_first(self):
        self.step("Its operator may start workloads, but nobody has allowed this one yet: it gets nothing")
        self.run("registry", "grant", "operator", self.operator.address, "--key", "owner.key", most=1)
        reply = self.register("td")
        require(reply.status == 403 and "identity not allowed" in reply.text, "refused: the contract does not know it")

    def allow(self):
        self.step("The owner says on the chain what may run, with which configuration, and where that is kept")
        key = ["--key", "owner.key"]
        self.run("registry", "storage", "add", "file://./store/", "--relative", *key, most=1)
        self.run("registry", "storage", "add", self.ipfs.uri, *key, most=1)
        self.run("registry", "allow", self.identity, "--config", self.config, *key, most=1)

    def damage_storage(self):
        self.step("Somebody changes the template in the first of the two storages")
        [found] = [path for path in self.files.rglob(self.config) if path.is_file()]
        found.write_bytes(found.read_bytes().replace(b"web", b"thief"))
        print(f"      $ cd {found.parent.relative_to(self.folder)}")
        print(f"      $ sed -i s/web/thief/ {self.config}")
        print("      $ cd -")
        self.run("blob", "scrub", "--id", self.config, *self.stores, code=1)

    def check_release(self, reply, name):
        if reply.status != 200:
            raise Wrong(f"{name} was refused: {reply.status} {reply.text}")
        released = registry.Released(reply)
        key = serialization.load_pem_private_key(self.path(f"{name}/key.pem").read_bytes(), None)
        require(released.certificate.public_key() == key.public_key(), "a certificate for the key of the request")
        released.certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(self.ca_pem))
        require(True, "issued by the CA that is on the chain")
        expected = {"listen": "0.0.0.0:443", "database": {"user": "web", "password": PASSWORD}}
        require(
            json.loads(released.config) == expected,
            f"the configuration, with the secret: {released.config.decode().strip()}",
        )
        return released

    def release(self):
        self.step("Now it gets its certificate, the app's key, and the configuration with the secret in it")
        self.new_workload("td-allowed")
        self.first = self.check_release(self.register("td-allowed"), "td-allowed")
        self.key_hash = hashlib.sha256(self.first.key_pem).hexdigest()
        say(f"The app's key has the SHA-256 {self.key_hash}. The damaged storage was noticed and passed over.")
        self.run("blob", "repair", "--id", self.config, *self.stores)
        self.run("blob", "scrub", "--id", self.config, *self.stores)

    def crash(self):
        self.step("The server is killed. It comes back without the master key, which was in memory only")
        print(f"      $ kill -9 {self.server.process.pid}")
        code = self.server.kill()
        require(code == -signal.SIGKILL, "it is gone")
        self.start_server()
        require(self.state() == "initial", "its state is initial: it waits for admins")
        require(self.pki().status == 503, "until then nobody gets anything: 503")

    def recover(self):
        self.step("Two of the three admins bring their shares")

        def admin(number, command, *more):
            folder = f"ceremony/admin-{number}"
            files = ["--admin-privkey-file", f"{folder}/admin-private.pem"]
            files += ["--admin-pubkey-file", f"{folder}/admin-public.pem"]
            files += ["--shamir-share-file", f"{folder}/shamir-share.json"]
            self.run("admin", command, "--server", self.bootstrap, *files, *more)

        admin(1, "init-recovery")
        say("Each has the server prove first that it is the registry's TD, so that no other program gets a share.")
        admin(1, "submit-share", *self.verify)
        require(self.state() == "recovering", "one share is not enough")
        admin(3, "submit-share", *self.verify)
        require(self.state() == "complete", "two are: the server has its key again")

    def release_again(self):
        self.step("The same registration again: another key and quote of the same TD, and the same app key")
        require(self.register("td-allowed").status == 409, "a quote counts once, also over a crash: 409")
        self.new_workload("td-again")
        released = self.check_release(self.register("td-again"), "td-again")
        require(released.key_pem == self.first.key_pem, f"the app's key is the same: {self.key_hash}")

    def take_back(self):
        self.step("The owner takes the identity back, and the next request is refused")
        self.run("registry", "disallow", self.identity, "--key", "owner.key", most=1)
        self.new_workload("td-late")
        reply = self.register("td-late")
        require(reply.status == 403 and "identity not allowed" in reply.text, "refused")
        leaves = [leaf for leaf in self.server.leaves() if leaf["type"] == "release.registry"]
        require(len(leaves) == 2, "the server's log has the two releases, and nobody can take them out of it")

    def end(self):
        self.step("The end")
        show_command(["kill", self.server.process.pid])
        require(self.server.terminate() == 0, "the server ends by itself, with exit code 0")

    STORY = (
        start_chain,
        make_admins,
        split_master_key,
        publish,
        store_configuration,
        prepare_workload,
        refuse_first,
        allow,
        damage_storage,
        release,
        crash,
        recover,
        release_again,
        take_back,
        end,
    )


if __name__ == "__main__":
    sys.exit(main("demo-registry", "A registry from bootstrap to recovery, step by step.", RegistryDemo))
