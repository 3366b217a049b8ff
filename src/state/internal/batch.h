// What the closures of one batch have written and SQLite has not seen yet. A row that all of them write, as the log's
// head, is then written once for each batch, in the order of the keys, and a closure that fails is undone without a
// savepoint, for which SQLite would copy every page that the closure touches into a file.
#pragma once
#include <map>
#include <optional>
#include <vector>

#include "state/internal/sqlite.h"
#include "state/store.h"

namespace attestry::state {

/// The transaction as closures and the hook see it. The committer's thread only.
class Batch final : public WriteTxn {
 public:
  /// `connection` is in a transaction until flush() has been called for the last time.
  Batch(Connection& connection, std::uint64_t number) noexcept : connection_(connection), number_(number) {}

  base::Result<std::optional<base::Bytes>> get(base::ByteView key) const override;
  base::Status scan(base::ByteView prefix, base::ByteView from, std::size_t limit, const Visitor& visit) const override;
  base::Status put(base::ByteView key, base::ByteView value) override;
  base::Status erase(base::ByteView key) override;
  base::Status insert(base::ByteView key, base::ByteView value) override;
  std::uint64_t batch() const noexcept override { return number_; }

  /// End of a closure: its writes stay, or none of them.
  void keep() noexcept { undo_.clear(); }
  void undo();
  /// Gives SQLite what is pending. Between closures.
  base::Status flush();
  /// At least the bytes that are pending.
  std::size_t pending_bytes() const noexcept { return bytes_; }
  /// A record of the space of keys was erased, perhaps by a closure that failed later.
  bool keys_erased() const noexcept { return keys_erased_; }

 private:
  struct Entry {
    std::optional<base::Bytes> value;  ///< nullopt: erased
    bool is_new = false;               ///< SQLite has no such key
  };
  struct Less {
    using is_transparent = void;
    bool operator()(base::ByteView a, base::ByteView b) const noexcept;
  };
  using Pending = std::map<base::Bytes, Entry, Less>;
  struct Undo {
    Pending::iterator at;
    std::optional<Entry> before;  ///< nullopt: there was no entry
  };

  base::Status set(base::ByteView key, std::optional<base::Bytes> value, bool is_new);

  Connection& connection_;
  std::uint64_t number_;
  Pending pending_;
  std::vector<Undo> undo_;
  std::size_t bytes_ = 0;
  bool keys_erased_ = false;
};

}  // namespace attestry::state
