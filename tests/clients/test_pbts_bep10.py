"""How peers hand receipts to each other, and what they may not send."""

import hashlib
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pbts import bencode, bep10
from pbts.bep10 import BEP10Handler, ExtensionHandshake, PBTSReceipt

HANDSHAKE = bytes.fromhex(
    "0000005e140064313a6d64343a7062747364373a7265636569707469316531333a726563656970745f626174636869326531353a72"
    "6571756573745f726563656970746933656565313a70693638383165313a7631303a5042545320302e312e3065"
)
INFOHASH = hashlib.sha1(b"torrent").digest()
PIECE = bep10.compute_piece_hash(b"piece")


def receipt(index=5, **change):
    fields = dict(
        infohash=INFOHASH,
        sender_pk=b"S" * 48,
        receiver_pk=b"R" * 48,
        piece_hash=PIECE,
        piece_index=index,
        timestamp=1_700_000_000.75,
        t_epoch=472_222,
        signature=b"X" * 96,
    )
    return PBTSReceipt(**(fields | change))


def peers(left=False, right=False):
    """Two handlers that have shaken hands; left and right say who names its ids as BEP 10 has it."""
    alice, bob = BEP10Handler("Alice", standard_ids=left), BEP10Handler("Bob", standard_ids=right)
    to_bob, to_alice = alice.create_handshake(6881), bob.create_handshake(6882)
    assert bob.parse_handshake(to_bob[6:]) and alice.parse_handshake(to_alice[6:])
    return alice, bob


def sent(message):
    """Id and payload of a whole message."""
    assert int.from_bytes(message[:4], "big") == len(message) - 4
    assert message[4] == bep10.EXTENDED_MESSAGE_ID == 20
    return message[5], message[6:]


def test_the_handshake_is_that_of_the_original():
    assert BEP10Handler().create_handshake(listening_port=6881) == HANDSHAKE
    handler = BEP10Handler()
    assert handler.parse_handshake(HANDSHAKE[6:])
    assert handler.peer_supports_pbts
    assert handler.remote_ext_ids == {"pbts_receipt": 1, "pbts_receipt_batch": 2, "pbts_request_receipt": 3}


def test_the_handshake_as_bep_10_has_it():
    payload = BEP10Handler(standard_ids=True).create_handshake(6881)[6:]
    found = bencode.decode(payload)
    assert found[b"m"] == {b"pbts_receipt": 1, b"pbts_receipt_batch": 2, b"pbts_request_receipt": 3}
    assert found[b"p"] == 6881 and found[b"v"] == b"PBTS 0.1.0"


def test_a_peer_with_ids_of_its_own_is_written_to_under_them():
    handler = BEP10Handler()
    ids = {b"ut_metadata": 1, b"pbts_receipt": 40, b"pbts_receipt_batch": 41, b"pbts_request_receipt": 0}
    assert handler.parse_handshake(bencode.encode({b"m": ids, b"reqq": 250}))
    assert sent(handler.create_receipt_message(receipt()))[0] == 40
    assert sent(handler.create_receipt_batch_message([receipt()]))[0] == 41
    with pytest.raises(ValueError, match="Request receipt message ID not negotiated"):
        handler.create_request_receipt_message(INFOHASH, 1, PIECE)
    # Taken back later, as BEP 10 allows.
    assert handler.parse_handshake(bencode.encode({b"m": {b"pbts_receipt": 0}}))
    with pytest.raises(ValueError, match="Receipt message ID not negotiated"):
        handler.create_receipt_message(receipt())


def test_a_peer_without_the_extension():
    handler = BEP10Handler()
    other = ExtensionHandshake(supported_extensions={b"ut_metadata": {b"msg_id": 1}}, client_version="Other")
    assert not handler.parse_handshake(bencode.encode(other.to_dict()))
    assert not handler.peer_supports_pbts
    for create in (
        lambda: handler.create_receipt_message(receipt()),
        lambda: handler.create_receipt_batch_message([]),
        lambda: handler.create_request_receipt_message(INFOHASH, 1, PIECE),
    ):
        with pytest.raises(ValueError, match="Peer does not support PBTS extension"):
            create()


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("right", [False, True])
def test_receipts_come_over_whichever_form_each_side_uses(left, right):
    alice, bob = peers(left, right)
    found = bob.parse_message(*sent(alice.create_receipt_message(receipt())))
    assert found == receipt(timestamp=1_700_000_000.0), "seconds are whole on the wire"
    assert found.receipt_id() == receipt().receipt_id()
    batch = [receipt(index) for index in range(5)]
    assert [one.piece_index for one in bob.parse_message(*sent(alice.create_receipt_batch_message(batch)))] == [
        0, 1, 2, 3, 4,
    ]  # fmt: skip
    asked = bob.parse_message(*sent(alice.create_request_receipt_message(INFOHASH, 10, PIECE)))
    assert asked == {"infohash": INFOHASH, "piece_index": 10, "piece_hash": PIECE}


def test_message_and_id_of_a_receipt():
    message = receipt().get_message()
    assert message == INFOHASH + b"S" * 48 + PIECE + (5).to_bytes(4, "big") + (472_222).to_bytes(8, "big")
    assert receipt().receipt_id() == ":".join([INFOHASH.hex(), "53" * 48, "52" * 48, PIECE.hex(), "5", "472222"])
    assert receipt(6).receipt_id() != receipt().receipt_id()
    assert PBTSReceipt.from_dict(receipt().to_dict()).piece_hash == PIECE


