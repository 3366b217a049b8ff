"""A server of which nothing is asked gives back the code that it needed to start, and works as before."""

import signal
import time

from harness import PATIENCE, start_serve


def at_rest(server, started):
    end = time.monotonic() + PATIENCE
    while server.code_kib() > started / 2:
        assert time.monotonic() < end, (started, server.code_kib())
        time.sleep(0.1)


def test_resting_server_gives_code_back_and_answers_as_before(tmp_path):
    server = start_serve(tmp_path / "data")
    started = server.code_kib()
    at_rest(server, started)
    reply = server.request("GET", "/health/ready")
    assert reply.status == 200, reply
    assert server.code_kib() + server.own_memory_kib() < 30 * 1024
    server.process.send_signal(signal.SIGTERM)
    assert server.end() == 0
