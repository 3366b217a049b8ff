#include "state/sealed.h"

#include "crypto/aead.h"

namespace attestry::state {
namespace {

constexpr std::size_t kKeySize = 32;
constexpr std::size_t kNonceSize = 12;
constexpr std::size_t kTagSize = 16;
constexpr std::uint8_t kVersion = 1;

}  // namespace

base::Result<SealedValues> SealedValues::create(crypto::Secret key, crypto::Random& random) {
  if (key.size() != kKeySize) {
    return base::Error{base::Code::internal, "a sealing key of the wrong size", "32 bytes",
                       std::to_string(key.size()) + " bytes"};
  }
  return SealedValues(std::move(key), random);
}

base::Result<base::Bytes> SealedValues::seal(base::ByteView record_key, base::ByteView plaintext) const {
  const auto nonce = random_->bytes<kNonceSize>();
  TRY(const base::Bytes sealed, crypto::aes256gcm_seal(key_.reveal(), nonce, plaintext, record_key), "seal a value");
  base::LpWriter out;
  return std::move(out.u8(kVersion).raw(nonce).raw(sealed)).take();
}

base::Result<crypto::Secret> SealedValues::open(base::ByteView record_key, base::ByteView sealed) const {
  if (sealed.size() < 1 + kNonceSize + kTagSize || sealed[0] != kVersion) {
    return base::Error{base::Code::corrupt, "a sealed value is cut short or of another version"};
  }
  auto opened =
      crypto::aes256gcm_open(key_.reveal(), sealed.subspan(1, kNonceSize), sealed.subspan(1 + kNonceSize), record_key);
  if (!opened) {
    return base::Error{base::Code::corrupt,
                       "a sealed value does not open: it was altered, moved to another record, or sealed "
                       "under another key"};
  }
  return std::move(*opened);
}

}  // namespace attestry::state
