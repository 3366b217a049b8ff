#include "tracker/torrents.h"

#include <algorithm>
#include <limits>

#include "base/reader.h"
#include "crypto/sha1.h"
#include "state/keys.h"
#include "state/scan.h"
#include "state/spaces.h"
#include "tracker/bencode.h"

namespace attestry::tracker {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Space;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::int64_t kMostPieceLength = 1 << 30;
constexpr std::int64_t kMostSize = std::int64_t{1} << 52;
constexpr std::size_t kHashesInOne = 64;  ///< record of the store: a receipt costs reading one

state::Key shapes() { return state::Key(Space::tracker_torrents).u8(0); }
state::Key shape_key(const InfoHash& infohash) { return shapes().raw(infohash); }
state::Key hashes_of(const InfoHash& infohash) { return state::Key(Space::tracker_torrents).u8(1).raw(infohash); }
state::Key hashes_key(const InfoHash& infohash, std::uint64_t first) {
  return hashes_of(infohash).u64(first / kHashesInOne);
}

/// piece length u32 ‖ size u64 ‖ private u8.
base::Bytes encode(const TorrentPieces& pieces) {
  return state::value(kVersion).u32(pieces.piece_length).u64(pieces.size).u8(pieces.is_private ? 1 : 0).bytes();
}
Result<TorrentPieces> decode(ByteView stored) {
  TRY(base::Reader in, state::open_value(stored, kVersion, "torrent"));
  TorrentPieces out;
  TRY(out.piece_length, in.u32be("piece length"));
  TRY(out.size, in.u64be("size"));
  TRY(const auto is_private, in.u8("private"));
  TRY_OK(in.finish("torrent"));
  if (out.piece_length == 0 || out.size == 0) return Error{Code::corrupt, "torrent: it has no pieces"};
  out.is_private = is_private != 0;
  return out;
}

Status check_path(const Bencode& file) {
  const auto* path = file.find("path");
  const bool good = path != nullptr && path->kind == BencodeKind::list && !path->list.empty() &&
                    std::ranges::all_of(path->list, [](const Bencode& one) { return one.kind == BencodeKind::string; });
  if (good) return base::done();
  return Error{Code::malformed, "a file without a path", "\"path\", a list of strings"};
}

/// Of one file, or of all together.
Result<std::uint64_t> size_of(const Bencode& info) {
  const auto* files = info.find("files");
  if ((files == nullptr) == (info.find("length") == nullptr))
    return Error{Code::malformed, "the torrent's files", "\"length\" for one or \"files\" for several"};
  std::int64_t out = 0;
  if (files == nullptr) {
    TRY(out, info.get_integer("length", 1, kMostSize));
    return static_cast<std::uint64_t>(out);
  }
  if (files->kind != BencodeKind::list) return Error{Code::malformed, "\"files\"", "a list"};
  for (const Bencode& file : files->list) {
    TRY(const auto length, file.get_integer("length", 0, kMostSize));
    TRY_OK(check_path(file));
    out += length;
    if (out > kMostSize) return Error{Code::malformed, "the files' sizes", "at most 2^52 bytes together"};
  }
  if (out == 0) return Error{Code::malformed, "the torrent's files", "at least one byte"};
  return static_cast<std::uint64_t>(out);
}

Result<std::vector<Sha1Hash>> hashes_in(const Bencode& info, std::uint64_t count) {
  if (info.find("pieces") == nullptr && info.find("meta version") != nullptr) {
    return Error{Code::malformed,
                 "a torrent of BEP 52 without pieces of BEP 3",
                 "\"pieces\"",
                 {},
                 "Make a hybrid torrent: receipts name pieces by their SHA-1."};
  }
  TRY(const auto text, info.get_string("pieces"));
  const std::size_t hash = Sha1Hash{}.size();
  if (text.size() % hash != 0 || text.size() / hash != count) {
    return Error{Code::malformed, "\"pieces\"", std::to_string(count) + " hashes of 20 bytes",
                 std::to_string(text.size()) + " bytes"};
  }
  std::vector<Sha1Hash> out(count);
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::ranges::copy(base::as_bytes(text).subspan(i * hash, hash), out[i].begin());
  }
  return out;
}

}  // namespace

