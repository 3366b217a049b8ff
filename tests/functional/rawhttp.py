"""HTTP as bytes on a socket, for requests that no HTTP client would send."""

import socket

from harness import PATIENCE, split_url


class Connection:
    def __init__(self, url):
        self.socket = socket.create_connection(split_url(url), timeout=PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """True while the other side takes it."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def receive_all(self):
        """Everything until the other side closes."""
        data = b""
        while True:
            try:
                part = self.socket.recv(65536)
            except ConnectionResetError:
                return data
            if not part:
                return data
            data += part

    def receive_response(self):
        """Status, header text, body of one response with a Content-Length."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = self.socket.recv(65536)
            if not part:
                return None, "", data
            data += part
        head, body = data.split(b"\r\n\r\n", 1)
        fields = {}
        for line in head.decode().split("\r\n")[1:]:
            name, value = line.split(":", 1)
            fields[name.lower()] = value.strip()
        while len(body) < int(fields.get("content-length", 0)):
            part = self.socket.recv(65536)
            if not part:
                break
            body += part
        return int(head.split(b" ")[1]), fields, body


def status_of(data):
    """Of the first response in the bytes; None if there is none."""
    return int(data.split(b" ", 2)[1]) if data.startswith(b"HTTP/1.1 ") else None
