#include "cluster/messages.h"

#include <gtest/gtest.h>

namespace attestry::cluster {
namespace {

using base::Code;
using base::Error;

class Messages : public ::testing::Test {
 protected:
  crypto::Random& random_ = crypto::system_random();
  const crypto::Ed25519PrivateKey key_ = crypto::Ed25519PrivateKey::generate(random_);
};

TEST_F(Messages, AreReadAsTheyWereWritten) {
  const Node::Request request{
      .epoch = 7, .outcome = random_.bytes<32>(), .app_id = {1, 2, 3}, .app_key = {}, .participants = {1, 4, 6}};
  const Question questions[] = {ask::Offer{random_.bytes<32>(), random_.bytes<32>()},
                                ask::Current{},
                                ask::Join{"[::1]:9000"},
                                ask::Challenge{},
                                ask::Derive{request, {9, 9}},
                                ask::Prove{request, {}}};
  for (const Question& one : questions) {
    const base::Bytes bytes = encode(one);
    const auto read = parse_question(bytes);
    ASSERT_TRUE(read.ok()) << read.error().text();
    EXPECT_EQ(read->index(), one.index());
    EXPECT_EQ(encode(*read), bytes);
  }
  const Answer answers[] = {Error{Code::unavailable, "what", "expected", "found", "remedy"},
                            answer::Nothing{},
                            Offer::sign(random_.bytes<32>(), random_.bytes<32>(), 3, {}, key_),
                            Stored{.member = 2, .signature = random_.bytes<64>()},
                            random_.bytes<42>(),
                            keys::ckd::Ciphertext{random_.bytes<48>(), random_.bytes<48>()},
                            keys::ckd::ShareProof{random_.bytes<32>(), random_.bytes<32>(), random_.bytes<32>()}};
  for (const Answer& one : answers) {
    const base::Bytes bytes = encode(one);
    const auto read = parse_answer(bytes);
    ASSERT_TRUE(read.ok()) << read.error().text();
    EXPECT_EQ(read->index(), one.index());
    EXPECT_EQ(encode(*read), bytes);
  }
}

TEST_F(Messages, OfAnErrorKeepWhatItIs) {
  const auto read = parse_answer(encode(Answer{Error{Code::denied, "an app", "approved", "not", "approve it"}}));
  ASSERT_TRUE(read.ok());
  const auto& error = std::get<Error>(*read);
  EXPECT_EQ(error.code, Code::denied);
  EXPECT_EQ(error.text(), (Error{Code::denied, "an app", "approved", "not", "approve it"}).text());
}

TEST_F(Messages, WithBytesLeftOverOrOfNoKindAreRefused) {
  for (const Question& one : {Question{ask::Challenge{}}, Question{ask::Current{}}}) {
    base::Bytes bytes = encode(one);
    bytes.push_back(0);
    EXPECT_EQ(parse_question(bytes).error().code, Code::malformed);
  }
  EXPECT_EQ(parse_question(base::as_bytes("z")).error().code, Code::malformed);
  EXPECT_EQ(parse_question({}).error().code, Code::malformed);
  EXPECT_EQ(parse_answer(base::as_bytes("z")).error().code, Code::malformed);
}

TEST_F(Messages, HelloBelongsToOneSession) {
  const auto report_data = random_.bytes<64>();
  const Hello hello = Hello::sign(3, report_data, key_);
  const auto read = Hello::parse(hello.bytes());
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read->node, (Hello::Who{3, key_.public_key()}));
  EXPECT_TRUE(read->check(report_data).ok());
  EXPECT_EQ(read->check(random_.bytes<64>()).error().code, Code::evidence_false) << "taken from another session";
  Hello other = *read;
  other.node->id = 4;
  EXPECT_EQ(other.check(report_data).error().code, Code::evidence_false) << "another node's id";
  EXPECT_TRUE(Hello{}.check(report_data).ok()) << "a server says nothing of itself";
  EXPECT_FALSE(Hello::parse(Hello{}.bytes())->node);
}

}  // namespace
}  // namespace attestry::cluster
