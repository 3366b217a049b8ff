#include "state/sealed.h"

#include "crypto/aead.h"
#include "crypto/hash.h"

namespace attestry::state {
namespace {

constexpr std::size_t kKeySize = 32;
constexpr std::size_t kNonceSize = 12;
constexpr std::size_t kTagSize = 16;
constexpr std::size_t kSaltSize = 24;
/// Random nonces under the key itself: NIST SP 800-38D 8.3 allows 2^32 values, which nobody counted.
constexpr std::uint8_t kBefore = 1;
constexpr std::uint8_t kVersion = 2;

/// Key ‖ nonce of one value. Among 2^80 values two have the same salt with probability 2^-33.
crypto::Secret of_one(const crypto::Secret& key, base::ByteView salt) {
  base::LpWriter info;
  info.lp("attestry/sealed-value/2");
  return crypto::hkdf_sha256(salt, key.reveal(), info.bytes(), kKeySize + kNonceSize);
}

}  // namespace

base::Result<SealedValues> SealedValues::create(crypto::Secret key, crypto::Random& random) {
  if (key.size() != kKeySize) {
    return base::Error{base::Code::internal, "a sealing key of the wrong size", "32 bytes",
                       std::to_string(key.size()) + " bytes"};
  }
  return SealedValues(std::move(key), random);
}

base::Result<base::Bytes> SealedValues::seal(base::ByteView record_key, base::ByteView plaintext) const {
  const auto salt = random_->bytes<kSaltSize>();
  const auto one = of_one(key_, salt);
  const auto key = one.reveal().first(kKeySize);
  const auto nonce = one.reveal().subspan(kKeySize);
  TRY(const base::Bytes sealed, crypto::aes256gcm_seal(key, nonce, plaintext, record_key), "seal a value");
  base::LpWriter out;
  return std::move(out.u8(kVersion).raw(salt).raw(sealed)).take();
}

base::Result<crypto::Secret> SealedValues::open(base::ByteView record_key, base::ByteView sealed) const {
  const bool before = !sealed.empty() && sealed[0] == kBefore;
  const std::size_t head = 1 + (before ? kNonceSize : kSaltSize);
  if (sealed.size() < head + kTagSize || (!before && sealed[0] != kVersion)) {
    return base::Error{base::Code::corrupt, "a sealed value is cut short or of another version"};
  }
  const auto public_part = sealed.subspan(1, head - 1);
  const auto rest = sealed.subspan(head);
  auto opened = [&] {
    if (before) return crypto::aes256gcm_open(key_.reveal(), public_part, rest, record_key);
    const auto one = of_one(key_, public_part);
    return crypto::aes256gcm_open(one.reveal().first(kKeySize), one.reveal().subspan(kKeySize), rest, record_key);
  }();
  if (!opened) {
    return base::Error{base::Code::corrupt,
                       "a sealed value does not open: it was altered, moved to another record, or sealed "
                       "under another key"};
  }
  return std::move(*opened);
}

}  // namespace attestry::state
