"""The master's way to a second server inside an attested session: docs/formats/channel.md. Both servers are the real
program; who stands between them is written here from the format."""

import contextlib
import os
import re
import socket
import ssl
import struct
import threading

import pytest
import registry
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from harness import PATIENCE, attestry, request
from key_servers import policy_for, with_seed
from operators import Operator
from registry import PEM, rtmrs_of, self_signed, start_dev_registry
from test_registry_authorities import CHAIN_ID, registers_document
from workload import forge

MASTER = bytes(range(32))
NOBODY = "0x" + "00" * 20
PROTOCOL = "attestry/channel/1"


def lp(part):
    return struct.pack(">I", len(part)) + part


# -- servers without a chain


@pytest.fixture
def seed():
    return os.urandom(16).hex() + "\n"


@pytest.fixture
def start(tmp_path, seed):
    running = []

    def starter(name, vendor=seed, **settings):
        folder = tmp_path / name
        if not folder.exists():
            with_seed(folder, vendor)
        chosen = {
            **registry.CHAIN_SETTINGS,
            "registry.governance": "local",
            "log.level": "info",
            "registry.chain_id": CHAIN_ID,
            "registry.attestation": f"simulated:{folder}/forge.seed",
            "registry.policy": policy_for(tmp_path, vendor),
            **settings,
        }
        server = start_dev_registry(folder, {name: value for name, value in chosen.items() if value is not None})
        running.append(server)
        return server

    yield starter
    assert [server.output for server in running if server.running and server.terminate() != 0] == []


@pytest.fixture
def giver(start, tmp_path):
    file = tmp_path / "master"
    file.write_text(MASTER.hex())
    server = start(
        "giver",
        **{"registry.kms": "simple", "registry.master": file, "registry.channel_listen": "127.0.0.1:0"},
    )
    server.channel, server.key = re.search(r"channel=(\S+) key=([0-9a-f]{64})", server.output).groups()
    return server


def receiver(start, peer, key, name="receiver", **settings):
    return start(
        name,
        **{"registry.kms": "onboard", "registry.channel_peer": peer, "registry.channel_key": key, **settings},
    )


def let_in(giver):
    """Operators approve the new server's software for the app that stands for the key service itself."""
    approver, app = Operator(giver), f"evm:{CHAIN_ID}:{NOBODY}"
    quote = forge(giver.seed, bytes(64))
    approver.approve(app, "app.create", app)
    approver.approve(app, "policy.approve", approver.blob({"format": 1, "name": "servers", "identities": []}))
    document = approver.blob(registers_document(rtmrs_of(quote), quote[184:232]))
    approver.approve(app, "identity.approve", document)
    return lambda: approver.approve(app, "revoke", document)


def app_key(server, address="0x" + "ab" * 20):
    """The public key that the server has for an app. Operators must have made the app."""
    app = f"evm:{CHAIN_ID}:{address}"
    Operator(server).approve(app, "app.create", app)
    return request(server.registry, "GET", f"/api/public/pki/{address[2:]}").json()["app_pubkey"]


def awaits_master(server):
    ready = request(server.registry, "GET", "/readyz")
    assert ready.status == 200 or "the master key is not there yet" in ready.text, ready
    return ready.status == 503


def onboardings(server):
    return [leaf for leaf in server.leaves() if leaf["type"] == "release.onboard"]


GOT_IT = r"this server has the key service's master now.*how=channel"


def test_registry_049_a_second_server_gets_the_master_by_a_channel(start, giver):
    let_in(giver)
    second = receiver(start, giver.channel, giver.key)
    if not re.search(GOT_IT, second.output):
        second.wait_for(GOT_IT)
    assert not awaits_master(second) and app_key(second) == app_key(giver)
    [leaf] = onboardings(giver)
    assert leaf["app"] == f"evm:{CHAIN_ID}:{NOBODY}"
    assert re.search(rf"how=channel.*binding={leaf['binding']}", second.output), "the same session on both sides"
    assert set(leaf["outputs"]) == {"identity"} and leaf["governance"] and leaf["policy"] and leaf["reply"]
    second.kill()
    again = receiver(start, "127.0.0.1:9", giver.key)
    assert not awaits_master(again), "kept, and nobody is called any more"
    assert len(onboardings(giver)) == 1


