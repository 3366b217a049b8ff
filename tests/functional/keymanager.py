"""The other side of the contract KeyManager, written from docs/formats/keymanager.md: keys, digests, signatures."""

import functools

import abi
import registry

SEED_CALLER = "dstack-keymanager"
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
TYPES = {
    "Attestation": "string workload,string purpose,bytes32 appData,uint32 epoch,uint64 expires",
    "Rotation": "address xPub,uint32 epoch",
    "Join": "address member,bytes32 boxKey,address payer,bytes32 evidence,uint32 epoch",
    "Onboard": "address member,bytes16 fmspc,bytes32 measurement,bytes response,uint32 epoch",
    "OnboardKey": "bytes32 boxKey,bytes16 fmspc,bytes32 measurement,bytes response,uint32 epoch",
    "Resign": "address member,uint32 epoch",
    "Bootstrap": "address xPub,uint32 epoch",
    "Newcomer": "address member,bytes32 boxKey,uint32 epoch",
}


@functools.cache
def _sign(secret, digest):
    rsv = registry.sign_recoverable(secret, digest)
    return bytes([27 + rsv[64]]) + rsv[:64]


class Key:
    """A secp256k1 key of 32 bytes; signatures are v || r || s."""

    def __init__(self, secret):
        self.secret, self.address = secret, registry.ethereum_address(secret)

    def sign(self, digest):
        return _sign(self.secret, digest)


def raw(address):
    return bytes.fromhex(address[2:])


# Digests of the first generation


def named_digest(caller, app_data):
    return abi.keccak(caller.encode() + app_data)


def seed_onboard_digest(box_key, response):
    return named_digest(SEED_CALLER, abi.keccak(b"onboard" + box_key + response))


# Digests of the second generation


def attest_digest(app_data):
    return abi.keccak(b"attest" + app_data)


def register_digest(payer):
    return abi.keccak(b"register" + raw(payer))


def onboard_digest(member, fmspc, measurement, response):
    return abi.keccak(b"onboard" + raw(member) + fmspc + measurement + response)


# Ours: EIP-712


def domain_separator(chain_id, contract):
    words = [abi.keccak(text.encode()) for text in (DOMAIN_TYPE, "attestry key manager", "1")]
    return abi.keccak(abi.encode(["bytes32"] * 3 + ["uint256", "address"], [*words, chain_id, contract]))


def typed_digest(separator, name, *values):
    """values in the order of the type, which names their types."""
    fields = TYPES[name]
    words = [abi.keccak(f"{name}({fields})".encode())]
    for field, value in zip(fields.split(","), values, strict=True):
        kind = field.split(" ")[0]
        if kind in ("string", "bytes"):
            words.append(abi.keccak(value.encode() if isinstance(value, str) else value))
        else:
            words.append(abi.encode([kind], [value]))
    return abi.keccak(b"\x19\x01" + separator + abi.keccak(b"".join(words)))
