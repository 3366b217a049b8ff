"""Transactions that carry a blob (EIP-4844), as far as one blob of equal field elements needs them: the polynomial
through equal values is a constant, so its commitment is that many times the generator and every proof the point at
infinity, and no arithmetic of the curve BLS12-381 is needed."""

import hashlib

import abi
import registry

BLOB = (bytes(31) + b"\1") * 4096
# The generator of G1, compressed: the commitment to the constant 1.
COMMITMENT = bytes.fromhex(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
)
INFINITY = b"\xc0" + bytes(47)
VERSIONED_HASH = b"\1" + hashlib.sha256(COMMITMENT).digest()[1:]


def rlp(item):
    if isinstance(item, list):
        payload = b"".join(map(rlp, item))
        return _prefix(0xC0, payload)
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8)
    return item if len(item) == 1 and item[0] < 0x80 else _prefix(0x80, item)


def _prefix(base, payload):
    if len(payload) < 56:
        return bytes([base + len(payload)]) + payload
    size = len(payload).to_bytes((len(payload).bit_length() + 7) // 8)
    return bytes([base + 55 + len(size)]) + size + payload


def send_with_blob(contract, account, function, *arguments):
    """The receipt."""
    chain = contract.chain
    nonce = int(chain.rpc("eth_getTransactionCount", account.address, "latest"), 16)
    to, data = bytes.fromhex(contract.address[2:]), contract.calldata(function, *arguments)
    body = [chain.chain_id, nonce, 10**9, 10**11, 500_000, to, 0, data, [], 10**9, [VERSIONED_HASH]]
    signature = registry.sign_recoverable(account.key, abi.keccak(b"\3" + rlp(body)))
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    wrapped = [[*body, signature[64], r, s], [BLOB], [COMMITMENT], [INFINITY]]
    answer = chain.rpc("eth_sendRawTransactionSync", "0x" + (b"\3" + rlp(wrapped)).hex())
    return chain.receipt(answer["transactionHash"], contract.artifact)
