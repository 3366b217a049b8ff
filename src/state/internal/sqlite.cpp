#include "state/internal/sqlite.h"

#include <limits>

namespace attestry::state {
namespace {

constexpr int kBusyMilliseconds = 5000;
// The end is a bound of the index, never a condition on rows: with "?2 IS NULL OR key < ?2" a scan of one record would
// read everything that lies behind it in the table.
// A record's value stands beside its key, or in a row of its own where it is larger (schema.cpp).
#define ATTESTRY_VALUE "CASE WHEN large IS NULL THEN value ELSE (SELECT value FROM large WHERE id = kv.large) END"
constexpr const char* kGet = "SELECT " ATTESTRY_VALUE " FROM kv WHERE key = ?1";
constexpr const char* kScan =
    "SELECT key, " ATTESTRY_VALUE " FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3";
constexpr const char* kScanToTheEnd = "SELECT key, " ATTESTRY_VALUE " FROM kv WHERE key >= ?1 ORDER BY key LIMIT ?3";
#undef ATTESTRY_VALUE
constexpr const char* kPut =
    "INSERT INTO kv(key, value, large) VALUES(?1, ?2, ?3) ON CONFLICT(key) DO UPDATE SET value = ?2, large = ?3";
constexpr const char* kInsert = "INSERT INTO kv(key, value, large) VALUES(?1, ?2, ?3) ON CONFLICT(key) DO NOTHING";
base::Error lost_value() {
  return {base::Code::corrupt, "a record has lost its value", "a row in the table of large values", "none",
          "Restore the store from a backup."};
}

/// A page of the table of keys must hold many of them: the table is looked into at every step of every request.
constexpr std::size_t kMostBesideItsKey = 256;

base::Code code_of(int sqlite) {
  switch (sqlite & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
      return base::Code::unavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return base::Code::corrupt;
    default:
      return base::Code::io;
  }
}

/// The first key after every key that begins with `prefix`; nullopt when there is none.
std::optional<base::Bytes> after_prefix(base::ByteView prefix) {
  base::Bytes out = base::to_bytes(prefix);
  while (!out.empty() && out.back() == 0xff) out.pop_back();
  if (out.empty()) return std::nullopt;
  ++out.back();
  return out;
}

}  // namespace

base::Status Statement::prepare(sqlite3* db, const char* sql) {
  const int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &raw_, nullptr);
  if (rc != SQLITE_OK) return base::Error{code_of(rc), std::string("prepare a statement: ") + sqlite3_errmsg(db)};
  return base::done();
}

void Statement::Use::bind(int index, base::ByteView bytes) const noexcept {
  // An empty blob is not NULL: SQLite takes a null pointer for NULL, so an empty view gets a pointer to something.
  static constexpr std::uint8_t kNothing = 0;
  const void* data = bytes.empty() ? &kNothing : bytes.data();
  sqlite3_bind_blob64(raw_, index, data, bytes.size(), SQLITE_STATIC);
}

base::ByteView Statement::Use::blob(int column) const noexcept {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(raw_, column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(raw_, column));
  return data == nullptr ? base::ByteView{} : base::ByteView{data, size};
}

base::Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, Mode mode) {
  const int flags = (mode == Mode::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_NOMUTEX;
  sqlite3* db = nullptr;
  const int rc = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  std::unique_ptr<Connection> out(new Connection(db));
  if (rc != SQLITE_OK) return out->error(rc, ("open " + path).c_str());
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, kBusyMilliseconds);
  TRY_OK(out->execute("PRAGMA trusted_schema = OFF"));
  if (mode == Mode::writer) {
    TRY_OK(out->execute("PRAGMA journal_mode = WAL"));
    // FULL syncs the write-ahead log at every commit: a reply must never be ahead of the disk.
    TRY_OK(out->execute("PRAGMA synchronous = FULL"));
    TRY_OK(out->execute("PRAGMA cache_size = -16384"));
    // What is erased is overwritten with zeros: keys that were retired must not lie in free pages.
    TRY_OK(out->execute("PRAGMA secure_delete = ON"));
    // Takes the place of SQLite's own hook, which checkpoints inside the commit.
    sqlite3_wal_hook(
        db,
        [](void* self, sqlite3*, const char*, int pages) {
          static_cast<Connection*>(self)->wal_pages_ = pages;
          return SQLITE_OK;
        },
        out.get());
  } else {
    TRY_OK(out->execute("PRAGMA query_only = ON"));
  }
  return out;
}

Connection::~Connection() {
  // Statements are members and would be finalised after the close, so the close is the deferred one.
  sqlite3_close_v2(db_);
}

base::Error Connection::error(int code, const char* step) const {
  return base::Error{code_of(code), std::string(step) + ": " + (db_ == nullptr ? "no memory" : sqlite3_errmsg(db_))};
}

base::Status Connection::execute(const char* sql) {
  const int rc = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return error(rc, sql);
  return base::done();
}

base::Result<std::int64_t> Connection::pragma(const char* sql) {
  Statement statement;
  TRY_OK(statement.prepare(db_, sql));
  const Statement::Use use(statement);
  const int rc = use.step();
  if (rc != SQLITE_ROW) return error(rc, sql);
  return use.integer(0);
}

