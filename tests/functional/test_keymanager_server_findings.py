"""What was wrong with the key managers before, and is refused here: one test at least for each finding of the review,
by its number."""

import hashlib
import os
import socket

import abi
import pytest
from endpoints import Endpoint
from evm import ZERO, Anvil
from harness import attestry, request, split_url
from key_managers import (
    APP_DATA,
    JSON,
    ask,
    asked_to_join,
    bootstrapped,
    help_newcomer,
    identity_policy,
    joined,
    list_machine,
    managers,
    onboard,
    put_in_force,
    report_data,
    sealkey,
    start_manager,
    unhex,
    wait_for_state,
)
from keymanager import Key
from nacl_box import sealed_box
from registry import N
from workload import forge

APP_ROUTES = ["/", "/sealkey", "/getkey", "/getkey/tls", f"/attest/{APP_DATA}", "/attest/web/00", "/appdata/web/00"]
HOST_ROUTES = [
    ("GET", "/bootstrap"),
    ("POST", "/bootstrap"),
    ("GET", "/register"),
    ("GET", "/register/00"),
    ("POST", "/helper/" + ZERO),
    ("POST", "/onboard"),
    ("POST", "/requestKey"),
    ("POST", "/receiveKey"),
    ("POST", "/resign"),
]


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@pytest.fixture
def contract(chain):
    return chain.deploy("KeyManager")


@pytest.fixture
def start(tmp_path, chain, contract):
    with managers(tmp_path, chain, contract) as starter:
        yield starter


@pytest.fixture
def first(start, contract):
    server = start("first")
    bootstrapped(server, contract)
    return server


@pytest.fixture
def newcomer(start, first, contract, chain):
    """A second server that has asked, of a listed machine."""
    server = start("second")
    server.made = asked_to_join(server, contract, chain.accounts[1])
    server.fmspc, server.measurement = list_machine(contract, first, unhex(server.made["quote"]))
    return server


def refused(reply, status, text):
    assert reply.status == status and text in reply.text, reply


def test_keymanager_server_01_a_name_in_dns_is_no_identity(tmp_path):
    """127.0.0.1 has a name here; it says nothing. With the named switch it does, as in the first service."""
    settings = {"keymanager.sources": "10.1.1.1=web"}
    running = start_manager(tmp_path / "data", **settings)
    ask(running, "POST", "/bootstrap")
    refused(request(running.apps, "GET", "/sealkey"), 401, "which workload")
    assert running.terminate() == 0, running.output
    old = start_manager(tmp_path / "data", **settings, **{"keymanager.reverse_dns_identity": "true"})
    name = socket.gethostbyaddr("127.0.0.1")[0]
    found = request(old.apps, "GET", "/sealkey", headers=JSON).json()
    assert (found["workload"], found["by"]) == (name, "reverse-dns")
    assert "keymanager.reverse_dns_identity: whoever writes" in old.output
    assert old.terminate() == 0, old.output


@pytest.mark.parametrize("name", ["unknown", "attest", "dstack-keymanager", "two words", ""])
def test_keymanager_server_01_nobody_is_called_unknown(tmp_path, name):
    with pytest.raises(AssertionError, match=r"keymanager\.sources"):
        start_manager(tmp_path / "data", **{"keymanager.sources": f"127.0.0.1={name}"})


def test_keymanager_server_02_host_and_workloads_have_nothing_in_common(tmp_path):
    running = start_manager(tmp_path / "data", **{"keymanager.sources": "127.0.0.1=web"})
    ask(running, "POST", "/bootstrap")
    assert [path for path in APP_ROUTES if request(running.host, "GET", path).status != 404] == []
    assert [path for method, path in HOST_ROUTES if request(running.apps, method, path).status != 404] == []
    for path in (*APP_ROUTES, *(path for _, path in HOST_ROUTES)):
        assert request(running.public, "GET", path).status == 404
    assert running.terminate() == 0, running.output


def test_keymanager_server_02_the_host_port_is_this_machines(tmp_path):
    with pytest.raises(AssertionError, match=r"keymanager\.host_listen"):
        start_manager(tmp_path / "data", **{"keymanager.host_listen": "0.0.0.0:0"})


