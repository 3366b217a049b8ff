// Numbers modulo the order n of P-384, for checking signatures: variable time, so only for public values.
#pragma once
#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace attestry::crypto::internal {

/// 384 bits, least significant word first.
using Words384 = std::array<std::uint64_t, 6>;

/// n of SP 800-186 3.2.1.4.
inline constexpr Words384 kP384Order = {0xecec196accc52973, 0x581a0db248b0a77a, 0xc7634d81f4372ddf,
                                        0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff};

/// `bytes` are 48, big-endian.
Words384 words_from_bytes(base::ByteView bytes) noexcept;
base::FixedBytes<48> words_to_bytes(const Words384& words) noexcept;
// Word by word: a comparison of memory would wait for words that were just written one by one.
inline bool is_zero(const Words384& a) noexcept { return (a[0] | a[1] | a[2] | a[3] | a[4] | a[5]) == 0; }
bool less(const Words384& a, const Words384& b) noexcept;
/// a + b modulo 2^384.
Words384 add_words(const Words384& a, const Words384& b) noexcept;

/// a modulo n for any a of 384 bits.
Words384 order_reduce(const Words384& a) noexcept;
/// a * b modulo n; both below n.
Words384 order_multiply(const Words384& a, const Words384& b) noexcept;
/// 1 / a modulo n; a in [1, n-1].
Words384 order_inverse(const Words384& a) noexcept;

/// The digits of `a` in width-w non-adjacent form, digit i worth 2^i: zero, or odd and below 2^(w-1) in magnitude, and
/// after each one at least w-1 zeros. `width` is 2 to 8.
using Digits384 = std::array<std::int8_t, 385>;
Digits384 signed_digits(const Words384& a, unsigned width) noexcept;

}  // namespace attestry::crypto::internal
