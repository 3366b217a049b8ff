#include "tracker/receipt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "tracker/testing/support.h"

namespace attestry::tracker {
namespace {

using base::hex;
using ::testing::HasSubstr;
using testing::kNow;
using testing::unhex;
using testing::vector_key;

const std::string kPk1 =
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";
const std::string kInfoHash = "a22a778f0a115a48acc42961776c9d885f0564b2";

/// PBTS section 1.2.
Receipt m1() {
  Receipt out;
  out.infohash = testing::infohash_of_vectors();
  out.sender = vector_key(1).public_key().encoded();
  out.receiver = vector_key(2).public_key().encoded();
  out.piece_hash = PieceHash::create(unhex("c738afa748fde22ea4a5b77da62231d108a186cf")).value();
  out.time = 1'700'000'000;
  return out;
}
Receipt m2() {
  Receipt out = m1();
  out.receiver = vector_key(3).public_key().encoded();
  out.piece_hash = PieceHash::create(unhex("6f0b18854c8bf1ba30eaf20d9c20f49eb164ef564fab4496649ab17dc51e69f0")).value();
  out.piece_index = 1;
  return out;
}

TEST(Receipt, MessagesOfTheVectors) {
  EXPECT_EQ(hex(signed_message(m1(), {})),
            kInfoHash + kPk1 + "c738afa748fde22ea4a5b77da62231d108a186cf" + "00000000" + "000000006553f100");
  EXPECT_EQ(signed_message(m1(), {}).size(), 100U);
  EXPECT_EQ(hex(signed_message(m2(), {})), kInfoHash + kPk1 +
                                               "6f0b18854c8bf1ba30eaf20d9c20f49eb164ef564fab4496649ab17dc51e69f0" +
                                               "00000001" + "000000006553f100");
  EXPECT_EQ(signed_message(m2(), {}).size(), 112U);
}

TEST(Receipt, IdOfTheVectors) {
  EXPECT_EQ(hex(receipt_id(m1())), "92cde87aa5d99d1feaad39e24265623d210d332c6c72828adaded837d387eb0b");
}

TEST(Receipt, TheIdIsOfThePieceBetweenTheTwo) {
  Receipt other = m1();
  other.time += 1;
  other.piece_size = 1;
  other.form = ReceiptForm::bound;
  other.signature[0] = 1;
  EXPECT_EQ(receipt_id(other), receipt_id(m1()));
  other.piece_index = 1;
  EXPECT_NE(receipt_id(other), receipt_id(m1()));
  Receipt elsewhere = m1();
  elsewhere.receiver = vector_key(3).public_key().encoded();
  EXPECT_NE(receipt_id(elsewhere), receipt_id(m1()));
}

TEST(Receipt, TheBoundFormNamesReceiverSizeAndInstance) {
  InstanceId instance{};
  instance.fill(0xab);
  Receipt bound = m1();
  bound.form = ReceiptForm::bound;
  bound.piece_size = 0x10000;
  EXPECT_EQ(hex(signed_message(bound, instance)), hex(base::as_bytes("PBTS receipt 2\n")) +
                                                      hex(signed_message(m1(), {})) + hex(bound.receiver) + "00010000" +
                                                      hex(instance));
  const auto differs = [&](auto change) {
    Receipt changed = bound;
    change(changed);
    return signed_message(changed, instance) != signed_message(bound, instance);
  };
  EXPECT_TRUE(differs([](Receipt& r) { r.piece_size += 1; }));
  EXPECT_TRUE(differs([](Receipt& r) { r.receiver[1] ^= 1; }));
  EXPECT_NE(signed_message(bound, instance), signed_message(bound, {}));
  EXPECT_EQ(signed_message(m1(), instance), signed_message(m1(), {}));
}

TEST(Receipt, NoRegistrationReadsAsAReceipt) {
  // "register" ‖ 64 hexadecimal digits ‖ user id of 28 bytes is as long as a message of version 1, but a key never
  // begins with a letter: its first bit is set.
  std::string registration = "register" + std::string(64, 'a') + std::string(28, 'x');
  const base::ByteView sender = base::as_bytes(registration).subspan(20, 48);
  EXPECT_EQ(registration.size(), 100U);
  EXPECT_FALSE(curves::bls::PublicKey::decode(sender).ok());
}

TEST(Receipt, PieceHashesHaveTwoSizes) {
  for (const std::size_t size : {0U, 19U, 21U, 31U, 33U, 64U}) {
    EXPECT_THAT(PieceHash::create(base::Bytes(size, 1)).error().text(), HasSubstr("20 bytes (SHA-1) or 32"));
  }
  EXPECT_EQ(PieceHash::create(base::Bytes(20, 1))->bytes().size(), 20U);
  EXPECT_EQ(PieceHash::create(base::Bytes(32, 1))->bytes().size(), 32U);
}

TEST(Receipt, TheWindowIsTheSecondsBehindAndTheSkewThoseAhead) {
  const ReceiptRules rules;
  const auto at = [&](std::int64_t time) {
    Receipt out = m1();
    out.time = static_cast<std::uint64_t>(time);
    return refused_alone(out, rules, kNow);
  };
  EXPECT_EQ(at(kNow.seconds), std::nullopt);
  EXPECT_EQ(at(kNow.seconds - 3600), std::nullopt);
  EXPECT_EQ(at(kNow.seconds - 3601), Refusal::stale);
  EXPECT_EQ(at(kNow.seconds + 60), std::nullopt);
  EXPECT_EQ(at(kNow.seconds + 61), Refusal::future);
  EXPECT_EQ(at(0), Refusal::stale);
  EXPECT_EQ(at(std::int64_t{1} << 52), Refusal::future);
}

TEST(Receipt, AnHourCountsFromItsFirstSecondToItsLast) {
  const ReceiptRules rules;
  Receipt hourly = m1();
  hourly.form = ReceiptForm::epoch;
  hourly.time = static_cast<std::uint64_t>(kNow.seconds) / 3600;
  const base::UtcTime begin{kNow.seconds / 3600 * 3600};
  EXPECT_EQ(hourly.first_second(), begin);
  EXPECT_EQ(hourly.last_second(), begin + 3599);
  EXPECT_EQ(refused_alone(hourly, rules, begin - 60), std::nullopt);
  EXPECT_EQ(refused_alone(hourly, rules, begin - 61), Refusal::future);
  EXPECT_EQ(refused_alone(hourly, rules, begin + 7199), std::nullopt);
  EXPECT_EQ(refused_alone(hourly, rules, begin + 7200), Refusal::stale);
  // The same number read in the other way is never fresh.
  hourly.form = ReceiptForm::timestamp;
  EXPECT_EQ(refused_alone(hourly, rules, kNow), Refusal::stale);
  Receipt seconds = m1();
  seconds.form = ReceiptForm::epoch;
  EXPECT_EQ(refused_alone(seconds, rules, kNow), Refusal::future);
  seconds.time = ~std::uint64_t{0};
  EXPECT_EQ(refused_alone(seconds, rules, kNow), Refusal::future);
}

TEST(Receipt, OneselfEmptyAndTooLargePieces) {
  const ReceiptRules rules;
  Receipt own = m1();
  own.receiver = own.sender;
  EXPECT_EQ(refused_alone(own, rules, kNow), Refusal::own_receipt);
  Receipt large = m1();
  large.piece_size = rules.max_piece_size;
  EXPECT_EQ(refused_alone(large, rules, kNow), std::nullopt);
  large.piece_size += 1;
  EXPECT_EQ(refused_alone(large, rules, kNow), Refusal::piece_too_large);
  large.piece_size = 0;
  EXPECT_EQ(refused_alone(large, rules, kNow), Refusal::piece_too_large);
}

/// The members of a receipt as PBTS's clients send them.
class ReceiptJson : public ::testing::Test {
 protected:
  base::Result<Receipt> read() const {
    std::string text = "{";
    for (const auto& [name, value] : members_) {
      if (text.size() > 1) text += ',';
      text += '"';
      text += name;
      text += "\":";
      text += value;
    }
    const auto document = base::JsonDocument::parse(text + "}");
    EXPECT_TRUE(document.ok()) << text;
    return read_receipt((*document)->root(), vector_key(1).public_key().encoded());
  }
  std::string refused() const {
    const auto read_one = read();
    return read_one ? "accepted" : read_one.error().text();
  }
  static std::string quoted(const std::string& text) { return '"' + text + '"'; }