base::Status Connection::prepare() {
  TRY_OK(get_.prepare(db_, kGet));
  TRY_OK(has_.prepare(db_, "SELECT 1 FROM kv WHERE key = ?1"));
  TRY_OK(scan_.prepare(db_, kScan));
  TRY_OK(put_.prepare(db_, kPut));
  TRY_OK(insert_.prepare(db_, kInsert));
  TRY_OK(put_large_.prepare(db_, "INSERT INTO large(value) VALUES(?1)"));
  TRY_OK(erase_large_.prepare(db_, "DELETE FROM large WHERE id = ?1"));
  TRY_OK(erase_.prepare(db_, "DELETE FROM kv WHERE key = ?1"));
  constexpr std::array<const char*, 2> kSteps = {"BEGIN IMMEDIATE", "COMMIT"};
  for (std::size_t i = 0; i < kSteps.size(); ++i) TRY_OK(steps_[i].prepare(db_, kSteps[i]));
  return base::done();
}

base::Result<std::optional<base::Bytes>> Connection::get(base::ByteView key) const {
  const Statement::Use use(get_);
  use.bind(1, key);
  const int rc = use.step();
  if (rc == SQLITE_DONE) return std::optional<base::Bytes>{};
  if (rc != SQLITE_ROW) return error(rc, "read a record");
  if (use.is_null(0)) return lost_value();
  return std::optional<base::Bytes>(base::to_bytes(use.blob(0)));
}

base::Result<bool> Connection::has(base::ByteView key) const {
  const Statement::Use use(has_);
  use.bind(1, key);
  const int rc = use.step();
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return error(rc, "look for a record");
  return rc == SQLITE_ROW;
}

base::Status Connection::scan(base::ByteView prefix, base::ByteView from, std::size_t limit,
                              const ReadView::Visitor& visit) const {
  const auto end = after_prefix(prefix);
  // A scan inside the visitor of another one gets a statement of its own, and so does the rare one without an end.
  Statement own;
  const bool shared = end && sqlite3_stmt_busy(scan_.raw()) == 0;
  if (!shared) TRY_OK(own.prepare(db_, end ? kScan : kScanToTheEnd));
  const Statement::Use use(shared ? scan_ : own);
  const bool from_inside = std::lexicographical_compare(prefix.begin(), prefix.end(), from.begin(), from.end());
  use.bind(1, from_inside ? from : prefix);
  if (end) use.bind(2, *end);
  constexpr auto kMost = static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max());
  use.bind(3, static_cast<std::int64_t>(std::min(limit, kMost)));
  for (;;) {
    const int rc = use.step();
    if (rc == SQLITE_DONE) return base::done();
    if (rc != SQLITE_ROW) return error(rc, "scan records");
    if (use.is_null(1)) return lost_value();
    if (!visit(use.blob(0), use.blob(1))) return base::done();
  }
}

base::Status Connection::run(const Statement::Use& use, const char* step) {
  const int rc = use.step();
  if (rc != SQLITE_DONE) return error(rc, step);
  return base::done();
}

/// Rows that are written anew stand one after the other, and so do the pages of a commit.
base::Result<std::int64_t> Connection::put_large(base::ByteView value) {
  const Statement::Use use(put_large_);
  use.bind(1, value);
  TRY_OK(run(use, "write a large value"));
  return sqlite3_last_insert_rowid(db_);
}

base::Status Connection::write(const Statement& statement, base::ByteView key, base::ByteView value,
                               std::optional<std::int64_t> large) {
  const Statement::Use use(statement);
  use.bind(1, key);
  use.bind(2, large ? base::ByteView{} : value);
  if (large) use.bind(3, *large);
  return run(use, "write a record");
}

base::Status Connection::put(base::ByteView key, base::ByteView value) {
  if (value.size() <= kMostBesideItsKey) return write(put_, key, value, std::nullopt);
  TRY(const std::int64_t large, put_large(value));
  return write(put_, key, {}, large);
}

base::Status Connection::insert(base::ByteView key, base::ByteView value) {
  std::optional<std::int64_t> large;
  if (value.size() > kMostBesideItsKey) {
    TRY(large, put_large(value));
  }
  TRY_OK(write(insert_, key, value, large));
  if (sqlite3_changes(db_) != 0) return base::done();
  if (large) {
    const Statement::Use use(erase_large_);
    use.bind(1, *large);
    TRY_OK(run(use, "delete a large value"));
  }
  return base::Error{base::Code::conflict, "the record is already there"};
}

base::Status Connection::erase(base::ByteView key) {
  const Statement::Use use(erase_);
  use.bind(1, key);
  return run(use, "delete a record");
}

base::Status Connection::transaction(Step step) {
  constexpr std::array<const char*, 2> kNames = {"begin", "commit"};
  const auto index = static_cast<std::size_t>(step);
  const Statement::Use use(steps_[index]);
  const int rc = use.step();
  if (rc != SQLITE_DONE) return error(rc, kNames[index]);
  return base::done();
}

base::Status Connection::checkpoint() {
  const int rc = sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY) return error(rc, "checkpoint");
  return base::done();
}

base::Status Connection::empty_wal() {
  // Whoever reads may go on for long, and every batch of writes would wait for him.
  sqlite3_busy_timeout(db_, 0);
  const int rc = sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  sqlite3_busy_timeout(db_, kBusyMilliseconds);
  if (rc == SQLITE_OK) return base::done();
  if ((rc & 0xff) == SQLITE_BUSY) return base::Error{base::Code::unavailable, "a reader still needs the log"};
  return error(rc, "empty the log");
}

void Connection::rollback() noexcept {
  if (in_transaction()) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
}

}  // namespace attestry::state
