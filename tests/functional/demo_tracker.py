#!/usr/bin/env python3
"""`make demo-tracker`: a BitTorrent tracker whose members earn their reputation with receipts, and keep it.

Two clients (libtorrent) exchange a file; who was given a piece signs for it, who gave it is credited. The tracker is
killed and loses nothing, writes what its members did on a chain (anvil), and a second tracker takes that over, which
pays for no receipt again. All is real but the TEE, which is simulated.

build/venv/bin/python tests/functional/demo_tracker.py [--folder FOLDER]

Each step says what happens, shows the command that one would type and what came out, and is checked: exit code 1, and
the reason, when anything is not as it should be. --folder keeps the files; else they are removed."""

import base64
import contextlib
import hashlib
import json
import os
import signal
import sys
import time

import libtorrent
from demo import Demo, main, require, say, show_command, show_output
from evm import Anvil
from harness import ROOT, start_dev
from torrent_clients import Client, torrent_file

from tracker import Tracker, unbencode

sys.path.insert(0, str(ROOT / "clients/python/pbts/src"))
from pbts import receipts

SUMS = ("user_id", "total_uploaded", "total_downloaded")
FILE, PIECE = 300_000, 16_384
TOKEN = "what the second tracker says to the first"


def b64(data):
    return base64.b64encode(data).decode()


class Member:
    """A name and a pair of BLS keys; the package for members makes and uses them."""

    def __init__(self, name):
        self.name, self.secret = name, receipts.generate_secret_key()
        self.key = receipts.public_key(self.secret)

    def registration(self, instance):
        signature = receipts.sign(self.secret, receipts.register_message(instance, self.name))
        return {"user_id": self.name, "public_key": b64(self.key), "signature": b64(signature)}


