#include "crypto/internal/rfc6979.h"

#include <algorithm>
#include <initializer_list>

namespace attestry::crypto::internal {
namespace {

struct Drbg {
  const EVP_MD* hash;
  Secret k;
  Secret v;

  void mac_into(Secret& out, std::initializer_list<base::ByteView> parts) const {
    bssl::ScopedHMAC_CTX ctx;
    unsigned size = 0;
    bool good = HMAC_Init_ex(ctx.get(), k.reveal().data(), k.size(), hash, nullptr) == 1;
    for (const base::ByteView part : parts) good = good && HMAC_Update(ctx.get(), part.data(), part.size()) == 1;
    good = good && HMAC_Final(ctx.get(), out.writable().data(), &size) == 1;
    require(good && size == out.size(), "RFC 6979: HMAC failed");
  }

  void step(std::uint8_t label, base::ByteView x, base::ByteView h) {
    const std::uint8_t one[1] = {label};
    Secret next(k.size());
    mac_into(next, {v.reveal(), one, x, h});
    k = std::move(next);
    refresh();
  }

  void refresh() {
    Secret next(v.size());
    mac_into(next, {v.reveal()});
    v = std::move(next);
  }

  /// The leftmost `bits` of V ‖ V ‖ …, right-aligned (section 3.2, step h, with bits2int of 2.3.2).
  Secret candidate(unsigned bits) {
    Secret out((bits + 7) / 8);
    const std::span<std::uint8_t> bytes = out.writable();
    for (std::size_t at = 0; at < bytes.size();) {
      refresh();
      const base::ByteView part = v.reveal().first(std::min(v.size(), bytes.size() - at));
      std::ranges::copy(part, bytes.begin() + static_cast<std::ptrdiff_t>(at));
      at += part.size();
    }
    const auto spare = static_cast<unsigned>(8 * bytes.size() - bits);
    unsigned carried = 0;
    for (std::uint8_t& byte : bytes) {
      const unsigned both = carried << 8 | byte;
      carried = byte;
      byte = static_cast<std::uint8_t>(both >> spare);
    }
    return out;
  }
};

const EVP_MD* hash_of(std::size_t digest_size) {
  return digest_size == 32 ? EVP_sha256() : digest_size == 48 ? EVP_sha384() : EVP_sha512();
}

}  // namespace

Secret rfc6979_nonce(const BIGNUM* private_scalar, const EC_GROUP* group, base::ByteView digest) {
  const BIGNUM* order = EC_GROUP_get0_order(group);
  const std::size_t size = BN_num_bytes(order);
  const std::size_t hashed = digest.size();
  // So a digest never has more bits than the order.
  require((hashed == 32 && size == 32) || (hashed == 48 && size == 48) || (hashed == 64 && size == 66),
          "RFC 6979: digest and order do not belong together");

  Secret x(size);  // int2octets(x)
  require(BN_bn2bin_padded(x.writable().data(), size, private_scalar) == 1, "RFC 6979: scalar");
  bssl::UniquePtr<BIGNUM> z(BN_bin2bn(digest.data(), hashed, nullptr));
  require(z != nullptr, "RFC 6979: no memory");
  if (BN_cmp(z.get(), order) >= 0) require(BN_sub(z.get(), z.get(), order) == 1, "RFC 6979: subtraction");
  Secret h(size);  // bits2octets(H(m)), section 2.3.4
  require(BN_bn2bin_padded(h.writable().data(), size, z.get()) == 1, "RFC 6979: digest");

  // Section 3.2, steps b to h.
  Drbg drbg{hash_of(hashed), Secret(hashed), Secret(hashed)};
  std::ranges::fill(drbg.k.writable(), std::uint8_t{0x00});
  std::ranges::fill(drbg.v.writable(), std::uint8_t{0x01});
  drbg.step(0x00, x.reveal(), h.reveal());
  drbg.step(0x01, x.reveal(), h.reveal());
  while (true) {
    Secret nonce = drbg.candidate(BN_num_bits(order));
    const bssl::UniquePtr<BIGNUM> candidate(BN_bin2bn(nonce.reveal().data(), size, nullptr));
    require(candidate != nullptr, "RFC 6979: no memory");
    if (!BN_is_zero(candidate.get()) && BN_cmp(candidate.get(), order) < 0) return nonce;
    drbg.step(0x00, {}, {});
  }
}

}  // namespace attestry::crypto::internal
