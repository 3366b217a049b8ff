#include "audit/log.h"

#include <array>

#include "audit/internal/records.h"
#include "audit/receipt.h"
#include "base/mutex.h"

namespace attestry::audit {
namespace {

constexpr std::size_t kMaxCheckpoint = 64 * 1024;

base::Error fork_error(const TreeHead& greatest, const Frontier& head) {
  return base::Error{base::Code::unavailable,
                     "the log in the store does not extend the newest checkpoint: a restored backup would fork the log",
                     "a log that begins with the " + std::to_string(greatest.size) + " signed leaves",
                     std::to_string(head.size()) + " leaves",
                     "Restore the newest state of the store; nothing is released before that."};
}

base::Status check_extends(const state::ReadView& view, const Frontier& head, const TreeHead& greatest) {
  if (head.size() < greatest.size) return fork_error(greatest, head);
  if (head.size() == greatest.size) {
    if (head.root() != greatest.root) return fork_error(greatest, head);
    return base::done();
  }
  TRY(const Hash root, root_at(greatest.size, [&view](NodeId id) { return read_node(view, id); }));
  if (root != greatest.root) return fork_error(greatest, head);
  return base::done();
}

/// Hashes of complete subtrees never change once they are committed, so any snapshot may fill this. Thread-safe.
class NodeCache {
 public:
  base::Result<Hash> get(const state::ReadView& snapshot, NodeId id) {
    const std::size_t slot = (id.index * 64 + id.level) % kSlots;
    {
      const base::MutexLock lock(mutex_);
      const Entry& entry = entries_[slot];
      if (entry.filled && entry.id == id) return entry.hash;
    }
    TRY(const Hash hash, read_node(snapshot, id));
    const base::MutexLock lock(mutex_);
    entries_[slot] = Entry{true, id, hash};
    return hash;
  }

 private:
  struct Entry {
    bool filled = false;
    NodeId id;
    Hash hash{};
  };
  static constexpr std::size_t kSlots = 2039;  // a prime: neighbours on different levels rarely share a slot
  base::Mutex mutex_;
  std::array<Entry, kSlots> entries_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace

struct Log::Impl {
  Impl(state::Store& s, crypto::Ed25519PrivateKey k, LogOptions o)
      : store(s),
        key(std::move(k)),
        options(std::move(o)),
        identity{options.origin, NoteKeyType::ed25519, key.public_key()} {}

  /// The checkpoint outside, verified; nullopt when there is none.
  base::Result<std::optional<Checkpoint>> read_outside() ATTESTRY_REQUIRES(mutex) {
    TRY(const auto bytes, options.files->read(options.checkpoint_path, kMaxCheckpoint), "checkpoint outside the store");
    if (!bytes) return std::optional<Checkpoint>{};
    // An empty file is no checkpoint, also before this process has published its first.
    if (!published.empty() && base::as_text(*bytes) == published)
      return std::optional<Checkpoint>(Checkpoint{options.origin, published_head});
    LogTrust trust{options.origin, options.former_keys};
    trust.log_keys.push_back(identity);
    TRY(auto verified, verify_checkpoint(base::as_text(*bytes), trust), options.checkpoint_path);
    return std::optional<Checkpoint>(std::move(verified.checkpoint));
  }

  /// Refuses a log that does not extend the checkpoint outside, and remembers the greater one.
  base::Status see_outside(const state::ReadView& view, const Frontier& log, bool may_be_missing)
      ATTESTRY_REQUIRES(mutex) {
    auto outside = read_outside();
    if (!outside) {
      base::Error error = std::move(outside).error();
      error.code = base::Code::unavailable;
      return error;
    }
    if (*outside) {
      const TreeHead& head = (*outside)->head;
      // Also a smaller one, or one of the same size: it may be of another branch.
      if (head != published_head) TRY_OK(check_extends(view, log, head));
      if (head.size > greatest.size) greatest = head;
    } else if (!may_be_missing) {
      return base::Error{base::Code::unavailable,
                         "the checkpoint outside the store has gone",
                         options.checkpoint_path,
                         {},
                         "Bring it back from its other copy; if it is lost, an operator may accept that "
                         "once, with the setting audit.accept_missing_checkpoint=true."};
    }
    return check_extends(view, log, greatest);
  }

  /// Signs the committed head and stores it outside. `always`: also when it is stored already.
  base::Status publish(const state::ReadView& view, bool always) ATTESTRY_REQUIRES(mutex) {
    TRY(const Frontier frontier, read_head(view));
    if (!always && frontier.size() == published_head.size) return base::done();
    // A log never signs a checkpoint that is inconsistent with one it signed before (c2sp.org/tlog-checkpoint).
    TRY_OK(check_extends(view, frontier, greatest));
    const TreeHead head = frontier.head();
    std::string text = sign_checkpoint(Checkpoint{options.origin, head}, key);
    // Until a publication has succeeded as a whole, the disk may know the file beside it under its name.
    const bool take_turns = std::exchange(place_settled, false);
    TRY_OK(take_turns ? state::alternate_file(*options.files, options.checkpoint_path, base::as_bytes(text))
                      : state::replace_file(*options.files, options.checkpoint_path, base::as_bytes(text)),
           "publish a checkpoint");
    place_settled = true;
    published = std::move(text);
    published_head = head;
    greatest = head;
    return base::done();
  }

