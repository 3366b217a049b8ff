#include "state/internal/schema.h"

#include <array>

#include "state/keys.h"

namespace attestry::state {
namespace {

constexpr std::int64_t kApplicationId = 0x41545354;  // "ATST", in SQLite's header field for it
constexpr std::int64_t kSchemaVersion = 2;

/// Keys and small values in one table, so that a page holds many; large values in another one, written one after the
/// other. Whoever takes a key away takes its value along. From version 1, where all values stood beside their keys;
/// those that did so stay there until they are written again.
constexpr std::array kLargeValues = {
    "ALTER TABLE kv ADD COLUMN large INTEGER",
    "CREATE TABLE large(id INTEGER PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TRIGGER large_replaced AFTER UPDATE OF large ON kv WHEN old.large IS NOT NULL "
    "BEGIN DELETE FROM large WHERE id = old.large; END",
    "CREATE TRIGGER large_erased AFTER DELETE ON kv WHEN old.large IS NOT NULL "
    "BEGIN DELETE FROM large WHERE id = old.large; END",
};

Key realm_key() { return Key(Space::meta).lp("realm"); }
Key time_key() { return Key(Space::meta).lp("highest-time"); }

base::Result<std::int64_t> check_version(Connection& connection) {
  TRY(const std::int64_t application, connection.pragma("PRAGMA application_id"));
  if (application != kApplicationId) {
    return base::Error{base::Code::configuration,
                       "this database is not a store of attestry",
                       {},
                       {},
                       "Name another data folder; nothing was changed."};
  }
  TRY(const std::int64_t version, connection.pragma("PRAGMA user_version"));
  if (version > kSchemaVersion) {
    return base::Error{base::Code::configuration, "this store was written by a newer attestry",
                       "schema " + std::to_string(kSchemaVersion) + " or older", "schema " + std::to_string(version),
                       "Run the newer program; a store is never migrated backward."};
  }
  return version;
}

base::Status check_realm(const Connection& connection, base::Realm realm) {
  TRY(const auto stored, connection.get(realm_key()));
  if (!stored) return base::Error{base::Code::corrupt, "the store has lost its realm"};
  TRY(base::Reader reader, open_value(*stored, 1, "realm"));
  TRY(const base::ByteView found, reader.lp("realm", 64));
  if (base::as_text(found) != base::to_text(realm)) {
    return base::Error{base::Code::realm_mismatch, "the store belongs to another realm",
                       std::string(base::to_text(realm)), std::string(base::as_text(found))};
  }
  return base::done();
}

base::Status add_large_values(Connection& writer) {
  for (const char* step : kLargeValues) TRY_OK(writer.execute(step));
  return writer.execute(("PRAGMA user_version = " + std::to_string(kSchemaVersion)).c_str());
}

base::Status create(Connection& writer, base::Realm realm) {
  TRY_OK(writer.execute("BEGIN IMMEDIATE"));
  TRY_OK(writer.execute("CREATE TABLE kv(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID"));
  TRY_OK(writer.execute(("PRAGMA application_id = " + std::to_string(kApplicationId)).c_str()));
  TRY_OK(add_large_values(writer));
  TRY_OK(writer.prepare());
  TRY_OK(writer.put(realm_key(), value(1).lp(base::to_text(realm)).bytes()));
  // One transaction: a store without a realm never exists, wherever the power is cut.
  return writer.execute("COMMIT");
}

}  // namespace

base::Status open_schema(Connection& writer, base::Realm realm) {
  TRY(const std::int64_t tables, writer.pragma("SELECT count(*) FROM sqlite_master"));
  if (tables == 0) return create(writer, realm);
  TRY(const std::int64_t version, check_version(writer));
  if (version < kSchemaVersion) {
    // In one transaction: a program that is killed here finds the old store or the new one.
    TRY_OK(writer.execute("BEGIN IMMEDIATE"));
    TRY_OK(add_large_values(writer));
    TRY_OK(writer.execute("COMMIT"));
  }
  return check_schema(writer, realm);
}

base::Status check_schema(Connection& reader, base::Realm realm) {
  TRY(const std::int64_t version, check_version(reader));
  if (version < kSchemaVersion) {
    return base::Error{base::Code::configuration, "this store was written by an older attestry",
                       "schema " + std::to_string(kSchemaVersion), "schema " + std::to_string(version),
                       "Start the server on it once: it brings the store up to date."};
  }
  TRY_OK(reader.prepare());
  return check_realm(reader, realm);
}

base::Result<std::optional<base::UtcTime>> read_highest_time(const Connection& connection) {
  TRY(const auto stored, connection.get(time_key()));
  if (!stored) return std::optional<base::UtcTime>{};
  TRY(base::Reader reader, open_value(*stored, 1, "highest time"));
  TRY(const std::uint64_t seconds, reader.u64be("seconds"));
  TRY_OK(reader.finish("highest time"));
  return std::optional<base::UtcTime>(base::UtcTime{static_cast<std::int64_t>(seconds)});
}

base::Status write_highest_time(WriteTxn& txn, base::UtcTime time) {
  return txn.put(time_key(), value(1).u64(static_cast<std::uint64_t>(time.seconds)).bytes());
}

}  // namespace attestry::state
