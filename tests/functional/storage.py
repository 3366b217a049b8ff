"""Storage servers for tests, each started by the test on free ports: Swift with its S3 interface, an IPFS node, and a
stand-in for GitHub that refuses what the real one refuses. Vault is in vaults.py."""

import base64
import contextlib
import datetime
import functools
import hashlib
import hmac
import http.client
import http.server
import ipaddress
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from harness import PATIENCE, ROOT
from ports import free_ports

NPM = pathlib.Path(os.environ.get("ATTESTRY_NPM", ROOT / ".cache" / "npm"))
REGION = "us-east-1"


class Process:
    """A program that says on its output when it is ready."""

    def __init__(self, *command, ready, **options):
        self.process = subprocess.Popen(
            [str(item) for item in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )
        text = ""
        for line in self.process.stdout:
            text += line
            self.found = re.search(ready, line)
            if self.found:
                break
        else:
            raise AssertionError(f"{command[0]} ended ({self.process.wait()}):\n{text}")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)


# -- IPFS


class IpfsNode:
    def __init__(self):
        node = subprocess.run(
            [ROOT / "tools" / "deps" / "node.sh"], capture_output=True, text=True, check=True
        ).stdout.strip()
        self._process = Process(node, ROOT / "tests" / "functional" / "ipfs_node.cjs", NPM, ready=r"listening (\d+)")
        self.port = int(self._process.found[1])
        self.stop = self._process.stop

    @property
    def uri(self):
        return f"ipfs://127.0.0.1:{self.port}/"

    def call(self, command, **query):
        """One call of the RPC with an optional file; the decoded answer."""
        file = query.pop("file", None)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers, body = {}, b""
        if file is not None:
            headers = {"Content-Type": "multipart/form-data; boundary=xyz"}
            body = b'--xyz\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + file + b"\r\n--xyz--\r\n"
        query = urllib.parse.urlencode(query)
        connection.request("POST", f"/api/v0/{command}?{query}", body, headers)
        reply = connection.getresponse()
        content = reply.read()
        assert reply.status == 200, content
        return json.loads(content) if reply.getheader("content-type") == "application/json" else content


# -- S3


class Swift:
    """OpenStack Swift with its S3 interface, which really checks SigV4: account, container, object and proxy server."""

    ACCESS, SECRET = "test:tester", "sec/ret+key="  # with what a URI must escape

    def __init__(self, folder):
        self.folder = folder
        self.port, account, container, obj, memcached = free_ports(5)
        (folder / "etc").mkdir(parents=True)
        (folder / "srv" / "d1").mkdir(parents=True)
        self._processes = [
            subprocess.Popen(["memcached", "-u", "root", "-l", "127.0.0.1", "-p", str(memcached), "-m", "16"])
        ]
        for kind, port in (("account", account), ("container", container), ("object", obj)):
            self._ring(kind, port)
            self._start(kind, self._storage_settings(kind, port))
        self._start("proxy", self._proxy_settings(memcached))
        self._wait()

    def _ring(self, kind, port):
        builder = self.folder / "etc" / f"{kind}.builder"
        run = functools.partial(subprocess.run, check=True, capture_output=True)
        run(["swift-ring-builder", builder, "create", "4", "1", "0"])
        device = ["--region", "1", "--zone", "1", "--ip", "127.0.0.1", "--port", str(port), "--device", "d1"]
        run(["swift-ring-builder", builder, "add", *device, "--weight", "1"])
        subprocess.run(["swift-ring-builder", builder, "rebalance"], capture_output=True, check=False)

    def _storage_settings(self, kind, port):
        return f"""
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = root
swift_dir = {self.folder}/etc
devices = {self.folder}/srv
mount_check = false
disable_fallocate = true
# A full disk is the machine's trouble: by default an object server takes nothing once 1 % of it is left.
fallocate_reserve = 0
log_level = ERROR
db_preallocation = off
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

    def _proxy_settings(self, memcached):
        filters = ["catch_errors", "gatekeeper", "healthcheck", "cache", "listing_formats", "s3api", "tempauth"]
        special = {
            "cache": f"use = egg:swift#memcache\nmemcache_servers = 127.0.0.1:{memcached}",
            "tempauth": "use = egg:swift#tempauth\nuser_test_tester = sec/ret+key= .admin",
            "s3api": "use = egg:swift#s3api\nlocation = us-east-1\nforce_swift_request_proxy_log = false",
        }
        text = f"""
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {self.port}
workers = 0
user = root
swift_dir = {self.folder}/etc
log_level = ERROR
[pipeline:main]
pipeline = {" ".join(filters)} proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
# The other three are on this machine: slow when it is busy, and never away.
conn_timeout = 30
node_timeout = 60
recoverable_node_timeout = 60
error_suppression_limit = 1000000
"""
        for name in filters:
            text += f"[filter:{name}]\n{special.get(name, 'use = egg:swift#' + name)}\n"
        return text

    def _start(self, kind, settings):
        path = self.folder / "etc" / f"{kind}.conf"
        path.write_text(settings)
        with (self.folder / f"{kind}.log").open("w") as log:
            self._processes.append(
                subprocess.Popen([f"swift-{kind}-server", path], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            )

    def _wait(self):
        """Until it stores an object, for which all of them are needed."""
        waiting, answers = threading.Event(), []
        for _ in range(PATIENCE * 20):
            if any(process.poll() is not None for process in self._processes):
                break
            with contextlib.suppress(OSError):
                answers = [self.s3("PUT", "/probe"), self.s3("PUT", "/probe/object", b"x")]
                # The bucket may be there since a round in which the object did not come through: 409 then.
                if answers[1][0] == 200:
                    return
            waiting.wait(0.05)
        logs = [f"{log.name}: {log.read_text()}" for log in sorted(self.folder.glob("*.log"))]
        raise AssertionError("\n".join([f"the last answers: {answers}", *logs]))

    def stop(self):
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(timeout=PATIENCE)

    def s3(self, method, path, body=b"", query="", secret=None, signed=True):
        """One request of our own, signed here: a second opinion on what the program signs."""
        now = datetime.datetime.now(datetime.UTC)
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(body).hexdigest()
        headers = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": digest, "x-amz-date": stamp}
        if signed:
            names = ";".join(sorted(headers))
            lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
            canonical = f"{method}\n{urllib.parse.quote(path)}\n{query}\n{lines}\n{names}\n{digest}"
            scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
            text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
            key = ("AWS4" + (secret or self.SECRET)).encode()
            for step in (stamp[:8], REGION, "s3", "aws4_request"):
                key = hmac.new(key, step.encode(), hashlib.sha256).digest()
            signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
            headers["authorization"] = (
                f"AWS4-HMAC-SHA256 Credential={self.ACCESS}/{scope}, SignedHeaders={names}, Signature={signature}"
            )
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        target = urllib.parse.quote(path) + (f"?{query}" if query else "")
        connection.request(method, target, body, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()

    def uri(self, bucket, prefix="", access=None, secret=None, region=REGION, port=None):
        quote = functools.partial(urllib.parse.quote, safe="")
        login = f"{quote(access or self.ACCESS)}:{quote(secret or self.SECRET)}"
        endpoint = f"http://127.0.0.1:{port or self.port}"
        return f"s3://{login}@{bucket}/{prefix}?region={region}&endpoint={endpoint}"


# -- a hand in the wire


class Altering:
    """A TCP proxy that changes bytes on their way to the server."""

    def __init__(self, port, old, new):
        assert len(old) == len(new)
        self._target, self._old, self._new = port, old, new
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source, target, altering):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data.replace(self._old, self._new) if altering else data)
            target.shutdown(socket.SHUT_WR)

    def stop(self):
        self._socket.close()


class Hanging:
    """Accepts connections and never answers."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._socket.getsockname()[1]

    def stop(self):
        self._socket.close()


