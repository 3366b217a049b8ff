"""Start, stop, start again: what stays, what is refused, and that a refusal overwrites nothing."""

import hashlib
import http.client
import json
import os
import re
import resource
import shutil
import socket
import sqlite3
import ssl
import subprocess

import pytest
from harness import Server, attestry, key_file, request, serve_arguments
from operators import Operator
from transparency import Receipt, verify_log
from workload import Workload, measurement


def digest_of_folder(folder):
    """Of every file but SQLite's scratch files, which a reader may make and remove."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock"))
    }


def refuses_to_start(data, env=None, **settings):
    """Runs serve, which must end by itself; nothing in the folder may have changed."""
    before = digest_of_folder(data)
    done = attestry(*serve_arguments(data, **settings), env=env)
    assert done.code > 0, done
    assert "attestry is ready" not in done.out
    assert "what to do" in done.err, done
    assert digest_of_folder(data) == before
    return done


@pytest.fixture
def stopped(servers, tmp_path):
    """The data folder of a production server that has run."""
    server = servers.serve(tmp_path / "data")
    Operator(server)
    assert server.terminate() == 0
    return tmp_path / "data"


def test_lifecycle_restart_keeps_apps_keys_log_and_spent_nonces(servers, tmp_path):
    first = servers.dev(tmp_path / "data")
    operator = Operator(first)
    operator.make_app("name:kept", measurement(first.seed), "c", {"s": b"v"})
    workload = Workload(first, "name:kept")
    body = workload.body()
    reply = workload.send(body)
    assert reply.status == 201
    unused = Workload(first, "name:kept")
    state, leaves, token = operator.app("name:kept"), verify_log(first), first.token
    assert first.terminate() == 0

    second = servers.dev(tmp_path / "data")
    operator.server = workload.server = unused.server = second
    assert (second.log_key, second.token) == (first.log_key, token)
    assert operator.app("name:kept") == state
    assert verify_log(second)[: len(leaves)] == leaves
    again = workload.send(body)
    assert again.json()["sealed"] == reply.json()["sealed"]
    receipts = [Receipt(answer.json()["receipt"], second.log_key) for answer in (reply, again)]
    assert receipts[0].index == receipts[1].index
    assert Workload(second, "name:kept", nonce=workload.nonce).send().status == 409
    late = unused.send()
    assert late.status == 201, late
    keys = [{k["private"] for k in w.open(r)["keys"]} for w, r in ((workload, again), (unused, late))]
    assert keys[0] == keys[1]


def test_lifecycle_second_server_on_the_same_data_is_refused(servers, tmp_path):
    server = servers.serve(tmp_path / "data")
    done = attestry(*serve_arguments(tmp_path / "data"))
    assert done.code > 0, done
    assert done.err.strip()
    assert server.request("GET", "/health/ready").status == 200


def test_lifecycle_wrong_key_file_is_a_clear_error_and_overwrites_nothing(stopped, tmp_path):
    other = tmp_path / "other.key"
    other.write_text("ab" * 32)
    other.chmod(0o600)
    done = refuses_to_start(stopped, **{"unlock.source": f"file:{other}"})
    assert "key" in done.err
    missing = refuses_to_start(stopped, **{"unlock.source": f"file:{tmp_path}/nothing"})
    assert "nothing" in missing.err


@pytest.fixture
def passphrase(servers, tmp_path):
    file = tmp_path / "passphrase"
    file.write_text("correct horse battery staple\n")
    file.chmod(0o600)
    settings = {"unlock.kind": "passphrase", "unlock.source": f"file:{file}"}
    server = servers.serve(tmp_path / "data", **settings)
    assert server.terminate() == 0
    return tmp_path / "data", settings, file


def test_lifecycle_passphrase_opens_what_it_closed(servers, passphrase):
    data, settings, _ = passphrase
    assert servers.serve(data, **settings).request("GET", "/health/ready").status == 200


def test_lifecycle_wrong_passphrase_is_a_clear_error_and_overwrites_nothing(servers, passphrase):
    data, settings, file = passphrase
    file.write_text("correct horse battery stable\n")
    done = refuses_to_start(data, **settings)
    assert "passphrase" in done.err
    assert "stable" not in done.err
    refuses_to_start(data)  # a key file in its place
    file.write_text("correct horse battery staple\n")
    servers.serve(data, **settings)


def test_lifecycle_passphrase_by_systemd_credential(passphrase):
    data, _, file = passphrase
    shutil.copy(file, file.parent / "root-passphrase")
    environment = {"CREDENTIALS_DIRECTORY": str(file.parent)}
    arguments = serve_arguments(data, **{"unlock.kind": "passphrase", "unlock.source": "credential:root-passphrase"})
    server = Server(arguments, data, env=environment)
    server.wait_for("^attestry is ready")
    assert server.terminate() == 0


@pytest.mark.parametrize("kind", ["key-file", "passphrase"])
def test_lifecycle_production_makes_no_key_beside_what_it_opens(tmp_path, kind):
    data = tmp_path / "data"
    arguments = serve_arguments(data, **{"unlock.source": "", "unlock.kind": kind})
    for command in (arguments, ["config", "check", *arguments[1:]]):
        done = attestry(*command)
        assert done.code == 2, done
        assert "unlock.source is not set" in done.err
        assert not data.exists()


def test_lifecycle_the_remedy_for_a_missing_key_file_works_as_it_is_written(servers, tmp_path):
    data = tmp_path / "data"
    said = attestry(*serve_arguments(data, **{"unlock.source": ""})).err
    make, use = re.findall(r"`([^`]*root\.key[^`]*)`", said)
    subprocess.run(["sh", "-c", make.replace("/etc/attestry", str(tmp_path))], check=True, timeout=60)
    assert (tmp_path / "root.key").stat().st_mode & 0o777 == 0o600
    flag, value = use.replace("/etc/attestry", str(tmp_path)).split()
    arguments = [word for word in serve_arguments(data) if "unlock.source" not in word]
    server = Server([*arguments, flag, value], data)
    server.wait_for("^attestry is ready")
    assert server.terminate() == 0
    assert not (data / "root.key").exists()
    servers.serve(data, **{"unlock.source": f"file:{tmp_path}/root.key"})


def test_lifecycle_secrets_by_a_flag_do_not_exist():
    for flag in ("--passphrase", "--key-file", "--unlock-passphrase"):
        assert attestry("serve", flag, "x").code == 2


def test_lifecycle_simulated_data_is_never_opened_by_a_production_server(servers, tmp_path):
    server = servers.dev(tmp_path / "data")
    assert server.terminate() == 0
    unlock = {"unlock.source": f"file:{tmp_path}/data/root.key"}
    done = refuses_to_start(tmp_path / "data", **unlock)
    assert "simulated" in done.err
    # Not even when asked for: serve has the vendors' anchors only.
    refuses_to_start(tmp_path / "data", **unlock, **{"server.realm": "simulated"})


def test_lifecycle_production_data_is_never_opened_by_dev(stopped):
    before = digest_of_folder(stopped)
    done = attestry("dev", "--once", "--any-port", "--data", stopped)
    assert done.code > 0, done
    assert "production" in done.err
    after = digest_of_folder(stopped)
    assert {name: after[name] for name in before} == before


def test_lifecycle_another_origin_is_refused(stopped):
    done = refuses_to_start(stopped, **{"server.origin": "attestry.example/other"})
    assert "origin" in done.err


def backup(folder, to):
    """What an operator's backup would be: the database through SQLite, the other files as they are."""
    to.mkdir()
    for path in folder.iterdir():
        if path.name == "store.db":
            source, target = sqlite3.connect(path), sqlite3.connect(to / "store.db")
            source.backup(target)
            source.close()
            target.close()
        elif path.is_file() and not path.name.startswith("store.db"):
            shutil.copy2(path, to / path.name)
    os.chmod(to / "store.db", 0o600)


