"""A real Ethereum node on this machine (anvil) and our contracts on it.

  with Anvil() as chain:                              # a free port; flags of anvil as arguments
      registry = chain.deploy("Registry")             # by the first account, which becomes its owner
      receipt = registry.send("setConfigForIdentity", identity, config)
      registry.send("freeze", sender=chain.accounts[1])        # raises Reverted, with .reason and .data
      registry.call("IdentityAllowed", identity, chain.accounts[0].address)

tools/deps/npm.sh puts anvil where this looks for it. Accounts are anvil's well-known ones: rich, and known to all."""

import http.client
import json
import os
import pathlib
import queue
import re
import subprocess
import threading

import abi
from harness import PATIENCE, ROOT

NPM = pathlib.Path(os.environ.get("ATTESTRY_NPM", ROOT / ".cache" / "npm"))
ARTIFACTS = ROOT / "contracts" / "artifacts"
OLDER = ROOT / "tests" / "contracts" / "artifacts"
OPENZEPPELIN = NPM / "@openzeppelin" / "contracts" / "build" / "contracts"
ZERO = "0x" + "00" * 20


class RpcError(Exception):
    """An answer of the node that is an error."""

    def __init__(self, method, error):
        super().__init__(f"{method}: {error}")
        self.code, self.text, self.data = error.get("code"), error.get("message", ""), error.get("data")


class Reverted(Exception):
    """The contract refused. reason: text of Error(string), name of a known error with its arguments, or the hex of
    what came; data: all bytes that came; transaction: its hash, when it is in a block all the same."""

    transaction = None

    def __init__(self, data, artifact=None):
        self.data = data
        self.reason = _reason(data, artifact)
        super().__init__(self.reason)


def _reason(data, artifact):
    if data[:4] == abi.selector("Error(string)"):
        return abi.decode(["string"], data[4:])[0]
    for entry in artifact.errors if artifact else []:
        if data[:4] == entry.selector:
            arguments = abi.decode(entry.inputs, data[4:])
            return f"{entry.name}({', '.join(x if isinstance(x, str) else '0x' + x.hex() for x in arguments)})"
    return "0x" + data.hex()


class Account:
    def __init__(self, address, key):
        self.address, self.key = address.lower(), key  # key: 32 bytes

    def __str__(self):
        return self.address


class Entry:
    """A function, event or error of an interface."""

    def __init__(self, about):
        self.name = about["name"]
        self.inputs = [abi.Type(item) for item in about["inputs"]]
        self.indexed = [item.get("indexed", False) for item in about["inputs"]]
        self.outputs = [abi.Type(item) for item in about.get("outputs", [])]
        self.mutability = about.get("stateMutability")
        self.signature = f"{self.name}({','.join(map(str, self.inputs))})"
        self.selector = abi.selector(self.signature)
        self.topic = abi.keccak(self.signature.encode())


class Artifact:
    """contracts/artifacts/<name>.json, one of tests/contracts (folder=OLDER), or one that OpenZeppelin has
    compiled (folder=OPENZEPPELIN)."""

    def __init__(self, name, folder=ARTIFACTS):
        about = json.loads((folder / f"{name}.json").read_text())
        self.name, self.about = name, about
        self.bytecode = bytes.fromhex(about["bytecode"][2:])
        functions = [Entry(item) for item in about["abi"] if item["type"] == "function"]
        names = [entry.name for entry in functions]
        # One that shares its name with another is known by its signature.
        self.functions = {x.name if names.count(x.name) == 1 else x.signature: x for x in functions}
        constructors = [item for item in about["abi"] if item["type"] == "constructor"]
        self.constructor = [abi.Type(item) for about in constructors for item in about["inputs"]]
        self.events = [Entry(item) for item in about["abi"] if item["type"] == "event"]
        self.errors = [Entry(item) for item in about["abi"] if item["type"] == "error"]


