"""How often a token, an owner and a stranger may ask, and what is counted."""

from harness import request
from keystore import Client, Worker, start_keystore
from near import Chain, nodes

BODY = {"accessor": {"type": "WasmHash", "hash": "ab" * 32}, "profile": "default", "user_account_id": "a.testnet"}


def limited(reply, of):
    assert reply.status == 429 and f"limit of this {of}" in reply.json()["error"], reply
    assert int(reply.headers["Retry-After"]) >= 1


def test_rates(tmp_path):
    chain = Chain()
    # So low that no machine is slow enough to be let through again.
    rates = {"keystore.owner_rate": 1, "keystore.stranger_rate": 1, "keystore.token_rate": 1}
    with nodes(chain) as running:
        server = start_keystore(tmp_path / "data", chain, running, **{**rates, "keystore.token_rate": 0})
        worker = Worker(server, chain)
        assert worker.register().status == 200
        replies = [worker.in_session("/decrypt", {**BODY, "owner": "alice.testnet"}) for _ in range(20)]
        limited([reply for reply in replies if reply.status == 429][0], "owner")
        assert worker.in_session("/decrypt", {**BODY, "owner": "bob.testnet"}).status == 400
        stranger = Client(server, None)
        limited([reply for reply in (stranger.pubkey("a") for _ in range(20)) if reply.status == 429][0], "address")
        assert worker.pubkey("a").status == 200
        metrics = request(server.metrics, "GET", "/metrics").text
        for line in ('refusals_total{reason="rate-owner"}', 'refusals_total{reason="missing"}', "sessions 1"):
            assert f"attestry_keystore_{line}" in metrics, line
        assert server.terminate() == 0, server.output

        server = start_keystore(tmp_path / "data", chain, running, **rates)
        client = Client(server)
        replies = [client.call("GET", "/admin/loaded-vaults") for _ in range(20)]
        limited([reply for reply in replies if reply.status == 429][0], "token")
        assert server.terminate() == 0, server.output


def test_registrations_have_a_rate_of_their_own(tmp_path):
    chain = Chain()
    with nodes(chain) as running:
        server = start_keystore(tmp_path / "data", chain, running, **{"keystore.register_rate": 1})
        worker = Worker(server, chain)
        replies = [worker.post("/tee-challenge", None) for _ in range(20)]
        assert replies[0].status == 200, replies[0]
        refused = [reply for reply in replies if reply.status == 429][0]
        assert "limit of registrations of this token" in refused.json()["error"], refused
        assert int(refused.headers["Retry-After"]) >= 1
        # Neither another token's registrations nor this one's other requests are in its way.
        assert worker.call("GET", "/admin/loaded-vaults").status == 200
        metrics = request(server.metrics, "GET", "/metrics").text
        assert 'attestry_keystore_refusals_total{reason="rate-registrations"}' in metrics
        assert server.terminate() == 0, server.output
