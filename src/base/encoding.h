// Text forms of bytes: lower-case hex, base64, base64url without padding (RFC 4648), PEM (RFC 7468). All strict.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::base {

std::string hex(ByteView bytes);
/// Accepts both letter cases; refuses odd length and any other character.
Result<Bytes> hex_decode(std::string_view text);
/// The same into a fixed size; another length is an error.
Status hex_decode_into(std::string_view text, std::span<std::uint8_t> out);

std::string base64(ByteView bytes);
std::string base64url(ByteView bytes);
/// Standard alphabet with padding, no white space; refuses non-zero spare bits.
Result<Bytes> base64_decode(std::string_view text);
/// URL alphabet without padding; refuses non-zero spare bits.
Result<Bytes> base64url_decode(std::string_view text);

struct PemBlock {
  std::string label;  ///< "CERTIFICATE"
  Bytes der;
};
/// All blocks in order. White space (and one trailing NUL, which Intel's chains carry) may stand between and after
/// blocks; any other text is an error, and so are more than `max_blocks` blocks.
Result<std::vector<PemBlock>> pem_decode(std::string_view text, std::size_t max_blocks = 16);
std::string pem_encode(std::string_view label, ByteView der);

/// Percent-decoding of header values such as Intel's issuer chains; '+' stays a plus (RFC 3986).
Result<std::string> percent_decode(std::string_view text);

}  // namespace attestry::base
