"""What disks of a threshold root's nodes are worth to whoever takes them: three of seven, where four are needed, nothing; the
same means find the master in four, so that this test could fail."""

import itertools
import shutil

import pytest
import thief
from py_ecc.optimized_bls12_381 import curve_order
from threshold import cluster

THRESHOLD = 4
SEVEN = range(7)


@pytest.fixture(scope="module")
def disks(tmp_path_factory):
    """{node: (folder while epoch 1 was in force, folder in epoch 2)} as they lay on the disk while the nodes ran."""
    folder = tmp_path_factory.mktemp("seven")
    with cluster(folder) as made:
        made.generate(THRESHOLD, range(7))
        first = made.key(0)
        taken = {node: [made.home(node) / "data"] for node in range(7)}
        for time in (1, 2):
            for node in range(7):
                copy = folder / f"taken-{time}-{node}"
                shutil.copytree(made.home(node) / "data", copy)
                taken[node].append(copy)
            if time == 1:
                done = made.reshare(0)
                assert done.code == 0, done
                assert made.key(0) == first
        made.taken = {node: folders[1:] for node, folders in taken.items()}
        made.public = thief.public_key(made.master)
        made.first_key = first
        yield made


def stolen(disks, nodes, time):
    return {node: thief.shares(disks.taken[node][time]) for node in nodes}


@pytest.fixture(scope="module")
def master(disks):
    """As those have it who have enough; compared with that, a look at any other number costs nothing."""
    scalar = thief.interpolate(
        [(node, share) for node in range(THRESHOLD) for share in stolen(disks, [node], 0)[node].values()]
    )
    assert thief.is_master(scalar, disks.public), "or the next tests show nothing"
    return scalar


@pytest.mark.parametrize("time", [0, 1])
def test_any_four_disks_have_the_master(disks, master, time):
    loot = stolen(disks, SEVEN, time)
    for nodes in itertools.combinations(SEVEN, THRESHOLD):
        assert master in thief.masters({node: loot[node] for node in nodes}), nodes


@pytest.mark.parametrize("time", [0, 1])
def test_no_three_disks_have_it(disks, master, time):
    """All that any three, two or one of them are worth: 35, 21 and 7."""
    loot = stolen(disks, SEVEN, time)
    assert {len(found) for found in loot.values()} == {1}, "one share on each"
    tried = list(thief.masters(loot, THRESHOLD - 1))
    assert len(tried) == 35 + 21 + 7
    assert master not in tried
    assert curve_order - master not in tried


def test_shares_of_different_epochs_do_not_fit_together(disks, master):
    """Up to three of the one and up to three of the other, from whichever disks."""
    before, after = (
        {node: share for node, found in stolen(disks, SEVEN, time).items() for share in found.values()}
        for time in (0, 1)
    )
    tried = 0
    for chosen in itertools.product((None, before, after), repeat=7):
        if (
            sum(one is before for one in chosen) >= THRESHOLD
            or sum(one is after for one in chosen) >= THRESHOLD
            or not any(chosen)
        ):
            continue
        points = [(node, shares[node]) for node, shares in enumerate(chosen) if shares]
        assert thief.interpolate(points) != master, points
        tried += 1
    assert tried > 1000


def test_shares_and_keys_of_earlier_epochs_are_in_no_file(disks):
    for node in range(7):
        before, after = disks.taken[node]
        assert set(thief.shares(before)) == {1}
        assert set(thief.shares(after)) == {2}, "neither in the store's log nor in free pages"
        assert not thief.boxes(before) and not thief.boxes(after), (
            "with them its share could be had from the deals again"
        )


def test_neither_master_nor_shares_lie_openly_on_a_disk(disks, master):
    every = stolen(disks, range(7), 1)
    before = stolen(disks, range(7), 0)
    secrets = [master, *(found[2] for found in every.values()), *(found[1] for found in before.values())]
    for folders in disks.taken.values():
        for folder in folders:
            assert [name for secret in secrets for name in thief.lies_in(folder, secret)] == []
    for node in (0, 6):
        values = thief.records(disks.taken[node][1]).values()
        assert not [1 for value in values for one in thief.spellings(master) if one in value]
