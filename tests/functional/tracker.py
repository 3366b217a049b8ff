"""A tracker with receipts, its members and their clients; keys and signatures are those of tests/functional/bls.py."""

import base64
import hashlib
import http.client
import os
import time
import urllib.parse

import bls
from harness import request as http_request
from harness import split_url

INFOHASH = hashlib.sha1(b"pbts torrent").digest()


def b64(data):
    return base64.b64encode(data).decode()


def unbencode(data):
    value, rest = _read(data)
    assert rest == b"", rest
    return value


def _read(data):
    if data[:1] == b"i":
        number, rest = data[1:].split(b"e", 1)
        return int(number), rest
    if data[:1] in b"ld":
        items, rest = [], data[1:]
        while rest[:1] != b"e":
            item, rest = _read(rest)
            items.append(item)
        if data[:1] == b"l":
            return items, rest[1:]
        assert items[::2] == sorted(set(items[::2])), items[::2]
        return dict(zip(items[::2], items[1::2], strict=True)), rest[1:]
    size, rest = data.split(b":", 1)
    return rest[: int(size)], rest[int(size) :]


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%b" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


def torrent_of(pieces, size, length=16384):
    """A .torrent whose pieces are those of Member.receipt, and its infohash."""
    hashes = b"".join(hashlib.sha1(b"piece %d" % index).digest() for index in range(pieces))
    info = {b"name": b"x", b"length": size, b"piece length": length, b"pieces": hashes, b"private": 1}
    return bencode({b"info": info}), hashlib.sha1(bencode(info)).digest()


class Member:
    """A pair of keys, and what a client with them says."""

    def __init__(self, name):
        self.name = name
        self.secret = bls.secret_of(name.encode())
        self.key = bls.public_key(self.secret)

    def registration(self, instance, **more):
        """At the tracker with this instance id."""
        return {
            "user_id": self.name,
            "public_key": b64(self.key),
            "signature": b64(bls.sign(self.secret, b"register" + instance.encode() + self.name.encode())),
            **more,
        }

    def receipt(self, sender, index, when=None, torrent=INFOHASH, **more):
        """That `sender` gave this member a piece."""
        when = int(time.time()) if when is None else when
        piece = hashlib.sha1(b"piece %d" % index).digest()
        message = torrent + sender.key + piece + index.to_bytes(4) + when.to_bytes(8)
        return {
            "receiver_public_key": b64(self.key),
            "sender_pk": b64(sender.key),
            "piece_hash": piece.hex(),
            "piece_index": index,
            "infohash": torrent.hex(),
            "timestamp": when,
            "signature": b64(bls.sign(self.secret, message)),
            **more,
        }


class Tracker:
    def __init__(self, server):
        self.server = server
        self.url = next(line.split()[1] for line in server.lines if line.startswith("  tracker  "))

    @property
    def udp_url(self):
        return next(line.split()[-1] for line in self.server.lines if line.startswith("  tracker over UDP "))

    def call(self, method, path, body=None, headers=None):
        return http_request(self.url, method, path, body, headers)

    def post(self, path, body, **how):
        return self.call("POST", path, body, **how)

    def announce(self, port, headers=None, source=None, torrent=INFOHASH, passkey=None, **more):
        query = {"info_hash": torrent, "peer_id": os.urandom(20), "port": port, "left": 0, **more}
        # Bytes as clients send them: whatever is unreserved as it is, all else escaped.
        path = (
            (f"/{passkey}" if passkey else "")
            + "/announce?"
            + urllib.parse.urlencode(query, quote_via=urllib.parse.quote)
        )
        connection = http.client.HTTPConnection(*split_url(source or self.url), timeout=60)
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == 200, body
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        return unbencode(body)

    def registration(self, member, **more):
        return member.registration(self.call("GET", "/health").json()["instance_id"], **more)

    def register(self, member, **more):
        answer = self.post("/register", self.registration(member, **more))
        assert answer.status == 200, answer
        return answer.json()

    def report(self, member, receipts, **more):
        answer = self.post("/report", {"user_id": member.name, "receipts": receipts, **more})
        assert answer.status == 200, answer
        return answer.json()

    def as_admin(self, method, path, body=None):
        return self.call(method, path, body, {"Authorization": f"Bearer {self.server.token}"})

    def totals(self, member):
        found = self.call("GET", f"/user/{member.name}").json()
        return found["total_uploaded"], found["total_downloaded"]
