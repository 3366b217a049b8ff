"""The ABI of Ethereum contracts, as far as our contracts need it: encoding and decoding by type, selectors, topics.

Values: int for numbers, str "0x…" (checksummed or not) for addresses, bytes for bytesN and bytes, tuples or dicts by
field name for structs, lists for arrays. Decoding gives addresses in lower case and structs as Struct (a tuple whose
fields have names)."""

import re

from Crypto.Hash import keccak as _keccak


def keccak(data):
    return _keccak.new(digest_bits=256, data=data).digest()


def selector(signature):
    """First four bytes of the hash of 'name(type,…)'."""
    return keccak(signature.encode())[:4]


class Struct(tuple):
    """A decoded tuple; names holds the names of its fields."""

    def __new__(cls, values, names):
        made = super().__new__(cls, values)
        made.names = names
        return made

    def __getattr__(self, name):
        try:
            return self[self.names.index(name)]
        except ValueError:
            raise AttributeError(name) from None


class Type:
    """A type of the ABI: made from its JSON description, or from a word as 'bytes[4]' for types without fields."""

    def __init__(self, about):
        about = {"type": about} if isinstance(about, str) else about
        self.name = about.get("name", "")
        self.components = [Type(item) for item in about.get("components", [])]
        self.word = about["type"]
        self.item, self.count = None, None
        if array := re.fullmatch(r"(.*)\[(\d*)\]", self.word):
            self.item = Type({**about, "type": array[1]})
            self.count = int(array[2]) if array[2] else None

    def __str__(self):
        """As in a signature."""
        fields = "(" + ",".join(map(str, self.components)) + ")"
        return self.word.replace("tuple", fields, 1) if self.word.startswith("tuple") else self.word

    @property
    def dynamic(self):
        if self.item:
            return self.count is None or self.item.dynamic
        return self.word in ("bytes", "string") or any(part.dynamic for part in self.components)

    @property
    def head(self):
        """Bytes that it takes in the head of what it is part of."""
        if self.dynamic:
            return 32
        if self.item:
            return self.count * self.item.head
        return sum(part.head for part in self.components) if self.components else 32

    def encode(self, value):
        if self.item:
            if self.count is not None and len(value) != self.count:
                raise ValueError(f"{self.word} of {len(value)} items")
            body = _encode_all([self.item] * len(value), value)
            return body if self.count is not None else len(value).to_bytes(32, "big") + body
        if self.components:
            if isinstance(value, dict):
                value = [value[part.name] for part in self.components]
            return _encode_all(self.components, value)
        if self.word in ("bytes", "string"):
            value = value.encode() if isinstance(value, str) else value
            return len(value).to_bytes(32, "big") + value + bytes(-len(value) % 32)
        if self.word.startswith("bytes"):
            if len(value) != int(self.word[5:]):
                raise ValueError(f"{self.word} of {len(value)} bytes")
            return value + bytes(32 - len(value))
        if self.word == "address":
            return bytes(12) + bytes.fromhex(value.removeprefix("0x")).rjust(20, b"\0")
        return int(value).to_bytes(32, "big", signed=self.word.startswith("int"))

    def decode(self, data, at=0):
        """The value that starts at that place of data."""
        if self.item:
            count, start = self.count, at
            if count is None:
                count, start = int.from_bytes(data[at : at + 32], "big"), at + 32
            return _decode_all([self.item] * count, data, start)
        if self.components:
            return Struct(_decode_all(self.components, data, at), [part.name for part in self.components])
        word = data[at : at + 32]
        if len(word) != 32:
            raise ValueError(f"data ends inside {self.word}")
        if self.word in ("bytes", "string"):
            value = data[at + 32 : at + 32 + int.from_bytes(word, "big")]
            return value.decode() if self.word == "string" else value
        if self.word.startswith("bytes"):
            return word[: int(self.word[5:])]
        if self.word == "address":
            return "0x" + word[12:].hex()
        if self.word == "bool":
            return bool(int.from_bytes(word, "big"))
        return int.from_bytes(word, "big", signed=self.word.startswith("int"))


def _encode_all(types, values):
    if len(types) != len(values):
        raise ValueError(f"{len(values)} values for {len(types)} types")
    head, tail = b"", b""
    offset = sum(kind.head for kind in types)
    for kind, value in zip(types, values, strict=True):
        encoded = kind.encode(value)
        if kind.dynamic:
            head += (offset + len(tail)).to_bytes(32, "big")
            tail += encoded
        else:
            head += encoded
    return head + tail


def _decode_all(types, data, start):
    values, at = [], start
    for kind in types:
        place = start + int.from_bytes(data[at : at + 32], "big") if kind.dynamic else at
        values.append(kind.decode(data, place))
        at += kind.head
    return values


def _types(types):
    return [kind if isinstance(kind, Type) else Type(kind) for kind in types]


def encode(types, values):
    """Arguments as they stand behind a selector."""
    return _encode_all(_types(types), values)


def decode(types, data):
    return _decode_all(_types(types), data, 0)
