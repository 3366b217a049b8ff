"""Real clients on the tracker: two sessions of libtorrent find each other through it and hand over a file."""

import os

import libtorrent
import pytest
from harness import start_dev
from torrent_clients import Client, torrent_file

from tracker import Tracker


@pytest.mark.parametrize("scheme", ["http", "udp"])
@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_a_file_goes_from_one_client_to_another(tmp_path, address, scheme):
    server = start_dev(
        tmp_path / "data",
        f"--set=tracker.listen={address}:0",
        f"--set=tracker.udp_listen={address}:0",
        "--set=tracker.plaintext=true",
    )
    tracker = Tracker(server)
    giver, taker = tmp_path / "giver", tmp_path / "taker"
    giver.mkdir()
    taker.mkdir()
    content = os.urandom(300_000)
    (giver / "file").write_bytes(content)
    announce = f"{tracker.udp_url if scheme == 'udp' else tracker.url}/announce"
    torrent = libtorrent.torrent_info(torrent_file(giver / "file", announce))

    seeder = Client(address, torrent, giver, seeds=True)
    seeder.heard("received peers: 0")
    leecher = Client(address, torrent, taker, seeds=False)
    leecher.wait_for(lambda: leecher.handle.status().is_seeding)
    # A client has all pieces before its disk thread has made the file.
    leecher.wait_for(lambda: (taker / "file").is_file() and (taker / "file").read_bytes() == content)

    leecher.heard("sending announce (completed)")
    scraped = "".join(f"%{byte:02x}" for byte in torrent.info_hashes().v1.to_bytes())
    done = b"d8:completei2e10:downloadedi1e10:incompletei0eeee"
    leecher.wait_for(lambda: tracker.call("GET", f"/scrape?info_hash={scraped}").body.endswith(done))
    assert server.terminate() == 0
