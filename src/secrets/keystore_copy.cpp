#include "secrets/keystore_copy.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/reader.h"
#include "secrets/keystore_bundle.h"
#include "state/scan.h"
#include "state/spaces.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Space;

namespace {

constexpr std::string_view kVersion = "attestry/keystore-standby/2";
constexpr std::size_t kEverything = std::numeric_limits<std::size_t>::max();
/// Changes beyond so many parts' bytes come as a whole copy.
constexpr std::size_t kPartsOfChanges = 8;
constexpr std::size_t kMostRows = 2'000'000;
constexpr std::size_t kMostMasters = 64u << 20;
constexpr std::array kRowSpaces{Space::keystore_sessions, Space::keystore_state};

/// Counts first, and then writes into memory that is wiped: what travels is never in any other.
class Out {
 public:
  explicit Out(std::span<std::uint8_t> to = {}) : to_(to) {}
  std::size_t size() const noexcept { return size_; }
  Out& raw(base::ByteView part) {
    if (!to_.empty()) std::ranges::copy(part, to_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += part.size();
    return *this;
  }
  template <class T>
  Out& number(T value) {
    std::array<std::uint8_t, sizeof(T)> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<std::uint8_t>(value >> (8 * (sizeof(T) - 1 - i)));
    }
    return raw(bytes);
  }
  Out& u8(bool value) { return number(static_cast<std::uint8_t>(value ? 1 : 0)); }
  Out& u32(std::size_t value) { return number(static_cast<std::uint32_t>(value)); }
  Out& u64(std::uint64_t value) { return number(value); }
  Out& lp(base::ByteView part) { return u32(part.size()).raw(part); }
  Out& lp(std::string_view text) { return lp(base::as_bytes(text)); }

