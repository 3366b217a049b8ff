// Our verification of P-384 signatures answers as the library's does. The first byte chooses a signature to start from:
// 's' a real one; 'u' one made for two multipliers, with which points can meet on the way; anything else none. What is
// left of the input is laid over digest, r and s.
#include <algorithm>

#include "crypto/internal/p384_verify.h"
#include "require.h"

using namespace attestry;
using crypto::internal::Words384;

namespace {

struct Signature {
  base::FixedBytes<48> digest{}, r{}, s{};
};

/// The next 48 bytes, or what there is of them, as a number below n.
Words384 take(base::ByteView& rest) {
  base::FixedBytes<48> bytes{};
  const std::size_t count = std::min(rest.size(), bytes.size());
  std::ranges::copy(rest.first(count), bytes.end() - static_cast<std::ptrdiff_t>(count));
  rest = rest.subspan(count);
  return crypto::internal::order_reduce(crypto::internal::words_from_bytes(bytes));
}

Words384 take_positive(base::ByteView& rest) {
  const Words384 taken = take(rest);
  return crypto::internal::is_zero(taken) ? Words384{1} : taken;
}

/// One byte says how long the number is and whether it is taken from n, so that small ones and their opposites are
/// common.
Words384 take_multiplier(base::ByteView& rest) {
  if (rest.empty()) return {1};
  const std::uint8_t head = rest[0];
  base::ByteView content = rest.subspan(1, std::min<std::size_t>(rest.size() - 1, head % 49));
  rest = rest.subspan(1 + content.size());
  const Words384 value = take_positive(content);
  if (head < 128) return value;
  const Words384 minus_one =
      crypto::internal::add_words(crypto::internal::kP384Order, {~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL});
  return crypto::internal::order_multiply(value, minus_one);
}

crypto::EcPrivateKey key_of(const Words384& scalar) {
  return crypto::EcPrivateKey::from_scalar(crypto::Curve::p384, crypto::internal::words_to_bytes(scalar)).value();
}

Signature real(const crypto::EcPrivateKey& key, base::ByteView message) {
  Signature out{.digest = crypto::sha384(message)};
  const base::Bytes raw = key.sign_raw(message, true);
  std::copy_n(raw.begin(), 48, out.r.begin());
  std::copy_n(raw.begin() + 48, 48, out.s.begin());
  return out;
}

/// The signature for which u1 * G + u2 * Q is computed, with the r that it has if that is not infinity.
Signature with_multipliers(const Words384& d, const Words384& u1, const Words384& u2) {
  using namespace crypto::internal;
  const Words384 product = order_multiply(u2, d);
  const Words384 added = add_words(u1, product);
  // 2^384 is 2^384 - n modulo n, and u1 + u2 d is below 2n.
  const Words384 wrap = order_reduce({~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL});
  const Words384 sum = less(added, u1) ? order_reduce(add_words(added, add_words(wrap, {1}))) : order_reduce(added);
  Words384 r{1};
  if (!is_zero(sum)) r = order_reduce(words_from_bytes(base::ByteView(key_of(sum).public_key().raw()).first(48)));
  if (is_zero(r)) r = {1};
  const Words384 s = order_multiply(r, order_inverse(u2));
  const Signature out{words_to_bytes(order_multiply(u1, s)), words_to_bytes(r), words_to_bytes(s)};
  REQUIRE(p384_verify_by_library(key_of(d).public_key(), out.digest, out.r, out.s) == !is_zero(sum));
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  base::ByteView rest(data + 1, size - 1);
  const Words384 d = take_multiplier(rest);
  const crypto::EcPrivateKey private_key = key_of(d);
  Signature signature;
  if (data[0] == 's') {
    const base::ByteView message = rest.first(std::min<std::size_t>(rest.size(), 4));
    rest = rest.subspan(message.size());
    signature = real(private_key, message);
  } else if (data[0] == 'u') {
    const Words384 u1 = take_multiplier(rest);
    const Words384 u2 = take_multiplier(rest);
    signature = with_multipliers(d, u1, u2);
  }
  std::size_t at = 0;
  for (base::FixedBytes<48>* part : {&signature.digest, &signature.r, &signature.s}) {
    for (std::uint8_t& byte : *part) byte ^= at < rest.size() ? rest[at++] : std::uint8_t{0};
  }
  const crypto::EcPublicKey key = private_key.public_key();
  const bool library = crypto::internal::p384_verify_by_library(key, signature.digest, signature.r, signature.s);
  const auto own = crypto::internal::P384Verifier::make(key.raw());
  REQUIRE(!own || own->verify(signature.digest, signature.r, signature.s) == library);
  REQUIRE(!own || !own->verify(signature.digest, signature.r, base::ByteView(signature.s).first(47)));
  return 0;
}
