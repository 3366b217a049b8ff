#include "curves/shamir.h"

#include <algorithm>
#include <array>

#include "crypto/hash.h"

namespace attestry::curves {

using base::Code;
using base::Error;
using base::Result;
using crypto::Secret;

namespace {

constexpr unsigned kMaxParts = 255;  // x runs over the field without 0

/// a * b in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197 4.2): eight steps whatever the values, no table.
std::uint8_t multiply(std::uint8_t a, std::uint8_t b) noexcept {
  unsigned product = 0;
  unsigned shifted = a;
  for (unsigned bit = 0; bit < 8; ++bit) {
    product ^= shifted & (0U - (b >> bit & 1U));
    shifted = (shifted << 1) ^ (0x11bU & (0U - (shifted >> 7 & 1U)));
  }
  return static_cast<std::uint8_t>(product);
}

/// a^254 = 1 / a; 0 stays 0.
std::uint8_t inverse(std::uint8_t a) noexcept {
  std::uint8_t power = a;
  std::uint8_t out = 1;
  for (unsigned i = 0; i < 7; ++i) {
    power = multiply(power, power);  // a^2, a^4, … a^128
    out = multiply(out, power);
  }
  return out;
}

/// Distinct x in random order: Fisher-Yates over 1..255. x is public, it stands in each share.
std::array<std::uint8_t, kMaxParts> shuffled_x(crypto::Random& random) {
  std::array<std::uint8_t, kMaxParts> out{};
  for (unsigned i = 0; i < kMaxParts; ++i) out[i] = static_cast<std::uint8_t>(i + 1);
  for (unsigned i = kMaxParts - 1; i > 0; --i) {
    // 16 bits over at most 255 values: a bias of less than 1 in 256 of a place, in what is public.
    const auto bytes = random.bytes<2>();
    const unsigned j = (bytes[0] * 256U + bytes[1]) % (i + 1);
    std::swap(out[i], out[j]);
  }
  return out;
}

Error wrong(std::string_view what, std::string_view expected) {
  return Error{.code = Code::malformed, .what = std::string(what), .expected = std::string(expected)};
}

base::Status check(std::span<const Secret> shares) {
  if (shares.size() < 2 || shares.size() > kMaxParts) return wrong("number of shares", "2 to 255");
  std::array<bool, kMaxParts + 1> seen{};
  for (const Secret& share : shares) {
    if (share.size() < 2 || share.size() != shares[0].size()) {
      return wrong("shares of different or impossible lengths", "shares of one split");
    }
    const std::uint8_t x = share.reveal().back();
    if (x == 0) return wrong("a share with x = 0", "x from 1 to 255");
    if (seen[x]) return wrong("two shares with the same x", "different shares of one split");
    seen[x] = true;
  }
  return base::done();
}

base::Digest32 commitment(std::string_view label, base::ByteView set_id, const Secret& secret) {
  base::LpWriter head;
  head.lp(label).lp(set_id).u32(static_cast<std::uint32_t>(secret.size()));
  return crypto::sha256({head.bytes(), secret.reveal()});
}

}  // namespace

Result<std::vector<Secret>> shamir_split(const Secret& secret, unsigned threshold, unsigned parts,
                                         crypto::Random& random) {
  if (secret.empty()) return wrong("nothing to share", "a secret of at least one byte");
  if (threshold < 2 || threshold > parts || parts > kMaxParts) {
    return wrong("threshold and parts", "2 <= threshold <= parts <= 255");
  }
  const auto xs = shuffled_x(random);
  // Coefficients of degree 1 and up, one polynomial for each byte of the secret. As in Vault the highest may be 0:
  // ruling it out would tell something about the secret.
  const Secret coefficients = random.secret(secret.size() * (threshold - 1));
  std::vector<Secret> shares;
  shares.reserve(parts);
  for (unsigned part = 0; part < parts; ++part) {
    Secret share(secret.size() + 1);
    for (std::size_t i = 0; i < secret.size(); ++i) {
      const base::ByteView row = coefficients.reveal().subspan(i * (threshold - 1), threshold - 1);
      std::uint8_t y = 0;
      for (std::size_t k = row.size(); k-- > 0;) y = static_cast<std::uint8_t>(multiply(y, xs[part]) ^ row[k]);
      share.writable()[i] = static_cast<std::uint8_t>(multiply(y, xs[part]) ^ secret.reveal()[i]);
    }
    share.writable().back() = xs[part];
    shares.push_back(std::move(share));
  }
  return shares;
}

Result<Secret> shamir_combine(std::span<const Secret> shares) {
  TRY_OK(check(shares), "shares");
  Secret out(shares[0].size() - 1);
  std::ranges::fill(out.writable(), std::uint8_t{0});
  for (const Secret& share : shares) {
    // Lagrange's coefficient at 0: the product of x_j / (x_j - x_i) over the others; minus is plus here.
    const std::uint8_t x = share.reveal().back();
    std::uint8_t weight = 1;
    for (const Secret& other : shares) {
      const std::uint8_t xj = other.reveal().back();
      if (xj != x) weight = multiply(weight, multiply(xj, inverse(xj ^ x)));
    }
    for (std::size_t i = 0; i < out.size(); ++i) out.writable()[i] ^= multiply(share.reveal()[i], weight);
  }
  return out;
}

base::Digest32 share_commitment(base::ByteView set_id, const Secret& share) {
  return commitment("attestry/share-commitment/1", set_id, share);
}

base::Digest32 secret_commitment(base::ByteView set_id, const Secret& secret) {
  return commitment("attestry/secret-commitment/1", set_id, secret);
}

}  // namespace attestry::curves
