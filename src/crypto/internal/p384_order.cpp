#include "crypto/internal/p384_order.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <utility>

namespace attestry::crypto::internal {

namespace {

__extension__ typedef unsigned __int128 Wide;
__extension__ typedef __int128 SignedWide;

constexpr std::size_t kWords = 6;

constexpr std::uint64_t low(Wide value) noexcept { return static_cast<std::uint64_t>(value); }
constexpr std::uint64_t high(Wide value) noexcept { return static_cast<std::uint64_t>(value >> 64); }

/// out = a - b; returns the borrow.
constexpr std::uint64_t subtract(Words384& out, const Words384& a, const Words384& b) noexcept {
  std::uint64_t borrow = 0;
  for (std::size_t i = 0; i < kWords; ++i) {
    const Wide difference = Wide{a[i]} - b[i] - borrow;
    out[i] = low(difference);
    borrow = high(difference) & 1;
  }
  return borrow;
}

/// `carry` · 2^384 + a, less n where it is n or more.
constexpr Words384 reduce_once(const Words384& a, std::uint64_t carry) noexcept {
  Words384 less_n{};
  const std::uint64_t borrow = subtract(less_n, a, kP384Order);
  return carry != 0 || borrow == 0 ? less_n : a;
}

/// 1 / value modulo 2^64, for an odd value: each of Newton's steps doubles the number of right bits, of which there are
/// three.
constexpr std::uint64_t inverse_of_odd(std::uint64_t value) noexcept {
  std::uint64_t inverse = value;
  for (int step = 0; step < 5; ++step) inverse *= 2 - value * inverse;
  return inverse;
}
constexpr std::uint64_t kOrderInverse = inverse_of_odd(kP384Order[0]);

/// 2^768 modulo n.
constexpr Words384 montgomery_square() noexcept {
  Words384 power{};
  subtract(power, power, kP384Order);  // 2^384 - n, which is below n
  for (int bit = 0; bit < 384; ++bit) {
    const std::uint64_t carry = power[5] >> 63;
    for (std::size_t i = kWords - 1; i > 0; --i) power[i] = power[i] << 1 | power[i - 1] >> 63;
    power[0] <<= 1;
    power = reduce_once(power, carry);
  }
  return power;
}
constexpr Words384 kMontgomerySquare = montgomery_square();

/// a * b / 2^384 modulo n, word by word (Montgomery).
Words384 montgomery(const Words384& a, const Words384& b) noexcept {
  Words384 t{};
  std::uint64_t top = 0;
  for (const std::uint64_t word : b) {
    std::uint64_t carry = 0;
    for (std::size_t j = 0; j < kWords; ++j) {
      const Wide sum = Wide{a[j]} * word + t[j] + carry;
      t[j] = low(sum);
      carry = high(sum);
    }
    const Wide head = Wide{top} + carry;
    const std::uint64_t factor = t[0] * (0 - kOrderInverse);
    carry = high(Wide{factor} * kP384Order[0] + t[0]);
    for (std::size_t j = 1; j < kWords; ++j) {
      const Wide sum = Wide{factor} * kP384Order[j] + t[j] + carry;
      t[j - 1] = low(sum);
      carry = high(sum);
    }
    const Wide last = head + carry;
    t[kWords - 1] = low(last);
    top = high(last);
  }
  return reduce_once(t, top);
}

// Inversion: the division steps of Bernstein and Yang ("Fast constant-time gcd computation and modular inversion",
// 2019), 62 at a time on the lowest words alone, their effect then applied to the long numbers. Here with branches.

constexpr int kBatch = 62;
constexpr std::size_t kLimbs = 7;
constexpr std::uint64_t kLimbMask = (std::uint64_t{1} << kBatch) - 1;

/// A signed number in limbs of 62 bits: all but the last in [0, 2^62).
using Limbs = std::array<std::int64_t, kLimbs>;

constexpr Limbs to_limbs(const Words384& a) noexcept {
  Limbs out{};
  for (std::size_t i = 0; i < kLimbs; ++i) {
    const std::size_t bit = i * kBatch;
    const std::size_t word = bit / 64;
    const std::size_t shift = bit % 64;
    std::uint64_t value = a[word] >> shift;
    if (shift > 64 - kBatch && word + 1 < kWords) value |= a[word + 1] << (64 - shift);
    out[i] = static_cast<std::int64_t>(value & kLimbMask);
  }
  return out;
}
constexpr Limbs kOrderLimbs = to_limbs(kP384Order);

/// What a batch of division steps does to (f, g), times 2^62. |u| + |v| and |q| + |r| are at most 2^62.
struct Steps {
  std::int64_t u = 1, v = 0, q = 0, r = 1;
};

/// The next 62 division steps of a pair with the lowest bits f (odd) and g. delta as in the paper.
Steps divide_steps(std::int64_t& delta, std::uint64_t f, std::uint64_t g) noexcept {
  // Unsigned, because the values wrap; what is left at the end is in range.
  std::uint64_t u = 1, v = 0, q = 0, r = 1;
  int left = kBatch;
  for (;;) {
    const int zeros = std::countr_zero(g | ~std::uint64_t{0} << left);
    g >>= zeros;
    u <<= zeros;
    v <<= zeros;
    delta += zeros;
    left -= zeros;
    if (left == 0) break;
    if (delta > 0) {
      delta = -delta;
      f = std::exchange(g, 0 - f);
      u = std::exchange(q, 0 - u);
      v = std::exchange(r, 0 - v);
    }
    // Until delta is positive again every step adds f to an odd g: as many as that, but at most six, in one go.
    const int steps = std::min({static_cast<int>(std::min<std::int64_t>(1 - delta, 6)), left});
    const std::uint64_t mask = (std::uint64_t{1} << steps) - 1;
    const std::uint64_t minus_inverse = f * (f * f - 2);  // -1/f modulo 2^6
    const std::uint64_t times = g * minus_inverse & mask;
    g += f * times;
    q += u * times;
    r += v * times;
  }
  return {static_cast<std::int64_t>(u), static_cast<std::int64_t>(v), static_cast<std::int64_t>(q),
          static_cast<std::int64_t>(r)};
}

/// (a * x + b * y + m * n) / 2^62, where that division is exact.
Limbs combine(std::int64_t a, const Limbs& x, std::int64_t b, const Limbs& y, std::int64_t m) noexcept {
  Limbs out{};
  SignedWide sum = SignedWide{a} * x[0] + SignedWide{b} * y[0] + SignedWide{m} * kOrderLimbs[0];
  sum >>= kBatch;
  for (std::size_t i = 1; i < kLimbs; ++i) {
    sum += SignedWide{a} * x[i] + SignedWide{b} * y[i] + SignedWide{m} * kOrderLimbs[i];
    out[i - 1] = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) & kLimbMask);
    sum >>= kBatch;
  }
  out[kLimbs - 1] = static_cast<std::int64_t>(sum);
  return out;
}

