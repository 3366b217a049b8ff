#include "api/idempotency.h"

#include <gmock/gmock.h>

#include <stdexcept>

#include "api/testing/support.h"
#include "base/encoding.h"
#include "state/keys.h"

namespace attestry::api {
namespace {

using base::Code;
using governance::testing::House;
using governance::testing::patient;

class IdempotencyTest : public ::testing::Test, protected testing::Rooms {
 protected:
  net::Request request(std::string_view key, std::string body = "{}", std::string target = "/v1/thing") const {
    net::Request out;
    out.method = net::Method::post;
    out.target = std::move(target);
    out.headers.set("Content-Type", "application/json");
    if (!key.empty()) out.headers.set(kIdempotencyHeader, key);
    out.body = std::move(body);
    out.principal = "admin";
    out.deadline = patient();
    return out;
  }
  /// Answers with the number of its call.
  base::Result<net::Response> ask(net::Request of) {
    return once(deps, of, [this](net::Request&) -> base::Result<net::Response> {
      ++calls;
      if (failure) return *failure;
      return net::json_response(201, R"({"call":)" + std::to_string(calls) + "}");
    });
  }
  base::Result<net::Response> ask(std::string_view key, std::string body = "{}") {
    return ask(request(key, std::move(body)));
  }
  static void refused(const base::Result<net::Response>& result, Code code, std::string_view why) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, code) << result.error().text();
    EXPECT_THAT(result.error().text(), ::testing::HasSubstr(why));
  }
  /// What is queued is written in order, so it is there when this is.
  void settle() {
    EXPECT_TRUE(house.store->write_and_wait([](state::WriteTxn&) { return base::done(); }, patient()).ok());
  }
  std::size_t records() {
    settle();
    std::size_t count = 0;
    const auto view = house.store->read();
    EXPECT_TRUE((*view)
                    ->scan(state::Key(state::Space::idempotency), {}, 1'000'000,
                           [&](base::ByteView, base::ByteView) {
                             ++count;
                             return true;
                           })
                    .ok());
    return count;
  }

  int calls = 0;
  std::optional<base::Error> failure;
};

TEST_F(IdempotencyTest, TheSameRequestUnderTheSameKeyIsAnsweredAsTheFirst) {
  const auto first = ask("k");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->headers.count(kReplayedHeader), 0u);
  for (int i = 0; i < 3; ++i) {
    const auto again = ask("k");
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->status, 201);
    EXPECT_EQ(again->body, first->body);
    EXPECT_EQ(again->content_type, first->content_type);
    EXPECT_EQ(again->headers.get(kReplayedHeader), "true");
  }
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(ask("another").ok());
  EXPECT_EQ(calls, 2);
}

TEST_F(IdempotencyTest, WithoutTheHeaderNothingIsRemembered) {
  EXPECT_TRUE(ask("").ok());
  EXPECT_TRUE(ask("").ok());
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(records(), 0u);
}

TEST_F(IdempotencyTest, AnotherRequestUnderTheSameKeyIsAConflict) {
  ASSERT_TRUE(ask("k").ok());
  refused(ask("k", R"({"more":1})"), Code::conflict, "another request");
  refused(ask(request("k", "{}", "/v1/other")), Code::conflict, "another request");
  auto put = request("k");
  put.method = net::Method::put;
  refused(ask(std::move(put)), Code::conflict, "another request");
  EXPECT_EQ(calls, 1);
  auto other = request("k");
  other.principal = "somebody else";  // keys are each caller's own
  EXPECT_TRUE(ask(std::move(other)).ok());
  EXPECT_EQ(calls, 2);
}

TEST_F(IdempotencyTest, ARefusalIsNotRemembered) {
  for (const Code code : {Code::malformed, Code::denied, Code::conflict, Code::not_found, Code::too_large,
                          Code::unsupported_media, Code::unauthenticated, Code::deadline_exceeded}) {
    failure = base::Error{code, "refused"};
    refused(ask("k"), code, "refused");
    EXPECT_EQ(records(), 1u);  // the number of entries, which is 0
  }
  failure.reset();
  ASSERT_TRUE(ask("k", R"({"corrected":true})").ok());
  EXPECT_EQ(calls, 9);
}

