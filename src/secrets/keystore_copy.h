// What one keystore says to the other inside their attested session, and how a copy is made of what changed
// (docs/formats/channel.md, "Hot standby of a keystore").
#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/secret.h"
#include "secrets/keystore_feed.h"
#include "secrets/keystore_masters.h"
#include "secrets/keystore_replica.h"

namespace attestry::secrets {

/// How far a whole copy is that comes in parts.
struct ReplicaCursor {
  ReplicaPosition began;  ///< of the feed, when the copy began
  base::Bytes after;      ///< the last key that has come; not empty
};

struct ReplicaQuestion {
  ReplicaClaim claim;
  ReplicaPosition position;                ///< of a standby: what it has, durable
  std::optional<ReplicaCursor> copying{};  ///< the next part of this copy is asked for
};
base::Bytes encode(const ReplicaQuestion& question);
base::Result<ReplicaQuestion> parse_replica_question(base::ByteView data);

/// What changed, or everything, or a part of everything. Parts are of the store at different times; the last one has
/// anew what changed since the first one's, so that all of them together are the store at one time.
struct ReplicaBatch {
  struct Row {
    base::Bytes key;
    std::optional<crypto::Secret> value;  ///< as it travels; nothing: it is gone
  };
  bool whole = false;     ///< from `after` on, what is not here is gone: up to the last row when there is more
  bool more = false;      ///< of a whole copy: another part follows. It has rows, all of them there, and no masters
  base::Bytes after{};    ///< of a whole copy: where this part begins; empty: it is the first one
  ReplicaPosition until;  ///< when there is more: where the feed was when the copy began
  std::vector<Row> rows;  ///< by key, each once
  std::optional<KeystoreBundle> masters;  ///< all of them; bans are rows
};
struct ReplicaAnswer {
  ReplicaReply reply;
  std::optional<ReplicaBatch> batch;
};
inline constexpr std::size_t kMostReplicaAnswer = 256u << 20;
crypto::Secret encode(const ReplicaAnswer& answer);
base::Result<ReplicaAnswer> parse_replica_answer(base::ByteView data);

struct KeystoreCopyParts {
  state::Store& store;  ///< the inner one
  KeystoreFeed& feed;
  KeystoreMasters& masters;
  ReplicaFence& fence;
  /// A worker's session as it travels, and as it is kept: each server seals with keys of its own.
  std::function<base::Result<crypto::Secret>(base::ByteView key, base::ByteView value)> carry_session;
  std::function<base::Result<base::Bytes>(base::ByteView key, base::ByteView carried)> take_session;
  /// Of a whole copy travel so many bytes at once, and what one record is beyond: what both ends keep in memory.
  std::size_t part_bytes = 16u << 20;
};

/// Thread-safe; what the parts name outlives it.
class KeystoreCopy {
 public:
  explicit KeystoreCopy(KeystoreCopyParts parts) : parts_(std::move(parts)) {}
  /// What a copy that is at `from` lacks, or the next part of the whole copy that is at `copying`; the first part when
  /// that copy cannot be ended any more. `unavailable` while the masters are not open.
  base::Result<ReplicaBatch> collect(const ReplicaPosition& from,
                                     const std::optional<ReplicaCursor>& copying = {}) const;
  /// Makes it so here: durable when it returns, with the position. `copying` says where a whole copy in parts is, and
  /// is moved on; nothing: there is none under way. From its first part to its last this server is not complete.
  /// `conflict` for a part of another copy. Waits.
  base::Status apply(ReplicaBatch batch, std::optional<ReplicaCursor>& copying, base::Deadline deadline) const;

 private:
  base::Result<bool> add_changes(const state::ReadView& view, const KeystoreChanges& changes, ReplicaBatch& out) const;
  base::Status add_part(const state::ReadView& view, ReplicaBatch& out) const;
  base::Status take_rows(state::WriteTxn& txn, const ReplicaBatch& batch,
                         const std::vector<std::pair<base::Bytes, base::Bytes>>& values) const;
  base::Status add(const state::ReadView& view, base::ByteView key, ReplicaBatch& out) const;
  KeystoreCopyParts parts_;
};

}  // namespace attestry::secrets
