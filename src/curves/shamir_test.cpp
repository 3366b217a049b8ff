#include "curves/shamir.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/encoding.h"

namespace attestry::curves {
namespace {

using crypto::Secret;

Secret unhex(std::string_view text) { return Secret::copy_of(base::hex_decode(text).value()); }

constexpr std::string_view kSecret = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
// Byte i shared by s_i + (7i+1) X + (13i+5) X^2, at x = 1, 200 and 255.
constexpr std::string_view kShares[] = {"041b123920677e555c33cad1f8ffd6adb48b82699097ae858ce3fac1a8af465d01",
                                        "66a8ee69c802aa2d70326677407a8e624a266046a4fbf1bce1e6f1426f558a9bc8",
                                        "a0b5badc0cc0c5a3c8d9441df254ea4970333c046d89da3853d5f1fe2a8c5900ff"};

std::vector<Secret> known_shares() {
  std::vector<Secret> out;
  for (const std::string_view share : kShares) out.push_back(unhex(share));
  return out;
}

/// Interpolation at 0 by tables of logarithms to the base 3, the textbook's way: shares nothing with what it tests.
base::Bytes reference_combine(const std::vector<const Secret*>& shares) {
  std::array<unsigned, 510> power{};
  std::array<unsigned, 256> log{};
  unsigned value = 1;
  for (unsigned i = 0; i < 255; ++i) {
    power[i] = power[i + 255] = value;
    log[value] = i;
    value ^= value << 1;
    if ((value & 0x100U) != 0) value ^= 0x11bU;
  }
  base::Bytes out(shares[0]->size() - 1, 0);
  for (std::size_t byte = 0; byte < out.size(); ++byte) {
    for (const Secret* share : shares) {
      const unsigned x = share->reveal().back();
      unsigned term = share->reveal()[byte];
      for (const Secret* other : shares) {
        const unsigned xj = other->reveal().back();
        if (xj == x || term == 0) continue;
        term = power[(log[term] + log[xj] + 255 - log[xj ^ x]) % 255];
      }
      out[byte] = static_cast<std::uint8_t>(out[byte] ^ term);
    }
  }
  return out;
}

TEST(Shamir, CombinesTheKnownShares) {
  auto shares = known_shares();
  EXPECT_EQ(base::hex(shamir_combine(shares)->reveal()), kSecret);
  std::ranges::reverse(shares);
  EXPECT_EQ(base::hex(shamir_combine(shares)->reveal()), kSecret);
  shares.pop_back();
  EXPECT_NE(base::hex(shamir_combine(shares)->reveal()), kSecret);
}

TEST(Shamir, AnyThresholdOfSharesGivesTheSecretHereAndInTheReference) {
  crypto::SeededRandom random(base::as_bytes("split"));
  const Secret secret = unhex(kSecret);
  for (const auto& [threshold, parts] : {std::pair{2u, 2u}, {2u, 3u}, {3u, 5u}, {5u, 5u}, {7u, 255u}}) {
    const auto shares = shamir_split(secret, threshold, parts, random);
    ASSERT_TRUE(shares.ok());
    ASSERT_EQ(shares->size(), parts);
    std::set<std::uint8_t> xs;
    for (const Secret& share : *shares) {
      EXPECT_EQ(share.size(), 33u);
      EXPECT_NE(share.reveal().back(), 0);
      xs.insert(share.reveal().back());
    }
    EXPECT_EQ(xs.size(), parts);
    for (std::size_t first = 0; first + threshold <= std::min<std::size_t>(parts, 12); ++first) {
      std::vector<Secret> some;
      std::vector<const Secret*> same;
      for (std::size_t i = 0; i < threshold; ++i) {
        some.push_back((*shares)[first + i].clone());
        same.push_back(&(*shares)[first + i]);
      }
      EXPECT_EQ(base::hex(shamir_combine(some)->reveal()), kSecret);
      EXPECT_EQ(base::hex(reference_combine(same)), kSecret);
    }
    EXPECT_EQ(base::hex(shamir_combine(*shares)->reveal()), kSecret);
  }
}

TEST(Shamir, EverySecretOfOneByteComesBack) {
  crypto::SeededRandom random(base::as_bytes("bytes"));
  for (unsigned value = 0; value < 256; ++value) {
    Secret secret(1);
    secret.writable()[0] = static_cast<std::uint8_t>(value);
    const auto shares = shamir_split(secret, 3, 4, random);
    EXPECT_EQ(shamir_combine(*shares)->reveal()[0], value);
  }
}

TEST(Shamir, FewerThanTheThresholdSayNothing) {
  // With one share of two missing, each secret is as likely: over many splits the byte seen is not the secret's.
  crypto::SeededRandom random(base::as_bytes("hiding"));
  std::set<std::uint8_t> seen;
  for (int i = 0; i < 2000; ++i) {
    const auto shares = shamir_split(unhex("2a"), 2, 2, random);
    seen.insert((*shares)[0].reveal()[0]);
  }
  EXPECT_GT(seen.size(), 250u);
}

TEST(Shamir, ImpossibleSplitsAreRefused) {
  crypto::SeededRandom random(base::as_bytes("bad"));
  const Secret secret = unhex(kSecret);
  for (const auto& [threshold, parts] : {std::pair{0u, 3u}, {1u, 3u}, {4u, 3u}, {2u, 256u}, {2u, 1u}}) {
    EXPECT_FALSE(shamir_split(secret, threshold, parts, random).ok()) << threshold << " of " << parts;
  }
  EXPECT_FALSE(shamir_split(Secret(), 2, 3, random).ok());
}

TEST(Shamir, SharesThatDoNotBelongTogetherAreRefused) {
  const auto refused = [](std::vector<Secret> shares) {
    const auto out = shamir_combine(shares);
    return !out.ok() && out.error().code == base::Code::malformed;
  };
  const auto with = [](std::string_view last) {
    auto shares = known_shares();
    shares.push_back(unhex(last));
    return shares;
  };
  EXPECT_TRUE(refused({}));
  std::vector<Secret> one;
  one.push_back(unhex(kShares[0]));
  EXPECT_TRUE(refused(std::move(one)));
  EXPECT_TRUE(refused(with(kShares[0])));                   // the same share again
  EXPECT_TRUE(refused(with(std::string(64, '0') + "c8")));  // another share with an x that is there
  EXPECT_TRUE(refused(with(std::string(64, '1') + "00")));  // x = 0 would be the secret itself
  EXPECT_TRUE(refused(with(std::string(62, '1') + "07")));  // one byte too short
  EXPECT_TRUE(refused(with(std::string(66, '1') + "07")));  // one too long
  std::vector<Secret> empty;
  empty.push_back(unhex("01"));
  empty.push_back(unhex("02"));
  EXPECT_TRUE(refused(std::move(empty)));
}

TEST(Shamir, CommitmentsNameAForgedShare) {
  const base::Bytes set_id(16, 1);
  const base::Bytes other_set(16, 2);
  const Secret share = unhex(kShares[0]);
  const auto commitment = share_commitment(set_id, share);
  EXPECT_EQ(share_commitment(set_id, share.clone()), commitment);
  EXPECT_NE(share_commitment(other_set, share), commitment);
  for (std::size_t i = 0; i < share.size(); ++i) {  // the x byte too, which the registry's signature leaves out
    Secret forged = share.clone();
    forged.writable()[i] ^= 1;
    EXPECT_NE(share_commitment(set_id, forged), commitment) << i;
  }
  EXPECT_NE(secret_commitment(set_id, share), commitment);
  EXPECT_EQ(base::hex(share_commitment(set_id, share)),
            "dd2787ab466f1eb39313a2ee103acee20fb5ed269f8f7fe8463e76656a93043f");
  EXPECT_EQ(base::hex(secret_commitment(set_id, unhex(kSecret))),
            "4848aa41e3922d762a7e73b4f40b5744aadd56a78ce106bf9873b440cf48a56b");
}

}  // namespace
}  // namespace attestry::curves
