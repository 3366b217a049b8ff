#include "tracker/receipt_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>

#include "tracker/testing/support.h"

namespace attestry::tracker {
namespace {

using curves::bls::PublicKey;
using curves::bls::SigningKey;
using testing::key_named;
using testing::receipt;

class ReceiptBatch : public ::testing::Test {
 protected:
  /// Receipts of pieces 0, 1, … to the sender, from as many receivers as said.
  void make(std::uint32_t count, std::uint32_t receivers) {
    for (std::uint32_t i = 0; i < count; ++i) {
      receipts_.push_back(receipt(sender_, key_named("receiver " + std::to_string(i % receivers)), i));
    }
  }
  void spoil(std::size_t index) { receipts_[index].piece_index += 1000; }

  std::vector<std::size_t> refused(const Parallel& parallel = one_after_another) {
    std::vector<ReceiptCheck> checks;
    checks.reserve(receipts_.size());
    for (const Receipt& one : receipts_) checks.push_back({one, keys_.decode(one.receiver).value()});
    const std::vector<bool> verdicts = verify_receipts(checks, {}, parallel);
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
      if (!verdicts[i]) out.push_back(i);
    }
    return out;
  }

  SigningKey sender_ = key_named("sender");
  std::vector<Receipt> receipts_;
  KeyCache keys_;
};

TEST_F(ReceiptBatch, AllAreRight) {
  make(12, 3);
  EXPECT_TRUE(refused().empty());
}

TEST_F(ReceiptBatch, NoneAtAll) { EXPECT_TRUE(refused().empty()); }

TEST_F(ReceiptBatch, OneBadReceiptCostsOnlyItself) {
  make(12, 3);
  spoil(7);
  EXPECT_EQ(refused(), std::vector<std::size_t>{7});
}

TEST_F(ReceiptBatch, Two) {
  make(12, 12);
  spoil(0);
  spoil(11);
  EXPECT_EQ(refused(), (std::vector<std::size_t>{0, 11}));
}

TEST_F(ReceiptBatch, Many) {
  make(10, 2);
  for (std::size_t i = 0; i < 10; i += 2) spoil(i);
  EXPECT_EQ(refused(), (std::vector<std::size_t>{0, 2, 4, 6, 8}));
}

TEST_F(ReceiptBatch, All) {
  make(5, 2);
  for (std::size_t i = 0; i < 5; ++i) spoil(i);
  EXPECT_EQ(refused(), (std::vector<std::size_t>{0, 1, 2, 3, 4}));
}

TEST_F(ReceiptBatch, WhatIsNoPointIsBadLikeAnyOther) {
  make(6, 2);
  receipts_[1].signature.fill(0);
  receipts_[3].signature.fill(0xff);
  receipts_[5].signature = curves::bls::G2{}.encode();
  EXPECT_EQ(refused(), (std::vector<std::size_t>{1, 3, 5}));
}

TEST_F(ReceiptBatch, EveryFieldIsSigned) {
  make(5, 1);
  receipts_[0].time += 1;
  receipts_[1].infohash[0] ^= 1;
  receipts_[2].sender = key_named("another").public_key().encoded();
  receipts_[3].receiver = key_named("another").public_key().encoded();
  receipts_[4].piece_hash = PieceHash::create(base::Bytes(32, 1)).value();
  EXPECT_EQ(refused(), (std::vector<std::size_t>{0, 1, 2, 3, 4}));
}

TEST_F(ReceiptBatch, ABoundReceiptIsOfOneInstanceAndSize) {
  const SigningKey receiver = key_named("receiver 0");
  const InstanceId here{1}, there{2};
  Receipt bound = receipt(sender_, receiver, 0);
  bound.form = ReceiptForm::bound;
  bound = testing::resigned(bound, receiver, here);
  const auto verdict = [&](const Receipt& one, const InstanceId& at) -> bool {
    const ReceiptCheck check{one, receiver.public_key()};
    return verify_receipts({&check, 1}, at).front();
  };
  EXPECT_TRUE(verdict(bound, here));
  EXPECT_FALSE(verdict(bound, there));
  Receipt larger = bound;
  larger.piece_size += 1;
  EXPECT_FALSE(verdict(larger, here));
  Receipt unbound = bound;
  unbound.form = ReceiptForm::timestamp;
  EXPECT_FALSE(verdict(unbound, here)) << "the two forms are never one another";
}

TEST_F(ReceiptBatch, AnUnprovenKeySpeaksOnlyForItself) {
  // The rogue key pk_attacker - pk_victim, and one message that the attacker alone has signed.
  const SigningKey victim = key_named("victim"), attacker = key_named("attacker");
  const PublicKey rogue =
      PublicKey::decode((attacker.public_key().point() - victim.public_key().point()).encode()).value();
  Receipt of_victim = receipt(sender_, victim, 0);
  Receipt of_rogue = of_victim;
  of_rogue.receiver = rogue.encoded();
  const auto message = signed_message(of_victim, {});
  of_victim.signature = attacker.sign(message);
  const curves::bls::G2 forged = curves::bls::G2::decode(attacker.sign(message)).value();
  // Shares of the forgery that are points each: s = a + (s - a).
  const curves::bls::G2 part = curves::bls::G2::decode(key_named("any").sign(message)).value();
  of_victim.signature = part.encode();
  of_rogue.signature = (forged - part).encode();
  const std::array together{ReceiptCheck{of_victim, victim.public_key()}, ReceiptCheck{of_rogue, rogue}};
  EXPECT_EQ(verify_receipts(together, {}), (std::vector<bool>{true, true})) << "this is why possession is demanded";
  const std::array apart{ReceiptCheck{of_victim, victim.public_key()}, ReceiptCheck{of_rogue, rogue, false}};
  EXPECT_EQ(verify_receipts(apart, {}), (std::vector<bool>{false, false}));
}

TEST_F(ReceiptBatch, ItsWorkMayBeSpreadOverThreads) {
  make(20, 4);
  spoil(13);
  std::atomic<int> calls = 0;
  const Parallel threads = [&](std::size_t count, const std::function<void(std::size_t)>& each) {
    std::vector<std::jthread> running;
    running.reserve(3);
    for (std::size_t first = 0; first < 3; ++first) {
      running.emplace_back([&, first] {
        for (std::size_t i = first; i < count; i += 3) {
          each(i);
          ++calls;
        }
      });
    }
  };
  EXPECT_EQ(refused(threads), std::vector<std::size_t>{13});
  EXPECT_EQ(calls, 20);
}

TEST_F(ReceiptBatch, KeysAreDecodedOnceAndCheckedAlways) {
  const KeyBytes good = sender_.public_key().encoded();
  KeyCache small{1};
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(*small.decode(good) == sender_.public_key());
    EXPECT_FALSE(small.decode(curves::bls::G1{}.encode()).ok());
    EXPECT_FALSE(small.decode(KeyBytes{}).ok());
  }
}

}  // namespace
}  // namespace attestry::tracker
