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

struct ReplicaQuestion {
  ReplicaClaim claim;
  ReplicaPosition position;  ///< of a standby: what it has, durable
};
base::Bytes encode(const ReplicaQuestion& question);
base::Result<ReplicaQuestion> parse_replica_question(base::ByteView data);

/// What changed, or everything.
struct ReplicaBatch {
  struct Row {
    base::Bytes key;
    std::optional<crypto::Secret> value;  ///< as it travels; nothing: it is gone
  };
  bool whole = false;  ///< what is not here is gone
  ReplicaPosition until;
  std::vector<Row> rows;                  ///< by key, each once
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
};

/// Thread-safe; what the parts name outlives it.
class KeystoreCopy {
 public:
  explicit KeystoreCopy(KeystoreCopyParts parts) : parts_(std::move(parts)) {}
  /// What a copy that is at `from` lacks. `unavailable` while the masters are not open.
  base::Result<ReplicaBatch> collect(const ReplicaPosition& from) const;
  /// Makes it so here: durable when it returns, with the position. Waits.
  base::Status apply(ReplicaBatch batch, base::Deadline deadline) const;

 private:
  base::Status add(const state::ReadView& view, base::ByteView key, ReplicaBatch& out) const;
  KeystoreCopyParts parts_;
};

}  // namespace attestry::secrets
