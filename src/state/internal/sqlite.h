// One SQLite connection as an ordered map of bytes. Only this folder sees SQLite's header.
#pragma once
#include <sqlite3.h>

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "state/store.h"

namespace attestry::state {

/// A prepared statement; reset and cleared by Use at the end of every use.
class Statement {
 public:
  Statement() noexcept = default;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(raw_); }
  base::Status prepare(sqlite3* db, const char* sql);
  sqlite3_stmt* raw() const noexcept { return raw_; }

  class Use {
   public:
    explicit Use(const Statement& statement) noexcept : raw_(statement.raw()) {}
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() {
      sqlite3_reset(raw_);
      sqlite3_clear_bindings(raw_);
    }
    /// The bytes stay the caller's until the end of this use.
    void bind(int index, base::ByteView bytes) const noexcept;
    void bind(int index, std::int64_t number) const noexcept { sqlite3_bind_int64(raw_, index, number); }
    int step() const noexcept { return sqlite3_step(raw_); }
    /// Valid until the next step.
    base::ByteView blob(int column) const noexcept;
    std::int64_t integer(int column) const noexcept { return sqlite3_column_int64(raw_, column); }
    bool is_null(int column) const noexcept { return sqlite3_column_type(raw_, column) == SQLITE_NULL; }

   private:
    sqlite3_stmt* raw_;
  };

 private:
  sqlite3_stmt* raw_ = nullptr;
};

/// Not thread-safe: one thread at a time.
class Connection {
 public:
  enum class Mode { writer, reader, read_only };
  static base::Result<std::unique_ptr<Connection>> open(const std::string& path, Mode mode);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  base::Status execute(const char* sql);
  base::Result<std::int64_t> pragma(const char* sql);
  /// Prepares the statements on the table, which must exist.
  base::Status prepare();
  bool in_transaction() const noexcept { return sqlite3_get_autocommit(db_) == 0; }

  base::Result<std::optional<base::Bytes>> get(base::ByteView key) const;
  base::Result<bool> has(base::ByteView key) const;
  base::Status scan(base::ByteView prefix, base::ByteView from, std::size_t limit,
                    const ReadView::Visitor& visit) const;
  base::Status put(base::ByteView key, base::ByteView value);
  base::Status insert(base::ByteView key, base::ByteView value);
  base::Status erase(base::ByteView key);

  enum class Step { begin, commit };
  base::Status transaction(Step step);
  /// Ends a transaction in whatever state it is.
  void rollback() noexcept;

  /// A writer's: pages in the write-ahead log after its last commit. Nothing is copied to the database at a commit.
  int wal_pages() const noexcept { return wal_pages_; }
  /// Copies what no reader needs any more from the write-ahead log to the database and syncs it. The writer's alone.
  base::Status checkpoint();
  /// Copies all of it and empties the file. `unavailable`, at once, while a reader still needs a part.
  base::Status empty_wal();

 private:
  explicit Connection(sqlite3* db) noexcept : db_(db) {}
  base::Error error(int code, const char* step) const;
  base::Status run(const Statement::Use& use, const char* step);
  base::Status write(const Statement& statement, base::ByteView key, base::ByteView value,
                     std::optional<std::int64_t> large);
  base::Result<std::int64_t> put_large(base::ByteView value);

  sqlite3* db_;
  int wal_pages_ = 0;
  Statement get_, has_, scan_, put_, insert_, erase_, put_large_, erase_large_;
  std::array<Statement, 2> steps_;
};

}  // namespace attestry::state
