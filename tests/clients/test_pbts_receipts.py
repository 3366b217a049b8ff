"""Keys, messages and signatures of the Python package against the vectors that the tracker's own tests have."""

import base64
import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pbts import receipts

SK1 = 1
PK1 = bytes.fromhex("97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb")
SK2 = bytes.fromhex("3f8770fa96601672f73f74d30a4bd1d6d8a1a22bee1b39bac637352b92b995fe")
PK2 = bytes.fromhex("a1b1f8e66414f6d714bf294475426eb524d0ab84e589e085ba4482c56966f49188f53caaed74d5f43b3d204e1cd93f48")
SK3 = bytes.fromhex("60b2f01354897ee7bac132a4377744fd5e2c3e1e0ee9d8e2eea09e724ae9cd3e")
PK3 = bytes.fromhex("8c8468a8b1326e45e2ead8d2187d645e4ae5ac34c94822fc29ff74108eae74fa3b1f6b5ab42f8b93580d669e03533b52")
S1 = bytes.fromhex(
    "a64d5fe427dac16a539a35bfa52f79bec309c7a98fa3fcb609daf47c43bddd728b69bdce82d38a7996337b7df8338770"
    "016bd8c9c47e79420d6131fb8d680c80efbe49daeb1840b52bfc668b893d58984370a1849c5dad1103353c92f7654869"
)
S2 = bytes.fromhex(
    "a09ffde17245a09bd6b1535e0ee01681e92174876fc1bf9c6e13a7e65020dfd66e4fcbd22070209df78324be2da4c0c4"
    "13708f0e5d2908904a341b932ea47c2f071dd7c9b0b35b2fa312822924c3f22a4fd3c556a5c95cd05cbd13ac8d663624"
)
SUM = bytes.fromhex(
    "a871fb2088f87344e8ece371af874e1d430a61831c9a23703b582830857009a2f00c7a40660a21327c6a56a1a13e43a0"
    "013ec04208712cfb17dc025689b1a20462ba509c15638176ca03c8fd54e2a7963f844d5d63a76d9761e7f3fb7cc90084"
)
INFOHASH = hashlib.sha1(b"pbts torrent").digest()
SHA1_PIECE = hashlib.sha1(b"piece 0").digest()
SHA256_PIECE = hashlib.sha256(b"piece 1").digest()
AT = 1_700_000_000
M1 = bytes.fromhex(
    "a22a778f0a115a48acc42961776c9d885f0564b297f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58"
    "6c55e83ff97a1aeffb3af00adb22c6bbc738afa748fde22ea4a5b77da62231d108a186cf00000000000000006553f100"
)
M2 = bytes.fromhex(
    "a22a778f0a115a48acc42961776c9d885f0564b297f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58"
    "6c55e83ff97a1aeffb3af00adb22c6bb6f0b18854c8bf1ba30eaf20d9c20f49eb164ef564fab4496649ab17dc51e69f0"
    "00000001000000006553f100"
)
PROOF = bytes.fromhex(
    "b58d24075b1179843509fe264776fae96266901e60bbebdf889211cdc702a64e3d8bdd961f2c5f4f07cc1e8d6d683161"
    "198638a436f6af2b30f06777618cfdbd0d171a908ecc9beb64d4bd1e3b134dfd9eaa7043a12a15005f6c6c7ee6f1fe2e"
)
REGISTERED = bytes.fromhex(
    "803c347dd1fe34eae7712c4b3b5bdd74a3e08ced3eb1f307a5ac85fbc525c185de20c99852a84c2222bb03fce28af3e1"
    "05f74f4196c1930e6131dc4de4948719040cec48b76ff0ee4b2c4a177acdc19532b31a00f343964e209371ff659315a3"
)
OF_NOTHING = bytes.fromhex(
    "83b633b06dd88b63ee6180a849fb16f7d4a5823ec8a27294bfe57656c0f319a821478ccf453bacdc94ad1b79d95a00e4"
    "102504549e1cbd3e95173eefe75a36aafcc6427d7f16ddc36daba4fc0ea32b7183d052de00a929950bd9f78c290b3686"
)
# The basic scheme's tag, which another implementation of PBTS signs under.
OTHER_TAG = bytes.fromhex(
    "ada75a4bae493cbc6b5fb68c3f0441c8c20af9d68b8ebd7f588441ffc8085ab39feb8129a57f6aa3faef3e2ce8c0f5a7"
    "19f28285daf3ea6d1820792255b5e631e6069a277e35f190d7cd0aa30ea3a42044ffe6c9f29efd67fdad6dc2c6632be3"
)
INSTANCE = "ab" * 32
PLAIN = {"infohash": INFOHASH, "sender_pk": PK1, "receiver_pk": PK2, "piece_hash": SHA1_PIECE, "piece_index": 0}