 private:
  std::span<std::uint8_t> to_;
  std::size_t size_ = 0;
};

Result<bool> flag(base::Reader& in, std::string_view name) {
  TRY(const auto value, in.u8(name));
  if (value > 1) return Error{Code::malformed, std::string{name}, "0 or 1", std::to_string(value)};
  return value == 1;
}

Status expect_version(base::Reader& in) {
  TRY(const auto version, in.lp("version", kVersion.size()));
  if (base::as_text(version) == kVersion) return base::done();
  return Error{Code::malformed, "version of a standby's channel", std::string{kVersion}};
}

Result<ReplicaRole> role_of(base::Reader& in) {
  TRY(const auto role, in.u8("role"));
  if (role >= 1 && role <= 3) return static_cast<ReplicaRole>(role);
  return Error{Code::malformed, "role of a keystore", "1 to 3", std::to_string(role)};
}

Result<ReplicaPosition> position_of(base::Reader& in) {
  ReplicaPosition out;
  TRY(out.feed, in.take_array<16>("feed"));
  TRY(out.change, in.u64be("change"));
  return out;
}

void put(Out& out, const ReplicaBatch& batch) {
  out.u8(batch.whole)
      .u8(batch.more)
      .lp(batch.after)
      .raw(batch.until.feed)
      .u64(batch.until.change)
      .u32(batch.rows.size());
  for (const auto& row : batch.rows) {
    out.lp(row.key).u8(row.value.has_value());
    if (row.value) out.lp(row.value->reveal());
  }
  out.u8(batch.masters.has_value());
  if (batch.masters) out.lp(encode_bundle(*batch.masters).reveal());
}

/// No other rows are taken, whoever sends them.
Status check_row(base::ByteView key) {
  const bool known = !key.empty() && std::ranges::find(kRowSpaces, static_cast<Space>(key[0])) != kRowSpaces.end();
  if (known && is_followed(key)) return base::done();
  return Error{Code::malformed, "a record that a standby does not take"};
}

/// What is said of a part fits together.
Status check_part(const ReplicaBatch& batch) {
  const auto wrong = [](std::string_view why) {
    return Error{Code::malformed, "part of a whole copy", std::string{why}};
  };
  if (!batch.whole && (batch.more || !batch.after.empty())) return wrong("a whole copy");
  if (batch.whole && !batch.more && !batch.masters) return wrong("masters in the last one");
  if (!batch.more) return base::done();
  if (batch.masters) return wrong("masters in the last one alone");
  if (batch.rows.empty()) return wrong("records");
  if (batch.rows.front().key <= batch.after) return wrong("records behind those of the part before");
  return base::done();
}

Result<ReplicaBatch> batch_of(base::Reader& in) {
  ReplicaBatch out;
  TRY(out.whole, flag(in, "whole"));
  TRY(out.more, flag(in, "more"));
  TRY(const auto after, in.lp("after", kMostFollowedKey));
  if (!after.empty()) TRY_OK(check_row(after));
  out.after = base::to_bytes(after);
  TRY(out.until, position_of(in));
  TRY(const auto count, in.u32be("rows"));
  if (count > kMostRows) return Error{Code::too_large, "records for a standby"};
  for (std::uint32_t i = 0; i < count; ++i) {
    ReplicaBatch::Row row;
    TRY(const auto key, in.lp("key", kMostFollowedKey));
    TRY_OK(check_row(key));
    row.key = base::to_bytes(key);
    if (!out.rows.empty() && out.rows.back().key >= row.key) {
      return Error{Code::malformed, "records for a standby", "by key, each once"};
    }
    TRY(const bool there, flag(in, "present"));
    if (there) {
      TRY(const auto value, in.lp("value", kMostFollowedValue));
      row.value = crypto::Secret::copy_of(value);
    } else if (out.whole && (out.more || out.after.empty())) {
      return Error{Code::malformed, "a whole copy with a record that is gone"};
    }
    out.rows.push_back(std::move(row));
  }
  TRY(const bool masters, flag(in, "with masters"));
  if (masters) {
    TRY(const auto bundle, in.lp("masters", kMostMasters));
    TRY(out.masters, decode_bundle(bundle));
  }
  TRY_OK(check_part(out));
  return out;
}

void put(Out& out, const ReplicaAnswer& answer) {
  out.lp(kVersion).number(static_cast<std::uint8_t>(answer.reply.role)).u64(answer.reply.term).raw(answer.reply.id);
  out.u64(answer.reply.stamp).u8(answer.batch.has_value());
  if (answer.batch) put(out, *answer.batch);
}

bool comes_before(base::ByteView one, base::ByteView other) { return std::ranges::lexicographical_compare(one, other); }

bool same_space(base::ByteView key, Space space) { return !key.empty() && static_cast<Space>(key[0]) == space; }

}  // namespace

base::Bytes encode(const ReplicaQuestion& question) {
  base::LpWriter out;
  const auto& claim = question.claim;
  out.lp(kVersion).u8(static_cast<std::uint8_t>(claim.role)).u64(claim.term).raw(claim.id).u64(claim.stamp);
  out.u32(claim.takeover_seconds).u8(claim.handover ? 1 : 0);
  out.raw(question.position.feed).u64(question.position.change).u8(question.copying ? 1 : 0);
  if (question.copying) {
    const auto& began = question.copying->began;
    out.raw(began.feed).u64(began.change).lp(question.copying->after);
  }
  return std::move(out).take();
}

Result<ReplicaQuestion> parse_replica_question(base::ByteView data) {
  base::Reader in(data);
  TRY_OK(expect_version(in));
  ReplicaQuestion out;
  TRY(out.claim.role, role_of(in));
  TRY(out.claim.term, in.u64be("term"));
  TRY(out.claim.id, in.take_array<16>("id"));
  TRY(out.claim.stamp, in.u64be("stamp"));
  TRY(out.claim.takeover_seconds, in.u32be("takeover"));
  TRY(out.claim.handover, flag(in, "handover"));
  TRY(out.position, position_of(in));
  TRY(const bool copying, flag(in, "copying"));
  if (copying) {
    auto& cursor = out.copying.emplace();
    TRY(cursor.began, position_of(in));
    TRY(const auto after, in.lp("after", kMostFollowedKey));
    TRY_OK(check_row(after));
    cursor.after = base::to_bytes(after);
  }
  TRY_OK(in.finish("question of a standby"));
  return out;
}

