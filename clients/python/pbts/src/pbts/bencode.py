"""Bencoding (BEP 3), strictly: what this reads it writes back byte for byte.

Values are int, bytes, list and dict with keys of bytes. Text is written as UTF-8.
"""

MAX_DEPTH = 8
_MAX_DIGITS = 20


class BencodeError(ValueError):
    """What was received is not bencoded, or not in the one canonical form."""


def encode(value) -> bytes:
    """Bytes of `value`. Raises TypeError for what has no bencoding."""
    parts: list[bytes] = []
    _write(value, parts)
    return b"".join(parts)


def _write(value, parts: list[bytes]) -> None:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bool):
        raise TypeError("bencoding has no booleans; expected an integer, bytes, a list or a dictionary")
    if isinstance(value, int):
        parts.append(b"i%de" % value)
    elif isinstance(value, (bytes, bytearray)):
        parts.append(b"%d:" % len(value) + bytes(value))
    elif isinstance(value, (list, tuple)):
        parts.append(b"l")
        for item in value:
            _write(item, parts)
        parts.append(b"e")
    elif isinstance(value, dict):
        members = [(key.encode() if isinstance(key, str) else bytes(key), item) for key, item in value.items()]
        parts.append(b"d")
        for key, item in sorted(members, key=lambda member: member[0]):
            _write(key, parts)
            _write(item, parts)
        parts.append(b"e")
    else:
        raise TypeError(f"bencoding has no {type(value).__name__}; expected an integer, bytes, a list or a dictionary")


def decode(data: bytes):
    """The one value that `data` is. Raises BencodeError, also for bytes that follow it."""
    reader = _Reader(bytes(data))
    value = reader.value(0)
    if reader.at != len(reader.data):
        raise BencodeError(f"{len(reader.data) - reader.at} bytes follow the value at {reader.at}")
    return value


class _Reader:
    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def value(self, depth: int):
        if depth > MAX_DEPTH:
            raise BencodeError(f"more than {MAX_DEPTH} levels at {self.at}")
        head = self.data[self.at : self.at + 1]
        if head == b"i":
            self.at += 1
            return self._number(b"e")
        if head == b"l":
            return self._list(depth)
        if head == b"d":
            return self._dict(depth)
        if head.isdigit():
            return self._text()
        raise BencodeError(f"expected a value at {self.at}")

    def _number(self, end: bytes) -> int:
        stop = self.data.find(end, self.at, self.at + _MAX_DIGITS + 2)
        digits = self.data[self.at : stop] if stop >= 0 else b""
        plain = digits.removeprefix(b"-") if end == b"e" else digits
        canonical = plain.isdigit() and (plain == b"0" or plain[:1] != b"0") and digits != b"-0"
        if not canonical:
            raise BencodeError(f"expected a number without leading zeros at {self.at}")
        self.at = stop + 1
        return int(digits)

    def _text(self) -> bytes:
        size = self._number(b":")
        if size > len(self.data) - self.at:
            raise BencodeError(f"{size} bytes are announced at {self.at}, fewer are there")
        self.at += size
        return self.data[self.at - size : self.at]

    def _ended(self) -> bool:
        if self.data[self.at : self.at + 1] != b"e":
            return False
        self.at += 1
        return True

    def _list(self, depth: int) -> list:
        self.at += 1
        items = []
        while not self._ended():
            items.append(self.value(depth + 1))
        return items

    def _dict(self, depth: int) -> dict:
        self.at += 1
        members: dict = {}
        last = None
        while not self._ended():
            start = self.at
            key = self._text() if self.data[start : start + 1].isdigit() else None
            if key is None or (last is not None and key <= last):
                raise BencodeError(f"expected the next key of a sorted dictionary at {start}")
            last = key
            members[key] = self.value(depth + 1)
        return members
