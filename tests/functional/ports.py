"""Ports for programs that cannot choose one themselves, or must have the same one after a restart."""

import contextlib
import os
import random
import socket

FIRST, LANES, WIDTH = 15000, 8, 2000


def free_ports(count):
    """In a row, and below those that the system gives to outgoing connections: nobody takes them meanwhile. Each of
    the processes that run tests side by side has ports of its own."""
    lane = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % LANES
    while True:
        first = FIRST + lane * WIDTH + random.randrange(WIDTH - count)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return list(range(first, first + count))