/// The m in [-2^61, 2^61) for which `combine` divides exactly.
std::int64_t exact(std::int64_t a, const Limbs& x, std::int64_t b, const Limbs& y) noexcept {
  const std::uint64_t lowest = static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(x[0]) +
                               static_cast<std::uint64_t>(b) * static_cast<std::uint64_t>(y[0]);
  const std::uint64_t m = 0 - lowest * kOrderInverse;
  return static_cast<std::int64_t>(m << (64 - kBatch)) >> (64 - kBatch);
}

/// out = a + factor * n.
Limbs add_order(const Limbs& a, std::int64_t factor) noexcept {
  Limbs out{};
  std::int64_t carry = 0;
  for (std::size_t i = 0; i < kLimbs; ++i) {
    const std::int64_t sum = a[i] + factor * kOrderLimbs[i] + carry;
    out[i] = i + 1 < kLimbs ? static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) & kLimbMask) : sum;
    carry = sum >> kBatch;
  }
  return out;
}

bool negative(const Limbs& a) noexcept { return a.back() < 0; }

/// a modulo n for an `a` of a few n.
Words384 to_words(Limbs a) noexcept {
  while (negative(a)) a = add_order(a, 1);
  for (Limbs next = add_order(a, -1); !negative(next); next = add_order(a, -1)) a = next;
  Words384 out{};
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::size_t limb = i * 64 / kBatch;
    const std::size_t shift = i * 64 % kBatch;
    out[i] = static_cast<std::uint64_t>(a[limb]) >> shift | static_cast<std::uint64_t>(a[limb + 1]) << (kBatch - shift);
  }
  return out;
}

}  // namespace

