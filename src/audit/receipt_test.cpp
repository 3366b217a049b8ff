#include "audit/receipt.h"

#include <gtest/gtest.h>

#include <map>

#include "audit/testing/support.h"

namespace attestry::audit {
namespace {

using base::Code;
using testing::key_named;
using testing::kOrigin;
using testing::leaf_number;
using testing::log_key;

/// A receipt for leaf `index` of a log of `size` leaves, made from the pure parts.
Receipt make(std::uint64_t index, std::uint64_t size, const Leaf* replaced = nullptr) {
  std::map<NodeId, Hash> nodes;
  Frontier frontier;
  Receipt out;
  for (std::uint64_t i = 0; i < size; ++i) {
    const std::string leaf = *(i == index && replaced != nullptr ? *replaced : leaf_number(i)).encode();
    if (i == index) out.leaf = leaf;
    frontier.append(leaf_hash(base::as_bytes(leaf)), [&](NodeId id, const Hash& hash) { nodes[id] = hash; });
  }
  out.index = index;
  out.proof = *inclusion_proof(index, size, [&](NodeId id) -> base::Result<Hash> { return nodes.at(id); });
  out.checkpoint = sign_checkpoint({kOrigin, frontier.head()}, log_key());
  return out;
}

TEST(Receipt, RoundTripsAndVerifiesInLogsOfEverySize) {
  for (std::uint64_t size = 1; size <= 20; ++size) {
    for (std::uint64_t index = 0; index < size; ++index) {
      const std::string text = make(index, size).encode();
      ASSERT_EQ(Receipt::parse(text)->encode(), text);
      const auto verified = verify_receipt(text, testing::trust_in(log_key()));
      ASSERT_TRUE(verified.ok()) << verified.error().text();
      EXPECT_EQ(verified->leaf, leaf_number(index));
      EXPECT_EQ(verified->index, index);
      EXPECT_EQ(verified->head.size, size);
      EXPECT_FALSE(verified->witnessed);
    }
  }
}

TEST(Receipt, HasTheFormOfATlogProof) {
  const std::string text = make(1, 3).encode();
  EXPECT_TRUE(text.starts_with("c2sp.org/tlog-proof@v1\nextra "));
  EXPECT_NE(text.find("\nindex 1\n"), std::string::npos);
  EXPECT_NE(text.find("\n\nlog.example/attestry\n3\n"), std::string::npos);
}

TEST(Receipt, EveryAlteredByteIsRefused) {
  const std::string good = make(5, 11).encode();
  const LogTrust trust = testing::trust_in(log_key());
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int flip : {0x01, 0x02, 0x20, 0x80}) {
      std::string altered = good;
      altered[i] = static_cast<char>(altered[i] ^ flip);
      EXPECT_FALSE(verify_receipt(altered, trust).ok()) << i << ": " << altered;
    }
    EXPECT_FALSE(verify_receipt(good.substr(0, i), trust).ok()) << i;
  }
}

TEST(Receipt, OfAnotherLogOrKeyIsDenied) {
  const std::string good = make(5, 11).encode();
  EXPECT_EQ(verify_receipt(good, testing::trust_in(key_named("man in the middle"))).error().code, Code::denied);
  LogTrust elsewhere = testing::trust_in(log_key());
  elsewhere.origin = "log.example/other";
  EXPECT_EQ(verify_receipt(good, elsewhere).error().code, Code::denied);
}

TEST(Receipt, ALeafThatIsNotAtItsIndexIsDenied) {
  const LogTrust trust = testing::trust_in(log_key());
  Receipt receipt = make(5, 11);
  receipt.index = 6;
  EXPECT_EQ(verify_receipt(receipt.encode(), trust).error().code, Code::denied);
  receipt = make(5, 11);
  receipt.leaf = *leaf_number(6).encode();
  EXPECT_EQ(verify_receipt(receipt.encode(), trust).error().code, Code::denied);
  receipt = make(5, 11);
  std::swap(receipt.proof[0], receipt.proof[1]);
  EXPECT_EQ(verify_receipt(receipt.encode(), trust).error().code, Code::denied);
  receipt = make(5, 11);
  receipt.proof.pop_back();
  EXPECT_EQ(verify_receipt(receipt.encode(), trust).error().code, Code::denied);
  receipt = make(5, 11);
  receipt.index = 11;
  EXPECT_EQ(verify_receipt(receipt.encode(), trust).error().code, Code::denied);
}

TEST(Receipt, ALeafForAnotherAudienceIsDenied) {
  Leaf leaf = leaf_number(2);
  leaf.audience = "log.example/other";
  const auto verified = verify_receipt(make(2, 5, &leaf).encode(), testing::trust_in(log_key()));
  ASSERT_FALSE(verified.ok());
  EXPECT_EQ(verified.error().code, Code::denied);
}

TEST(Receipt, SaysWhetherItIsWitnessed) {
  Receipt receipt = make(5, 11);
  LogTrust trust = testing::trust_in(log_key());
  trust.witnesses = {{testing::witness_key("w")}, 1};
  EXPECT_EQ(verify_receipt(receipt.encode(), trust).error().code, Code::denied);
  auto note = parse_note(receipt.checkpoint);
  note->signatures.push_back(cosign_note(note->text, "w", key_named("w"), testing::kTime));
  receipt.checkpoint = note->encode();
  const auto verified = verify_receipt(receipt.encode(), trust);
  ASSERT_TRUE(verified.ok());
  EXPECT_TRUE(verified->witnessed);
}

TEST(Receipt, RefusesOtherForms) {
  const Receipt good = make(0, 1);
  const std::string leaf = base::base64(base::as_bytes(good.leaf));
  const std::string head = "c2sp.org/tlog-proof@v1\n";
  const std::string tail = "\n" + good.checkpoint;
  ASSERT_TRUE(Receipt::parse(head + "extra " + leaf + "\nindex 0\n" + tail).ok());
  std::string long_proof = head + "extra " + leaf + "\nindex 0\n";
  for (int i = 0; i < 65; ++i) long_proof += base::base64(Hash{}) + "\n";
  for (const std::string& bad :
       {std::string(), "c2sp.org/tlog-proof@v2\nextra " + leaf + "\nindex 0\n" + tail, head + "index 0\n" + tail,
        head + "extra \nindex 0\n" + tail, head + "extra  " + leaf + "\nindex 0\n" + tail,
        head + "extra " + leaf + "\nindex 00\n" + tail, head + "extra " + leaf + "\nindex +0\n" + tail,
        head + "extra " + leaf + "\nindex \n" + tail, head + "extra " + leaf + "\nindex 18446744073709551616\n" + tail,
        head + "extra " + leaf + "\nindex 0\nAAAA\n" + tail, head + "extra " + leaf + "\nindex 0\n" + good.checkpoint,
        head + "extra " + leaf + "\nindex 0\n\n" + tail.substr(0, 10), long_proof + tail,
        head + "extra " + leaf + "\r\nindex 0\n" + tail, head + "extra " + std::string(300'000, 'A') + tail}) {
    const auto parsed = Receipt::parse(bad);
    ASSERT_FALSE(parsed.ok()) << bad.substr(0, 200);
    EXPECT_EQ(parsed.error().code, Code::malformed);
  }
}

}  // namespace
}  // namespace attestry::audit