class Event:
    def __init__(self, entry, log):
        self.name, self.log = entry.name, log
        topics = iter(log["topics"][1:])
        plain = [kind for kind, indexed in zip(entry.inputs, entry.indexed, strict=True) if not indexed]
        values = iter(abi.decode(plain, bytes.fromhex(log["data"][2:])))
        self.arguments = []
        for kind, indexed in zip(entry.inputs, entry.indexed, strict=True):
            word = bytes.fromhex(next(topics)[2:]) if indexed else None
            self.arguments.append(kind.decode(word) if indexed else next(values))

    def __repr__(self):
        return f"{self.name}{tuple(self.arguments)}"


class Contract:
    """A contract on a chain, with its interface."""

    def __init__(self, chain, artifact, address):
        self.chain, self.address = chain, address.lower()
        self.artifact = Artifact(artifact) if isinstance(artifact, str) else artifact

    def calldata(self, function, *arguments):
        entry = self.artifact.functions[function]
        return entry.selector + abi.encode(entry.inputs, arguments)

    def call(self, function, *arguments, sender=None, block="latest"):
        """The result of a call that changes nothing: the value, or a list of them when there are several."""
        data = self.chain.eth_call(self.address, self.calldata(function, *arguments), sender, block, self.artifact)
        values = abi.decode(self.artifact.functions[function].outputs, data)
        return values[0] if len(values) == 1 else values

    def call_all(self, calls, sender=None):
        """One batch of (function, arguments): of each its value, or Reverted."""
        requests = []
        for function, arguments in calls:
            call = {"to": self.address, "data": "0x" + self.calldata(function, *arguments).hex()}
            requests.append(("eth_call", [call | ({"from": str(sender)} if sender else {}), "latest"]))
        values = []
        for (function, _), answer in zip(calls, self.chain.rpc_batch(requests), strict=True):
            if "error" in answer:
                values.append(_as_revert(RpcError("eth_call", answer["error"]), self.artifact))
                continue
            outputs = self.artifact.functions[function].outputs
            decoded = abi.decode(outputs, bytes.fromhex(answer["result"][2:]))
            values.append(decoded[0] if len(decoded) == 1 else decoded)
        return values

    def send(self, function, *arguments, sender=None, wait=True, **fields):
        """A transaction; its receipt, with .events, or its hash when there is no waiting for a block."""
        data = self.calldata(function, *arguments)
        return self.chain.send(self.address, data, sender, wait=wait, artifact=self.artifact, **fields)


class Receipt(dict):
    events = ()

    @property
    def gas(self):
        return int(self["gasUsed"], 16)