  base::Status after_commit(const state::ReadView& view) {
    const base::MutexLock lock(mutex);
    return publish(view, false);
  }

  /// Publishes again what an earlier batch could not.
  base::Status catch_up() {
    const base::MutexLock lock(mutex);
    TRY(const auto view, store.read());
    return publish(*view, false);
  }

  base::Status start() {
    const base::MutexLock lock(mutex);
    TRY(const auto view, store.read());
    TRY(const Frontier head, read_head(*view));
    TRY_OK(see_outside(*view, head, options.accept_missing_checkpoint || head.size() == 0));
    // Also when the file holds this head already: the process before may have died between its rename and its last
    // sync.
    return publish(*view, true);
  }

  base::Status check_batch(const state::WriteTxn& txn, const Frontier& head) {
    if (checked_batch == txn.batch()) return base::done();
    const base::MutexLock lock(mutex);
    TRY_OK(see_outside(txn, head, false));
    checked_batch = txn.batch();
    return base::done();
  }

  state::Store& store;
  const crypto::Ed25519PrivateKey key;
  const LogOptions options;
  const NoteKey identity;
  NodeCache cache;
  std::uint64_t checked_batch = 0;  ///< the committer's thread only; batches count from 1

  base::Mutex mutex;
  bool place_settled ATTESTRY_GUARDED_BY(mutex) = false;  ///< the last publication succeeded
  std::string published ATTESTRY_GUARDED_BY(mutex);       ///< the signed note that is durably outside
  TreeHead published_head ATTESTRY_GUARDED_BY(mutex);
  TreeHead greatest ATTESTRY_GUARDED_BY(mutex);  ///< of all that this process and the outside place have seen
};

Log::Log(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  impl_->store.set_after_commit([i = impl_.get()](const state::ReadView& view) { return i->after_commit(view); });
}

Log::~Log() { impl_->store.set_after_commit({}); }

base::Result<std::unique_ptr<Log>> Log::open(state::Store& store, crypto::Ed25519PrivateKey key, LogOptions options) {
  if (!is_key_name(options.origin)) {
    return base::Error{base::Code::configuration, "not a name for a log", "a name without white space and '+'",
                       options.origin};
  }
  auto impl = std::make_unique<Impl>(store, std::move(key), std::move(options));
  TRY_OK(impl->start(), "open the log");
  return std::unique_ptr<Log>(new Log(std::move(impl)));
}

const std::string& Log::origin() const noexcept { return impl_->options.origin; }

NoteKey Log::key() const { return impl_->identity; }

base::Result<std::uint64_t> Log::append(state::WriteTxn& txn, const Leaf& leaf) {
  if (leaf.realm != impl_->store.realm() || leaf.audience != impl_->options.origin) {
    return base::Error{base::Code::internal, "a leaf of another realm or for another log"};
  }
  TRY(const std::string bytes, leaf.encode());
  TRY(Frontier head, read_head(txn));
  TRY_OK(impl_->check_batch(txn, head));
  const std::uint64_t index = head.size();
  TRY_OK(txn.insert(leaf_key(index), state::value(1).raw(base::as_bytes(bytes)).bytes()), "add a leaf");
  base::Status stored = base::done();
  head.append(leaf_hash(base::as_bytes(bytes)), [&](NodeId id, const Hash& hash) {
    if (stored) stored = txn.put(node_key(id), state::value(1).raw(hash).bytes());
  });
  TRY_OK(std::move(stored));
  TRY_OK(write_head(txn, head));
  return index;
}

base::Result<std::string> Log::receipt(std::uint64_t index) const {
  if (index >= head().size) TRY_OK(impl_->catch_up(), "receipt");
  Receipt out;
  out.index = index;
  TreeHead covered;
  {
    const base::MutexLock lock(impl_->mutex);
    out.checkpoint = impl_->published;
    covered = impl_->published_head;
  }
  TRY(const auto view, impl_->store.read());
  TRY(out.proof, inclusion_proof(index, covered.size, [&](NodeId id) { return impl_->cache.get(*view, id); }));
  TRY(const auto bytes, read_leaf(*view, index));
  if (!bytes) return base::Error{base::Code::corrupt, "the log has lost leaf " + std::to_string(index)};
  out.leaf = base::as_text(*bytes);
  return out.encode();
}

std::string Log::checkpoint() const {
  const base::MutexLock lock(impl_->mutex);
  return impl_->published;
}

TreeHead Log::head() const {
  const base::MutexLock lock(impl_->mutex);
  return impl_->published_head;
}

base::Result<std::string> Log::leaf(std::uint64_t index) const {
  const TreeHead covered = head();
  TRY(const auto view, impl_->store.read());
  TRY(const auto bytes, read_leaf(*view, index));
  if (!bytes || index >= covered.size) {
    return base::Error{base::Code::not_found, "the log has no such leaf", "below " + std::to_string(covered.size),
                       std::to_string(index)};
  }
  return std::string(base::as_text(*bytes));
}

base::Result<std::vector<Hash>> Log::consistency(std::uint64_t first, std::uint64_t second) const {
  const TreeHead covered = head();
  if (second > covered.size) {
    return base::Error{base::Code::not_found, "the log is not that large", "at most " + std::to_string(covered.size),
                       std::to_string(second)};
  }
  TRY(const auto view, impl_->store.read());
  return consistency_proof(first, second, [&](NodeId id) { return impl_->cache.get(*view, id); });
}

}  // namespace attestry::audit
