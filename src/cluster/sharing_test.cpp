#include "cluster/sharing.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::cluster {
namespace {

using curves::bls::G2;
using curves::bls::Scalar;

class Sharing : public testing::Test {
 protected:
  crypto::SeededRandom random_{base::as_bytes("sharing")};
  Scalar secret_ = Scalar::random(random_);
  Polynomial polynomial_ = Polynomial::random(secret_.clone(), 3, random_);
  Commitments commitments_ = polynomial_.commitments();

  Scalar combine(std::span<const std::uint32_t> ids) const {
    const auto weight = weights(ids);
    Scalar sum = Scalar::from_u32(0);
    for (std::size_t i = 0; i < ids.size(); ++i) sum = sum + polynomial_.at(ids[i]) * (*weight)[i];
    return sum;
  }
};

TEST_F(Sharing, AnyThresholdOfSharesGivesTheSecret) {
  for (std::uint32_t a = 0; a < 7; ++a) {
    for (std::uint32_t b = a + 1; b < 7; ++b) {
      for (std::uint32_t c = b + 1; c < 7; ++c) {
        const std::uint32_t ids[] = {c, a, b};
        ASSERT_TRUE(combine(ids) == secret_) << a << b << c;
      }
    }
  }
  const std::uint32_t all[] = {0, 1, 2, 3, 4, 5, 254};
  EXPECT_TRUE(combine(all) == secret_);
}

TEST_F(Sharing, FewerGiveSomethingElse) {
  const std::uint32_t ids[] = {0, 4};
  EXPECT_FALSE(combine(ids) == secret_);
}

TEST_F(Sharing, CommitmentsNameWrongShares) {
  EXPECT_TRUE(commitments_.constant() == G2::times_generator(secret_));
  for (const std::uint32_t id : {0U, 1U, 6U, 254U}) {
    EXPECT_TRUE(commitments_.holds(id, polynomial_.at(id)));
    EXPECT_FALSE(commitments_.holds(id, polynomial_.at(id) + Scalar::from_u32(1)));
    EXPECT_FALSE(commitments_.holds(id + 1, polynomial_.at(id)));
  }
}

TEST_F(Sharing, CommitmentsComeBackFromBytes) {
  const base::Bytes bytes = commitments_.bytes();
  base::Reader reader{bytes};
  const auto read = Commitments::read(reader, 3);
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(*read == commitments_);
  EXPECT_EQ(reader.remaining(), 0);
}

TEST_F(Sharing, OtherBytesAreNoCommitments) {
  const auto refused = [](base::Bytes bytes, std::size_t most = 3) {
    base::Reader reader{bytes};
    return !Commitments::read(reader, most).ok();
  };
  base::Bytes bytes = commitments_.bytes();
  EXPECT_TRUE(refused(bytes, 2)) << "a higher degree than asked for";
  EXPECT_TRUE(refused({0, 0}));
  EXPECT_TRUE(refused({bytes.begin(), bytes.end() - 1}));
  base::Bytes identity{0, 1};
  base::append(identity, G2{}.encode());
  EXPECT_TRUE(refused(identity)) << "the public key of zero";
}

TEST_F(Sharing, WeightsOfNoSet) {
  EXPECT_FALSE(weights({}).ok());
  const std::uint32_t twice[] = {1, 2, 1};
  EXPECT_FALSE(weights(twice).ok());
}

}  // namespace
}  // namespace attestry::cluster