TEST_F(IdempotencyTest, AFailureThatMayHaveHadAnEffectKeepsItsKey) {
  for (const Code code : {Code::unavailable, Code::io, Code::corrupt, Code::internal}) {
    const auto key = "k" + std::to_string(static_cast<int>(code));
    failure = base::Error{code, "away"};
    refused(ask(key), code, "away");
    failure.reset();
    refused(ask(key), Code::conflict, "has begun");
    refused(ask(key, R"({"other":true})"), Code::conflict, "another request");
  }
  EXPECT_EQ(calls, 4);
}

TEST_F(IdempotencyTest, WhatWasWrittenButNotAcknowledgedIsNotWrittenAgain) {
  // The store says `unavailable` after a failed hook, and the data is there (state/store.h).
  const auto deposit = [&](net::Request&) -> base::Result<net::Response> {
    ++calls;
    house.store->set_after_commit([](const state::ReadView&) { return base::Error{Code::io, "no checkpoint"}; });
    const auto written = house.store->write_and_wait(
        [&](state::WriteTxn& txn) { return txn.put(state::Key(state::Space::blobs).u8(1), state::value(1).bytes()); },
        patient());
    house.store->set_after_commit({});
    if (!written) return written.error();
    return net::json_response(201, "{}");
  };
  auto first = request("k");
  refused(once(deps, first, deposit), Code::unavailable, "");
  const auto view = house.store->read();
  EXPECT_TRUE((*view)->get(state::Key(state::Space::blobs).u8(1))->has_value());
  auto again = request("k");
  refused(once(deps, again, deposit), Code::conflict, "has begun");
  EXPECT_EQ(calls, 1);
}

TEST_F(IdempotencyTest, ARequestWithoutTimeLeftSettlesItsKeyNevertheless) {
  auto slow = request("refused");
  refused(once(deps, slow,
               [](net::Request& inner) -> base::Result<net::Response> {
                 inner.deadline = base::Deadline::min();
                 return base::Error{Code::deadline_exceeded, "the store is slow"};
               }),
          Code::deadline_exceeded, "slow");
  ASSERT_TRUE(ask("refused").ok());
  auto late = request("late");
  ASSERT_TRUE(once(deps, late, [](net::Request& inner) -> base::Result<net::Response> {
                inner.deadline = base::Deadline::min();
                return net::json_response(200, R"({"late":true})");
              }).ok());
  EXPECT_EQ(ask("late")->body, R"({"late":true})");
  EXPECT_EQ(calls, 1);
}

TEST_F(IdempotencyTest, AnExceptionKeepsTheKey) {
  auto first = request("k");
  EXPECT_THROW(
      (void)once(deps, first,
                 [](net::Request&) -> base::Result<net::Response> { throw std::runtime_error("half way through"); }),
      std::runtime_error);
  refused(ask("k"), Code::conflict, "has begun");
  EXPECT_EQ(calls, 0);
}

TEST_F(IdempotencyTest, ABodyThatIsNotHandedOnIsWiped) {
  const std::string body = R"({"value":"aHVudGVyMg"})";
  const auto left_of = [&](std::string_view key, std::string text) {
    auto of = request(key, std::move(text));
    (void)once(deps, of, [](net::Request& inner) -> base::Result<net::Response> {
      EXPECT_EQ(inner.body, R"({"value":"aHVudGVyMg"})");
      return net::json_response(201, "{}");
    });
    return of.body;
  };
  EXPECT_EQ(left_of("k", body), body);  // the handler's own business
  EXPECT_THAT(left_of("k", body), ::testing::Not(::testing::HasSubstr("aHVudGVyMg")));
  EXPECT_THAT(left_of("k", R"({"value":"b3RoZXI"})"), ::testing::Not(::testing::HasSubstr("b3RoZXI")));
  EXPECT_THAT(left_of("two words", body), ::testing::Not(::testing::HasSubstr("aHVudGVyMg")));
}