# -- certificates


class Authority:
    """A CA that issues for tests."""

    def __init__(self, name="test CA"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key.public_key(), ca=True)
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def _sign(self, subject, key, ca=False, names=()):
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, folder, name, addresses=()):
        """(certificate file, key file)"""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(item)) for item in addresses]
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), names=names)
        pem, key_file = folder / f"{name}.pem", folder / f"{name}.key"
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pem, key_file


# -- servers of our own


class Served:
    """Threads that answer HTTP with `answer(method, path, query, headers, body, peer)` -> (status, headers, body)."""

    def __init__(self, context=None):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self):
                parts = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                peer = self.connection.getpeercert(True) if context else None
                path = urllib.parse.unquote(parts.path)
                outer.seen.append((self.command, path, dict(self.headers.items())))
                status, headers, content = outer.answer(self.command, path, query, self.headers, body, peer)
                content = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve

            def log_message(self, *_):
                pass

        self.seen = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


class GitHub(Served):
    """GitHub's contents API as https://docs.github.com/rest/repos/contents has it: a private repository is not there for
    who has no token, raw bytes come for the raw media type only, JSON holds no content beyond 1 MB, and nobody is
    served who does not name his program."""

    BRANCHES = ("main", "released")

    def __init__(self, repository="owner/repo", token=None):
        self.repository, self.token = repository, token
        self.files = {}
        self.limited = False
        super().__init__()

    @property
    def api(self):
        return f"http://127.0.0.1:{self.port}"

    def answer(self, method, path, query, headers, body, peer):
        def message(status, text, extra=None):
            return status, {"content-type": "application/json; charset=utf-8", **(extra or {})}, {"message": text}

        if not headers.get("user-agent"):
            return 403, {"content-type": "text/html"}, b"Request forbidden by administrative rules."
        given = headers.get("authorization")
        if given and given != f"Bearer {self.token}":
            return message(401, "Bad credentials")
        if self.limited:
            return message(403, "API rate limit exceeded", {"x-ratelimit-remaining": "0"})
        root = f"/repos/{self.repository}"
        if (self.token and not given) or (path != root and not path.startswith(root + "/contents/")):
            return message(404, "Not Found")
        if path == root:
            return 200, {"content-type": "application/json"}, {"full_name": self.repository}
        if query.get("ref", "main") not in self.BRANCHES:
            return message(404, f"No commit found for the ref {query['ref']}")
        name = path[len(root) + 10 :]
        if name in self.files:
            if headers.get("accept") == "application/vnd.github.raw+json":
                return 200, {"content-type": "application/vnd.github.raw+json"}, self.files[name]
            if len(self.files[name]) > 1 << 20:
                return 200, {"content-type": "application/json"}, {"type": "file", "encoding": "none", "content": ""}
            content = base64.encodebytes(self.files[name]).decode()
            whole = {"type": "file", "encoding": "base64", "content": content}
            return 200, {"content-type": "application/json"}, whole
        entries = [item for item in self.files if item.startswith(name + "/")]
        listing = [{"type": "file", "name": item.rsplit("/", 1)[1]} for item in entries]
        return (200, {"content-type": "application/json"}, listing) if listing else message(404, "Not Found")
