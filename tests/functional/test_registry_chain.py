"""What the program believes of a chain: several endpoints in front of a real node, and each of them may lie, lag,
censor, hang or be dead."""

import contextlib
import json
import subprocess
import time

import abi
import pytest
from endpoints import Endpoint, until
from evm import ARTIFACTS, Anvil
from harness import ATTESTRY, attestry, clean_environment

IDENTITY = bytes(31) + b"\x07"
CONFIG = bytes(31) + b"\x09"
OTHER = bytes(31) + b"\x0a"
REFUSED, USAGE, UNAVAILABLE = 1, 2, 3


@pytest.fixture
def registry(chain):
    contract = chain.deploy("Registry")
    contract.send("setConfigForIdentity", IDENTITY, CONFIG)
    chain.mine(4)
    return contract


@pytest.fixture
def endpoints(chain):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Endpoint(chain)) for _ in range(3)]


def flags(chain, endpoints, *more, finality="depth:2"):
    urls = [flag for endpoint in endpoints for flag in ("--rpc", endpoint.url)]
    return [*urls, "--chain-id", str(chain.chain_id), "--finality", finality, "--timeout", "8", *more]


def head(chain, endpoints, *more, finality="depth:2"):
    return attestry("chain", "head", *flags(chain, endpoints, "--format", "json", *more, finality=finality))


def question(registry, function="ConfigForIdentity"):
    data = registry.calldata(function, IDENTITY, registry.chain.accounts[0].address)
    return ["--to", registry.address, "--data", "0x" + data.hex()]


def call(chain, endpoints, registry):
    return attestry("chain", "call", *flags(chain, endpoints), *question(registry))