TEST_F(IdempotencyTest, BadKeysAreRefused) {
  for (const std::string& bad :
       {std::string(129, 'k'), std::string{"two words"}, std::string{"t\tab"}, std::string{"\xc3\xa4"}})
    refused(ask(bad), Code::malformed, "visible ASCII");
  auto twice = request("k");
  twice.headers.add(kIdempotencyHeader, "k");
  refused(ask(std::move(twice)), Code::malformed, "visible ASCII");
  auto empty = request("");
  empty.headers.set(kIdempotencyHeader, "");
  refused(ask(std::move(empty)), Code::malformed, "visible ASCII");
  EXPECT_EQ(calls, 0);
  EXPECT_TRUE(ask(std::string(128, '~')).ok());
}

TEST_F(IdempotencyTest, WhileTheFirstIsBeingAnsweredTheSecondIsAConflict) {
  auto outer = request("k");
  const auto answered = once(deps, outer, [&](net::Request&) -> base::Result<net::Response> {
    refused(ask("k"), Code::conflict, "has begun");
    return net::json_response(200, "{}");
  });
  ASSERT_TRUE(answered.ok());
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(ask("k")->status, 200);
}

TEST_F(IdempotencyTest, AKeyExpires) {
  ASSERT_TRUE(ask("k").ok());
  house.clock.pass(kIdempotencySeconds - 1);
  EXPECT_EQ(ask("k")->body, R"({"call":1})");
  house.clock.pass(1);
  EXPECT_EQ(ask("k", R"({"new":true})")->body, R"({"call":2})");
  EXPECT_EQ(records(), 3u);  // entry, expiry, number
}

TEST_F(IdempotencyTest, ExpiredKeysAreCollected) {
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(ask("k" + std::to_string(i)).ok());
  EXPECT_EQ(records(), 25u);
  house.clock.pass(kIdempotencySeconds);
  ASSERT_TRUE(ask("fresh").ok());
  EXPECT_EQ(records(), 3u);
}

TEST_F(IdempotencyTest, TheNumberOfKeysIsBounded) {
  // The number alone is what is counted by; to fill the space itself would take minutes.
  ASSERT_TRUE(ask("oldest").ok());
  house.clock.pass(1);
  ASSERT_TRUE(ask("older").ok());
  auto full = state::value(1);
  full.u64(kIdempotencyKeys);
  ASSERT_TRUE(
      house.store
          ->write_and_wait(
              [&](state::WriteTxn& txn) { return txn.put(state::Key(state::Space::idempotency).u8(3), full.bytes()); },
              patient())
          .ok());
  ASSERT_TRUE(ask("new").ok());
  EXPECT_EQ(ask("older")->headers.get(kReplayedHeader), "true");
  EXPECT_EQ(ask("new")->headers.get(kReplayedHeader), "true");
  EXPECT_EQ(records(), 5u);
  EXPECT_EQ(ask("oldest")->headers.count(kReplayedHeader), 0u);
}

TEST_F(IdempotencyTest, TheStoreDoesNotTellWhatABodyIs) {
  const std::string body = R"({"value":"aHVudGVyMg"})";
  ASSERT_TRUE(ask("k", body).ok());
  deps.idempotency_key = crypto::Secret::copy_of(base::Bytes(32, 4));
  refused(ask("k", body), Code::conflict, "another request");  // the digest is under the server's key
}

TEST_F(IdempotencyTest, AnApprovalWithoutAValidSignatureCausesNoWrite) {
  ASSERT_TRUE(add_routes(router, deps, {Service::governance}).ok());
  house.add_operator("alice");
  const auto app = governance::testing::app_named("name:web");
  const auto ask_for = [&](const governance::Envelope& envelope) {
    auto of = request("k", envelope.to_json(), "/v1/approvals");
    of.principal.clear();
    return send(net::Role::admin, std::move(of)).status;
  };
  settle();
  const auto before = house.store->stats().writes;
  EXPECT_EQ(ask_for(House::signed_by(house.next(app, governance::Action::app_create, "name:web"), {"mallory"})), 403);
  EXPECT_EQ(house.store->stats().writes, before);
  const auto good = House::signed_by(house.next(app, governance::Action::app_create, "name:web"), {"alice"});
  EXPECT_EQ(ask_for(good), 201);
  EXPECT_EQ(ask_for(good), 409);  // its place in the sequence is taken
  EXPECT_EQ(records(), 0u);
}

}  // namespace
}  // namespace attestry::api
