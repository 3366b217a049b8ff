"""Real BitTorrent clients (libtorrent) for tests and demos of a tracker."""

import time

import libtorrent
from harness import PATIENCE

TOLD = libtorrent.alert.category_t
QUIET = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    # It asks nobody on its own machine for anything but /announce, and so not for a member's address.
    "ssrf_mitigation": False,
    "allow_multiple_connections_per_ip": True,
    "alert_mask": TOLD.tracker_notification | TOLD.status_notification | TOLD.error_notification,
}


class Client:
    def __init__(self, address, torrent, folder, seeds):
        self.session = libtorrent.session({**QUIET, "listen_interfaces": f"{address}:0"})
        parameters = libtorrent.add_torrent_params()
        parameters.ti = torrent
        parameters.save_path = str(folder)
        if seeds:
            parameters.flags |= libtorrent.torrent_flags.seed_mode
        self.handle = self.session.add_torrent(parameters)
        self.said = []

    def wait_for(self, condition):
        end = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < end, "\n".join(self.said[-40:])
            self.session.wait_for_alert(200)
            self.alerts = self.session.pop_alerts()
            self.said += [alert.message() for alert in self.alerts]
        return found

    def heard(self, text):
        return self.wait_for(lambda: any(text in line for line in self.said))


def torrent_file(path, announce, piece_bytes=16384):
    """A private torrent of one file, as a .torrent's bytes."""
    made = libtorrent.create_torrent(libtorrent.list_files(str(path)), piece_bytes, libtorrent.create_torrent.v1_only)
    made.add_tracker(announce)
    made.set_priv(True)
    libtorrent.set_piece_hashes(made, str(path.parent))
    return libtorrent.bencode(made.generate())
