#include "channel/messages.h"

#include <gtest/gtest.h>

namespace attestry::channel {
namespace {

using attestation::Evidence;
using attestation::SupplementKind;
using base::Code;

Hello hello() {
  Hello out{.audience = "evm:1:0x00", .nonce = {}};
  out.nonce.fill(7);
  return out;
}
Evidence evidence() {
  return {.format = attestation::EvidenceFormat::unknown,
          .bytes = base::to_bytes("quote"),
          .supplements = {{.kind = SupplementKind::tcg_event_log, .bytes = base::to_bytes("log")},
                          {.kind = SupplementKind::dstack_event_log, .bytes = base::to_bytes("[]")}}};
}

/// No part of a message is one, nor is one with something behind it.
void only_whole(const base::Bytes& whole, auto&& parse) {
  ASSERT_TRUE(parse(whole).ok());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse(base::ByteView{whole}.first(size)).ok()) << size;
  }
  base::Bytes more = whole;
  more.push_back(0);
  EXPECT_FALSE(parse(more).ok());
}

TEST(ChannelMessages, AreReadAsTheyWereWritten) {
  const auto heard = parse_hello(encode(hello()));
  ASSERT_TRUE(heard.ok());
  EXPECT_EQ(heard->audience, hello().audience);
  EXPECT_EQ(heard->nonce, hello().nonce);
  const auto shown = parse_evidence(*encode(evidence()));
  ASSERT_TRUE(shown.ok());
  EXPECT_EQ(shown->bytes, evidence().bytes);
  ASSERT_EQ(shown->supplements.size(), 2u);
  EXPECT_EQ(shown->supplements[1].bytes, evidence().supplements[1].bytes);
  const auto told = parse_refused(encode(Refused{.denied = false, .reason = "later"}));
  ASSERT_TRUE(told.ok());
  EXPECT_FALSE(told->denied);
  EXPECT_EQ(told->reason, "later");
}

TEST(ChannelMessages, TruncatedOnesAreNone) {
  only_whole(encode(hello()), [](base::ByteView bytes) { return parse_hello(bytes); });
  only_whole(*encode(evidence()), [](base::ByteView bytes) { return parse_evidence(bytes); });
  only_whole(encode(Refused{.denied = true, .reason = "no"}),
             [](base::ByteView bytes) { return parse_refused(bytes); });
  const auto head = header(Kind::data, 5);
  only_whole(base::to_bytes(head), [](base::ByteView bytes) { return parse_header(bytes); });
}

TEST(ChannelMessages, EachKindHasItsSize) {
  const auto longest = [](Kind kind) {
    std::size_t low = 0, high = 1u << 24;
    while (low + 1 < high) {
      const std::size_t middle = (low + high) / 2;
      (parse_header(header(kind, middle)).ok() ? low : high) = middle;
    }
    return low;
  };
  Hello widest = hello();
  widest.audience = std::string(kMaxAudience, 'a');
  EXPECT_EQ(longest(Kind::client_hello), encode(widest).size());
  EXPECT_EQ(longest(Kind::server_hello), encode(widest).size());
  Evidence largest = evidence();
  largest.bytes.resize(kMaxEvidence);
  for (auto& log : largest.supplements) log.bytes.resize(kMaxLog);
  EXPECT_EQ(longest(Kind::evidence), encode(largest)->size());
  EXPECT_EQ(longest(Kind::refused), encode(Refused{.denied = true, .reason = std::string(kMaxReason, 'a')}).size());
  EXPECT_EQ(longest(Kind::data), kMaxData);
  for (const std::uint8_t kind : base::Bytes{0, 6, 255}) EXPECT_FALSE(parse_header(base::Bytes{kind, 0, 0, 0, 0}).ok());
}

TEST(ChannelMessages, WhatIsTooLargeIsNotWritten) {
  auto large = evidence();
  large.bytes.resize(kMaxEvidence + 1);
  EXPECT_EQ(encode(large).error().code, Code::too_large);
  auto logged = evidence();
  logged.supplements[0].bytes.resize(kMaxLog + 1);
  EXPECT_EQ(encode(logged).error().code, Code::too_large);
  EXPECT_EQ(encode(Evidence{}).error().code, Code::too_large);
}

TEST(ChannelMessages, LogsHaveOneOrder) {
  const auto with = [](std::initializer_list<std::uint8_t> kinds) {
    base::LpWriter out;
    out.lp("quote").u8(static_cast<std::uint8_t>(kinds.size()));
    for (const auto kind : kinds) out.u8(kind).lp("log");
    return parse_evidence(out.bytes()).ok();
  };
  EXPECT_TRUE(with({}));
  EXPECT_TRUE(with({2}));
  EXPECT_TRUE(with({1, 2}));
  EXPECT_FALSE(with({2, 1}));
  EXPECT_FALSE(with({1, 1}));
  EXPECT_FALSE(with({3}));
  EXPECT_FALSE(with({1, 2, 2}));
}

/// What reaches a terminal or a log is text, whoever sent it.
TEST(ChannelMessages, WordsArePrintable) {
  auto odd = hello();
  odd.audience = "a\n";
  EXPECT_FALSE(parse_hello(encode(odd)).ok());
  EXPECT_FALSE(parse_refused(encode(Refused{.denied = true, .reason = "\x1b[2J"})).ok());
  const auto made = refusal_of({Code::denied, "line\nwith \x1b", {}, std::string(2000, 'x')});
  EXPECT_TRUE(parse_refused(encode(made)).ok());
  EXPECT_EQ(made.reason.size(), kMaxReason);
}

TEST(ChannelMessages, AnOutageIsNoDenial) {
  for (const Code code :
       {Code::denied, Code::evidence_false, Code::malformed, Code::realm_mismatch, Code::configuration})
    EXPECT_TRUE(refusal_of({code, "no"}).denied);
  for (const Code code :
       {Code::unavailable, Code::collateral_missing, Code::deadline_exceeded, Code::io, Code::internal})
    EXPECT_FALSE(refusal_of({code, "later"}).denied);
}

}  // namespace
}  // namespace attestry::channel