class Watch:
    """`attestry chain watch`: one reader over many heads."""

    def __init__(self, chain, endpoints, *more):
        self._process = subprocess.Popen(
            [ATTESTRY, "chain", "watch", *flags(chain, endpoints, *more)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
            text=True,
        )
        self.first = self._read()

    def _read(self):
        return json.loads(self._process.stdout.readline())

    def again(self):
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.communicate()
        assert self._process.returncode == 0


def by_name(report, endpoint):
    return next(item for item in report["endpoints"] if item["name"] == endpoint.name)


# The head


def test_the_head_is_final_and_agreed_on(chain, registry, endpoints):
    done = head(chain, endpoints)
    assert done.code == 0, done
    report = done.json()
    assert report["head"]["number"] == chain.height - 2
    assert report["head"]["hash"] == chain.block(chain.height - 2)["hash"]
    assert report["agreeing"] >= 2
    assert report["quorum"] == 2


def test_tags_of_a_real_node_are_understood(chain, registry, endpoints):
    chain.mine(100)
    for finality in ("safe", "finalized"):
        expected = chain.block(finality)
        done = head(chain, endpoints, "--max-final-age", "0", finality=finality)
        assert done.code == 0, done
        assert done.json()["head"]["hash"] == expected["hash"]


def test_another_chain_is_refused(chain, registry, endpoints):
    with Anvil("--chain-id", "99") as other:
        with Endpoint(other) as stranger:
            done = head(chain, [endpoints[0], stranger])
            assert done.code == UNAVAILABLE, done
            assert by_name(done.json(), stranger)["wrong_chain"]
            assert head(chain, [endpoints[0], endpoints[1], stranger]).code == 0


# Minorities change nothing


def test_a_lying_endpoint_is_outvoted_and_named(chain, registry, endpoints):
    def lie(method, _, answer):
        return {"result": "0x" + OTHER.hex()} if method == "eth_call" else answer

    endpoints[0].change = lie
    done = call(chain, endpoints, registry)
    assert (done.code, done.out.strip()) == (0, "0x" + CONFIG.hex()), done

    def another_block(method, _, answer):
        if method == "eth_getBlockByNumber" and answer["result"]:
            answer["result"]["hash"] = "0x" + "ab" * 32
        return answer

    endpoints[0].change = another_block
    with Watch(chain, endpoints) as watch:
        line = watch.first
        while by_name(line["status"], endpoints[0])["disagreed"] == 0:  # it may be too slow to be heard
            line = watch.again()
            assert line["status"]["head"]["hash"] == chain.block(chain.height - 2)["hash"]


def test_a_lagging_endpoint_changes_nothing(chain, registry, endpoints):
    endpoints[1].lag = 4
    with Watch(chain, endpoints) as watch:
        line = watch.first
        while by_name(line["status"], endpoints[1])["lag"] != 4:
            line = watch.again()
            assert line["status"]["head"]["number"] == chain.height - 2
    assert call(chain, endpoints, registry).code == 0


def test_a_censoring_endpoint_changes_nothing(chain, registry, endpoints):
    refusal = abi.selector("Error(string)") + abi.encode([abi.Type({"type": "string", "name": ""})], ["not allowed"])

    def censor(method, _, answer):
        if method == "eth_call":
            return {"error": {"code": 3, "message": "execution reverted", "data": "0x" + refusal.hex()}}
        return {"result": []} if method == "eth_getLogs" else answer

    endpoints[2].change = censor
    done = call(chain, endpoints, registry)
    assert (done.code, done.out.strip()) == (0, "0x" + CONFIG.hex()), done


def test_a_dead_endpoint_changes_nothing(chain, registry, endpoints):
    endpoints[0].die()
    assert call(chain, endpoints, registry).code == 0
    with Watch(chain, endpoints) as watch:
        line = watch.first
        while not by_name(line["status"], endpoints[0])["trouble"]:
            line = watch.again()
            assert line["status"]["head"]["number"] == chain.height - 2


def test_a_hanging_endpoint_delays_nobody(chain, registry, endpoints):
    with Watch(chain, endpoints, *question(registry)) as watch:
        endpoints[1].silent = True
        for _ in range(5):  # were each to wait for it, the last would come after its deadline
            chain.mine()
            line = watch.again()
            assert line["outcome"]["data"] == "0x" + CONFIG.hex()
            assert line["status"]["head"]["number"] == chain.height - 2
        endpoints[1].die()


# Without a quorum


def test_without_a_quorum_nothing_is_known_and_nothing_denied(chain, registry, endpoints):
    endpoints[0].die()
    endpoints[1].die()
    done = call(chain, endpoints, registry)
    assert done.code == UNAVAILABLE, done
    assert endpoints[0].name in done.err
    assert endpoints[1].name in done.err


def test_two_that_hide_a_contract_from_one_another_are_no_quorum(chain, registry, endpoints):
    def lie(method, _, answer):
        return {"result": "0x" + OTHER.hex()} if method == "eth_call" else answer

    endpoints[0].change = lie
    assert call(chain, endpoints[:2], registry).code == UNAVAILABLE


def test_a_revert_is_an_answer(chain, registry, endpoints):
    data = registry.calldata("ConfigForIdentity", OTHER, chain.accounts[0].address)
    done = attestry("chain", "call", *flags(chain, endpoints), "--to", registry.address, "--data", data.hex())
    assert (done.code, done.out) == (REFUSED, "reverted: Config not mapped\n"), done


# Reorganisations


def test_a_reorganisation_above_the_finality_changes_nothing(chain, registry, endpoints):
    with Watch(chain, endpoints, *question(registry)) as watch:
        before = watch.first["status"]["head"]
        chain.reorg(2)
        line = watch.again()
        assert line["status"]["head"] == before
        chain.mine(3)
        line = watch.again()
        assert line["status"]["head"]["number"] > before["number"]
        assert line["outcome"]["data"] == "0x" + CONFIG.hex()


def test_a_reorganisation_below_the_finality_stops_everything(chain, registry, endpoints):
    with Watch(chain, endpoints, *question(registry)) as watch:
        assert "outcome" in watch.first
        chain.reorg(5)
        line = watch.again()
        assert line["error"]["code"] == "unavailable"
        assert "below the finality" in line["error"]["what"]
        assert line["status"]["alarm"]
        chain.mine(10)
        assert watch.again()["error"]["code"] == "unavailable"  # until somebody has looked


# The watchdog


def test_a_chain_that_stands_still_fails_closed(endpoints, chain):
    with Anvil("--timestamp", str(int(time.time()) - 600)) as old:
        old.rpc("anvil_mine", "0x4", "0x1")
        with Endpoint(old) as endpoint:
            done = head(old, [endpoint])
            assert done.code == UNAVAILABLE, done
            assert "too old" in done.err
            assert done.json()["stalled"]
            assert head(old, [endpoint], "--max-head-age", "0").code == 0


# Events


def test_results_stay_until_an_event_of_the_contract(chain, registry, endpoints):
    with Watch(chain, endpoints, "--trust-events", *question(registry)) as watch:
        asked = lambda: sum(endpoint.asked.count("eth_call") for endpoint in endpoints)  # noqa: E731
        until(lambda: asked() == 3)  # the last of them answers when two have decided
        before = asked()
        for _ in range(3):
            chain.mine(2)
            assert watch.again()["outcome"]["data"] == "0x" + CONFIG.hex()
        assert asked() == before
        registry.send("setConfigForIdentity", IDENTITY, OTHER)
        endpoints[0].change = lambda method, _, answer: {"result": []} if method == "eth_getLogs" else answer
        assert watch.again()["outcome"]["data"] == "0x" + CONFIG.hex()  # in a block that is not final
        chain.mine(2)
        assert watch.again()["outcome"]["data"] == "0x" + OTHER.hex()
        registry.send("removeConfigMapForIdentity", IDENTITY)
        chain.mine(2)
        line = watch.again()
        assert line["outcome"]["reverted"]
        assert line["outcome"]["reason"] == "Config not mapped"


# Proofs


def mapping_slot(key, slot):
    return "0x" + abi.keccak(key + slot.to_bytes(32, "big")).hex()


def slot_of_configs(chain, registry):
    """Which slot identityConfigMap has, by looking: its layout is the compiler's business."""
    for slot in range(32):
        value = chain.rpc("eth_getStorageAt", registry.address, mapping_slot(IDENTITY, slot), "latest")
        if value == "0x" + CONFIG.hex():
            return slot
    raise AssertionError("no slot holds the mapping")


def test_storage_is_proved_against_the_block(chain, registry, endpoints):
    slot = slot_of_configs(chain, registry)
    arguments = ["--to", registry.address, "--slot", mapping_slot(IDENTITY, slot), "--slot", mapping_slot(OTHER, slot)]
    done = attestry("chain", "storage", *flags(chain, endpoints), *arguments)
    assert (done.code, done.out.split()) == (0, ["0x" + CONFIG.hex(), "0x" + "00" * 32]), done

    def lie(method, _, answer):
        if method == "eth_getProof":
            node = answer["result"]["storageProof"][0]["proof"][-1]
            answer["result"]["storageProof"][0]["proof"][-1] = node[:-2] + "0a"
        return answer

    endpoints[0].change = endpoints[1].change = lie  # one honest endpoint is enough where things are proved
    done = attestry("chain", "storage", *flags(chain, endpoints), *arguments)
    assert (done.code, done.out.split()[0]) == (0, "0x" + CONFIG.hex()), done
    endpoints[2].change = lie
    done = attestry("chain", "storage", *flags(chain, endpoints), *arguments)
    assert done.code == UNAVAILABLE, done
    nobody = ["--to", "0x" + "77" * 20, "--slot", "0"]  # that it does not exist is proved, whatever else is said
    done = attestry("chain", "storage", *flags(chain, endpoints), *nobody)
    assert (done.code, done.out.split()) == (0, ["0x" + "00" * 32]), done


# Transactions


def send(chain, endpoints, key, *more):
    urls = [flag for endpoint in endpoints for flag in ("--rpc", endpoint.url)]
    chain_id = ["--chain-id", str(chain.chain_id)]
    return attestry("chain", "send", *urls, *chain_id, "--key", "-", *more, stdin=key.hex().encode() + b"\n")


def test_transactions_are_signed_sent_and_waited_for(chain, endpoints):
    account = chain.accounts[0]
    bytecode = json.loads((ARTIFACTS / "Registry.json").read_text())["bytecode"]
    endpoints[1].die()
    done = send(chain, endpoints, account.key, "--data", bytecode)
    assert done.code == 0, done
    receipt = done.json()
    assert receipt["from"] == account.address
    registry = chain.contract("Registry", receipt["contract"])
    assert registry.call("owner") == account.address
    data = registry.calldata("setConfigForIdentity", IDENTITY, CONFIG)
    done = send(chain, endpoints, account.key, "--to", registry.address, "--data", data.hex())
    assert done.code == 0, done
    assert registry.call("ConfigForIdentity", IDENTITY, account.address) == CONFIG


def test_a_refused_transaction_is_not_sent_and_says_why(chain, registry, endpoints):
    stranger = chain.accounts[3]
    height = chain.height
    data = registry.calldata("setConfigForIdentity", IDENTITY, OTHER)
    done = send(chain, endpoints, stranger.key, "--to", registry.address, "--data", data.hex())
    assert done.code == REFUSED, done
    assert "OwnableUnauthorizedAccount" in done.err
    assert chain.height == height


def test_a_transaction_for_another_chain_is_not_signed(chain, endpoints):
    urls = ["--rpc", endpoints[0].url, "--chain-id", "5"]
    done = attestry("chain", "send", *urls, "--key", "-", "--data", "00", stdin=chain.accounts[0].key.hex().encode())
    assert done.code == USAGE, done
    assert "another chain" in done.err
