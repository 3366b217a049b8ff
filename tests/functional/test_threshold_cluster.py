"""Nodes that derive keys together, none of which has the key: a life of a cluster, by its commands."""

import http.server
import json
import threading

import pytest
from harness import attestry
from threshold import cluster, until


@pytest.fixture
def seven(tmp_path):
    with cluster(tmp_path) as made:
        made.generate(4, range(7))
        yield made


def test_a_key_stays_through_kills_and_resharing(seven):
    first = seven.key(0)
    assert seven.key(3) == first, "whichever node is asked"
    seven.kill(5, 6)
    assert seven.key(0) == first, "with two of seven gone"
    done = seven.reshare(0, "--remove", "5", "6", "--threshold", "3")
    assert done.code == 0, done
    assert seven.key(1) == first, "with other members and another threshold"
    assert {node: seven.status(node)["epoch"] for node in seven.nodes} == dict.fromkeys(range(5), 2)
    seven.kill(2, 3)
    assert seven.key(4) == first


def test_a_node_that_says_anothers_id_is_not_added_unseen(tmp_path):
    with cluster(tmp_path) as made:
        for node in (0, 1, 2):
            made.start(node)
        made.start("stranger", says=2)
        for node in (1, 2, "stranger"):
            made.join(node, 0)
        refused = made.reshare(0, "--threshold", 2, "--add", "0", "1", "2")
        assert refused.code == 1 and "several nodes say that they are node 2" in refused.err, refused
        key = made.status(2)["signing_key"]
        done = made.reshare(0, "--threshold", 2, "--add", "0", "1", f"2={key}")
        assert done.code == 0 and f"new       node 2  {key}" in done.err, done
        assert made.status(2)["holds_share"] and not made.status("stranger")["holds_share"]
        refused = made.reshare(0, "--add", "2")
        assert refused.code == 1 and "has another key than the member with that id" in refused.err, refused
        stranger = made.status("stranger")["signing_key"]
        assert stranger in refused.err and made.status(0)["epoch"] == 1
        done = made.reshare(0, "--add", f"2={stranger}", "--out", tmp_path / "proposal.json")
        assert done.code == 0 and f"NEW KEY   node 2  {stranger}" in done.err, done


def test_who_joined_is_known_again_whoever_is_started_anew(tmp_path):
    with cluster(tmp_path) as made:
        made.meet((0, 1, 2))

        def candidates():
            return sorted(one["id"] for one in made.status(0)["candidates"])

        assert candidates() == [1, 2]
        made.kill(0, 2)
        made.start(0)
        until(lambda: candidates() == [1], candidates)
        made.start(2)
        until(lambda: candidates() == [1, 2], candidates)
        done = made.reshare(0, "--threshold", 2, "--add", "0", "1", "2")
        assert done.code == 0, done


def test_new_shares_for_the_same_nodes_and_one_that_retires(seven):
    first = seven.key(0)
    outcome = seven.status(0)["outcome"]
    done = seven.reshare(0)
    assert done.code == 0 and done.err.count("as before") == 7, done
    assert seven.status(6)["epoch"] == 2 and seven.status(6)["outcome"] != outcome
    done = seven.command(0, "retire", "6", "--key", seven.key_file)
    assert done.code == 0 and "goes      node 6" in done.err, done
    assert seven.status(6)["epoch"] == 3 and not seven.status(6)["holds_share"]
    assert seven.key(1) == first
    assert [leaf["epoch"] for leaf in seven.nodes[6].leaves() if leaf["type"] == "threshold.epoch"] == [1, 2, 3]


