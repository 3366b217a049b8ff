"""A node of NEAR for tests, over HTTP: blocks, accounts, access keys and one contract's views, as far as a keystore asks
for them. Strict: what a real node refuses is refused here. Its vices are switches: dead, lagging, lying."""

import base64
import contextlib
import hashlib
import http.server
import json
import ssl
import struct
import threading
import time

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data):
    number, out = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        out = ALPHABET[rest] + out
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + out


def unbase58(text):
    number = 0
    for letter in text:
        number = number * 58 + ALPHABET.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + (number.to_bytes((number.bit_length() + 7) // 8, "big") if number else b"")


class Failure(Exception):
    """What a node says in `error`."""

    def __init__(self, cause, info=None, name="HANDLER_ERROR"):
        self.body = {
            "name": name,
            "cause": {"name": cause, "info": info or {}},
            "code": -32000,
            "message": "Server error",
            "data": cause,
        }


class Panic(Exception):
    """What a contract says when it refuses a call."""


def external(accessor):
    """The contract's form of an accessor, which is checked: {"Repo": {"repo", "branch"}}, …"""
    [(kind, fields)] = accessor.items()
    wanted = {"Repo": {"repo", "branch"}, "WasmHash": {"hash"}, "Project": {"project_id"}}
    if kind == "System":
        assert fields == "PaymentKey", accessor
    else:
        assert set(fields) == wanted[kind], accessor
    return json.dumps(accessor, sort_keys=True)


class Chain:
    """What is true; several nodes may show it."""

    def __init__(self, contract="outlayer.testnet", chain_id="testnet"):
        self.contract, self.chain_id = contract, chain_id
        self.height = 1000
        self.accounts = {contract: 10**26}
        self.keys = {}  # account -> {public key: permission}
        self.secrets = {}
        self.views = {}  # (contract, method) -> function of the arguments
        self.contracts = {}  # account -> object with view(method, args) and call(signer, method, args, gas)
        self.nonces = {}  # (account, public key) -> the last one that was used
        self.code = {}  # account -> base58 of its code's hash
        self.policies = {}  # wallet's key -> entry
        self.sent = []
        self.calls = []  # (signer, receiver, method, arguments) of transactions
        self.poor = set()  # accounts that cannot pay
        self.published = None
        self.lock = threading.Lock()

    def move(self, blocks=1):
        self.height += blocks

    def hash(self, height):
        return hashlib.sha256(b"block %d" % height).digest()

    def store(self, accessor, profile, owner, blob, access="AllowAll", vault=None):
        self.secrets[(external(accessor), profile, owner)] = {
            "profile": {
                "encrypted_secrets": base64.b64encode(blob).decode() if isinstance(blob, bytes) else blob,
                "access": access,
                "created_at": 1,
                "updated_at": 1,
                "storage_deposit": "1000",
                "accessor": accessor,
            },
            "vault_id": vault,
        }
        self.move()

    def forget(self):
        """The owners delete what they have stored."""
        self.secrets.clear()
        self.move()

    def add_key(self, account, public_key):
        self.accounts.setdefault(account, 10**25)
        self.keys.setdefault(account, {})[public_key] = {
            "FunctionCall": {"allowance": None, "receiver_id": self.contract, "method_names": ["resolve_execution"]}
        }

        self.move()

    def grant(self, account, public_key, permission):
        self.accounts.setdefault(account, 10**25)
        self.keys.setdefault(account, {})[public_key] = permission
        self.move()

    def remove_key(self, account, public_key):
        del self.keys[account][public_key]
        self.move()

    def view(self, contract, method, args):
        if (contract, method) in self.views:
            return self.views[(contract, method)](args)
        if contract in self.contracts and (found := self.contracts[contract].view(method, args)) is not None:
            return found
        if contract != self.contract or method != "get_secret_with_vault":
            if contract == self.contract and method == "get_keystore_pubkey":
                return self.published
            if contract == self.contract and method == "get_wallet_policy":
                assert set(args) == {"wallet_pubkey"}, args
                return self.policies.get(args["wallet_pubkey"])
            if contract not in self.accounts:
                raise Failure("UNKNOWN_ACCOUNT", {"requested_account_id": contract})
            vm = "wasm execution failed with error: MethodResolveError(MethodNotFound)"
            raise Failure("CONTRACT_EXECUTION_ERROR", {"vm_error": vm})
        assert set(args) == {"accessor", "profile", "owner"}, args
        wanted = external(args["accessor"])
        found = self.secrets.get((wanted, args["profile"], args["owner"]))
        if found is None and "Repo" in args["accessor"]:
            anywhere = {"Repo": {"repo": args["accessor"]["Repo"]["repo"], "branch": None}}
            found = self.secrets.get((external(anywhere), args["profile"], args["owner"]))
        return found or {"profile": None, "vault_id": None}


class Node:
    """One endpoint of a chain. Context manager; `.url`, `.asked` counts requests by method, `.queries` are the accounts
    asked about with the arguments of the call."""

    def __init__(self, chain, tls=None):
        """tls: (certificate file, key file), for one that is called by https."""
        self.chain = chain
        self.dead = False  # closes connections without an answer
        self.held = None  # an event: answers nothing before it is set; `.holds` is set once somebody waits
        self.holds = threading.Event()
        self.lag = 0  # blocks behind
        self.age = 0  # seconds that its newest block is old
        self.lie = None  # function of (method, params, result) -> result
        self.asked = {}
        self.queries = []  # (account, arguments)
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if node.dead:
                    self.close_connection = True
                    return
                if node.held:
                    node.holds.set()
                    node.held.wait()
                status, answer = node.answer(self.headers, body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        class Threads(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                """A client that goes away is no failure of a node."""

        self.server = Threads(("127.0.0.1", 0), Handler)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_port}"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, headers, body):
        try:
            asked = json.loads(body)
            right = headers.get_content_type() == "application/json" and asked["jsonrpc"] == "2.0"
            method, params, number = asked["method"], asked["params"], asked["id"]
        except (ValueError, KeyError, TypeError):
            right, number = False, None
        if not right:
            return 400, {
                "jsonrpc": "2.0",
                "id": number,
                "error": Failure("PARSE_ERROR", None, "REQUEST_VALIDATION_ERROR").body,
            }
        with self.chain.lock:
            self.asked[method] = self.asked.get(method, 0) + 1
            try:
                result = self.run(method, params)
                if self.lie:
                    result = self.lie(method, params, result)
                return 200, {"jsonrpc": "2.0", "id": number, "result": result}
            except Failure as failure:
                return 200, {"jsonrpc": "2.0", "id": number, "error": failure.body}

    @property
    def height(self):
        return self.chain.height - self.lag

    def run(self, method, params):
        if method == "status":
            return {"chain_id": self.chain.chain_id, "sync_info": {"syncing": False}}
        if method == "block":
            return self.block(params)
        if method == "query":
            return self.query(params)
        if method in ("broadcast_tx_commit", "tx"):
            return self.transaction(method, params)
        raise Failure("METHOD_NOT_FOUND", None, "REQUEST_VALIDATION_ERROR")

    def block(self, params):
        if set(params) == {"finality"} and params["finality"] in ("final", "optimistic", "near-final"):
            height = self.height
        elif set(params) == {"block_id"}:
            height = self.known(params["block_id"])
        else:
            raise Failure("PARSE_ERROR", None, "REQUEST_VALIDATION_ERROR")
        now = time.time_ns() - self.age * 10**9
        return {
            "author": "node0",
            "chunks": [],
            "header": {
                "height": height,
                "hash": base58(self.chain.hash(height)),
                "prev_hash": base58(self.chain.hash(height - 1)),
                # A second for each block, the newest one now, or `age` ago.
                "timestamp": now - (self.chain.height - height) * 10**9,
                "timestamp_nanosec": str(now),
            },
        }

    def known(self, block_id):
        for height in range(self.height, max(0, self.height - 300), -1):
            if block_id in (height, base58(self.chain.hash(height))):
                return height
        raise Failure("UNKNOWN_BLOCK")

    def query(self, params):
        height = self.known(params["block_id"]) if "block_id" in params else self.height
        at = {"block_height": height, "block_hash": base58(self.chain.hash(height))}
        kind, account = params["request_type"], params["account_id"]
        args = json.loads(base64.b64decode(params.get("args_base64", ""), validate=True) or b"{}")
        self.queries.append((account, args))
        if kind == "call_function":
            value = self.chain.view(account, params["method_name"], args)
            return {**at, "result": list(json.dumps(value).encode()), "logs": []}
        if account not in self.chain.accounts:
            raise Failure("UNKNOWN_ACCOUNT", {"requested_account_id": account, **at})
        if kind == "view_account":
            return {
                **at,
                "amount": str(self.chain.accounts[account]),
                "locked": "0",
                "code_hash": self.chain.code.get(account, "1" * 32),
                "storage_usage": 182,
                "storage_paid_at": 0,
            }
        if kind == "view_access_key":
            permission = self.chain.keys.get(account, {}).get(params["public_key"])
            if permission is None:
                raise Failure("UNKNOWN_ACCESS_KEY", {"public_key": params["public_key"], **at})
            nonce = self.chain.nonces.get((account, params["public_key"]), 7)
            return {**at, "nonce": nonce, "permission": permission}
        if kind == "view_access_key_list":
            keys = self.chain.keys.get(account, {}).items()
            return {
                **at,
                "keys": [{"public_key": key, "access_key": {"nonce": 7, "permission": what}} for key, what in keys],
            }
        raise Failure("PARSE_ERROR", None, "REQUEST_VALIDATION_ERROR")

    def transaction(self, method, params):
        """Takes one function call; what it does by itself is `set_keystore_pubkey`, the rest stands in `calls`."""
        if method == "tx":
            wanted = params[0] if isinstance(params, list) else params["tx_hash"]
            known = [done for done in self.chain.sent if done["transaction"]["hash"] == wanted]
            if not known:
                raise Failure("UNKNOWN_TRANSACTION")
            return known[0]
        raw = base64.b64decode(params[0] if isinstance(params, list) else params["signed_tx_base64"], validate=True)
        done = self.executed(raw)
        if not any(one["transaction"]["hash"] == done["transaction"]["hash"] for one in self.chain.sent):
            self.chain.sent.append(done)
        return done

    def executed(self, raw):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

        # NEP-645: the number of a key's kind, and how long such a key and its signature are.
        kinds = {
            b"\0": ("ed25519", 32, 64, Ed25519PublicKey.from_public_bytes),
            b"\2": ("ml-dsa-65", 1952, 3309, MLDSA65PublicKey.from_public_bytes),
        }
        at = 0

        def take(size):
            nonlocal at
            at += size
            return raw[at - size : at]

        def text():
            return take(struct.unpack("<I", take(4))[0])

        signer = text().decode()
        kind = take(1)
        scheme, key_size, signature_size, public_key = kinds[kind]
        public = take(key_size)
        nonce = struct.unpack("<Q", take(8))[0]
        receiver = text().decode()
        take(32)
        assert struct.unpack("<I", take(4))[0] == 1 and take(1) == b"\2", "one function call"
        name, args = text().decode(), json.loads(text())
        gas, deposit = struct.unpack("<Q", take(8))[0], int.from_bytes(take(16), "little")
        digest = hashlib.sha256(raw[:at]).digest()
        assert take(1) == kind
        public_key(public).verify(take(signature_size), digest)
        assert at == len(raw)
        for done in self.chain.sent:
            if done["transaction"]["hash"] == base58(digest):
                return done
        key = f"{scheme}:" + base58(public)
        self.check_key(signer, key, nonce, receiver, name, deposit)
        assert gas <= 300 * 10**12, "the most that a transaction may have"
        self.chain.calls.append((signer, receiver, name, args))
        self.chain.nonces[(signer, key)] = nonce
        if receiver == self.chain.contract and name == "set_keystore_pubkey":
            assert set(args) == {"pubkey_hex"}, args
            self.chain.published = args["pubkey_hex"]
        status = {"SuccessValue": ""}
        if receiver in self.chain.contracts:
            try:
                value = self.chain.contracts[receiver].call(signer, name, args, gas)
                status = {"SuccessValue": base64.b64encode(json.dumps(value).encode()).decode()}
            except Panic as panic:
                said = {"FunctionCallError": {"ExecutionError": f"Smart contract panicked: {panic}"}}
                status = {"Failure": {"ActionError": {"index": 0, "kind": said}}}
        self.chain.move()
        return {
            "final_execution_status": "FINAL",
            "status": status,
            "transaction": {"hash": base58(digest), "nonce": nonce, "signer_id": signer, "receiver_id": receiver},
            "transaction_outcome": {},
            "receipts_outcome": [],
        }

    def check_key(self, signer, key, nonce, receiver, method, deposit):
        def refuse(why):
            failure = Failure("INVALID_TRANSACTION", {})
            failure.body["data"] = {"TxExecutionError": {"InvalidTxError": why}}
            raise failure

        permission = self.chain.keys.get(signer, {}).get(key)
        if permission is None:
            refuse({"InvalidAccessKeyError": {"AccessKeyNotFound": {}}})
        last = self.chain.nonces.get((signer, key), 7)
        if nonce <= last:
            refuse({"InvalidNonce": {"tx_nonce": nonce, "ak_nonce": last}})
        if signer in self.chain.poor:
            refuse({"NotEnoughBalance": {"signer_id": signer, "balance": "1", "cost": str(10**24)}})
        if permission == "FullAccess":
            return
        limits = permission["FunctionCall"]
        if limits["receiver_id"] != receiver:
            refuse({"InvalidAccessKeyError": {"ReceiverMismatch": {"ak_receiver": limits["receiver_id"]}}})
        if limits["method_names"] and method not in limits["method_names"]:
            refuse({"InvalidAccessKeyError": {"MethodNameMismatch": {"method_name": method}}})
        if deposit:
            refuse({"InvalidAccessKeyError": "DepositWithFunctionCall"})


@contextlib.contextmanager
def nodes(chain, count=1):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Node(chain)) for _ in range(count)]