std::uint32_t TorrentPieces::size_of(std::uint64_t index) const noexcept {
  return index + 1 < count() ? piece_length : static_cast<std::uint32_t>(size - index * piece_length);
}

Result<Torrent> read_torrent(ByteView bytes) {
  TRY(const auto root, parse_bencode(bytes), "torrent");
  const auto* info = root.find("info");
  if (info == nullptr || info->kind != BencodeKind::dictionary)
    return Error{Code::malformed, "no torrent", "a dictionary with a dictionary \"info\""};
  Torrent out;
  // BEP 3: of the value's bytes as they stand there.
  out.infohash = crypto::sha1(info->source);
  TRY_OK(info->get_string("name"));
  TRY(const auto length, info->get_integer("piece length", 1, kMostPieceLength));
  out.pieces.piece_length = static_cast<std::uint32_t>(length);
  TRY(out.pieces.size, size_of(*info));
  if (info->find("private") != nullptr) {
    TRY(const auto said, info->get_integer("private", 0, 1));
    out.pieces.is_private = said == 1;
  }
  TRY(out.hashes, hashes_in(*info, out.pieces.count()));
  return out;
}

Result<std::unique_ptr<Torrents>> Torrents::open(state::Store& store, audit::Log& log, crypto::Random& random,
                                                 TorrentsOptions options) {
  std::unique_ptr<Torrents> out{new Torrents(store, log, random, options)};
  TRY_OK(out->load(), "torrents of the tracker");
  return out;
}

Status Torrents::load() {
  TRY(const auto view, store_.read());
  const std::size_t head = shapes().bytes().size();
  decltype(known_) known;  // a lambda is analysed without the lock
  TRY_OK(state::scan_each(*view, shapes(), std::numeric_limits<std::size_t>::max(),
                          [&known, head](ByteView key, ByteView value) -> Status {
                            InfoHash infohash{};
                            if (key.size() != head + infohash.size())
                              return Error{Code::corrupt, "torrent: a key of another size"};
                            std::ranges::copy(key.subspan(head), infohash.begin());
                            TRY(known[infohash], decode(value));
                            return base::done();
                          }));
  const base::MutexLock lock(mutex_);
  known_ = std::move(known);
  return base::done();
}

std::optional<TorrentPieces> Torrents::find(const InfoHash& infohash) const {
  const base::MutexLock lock(mutex_);
  const auto found = known_.find(infohash);
  return found == known_.end() ? std::nullopt : std::optional{found->second};
}

std::size_t Torrents::size() const {
  const base::MutexLock lock(mutex_);
  return known_.size();
}

audit::Leaf Torrents::leaf_of(std::string_view type, const InfoHash& infohash, std::string_view by) const {
  audit::Leaf out;
  out.type = std::string{type};
  out.realm = store_.realm();
  out.audience = log_.origin();
  out.time = store_.now();
  const auto opening = random_.secret(32);
  out.outputs["torrent"] = audit::commitment(opening, "torrent", infohash);
  out.outputs["user"] = audit::commitment(opening, "user", base::as_bytes(by));
  return out;
}

bool Torrents::take_place() {
  const base::MutexLock lock(mutex_);
  if (known_.size() + adding_ >= options_.max_torrents) return false;
  ++adding_;
  return true;
}

