// Base58 with Bitcoin's alphabet and no checksum, as NEAR writes keys, hashes and signatures.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::base {

/// Whether every character is one of the alphabet; of any length.
bool is_base58(std::string_view text) noexcept;
/// Each leading zero byte is a leading '1'. Takes time in the square of the size: for keys, not for files.
std::string base58(base::ByteView bytes);
/// Characters that are always enough for so many bytes.
constexpr std::size_t base58_room(std::size_t bytes) noexcept { return bytes * 138 / 100 + 1; }
/// The same into the beginning of `out`, without a copy anywhere else: for secrets. How many characters there are;
/// `usage` when `out` has less than base58_room().
base::Result<std::size_t> base58_into(base::ByteView bytes, std::span<char> out);
/// Strict: no other character, no white space. More than `max_bytes` is an error; the empty text is no bytes.
base::Result<base::Bytes> base58_decode(std::string_view text, std::size_t max_bytes);
/// The same with exactly the size of `out`, and without a copy anywhere else: for secrets. After an error the content
/// of `out` is unspecified. The time depends on the value.
base::Status base58_decode_into(std::string_view text, std::span<std::uint8_t> out);

}  // namespace attestry::base