class Anvil:
    def __init__(self, *flags, port=0):
        command = [
            NPM / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        self.process = subprocess.Popen(
            [*command, *map(str, flags)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._wait_until_it_listens()

    def _read(self):
        listening = False
        for line in self.process.stdout:
            if not listening:
                self._lines.put(line)
            listening = listening or line.startswith("Listening on")
        self._lines.put(None)

    def _wait_until_it_listens(self):
        numbered, text = [], ""
        while True:
            line = self._lines.get(timeout=PATIENCE)
            if line is None:
                raise AssertionError(f"anvil ended ({self.process.wait()}):\n{text}")
            text += line
            if found := re.match(r"\(\d+\) (0x[0-9A-Fa-f]+)", line):
                numbered.append(found[1])
            if found := re.match(r"Listening on 127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                break
        keys = [bytes.fromhex(item[2:]) for item in numbered if len(item) == 66]
        self.accounts = [Account(*pair) for pair in zip([x for x in numbered if len(x) == 42], keys, strict=True)]
        self.url = f"http://127.0.0.1:{self.port}"
        self.chain_id = int(self.rpc("eth_chainId"), 16)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        self.process.stdout.close()

    def rpc(self, method, *parameters):
        answer = self._post({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)})
        if "error" in answer:
            raise RpcError(method, answer["error"])
        return answer["result"]

    def rpc_batch(self, requests):
        """Answers, with their errors, to (method, parameters) pairs, in their order."""
        named = enumerate(requests)
        batch = [{"jsonrpc": "2.0", "id": i, "method": method, "params": list(rest)} for i, (method, rest) in named]
        return sorted(self._post(batch), key=lambda answer: answer["id"])

    def _post(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("POST", "/", json.dumps(body), {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    # Blocks

    @property
    def height(self):
        return int(self.rpc("eth_blockNumber"), 16)

    def block(self, number="latest"):
        return self.rpc("eth_getBlockByNumber", hex(number) if isinstance(number, int) else number, False)

    def mine(self, count=1):
        self.rpc("anvil_mine", hex(count))

    def reorg(self, depth, transactions=()):
        """Replaces the last blocks by others. transactions: (raw transaction or call object, block offset) pairs."""
        self.rpc("anvil_reorg", depth, list(transactions))

    def snapshot(self):
        return self.rpc("evm_snapshot")

    def revert(self, snapshot):
        assert self.rpc("evm_revert", snapshot)

    def changed(self, transaction, address):
        """Whether that transaction changed the storage of that contract."""
        tracer = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
        difference = self.rpc("debug_traceTransaction", transaction, tracer)
        return address in difference["pre"] or address in difference["post"]

    # Accounts and contracts

    def impersonate(self, address, ether=1000):
        """Lets any address send transactions, a contract's for example."""
        self.rpc("anvil_impersonateAccount", address)
        self.rpc("anvil_setBalance", address, hex(ether * 10**18))
        return address

    def eth_call(self, to, data, sender=None, block="latest", artifact=None, **fields):
        call = {"to": to, "data": "0x" + data.hex(), **fields}
        if sender is not None:
            call["from"] = str(sender)
        try:
            answer = self.rpc("eth_call", call, hex(block) if isinstance(block, int) else block)
        except RpcError as error:
            raise _as_revert(error, artifact) from None
        return bytes.fromhex(answer[2:])

    def send(self, to, data=b"", sender=None, wait=True, artifact=None, **fields):
        transaction = {"from": str(sender or self.accounts[0]), "data": "0x" + data.hex(), **fields}
        if to is not None:
            transaction["to"] = to
        # The second answers when the transaction is in a block.
        method = "eth_sendTransactionSync" if wait else "eth_sendTransaction"
        try:
            sent = self.rpc(method, transaction)
        except RpcError as error:
            raise _as_revert(error, artifact) from None
        if not wait:
            return sent
        if sent["status"] != "0x1":  # it is in a block, without effect; a call on the block before says why
            try:
                self.eth_call(to, data, transaction["from"], int(sent["blockNumber"], 16) - 1, artifact, **fields)
            except Reverted as reverted:
                reverted.transaction = sent["transactionHash"]
                raise
        return self._receipt(sent, artifact)

    def receipt(self, transaction, artifact=None):
        """Of a transaction that is in a block."""
        return self._receipt(self.rpc("eth_getTransactionReceipt", transaction), artifact)

    def _receipt(self, answer, artifact):
        assert answer is not None, "the transaction is in no block"
        assert answer["status"] == "0x1", answer
        receipt = Receipt(answer)
        known = {"0x" + entry.topic.hex(): entry for entry in (artifact.events if artifact else [])}
        receipt.events = [Event(known[log["topics"][0]], log) for log in receipt["logs"] if log["topics"][0] in known]
        return receipt

    def deploy(self, artifact, *arguments, sender=None):
        """artifact: the name of one of ours, or an Artifact."""
        artifact = Artifact(artifact) if isinstance(artifact, str) else artifact
        code = artifact.bytecode + abi.encode(artifact.constructor, arguments)
        receipt = self.send(None, code, sender, artifact=artifact)
        contract = Contract(self, artifact, receipt["contractAddress"])
        contract.receipt = receipt
        return contract

    def contract(self, name, address):
        """One that is there already."""
        return Contract(self, name, address)


def _as_revert(error, artifact):
    """What a node says about a revert, or the error itself when it is about something else."""
    if isinstance(error.data, str) and error.data.startswith("0x") and "revert" in error.text:
        return Reverted(bytes.fromhex(error.data[2:]), artifact)
    return error