def test_registry_049_who_is_not_approved_gets_nothing_until_he_is(start, giver):
    second = receiver(start, giver.channel, giver.key)
    if not re.search("no master key from registry.channel_peer yet", second.output):
        second.wait_for("no master key from registry.channel_peer yet")
    assert "the key service's own app" in second.output and "the other end refuses" in second.output
    assert awaits_master(second) and onboardings(giver) == []
    take_back = let_in(giver)
    second.wait_for(GOT_IT)
    take_back()
    third = receiver(start, giver.channel, giver.key, name="third")
    if "no master key from" not in third.output:
        third.wait_for("no master key from registry.channel_peer yet")
    assert len(onboardings(giver)) == 1


def refusal_of(server):
    pattern = r"no master key from registry.channel_peer yet.*reason=\"(.*)\" again"
    found = re.search(pattern, server.output) or server.wait_for(pattern)
    return found[1]


def test_registry_049_a_server_of_another_vendor_or_key_service_gets_nothing(start, giver, tmp_path):
    let_in(giver)
    vendor = "another vendor\n"
    stranger = receiver(start, giver.channel, giver.key, name="stranger", vendor=vendor)
    assert "not genuine" in refusal_of(stranger)
    other = receiver(start, giver.channel, "ab" * 32, name="other")
    assert "another audience" in refusal_of(other)
    assert onboardings(giver) == [] and awaits_master(stranger) and awaits_master(other)


def test_registry_049_a_server_of_other_firmware_is_not_believed(start, giver, tmp_path):
    let_in(giver)
    path = tmp_path / "others.json"
    path.write_text('{"format":1,"name":"others","identities":[{"name":"x","claims":{"mrtd":["' + "ab" * 48 + '"]}}]}')
    wary = receiver(start, giver.channel, giver.key, **{"registry.policy": path})
    assert "refuses the evidence" in refusal_of(wary)
    assert onboardings(giver) == []


# -- between two servers