class TrackerDemo(Demo):
    def __init__(self, folder):
        super().__init__(folder)
        self.trackers, self.settings = {}, {}
        self.alice, self.bob = Member("alice"), Member("bob")

    # How the story is told

    def shorter(self, word):
        """Paths as from the demo's folder."""
        return str(word).replace(f"{self.folder}/", "")

    def start(self, name, **settings):
        """A tracker with what it was given before, and these settings."""
        self.settings.setdefault(name, {}).update(settings)
        sets = [f"--set=tracker.{key}={value}" for key, value in self.settings[name].items()]
        with contextlib.chdir(self.folder):
            server = start_dev(self.path(name), *sets)
        show_command(["attestry", *map(self.shorter, server.process.args[1:])], after=" &")
        self.cleanup.callback(self.end_server, server)
        self.trackers[name] = Tracker(server)
        return self.trackers[name]

    def ask(self, name, path, method="GET", admin=False, quiet=False, shown=(), **body):
        """A request to a tracker -> its answer, of which these members are shown."""
        tracker = self.trackers[name]
        words = ["curl", *(["-X", method] if method != "GET" else []), f"{tracker.url}{path}"]
        if admin:
            words += ["-H", "Authorization: Bearer …"]
        for key, value in body.items():
            words += ["-d", f"{key}={value if isinstance(value, str) and len(value) < 50 else '…'}"]
        if not quiet:
            show_command(words)
        headers = {"Authorization": f"Bearer {tracker.server.token}"} if admin else {}
        reply = tracker.call(method, path, body or None, headers)
        if not quiet:
            said = reply.json()
            show_output(f"{reply.status} {json.dumps({key: said[key] for key in shown} if shown else said)}")
        return reply

    def receipt(self, index, instance=None, receiver=None):
        """What bob, or another receiver, signs for a piece that alice gave; for one tracker only where that is named."""
        receiver = receiver or self.bob
        made = receipts.Receipt(
            infohash=self.torrent.info_hashes().v1.to_bytes(),
            sender_pk=self.alice.key,
            receiver_pk=receiver.key,
            piece_hash=self.torrent.hash_for_piece(index),
            piece_index=index,
            timestamp=int(time.time()),
            piece_size=self.torrent.piece_size(index),
            instance_id=instance,
        )
        return made.signed(receiver.secret).to_json()

    def report(self, name, those):
        shown = ("submitted_receipts", "verified_receipts", "total_uploaded")
        answer = self.ask(name, "/report", "POST", shown=shown, user_id="alice", receipts=those).json()
        return answer | {"reasons": {one["reason"] for one in answer["refused"]}}

    # The story

    def deploy(self):
        self.step("A chain of our own (anvil), and a factory of reputations, which governance watches over")
        self.chain = self.cleanup.enter_context(Anvil())
        owner, self.governance, self.one, self.two = self.chain.accounts[:4]
        for name, account in (("owner.key", owner), ("first.key", self.one), ("second.key", self.two)):
            self.path(name).touch(mode=0o600)
            self.path(name).write_text(account.key.hex() + "\n")
        deploy = ["tracker", "deploy", "--governance", self.governance.address, "--network", "local"]
        made = self.run(*deploy, "--rpc", self.chain.url, "--key", "owner.key", "--format", "json", quiet=True)
        self.factory = self.chain.contract("ReputationFactory", json.loads(made)["contract"])
        require(json.loads(made)["code_verified"], "its code on the chain is the one that this program was built with")

    def settings_of(self, key):
        return {
            "listen": "127.0.0.1:0",
            "plaintext": "true",
            "attestation": "simulated:vendor.seed",
            "network": "local",
            "rpc": self.chain.url,
            "max_head_age": 0,
            "factory": self.factory.address,
            "account": key,
            "known_torrents_only": "true",
        }

    def start_first(self):
        self.step("The first tracker, in a (simulated) TEE; it makes its reputation contract, with evidence of its TEE")
        self.path("vendor.seed").write_text(os.urandom(16).hex())
        self.start("first", **self.settings_of("first.key"))
        self.operator("first", "init")
        self.reputation = self.contract_of("first")
        require(self.reputation.call("owner") == self.one.address, "the contract belongs to the tracker's account")
        require(self.reputation.call("attestation") != bytes(32), "and has the SHA-256 of its evidence")

    def operator(self, name, *words, **how):
        """A command at a tracker, with its administrator's token where it writes."""
        flags = ["--server", self.trackers[name].url]
        if words[0] != "show":
            flags += ["--token-file", f"{name}/admin.token"]
        return self.run("tracker", "reputation", *words, *flags, **how)

    def contract_of(self, name):
        found = self.trackers[name].call("GET", "/contract/status").json()
        return self.chain.contract("Reputation", found["reputation_address"].lower())

    def registration(self, name, member):
        return self.trackers[name].registration(member)

    def register(self):
        self.step("Alice and Bob become members; each proves that the key is his own")
        for member in (self.alice, self.bob):
            reply = self.ask(
                "first", "/register", "POST", shown=("success", "message"), **self.registration("first", member)
            )
            member.passkey = reply.json()["passkey"]
        thief = {**self.registration("first", self.bob), "user_id": "mallory", "public_key": b64(self.thiefs_key())}
        require(
            self.ask("first", "/register", "POST", shown=("error",), **thief).status == 401,
            "a key without its secret is refused",
        )

    @staticmethod
    def thiefs_key():
        return receipts.public_key(receipts.generate_secret_key())

    def exchange(self):
        self.step("Alice's client seeds a file, Bob's finds it through the tracker and fetches it (libtorrent)")
        content = os.urandom(FILE)
        for folder in ("alice", "bob"):
            self.path(folder).mkdir()
        (self.path("alice") / "file").write_bytes(content)
        tracker = self.trackers["first"]
        raw = torrent_file(self.path("alice") / "file", f"{tracker.url}/announce", PIECE)
        self.raw, self.torrent = raw, libtorrent.torrent_info(raw)
        self.make_known("first")
        seeder = self.client(self.alice, seeds=True)
        seeder.heard("received peers: 0")
        leecher = self.client(self.bob, seeds=False)
        leecher.wait_for(lambda: leecher.handle.status().is_seeding)
        leecher.wait_for(lambda: (self.path("bob") / "file").read_bytes() == content)
        leecher.heard("sending announce (completed)")
        infohash = self.torrent.info_hashes().v1.to_bytes()
        scrape = "/scrape?info_hash=" + "".join(f"%{byte:02x}" for byte in infohash)
        leecher.wait_for(lambda: unbencode(tracker.call("GET", scrape).body)[b"files"][infohash][b"complete"] == 2)
        seeder.session.pause()
        leecher.session.pause()
        require(True, f"Bob has the {FILE:,} bytes of Alice's file, and the tracker counts two who have it")

    def make_known(self, name):
        tracker = self.trackers[name]
        url = f"{tracker.url}/torrents"
        show_command(["curl", "-H", "Authorization: Bearer …", "--data-binary", "@file.torrent", url])
        require(tracker.as_admin("POST", "/torrents", self.raw).status == 200, "the tracker knows the torrent's pieces")

    def client(self, member, seeds):
        """Which announces with the member's passkey."""
        announce = f"{self.trackers['first'].url}/{member.passkey}/announce"
        torrent = torrent_file(self.path("alice") / "file", announce, PIECE)
        return Client("127.0.0.1", libtorrent.torrent_info(torrent), self.path(member.name), seeds)

    def earn(self):
        self.step("Bob signs a receipt for each piece, Alice reports them: she is credited, he is debited")
        instance = self.ask("first", "/health", shown=("instance_id",)).json()["instance_id"]
        pieces = range(self.torrent.num_pieces())
        self.plain = [self.receipt(index) for index in pieces if index % 2 == 0]
        self.bound = [self.receipt(index, instance) for index in pieces if index % 2 == 1]
        say(
            f"{len(self.plain)} are in the form of the first generation, {len(self.bound)} name the tracker, the size "
            "and the receiver, too. One more is forged: Bob's signature of another piece."
        )
        forged = self.receipt(0) | {"piece_index": 1, "piece_hash": self.torrent.hash_for_piece(1).hex()}
        answer = self.report("first", [*self.plain, forged, *self.bound])
        require(answer["total_uploaded"] == FILE, f"the receipts are worth the file's {FILE:,} bytes, to the byte")
        require(answer["reasons"] == {"bad_signature"}, "the forged one is refused, and costs only itself")
        bob = self.ask("first", "/user/bob", shown=SUMS).json()
        require((bob["total_uploaded"], bob["total_downloaded"]) == (0, FILE), "Bob has downloaded as much")

    def crash(self):
        self.step("The tracker is killed (kill -9) and started again")
        server = self.trackers["first"].server
        show_command(["kill", "-9", server.process.pid])
        require(server.kill() == -signal.SIGKILL, "it is gone")
        self.start("first")
        require(self.ask("first", "/user/alice", shown=SUMS).json()["total_uploaded"] == FILE, "no credit is lost")
        answer = self.report("first", [*self.plain, *self.bound])
        require((answer["reasons"], answer["total_uploaded"]) == ({"spent"}, FILE), "and no receipt is paid for twice")

    def publish(self):
        self.step("The tracker writes what its members did on the chain")
        self.operator("first", "publish", "--least", "0")
        self.require_sums(self.reputation, "alice", (0, FILE))
        self.require_sums(self.reputation, "bob", (FILE, 0))
        leaves = [leaf["type"] for leaf in self.trackers["first"].server.leaves()]
        require(leaves.count("tracker.contract") == 3, "its log has a leaf for each of its three transactions")
        show_command(["curl", "-X", "POST", f"{self.trackers['first'].url}/contract/publish"])
        reply = self.trackers["first"].post("/contract/publish", {})
        require(reply.status == 401, "nobody but its operator may have it write")

    @staticmethod
    def require_sums(contract, name, sums):
        found = contract.call("getUserData", name)
        require(found[0] == name and found[3:] == sums, f"on the chain {name} has {sums[1]:,} up, {sums[0]:,} down")

    def start_second(self):
        self.step(
            "A second tracker, with an account of its own. The two share the record of receipts that were paid for"
        )
        self.start("second", **self.settings_of("second.key"))
        instance = self.ask("second", "/health", shown=("instance_id",)).json()["instance_id"]
        self.path("second.token").write_text(TOKEN + "\n")
        say("The first one lets it ask, the second one asks before it credits:")
        for name in ("second", "first"):
            require(self.trackers[name].server.terminate() == 0, f"the {name} one ends by itself, with exit code 0")
        claimer = f"{instance}:{hashlib.sha256(TOKEN.encode()).hexdigest()}"
        self.start("first", claimers=claimer)
        self.start("second", spent_at=self.trackers["first"].url, spent_token="second.token")

    def refuse_referrer(self):
        self.step(
            "It names the first one's contract as its referrer. As long as governance has not attested that, it may not"
        )
        init = ["init", "--referrer", self.reputation.address]
        self.operator("second", *init, code=1)
        require(
            self.contract_is_missing("second"), "refused, and nothing was sent: anybody could have made that contract"
        )
        say(
            "Governance appraises the quote in the event of the first one's creation, and writes down its hash: "
            "setAttested(first's account, hash)."
        )
        self.factory.send("setAttested", self.one.address, self.reputation.call("attestation"), sender=self.governance)
        self.operator("second", *init)
        self.successor = self.contract_of("second")
        referrer = self.successor.call("referrerReputation")
        require(referrer == self.reputation.address, "now the first one's contract is its referrer")

    def contract_is_missing(self, name):
        return self.trackers[name].call("GET", "/contract/status").json()["reputation_address"] is None

    def migrate(self):
        self.step("Alice moves to the second tracker: it takes her reputation over from the first one's contract")
        self.operator("second", "show", "alice", code=1)
        self.operator("second", "migrate", "alice")
        self.operator("second", "show", "alice")
        self.require_sums(self.successor, "alice", (0, FILE))

    def spend_again(self):
        self.step("Both register there, and Alice tries to have the same receipts paid for once more")
        for member in (self.alice, self.bob):
            self.ask("second", "/register", "POST", shown=("success", "message"), **self.registration("second", member))
        self.make_known("second")
        answer = self.report("second", self.plain)
        require(
            (answer["reasons"], answer["total_uploaded"]) == ({"spent"}, 0), "spent: the first one has paid for them"
        )
        answer = self.report("second", self.bound)
        require(answer["reasons"] == {"bad_signature"}, "those that name the first tracker are no receipts here")

    def earn_more(self):
        self.step("Carol is new there, and Alice gives her some pieces: that is added to what she brought along")
        carol = Member("carol")
        self.ask("second", "/register", "POST", shown=("success", "message"), **self.registration("second", carol))
        instance = self.ask("second", "/health", shown=("instance_id",)).json()["instance_id"]
        self.report("second", [self.receipt(index, instance, carol) for index in range(4)])
        self.operator("second", "publish", "--least", "0")
        self.require_sums(self.successor, "alice", (0, FILE + 4 * PIECE))
        self.require_sums(self.successor, "carol", (4 * PIECE, 0))
        shown = ("total_uploaded", "former_uploaded", "ratio")
        alice = self.ask("second", "/user/alice", shown=shown).json()
        require(
            (alice["total_uploaded"], alice["former_uploaded"]) == (4 * PIECE, FILE), "her ratio here counts both, once"
        )

    def lose_first(self):
        self.step("The first tracker is gone for good; what its members earned is not")
        show_command(["kill", "-9", self.trackers["first"].server.process.pid])
        require(self.trackers["first"].server.kill() == -signal.SIGKILL, "it is gone")
        self.operator("second", "migrate", "bob")
        self.operator("second", "show", "bob")
        self.require_sums(self.successor, "bob", (FILE, 0))

    def end(self):
        self.step("The end")
        show_command(["kill", self.trackers["second"].server.process.pid])
        require(self.trackers["second"].server.terminate() == 0, "the second one ends by itself, with exit code 0")

    STORY = (
        deploy,
        start_first,
        register,
        exchange,
        earn,
        crash,
        publish,
        start_second,
        refuse_referrer,
        migrate,
        spend_again,
        earn_more,
        lose_first,
        end,
    )


if __name__ == "__main__":
    sys.exit(main("demo-tracker", "A BitTorrent tracker with receipts, and a second one.", TrackerDemo))