@pytest.mark.parametrize(
    "change",
    [
        {b"infohash": bytes(19)},
        {b"sender_pk": bytes(49)},
        {b"receiver_pk": 7},
        {b"piece_hash": bytes(20)},
        {b"piece_index": -1},
        {b"piece_index": 1 << 32},
        {b"piece_index": b"5"},
        {b"timestamp": -1},
        {b"timestamp": 1 << 53},
        {b"t_epoch": 1 << 63},
        {b"signature": bytes(95)},
        {b"signature": None},
    ],
)
def test_a_receipt_with_a_wrong_member_is_refused_and_nothing_breaks(change, caplog):
    alice, bob = peers()
    data = {name: value for name, value in (receipt().to_dict() | change).items() if value is not None}
    name = next(iter(change)).decode()
    with caplog.at_level(logging.ERROR):
        assert bob.parse_message(1, bencode.encode(data)) is None
        assert bob.parse_message(2, bencode.encode({b"receipts": [receipt().to_dict(), data]})) is None
    assert all(f"{name}: expected" in line for line in caplog.messages) and len(caplog.messages) == 2


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"invalid",
        b"i5e",
        b"le",
        b"d8:receiptsi1ee",
        b"d8:receiptsli1eee",
        b"d8:receiptslee",
        b"l" * 5000 + b"e" * 5000,
    ],
)
def test_payloads_that_are_no_message(payload):
    _, bob = peers()
    assert bob.parse_message(1, payload) is None
    assert bob.parse_message(3, payload) is None
    assert bob.parse_message(99, payload) is None
    assert not BEP10Handler().parse_handshake(payload)


@pytest.mark.parametrize(
    "extensions",
    [
        {b"pbts": {b"receipt": 256}},
        {b"pbts": {b"receipt": -1}},
        {b"pbts": {b"receipt": b"1"}},
        {b"pbts": {b"receipt": 1, b"receipt_batch": 1}},
        {b"pbts_receipt": [1]},
        [],
    ],
)
def test_handshakes_with_impossible_ids(extensions):
    handler = BEP10Handler()
    assert not handler.parse_handshake(bencode.encode({b"m": extensions}))
    assert not handler.peer_supports_pbts and handler.remote_ext_ids == {}


def test_sizes_are_bounded():
    alice, bob = peers()
    with pytest.raises(ValueError, match="at most 1024"):
        alice.create_receipt_batch_message([receipt()] * 1025)
    assert len(bob.parse_message(*sent(alice.create_receipt_batch_message([receipt()] * 1024)))) == 1024
    many = bencode.encode({b"receipts": [receipt().to_dict()] * 1025})
    assert bob.parse_message(2, many) is None
    padded = receipt().to_dict() | {b"x": bytes(bep10.MAX_PAYLOAD // 2)}
    assert bob.parse_message(1, bencode.encode(padded)) is not None, "members that are not known are passed over"
    assert bob.parse_message(1, bencode.encode(padded | {b"y": bytes(bep10.MAX_PAYLOAD // 2)})) is None


def test_levels_are_bounded():
    assert bencode.decode(b"l" * 9 + b"e" * 9) == [[[[[[[[[]]]]]]]]]
    with pytest.raises(bencode.BencodeError, match="more than 8 levels"):
        bencode.decode(b"l" * 10 + b"e" * 10)


def test_receipts_wait_for_a_report():
    handler = BEP10Handler()
    for index in range(5):
        handler.add_receipt(receipt(index))
    assert handler.should_batch_report(5) and not handler.should_batch_report()
    assert len(handler.get_pending_receipts()) == 5
    assert handler.pending_receipts == [] == handler.get_pending_receipts()


def test_statistics():
    alice, bob = peers()
    for _ in range(2):
        bob.parse_message(*sent(alice.create_receipt_message(receipt())))
    bob.parse_message(*sent(alice.create_receipt_batch_message([receipt()])))
    bob.parse_message(1, b"broken")
    found, heard = alice.get_statistics(), bob.get_statistics()
    assert (found["handshakes_created"], found["receipts_created"], found["batches_created"]) == (1, 2, 1)
    assert (heard["handshakes_parsed"], heard["receipts_parsed"], heard["batches_parsed"]) == (1, 2, 1)
    assert found["avg_receipt_create_time_ms"] == found["total_receipt_create_time_ms"] / 2 > 0
    assert found["avg_batch_parse_time_ms"] == 0
    alice.reset_statistics()
    assert set(alice.get_statistics().values()) == {0}


def test_hours():
    assert [bep10.compute_time_epoch(at) for at in (0.0, 3599.9, 3600.0, 7200.0)] == [0, 0, 1, 2]
    assert bep10.compute_time_epoch(100, window=10) == 10


VALUES = st.recursive(
    st.integers(-(10**18), 10**18) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_bencoding_comes_back(value):
    try:
        assert bencode.decode(bencode.encode(value)) == value
    except bencode.BencodeError as error:
        assert "levels" in str(error)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.text("idle0123456789:-", max_size=20).map(str.encode))
def test_what_is_read_is_canonical(data):
    try:
        assert bencode.encode(bencode.decode(data)) == data
    except bencode.BencodeError:
        pass


@pytest.mark.parametrize(
    "data",
    [b"i-0e", b"i01e", b"i1", b"ie", b"01:a", b"5:a", b"d1:b0:1:a0:e", b"d1:a0:1:a0:e", b"di1e0:e", b"i1ei2e", b"-1:a"],
)
def test_what_is_not_canonical_is_refused(data):
    with pytest.raises(bencode.BencodeError):
        bencode.decode(data)
