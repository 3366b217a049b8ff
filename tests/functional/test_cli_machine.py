"""doctor, config, completion and man: what a new operator asks the program about itself."""

import json
import re
import shlex
import shutil
import subprocess

import pytest
from harness import attestry, key_file

BASH = shutil.which("bash")


def every_command():
    """Every command with its words, as --help lists them."""
    found = []

    def walk(path):
        text = attestry(*path, "--help").out
        listed = re.search(r"^Subcommands:\n((?:  .*\n?)+)", text, re.MULTILINE)
        for line in listed[1].splitlines() if listed else []:
            if re.match(r"  \S", line):
                found.append([*path, line.split()[0]])
                walk(found[-1])

    walk([])
    return found


def test_cli_every_command_explains_itself():
    commands = every_command()
    assert len(commands) > 30
    for command in commands:
        done = attestry(*command, "--help")
        assert done.code == 0 and done.err == "", (command, done)
        assert " ".join(command) in done.out, command


# completion


def complete(*words):
    """What bash offers for the last word, by the script alone."""
    script = attestry("completion").out
    words = " ".join(shlex.quote(word) for word in ("attestry", *words))
    count = len(shlex.split(words)) - 1
    program = f'{script}\nCOMP_WORDS=({words}) COMP_CWORD={count}\n_attestry\nprintf "%s\\n" "${{COMPREPLY[@]}}"\n'
    done = subprocess.run([BASH, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_cli_completion_is_good_syntax(shell, tmp_path):
    done = attestry("completion")
    assert done.code == 0, done
    path = shutil.which(shell)
    if path is None:
        # No such shell on this machine: at least it is one function, and registered.
        assert done.out.count("_attestry() {") == 1 and "complete -F _attestry attestry" in done.out
        return
    (tmp_path / "completion").write_text(done.out)
    command = [path, "-n", tmp_path / "completion"]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_cli_completion_offers_commands_and_options():
    assert "serve" in complete("ser")
    assert complete("oper") == ["operator"]
    assert set(complete("operator", "")) >= {"add", "keygen", "list", "remove"}
    assert complete("operator", "key") == ["keygen"]
    assert "--token-file" in complete("operator", "list", "--to")
    assert "--listen" in complete("serve", "--li")
    assert complete("approve", "policy", "web", "--for") == ["--format"]
    assert "--ca" in complete("secret", "--format", "json", "list", "--c")


def test_cli_completion_knows_every_command():
    for command in every_command():
        assert command[-1] in complete(*command), command


# the manual page


def test_cli_man_renders_without_complaint():
    page = attestry("man")
    assert page.code == 0
    groff = shutil.which("groff")
    assert page.out.startswith(".TH ATTESTRY 1 ")
    if groff is not None:
        command = [groff, "-man", "-Tutf8", "-ww", "-P-cbou"]
        done = subprocess.run(command, input=page.out, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        text = re.sub(r"\s+", " ", done.stdout.replace("\u2010", "-").replace("\u2212", "-"))
        assert "attestry - the trust plane for confidential computing" in text
        assert "tdx-v4, tdx-v5, sgx-v3, …" in text
        assert "3 undecided or unavailable, 4 defect." in text
        for command in every_command():
            assert " ".join(["attestry", *command]) in text, command


def test_cli_man_has_every_command_and_option():
    page = attestry("man").out.replace("\\-", "-")
    for command in every_command():
        assert f".SS attestry {' '.join(command)}\n" in page, command
        options = set(re.findall(r"--[a-z][a-z-]+", attestry(*command, "--help").out.split("Options:")[-1]))
        section = page.split(f".SS attestry {' '.join(command)}\n")[1].split(".SS ")[0]
        flags = set(re.findall(r"--[a-z][a-z-]+", section))
        assert flags >= {flag for flag in options if re.search(rf"^\s+.*{flag}\b", section, re.MULTILINE)}
    lines = page.splitlines()
    known = (".TH", ".SH", ".SS", ".B", ".I", ".TP")
    assert all(line.split()[0] in known for line in lines if line.startswith(".")), "an accidental request"


# config


def test_cli_config_show_explains_every_setting():
    shown = attestry("config", "show", "--format", "json").json()
    text = attestry("config", "show", "--origins").out
    for name, setting in shown.items():
        assert setting["origin"] == "default"
        assert f'{name} = "{setting["value"]}"  # default\n    ' in text
    assert shown["limits.rate_exempt"]["value"] == "127.0.0.0/8,::1"


def test_cli_config_check_of_a_whole_file(tmp_path):
    key = key_file(tmp_path / "data")
    file = tmp_path / "attestry.toml"
    file.write_text(
        f'[server]\ndata = "{tmp_path}/data"\nservices = ["verify", "log"]\n[unlock]\nsource = "file:{key}"\n'
        '[limits]\nconnections = 10\nrequests_per_second = 5\nrate_exempt = ["10.0.0.0/8"]\n[collateral]\noffline = true\n'
    )
    done = attestry("config", "check", "--config", file)
    assert (done.code, done.out, done.err) == (0, "the configuration is good\n", "")
    assert attestry("config", "check", env={"ATTESTRY_CONFIG": str(file)}).code == 0
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nlisen = 'x'\n", "Did you mean server.listen?"),
        ("[limits]\nconnections = 0\n", "limits.connections"),
        ("[limits]\nrequests_per_second = -1\n", "limits.requests_per_second"),
        ("[limits]\nburst = 0\n", "limits.burst"),
        ("[limits]\nrate_exempt = ['localhost']\n", "limits.rate_exempt"),
        ("[limits]\nrate_exempt = ['10.0.0.0/33']\n", "10.0.0.0/33"),
        ("[log]\nlevel = 'loud'\n", "log.level"),
        ("[server]\nservices = 'verfy'\n", "verfy"),
        ("[server]\nrealm = 'prod'\n", "server.realm"),
        ("[unlock]\nsource = ''\n", "unlock.source is not set"),
        ("[unlock]\nkind = 'hope'\n", "unlock.kind"),
        ("[tls\n", "attestry.toml:1"),
        ("tls = 'off'\n", "tls"),
        ("[collateral]\nfiles = [1]\n", "attestry.toml:2"),
    ],
    ids=lambda value: value.replace("\n", " ").strip() if "[" in value else None,
)
def test_cli_config_check_names_the_mistake(tmp_path, text, named):
    file = tmp_path / "attestry.toml"
    unlock = "" if "[unlock]" in text else "\n[unlock]\nsource = 'file:/nowhere'\n"
    file.write_text(text + unlock)
    done = attestry("config", "check", "--config", file)
    assert done.code == 2, done
    assert done.out == ""
    assert named in done.err and "what to do" in done.err, done


def test_cli_config_flag_over_environment(tmp_path):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(f"[unlock]\nsource = 'file:{key_file(tmp_path)}'\n")
    bad.write_text("[log]\nlevel = 'loud'\n")
    for command in (["config", "check"], ["config", "show"]):
        assert attestry(*command, "--config", good, env={"ATTESTRY_CONFIG": str(bad)}).code == 0, command
    assert "loud" in attestry("config", "check", "--config", bad, env={"ATTESTRY_CONFIG": str(good)}).err
    shown = attestry("config", "show", "--format", "json", "--config", good, env={"ATTESTRY_CONFIG": str(bad)}).json()
    assert shown["unlock.source"]["value"] == f"file:{key_file(tmp_path)}"


def test_cli_config_check_without_a_file(tmp_path):
    done = attestry("config", "check", "--config", tmp_path / "missing.toml")
    assert done.code == 2 and "missing.toml" in done.err, done
    done = attestry("config", "check", "--set", "nothing")
    assert done.code == 2 and "SECTION.KEY=VALUE" in done.err, done


# doctor


def test_cli_doctor_of_a_verifier(tmp_path):
    done = attestry("doctor", "--offline", cwd=tmp_path)
    assert done.code == 0, done
    assert done.out.endswith("nothing is wrong\n")
    assert re.search(r"^note  root file: unlock.source is not set", done.out, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_cli_doctor_looks_at_a_server(servers, tmp_path):
    server = servers.serve()
    done = attestry("doctor", "--offline", "--server", server.public)
    assert done.code == 0, done
    assert f"ok    server: {server.public}/health/ready answers" in done.out
    wrong = attestry("doctor", "--offline", "--server", server.admin)
    assert wrong.code == 1 and "BAD   server" in wrong.out and "server.listen" in wrong.out, wrong
    gone = attestry("doctor", "--offline", "--server", "http://127.0.0.1:9")
    assert gone.code == 1, gone
    assert re.search(r"^BAD   server: .*\n        what to do: ", gone.out, re.MULTILINE)
    assert gone.out.endswith("1 to mend\n")


def test_cli_doctor_says_what_is_wrong_with_a_configuration(tmp_path):
    file = tmp_path / "attestry.toml"
    for text, named in [
        ("[server]\nlisen = 'x'\n", "Did you mean server.listen?"),
        ("[limits]\nconnections = 'many'\n", "limits.connections"),
        ("[log]\nlevel = 'info'\n", "root.key"),
    ]:
        file.write_text(text)
        done = attestry("doctor", "--offline", "--config", file)
        assert done.code == 1, done
        assert "BAD " in done.out and named in done.out, done
    file.write_text(f"[unlock]\nsource = 'file:{tmp_path}/key'\n")
    good = attestry("doctor", "--offline", "--config", file)
    assert good.code == 0 and "ok    root file" in good.out, good


@pytest.mark.parametrize("place", ["data/root.key", "other/../data/root.key", "link/root.key"])
def test_cli_doctor_finds_the_key_inside_the_data_folder(tmp_path, place):
    data, file = tmp_path / "data", tmp_path / "attestry.toml"
    data.mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(data)
    (data / "root.key").write_text("ab" * 32)
    (data / "root.key").chmod(0o600)
    file.write_text(f"[server]\ndata = '{data}'\n[unlock]\nsource = 'file:{tmp_path}/{place}'\n")
    done = attestry("doctor", "--offline", "--config", file)
    assert done.code == 1 and "BAD   root file" in done.out and "in the data folder" in done.out, done
    start = attestry("serve", "--config", file, "--listen", "127.0.0.1:0")
    assert start.code == 2 and "in the data folder" in start.err, start
    assert not (data / "root.json").exists()


def test_cli_doctor_asks_the_collateral_service(servers, tmp_path):
    server = servers.serve()  # it answers, if only 404: the address is right
    file = tmp_path / "attestry.toml"
    file.write_text(f"[collateral]\npcs = '{server.public}'\n[unlock]\nsource = 'file:{tmp_path}/key'\n")
    done = attestry("doctor", "--config", file)
    assert done.code == 0 and f"ok    collateral: {server.public} answers" in done.out, done
    file.write_text("[collateral]\npcs = 'http://127.0.0.1:9'\n")
    done = attestry("doctor", "--config", file)
    assert done.code == 1 and "collateral.files" in done.out, done


def test_cli_version_and_json_forms_are_json():
    for command in (["config", "show"], ["checks"]):
        assert isinstance(json.loads(attestry(*command, "--format", "json").out), dict)
    assert re.fullmatch(r"attestry \d+\.\d+\.\d+\S*", attestry("--version").out.strip())