def test_keymanager_server_02_web_pages_do_not_reach_the_hosts_port(tmp_path):
    """A browser of that machine would send GET /bootstrap?rotate=true for any page that asks it to."""
    running = start_manager(tmp_path / "data", **{"keymanager.sources": "127.0.0.1=web"})
    for header in ({"Origin": "https://page.example"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}):
        for method, path in HOST_ROUTES:
            if (method, path.split("/")[1]) == ("POST", "helper") or path == "/onboard":
                body = {"pubk": "11" * 32, "quote": "00", "addr": ZERO}
            else:
                body = None
            refused(request(running.host, method, path, body, header), 403, "not for browsers")
    assert ask(running, "GET", "/status")["epochs"] == []
    ask(running, "POST", "/bootstrap")
    assert running.terminate() == 0, running.output


def test_keymanager_server_02_workloads_do_not_see_which_keys_wait(start, contract, chain):
    server = start("first")
    made = ask(server, "POST", "/bootstrap")
    assert made["addr"] in request(server.host, "GET", "/status").text
    assert request(server.apps, "GET", "/status").json() == {"state": "bootstrapped", "member": False, "epoch": 0}


@pytest.mark.parametrize("name", ["keymanager.listen", "vault.listen", "keystore.listen", "tracker.listen"])
def test_keymanager_server_02_no_secret_goes_in_the_clear_beyond_this_machine(tmp_path, name):
    """One rule for every listener, and a switch for who ends TLS in front of it."""
    section = name.split(".")[0]
    sets = {"tls.mode": "off", "server.realm": "simulated", "server.data": tmp_path, name: "0.0.0.0:0"}
    sets |= {"unlock.source": f"file:{tmp_path}/root.key"}
    (tmp_path / "root.key").write_bytes(bytes(range(32)))
    (tmp_path / "root.key").chmod(0o600)

    def check(**more):
        return attestry("config", "check", *(f"--set={key}={value}" for key, value in (sets | more).items()))

    done = check()
    assert done.code == 2 and f"a loopback address in {name}" in done.err, done
    assert f"set {section}.plaintext" in done.err
    assert f"a loopback address in {name}" not in check(**{f"{section}.plaintext": "true"}).err
    assert f"a loopback address in {name}" not in check(**{name: "127.0.0.1:0"}).err
    assert name in check(**{name: "everywhere"}).err


def test_keymanager_server_03_a_rogue_bootstrap_wedges_nobody(start, contract, chain):
    rogue, right = start("first"), start("second")
    wrong = ask(rogue, "POST", "/bootstrap")
    assert ask(rogue, "POST", "/bootstrap") == wrong, "the same, however often"
    made = ask(right, "POST", "/bootstrap")
    put_in_force(contract, made)
    wait_for_state(right, "member")
    wait_for_state(rogue, "not-joined")
    refused(request(rogue.apps, "GET", "/sealkey"), 503, "not joined")
    refused(request(rogue.host, "POST", "/bootstrap"), 409, "Already bootstrapped")
    joined(right, rogue, contract, chain.accounts[1])
    assert sealkey(rogue) == sealkey(right)


def test_keymanager_server_04_forged_evidence_opens_nothing(first, newcomer, contract):
    made = newcomer.made
    quote = unhex(made["quote"])
    spoiled = quote[:200] + bytes([quote[200] ^ 1]) + quote[201:]
    refused(help_newcomer(first, made, quote=spoiled.hex()), 422, "evidence")
    data = report_data(contract, "Newcomer", made["addr"].lower(), unhex(made["pubk"]), 1)
    stranger = forge(os.urandom(16).hex(), data)
    assert help_newcomer(first, made, quote=stranger.hex()).status in (403, 422, 503)
    refused(help_newcomer(first, made, quote=forge(first.seed, bytes(64)).hex()), 422, "report")
    refused(help_newcomer(first, made, pubk="11" * 32), 422, "report")
    refused(help_newcomer(first, made, quote="00"), 422, "evidence")
    answer = help_newcomer(first, made)
    assert answer.status == 200
    assert help_newcomer(first, made).status == 200, "until the contract knows of it"
    onboard(contract, made, answer.json())
    refused(help_newcomer(first, made), 403, "onboarded")