def test_public_keys_of_the_vectors():
    assert [receipts.public_key(secret) for secret in (SK1, SK2, SK3)] == [PK1, PK2, PK3]
    assert hashlib.sha256(b"pbts receiver 3").digest() == SK3


def test_a_secret_is_taken_modulo_the_order_and_zero_is_none():
    reduced = "1824b159acc5056f998c4fefecbc4ff55884b7fa0003480200000001fffffffd"
    assert receipts.secret_key(b"\xff" * 32) == int(reduced, 16)
    expected = "96ea601ca88f7d3489479129b258960b4c1df37194d30803627c30c34252679a0ada1a51bc7a4006a4f0564050d31746"
    assert receipts.public_key(b"\xff" * 32).hex() == expected
    for none in (0, bytes(32), receipts.CURVE_ORDER, receipts.CURVE_ORDER.to_bytes(32, "big")):
        with pytest.raises(ValueError, match="draw again"):
            receipts.secret_key(none)
    with pytest.raises(ValueError, match="expected 32 bytes, found 31"):
        receipts.secret_key(bytes(31))


def test_generated_keys_are_below_the_order_and_differ():
    keys = {receipts.generate_secret_key() for _ in range(8)}
    assert len(keys) == 8
    assert all(0 < int.from_bytes(key, "big") < receipts.CURVE_ORDER for key in keys)


# The seeds and master keys of EIP-2333, whose derive_master_SK is KeyGen; and what blst makes of the bytes of SK2.
KEY_GEN = [
    (
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e5349553"
        "1f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
        6083874454709270928345386274498605044986640685124978867557563392430687146096,
    ),
    (
        "3141592653589793238462643383279502884197169399375105820974944592",
        29757020647961307431480504535336562678282505419141012933316116377660817309383,
    ),
    (
        "0099ff991111002299dd7744ee3355bbdd8844115566cc55663355668888cc00",
        27580842291869792442942448775674722299803720648445448686099262467207037398656,
    ),
    (
        "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
        19022158461524446591288038168518313374041767046816487870552872741050760015818,
    ),
    (SK2.hex(), 0x27E5559BBDCFE6AE1DA6DB9835BEC6CD3539E37C9E4F81D9CD217A0E5D05EE8B),
]


@pytest.mark.parametrize("seed, expected", KEY_GEN)
def test_key_gen_of_the_published_vectors(seed, expected):
    assert receipts.key_gen(bytes.fromhex(seed)) == expected.to_bytes(32, "big")


@pytest.mark.parametrize("info", [b"", b"pbts", bytes(100)])
def test_key_gen_is_the_drafts(info):
    """Section 2.3, on another library's HKDF."""
    for size in (32, 33, 64):
        ikm = hashlib.sha512(b"ikm").digest()[:size]
        salt = hashlib.sha256(b"BLS-SIG-KEYGEN-SALT-").digest()
        expanded = HKDF(SHA256(), 48, salt, info + (48).to_bytes(2, "big")).derive(ikm + b"\0")
        made = receipts.key_gen(ikm, info)
        assert made == (int.from_bytes(expanded, "big") % receipts.CURVE_ORDER).to_bytes(32, "big")
        assert made == receipts.key_gen(bytearray(ikm), key_info=bytearray(info))
        assert receipts.secret_key(made) == int.from_bytes(made, "big")


