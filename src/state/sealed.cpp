#include "state/sealed.h"

#include "crypto/aead.h"

namespace attestry::state {
namespace {

constexpr std::size_t kKeySize = 32;
constexpr std::size_t kNonceSize = 12;
constexpr std::size_t kTagSize = 16;
/// Random nonces under the key itself: NIST SP 800-38D 8.3 allows 2^32 values, which nobody counted.
constexpr std::uint8_t kBefore = 1;
constexpr std::uint8_t kVersion = 2;
constexpr std::string_view kLabel = "attestry/sealed-value/2";

}  // namespace

base::Result<SealedValues> SealedValues::create(crypto::Secret key, crypto::Random& random) {
  if (key.size() != kKeySize) {
    return base::Error{base::Code::internal, "a sealing key of the wrong size", "32 bytes",
                       std::to_string(key.size()) + " bytes"};
  }
  return SealedValues(std::move(key), random);
}

base::Result<base::Bytes> SealedValues::seal(base::ByteView record_key, base::ByteView plaintext) const {
  TRY(const base::Bytes sealed, crypto::aes256gcm_seal_salted(key_.reveal(), kLabel, plaintext, record_key, *random_),
      "seal a value");
  base::LpWriter out;
  return std::move(out.u8(kVersion).raw(sealed)).take();
}

base::Result<crypto::Secret> SealedValues::open(base::ByteView record_key, base::ByteView sealed) const {
  const bool before = !sealed.empty() && sealed[0] == kBefore;
  const std::size_t least = 1 + (before ? kNonceSize : crypto::kSaltBytes) + kTagSize;
  if (sealed.size() < least || (!before && sealed[0] != kVersion)) {
    return base::Error{base::Code::corrupt, "a sealed value is cut short or of another version"};
  }
  auto opened = before ? crypto::aes256gcm_open(key_.reveal(), sealed.subspan(1, kNonceSize),
                                                sealed.subspan(1 + kNonceSize), record_key)
                       : crypto::aes256gcm_open_salted(key_.reveal(), kLabel, sealed.subspan(1), record_key);
  if (!opened) {
    return base::Error{base::Code::corrupt,
                       "a sealed value does not open: it was altered, moved to another record, or sealed "
                       "under another key"};
  }
  return std::move(*opened);
}

}  // namespace attestry::state
