"""The key that owners encrypt for, on the contract: published by its owner, compared when the server starts."""

import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from harness import PATIENCE, Program, attestry, request
from keystore import Client, settings_for, start_keystore
from near import Chain, base58, nodes
from workload import raw_public


@pytest.fixture
def chain():
    return Chain()


@pytest.fixture
def three(chain):
    with nodes(chain, 3) as running:
        yield running


def publish(tmp_path, chain, three, key, pubkey):
    path = tmp_path / "owner.key"
    seed = key.private_bytes_raw()
    path.write_text("ed25519:" + base58(seed + raw_public(key)) + "\n")
    rpc = [word for node in three for word in ("--rpc", node.url)]
    return attestry(
        "keystore", "publish-key", *rpc, "--network", chain.chain_id, "--contract", chain.contract, "--key", path,
        "--pubkey", pubkey,
    )  # fmt: skip


def test_a_key_is_published_and_compared(tmp_path, chain, three):
    server = start_keystore(tmp_path / "data", chain, three)
    shown = request(server.keystore, "GET", "/pubkey").json()
    assert server.terminate() == 0, server.output

    compare = {"keystore.published_key_method": "get_keystore_pubkey"}
    sets = [f"--set={name}={value}" for name, value in settings_for(chain, three, **compare).items()]
    refused = Program("dev", "--data", tmp_path / "data", "--any-port", *sets)
    refused.wait_for(r"Public key mismatch")
    assert refused.end() != 0, refused.output

    owner = Ed25519PrivateKey.generate()
    assert publish(tmp_path, chain, three, owner, shown["public_key_hex"]).code != 0  # not a key of the contract's
    assert chain.published is None
    permission = {"allowance": None, "receiver_id": chain.contract, "method_names": ["set_keystore_pubkey"]}
    chain.grant(chain.contract, "ed25519:" + base58(raw_public(owner)), {"FunctionCall": permission})
    done = publish(tmp_path, chain, three, owner, "Ed25519:" + shown["public_key_base58"])
    assert done.code == 0, done
    assert chain.published == shown["public_key_hex"] and len(chain.sent) == 1
    chain.move()

    server = start_keystore(tmp_path / "data", chain, three, **compare, **{"log.level": "info"})
    assert server.terminate() == 0, server.output
    assert "✓ Public key verified - matches contract" in server.output


def test_without_the_chain_the_server_comes_up_and_serves_nobody_until_the_key_was_compared(tmp_path, chain, three):
    server = start_keystore(tmp_path / "data", chain, three)
    chain.published = request(server.keystore, "GET", "/pubkey").json()["public_key_hex"]
    chain.move()
    assert server.terminate() == 0, server.output
    for node in three:
        node.dead = True
    compare = {"keystore.published_key_method": "get_keystore_pubkey"}
    server = start_keystore(tmp_path / "data", chain, three, **compare, **{"log.level": "info"})
    assert request(server.keystore, "GET", "/health").status == 200
    assert Client(server).pubkey("a").status == 503
    assert request(server.keystore, "GET", "/pubkey").status == 503
    masters = server.call("GET", "/v1/keystore/masters").json()
    assert not masters["ready"] and "not compared yet" in masters["reason"], masters
    for node in three:
        node.dead = False
    server.wait_for("Public key verified")
    assert Client(server).pubkey("a").status == 200
    assert server.terminate() == 0, server.output


def test_a_server_that_stops_does_not_wait_for_the_chain(tmp_path, chain, three):
    for node in three:
        node.dead = True
    compare = {"keystore.published_key_method": "get_keystore_pubkey"}
    server = start_keystore(tmp_path / "data", chain, three, **compare)
    released = threading.Event()
    for node in three:
        node.held, node.dead = released, False
    for node in three:
        assert node.holds.wait(PATIENCE)
    assert server.terminate() == 0, server.output
    released.set()
    # Who had waited for an answer would have said that there was none.
    assert "could not be compared" not in server.output, server.output