  Receipt expected_ = testing::resigned(m2(), vector_key(3));
  std::map<std::string, std::string> members_{
      {"receiver_public_key", quoted(base::base64(expected_.receiver))},
      {"sender_pk", quoted(base::base64(expected_.sender))},
      {"piece_hash", quoted(hex(expected_.piece_hash.bytes()))},
      {"piece_index", "1"},
      {"infohash", quoted(hex(expected_.infohash))},
      {"timestamp", "1700000000"},
      {"signature", quoted(base::base64(expected_.signature))},
      {"piece_size", "16384"},
  };
};

TEST_F(ReceiptJson, OfTheTracker) {
  const auto found = read();
  ASSERT_TRUE(found.ok()) << found.error().text();
  EXPECT_TRUE(*found == expected_);
}

TEST_F(ReceiptJson, SenderAndSizeMayBeLeftOut) {
  members_.erase("sender_pk");
  members_.erase("piece_size");
  EXPECT_TRUE(*read() == expected_);
  members_["sender_pk"] = "null";
  EXPECT_TRUE(*read() == expected_);
}

TEST_F(ReceiptJson, UnderThePeersNames) {
  members_["receiver_pk"] = members_["receiver_public_key"];
  members_.erase("receiver_public_key");
  members_["t_epoch"] = "472222";
  Receipt hourly = expected_;
  hourly.form = ReceiptForm::epoch;
  hourly.time = 472222;
  EXPECT_TRUE(*read() == hourly) << "with both times it is the hour that is signed";
  members_.erase("timestamp");
  EXPECT_TRUE(*read() == hourly);
}

TEST_F(ReceiptJson, VersionTwoIsBound) {
  members_["version"] = "2";
  EXPECT_EQ(read()->form, ReceiptForm::bound);
  members_["version"] = "3";
  EXPECT_THAT(refused(), HasSubstr("version"));
  members_["version"] = "1";
  EXPECT_EQ(read()->form, ReceiptForm::timestamp);
}

TEST_F(ReceiptJson, EveryMemberIsNamedWhenItIsMissing) {
  for (const char* name : {"receiver_public_key", "piece_hash", "piece_index", "infohash", "timestamp", "signature"}) {
    const std::string kept = members_[name];
    members_.erase(name);
    EXPECT_THAT(refused(), HasSubstr(name));
    members_[name] = "null";
    EXPECT_THAT(refused(), HasSubstr(name));
    members_[name] = "{}";
    EXPECT_THAT(refused(), HasSubstr(name));
    members_[name] = kept;
  }
  EXPECT_EQ(refused(), "accepted");
}

TEST_F(ReceiptJson, LengthsAndRangesAreKept) {
  const auto with = [&](const std::string& name, const std::string& value) {
    const auto kept = members_;
    members_[name] = value;
    const std::string out = refused();
    members_ = kept;
    return out;
  };
  EXPECT_THAT(with("piece_index", "-1"), HasSubstr("piece_index"));
  EXPECT_THAT(with("piece_index", "4294967296"), HasSubstr("piece_index"));
  EXPECT_EQ(with("piece_index", "4294967295"), "accepted");
  EXPECT_THAT(with("piece_size", "-5"), HasSubstr("piece_size"));
  EXPECT_THAT(with("piece_size", "1.5"), HasSubstr("piece_size"));
  EXPECT_THAT(with("timestamp", "-1"), HasSubstr("timestamp"));
  EXPECT_THAT(with("infohash", quoted(std::string(38, 'a'))), HasSubstr("infohash"));
  EXPECT_THAT(with("piece_hash", quoted(std::string(42, 'a'))), HasSubstr("piece_hash"));
  EXPECT_THAT(with("piece_hash", quoted(std::string(40, 'g'))), HasSubstr("piece_hash"));
  EXPECT_THAT(with("signature", quoted(base::base64(base::Bytes(95, 1)))), HasSubstr("signature"));
  EXPECT_THAT(with("sender_pk", quoted(base::base64(base::Bytes(47, 1)))), HasSubstr("sender_pk"));
  EXPECT_THAT(with("receiver_public_key", quoted("!!!!")), HasSubstr("receiver_public_key"));
}

TEST(Refusals, HaveNames) {
  for (int i = 0; i <= static_cast<int>(Refusal::bad_signature); ++i) {
    const auto refusal = static_cast<Refusal>(i);
    EXPECT_EQ(to_text(refusal) == "malformed", refusal == Refusal::malformed);
  }
}

}  // namespace
}  // namespace attestry::tracker