def test_keymanager_server_04_evidence_of_another_contract_or_epoch_is_none(first, newcomer, contract, chain):
    made = newcomer.made
    other = chain.deploy("KeyManager")
    for where, epoch in ((other, 1), (contract, 2)):
        data = report_data(where, "Newcomer", made["addr"].lower(), unhex(made["pubk"]), epoch)
        refused(help_newcomer(first, made, quote=forge(first.seed, data).hex()), 422, "report")
    data = report_data(contract, "Newcomer", made["addr"].lower(), unhex(made["pubk"]), 1)
    assert help_newcomer(first, made, quote=forge(first.seed, data).hex()).status == 200


def test_keymanager_server_04_measurement_and_platform_are_the_contracts(first, newcomer, contract):
    contract.send("allowMrtd", newcomer.measurement, False)
    refused(help_newcomer(first, newcomer.made), 403, "does not list the newcomer's measurement")
    contract.send("allowMrtd", newcomer.measurement, True)
    contract.send("allowTcb", newcomer.fmspc, 0, 0)
    refused(help_newcomer(first, newcomer.made), 403, "does not take the newcomer's platform")
    contract.send("allowTcb", newcomer.fmspc, 0, 0b10000)
    refused(help_newcomer(first, newcomer.made), 403, "does not take the newcomer's platform")
    contract.send("allowTcb", newcomer.fmspc, 1_000_000, 0b11)
    refused(help_newcomer(first, newcomer.made), 403, "does not take the newcomer's platform")
    contract.send("allowTcb", newcomer.fmspc, 0, 0b11)
    assert help_newcomer(first, newcomer.made).status == 200


def test_keymanager_server_04_rtmrs_count(start, contract, chain, tmp_path):
    """The same firmware that boots something else."""
    policy = identity_policy(tmp_path, start.seed, "other", rtmr2=["00" * 48])
    first = start("first", **{"keymanager.policy": policy})
    second = start("second")
    bootstrapped(first, contract)
    made = asked_to_join(second, contract, chain.accounts[1])
    list_machine(contract, first, unhex(made["quote"]))
    refused(help_newcomer(first, made), 403, "policy")


def test_keymanager_server_04_who_did_not_ask_the_contract_is_not_helped(start, first, contract):
    second = start("second")
    made = ask(second, "POST", "/register")
    list_machine(contract, first, unhex(made["quote"]))
    refused(help_newcomer(first, made), 403, "not yet")


def test_keymanager_server_05_a_master_of_somebody_else_is_not_taken(first, newcomer, contract, chain):
    box = sealed_box(unhex(newcomer.made["pubk"]), b"\x46" * 32)
    refused(request(newcomer.host, "POST", f"/register/{box.hex()}"), 403, "not the contract's")
    refused(request(newcomer.host, "POST", "/receiveKey", box.hex().encode()), 403, "not the contract's")
    assert request(newcomer.apps, "GET", "/sealkey").status == 503
    refused(request(newcomer.host, "POST", "/register/" + "00" * 80), 400, "box")
    spoiled = bytes([box[0]]) + box[1:79] + bytes([box[79] ^ 1])
    assert request(newcomer.host, "POST", f"/register/{spoiled.hex()}").status in (400, 500)
    answer = help_newcomer(first, newcomer.made).json()
    refused(
        request(newcomer.host, "POST", f"/register/{answer['ciph']}"), 503, "does not know this server as onboarded"
    )
    assert request(newcomer.apps, "GET", "/sealkey").status == 503, "the contract has not heard of it"
    onboard(contract, newcomer.made, answer)
    ask(newcomer, "POST", f"/register/{answer['ciph']}")
    wait_for_state(newcomer, "member")
    assert sealkey(newcomer) == sealkey(first)


