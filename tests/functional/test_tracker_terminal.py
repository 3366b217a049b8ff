"""attestry tracker reputation: what a tracker, its members or its chain say reaches the operator's terminal as text alone."""

import json

import pytest
from harness import attestry
from loopback import Handler, Loopback

# Clears the screen, by ESC [ and by its C1 form; and an end of line that would forge another row.
EVIL = "\x1b[2J\x9b2J\x7f\r\nmallory  1 up"
SHOWN = "?[2J?2J???mallory  1 up"
ROW = {"username": EVIL, "upload_size": 1, "download_size": 2, "tx_hash": "0x" + EVIL}


class Tracker(Handler):
    """Hostile in every text that it has."""

    replies = {
        "/contract/init": {"message": EVIL, "reputation_address": EVIL, "referrer_address": EVIL},
        "/contract/publish": {"published": [ROW], "refused": [{"username": EVIL, "detail": EVIL}]},
        "/contract/migrate": {"tx_hash": EVIL},
        "/contract/status": {"rpc_url": EVIL, "account_address": EVIL, "factory_address": EVIL},
        "/contract/user/alice": {"user": {"username": EVIL}, "contract_address": EVIL},
    }

    def do_GET(self):
        reply = self.replies.get(self.path)
        missing = {"detail": EVIL, "remedy": EVIL}
        # As JSON may have them: DEL and C1 need no escape.
        self.answer(json.dumps(reply or missing, ensure_ascii=False).encode(), 200 if reply else 404)

    def do_POST(self):
        self.body()
        self.do_GET()


@pytest.fixture
def run(tmp_path):
    token = tmp_path / "admin.token"
    token.write_text("token\n")
    with Loopback(Tracker) as tracker:

        def run(command, *words):
            where = ["--server", tracker.url, *(["--token-file", token] if command != "show" else [])]
            return attestry("tracker", "reputation", command, *words, *where)

        yield run


def only_text(written):
    assert all(one == "\n" or one.isprintable() for one in written), repr(written)
    return written


@pytest.mark.parametrize(
    ("command", "times"), [("init", 3), ("publish", 4), ("migrate alice", 1), ("show", 3), ("show alice", 2)]
)
def test_tracker_terminal_has_no_control_characters_of_others(run, command, times):
    done = run(*command.split())
    assert only_text(done.out).count(SHOWN) == times, done
    assert done.err == ""


def test_tracker_terminal_has_none_of_a_refusal_either(run):
    refused = run("show", "nobody")
    assert refused.code == 1 and only_text(refused.err).count(SHOWN) == 2, refused


def test_tracker_json_is_as_the_tracker_says_it(run):
    done = run("publish", "--format", "json")
    assert done.code == 1 and done.json()["published"] == [ROW], done
