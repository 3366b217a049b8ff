#include "crypto/scalar.h"

#include <array>
#include <cstdint>

#include "crypto/internal/require.h"

namespace attestry::crypto {
namespace {

constexpr std::size_t kLimbs = 9;  // 66 bytes and room for the doubling
using Limbs = std::array<std::uint64_t, kLimbs>;

Limbs load(base::ByteView big_endian) {
  Limbs out{};
  for (std::size_t i = 0; i < big_endian.size(); ++i) {
    out[i / 8] |= std::uint64_t{big_endian[big_endian.size() - 1 - i]} << (8 * (i % 8));
  }
  return out;
}

void double_and_add(Limbs& value, std::uint64_t bit) {
  for (std::uint64_t& limb : value) {
    const std::uint64_t out = limb >> 63;
    limb = (limb << 1) | bit;
    bit = out;
  }
}

/// value -= modulus when that does not go below zero; no branch looks at the value.
void reduce_once(Limbs& value, const Limbs& modulus) {
  Limbs less{};
  std::uint64_t borrow = 0;
  for (std::size_t i = 0; i < kLimbs; ++i) {
    const std::uint64_t difference = value[i] - modulus[i];
    const std::uint64_t under = static_cast<std::uint64_t>(value[i] < modulus[i]);
    less[i] = difference - borrow;
    borrow = under | static_cast<std::uint64_t>(difference < borrow);
  }
  const std::uint64_t keep = 0 - borrow;  // all ones: it was smaller
  for (std::size_t i = 0; i < kLimbs; ++i) value[i] = (value[i] & keep) | (less[i] & ~keep);
}

void add_one(Limbs& value) {
  std::uint64_t carry = 1;
  for (std::uint64_t& limb : value) {
    limb += carry;
    carry = static_cast<std::uint64_t>(limb < carry);
  }
}

}  // namespace

Secret scalar_from_wide(base::ByteView wide, base::ByteView order) {
  internal::require(!order.empty() && order.size() <= 66 && (order.back() & 1) == 1, "scalar_from_wide: order");
  Limbs modulus = load(order);
  modulus[0] -= 1;
  Limbs value{};
  for (const std::uint8_t byte : wide) {
    for (unsigned bit = 8; bit-- > 0;) {
      double_and_add(value, (std::uint64_t{byte} >> bit) & 1);
      reduce_once(value, modulus);
    }
  }
  add_one(value);
  Secret out(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    out.writable()[order.size() - 1 - i] = static_cast<std::uint8_t>(value[i / 8] >> (8 * (i % 8)));
  }
  wipe({reinterpret_cast<std::uint8_t*>(value.data()), sizeof value});
  return out;
}

}  // namespace attestry::crypto
