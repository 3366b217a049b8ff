"""The masters of a keystore that runs: sealed to a TPM, rotated, backed up, and brought back on another machine."""

import re

import pytest
from harness import Server, attestry, request, serve_arguments, start_serve
from keystore import Client, start_keystore
from near import Chain, Node
from tpm import tpm

PCRS = "0,7"


def settings(chip, **more):
    sealed = {} if chip is None else {"keystore.sealing": f"tpm2:{PCRS}", "keystore.sealing_tpm": chip.tcti}
    return {"keystore.listen": "127.0.0.1:0", "log.format": "json", **sealed, **more}


def start(data, chip, **more):
    return start_serve(data, **settings(chip, **more))


def keystore(server, *command):
    """A command against the server, as an administrator runs it."""
    return attestry("keystore", *command, "--server", server.admin, "--token-file", server.data / "admin.token")


def status(server):
    return server.call("GET", "/v1/keystore/masters").json()


def key_ids(server):
    return [epoch["key_id"] for epoch in status(server)["epochs"]]


@pytest.fixture
def chip(tmp_path):
    with tpm(tmp_path / "chip") as one:
        yield one


def test_a_master_sealed_to_a_tpm_survives_kill_and_restart(tmp_path, chip):
    server = start(tmp_path / "data", chip)
    first = status(server)
    assert first["ready"] and first["sealed_to"] == "tpm2" and PCRS in first["bound_to"], first
    server.kill()
    server = start(tmp_path / "data", chip)
    assert status(server)["epochs"] == first["epochs"]
    shown = keystore(server, "seal-status")
    assert shown.code == 0 and re.search(r"sealed_to +tpm2", shown.out), shown
    assert server.terminate() == 0


def test_another_state_of_the_tpm_leaves_the_server_up_and_the_keystore_not_ready(tmp_path, chip):
    server = start(tmp_path / "data", chip)
    before = key_ids(server)
    server.terminate()
    chip.extend(7)
    server = start(tmp_path / "data", chip)
    now = status(server)
    assert not now["ready"] and "PCRs are not what it was sealed to" in now["reason"], now
    assert server.request("GET", "/health/live").status == 200
    assert server.call("POST", "/v1/keystore/rotate").status != 200
    server.terminate()
    chip.stop()
    chip.start()  # what was measured before
    server = start(tmp_path / "data", chip)
    assert key_ids(server) == before
    server.terminate()


def test_a_tpm_that_is_away_is_an_outage_that_ends_by_itself(tmp_path, chip):
    server = start(tmp_path / "data", chip)
    before = key_ids(server)
    server.terminate()
    chip.stop()
    server = start(tmp_path / "data", chip)
    now = status(server)
    assert not now["ready"] and "unavailable" in now["reason"], now
    chip.start()
    server.wait_for("the keystore has its masters")
    assert key_ids(server) == before
    server.terminate()


def test_another_device_is_a_mistake_and_a_named_one_takes_over(tmp_path, chip):
    data = tmp_path / "data"
    server = start(data, chip)
    before = key_ids(server)
    server.terminate()
    server = start(data, chip, **{"keystore.sealing": "key-file"})
    assert "sealed to another device" in status(server)["reason"]
    server.terminate()
    server = start(data, chip, **{"keystore.sealing": "key-file", "keystore.sealing_before": f"tpm2:{PCRS}"})
    assert key_ids(server) == before
    server.terminate()
    chip.stop()
    server = start(data, None, **{"keystore.sealing": "key-file"})
    assert key_ids(server) == before
    server.terminate()


def test_a_setting_that_names_no_device_does_not_start(tmp_path):
    for wrong in ("tpm2:", "tpm2:24", "tpm", "sgx", "tpm2:0,0"):
        server = Server(serve_arguments(tmp_path / "data", **settings(None, **{"keystore.sealing": wrong})), tmp_path)
        server.wait_for("keystore.sealing")
        assert server.end() == 2, server.output


def files_of(private, public):
    return ["--admin-privkey-file", private, "--admin-pubkey-file", public]


def make_admins(folder, number=3):
    pairs = []
    for i in range(number):
        private, public = folder / f"{i}.pem", folder / f"{i}-public.pem"
        made = attestry("admin", "generate-admin", *files_of(private, public))
        assert made.code == 0, made
        pairs.append((private, public))
    admins = folder / "admins.json"
    files = ",".join(str(public) for _, public in pairs)
    made = attestry("admin", "generate-config", "--admin-pubkey-files", files, "--shamir-admins-file", admins)
    assert made.code == 0, made
    return admins, pairs


