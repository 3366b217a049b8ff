"""Nodes that derive keys together, none of which has the key: a life of a cluster, by its commands."""

import pytest
from threshold import cluster


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