def test_nodes_that_join_after_the_operators_have_changed(tmp_path):
    with cluster(tmp_path) as made:
        made.generate(2, (0, 1))
        first = made.key(0)
        theirs, others = made.operator, tmp_path / "others.key"
        made.operator = attestry("operator", "keygen", others).out.strip()

        def changed(node):
            assert made.nodes.pop(node).terminate() == 0
            settings = made.home(node) / "node.toml"
            settings.write_text(settings.read_text().replace(theirs, made.operator))
            made.start(node)

        changed(0)
        # None of the new operators' keys has signed the epoch in force: that its members are these they have to say.
        unsigned = made.command(0, "reshare", "--key", others, "--format", "json")
        assert (unsigned.code, unsigned.out) == (1, "") and "--compared" in unsigned.err, unsigned
        assert f"signatures of {theirs}" in unsigned.err and "nothing was sent" in unsigned.err, unsigned
        assert f"UNSIGNED  node 1  {made.status(1)['signing_key']}" in unsigned.err, unsigned
        refused = made.command(0, "reshare", "--key", others, "--compared")
        assert refused.code == 1 and "see to what they refuse" in refused.err, f"node 1 has those of before: {refused}"
        changed(1)
        made.start(2)
        refused = made.command(2, "join", made.addresses[0])
        assert refused.code == 1 and "When node.operators has changed since" in refused.err, refused
        assert made.status(2)["epoch"] == 0, "what only those of before have approved it does not believe"
        past = made.reshare(0)
        assert past.code == 2 and "do not count" in past.err, past
        for arguments in (("--compared",), ("--add", "2")):
            done = made.command(0, "reshare", "--key", others, *arguments)
            assert done.code == 0, done
            made.join(2, 0)
        assert made.status(2)["holds_share"] and made.key(2) == first


def test_two_operators_sign_one_proposal(tmp_path):
    with cluster(tmp_path) as made:
        other = tmp_path / "other.key"
        keygen = attestry("operator", "keygen", other)
        assert keygen.code == 0, keygen
        for node in (0, 1, 2):
            made.start(node, "--operator", keygen.out.strip(), "--operators-needed", "2")
        for node in (1, 2):
            made.join(node, 0)
        wanted = ("--threshold", "2", "--add", "0", "1", "2")
        alone = made.reshare(0, *wanted)
        assert alone.code == 2 and "signatures of operators" in alone.err, alone
        proposal = tmp_path / "proposal.json"
        done = made.reshare(0, *wanted, "--out", proposal)
        assert done.code == 0 and "1 of 2 signatures" in done.err, done
        assert made.status(0)["epoch"] == 0, "nothing is changed by a proposal"
        changed = json.loads(proposal.read_text()) | {"threshold": 3}
        (tmp_path / "changed.json").write_text(json.dumps(changed))
        refused = made.command(0, "reshare", "--from", tmp_path / "changed.json", "--key", other)
        assert refused.code == 2 and "do not count" in refused.err, f"it is another plan that was signed: {refused}"
        assert made.status(0)["epoch"] == 0
        done = made.command(0, "reshare", "--from", proposal, "--key", other)
        assert done.code == 0 and made.status(2)["holds_share"], done
        # Whose members are as before is said by the epoch that the node shows: this one follows another.
        later = json.loads(proposal.read_text()) | {"epoch": 2, "previous": "ab" * 32}
        (tmp_path / "later.json").write_text(json.dumps(later))
        refused = made.command(
            0, "reshare", "--from", tmp_path / "later.json", "--key", other, "--out", tmp_path / "signed.json"
        )
        assert refused.code == 1 and "was not signed" in refused.err and "ab" * 32 in refused.err, refused
        assert "as before" not in refused.err and not (tmp_path / "signed.json").exists(), refused
        # Who sends what others have signed has signed the epoch before, or says that he has compared its members.
        again = tmp_path / "again.json"
        both = ("--key", made.key_file, "--key", other)
        assert made.command(0, "reshare", *both, "--out", again).code == 0
        refused = made.command(0, "reshare", "--from", again)
        assert refused.code == 1 and "none was given" in refused.err and made.status(0)["epoch"] == 1, refused
        done = made.command(0, "reshare", "--from", again, "--key", other)
        assert done.code == 0 and done.err.count("as before") == 3 and made.status(0)["epoch"] == 2, done
        assert made.reshare(0, "--out", again).code == 0
        done = made.command(0, "reshare", "--from", again, "--key", other)
        assert done.code == 0 and made.status(0)["epoch"] == 3, done