Words384 words_from_bytes(base::ByteView bytes) noexcept {
  Words384 out{};
  for (std::size_t i = 0; i < 48; ++i) {
    std::uint64_t& word = out[kWords - 1 - i / 8];
    word = word << 8 | bytes[i];
  }
  return out;
}

base::FixedBytes<48> words_to_bytes(const Words384& words) noexcept {
  base::FixedBytes<48> out{};
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[out.size() - 1 - i] = static_cast<std::uint8_t>(words[i / 8] >> (i % 8 * 8));
  }
  return out;
}

bool less(const Words384& a, const Words384& b) noexcept {
  Words384 unused{};
  return subtract(unused, a, b) != 0;
}

Words384 add_words(const Words384& a, const Words384& b) noexcept {
  Words384 out{};
  std::uint64_t carry = 0;
  for (std::size_t i = 0; i < kWords; ++i) {
    const Wide sum = Wide{a[i]} + b[i] + carry;
    out[i] = low(sum);
    carry = high(sum);
  }
  return out;
}

Words384 order_reduce(const Words384& a) noexcept { return reduce_once(a, 0); }

Words384 order_multiply(const Words384& a, const Words384& b) noexcept {
  return montgomery(montgomery(a, kMontgomerySquare), b);
}

Words384 order_inverse(const Words384& a) noexcept {
  // Throughout, d * a = f and e * a = g modulo n. At the end g = 0 and f = ±1. A batch makes |d| and |e| larger by at
  // most n/2, and there are at most 18 of them (1110 steps, theorem 11.2 of the paper): far from what seven limbs hold.
  Limbs f = kOrderLimbs;
  Limbs g = to_limbs(a);
  Limbs d{};
  Limbs e{1};
  std::int64_t delta = 1;
  while (g != Limbs{}) {
    const Steps t = divide_steps(delta, static_cast<std::uint64_t>(f[0]), static_cast<std::uint64_t>(g[0]));
    const Limbs next_f = combine(t.u, f, t.v, g, 0);
    g = combine(t.q, f, t.r, g, 0);
    f = next_f;
    const Limbs next_d = combine(t.u, d, t.v, e, exact(t.u, d, t.v, e));
    e = combine(t.q, d, t.r, e, exact(t.q, d, t.r, e));
    d = next_d;
  }
  if (!negative(f)) return to_words(d);
  Limbs minus_d{};  // Subtraction limb by limb: the carries are signed.
  std::int64_t carry = 0;
  for (std::size_t i = 0; i < kLimbs; ++i) {
    const std::int64_t value = carry - d[i];
    minus_d[i] = i + 1 < kLimbs ? static_cast<std::int64_t>(static_cast<std::uint64_t>(value) & kLimbMask) : value;
    carry = value >> kBatch;
  }
  return to_words(minus_d);
}

Digits384 signed_digits(const Words384& a, unsigned width) noexcept {
  Digits384 out{};
  std::uint64_t carry = 0;
  std::size_t bit = 0;
  while (bit < out.size()) {
    const std::size_t word = bit / 64;
    const std::size_t shift = bit % 64;
    std::uint64_t window = word < kWords ? a[word] >> shift : 0;
    if (shift != 0 && word + 1 < kWords) window |= a[word + 1] << (64 - shift);
    // Where a bit is what is carried, their sum is even: a zero digit, and the carry goes on.
    const int zeros = std::countr_zero(window ^ (0 - carry));
    if (zeros > 0) {
      bit += static_cast<std::size_t>(zeros);
      continue;
    }
    const std::uint64_t value = (window & ((std::uint64_t{1} << width) - 1)) + carry;
    carry = value >> (width - 1);
    out[bit] = static_cast<std::int8_t>(static_cast<std::int64_t>(value) - static_cast<std::int64_t>(carry << width));
    bit += width;
  }
  return out;
}

}  // namespace attestry::crypto::internal
