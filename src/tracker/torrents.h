// What a tracker knows of torrents: their pieces, so that receipts name pieces that there are, by their hashes and not
// above their sizes. BEP 3, 27; docs/formats/pbts.md
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "audit/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "crypto/random.h"
#include "state/store.h"
#include "tracker/receipt.h"

namespace attestry::tracker {

using Sha1Hash = base::FixedBytes<20>;

/// The shape of a torrent's pieces.
struct TorrentPieces {
  std::uint32_t piece_length = 0;  ///< bytes, of every piece but the last
  std::uint64_t size = 0;          ///< bytes of all files together, more than 0
  bool is_private = false;         ///< BEP 27

  std::uint64_t count() const noexcept { return (size - 1) / piece_length + 1; }
  /// Bytes; `index` is below count().
  std::uint32_t size_of(std::uint64_t index) const noexcept;
  friend bool operator==(const TorrentPieces&, const TorrentPieces&) = default;
};

struct Torrent {
  InfoHash infohash{};
  TorrentPieces pieces{};
  std::vector<Sha1Hash> hashes{};  ///< one for each piece
};

/// A .torrent (BEP 3) in strict bencode: at most 8 MiB, one file or a list of them, a hash for every piece. One of
/// BEP 52 must be a hybrid. What else it says is passed over. Pure. Errors: `malformed`, `too_large`.
base::Result<Torrent> read_torrent(base::ByteView bytes);

struct TorrentsOptions {
  bool known_only = false;  ///< receipts of other torrents are refused
  std::size_t max_torrents = 100'000;
};

/// Thread-safe. Their shapes are in memory, about 100 bytes each; hashes stay in the store.
class Torrents {
 public:
  using Completion = std::move_only_function<void(base::Result<bool>)>;

  /// The store, the log and the randomness outlive it, and it outlives every change that has begun. Errors: `corrupt`
  /// and those of the store.
  static base::Result<std::unique_ptr<Torrents>> open(state::Store& store, audit::Log& log, crypto::Random& random,
                                                      TorrentsOptions options);

  /// `done` hears whether it is new, once it is durable, on the store's thread or before this returns. `by`: who
  /// brought it, for the log. Errors: `too_large` (no more torrents), `unavailable`.
  void add(const Torrent& torrent, std::string_view by, Completion done);
  /// `done` hears whether it was there.
  void remove(const InfoHash& infohash, Completion done);

  std::optional<TorrentPieces> find(const InfoHash& infohash) const;
  bool known_only() const noexcept { return options_.known_only; }
  std::size_t size() const;

  /// What speaks against the receipt: `unknown_torrent`, `unknown_piece` (an index beyond the last, another hash than
  /// the torrent's; a SHA-256 can be compared with none; or a smaller size that is signed), `piece_too_large` (beyond
  /// that piece's size). Where the signature is not over the size it is set to the piece's. For whoever hands in a
  /// receipt first, and be it the receiver, who signs, could choose a smaller one else, and the piece would be paid
  /// for. Errors: those of the store, which say nothing of the receipt.
  base::Result<std::optional<Refusal>> refuses(Receipt& receipt) const;

 private:
  Torrents(state::Store& store, audit::Log& log, crypto::Random& random, TorrentsOptions options)
      : store_(store), log_(log), random_(random), options_(options) {}
  base::Status load();
  bool take_place();
  audit::Leaf leaf_of(std::string_view type, const InfoHash& infohash, std::string_view by) const;

  state::Store& store_;
  audit::Log& log_;
  crypto::Random& random_;
  const TorrentsOptions options_;
  mutable base::Mutex mutex_;
  std::map<InfoHash, TorrentPieces> known_ ATTESTRY_GUARDED_BY(mutex_);
  std::size_t adding_ ATTESTRY_GUARDED_BY(mutex_) = 0;  ///< on their way into the store, each with a place
};

}  // namespace attestry::tracker