@pytest.mark.parametrize("ikm", [b"", bytes(31), "0" * 64])
def test_key_gen_takes_no_short_secret(ikm):
    with pytest.raises(ValueError, match="ikm: expected at least 32 bytes"):
        receipts.key_gen(ikm)


def test_messages_and_id_of_the_vectors():
    assert receipts.receipt_message(INFOHASH, PK1, SHA1_PIECE, 0, AT) == M1
    assert receipts.receipt_message(INFOHASH, PK1, SHA256_PIECE, 1, AT) == M2
    expected = "92cde87aa5d99d1feaad39e24265623d210d332c6c72828adaded837d387eb0b"
    assert receipts.receipt_id(INFOHASH, PK1, PK2, SHA1_PIECE, 0) == expected
    assert receipts.Receipt(**PLAIN, timestamp=AT, piece_size=7, instance_id=INSTANCE).id == expected


def test_signatures_of_the_vectors():
    assert receipts.sign(SK2, M1) == S1
    assert receipts.sign(SK3, M2) == S2
    assert receipts.sign(SK1, b"") == OF_NOTHING
    assert receipts.sign(SK2, receipts.register_message(INSTANCE, "alice")) == REGISTERED
    assert receipts.register_message(INSTANCE.upper(), "alice") == b"register" + b"ab" * 32 + b"alice"


NONCE = bytes(range(40))


def test_a_registration_as_the_tracker_reads_it():
    body = receipts.registration("alice", SK2, INSTANCE)
    assert body == {
        "user_id": "alice",
        "public_key": base64.b64encode(PK2).decode(),
        "signature": base64.b64encode(REGISTERED).decode(),
    }
    said = receipts.attestation(b"\4\0quote", NONCE)
    assert said == {"quote": "0400" + b"quote".hex(), "nonce": NONCE.hex()}
    assert receipts.registration("alice", SK2, INSTANCE, said) == body | {"attestation": said}
    # Logs of dstack are text, those of firmware bytes; base64url, whose letters differ from base64's here.
    logged = receipts.attestation("0400", NONCE.hex().upper(), ['[{"imr":0}]', b"\xfb\xff\xfe\x01"])
    logs = ["W3siaW1yIjowfV0", "-__-AQ"]
    assert logged == {"quote": "0400", "nonce": NONCE.hex(), "event_logs": logs}


def test_the_payload_of_an_attested_registration():
    payload = receipts.attested_payload("alice", PK2, INSTANCE.upper(), NONCE)
    assert payload == f"register||alice||{INSTANCE}||{base64.b64encode(PK2).decode()}||{NONCE.hex()}"
    assert payload == receipts.attested_payload("alice", PK2, bytes.fromhex(INSTANCE), NONCE.hex().upper())
    for said, change in (
        ("public key: expected 48 bytes", {"public": PK2[:47]}),
        ("instance_id: expected 32 bytes", {"instance_id": "ab"}),
        ("nonce: expected 40 bytes, found 39", {"nonce": NONCE[:39]}),
        ("nonce: expected 80 hexadecimal digits", {"nonce": "zz" * 40}),
    ):
        with pytest.raises(ValueError, match=said):
            receipts.attested_payload(
                **({"user_id": "alice", "public": PK2, "instance_id": INSTANCE, "nonce": NONCE} | change)
            )
    with pytest.raises(ValueError, match="nonce: expected 40 bytes"):
        receipts.attestation(b"quote", b"")


def test_verification():
    assert receipts.verify(PK2, M1, S1)
    assert not receipts.verify(PK3, M1, S1)
    assert not receipts.verify(PK2, M1, OTHER_TAG), "signed under another tag"
    identity = bytes([0xC0]) + bytes(47)
    for key, signature in ((identity, S1), (PK2, bytes(96)), (PK2[:47], S1), (PK2, S1 + b"\0"), (bytes(48), S1)):
        assert not receipts.verify(key, M1, signature)