def credentials(folder):
    """A self-signed certificate and its key, as ssl wants them."""
    key = ec.generate_private_key(ec.SECP256R1())
    path = folder / "own.pem"
    path.write_bytes(
        self_signed(key) + key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def context(folder, server):
    out = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    out.check_hostname = False
    out.verify_mode = ssl.CERT_NONE
    out.load_cert_chain(credentials(folder))
    out.set_alpn_protocols([PROTOCOL])
    return out


def call(folder, address, change=None):
    host, port = address.rsplit(":", 1)
    made = context(folder, server=False)
    if change:
        change(made)
    return made.wrap_socket(socket.create_connection((host, int(port)), timeout=PATIENCE))


def exactly(stream, size):
    out = b""
    while len(out) < size:
        more = stream.recv(size - len(out))
        if not more:
            raise EOFError
        out += more
    return out


def hear(stream):
    kind, size = struct.unpack(">BI", exactly(stream, 5))
    return kind, exactly(stream, size)


def say(stream, kind, body):
    stream.sendall(bytes([kind]) + lp(body))


def hello(stream, audience, nonce):
    say(stream, 1, lp(PROTOCOL.encode()) + lp(audience.encode()) + lp(nonce))
    kind, body = hear(stream)
    assert kind == 2
    return body[-32:]


def refused(stream, words):
    kind, body = hear(stream)
    assert kind == 4 and words in body.decode(errors="replace"), (kind, body)
    with pytest.raises((EOFError, OSError)):
        exactly(stream, 1)


class Between:
    """Accepts one caller after the other, and does with each what the test says."""

    def __init__(self, serve):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.serve = serve
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            caller.settimeout(PATIENCE)
            with contextlib.suppress(OSError, EOFError), caller:
                self.serve(caller)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(PATIENCE)


def test_registry_049_who_ends_tls_between_two_servers_gets_nothing(start, giver, tmp_path):
    """He has a connection with each, and passes on every message as it is."""
    let_in(giver)
    heard = []

    def serve(caller):
        inner = context(tmp_path, server=True).wrap_socket(caller, server_side=True)
        with call(tmp_path, giver.channel) as outer:
            for source, sink in ((inner, outer), (outer, inner), (inner, outer), (outer, inner)):
                kind, body = hear(source)
                heard.append((kind, body))
                say(sink, kind, body)

    with Between(serve) as between:
        victim = receiver(start, between.address, giver.key)
        assert "made for something else" in refusal_of(victim)
    assert [kind for kind, _ in heard[:4]] == [1, 2, 3, 4], "the victim's evidence was shown, and refused"
    assert onboardings(giver) == [] and awaits_master(victim)


def test_registry_049_evidence_of_one_session_is_none_in_another(start, giver, tmp_path):
    """Recorded where the victim called, and shown to the giving server with the same nonce."""
    let_in(giver)
    recorded = threading.Event()
    seen = {}

    def serve(caller):
        inner = context(tmp_path, server=True).wrap_socket(caller, server_side=True)
        _, body = hear(inner)
        seen["nonce"] = body[-32:]
        say(inner, 2, body[:-32] + os.urandom(32))
        seen["evidence"] = hear(inner)[1]
        recorded.set()

    with Between(serve) as between:
        receiver(start, between.address, giver.key)
        assert recorded.wait(PATIENCE)
    with call(tmp_path, giver.channel) as thief:
        hello(thief, f"key:{giver.key}", seen["nonce"])
        say(thief, 3, seen["evidence"])
        refused(thief, "made for something else")
    assert onboardings(giver) == []


def test_registry_049_own_evidence_sent_back_is_refused(start, giver, tmp_path):
    def serve(caller):
        inner = context(tmp_path, server=True).wrap_socket(caller, server_side=True)
        say(inner, 2, hear(inner)[1])
        say(inner, 3, hear(inner)[1])
        hear(inner)

    with Between(serve) as mirror:
        victim = receiver(start, mirror.address, giver.key)
        assert "made for something else" in refusal_of(victim)
    assert awaits_master(victim)


def test_registry_049_a_relay_of_sealed_bytes_changes_nothing(start, giver):
    """Whoever passes TLS on without ending it is a cable."""
    let_in(giver)

    def pump(source, sink):
        with contextlib.suppress(OSError):
            while more := source.recv(65536):
                sink.sendall(more)
            sink.shutdown(socket.SHUT_WR)

    def serve(caller):
        host, port = giver.channel.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as outer:
            back = threading.Thread(target=pump, args=(outer, caller), daemon=True)
            back.start()
            pump(caller, outer)
            back.join(PATIENCE)

    with Between(serve) as cable:
        second = receiver(start, cable.address, giver.key)
        if not re.search(GOT_IT, second.output):
            second.wait_for(GOT_IT)


# -- strangers


def test_registry_049_old_tls_and_sessions_to_resume_are_refused(giver, tmp_path):
    def old(made):
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises(ssl.SSLError):
        call(tmp_path, giver.channel, old)
    with pytest.raises((ssl.SSLError, OSError, EOFError)):
        other = call(tmp_path, giver.channel, lambda made: made.set_alpn_protocols(["http/1.1"]))
        exactly(other, 1)
    with call(tmp_path, giver.channel) as stream:
        hello(stream, f"key:{giver.key}", bytes(32))
        assert stream.version() == "TLSv1.3" and not stream.session.has_ticket


def test_registry_049_broken_messages_end_a_session(giver, tmp_path):
    for bytes_, words in (
        (b"\x01\xff\xff\xff\xff", "size of a message"),
        (b"\x05" + lp(b"x"), "out of order"),
        (b"\x09" + lp(b""), "kind of message"),
        (b"\x01" + lp(b"short"), "version"),
        (b"\x01" + lp(lp(PROTOCOL.encode()) + lp(b"key:" + b"00" * 32) + lp(bytes(32))), "another audience"),
        (b"\x01" + lp(lp(PROTOCOL.encode()) + lp(f"key:{giver.key}".encode()) + lp(bytes(31))), "nonce"),
    ):
        with call(tmp_path, giver.channel) as stream:
            stream.sendall(bytes_)
            refused(stream, words)
    with call(tmp_path, giver.channel) as stream:
        hello(stream, f"key:{giver.key}", bytes(32))
        say(stream, 3, lp(b"no quote") + b"\x00")
        refused(stream, "not genuine")


def test_registry_049_silent_callers_hold_up_nobody_for_long(start, giver, tmp_path):
    let_in(giver)
    host, port = giver.channel.rsplit(":", 1)
    silent = [socket.create_connection((host, int(port)), timeout=PATIENCE) for _ in range(3)]
    second = receiver(start, giver.channel, giver.key)
    if not re.search(GOT_IT, second.output):
        second.wait_for(GOT_IT)
    for one in silent:
        assert one.recv(1) == b"", "hung up on after the patience for evidence"
        one.close()


# -- the end of a server


def test_registry_049_a_server_ends_in_the_middle_of_sessions(giver, tmp_path):
    """One caller has said nothing, one has begun TLS, one has TLS, and one has the server's answer."""
    host, port = giver.channel.rsplit(":", 1)
    with contextlib.ExitStack() as stack:
        _, half = [stack.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE)) for _ in range(2)]
        half.sendall(b"\x16\x03\x01\x02\x00")  # a record of 512 bytes, of which none comes
        stack.enter_context(call(tmp_path, giver.channel))
        greeted = stack.enter_context(call(tmp_path, giver.channel))
        hello(greeted, f"key:{giver.key}", bytes(32))
        assert giver.terminate() == 0, giver.output


