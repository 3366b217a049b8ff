"""Strangers who hold a node's listener: members open sessions and derive all the same. docs/formats/channel.md"""

import contextlib
import selectors
import socket
import threading
import time

import pytest
from threshold import cluster, until

MUTE = 64  # as many as a node has sessions


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("three")) as made:
        made.generate(2, range(3))
        made.first_key = made.key(0)
        yield made


def call(port, source):
    mute = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))
    mute.setblocking(False)
    return mute


@contextlib.contextmanager
def mutes(port, source, come_again):
    """Sockets that say nothing. come_again: whoever is hung up on calls again."""
    opened, ended = selectors.DefaultSelector(), threading.Event()
    for _ in range(MUTE):
        opened.register(call(port, source), selectors.EVENT_READ)

    def hold():
        while not ended.wait(0.05):
            for key, _ in opened.select(0):
                with contextlib.suppress(OSError):
                    if key.fileobj.recv(1 << 10):
                        continue
                opened.unregister(key.fileobj)
                key.fileobj.close()
                if come_again:
                    with contextlib.suppress(OSError):
                        opened.register(call(port, source), selectors.EVENT_READ)

    holding = threading.Thread(target=hold)
    holding.start()
    try:
        yield
    finally:
        ended.set()
        holding.join()
        for key in list(opened.get_map().values()):
            key.fileobj.close()


@pytest.mark.parametrize(("source", "come_again"), [("127.0.0.2", True), ("127.0.0.1", False)])
def test_mute_sockets_keep_no_member_out(three, source, come_again):
    """From elsewhere, without end; and from the members' own address, where nobody can tell them from members."""
    three.kill(1, 2)
    with mutes(three.ports[0], source, come_again):
        three.start(1)  # all its sessions are new ones
        assert three.key(1) == three.first_key, "node 0 is needed"
        begun = time.monotonic()
        three.start(2)
        until(lambda: "3 of 3 answer" in three.command(2, "status").out, lambda: three.command(2, "status"))
        assert time.monotonic() - begun < 20
        assert three.keys() == dict.fromkeys(range(3), three.first_key)
