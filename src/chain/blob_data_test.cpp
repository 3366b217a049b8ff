#include "chain/blob_data.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/encoding.h"

namespace attestry::chain {
namespace {

base::Bytes pattern(std::size_t size) {
  base::Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + 1);
  return out;
}

/// What the unpacker expected instead of `blob`.
std::string refused(const base::Bytes& blob) {
  const auto unpacked = blob_unpack(blob);
  EXPECT_FALSE(unpacked.ok());
  return unpacked.ok() ? "" : unpacked.error().expected;
}

TEST(BlobData, LengthThenDataThenZerosBehindAZeroByteEach) {
  const base::Bytes blob = blob_pack(pattern(29)).value();
  ASSERT_EQ(blob.size(), 131072u);
  EXPECT_EQ(base::hex(base::ByteView(blob).first(5)), "000000001d");
  EXPECT_EQ(base::hex(base::ByteView(blob).subspan(5, 27)), base::hex(pattern(27)));
  EXPECT_EQ(blob[32], 0);
  EXPECT_EQ(blob[33], pattern(29)[27]);
  EXPECT_EQ(blob[34], pattern(29)[28]);
  EXPECT_TRUE(std::all_of(blob.begin() + 35, blob.end(), [](std::uint8_t byte) { return byte == 0; }));
}

TEST(BlobData, GivesBackWhatWasPacked) {
  for (const std::size_t size : {0u, 1u, 26u, 27u, 28u, 58u, 59u, 5006u, 126971u, 126972u}) {
    const base::Bytes data = pattern(size);
    const base::Bytes blob = blob_pack(data).value();
    for (std::size_t at = 0; at < blob.size(); at += 32) ASSERT_EQ(blob[at], 0) << "no field element";
    const auto unpacked = blob_unpack(blob);
    ASSERT_TRUE(unpacked.ok()) << size << ": " << unpacked.error().text();
    EXPECT_EQ(*unpacked, data);
  }
}

TEST(BlobData, TheLargestFillsTheBlob) {
  EXPECT_EQ(kBlobDataBytes, 126972u);
  const auto refused = blob_pack(base::Bytes(kBlobDataBytes + 1));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, base::Code::too_large);
  EXPECT_EQ(refused.error().expected, "at most 126972 bytes");
  EXPECT_EQ(blob_pack(base::Bytes(kBlobDataBytes, 0xff)).value().back(), 0xff);
}

TEST(BlobData, OtherSizesAreRefused) {
  const base::Bytes blob = blob_pack(pattern(100)).value();
  for (const std::size_t size : {0u, 1u, 31u, 32u, 131040u, 131071u}) {
    EXPECT_EQ(refused({blob.begin(), blob.begin() + static_cast<std::ptrdiff_t>(size)}), "131072 bytes");
  }
  base::Bytes longer = blob;
  longer.resize(blob.size() + 32);
  EXPECT_EQ(refused(longer), "131072 bytes");
}

TEST(BlobData, ElementsBeginWithZero) {
  for (const std::size_t element : {0u, 1u, 77u, 4095u}) {
    base::Bytes blob = blob_pack(pattern(100)).value();
    blob[element * 32] = 1;
    EXPECT_EQ(refused(blob), "field elements that begin with a zero byte");
  }
}

TEST(BlobData, TheLengthMustFit) {
  for (const std::string_view length : {"0001effd", "00020000", "01000000", "ffffffff"}) {
    base::Bytes blob = blob_pack({}).value();
    std::ranges::copy(base::hex_decode(length).value(), blob.begin() + 1);
    EXPECT_FALSE(blob_unpack(blob).ok()) << length;
  }
}

TEST(BlobData, OnlyZerosStandBehindTheData) {
  for (const std::size_t at : {34u, 63u, 65u, 131071u}) {
    base::Bytes blob = blob_pack(pattern(28)).value();
    blob[at] = 1;
    EXPECT_EQ(refused(blob), "zeros behind the data") << at;
  }
  base::Bytes shorter = blob_pack(pattern(28)).value();
  shorter[4] = 27;  // the last byte becomes padding
  EXPECT_EQ(refused(shorter), "zeros behind the data");
}

// The commitment to the polynomial that is 1 everywhere is the generator; the hash is what a node calls that blob.
TEST(BlobData, VersionedHash) {
  base::FixedBytes<48> generator{};
  std::ranges::copy(
      base::hex_decode(
          "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb")
          .value(),
      generator.begin());
  EXPECT_EQ(base::hex(blob_versioned_hash(generator)),
            "01cf478a431837728dcec3461f4f53b8749cdc4e03496dcaed459dea82b82eb8");
}

}  // namespace
}  // namespace attestry::chain
