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