@pytest.mark.parametrize("tls", [False, True])
def test_registry_049_a_server_ends_while_it_waits_for_its_master(start, giver, tmp_path, tls):
    called, ended = threading.Event(), threading.Event()

    def serve(caller):
        inner = context(tmp_path, server=True).wrap_socket(caller, server_side=True) if tls else caller
        if tls:
            hear(inner)
        called.set()
        ended.wait(PATIENCE)

    with Between(serve) as nobody:
        waiting = receiver(start, nobody.address, giver.key)
        assert called.wait(PATIENCE)
        assert waiting.terminate() == 0, waiting.output
        ended.set()


def test_registry_channel_settings_are_checked(tmp_path):
    base = ["config", "check", f"--set=server.data={tmp_path}/x", "--set=registry.listen=127.0.0.1:0"]
    base += ["--set=server.realm=simulated", "--set=registry.contracts=any", "--set=registry.governance=local"]
    key, peer = "--set=registry.channel_key=" + "ab" * 32, "--set=registry.channel_peer=127.0.0.1:9"
    listen, onboard = "--set=registry.channel_listen=127.0.0.1:0", "--set=registry.kms=onboard"
    for flags, text in (
        ([listen], "registry.attestation"),
        ([peer, onboard], "registry.channel_key"),
        ([key], "registry.channel_peer"),
        ([peer, key], "registry.kms onboard"),
        ([peer, onboard, "--set=registry.channel_key=xyz"], "registry.channel_key"),
        ([peer, onboard, key], "registry.attestation"),
        ([listen, "--set=registry.attestation=dummy", "--set=registry.governance=chain"], "registry.kms_contract"),
        (
            [peer, onboard, key, "--set=registry.governance=chain", "--set=registry.kms_contract=" + "ab" * 20],
            "attestry kms onboard --channel",
        ),
    ):
        done = attestry(*base, *flags)
        assert done.code == 2 and text in done.err, done