def test_keymanager_server_keeps_no_master_that_the_contract_knows_nothing_of(first, newcomer, contract):
    """A host that never sends the onboarding would else have a member of which no audit hears."""
    answer = help_newcomer(first, newcomer.made).json()
    refused(request(newcomer.host, "POST", f"/register/{answer['ciph']}"), 503, "requested")
    assert [leaf["type"] for leaf in newcomer.leaves()].count("keymanager.join") == 0
    contract.send("deregister", newcomer.made["addr"].lower())
    refused(request(newcomer.host, "POST", f"/register/{answer['ciph']}"), 403, "rejected")


def test_keymanager_server_06_no_node_says_what_is_signed(tmp_path, contract, chain):
    """A node that answers whatever it likes to questions for digests is asked for none."""
    asked = set()
    with Endpoint(chain) as node:

        def look(method, parameters, answer):
            if method == "eth_call":
                asked.add(parameters[0].get("data", parameters[0].get("input"))[2:10])
            return answer

        node.change = look
        with managers(tmp_path, node, contract, **{"keymanager.chain_id": chain.chain_id}) as start:
            node.chain_id = chain.chain_id
            first, second = start("first"), start("second")
            bootstrapped(first, contract)
            joined(first, second, contract, chain.accounts[1])
            assert request(first.apps, "GET", f"/attest/{APP_DATA}").status == 200
    digests = ("register_appdata(address)", "onboard_appdata(address,bytes16,bytes32,bytes)", "domainSeparator()")
    assert asked & {abi.selector(name).hex() for name in digests} == set()
    assert abi.selector("xPub()").hex() in asked


def test_keymanager_server_06_nodes_that_disagree_are_an_outage(tmp_path, contract, chain):
    with Endpoint(chain) as liar:
        liar.change = lambda method, parameters, answer: (
            {"result": "0x" + "46".rjust(64, "0")} if method == "eth_call" else answer
        )
        both = f"{chain.url},{liar.url}"
        with managers(tmp_path, chain, contract, **{"keymanager.rpc": both}) as start:
            first = start("first")
            assert request(first.host, "POST", "/bootstrap").status == 503
            refused(request(first.apps, "GET", "/sealkey"), 503, "was not read yet")


def test_keymanager_server_07_digests_name_chain_contract_and_where_one_field_ends(first, contract, chain):
    one, other = (
        request(first.apps, "GET", f"/attest/{APP_DATA}?purpose={purpose}", headers=JSON).json()["bound"]
        for purpose in ("tls", "tlsx")
    )
    assert one["digest"] != other["digest"]
    elsewhere = chain.deploy("KeyManager")
    elsewhere.send("bootstrap", contract.call("xPub"))
    said = ("web", "tls", unhex(APP_DATA), one["expires"], unhex(one["sig_vrs"]))
    assert contract.call("verifyBound", *said) is True
    assert elsewhere.call("verifyBound", *said) is False, "the same key under another contract"
    pairs = {sealkey(first, f"/sealkey?purpose={purpose}") for purpose in ("a", "aa", "web", "sealing1")}
    assert len(pairs) == 4


def test_keymanager_server_07_a_tag_is_its_workloads_own(first):
    """keccak(tag || data) does not say where the tag ends: nobody chooses a tag of his own."""
    assert request(first.apps, "GET", "/attest/web%2Fdisk/00").status == 200
    refused(request(first.apps, "GET", "/attest/we/6200"), 403, "belongs to another workload")
    refused(request(first.apps, "GET", "/appdata/webb/00"), 403, "belongs to another workload")


def test_keymanager_server_07_no_workload_signs_as_one_whose_name_begins_with_its_own(start, first):
    """ "web" with data that begin with "server" was "webserver". The slash ends a name, and is in none."""
    for data in (b"server" + bytes(32), bytes(32), b""):
        for path in (f"/attest/web/{data.hex() or '%20'}", f"/appdata/web/{data.hex() or '%20'}"):
            assert request(first.apps, "GET", path).status in (400, 403), path
    refused(request(first.apps, "GET", f"/attest/web/{bytes(32).hex()}"), 403, "another workload's")