def test_lifecycle_restored_backup_of_the_store_is_refused_because_it_would_fork_the_log(servers, tmp_path):
    data = tmp_path / "data"
    server = servers.serve(data)
    Operator(server)
    assert server.terminate() == 0
    backup(data, tmp_path / "backup")
    server = servers.serve(data)
    Operator(server)
    last = verify_log(server)
    assert server.terminate() == 0

    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (data / name).unlink(missing_ok=True)
    shutil.copy2(tmp_path / "backup" / "store.db", data / "store.db")
    done = refuses_to_start(data)
    assert "checkpoint" in done.err or "fork" in done.err or "log" in done.err
    assert len(last) == 2


def test_lifecycle_lost_checkpoint_is_refused_until_an_operator_says_so_once(servers, stopped):
    checkpoint = stopped / "checkpoint"
    kept = checkpoint.read_bytes()
    checkpoint.unlink()
    done = refuses_to_start(stopped)
    assert "checkpoint" in done.err
    assert "audit.accept_missing_checkpoint" in done.err
    server = servers.serve(stopped, **{"audit.accept_missing_checkpoint": "true"})
    assert server.terminate() == 0
    assert checkpoint.read_bytes().split(b"\n\n")[0] == kept.split(b"\n\n")[0]


def test_lifecycle_altered_checkpoint_is_refused(stopped):
    checkpoint = stopped / "checkpoint"
    good = checkpoint.read_text()
    lines = good.split("\n")
    larger = "\n".join([lines[0], str(int(lines[1]) + 5), *lines[2:]])
    unsigned = "\n".join(lines[:4]) + "\n"
    for text in (larger, unsigned, "", "\n", good[: len(good) // 2]):
        checkpoint.write_text(text)
        refuses_to_start(stopped)


def test_lifecycle_emptied_checkpoint_does_not_let_a_restored_backup_in(servers, tmp_path):
    data = tmp_path / "data"
    assert servers.serve(data).terminate() == 0
    backup(data, tmp_path / "backup")
    server = servers.serve(data)
    Operator(server)
    assert server.terminate() == 0
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (data / name).unlink(missing_ok=True)
    shutil.copy2(tmp_path / "backup" / "store.db", data / "store.db")
    (data / "checkpoint").write_bytes(b"")
    refuses_to_start(data)


def test_lifecycle_missing_root_file_beside_a_store_is_refused(stopped):
    (stopped / "root.json").unlink()
    done = refuses_to_start(stopped)
    assert "root.json" in done.err
    assert "backup" in done.err
    assert not (stopped / "root.json").exists()


def test_lifecycle_missing_key_file_is_refused_and_not_made_anew(stopped):
    key = key_file(stopped)
    key.unlink()
    refuses_to_start(stopped, **{"unlock.source": f"file:{key}"})
    assert not key.exists()


def test_lifecycle_altered_root_file_is_refused(stopped):
    root = stopped / "root.json"
    good = root.read_text()
    document = json.loads(good)
    for name, value in document.items():
        changed = value + 1 if isinstance(value, int) else "x" + str(value)
        root.write_text(json.dumps({**document, name: changed}))
        refuses_to_start(stopped)
    for text in ("", "{", good[: len(good) // 2]):
        root.write_text(text)
        refuses_to_start(stopped)


def test_lifecycle_store_that_is_no_database_is_refused(stopped):
    for name in ("store.db-wal", "store.db-shm"):
        (stopped / name).unlink(missing_ok=True)
    (stopped / "store.db").write_bytes(b"not a database, but somebody's only copy of something" * 100)
    before = digest_of_folder(stopped)
    done = attestry(*serve_arguments(stopped))
    assert done.code > 0, done
    assert digest_of_folder(stopped) == before


def test_lifecycle_root_and_store_of_different_servers_are_refused(servers, stopped, tmp_path):
    other = servers.serve(tmp_path / "other")
    Operator(other)
    assert other.terminate() == 0
    shutil.copy2(tmp_path / "other" / "root.json", stopped / "root.json")
    shutil.copy2(key_file(tmp_path / "other"), key_file(stopped))
    refuses_to_start(stopped)


@pytest.mark.parametrize(
    ("setting", "meant"),
    [("server.lisen", "server.listen"), ("limits.conections", "limits.connections"), ("tls.mod", "tls.mode")],
)
def test_lifecycle_unknown_setting_is_refused_with_a_suggestion(tmp_path, setting, meant):
    done = attestry("serve", f"--set=server.data={tmp_path}/data", f"--set={setting}=x")
    assert done.code == 2, done
    assert setting in done.err and f"Did you mean {meant}?" in done.err
    assert not (tmp_path / "data").exists()
    file = tmp_path / "attestry.toml"
    section, key = setting.split(".")
    file.write_text(f"\n[{section}]\n{key} = 'x'\n")
    for command in (["serve"], ["config", "check"], ["config", "show"]):
        done = attestry(*command, "--config", file)
        assert done.code == 2, done
        assert f"{file}:3" in done.err and f"Did you mean {meant}?" in done.err


@pytest.mark.parametrize(
    "settings",
    [
        {"server.realm": "test"},
        {"server.services": "verify,sing"},
        {"limits.connections": "0"},
        {"limits.connections": "many"},
        {"collateral.offline": "perhaps"},
        {"tls.mode": "of"},
        {"log.level": "loud"},
        {"unlock.kind": "hope"},
        {"unlock.source": "env:SECRET"},
        {"server.listen": "127.0.0.1"},
        {"server.listen": "127.0.0.1:99999"},
        {"server.listen": "0.0.0.0:0"},
    ],
    ids=lambda settings: "=".join(next(iter(settings.items()))),
)
def test_lifecycle_wrong_values_are_refused(tmp_path, settings):
    done = attestry(*serve_arguments(tmp_path / "data", **settings))
    assert done.code == 2, done
    assert next(iter(settings)).split(".")[1] in done.err or next(iter(settings.values())) in done.err


def test_lifecycle_settings_flag_over_environment_over_file(tmp_path):
    file = tmp_path / "attestry.toml"
    file.write_text("[limits]\nconnections = 10\nin_flight = 20\nbody_bytes = 30000\n")
    environment = {"ATTESTRY_LIMITS_IN_FLIGHT": "21", "ATTESTRY_LIMITS_BODY_BYTES": "31000"}
    command = ["config", "show", "--config", file, "--set=limits.body_bytes=32000", "--format", "json"]
    said = attestry(*command, env=environment).json()
    assert said["limits.connections"] == {"value": "10", "origin": f"{file}:2"}
    assert said["limits.in_flight"] == {"value": "21", "origin": "environment ATTESTRY_LIMITS_IN_FLIGHT"}
    assert said["limits.body_bytes"] == {"value": "32000", "origin": "flag"}
    assert said["limits.request_seconds"]["origin"] == "default"


def test_lifecycle_only_the_chosen_services_are_there(servers):
    server = servers.serve(**{"server.services": "verify"})
    assert server.request("GET", "/v1/checks").status == 200
    assert server.request("POST", "/v1/challenges", {}).status == 404
    assert server.request("GET", "/v1/log/checkpoint").status == 404
    assert request(server.admin, "POST", "/v1/approvals", {}).status == 404
    assert server.request("GET", "/v1/server").status == 200


def test_lifecycle_data_folder_and_its_files_belong_to_the_owner_alone(stopped):
    assert stopped.stat().st_mode & 0o777 == 0o700
    for path in stopped.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_lifecycle_port_in_use_is_a_clear_error(servers, tmp_path):
    server = servers.serve()
    address = server.public.removeprefix("http://")
    done = attestry(*serve_arguments(tmp_path / "other", **{"server.listen": address}))
    assert done.code > 0, done
    assert address in done.err


def test_lifecycle_own_certificate_and_unix_socket(servers, tmp_path):
    settings = {"tls.mode": "auto", "server.admin_listen": f"unix:{tmp_path}/admin.sock"}
    server = servers.serve(tmp_path / "data", **settings)
    assert server.public.startswith("https://")
    host, port = server.public.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=str(server.data / "tls.pem"))
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
    connection.request("GET", "/v1/server")
    assert json.loads(connection.getresponse().read())["realm"] == "production"
    assert connection.sock.version() in ("TLSv1.2", "TLSv1.3")
    connection.close()
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger = http.client.HTTPSConnection(host, int(port), context=ssl.create_default_context(), timeout=30)
        stranger.request("GET", "/v1/server")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(tmp_path / "admin.sock"))
        client.sendall(
            b"GET /v1/tenants/default/apps HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Authorization: Bearer " + server.token.encode() + b"\r\n\r\n"
        )
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    assert (tmp_path / "admin.sock").stat().st_mode & 0o777 == 0o600


def test_lifecycle_the_servers_connections_have_files(servers, tmp_path):
    """Whatever little the shell or systemd starts programs with, as far as the system lets it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        server = servers.serve(tmp_path / "data", **{"limits.connections": "1500"})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[0] == 4024
