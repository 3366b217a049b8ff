"""Runs the real program and talks HTTP to it: what every functional test stands on. No sleeps: whoever waits, waits for
a line of output or an answer, with a deadline."""

import http.client
import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
ATTESTRY = os.environ.get("ATTESTRY", str(ROOT / "build" / "attestry"))
PATIENCE = 60  # seconds until a wait is a failure; far above what anything here takes


def clean_environment():
    """Without settings of the developer's own shell."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ATTESTRY_")}


class Finished:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n{self.out}\n{self.err}"


def attestry(*arguments, stdin=None, env=None, cwd=None):
    """Runs a command to its end. stdin: bytes."""
    done = subprocess.run(
        [ATTESTRY, *map(str, arguments)],
        input=stdin if stdin is not None else b"",
        capture_output=True,
        env={**clean_environment(), **(env or {})},
        cwd=cwd,
        timeout=PATIENCE,
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    @property
    def code(self):
        """The slug of a problem document."""
        return self.json()["code"]

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:2000]!r}"


def split_url(url):
    parts = urllib.parse.urlsplit(url)
    return parts.hostname, parts.port


def request(url, method, path, body=None, headers=None, timeout=PATIENCE):
    """One request on a connection of its own. body: bytes, str, or something to send as JSON."""
    headers = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        if not isinstance(body, str):
            body = json.dumps(body)
        body = body.encode()
        headers.setdefault("Content-Type", "application/json")
    connection = http.client.HTTPConnection(*split_url(url), timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


class Program:
    """A running attestry whose lines of output can be waited for."""

    def __init__(self, *arguments, env=None):
        self.arguments = [str(argument) for argument in arguments]
        self.process = subprocess.Popen(
            [ATTESTRY, *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**clean_environment(), **(env or {})},
            text=True,
        )
        self.lines = []
        self._queue = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    @property
    def output(self):
        return "\n".join(self.lines)

    def wait_for(self, pattern):
        """The match of the first line, among those to come, that has the pattern. Other lines win it no time."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                left = end - time.monotonic()
                if left <= 0:
                    raise queue.Empty
                line = self._queue.get(timeout=left)
            except queue.Empty:
                raise AssertionError(f"no line with {pattern!r} in {PATIENCE} s:\n{self.output}") from None
            if line is None:
                self._queue.put(None)
                ended = f"{self.arguments} ended ({self.process.wait()})"
                raise AssertionError(f"{ended} without {pattern!r}:\n{self.output}")
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found

    def end(self):
        """Waits for its end; exit code."""
        code = self.process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)
        while not self._queue.empty():
            line = self._queue.get()
            if line is not None:
                self.lines.append(line)
        self.process.stdout.close()
        return code

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def kill(self):
        self.process.kill()
        return self.end()

    @property
    def running(self):
        return self.process.poll() is None

    def own_memory_kib(self):
        """Resident, without pages of files, which come and go (the program gives its code back at rest)."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return sum(int(kib) for kib in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+) kB", status))

    def code_kib(self):
        """Resident pages of files: the program and its libraries."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssFile:\s+(\d+) kB", status)[1])


class Server(Program):
    """A server with its addresses, tokens and log key."""

    def __init__(self, arguments, data, env=None):
        super().__init__(*arguments, env=env)
        self.data = pathlib.Path(data)
        self.public = self.admin = self.metrics = self.log_key = ""

    def request(self, method, path, body=None, headers=None, timeout=PATIENCE):
        return request(self.public, method, path, body, headers, timeout)

    def call(self, method, path, body=None, headers=None):
        """On the operators' listener, with the administrator's token."""
        return request(self.admin, method, path, body, {"Authorization": f"Bearer {self.token}", **(headers or {})})

    @property
    def token(self):
        return (self.data / "admin.token").read_text().strip()

    @property
    def seed(self):
        return (self.data / "forge.seed").read_text()

    @property
    def origin(self):
        return self.log_key.split("+")[0]

    @property
    def trust_file(self):
        return self.data / "trust.json"

    def leaves(self):
        found = []
        while True:
            page = self.request("GET", f"/v1/log/leaves?from={len(found)}&count=1000").json()
            found += [item["leaf"] for item in page["leaves"]]
            if len(found) >= page["size"]:
                return found


def start_dev(data, *arguments, env=None):
    """attestry dev on free ports, ready to answer."""
    server = Server(["dev", "--data", data, "--any-port", *arguments], data, env)
    found = server.wait_for(r"^  server +(\S+), operators (\S+), metrics (\S+)/metrics")
    server.public, server.admin, server.metrics = found.groups()
    server.log_key = server.wait_for(r"^  log +(\S+)")[1]
    server.wait_for(r"^Serving until")
    return server


def key_file(data):
    """What opens the root file of that data folder: beside the folder, made when it is asked for first."""
    path = pathlib.Path(f"{data}.key")
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(os.urandom(32))
    return path


def serve_arguments(data, **settings):
    if "unlock.source" not in settings:
        settings["unlock.source"] = f"file:{key_file(data)}"
    settings = {
        "server.data": data,
        "server.listen": "127.0.0.1:0",
        "server.admin_listen": "127.0.0.1:0",
        "server.metrics_listen": "127.0.0.1:0",
        "tls.mode": "off",
        "collateral.offline": "true",
        **settings,
    }
    return ["serve", *(f"--set={name}={value}" for name, value in settings.items())]


def start_serve(data, **settings):
    """attestry serve (production realm) on free ports, ready to answer. Settings with dots: **{"limits.x": 1}."""
    server = Server(serve_arguments(data, **settings), data)
    server.wait_for(r"^attestry is ready")
    server.public = server.wait_for(r"workloads and verifiers +(\S+)")[1]
    server.admin = server.wait_for(r"operators +(\S+)")[1]
    server.metrics = server.wait_for(r"metrics +(\S+)/metrics")[1]
    server.log_key = server.wait_for(r"^  log +(\S+)")[1]
    return server