class Forger(http.server.ThreadingHTTPServer):
    """Answers the operators' listener of a node, as whoever sits at it may: what `change` makes of what the node says."""

    def __init__(self, node):
        forger = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                said = node.call("GET", self.path).json()
                body = json.dumps(forger.change(said)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                forger.sent.append(self.path)
                self.send_error(503)

        super().__init__(("127.0.0.1", 0), Handler)
        self.change, self.sent = dict, []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()


def test_what_operators_sign_is_marked_by_their_own_keys(tmp_path):
    """Not by what the node says that asks for it, or whoever answers at its operators' listener."""
    folders = [tmp_path / "mine", tmp_path / "others"]
    for folder in folders:
        folder.mkdir()
    with cluster(folders[0]) as made, cluster(folders[1]) as others:
        made.generate(2, (0, 1))
        others.generate(2, (0, 1))
        proposal = tmp_path / "proposal.json"

        def seen(url, *arguments):
            token = made.nodes[0].data / "admin.token"
            return attestry("node", "reshare", "--server", url, "--token-file", token, "--out", proposal, *arguments)

        key = ("--key", made.key_file)
        done = seen(made.nodes[0].admin, *key)
        assert done.code == 0 and "epoch 1, in force, is signed by you" in done.err, done
        assert done.err.count("as before") == 2, done
        forger = Forger(made.nodes[0])
        with forger:
            theirs = others.status(0)
            # Other members with the same ids, of a cluster that really is one.
            forger.change = lambda said: {**said, "members": theirs["members"]}
            done = seen(forger.url, *key)
            assert done.code == 0 and theirs["members"][1]["signing_key"] not in done.err, done
            forger.change = lambda said: {**said, "certified_epoch": theirs["certified_epoch"]}
            done = seen(forger.url, *key)
            assert done.code == 0 and "is NOT signed by any key you gave" in done.err, done
            assert theirs["members"][1]["signing_key"] in done.err and "as before" not in done.err, done
            # So the members of somebody else's cluster would have the next epoch.
            where = ("--server", forger.url, "--token-file", made.nodes[0].data / "admin.token", *key)
            for command in (("reshare",), ("reshare", "--from", proposal)):
                done = attestry("node", *command, *where)
                assert done.code == 1 and "--compared" in done.err and forger.sent == [], done
                assert f"signatures of {others.operator}" in done.err, done
                assert theirs["members"][1]["signing_key"] in done.err, "so that it can be compared"
            assert attestry("node", "reshare", *where, "--compared").code != 0
            assert forger.sent == ["/v1/node/change"]

            def spoilt(said):
                text = said["certified_epoch"]
                return {**said, "certified_epoch": text[:-8] + ("A" if text[-8] != "A" else "B") + text[-7:]}

            forger.change = spoilt
            done = seen(forger.url, *key)
            assert done.code != 0 and "its word that it has stored" in done.err, done
            forger.shutdown()
        done = seen(made.nodes[0].admin, "--key", others.key_file)
        assert done.code == 0 and "is NOT signed by any key you gave" in done.err, done
        assert f"signature of {others.operator} does not count" in done.err and "0 of 1 signatures" in done.err, done


def test_what_init_was_not_told_is_said_in_its_own_words(tmp_path):
    key = "ab" * 32

    def init(*arguments):
        return attestry("node", "init", tmp_path / "node", "--id", "0", *arguments)

    done = init("--operator", "--simulated")  # the shell's variable was empty
    assert done.code == 2 and "the flag --simulated" in done.err and "may be empty" in done.err, done
    done = init("--operator", key)
    assert done.code == 2 and "--attestation URL, or --simulated" in done.err, done
    assert not (tmp_path / "node").exists()
    assert init("--operator", key, "--simulated").code == 0