crypto::Secret encode(const ReplicaAnswer& answer) {
  Out count;
  put(count, answer);
  crypto::Secret bytes(count.size());
  Out out(bytes.writable());
  put(out, answer);
  return bytes;
}

Result<ReplicaAnswer> parse_replica_answer(base::ByteView data) {
  base::Reader in(data);
  TRY_OK(expect_version(in));
  ReplicaAnswer out;
  TRY(out.reply.role, role_of(in));
  TRY(out.reply.term, in.u64be("term"));
  TRY(out.reply.id, in.take_array<16>("id"));
  TRY(out.reply.stamp, in.u64be("stamp"));
  TRY(const bool batch, flag(in, "with changes"));
  if (batch) {
    TRY(out.batch, batch_of(in));
  }
  TRY_OK(in.finish("answer to a standby"));
  return out;
}

Status KeystoreCopy::add(const state::ReadView& view, base::ByteView key, ReplicaBatch& out) const {
  TRY(const auto value, view.get(key));
  ReplicaBatch::Row row{.key = base::to_bytes(key), .value = {}};
  if (value) {
    if (same_space(key, Space::keystore_sessions)) {
      TRY(row.value, parts_.carry_session(key, *value), "session of a worker");
    } else {
      row.value = crypto::Secret::copy_of(*value);
    }
  }
  out.rows.push_back(std::move(row));
  return base::done();
}

/// The next rows, until there are enough. Those that are not followed are passed over.
Status KeystoreCopy::add_part(const state::ReadView& view, ReplicaBatch& out) const {
  std::vector<base::Bytes> keys;
  std::size_t bytes = 0;
  for (const auto space : kRowSpaces) {
    const std::array<std::uint8_t, 1> prefix{static_cast<std::uint8_t>(space)};
    if (!out.after.empty() && out.after[0] > prefix[0]) continue;
    const bool within = same_space(out.after, space);
    TRY_OK(view.scan(prefix, within ? base::ByteView{out.after} : base::ByteView{}, kEverything,
                     [&](base::ByteView key, base::ByteView value) {
                       if ((within && base::equal(key, out.after)) || !is_followed(key)) return true;
                       out.more = !keys.empty() && (bytes >= parts_.part_bytes || keys.size() >= kMostRows / 2);
                       if (out.more) return false;
                       bytes += key.size() + value.size();
                       keys.push_back(base::to_bytes(key));
                       return true;
                     }));
    if (out.more) break;
  }
  for (const auto& key : keys) TRY_OK(add(view, key, out));
  return base::done();
}

/// False when they are too much for one answer.
Result<bool> KeystoreCopy::add_changes(const state::ReadView& view, const KeystoreChanges& changes,
                                       ReplicaBatch& out) const {
  std::erase_if(out.rows, [&](const auto& row) { return changes.keys.contains(row.key); });
  std::size_t bytes = 0;
  for (const auto& key : changes.keys) {
    TRY_OK(add(view, key, out));
    bytes += key.size() + (out.rows.back().value ? out.rows.back().value->size() : 0);
    if (bytes > kPartsOfChanges * parts_.part_bytes) return false;
  }
  std::ranges::sort(out.rows, {}, &ReplicaBatch::Row::key);
  return true;
}

