#include "tracker/torrents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>

#include "crypto/sha1.h"
#include "tracker/testing/tracker.h"

namespace attestry::tracker {
namespace {

using base::Code;
using ::testing::HasSubstr;
using testing::key_named;
using testing::kNow;
using testing::resigned;

std::string string_of(std::string_view text) { return std::to_string(text.size()) + ":" + std::string{text}; }
std::string hash_of(std::size_t index) {
  return std::string{base::as_text(crypto::sha1(base::as_bytes("piece " + std::to_string(index))))};
}
std::string hashes(std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += hash_of(i);
  return out;
}
/// An info dictionary of one file; its members are in order already.
std::string info(std::uint64_t length, std::size_t pieces, const std::string& more = {}) {
  return "d6:lengthi" + std::to_string(length) + "e4:name1:x12:piece lengthi16384e6:pieces" +
         string_of(hashes(pieces)) + more + "e";
}
std::string torrent(const std::string& info) { return "d8:announce8:http://t4:info" + info + "e"; }
base::Result<Torrent> read(const std::string& text) { return read_torrent(base::as_bytes(text)); }

TEST(ReadTorrent, OneFile) {
  const auto out = read(torrent(info(40'000, 3, "7:privatei1e")));
  ASSERT_TRUE(out.ok()) << out.error().text();
  EXPECT_EQ(out->infohash, crypto::sha1(base::as_bytes(info(40'000, 3, "7:privatei1e"))));
  EXPECT_EQ(out->pieces, (TorrentPieces{16384, 40'000, true}));
  EXPECT_EQ(out->pieces.count(), 3U);
  EXPECT_EQ(out->pieces.size_of(0), 16384U);
  EXPECT_EQ(out->pieces.size_of(2), 40'000U - 32'768U);
  EXPECT_EQ(base::as_text(out->hashes[2]), hash_of(2));
  const auto whole = read(torrent(info(32'768, 2)));
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->pieces.size_of(1), 16384U);
  EXPECT_FALSE(whole->pieces.is_private);
}

TEST(ReadTorrent, SeveralFiles) {
  const std::string files = "5:filesld6:lengthi10e4:pathl1:aeed6:lengthi0e4:pathl1:b1:ceee";
  const auto out = read(torrent("d" + files + "4:name1:x12:piece lengthi16e6:pieces" + string_of(hashes(1)) + "e"));
  ASSERT_TRUE(out.ok()) << out.error().text();
  EXPECT_EQ(out->pieces.size, 10U);
}

TEST(ReadTorrent, RefusesWhatIsNone) {
  const auto refusal = [](const std::string& text) {
    const auto out = read(text);
    EXPECT_FALSE(out.ok()) << text;
    return out.ok() ? std::string{} : out.error().text();
  };
  const std::string one = string_of(hashes(1));
  EXPECT_THAT(refusal("de"), HasSubstr("\"info\""));
  EXPECT_THAT(refusal("d4:infoi1ee"), HasSubstr("\"info\""));
  EXPECT_THAT(refusal(torrent(info(40'000, 2))), HasSubstr("3 hashes"));
  EXPECT_THAT(refusal(torrent(info(40'000, 4))), HasSubstr("3 hashes"));
  EXPECT_THAT(refusal(torrent(info(0, 0))), HasSubstr("length"));
  EXPECT_THAT(refusal(torrent("d6:lengthi1e4:name1:x12:piece lengthi0e6:pieces" + one + "e")), HasSubstr("range"));
  EXPECT_THAT(refusal(torrent("d6:lengthi1e12:piece lengthi1e6:pieces" + one + "e")), HasSubstr("name"));
  EXPECT_THAT(refusal(torrent("d4:name1:x12:piece lengthi1e6:pieces" + one + "e")), HasSubstr("files"));
  EXPECT_THAT(refusal(torrent("d5:filesld6:lengthi1eee4:name1:x12:piece lengthi1e6:pieces" + one + "e")),
              HasSubstr("path"));
  EXPECT_THAT(refusal(torrent("d5:filesle6:lengthi1e4:name1:x12:piece lengthi1e6:pieces" + one + "e")),
              HasSubstr("files"));
  EXPECT_THAT(refusal(torrent("d5:filesle4:name1:x12:piece lengthi1e6:pieces0:e")), HasSubstr("one byte"));
  EXPECT_THAT(refusal(torrent("d9:file treede6:lengthi1e12:meta versioni2e4:name1:x12:piece lengthi1ee")),
              HasSubstr("hybrid"));
  EXPECT_THAT(refusal(torrent(info(1, 1)) + "x"), HasSubstr("torrent"));
  std::string huge = "d5:filesl";
  for (int i = 0; i < 2; ++i) huge += "d6:lengthi4503599627370496e4:pathl1:aee";
  EXPECT_THAT(refusal(torrent(huge + "e4:name1:x12:piece lengthi1e6:pieces0:e")), HasSubstr("2^52"));
}

class TorrentsTest : public ::testing::Test {
 protected:
  TorrentsTest() { open({}); }
  void open(TorrentsOptions options) {
    auto opened = Torrents::open(tracker_.store(), tracker_.log(), random_, options);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    torrents_ = *std::move(opened);
  }
  base::Result<bool> add(const Torrent& torrent) {
    std::promise<base::Result<bool>> promise;
    torrents_->add(torrent, "alice", [&](base::Result<bool> done) { promise.set_value(std::move(done)); });
    return promise.get_future().get();
  }
  base::Result<bool> remove(const InfoHash& infohash) {
    std::promise<base::Result<bool>> promise;
    torrents_->remove(infohash, [&](base::Result<bool> done) { promise.set_value(std::move(done)); });
    return promise.get_future().get();
  }
  Receipt given(std::uint32_t index, std::uint32_t size) const {
    Receipt out = testing::receipt(key_named("alice"), key_named("bob"), index);
    out.infohash = torrent_.infohash;
    out.piece_hash = PieceHash::create(base::as_bytes(hash_of(index))).value();
    out.piece_size = size;
    return out;
  }
  std::optional<Refusal> refused(Receipt receipt) const { return torrents_->refuses(receipt).value(); }

  state::testing::ManualClock clock_{kNow};
  testing::Tracker tracker_{clock_};
  crypto::SeededRandom random_{base::as_bytes("torrents")};
  const Torrent torrent_ = read(torrent(info(16384 * 100 + 7, 101))).value();
  std::unique_ptr<Torrents> torrents_;
};

TEST_F(TorrentsTest, ReceiptsAreOfPiecesThatThereAre) {
  EXPECT_EQ(refused(given(5, 1 << 24)), std::nullopt) << "nothing is known of it";
  ASSERT_TRUE(add(torrent_).value());
  EXPECT_FALSE(add(torrent_).value());
  const auto look = [&] {
    EXPECT_EQ(refused(given(0, 16384)), std::nullopt);
    EXPECT_EQ(refused(given(64, 1)), std::nullopt);
    EXPECT_EQ(refused(given(99, 16385)), Refusal::piece_too_large);
    EXPECT_EQ(refused(given(100, 7)), std::nullopt);
    EXPECT_EQ(refused(given(100, 8)), Refusal::piece_too_large) << "the last piece is shorter";
    EXPECT_EQ(refused(given(101, 1)), Refusal::unknown_piece);
    Receipt other = given(70, 1);
    other.piece_hash = given(71, 1).piece_hash;
    EXPECT_EQ(refused(other), Refusal::unknown_piece);
    other.piece_hash = PieceHash::create(crypto::sha256(base::as_bytes("piece 70"))).value();
    EXPECT_EQ(refused(other), Refusal::unknown_piece);
  };
  look();
  open({});
  EXPECT_EQ(torrents_->find(torrent_.infohash), torrent_.pieces) << "after a restart";
  look();
}

// A receiver who hands in what he has just signed, as a receipt of one byte, would have had the piece for nothing.
TEST_F(TorrentsTest, NobodyChoosesTheSizeOfAPieceThatIsKnown) {
  ASSERT_TRUE(add(torrent_).value());
  const auto size_of = [&](Receipt receipt) {
    EXPECT_EQ(torrents_->refuses(receipt).value(), std::nullopt);
    return receipt.piece_size;
  };
  EXPECT_EQ(size_of(given(3, 1)), 16384U);
  EXPECT_EQ(size_of(given(100, 1)), 7U);
  EXPECT_EQ(size_of(given(100, kDefaultPieceSize)), 7U) << "as of a client that says none";
  const auto bound = [&](std::uint32_t index, std::uint32_t size) {
    Receipt out = given(index, size);
    out.form = ReceiptForm::bound;
    return out;
  };
  EXPECT_EQ(size_of(bound(3, 16384)), 16384U);
  EXPECT_EQ(size_of(bound(100, 7)), 7U);
  EXPECT_EQ(refused(bound(3, 5)), Refusal::unknown_piece) << "signed, by him whom a small one costs less";
  EXPECT_EQ(refused(bound(100, 6)), Refusal::unknown_piece);
  EXPECT_EQ(refused(bound(100, kDefaultPieceSize)), Refusal::piece_too_large);
}

TEST_F(TorrentsTest, OthersAreRefusedWhereOnlyKnownOnesCount) {
  open({.known_only = true});
  EXPECT_EQ(refused(given(0, 1)), Refusal::unknown_torrent);
  ASSERT_TRUE(add(torrent_).value());
  EXPECT_EQ(refused(given(0, 1)), std::nullopt);
  EXPECT_TRUE(remove(torrent_.infohash).value());
  EXPECT_FALSE(remove(torrent_.infohash).value());
  EXPECT_EQ(refused(given(0, 1)), Refusal::unknown_torrent);
  open({.known_only = true});
  EXPECT_EQ(torrents_->size(), 0U);
}

TEST_F(TorrentsTest, TorrentsAreBoundedAndLeaves) {
  open({.max_torrents = 1});
  const auto before = tracker_.log().head().size;
  ASSERT_TRUE(add(torrent_).value());
  EXPECT_EQ(tracker_.log().head().size, before + 1);
  EXPECT_EQ(audit::Leaf::parse(tracker_.log().leaf(before).value()).value().type, "tracker.torrent");
  EXPECT_FALSE(add(torrent_).value());
  EXPECT_EQ(tracker_.log().head().size, before + 1) << "nothing changed";
  EXPECT_EQ(add(read(torrent(info(1, 1))).value()).error().code, Code::too_large);
}

TEST_F(TorrentsTest, TorrentsAreBoundedThoughManyComeAtOnce) {
  open({.max_torrents = 2});
  constexpr std::size_t kMany = 6;
  std::latch asked{1};
  std::latch answered{kMany};
  std::atomic<std::size_t> added = 0;
  tracker_.store().write(
      [&](state::WriteTxn&) -> base::Status {
        asked.wait();
        return base::done();
      },
      [](const base::Status&) {});
  for (std::size_t i = 0; i < kMany; ++i) {
    torrents_->add(read(torrent(info(i + 1, 1))).value(), "alice", [&](const base::Result<bool>& done) {
      if (done) ++added;
      answered.count_down();
    });
  }
  asked.count_down();
  answered.wait();
  EXPECT_EQ(added, 2U);
  EXPECT_EQ(torrents_->size(), 2U);
  ASSERT_TRUE(remove(read(torrent(info(1, 1)))->infohash).value());
  EXPECT_TRUE(add(torrent_).value()) << "there is room again";
}

}  // namespace
}  // namespace attestry::tracker
