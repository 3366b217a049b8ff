"""Workers' ML-DSA-65 keys (FIPS 204) of other implementations than the server's: whose signatures it takes, and that each
form of one that is none is refused."""

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa
from dilithium_py.ml_dsa import HASH_ML_DSA_65_WITH_SHA512, ML_DSA_44, ML_DSA_65
from keystore import OPERATOR, Worker, start_keystore
from near import Chain, base58, nodes

# Known answers of NIST's ACVP server, ML-DSA-keyGen-FIPS204, test 26: a seed, and SHA-256 of its public key.
SEED = bytes.fromhex("70cefb9aed5b68e018b079da8284b9d5cad5499ed9c265ff73588005d85c225c")
PUBLIC = "646b26b8d09dbc9e865b6a006c693a3127b065e62fab5fbe8b159c416462feb6"
FAILED = "Signature verification failed: "


@pytest.fixture(scope="module")
def chain():
    return Chain()


@pytest.fixture(scope="module")
def server(tmp_path_factory, chain):
    with nodes(chain) as running:
        settings = {"keystore.key_kinds": "ml-dsa-65"}
        made = start_keystore(tmp_path_factory.mktemp("mldsa") / "data", chain, running, **settings)
        yield made
        assert made.terminate() == 0, made.output


@pytest.fixture(scope="module")
def keys():
    """(public, secret) of the known seed."""
    return ML_DSA_65.key_derive(SEED)


def spelled(raw):
    return "ml-dsa-65:" + base58(raw)


@pytest.fixture
def worker(server, chain, keys):
    made = Worker(server, chain)
    made.public = spelled(keys[0])
    made.signature = lambda message: spelled(ML_DSA_65.sign(keys[1], message))
    chain.add_key(OPERATOR, made.public)
    return made


def refused(reply, status, text):
    assert (reply.status, text in reply.json()["error"]) == (status, True), reply


def test_three_implementations_have_one_key_and_take_each_others_signatures(keys):
    public, secret = keys
    assert hashlib.sha256(public).hexdigest() == PUBLIC
    theirs = mldsa.MLDSA65PrivateKey.from_seed_bytes(SEED)
    assert theirs.public_key().public_bytes_raw() == public
    message = b"a challenge"
    theirs.public_key().verify(ML_DSA_65.sign(secret, message), message)
    assert ML_DSA_65.verify(public, message, theirs.sign(message))
    with pytest.raises(InvalidSignature):
        theirs.public_key().verify(ML_DSA_65.sign(secret, message, ctx=b"x"), message)


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_signature_of_another_implementation_is_taken(worker, keys, deterministic):
    worker.signature = lambda message: spelled(ML_DSA_65.sign(keys[1], message, deterministic=deterministic))
    assert worker.register().status == 200
    assert worker.in_session("/vrf/generate", {"alpha": "a"}).status == 200


def test_a_signature_of_a_third_implementation_with_the_same_key(worker):
    theirs = mldsa.MLDSA65PrivateKey.from_seed_bytes(SEED)
    worker.signature = lambda message: spelled(theirs.sign(message))
    assert worker.register().status == 200


def changed(at, value):
    return lambda secret, message: _with(ML_DSA_65.sign(secret, message), at, value)


def _with(signature, at, value):
    made = bytearray(signature)
    at %= len(made)
    made[at : at + len(value)] = value
    return bytes(made)


OTHER = ML_DSA_65.key_derive(bytes(32))
NOT_SIGNATURES = {
    "of another key": lambda secret, message: ML_DSA_65.sign(OTHER[1], message),
    "of another message": lambda secret, message: ML_DSA_65.sign(secret, message + b"\0"),
    "of the text of the message": lambda secret, message: ML_DSA_65.sign(secret, message.hex().encode()),
    "with a context": lambda secret, message: ML_DSA_65.sign(secret, message, ctx=b"near"),
    "of a hash of the message": lambda secret, message: HASH_ML_DSA_65_WITH_SHA512.sign(secret, message),
    "without what separates contexts": lambda secret, message: ML_DSA_65._sign_internal(secret, message, bytes(32)),
    "with another commitment": changed(0, bytes(48)),
    "with a response that is too large": changed(48, bytes(3)),
    "with more hints than there may be": changed(-1, b"\x38"),
    "with counts of hints that fall": changed(-6, b"\x37\x00"),
    "of zeros": lambda secret, message: bytes(3309),
}


@pytest.mark.parametrize("made", NOT_SIGNATURES.values(), ids=NOT_SIGNATURES.keys())
def test_what_is_no_signature_is_refused(worker, keys, made):
    worker.signature = lambda message: spelled(made(keys[1], message))
    refused(worker.register(kind=None), 400, FAILED)


@pytest.mark.parametrize("size", [0, 1, 64, 2420, 3308, 3310, 4627])
def test_signatures_of_other_sizes_are_none(worker, keys, size):
    worker.signature = lambda message: spelled((ML_DSA_65.sign(keys[1], message) + bytes(2000))[:size])
    refused(worker.register(kind=None), 400, FAILED)


def test_keys_of_other_sets_are_no_keys(worker):
    public, secret = ML_DSA_44.key_derive(SEED)
    worker.public, worker.signature = spelled(public), lambda message: spelled(ML_DSA_44.sign(secret, message))
    refused(worker.register(kind=None), 400, "public key: base58: another length; expected 1952 bytes; found 1312")


def test_the_kind_is_part_of_the_key(worker, keys):
    good = worker.signature
    worker.signature = lambda message: good(message).replace("ml-dsa-65:", "ed25519:")
    refused(worker.register(kind=None), 400, FAILED)
