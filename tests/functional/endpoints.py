"""Endpoints of a chain with vices, in front of a real node: each is a proxy that passes JSON-RPC on and changes what it
likes.

  with Endpoint(chain) as honest, Endpoint(chain) as liar:
      liar.change = lambda method, parameters, answer: {"result": "0x"} if method == "eth_call" else answer
"""

import http.server
import json
import ssl
import threading
import time

from harness import PATIENCE, request


def until(holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end


class Endpoint:
    def __init__(self, chain, tls=None):
        """tls: (certificate file, key file), for one that is called by https."""
        self.chain = chain
        self.change = None  # (method, parameters, answer) -> answer; an answer has "result" or "error"
        self.lag = 0  # blocks that it is behind
        self.silent = False  # holds every request until it is let go
        self.silent_about = set()  # the same for requests that name one of these contracts
        self.held = 0  # requests that are or were held
        self.asked = []  # methods
        self.batches = []  # the same, a list for each round trip
        self._dead = False
        self._go = threading.Event()
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if endpoint._dead:  # nor are connections served that were open before
                    self.close_connection = True
                    return
                batch = json.loads(body)
                endpoint.batches.append([one["method"] for one in batch])
                if endpoint.silent or any(address in body for address in endpoint.silent_about):
                    endpoint.held += 1
                    endpoint._go.wait(PATIENCE)
                answer = json.dumps([endpoint.answer(one) for one in batch]).encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    self.close_connection = True  # who asked has not waited

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.name = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.die()

    def die(self):
        """From now on connections are refused."""
        self._dead = True
        self._go.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    @property
    def rounds(self):
        return len(self.batches)

    def answer(self, one):
        method, parameters = one["method"], one["params"]
        self.asked.append(method)
        if self.lag:
            newest = self.chain.height - self.lag
            if method == "eth_getBlockByNumber" and parameters[0] == "latest":
                parameters = [hex(newest), *parameters[1:]]
            elif method == "eth_getBlockByNumber" and parameters[0][:2] == "0x" and int(parameters[0], 16) > newest:
                return {"jsonrpc": "2.0", "id": one["id"], "result": None}
            elif method in ("eth_call", "eth_getLogs"):
                return {"jsonrpc": "2.0", "id": one["id"], "error": {"code": -32000, "message": "header not found"}}
        whole = {"jsonrpc": "2.0", "id": one["id"], "method": method, "params": parameters}
        answer = request(self.chain.url, "POST", "/", whole, {"Content-Type": "application/json"}).json()
        answer = {name: answer[name] for name in ("result", "error") if name in answer}
        if self.change:
            answer = self.change(method, parameters, answer)
        return {"jsonrpc": "2.0", "id": one["id"], **answer}


def says(contract, **answers):
    """A lie for Endpoint.change: what functions of the contract return, by their names."""
    lies = {contract.artifact.functions[name].selector.hex(): result for name, result in answers.items()}

    def change(method, parameters, answer):
        selector = parameters[0]["data"][2:10] if method == "eth_call" else None
        return {"result": "0x" + lies[selector].hex()} if selector in lies else answer

    return change


def as_before(chain):
    """A lie for Endpoint.change: whatever a transaction did from now on, contracts answer as now, and leave no event."""
    now = hex(chain.height)

    def change(method, parameters, answer):
        if method == "eth_getLogs":
            return {"result": []}
        return {"result": chain.rpc("eth_call", parameters[0], now)} if method == "eth_call" else answer

    return change


def without_effect(chain, run):
    """run(rpc) is a command that sends a transaction, with these arguments for its endpoints. All of them say that
    contracts are as they were before."""
    with Endpoint(chain) as one, Endpoint(chain) as two, Endpoint(chain) as three:
        one.change = two.change = three.change = as_before(chain)
        height = chain.height
        done = run([word for endpoint in (one, two, three) for word in ("--rpc", endpoint.url)])
        assert chain.height == height + 1, done  # it did happen, and a receipt says so
        return done
