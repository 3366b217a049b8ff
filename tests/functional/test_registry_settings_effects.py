"""Settings of the registry that change what a registration is answered, each on and off."""

import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from endpoints import Endpoint
from evm import Anvil
from registry import (
    Released,
    Workload,
    allow,
    bare,
    make_csr,
    measured,
    operator_extension,
    put_blob,
    start_registry,
    through_proxy,
)
from storage import Authority

CONFIG = b'{"listen":"0.0.0.0:443"}'


@pytest.fixture(scope="module")
def chain():
    with Anvil() as node:
        yield node


@contextlib.contextmanager
def running(data, chain, **settings):
    server = start_registry(data, chain, **{f"registry.{name}": value for name, value in settings.items()})
    yield server
    assert server.terminate() == 0, server.output


@pytest.mark.parametrize(("trusted", "status"), [("ours", 200), ("theirs", 503), ("", 503)])
def test_registry_rpc_ca_is_whom_the_endpoints_are_believed_by(tmp_path, chain, contract, trusted, status):
    authorities = {name: Authority(name) for name in ("ours", "theirs")}
    for name, authority in authorities.items():
        (tmp_path / f"{name}.pem").write_bytes(authority.pem)
    ca = tmp_path / f"{trusted}.pem" if trusted else ""
    with Endpoint(chain, tls=authorities["ours"].issue(tmp_path, "endpoint", ["127.0.0.1"])) as endpoint:
        with running(tmp_path / "data", chain, rpc=endpoint.url, rpc_ca=ca) as server:
            workload = Workload(server, contract.address, chain.accounts[0].key)
            allow(contract, workload, CONFIG)
            assert workload.register().status == status
            assert ("eth_call" in endpoint.asked) == (status == 200)


def test_registry_tenant_is_whose_storage_is_read(tmp_path, chain, contract):
    with running(tmp_path / "data", chain, tenant="payments") as server:
        workload = Workload(server, contract.address, chain.accounts[0].key)
        allow(contract, workload, CONFIG)  # into the default tenant's folder
        assert workload.register().status == 503
        put_blob(server, contract.address, "configs", CONFIG, tenant="payments")
        released = Released(workload.register())
        assert released.config == CONFIG
        leaf = server.leaves()[int(released.headers["X-Attestry-Leaf"])]
        assert leaf["tenant"] == "payments"


@pytest.mark.parametrize("legacy", [True, False])
def test_registry_legacy_maa_takes_registers_as_characters(tmp_path, chain, contract, legacy):
    raw = {4: "4" * 32, 9: "9" * 32, 11: "b" * 32}
    identity = contract.call("MAAIdentity", ([raw.get(i, "").encode().ljust(32, b"\0") for i in range(24)],))
    operator = chain.accounts[0].key
    key = ec.generate_private_key(ec.SECP256R1())
    csr = make_csr(contract.address, key, operator=operator_extension(key, operator))
    proxied = {"proxy_listen": f"unix:{tmp_path}/proxy.sock", "legacy_maa": str(legacy).lower()}
    with running(tmp_path / "data", chain, **proxied) as server:
        config = put_blob(server, contract.address, "configs", CONFIG)
        contract.send("setConfigForIdentity", identity, bytes.fromhex(config))
        contract.send("setStorageBackend", "file://./store/")
        path = f"/api/attested/register/{bare(contract.address)}"
        reply = through_proxy(server, "POST", path, csr, measured(raw, "azure-tdx"))
        if legacy:
            assert Released(reply).config == CONFIG
        else:
            assert reply.status == 400 and "invalid MAA measurement value" in reply.text, reply
