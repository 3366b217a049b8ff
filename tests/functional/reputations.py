"""Trackers that write reputations on a chain of the tests."""

from harness import start_dev

from tracker import Tracker

DAY = 86400


def key_file(folder, account):
    path = folder / f"{account.address}.key"
    path.write_text(account.key.hex() + "\n")
    path.chmod(0o600)
    return path


class World:
    """A factory, and trackers that write on its chain."""

    def __init__(self, chain, folder):
        self.chain, self.folder = chain, folder
        self.governance, self.one, self.two, self.three = chain.accounts[1:5]
        self.factory = chain.deploy("ReputationFactory", self.governance.address, 7 * DAY, sender=self.governance)
        self.seed = folder / "vendor.seed"
        self.seed.write_text("a vendor of the test")
        self.running = []

    def start(self, name, account="root", evidence=True, rpc=None, **more):
        settings = {
            "listen": "127.0.0.1:0",
            "plaintext": "true",
            "network": "local",
            "rpc": ",".join(rpc or [self.chain.url]),
            "max_head_age": 0,
            "factory": self.factory.address,
            "account": account if account == "root" else key_file(self.folder, account),
            "attestation": f"simulated:{self.seed}" if evidence else "",
            **more,
        }
        sets = [f"--set=tracker.{key}={value}" for key, value in settings.items()]
        tracker = Tracker(start_dev(self.folder / name, *sets))
        self.running.append(tracker)
        return tracker

    def reputation(self, answer):
        assert answer.status == 200, answer
        return self.chain.contract("Reputation", answer.json()["reputation_address"].lower())


def status_of(tracker):
    """With addresses as the chain has them; ours are in EIP-55's mixed case."""
    found = tracker.call("GET", "/contract/status").json()
    return {name: value.lower() if isinstance(value, str) else value for name, value in found.items()}


def contract(tracker, path, **body):
    return tracker.as_admin("POST", f"/contract/{path}", body)


ALICE = {"username": "alice", "salt": "salt", "password_hash": "0x05"}