def test_a_drill_from_an_empty_folder_on_another_tpm_gives_the_same_keys(tmp_path, chip):
    admins, pairs = make_admins(tmp_path)
    old = start(tmp_path / "old", chip)
    assert keystore(old, "rotate").code == 0
    made = keystore(old, "backup", "--to", tmp_path / "backup", "--recipients", admins, "--threshold", "2")
    assert made.code == 0, made
    assert keystore(old, "backup", "--to", tmp_path / "backup", "--recipients", admins).code == 1, "never replaced"
    ids = key_ids(old)
    assert len(ids) == 2
    assert [leaf["type"] for leaf in old.leaves()][-1] == "keystore.backup"
    old.terminate()

    file = tmp_path / "backup" / "keystore-backup.json"
    assert file.stat().st_mode & 0o777 == 0o600
    for i, (private, public) in enumerate(pairs[:2]):
        opened = attestry(
            *("keystore", "open-share", "--backup", file, "--out", tmp_path / f"{i}.share"),
            *files_of(private, public),
        )
        assert opened.code == 0, opened
        assert (tmp_path / f"{i}.share").stat().st_mode & 0o777 == 0o600
    with tpm(tmp_path / "other chip") as other:
        new = start(tmp_path / "new", other)
        assert key_ids(new) != ids
        alone = keystore(new, "restore", "--backup", file, "--share", tmp_path / "0.share", "--replace")
        assert alone.code == 1 and "too few shares" in alone.err, alone
        shares = ["--share", tmp_path / "0.share", "--share", tmp_path / "1.share"]
        refused = keystore(new, "restore", "--backup", file, *shares)
        assert refused.code == 1 and "masters of its own" in refused.err, refused
        assert "--replace" in refused.err, refused
        stray = tmp_path / "stray.share"
        stray.write_text("c2VjcmV0IG9mIGFub3RoZXIgYmFja3Vw\n")
        wrong = keystore(new, "restore", "--backup", file, *shares, "--share", stray, "--replace")
        assert wrong.code == 2 and "stray.share is no share of this backup" in wrong.err, wrong
        restored = keystore(new, "restore", "--backup", file, *shares, "--replace")
        assert restored.code == 0, restored
        assert key_ids(new) == ids
        new.kill()
        new = start(tmp_path / "new", other)
        assert key_ids(new) == ids
        new.terminate()


def test_after_a_restoration_nothing_is_derived_from_what_was_there_before(tmp_path):
    admins, pairs = make_admins(tmp_path)
    chain = Chain()
    seed = "github.com/alice/project:alice.testnet"
    with Node(chain) as node:
        old = start_keystore(tmp_path / "old", chain, [node])
        public = Client(old).pubkey(seed).json()["pubkey"]
        made = keystore(old, "backup", "--to", tmp_path / "backup", "--recipients", admins, "--threshold", "2")
        assert made.code == 0, made
        file = tmp_path / "backup" / "keystore-backup.json"
        for i, (private, public_file) in enumerate(pairs[:2]):
            words = ("open-share", "--backup", file, "--out", tmp_path / f"{i}.share")
            assert attestry("keystore", *words, *files_of(private, public_file)).code == 0
        assert old.terminate() == 0
        new = start_keystore(tmp_path / "new", chain, [node])
        client = Client(new)
        assert client.pubkey(seed).json()["pubkey"] != public
        shares = ["--share", tmp_path / "0.share", "--share", tmp_path / "1.share"]
        restored = keystore(new, "restore", "--backup", file, *shares, "--replace")
        assert restored.code == 0, restored
        # The same vault and the same number of the epoch, and another master.
        assert client.pubkey(seed).json()["pubkey"] == public
        assert new.terminate() == 0, new.output


def test_a_generated_master_is_announced_once_and_not_shown(tmp_path):
    more = {"keystore.master": "generated", "log.level": "info"}
    server = start(tmp_path / "data", None, **more)
    [key_id] = key_ids(server)
    assert server.terminate() == 0
    assert server.output.count("keystore.master = generated") == 1 and key_id in server.output, server.output
    server = start(tmp_path / "data", None, **more)
    assert key_ids(server) == [key_id]
    assert server.terminate() == 0
    assert "keystore.master = generated" not in server.output


def test_a_device_is_left_by_naming_it_as_the_one_before(tmp_path, chip):
    data = tmp_path / "data"
    server = start(data, chip)
    before = key_ids(server)
    assert server.terminate() == 0
    leaving = {"keystore.sealing": "", "keystore.sealing_before": f"tpm2:{PCRS}"}
    server = start(data, chip, **leaving)
    assert key_ids(server) == before and status(server)["sealed_to"] == "none"
    assert server.terminate() == 0
    chip.stop()
    server = start(data, None)
    assert key_ids(server) == before
    assert server.terminate() == 0


def test_sealing_keys_of_the_store_turn_and_the_masters_with_them(tmp_path, chip):
    server = start(tmp_path / "data", chip, **{"state.reseal_pause_ms": 0})
    before = key_ids(server)
    chip.stop()  # it is not needed for this
    sealing = "/v1/tenants/default/sealing"
    assert server.call("POST", f"{sealing}/rotate").status == 200
    while server.call("GET", sealing).json()["phase"] != "settled":
        pass
    now = server.call("GET", sealing).json()
    assert now["values_left"] == 0 and now["values"] >= 1, now
    assert server.call("POST", f"{sealing}/retire").status == 200
    server.terminate()
    chip.start()
    server = start(tmp_path / "data", chip)
    assert key_ids(server) == before
    server.terminate()


def test_metrics_tell_whether_masters_may_be_used(tmp_path, chip):
    server = start(tmp_path / "data", chip)

    def metric(name):
        return re.search(rf"^{name} (\S+)$", server_metrics(server), re.MULTILINE)[1]

    assert metric("attestry_keystore_ready") == "1"
    assert metric("attestry_keystore_epoch") == "1"
    assert server.call("POST", "/v1/keystore/rotate").status == 200
    assert metric("attestry_keystore_epoch") == "2"
    assert metric("attestry_keystore_oldest_epoch") == "1"
    server.terminate()


def server_metrics(server):
    return request(server.metrics, "GET", "/metrics").text
