// Keys and receipts for tests of this room and of those above it.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "tracker/receipt.h"

namespace attestry::tracker::testing {

inline constexpr base::UtcTime kNow{1'700'000'000};

inline base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }

/// The same name gives the same key.
inline curves::bls::SigningKey key_named(std::string_view name) {
  return curves::bls::SigningKey::reduce(crypto::sha256(base::as_bytes(name))).value();
}
/// The keys of PBTS's vectors.
inline curves::bls::SigningKey vector_key(int number) {
  static constexpr std::string_view kKeys[] = {"0000000000000000000000000000000000000000000000000000000000000001",
                                               "3f8770fa96601672f73f74d30a4bd1d6d8a1a22bee1b39bac637352b92b995fe",
                                               "60b2f01354897ee7bac132a4377744fd5e2c3e1e0ee9d8e2eea09e724ae9cd3e"};
  return curves::bls::SigningKey::from_big_endian(unhex(kKeys[number - 1])).value();
}

inline InfoHash infohash_of_vectors() {
  InfoHash out{};
  EXPECT_TRUE(base::hex_decode_into("a22a778f0a115a48acc42961776c9d885f0564b2", out).ok());
  return out;
}

/// Of piece `index` of the vectors' torrent, made at kNow and signed.
inline Receipt receipt(const curves::bls::SigningKey& sender, const curves::bls::SigningKey& receiver,
                       std::uint32_t index, const InstanceId& instance = {}) {
  Receipt out;
  out.infohash = infohash_of_vectors();
  out.sender = sender.public_key().encoded();
  out.receiver = receiver.public_key().encoded();
  out.piece_hash = PieceHash::create(crypto::sha256(base::as_bytes(std::to_string(index)))).value();
  out.piece_index = index;
  out.time = static_cast<std::uint64_t>(kNow.seconds);
  out.signature = receiver.sign(signed_message(out, instance));
  return out;
}
/// Signs it anew after a change.
inline Receipt resigned(Receipt receipt, const curves::bls::SigningKey& receiver, const InstanceId& instance = {}) {
  receipt.signature = receiver.sign(signed_message(receipt, instance));
  return receipt;
}

}  // namespace attestry::tracker::testing