void Torrents::add(const Torrent& torrent, std::string_view by, Completion done) {
  if (find(torrent.infohash)) return done(false);
  if (!take_place()) {
    return done(Error{
        Code::too_large, "the tracker knows as many torrents as it may", {}, std::to_string(options_.max_torrents)});
  }
  auto fresh = std::make_shared<bool>(false);
  store_.write(
      [this, fresh, torrent, leaf = leaf_of("tracker.torrent", torrent.infohash, by)](state::WriteTxn& txn) -> Status {
        TRY(const auto before, txn.get(shape_key(torrent.infohash)));
        *fresh = !before;
        if (before) return base::done();
        TRY_OK(txn.put(shape_key(torrent.infohash), encode(torrent.pieces)));
        for (std::size_t first = 0; first < torrent.hashes.size(); first += kHashesInOne) {
          auto value = state::value(kVersion);
          const auto end = std::min(first + kHashesInOne, torrent.hashes.size());
          for (std::size_t i = first; i < end; ++i) value.raw(torrent.hashes[i]);
          TRY_OK(txn.put(hashes_key(torrent.infohash, first), value.bytes()));
        }
        TRY_OK(log_.append(txn, leaf));
        return base::done();
      },
      [this, fresh, infohash = torrent.infohash, pieces = torrent.pieces, done = std::move(done)](Status kept) mutable {
        {
          const base::MutexLock lock(mutex_);
          --adding_;
          if (kept) known_.emplace(infohash, pieces);
        }
        if (!kept) return done(std::move(kept).error());
        done(*fresh);
      });
}

void Torrents::remove(const InfoHash& infohash, Completion done) {
  auto was_there = std::make_shared<bool>(false);
  store_.write(
      [this, was_there, infohash,
       leaf = leaf_of("tracker.torrent.removed", infohash, {})](state::WriteTxn& txn) -> Status {
        TRY(const auto before, txn.get(shape_key(infohash)));
        *was_there = before.has_value();
        if (!before) return base::done();
        TRY(const auto pieces, decode(*before));
        TRY_OK(txn.erase(shape_key(infohash)));
        for (std::uint64_t first = 0; first < pieces.count(); first += kHashesInOne)
          TRY_OK(txn.erase(hashes_key(infohash, first)));
        TRY_OK(log_.append(txn, leaf));
        return base::done();
      },
      [this, was_there, infohash, done = std::move(done)](Status kept) mutable {
        if (!kept) return done(std::move(kept).error());
        {
          const base::MutexLock lock(mutex_);
          known_.erase(infohash);
        }
        done(*was_there);
      });
}

Result<std::optional<Refusal>> Torrents::refuses(Receipt& receipt) const {
  using Verdict = std::optional<Refusal>;
  const auto pieces = find(receipt.infohash);
  if (!pieces) return options_.known_only ? Verdict{Refusal::unknown_torrent} : Verdict{};
  const ByteView named = receipt.piece_hash.bytes();
  if (receipt.piece_index >= pieces->count() || named.size() != Sha1Hash{}.size())
    return Verdict{Refusal::unknown_piece};
  const std::uint32_t size = pieces->size_of(receipt.piece_index);
  const bool is_signed = receipt.form == ReceiptForm::bound;
  // The last piece is shorter than the default, which who says no size has.
  const bool said = is_signed || receipt.piece_size != kDefaultPieceSize;
  if (said && receipt.piece_size > size) return Verdict{Refusal::piece_too_large};
  // The receiver signs, and would owe less by a smaller size.
  if (is_signed && receipt.piece_size != size) return Verdict{Refusal::unknown_piece};
  receipt.piece_size = size;
  TRY(const auto view, store_.read());
  TRY(const auto stored, view->get(hashes_key(receipt.infohash, receipt.piece_index)));
  if (!stored) return options_.known_only ? Verdict{Refusal::unknown_torrent} : Verdict{};  // removed just now
  TRY(base::Reader in, state::open_value(*stored, kVersion, "hashes of a torrent"));
  TRY_OK(in.take(receipt.piece_index % kHashesInOne * named.size(), "hashes before"));
  TRY(const auto own, in.take(named.size(), "hash of a piece"));
  return std::ranges::equal(own, named) ? Verdict{} : Verdict{Refusal::unknown_piece};
}

}  // namespace attestry::tracker
