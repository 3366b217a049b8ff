#include "audit/checkpoint.h"

#include <gtest/gtest.h>

#include "audit/testing/support.h"

namespace attestry::audit {
namespace {

using base::Code;
using testing::key_named;
using testing::kOrigin;
using testing::log_key;

Checkpoint sample() { return {kOrigin, {20852163, leaf_hash(base::as_bytes("x"))}}; }

std::string with_cosignatures(const std::string& signed_note, const std::vector<std::string>& witnesses) {
  auto note = parse_note(signed_note);
  EXPECT_TRUE(note.ok());
  for (const auto& name : witnesses) {
    note->signatures.push_back(cosign_note(note->text, name, key_named(name), testing::kTime));
  }
  return note->encode();
}

TEST(Checkpoint, RoundTripsAndVerifies) {
  EXPECT_EQ(*Checkpoint::parse(sample().text()), sample());
  const auto verified = verify_checkpoint(sign_checkpoint(sample(), log_key()), testing::trust_in(log_key()));
  ASSERT_TRUE(verified.ok()) << verified.error().text();
  EXPECT_EQ(verified->checkpoint, sample());
  EXPECT_FALSE(verified->witnessed);
}

TEST(Checkpoint, EveryAlteredByteIsRefused) {
  const std::string good = sign_checkpoint(sample(), log_key());
  const LogTrust trust = testing::trust_in(log_key());
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int flip : {0x01, 0x20, 0x80}) {
      std::string altered = good;
      altered[i] = static_cast<char>(altered[i] ^ flip);
      EXPECT_FALSE(verify_checkpoint(altered, trust).ok()) << i << ": " << altered;
    }
    EXPECT_FALSE(verify_checkpoint(good.substr(0, i), trust).ok()) << i;
  }
}

TEST(Checkpoint, RefusesOtherForms) {
  const std::string root = base::base64(sample().head.root);
  for (const std::string& text :
       {std::string("o\n1\n"), "o\n1\n" + root, "o\n01\n" + root + "\n", "o\n+1\n" + root + "\n",
        "o\n-1\n" + root + "\n", "o\n\n" + root + "\n", "o\n1 \n" + root + "\n",
        "o\n18446744073709551616\n" + root + "\n", "\n1\n" + root + "\n", "o o\n1\n" + root + "\n",
        std::string("o\n1\nAAAA\n"), "o\n1\n" + root.substr(0, 43) + "\n", "o\n1\n" + root + "\nextension\n",
        "o\n1\n" + root + "\n\n"}) {
    const auto parsed = Checkpoint::parse(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code, Code::malformed);
  }
  EXPECT_TRUE(Checkpoint::parse("o\n0\n" + root + "\n").ok());
  EXPECT_TRUE(Checkpoint::parse("o\n18446744073709551615\n" + root + "\n").ok());
}

TEST(Checkpoint, OfAnotherKeyOrOriginIsDenied) {
  const std::string good = sign_checkpoint(sample(), log_key());
  EXPECT_EQ(verify_checkpoint(good, testing::trust_in(key_named("another"))).error().code, Code::denied);
  // The same key under another origin's name.
  LogTrust trust = testing::trust_in(log_key());
  trust.origin = "log.example/other";
  EXPECT_EQ(verify_checkpoint(good, trust).error().code, Code::denied);
  EXPECT_EQ(verify_checkpoint(good, LogTrust{kOrigin, {}}).error().code, Code::denied);
}

TEST(Checkpoint, DuringAChangeOfKeyEitherKeySuffices) {
  LogTrust trust = testing::trust_in(key_named("new"));
  trust.log_keys.push_back(testing::trust_in(log_key()).log_keys[0]);
  EXPECT_TRUE(verify_checkpoint(sign_checkpoint(sample(), log_key()), trust).ok());
  EXPECT_TRUE(verify_checkpoint(sign_checkpoint(sample(), key_named("new")), trust).ok());
}

TEST(Checkpoint, WitnessesAreCountedByKey) {
  const std::string bare = sign_checkpoint(sample(), log_key());
  LogTrust trust = testing::trust_in(log_key());
  trust.witnesses = {{testing::witness_key("w1"), testing::witness_key("w2")}, 2};
  EXPECT_EQ(verify_checkpoint(bare, trust).error().code, Code::denied);
  EXPECT_EQ(verify_checkpoint(with_cosignatures(bare, {"w1"}), trust).error().code, Code::denied);
  EXPECT_EQ(verify_checkpoint(with_cosignatures(bare, {"w1", "w1"}), trust).error().code, Code::denied);
  EXPECT_EQ(verify_checkpoint(with_cosignatures(bare, {"w1", "stranger"}), trust).error().code, Code::denied);
  const auto both = verify_checkpoint(with_cosignatures(bare, {"w2", "stranger", "w1"}), trust);
  ASSERT_TRUE(both.ok());
  EXPECT_TRUE(both->witnessed);
  // One key under two names is one witness.
  NoteKey alias = testing::witness_key("w1");
  alias.name = "alias";
  trust.witnesses = {{testing::witness_key("w1"), alias}, 2};
  auto note = parse_note(with_cosignatures(bare, {"w1"}));
  note->signatures.push_back(cosign_note(note->text, "alias", key_named("w1"), testing::kTime));
  EXPECT_EQ(verify_checkpoint(note->encode(), trust).error().code, Code::denied);
}

TEST(Checkpoint, ABadCosignatureCondemnsTheNote) {
  LogTrust trust = testing::trust_in(log_key());
  trust.witnesses = {{testing::witness_key("w1")}, 0};
  auto note = parse_note(with_cosignatures(sign_checkpoint(sample(), log_key()), {"w1"}));
  EXPECT_TRUE(verify_checkpoint(note->encode(), trust)->witnessed);
  note->signatures[1].signature.back() ^= 1;
  EXPECT_EQ(verify_checkpoint(note->encode(), trust).error().code, Code::denied);
}

TEST(Checkpoint, TrustWithAKeyOfTheWrongTypeIsAMistakeInTheConfiguration) {
  LogTrust trust = testing::trust_in(log_key());
  trust.log_keys.push_back(testing::witness_key("w1"));
  EXPECT_EQ(verify_checkpoint(sign_checkpoint(sample(), log_key()), trust).error().code, Code::configuration);
}

}  // namespace
}  // namespace attestry::audit
