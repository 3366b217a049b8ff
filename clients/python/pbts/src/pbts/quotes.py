"""Where an Intel quote carries its report data. Nothing here verifies a signature."""

REPORT_DATA_SIZE = 64

_HEADER = 48
_SGX, _TDX = 0x00000000, 0x00000081
# Size of the body, and where report data begins in it.
_SGX_BODY = (384, 320)
_TD_BODY = (584, 520)
# Body types of version 5, by tee type: SGX; TD report 1.0, 1.5, and 1.5 with what follows it.
_V5_BODIES = {
    1: (_SGX, 384, 320),
    2: (_TDX, 584, 520),
    3: (_TDX, 648, 520),
    4: (_TDX, None, 520),
}


class QuoteError(ValueError):
    """The bytes are no quote of a version and kind that are known."""


def report_data(quote: bytes) -> bytes:
    """The 64 bytes that the guest had signed. Raises QuoteError. What follows the quote is passed over."""
    if len(quote) < _HEADER + 6:
        raise QuoteError(f"expected a quote, found {len(quote)} bytes")
    version = int.from_bytes(quote[0:2], "little")
    tee = int.from_bytes(quote[4:8], "little")
    if version == 5:
        start, size, offset = _v5_body(quote, tee)
    elif version == 4 and tee in (_SGX, _TDX):
        start = _HEADER
        size, offset = _TD_BODY if tee == _TDX else _SGX_BODY
    elif version == 3:
        # Its header has other things where later ones have the kind; it is always SGX.
        start, (size, offset) = _HEADER, _SGX_BODY
    else:
        raise QuoteError(f"expected version 3, 4 or 5 of SGX or TDX, found version {version}, kind {tee:#x}")
    if len(quote) < start + size:
        raise QuoteError(f"expected {start + size} bytes of header and body, found {len(quote)}")
    return bytes(quote[start + offset : start + offset + REPORT_DATA_SIZE])


def _v5_body(quote: bytes, tee: int) -> tuple[int, int, int]:
    kind = int.from_bytes(quote[48:50], "little")
    size = int.from_bytes(quote[50:54], "little")
    if kind not in _V5_BODIES or _V5_BODIES[kind][0] != tee:
        raise QuoteError(f"expected a body type of this kind of TEE ({tee:#x}), found {kind}")
    _, wanted, offset = _V5_BODIES[kind]
    if size != wanted and (wanted is not None or size < 648):
        raise QuoteError(f"expected a body of {wanted or 'at least 648'} bytes for body type {kind}, found {size}")
    return _HEADER + 6, size, offset
