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
                                ask::Current{random_.bytes<32>()},
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
                            answer::Known{},
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

TEST_F(Messages, OfOthersHaveNothingForATerminalInThem) {
  const auto read = parse_answer(encode(Answer{Error{Code::denied, "\x1b[2Jall is well", "a\nb", "\xc3\xa9", ""}}));
  ASSERT_TRUE(read.ok()) << "a node cleans its own";
  EXPECT_EQ(std::get<Error>(*read).what, "?[2Jall is well");
  base::LpWriter hostile;
  hostile.u8('x').lp("denied").lp("\x1b[2J").lp("").lp("").lp("");
  EXPECT_EQ(parse_answer(hostile.bytes()).error().code, Code::malformed);
  base::LpWriter far_too_long;
  far_too_long.u8('x').lp("denied").lp(std::string(1025, 'a')).lp("").lp("").lp("");
  EXPECT_FALSE(parse_answer(far_too_long.bytes()).ok());
  for (const char* address : {"", "node\x1b[2J:9447", "node0", "node 0:9447", "node0:0"}) {
    EXPECT_EQ(parse_question(encode(Question{ask::Join{address}})).error().code, Code::malformed) << address;
  }
}

TEST_F(Messages, AHellosIdIsOneThatANodeCanHave) {
  EXPECT_TRUE(Hello::parse(Hello::sign(254, random_.bytes<64>(), key_).bytes()).ok());
  EXPECT_EQ(Hello::parse(Hello::sign(255, random_.bytes<64>(), key_).bytes()).error().code, Code::malformed);
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