def test_keymanager_server_07_names_of_the_second_generation_do_not_begin_alike(tmp_path):
    """There a tag is a name, as it is: 32 bytes at a time, and no name may begin with another's."""
    with pytest.raises(AssertionError, match="one workload's name begins with another's"):
        start_manager(
            tmp_path / "bad",
            **{"keymanager.compat": "dstack-vm", "keymanager.sources": "127.0.0.1=web,127.0.0.2=webserver"},
        )
    running = start_manager(
        tmp_path / "good", **{"keymanager.compat": "dstack-vm", "keymanager.sources": "127.0.0.1=web,127.0.0.2=batch"}
    )
    ask(running, "POST", "/bootstrap")
    assert request(running.apps, "GET", f"/attest/web/{APP_DATA}").status == 200
    refused(request(running.apps, "GET", f"/attest/web/{APP_DATA}00"), 403, "32 bytes")
    assert request(running.apps, "GET", "/attest/web%2Fany/0102").status == 200
    assert running.terminate() == 0, running.output


def test_keymanager_server_08_the_master_signs_nothing(first, newcomer, contract):
    """What a member is handed is not the key whose address is the contract's xPub."""
    status = request(first.host, "GET", "/status").json()
    keys = {sealkey(first), sealkey(first, "/sealkey?purpose=attest"), sealkey(first, "/sealkey?purpose=disk")}
    assert len(keys) == 3
    for key in keys:
        assert Key(bytes.fromhex(key)).address != status["xpub"].lower()
        assert hashlib.sha256(bytes.fromhex(key) * 2).hexdigest() not in keys


def test_keymanager_server_08_no_secret_is_in_output_or_status(first):
    keys = [sealkey(first), sealkey(first, "/sealkey?purpose=disk")]
    shown = request(first.host, "GET", "/status").text + request(first.host, "POST", "/bootstrap").text
    assert first.terminate() == 0
    assert [key for key in keys if key in shown + first.output] == []


def test_keymanager_server_09_who_is_sent_away_gives_nothing_more(start, first, contract, chain):
    second = start("second")
    member = joined(first, second, contract, chain.accounts[1])
    contract.send("deregister", member["addr"].lower())
    wait_for_state(second, "sent-away")
    refused(request(second.apps, "GET", "/sealkey"), 403, "sent away")
    refused(request(second.apps, "GET", f"/attest/{APP_DATA}"), 403, "sent away")
    assert help_newcomer(second, member).status == 403
    assert request(first.apps, "GET", "/sealkey").status == 200


def test_keymanager_server_09_a_member_may_go_by_itself(start, first, contract, chain):
    second = start("second")
    assert request(first.host, "POST", "/resign").status == 409, "nobody knows it by an address"
    member = joined(first, second, contract, chain.accounts[1])
    word = ask(second, "POST", "/resign")
    assert word["addr"] == member["addr"]
    assert request(second.apps, "GET", "/sealkey").status == 200
    contract.send("resign", word["addr"].lower(), unhex(word["sig"]), sender=chain.accounts[3])
    wait_for_state(second, "sent-away")
    refused(request(second.apps, "GET", "/sealkey"), 403, "sent away")


def test_keymanager_server_09_a_measurement_that_is_taken_back_cuts_members_off(start, first, contract, chain):
    second = start("second")
    member = joined(first, second, contract, chain.accounts[1])
    measurement = hashlib.sha256(unhex(member["quote"])[184:232]).digest()
    contract.send("allowMrtd", measurement, False)
    wait_for_state(second, "sent-away")
    refused(request(second.apps, "GET", "/sealkey"), 403, "not listed")
    contract.send("allowMrtd", measurement, True)
    wait_for_state(second, "member")


def test_keymanager_server_09_a_frozen_contract_stops_everything(first, newcomer, contract):
    contract.send("freeze")
    wait_for_state(first, "frozen")
    refused(request(first.apps, "GET", "/sealkey"), 403, "frozen")
    refused(help_newcomer(first, newcomer.made), 403, "frozen")
    contract.send("unfreeze")
    wait_for_state(first, "member")


def test_keymanager_server_10_before_the_bootstrap_nothing_verifies(start, contract):
    server = start("first")
    made = ask(server, "POST", "/bootstrap")
    assert contract.call("xPub") == ZERO
    for path in ("/sealkey", f"/attest/{APP_DATA}"):
        refused(request(server.apps, "GET", path), 503, "no master key yet")
    assert request(server.host, "POST", "/register").status == 409
    assert contract.call("verify(string,bytes32,bytes)", "web", unhex(APP_DATA), bytes(65)) is False
    put_in_force(contract, made)
    wait_for_state(server, "member")


