"""What disks of a threshold root's nodes are worth to whoever takes them: three of seven, where four are needed, nothing; the
same means find the master in four, so that this test could fail."""

import shutil

import pytest
import thief
from threshold import cluster

THRESHOLD = 4


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


def found(disks, loot):
    return any(thief.is_master(one, disks.public) for one in set(thief.masters(loot)))


def test_enough_disks_have_the_master(disks):
    for time in (0, 1):
        assert found(disks, stolen(disks, range(THRESHOLD), time)), "or the next tests show nothing"


def test_fewer_disks_do_not_have_it(disks):
    for nodes in ([0, 1, 2], [3, 4, 6]):
        for time in (0, 1):
            assert not found(disks, stolen(disks, nodes, time))


def test_shares_of_different_epochs_do_not_fit_together(disks):
    loot = {**stolen(disks, [0, 1, 2], 1), **stolen(disks, [4, 5], 0)}
    assert not found(disks, loot)
    loot = {node: {**stolen(disks, [node], 0)[node], **stolen(disks, [node], 1)[node]} for node in (0, 1, 2)}
    assert {tuple(sorted(one)) for one in loot.values()} == {(1, 2)}
    assert not found(disks, loot)


def test_shares_and_keys_of_earlier_epochs_are_in_no_file(disks):
    for node in range(7):
        before, after = disks.taken[node]
        assert set(thief.shares(before)) == {1}
        assert set(thief.shares(after)) == {2}, "neither in the store's log nor in free pages"
        assert not thief.boxes(before) and not thief.boxes(after), (
            "with them its share could be had from the deals again"
        )


def test_neither_master_nor_shares_lie_openly_on_a_disk(disks):
    every = stolen(disks, range(7), 1)
    master = thief.interpolate([(node, every[node][2]) for node in range(THRESHOLD)])
    assert thief.is_master(master, disks.public)
    before = stolen(disks, range(7), 0)
    secrets = [master, *(found[2] for found in every.values()), *(found[1] for found in before.values())]
    for folders in disks.taken.values():
        for folder in folders:
            assert [name for secret in secrets for name in thief.lies_in(folder, secret)] == []
    for node in (0, 6):
        values = thief.records(disks.taken[node][1]).values()
        assert not [1 for value in values for one in thief.spellings(master) if one in value]