def test_aggregates():
    assert receipts.aggregate([S1, S2]) == SUM
    assert receipts.aggregate_verify([PK2, PK3], [M1, M2], SUM)
    assert not receipts.aggregate_verify([PK2, PK3], [M2, M1], SUM)
    assert receipts.aggregate_verify([PK2, PK2], [M1, M1], receipts.aggregate([S1, S1])), "pairs may come twice"
    assert not receipts.aggregate_verify([], [], SUM)
    assert not receipts.aggregate_verify([PK2], [M1, M2], SUM)
    with pytest.raises(ValueError, match="Cannot aggregate empty signature list"):
        receipts.aggregate([])
    with pytest.raises(ValueError, match="points of G2"):
        receipts.aggregate([S1, b"\xff" * 96])
    with pytest.raises(ValueError, match="signature 1: expected 96 bytes, found 95"):
        receipts.aggregate([S1, S2[:95]])


def test_possession():
    assert receipts.prove_possession(SK2) == PROOF
    assert receipts.verify_possession(PK2, PROOF)
    assert not receipts.verify_possession(PK3, PROOF)
    assert not receipts.verify_possession(PK2, S1)
    assert not receipts.verify_possession(PK2, PROOF[:95])


def test_the_bound_form_names_receiver_size_and_tracker():
    plain = receipts.receipt_message(INFOHASH, PK1, SHA1_PIECE, 0, AT)
    bound = receipts.Receipt(**PLAIN, timestamp=AT, piece_size=262144, instance_id=INSTANCE)
    assert bound.message == b"PBTS receipt 2\n" + M1 + PK2 + (262144).to_bytes(4, "big") + b"\xab" * 32
    assert bound.message == receipts.bound_message(plain, PK2, 262144, b"\xab" * 32)
    signed = bound.signed(SK2)
    assert signed.verify()
    for change in ({"piece_size": 262145}, {"instance_id": "ac" * 32}, {"instance_id": None}, {"receiver_pk": PK3}):
        assert replace(signed, **change).message != signed.message
    assert not replace(signed, piece_size=262145).verify()


def test_a_receipt_as_the_tracker_reads_it():
    receipt = receipts.Receipt(**PLAIN, timestamp=AT).signed(SK2)
    assert receipt.signature == S1
    assert receipt.verify()
    json = receipt.to_json()
    assert json == {
        "infohash": INFOHASH.hex(),
        "sender_pk": base64.b64encode(PK1).decode(),
        "receiver_public_key": base64.b64encode(PK2).decode(),
        "piece_hash": SHA1_PIECE.hex(),
        "piece_index": 0,
        "timestamp": AT,
        "piece_size": 16384,
        "signature": base64.b64encode(S1).decode(),
    }
    bound = receipts.Receipt(**PLAIN, timestamp=AT, instance_id=INSTANCE)
    assert bound.to_json()["version"] == 2
    with pytest.raises(ValueError, match="receiver_pk"):
        receipt.signed(SK3)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"piece_hash": bytes(21)}, "piece_hash: expected 20 or 32 bytes, found 21 bytes"),
        ({"infohash": bytes(19)}, "infohash: expected 20 bytes"),
        ({"sender_pk": PK1.hex()}, "sender_pk: expected 48 bytes, found str"),
        ({"receiver_pk": PK2[:-1]}, "receiver_pk: expected 48 bytes"),
        ({"piece_index": 1 << 32}, "piece_index: expected an integer from 0 to 4294967295"),
        ({"piece_index": -1}, "piece_index"),
        ({"piece_index": True}, "piece_index"),
        ({"timestamp": -1}, "timestamp"),
        ({"timestamp": 1.5}, "timestamp"),
        ({"timestamp": 1 << 60}, "timestamp: expected at most"),
        ({"piece_size": 1 << 32}, "piece_size"),
        ({"instance_id": "ab" * 31}, "instance_id: expected 32 bytes, found 31 bytes"),
        ({"instance_id": "zz" * 32}, "instance_id: expected 64 hexadecimal digits"),
        ({"signature": S1[:-1]}, "signature: expected 96 bytes"),
    ],
)
def test_what_has_no_message_is_no_receipt(change, said):
    with pytest.raises(ValueError, match=said):
        receipts.Receipt(**(PLAIN | {"timestamp": AT} | change))