Result<ReplicaBatch> KeystoreCopy::collect(const ReplicaPosition& from,
                                           const std::optional<ReplicaCursor>& copying) const {
  const auto changes = parts_.feed.since(copying ? copying->began : from);
  ReplicaBatch out;
  out.until = changes.until;
  // Everything that is read from here on has all of those changes; what it has beyond them comes again. The masters,
  // too, are what is stored and not what is in use: a change is in use only after the standby has confirmed it.
  TRY(const auto view, parts_.store.read());
  bool fits = !changes.whole;
  if (copying && fits) {
    out.whole = true;
    out.after = copying->after;
    TRY_OK(add_part(*view, out));
    if (out.more) {
      out.until = copying->began;
      return out;
    }
  }
  if (fits) {
    TRY(fits, add_changes(*view, changes, out));
  }
  if (!fits) {
    // Also a copy under way begins anew when the feed has forgotten its beginning, or too much has changed since.
    out.rows.clear();
    out.after.clear();
    out.whole = true;
    TRY_OK(add_part(*view, out));
    if (out.more) return out;
  }
  if (out.whole || changes.masters) {
    TRY(out.masters, parts_.masters.bundle(*view));
    std::ranges::sort(out.masters->masters, {}, [](const auto& one) { return std::pair{one.vault, one.epoch}; });
  }
  return out;
}

/// Erases what a whole copy, or this part of it, has not got, and writes what it has.
Status KeystoreCopy::take_rows(state::WriteTxn& txn, const ReplicaBatch& batch,
                               const std::vector<std::pair<base::Bytes, base::Bytes>>& values) const {
  std::vector<base::Bytes> gone;
  for (const auto& row : batch.rows) {
    if (!row.value) gone.push_back(row.key);
  }
  const auto has = [&](base::ByteView key) {
    const auto at =
        std::ranges::lower_bound(values, key, comes_before, [](const auto& one) { return base::ByteView{one.first}; });
    return at != values.end() && base::equal(at->first, key);
  };
  for (const auto space : kRowSpaces) {
    const std::array<std::uint8_t, 1> prefix{static_cast<std::uint8_t>(space)};
    if (!batch.whole || (!batch.after.empty() && batch.after[0] > prefix[0])) continue;
    const bool within = same_space(batch.after, space);
    TRY_OK(txn.scan(prefix, within ? base::ByteView{batch.after} : base::ByteView{}, kEverything,
                    [&](base::ByteView key, base::ByteView) {
                      if (batch.more && comes_before(batch.rows.back().key, key)) return false;
                      const bool before = within && base::equal(key, batch.after);
                      if (!before && !is_replica_state(key) && !has(key)) gone.push_back(base::to_bytes(key));
                      return true;
                    }));
  }
  for (const auto& key : gone) TRY_OK(txn.erase(key));
  for (const auto& [key, value] : values) TRY_OK(txn.put(key, value));
  return base::done();
}

Status KeystoreCopy::apply(ReplicaBatch batch, std::optional<ReplicaCursor>& copying, base::Deadline deadline) const {
  const auto under_way = std::exchange(copying, std::nullopt);
  if (!batch.after.empty() &&
      (!under_way || under_way->after != batch.after || (batch.more && under_way->began != batch.until))) {
    return Error{Code::conflict, "a part of a whole copy that is not the next one"};
  }
  const KeystoreFeed::Applying applying(parts_.feed);
  if (batch.masters) {
    const auto own = parts_.fence.state();
    TRY_OK(parts_.masters.import(*batch.masters, own.complete || own.discard, deadline), "masters of the primary");
  }
  std::vector<std::pair<base::Bytes, base::Bytes>> values;  // by key, as the rows are
  for (auto& row : batch.rows) {
    if (!row.value) continue;
    if (same_space(row.key, Space::keystore_sessions)) {
      TRY(auto kept, parts_.take_session(row.key, row.value->reveal()), "session of a worker");
      values.emplace_back(row.key, std::move(kept));
    } else {
      values.emplace_back(row.key, base::to_bytes(row.value->reveal()));
    }
  }
  const auto rows = [&](state::WriteTxn& txn) { return take_rows(txn, batch, values); };
  if (!batch.more) return parts_.fence.followed(batch.until, rows, deadline);
  TRY_OK(parts_.fence.copied_part(rows, deadline));
  copying = ReplicaCursor{.began = batch.until, .after = batch.rows.back().key};
  return base::done();
}

}  // namespace attestry::secrets