def test_keymanager_server_10_signatures_have_one_spelling(first, contract):
    for number in range(8):
        data = f"{number:064x}"
        sig = unhex(request(first.apps, "GET", f"/attest/{data}", headers=JSON).json()["sig_vrs"])
        assert len(sig) == 65 and sig[0] in (27, 28)
        s = int.from_bytes(sig[33:])
        assert 0 < s <= N // 2
        twisted = bytes([55 - sig[0]]) + sig[1:33] + (N - s).to_bytes(32)
        assert contract.call("verifyAttestation", "web", unhex(data), sig) is True
        assert contract.call("verifyAttestation", "web", unhex(data), twisted) is False


def test_keymanager_server_11_a_signature_does_not_give_the_key_away(first, contract):
    """The nonce of the chain's first key manager was a hash of the digest alone."""
    made = request(first.apps, "GET", f"/attest/{APP_DATA}", headers=JSON).json()
    sig, digest = unhex(made["sig_vrs"]), unhex(made["digest"])
    r, s, z = int.from_bytes(sig[1:33]), int.from_bytes(sig[33:]), int.from_bytes(digest)
    k = int.from_bytes(hashlib.sha256(b"\1" * 32 + b"\0" + digest).digest())
    for nonce in (k, N - k):
        candidate = (s * nonce - z) * pow(r, -1, N) % N
        assert candidate == 0 or Key(candidate.to_bytes(32)).address != contract.call("xPub")


def test_keymanager_server_11_keys_are_by_the_whole_name(tmp_path):
    """No index of 31 bits that two workloads can share: near names, names that begin alike, long names."""
    names = ["web", "web1", "we", "w" * 253, "w" * 252]
    found = set()
    running = start_manager(
        tmp_path / "data",
        **{"keymanager.sources": ",".join(f"127.0.0.{i + 2}={name}" for i, name in enumerate(names))},
    )
    ask(running, "POST", "/bootstrap")
    port = split_url(running.apps)[1]
    for i in range(len(names)):
        with socket.create_connection(("127.0.0.1", port), source_address=(f"127.0.0.{i + 2}", 0)) as connection:
            connection.sendall(b"GET /sealkey HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda open_=connection: open_.recv(4096), b""))
            assert answer.startswith(b"HTTP/1.1 200"), answer
            found.add(answer.rsplit(b"\r\n\r\n", 1)[1])
    assert len(found) == len(names)
    assert running.terminate() == 0, running.output


def test_keymanager_server_12_nothing_is_lost_over_a_restart(start, contract, chain):
    """Killed in every state, it goes on where it was."""
    first = start("first")
    made = ask(first, "POST", "/bootstrap")
    first.kill()
    first = start("first")
    assert ask(first, "POST", "/bootstrap") == made, "the master that waits for the owner"
    put_in_force(contract, made)
    wait_for_state(first, "member")
    key = sealkey(first)

    second = start("second")
    asked = asked_to_join(second, contract, chain.accounts[1])
    second.kill()
    list_machine(contract, first, unhex(asked["quote"]))
    answer = help_newcomer(first, asked).json()
    onboard(contract, asked, answer)
    second = start("second")
    ask(second, "POST", f"/register/{answer['ciph']}")
    second.kill()
    first.kill()
    for server in (start("first"), start("second")):
        wait_for_state(server, "member")
        assert sealkey(server) == key


def test_keymanager_server_12_an_outage_of_the_chain_is_no_denial(tmp_path, contract, chain):
    with Endpoint(chain) as node:
        settings = {"keymanager.chain_id": chain.chain_id, "keymanager.believed_seconds": 1}
        with managers(tmp_path, node, contract, **settings) as start:
            node.chain_id = chain.chain_id
            first = start("first")
            bootstrapped(first, contract)
            key = sealkey(first)
            node.die()
            wait_for_state(first, "cut-off")
            refused(request(first.apps, "GET", "/sealkey"), 503, "cannot be read")
    assert key
