"""A man in the middle: passes HTTP on to a server and changes what it is told to."""

import http.server
import json
import threading

from harness import request


class Proxy:
    """change_request(path, document) and change_reply(path, document) may return another document, or bytes."""

    def __init__(self, target, change_request=None, change_reply=None, status=None, headers=None):
        self.seen = []
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                proxy.seen.append(self.path)
                if change_request:
                    body = as_bytes(change_request(self.path, json.loads(body)))
                reply = request(target, "POST", self.path, body, {"Content-Type": "application/json"})
                answer = reply.body
                if change_reply:
                    answer = as_bytes(change_reply(self.path, reply.json()))
                self.send_response((status or {}).get(self.path, reply.status))
                self.send_header("Content-Type", reply.headers["Content-Type"])
                self.send_header("Content-Length", str(len(answer)))
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def as_bytes(document):
    return document if isinstance(document, bytes) else json.dumps(document).encode()
