// The log of everything that was released, over the store: leaf in the transaction of the release, checkpoint outside
// the store before the reply (FORMATS 6).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "audit/checkpoint.h"
#include "audit/leaf.h"
#include "audit/merkle.h"
#include "base/result.h"
#include "crypto/ec.h"
#include "state/file.h"
#include "state/store.h"

namespace attestry::audit {

struct LogOptions {
  std::string origin;           ///< audience of every leaf and name of the key; see is_key_name
  std::string checkpoint_path;  ///< outside the store; on another disk or host in production
  std::vector<NoteKey>
      former_keys{};  ///< keys whose checkpoint may still stand in `checkpoint_path` after a change of the key
  /// An operator accepts a log that has leaves while nothing stands in `checkpoint_path`.
  bool accept_missing_checkpoint = false;
  state::Files* files = &state::system_files();
};

/// Thread-safe. Becomes the store's after-commit hook for as long as it lives; the store outlives it.
class Log {
 public:
  /// Refuses (`unavailable`) a store whose log does not extend the checkpoint outside: a restored backup would fork the
  /// log. Publishes a checkpoint of the present head.
  static base::Result<std::unique_ptr<Log>> open(state::Store& store, crypto::Ed25519PrivateKey key,
                                                 LogOptions options);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  const std::string& origin() const noexcept;
  NoteKey key() const;

  /// Inside a write closure: adds the leaf and gives its index. `unavailable` when the head does not extend the
  /// greatest checkpoint that this process or the outside place has seen. leaf.realm and leaf.audience must be the
  /// store's and the log's.
  base::Result<std::uint64_t> append(state::WriteTxn& txn, const Leaf& leaf);

  /// The receipt of a leaf, ready to send. Only ever made from a checkpoint that is stored outside: `unavailable` when
  /// that could not be written yet, `not_found` when there is no such leaf. Cheap enough for a completion.
  base::Result<std::string> receipt(std::uint64_t index) const;

  /// The newest signed checkpoint that is stored outside, and its head.
  std::string checkpoint() const;
  TreeHead head() const;
  base::Result<std::string> leaf(std::uint64_t index) const;
  /// first <= second <= head().size.
  base::Result<std::vector<Hash>> consistency(std::uint64_t first, std::uint64_t second) const;

 private:
  struct Impl;
  explicit Log(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::audit
