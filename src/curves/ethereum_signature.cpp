#include "curves/ethereum_signature.h"

#include <algorithm>

#include "curves/keccak.h"

namespace attestry::curves {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kSize = 65;
constexpr std::uint8_t kOffset = 27;  // what wallets add to v (Yellow Paper, appendix F)

// (n - 1) / 2, big-endian (SEC 2 section 2.4.1).
constexpr base::FixedBytes<32> kHalfOrder{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                          0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4,
                                          0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0};

}  // namespace

Result<base::FixedBytes<65>> ethereum_sign(const Secp256k1PrivateKey& key, const base::Digest32& digest,
                                           SignatureLayout layout) {
  TRY(auto signature, key.sign_recoverable(digest));
  signature[64] = static_cast<std::uint8_t>(signature[64] + kOffset);
  if (layout == SignatureLayout::vrs) std::rotate(signature.begin(), signature.end() - 1, signature.end());
  return signature;
}

Result<Address> ethereum_signer(const base::Digest32& digest, base::ByteView signature, SignatureLayout layout) {
  if (signature.size() != kSize) {
    return Error{Code::malformed, "signature", "65 bytes", std::to_string(signature.size()) + " bytes"};
  }
  base::FixedBytes<kSize> rsv{};
  std::ranges::copy(signature, rsv.begin());
  if (layout == SignatureLayout::vrs) std::rotate(rsv.begin(), rsv.begin() + 1, rsv.end());
  if (rsv[64] != kOffset && rsv[64] != kOffset + 1) {
    return Error{Code::malformed, "signature", "v of 27 or 28", std::to_string(rsv[64])};
  }
  if (std::ranges::lexicographical_compare(kHalfOrder, std::span(rsv).subspan(32, 32))) {
    return Error{Code::malformed, "signature", "s of at most half the order of the curve"};
  }
  rsv[64] = static_cast<std::uint8_t>(rsv[64] - kOffset);
  TRY(const auto key, secp256k1_recover(digest, rsv), "signature");
  return ethereum_address(key);
}

base::Digest32 ethereum_message_digest(base::ByteView message) {
  base::Bytes signed_bytes = base::to_bytes(
      "\x19"
      "Ethereum Signed Message:\n" +
      std::to_string(message.size()));
  base::append(signed_bytes, message);
  return keccak256(signed_bytes);
}

}  // namespace attestry::curves
