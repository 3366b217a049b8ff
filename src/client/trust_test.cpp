#include "client/trust.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "audit/testing/support.h"

namespace attestry::client {
namespace {

using audit::testing::key_named;
using audit::testing::kOrigin;
using ::testing::HasSubstr;

std::string log_vkey() {
  return audit::NoteKey{kOrigin, audit::NoteKeyType::ed25519, key_named("log").public_key()}.vkey();
}
std::string witness(const std::string& name) { return audit::testing::witness_key(name).vkey(); }

std::string document(const std::string& more = {}, const std::string& keys = '"' + log_vkey() + '"') {
  return std::string{R"({"origin":"log.example/attestry","log_keys":[)"} + keys + "]" + more + "}";
}

TEST(Trust, WhatIsLeftOutIsStrict) {
  const auto trust = Trust::parse(document());
  ASSERT_TRUE(trust.ok()) << trust.error().text();
  EXPECT_EQ(trust->log.origin, kOrigin);
  ASSERT_EQ(trust->log.log_keys.size(), 1u);
  EXPECT_EQ(trust->log.log_keys[0].vkey(), log_vkey());
  EXPECT_TRUE(trust->log.witnesses.witnesses.empty());
  EXPECT_EQ(trust->log.witnesses.threshold, 0u);
  EXPECT_FALSE(trust->allow_simulated);
}

TEST(Trust, EveryWitnessIsNeededUnlessAThresholdSaysOtherwise) {
  const std::string two = R"(,"witnesses":[")" + witness("w1") + R"(",")" + witness("w2") + R"("])";
  EXPECT_EQ(Trust::parse(document(two))->log.witnesses.threshold, 2u);
  EXPECT_EQ(Trust::parse(document(two + R"(,"witness_threshold":1)"))->log.witnesses.threshold, 1u);
}

TEST(Trust, RoundTripsThroughJson) {
  const std::string full = R"(,"witnesses":[")" + witness("w1") + R"("],"witness_threshold":1,"simulated":true)";
  const auto trust = Trust::parse(document(full));
  ASSERT_TRUE(trust.ok()) << trust.error().text();
  const auto again = Trust::parse(trust->to_json());
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_EQ(again->to_json(), trust->to_json());
  EXPECT_TRUE(again->allow_simulated);
  EXPECT_EQ(again->log.witnesses.threshold, 1u);
}

TEST(Trust, IsReadStrictly) {
  const std::string one = '"' + log_vkey() + '"';
  const std::string w = '"' + witness("w1") + '"';
  const std::pair<std::string, std::string> cases[] = {
      {document(R"(,"simulate":true)"), "simulate"},
      {document(R"(,"simulated":"true")"), "simulated"},
      {document("", ""), "at least one key"},
      {document("", "\"nonsense\""), "log_keys"},
      {document("", "7"), "log_keys"},
      {document("", w), "another use"},
      {document("", one + "," + one), "listed twice"},
      {document(R"(,"witnesses":{})"), "array of verification keys"},
      {document(R"(,"witnesses":[)" + one + "]"), "another use"},
      {document(R"(,"witnesses":[)" + w + "," + w + R"(],"witness_threshold":2)"), "listed twice"},
      {document(R"(,"witnesses":[)" + w + R"(],"witness_threshold":2)"), "witness_threshold"},
      {document(R"(,"witnesses":[)" + w + R"(],"witness_threshold":-1)"), "witness_threshold"},
      {document(R"(,"witness_threshold":1)"), "witness_threshold"},
      {R"({"log_keys":[)" + one + "]}", "origin"},
      {R"({"origin":"x"})", "log_keys"},
      {"[]", "trust settings"},
      {"", "trust settings"},
  };
  for (const auto& [json, reason] : cases) {
    const auto trust = Trust::parse(json);
    ASSERT_FALSE(trust.ok()) << json;
    EXPECT_EQ(trust.error().code, base::Code::malformed) << json;
    EXPECT_THAT(trust.error().text(), HasSubstr(reason)) << json;
  }
}

}  // namespace
}  // namespace attestry::client
