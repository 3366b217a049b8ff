#include "secrets/keystore_copy.h"

#include <algorithm>
#include <array>
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

constexpr std::string_view kVersion = "attestry/keystore-standby/1";
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
  out.u8(batch.whole).raw(batch.until.feed).u64(batch.until.change).u32(batch.rows.size());
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

Result<ReplicaBatch> batch_of(base::Reader& in) {
  ReplicaBatch out;
  TRY(out.whole, flag(in, "whole"));
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
    } else if (out.whole) {
      return Error{Code::malformed, "a whole copy with a record that is gone"};
    }
    out.rows.push_back(std::move(row));
  }
  TRY(const bool masters, flag(in, "with masters"));
  if (masters) {
    TRY(const auto bundle, in.lp("masters", kMostMasters));
    TRY(out.masters, decode_bundle(bundle));
  } else if (out.whole) {
    return Error{Code::malformed, "a whole copy without masters"};
  }
  return out;
}

void put(Out& out, const ReplicaAnswer& answer) {
  out.lp(kVersion).number(static_cast<std::uint8_t>(answer.reply.role)).u64(answer.reply.term).raw(answer.reply.id);
  out.u64(answer.reply.stamp).u8(answer.batch.has_value());
  if (answer.batch) put(out, *answer.batch);
}

bool same_space(base::ByteView key, Space space) { return !key.empty() && static_cast<Space>(key[0]) == space; }

}  // namespace

base::Bytes encode(const ReplicaQuestion& question) {
  base::LpWriter out;
  const auto& claim = question.claim;
  out.lp(kVersion).u8(static_cast<std::uint8_t>(claim.role)).u64(claim.term).raw(claim.id).u64(claim.stamp);
  out.u32(claim.takeover_seconds).u8(claim.handover ? 1 : 0);
  out.raw(question.position.feed).u64(question.position.change);
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

Result<ReplicaBatch> KeystoreCopy::collect(const ReplicaPosition& from) const {
  const auto changes = parts_.feed.since(from);
  ReplicaBatch out;
  out.whole = changes.whole;
  out.until = changes.until;
  // Everything that is read from here on has all of those changes; what it has beyond them comes again. The masters,
  // too, are what is stored and not what is in use: a change is in use only after the standby has confirmed it.
  TRY(const auto view, parts_.store.read());
  if (changes.masters) {
    TRY(out.masters, parts_.masters.bundle(*view));
    std::ranges::sort(out.masters->masters, {}, [](const auto& one) { return std::pair{one.vault, one.epoch}; });
  }
  auto keys = changes.keys;
  if (changes.whole) {
    for (const auto space : kRowSpaces) {
      const std::array<std::uint8_t, 1> prefix{static_cast<std::uint8_t>(space)};
      TRY_OK(state::scan_each(*view, prefix, kMostRows, [&](base::ByteView key, base::ByteView) -> Status {
        if (is_followed(key)) keys.insert(base::to_bytes(key));
        return base::done();
      }));
    }
  }
  for (const auto& key : keys) TRY_OK(add(*view, key, out));
  return out;
}

Status KeystoreCopy::apply(ReplicaBatch batch, base::Deadline deadline) const {
  const KeystoreFeed::Applying applying(parts_.feed);
  if (batch.masters) {
    const auto own = parts_.fence.state();
    TRY_OK(parts_.masters.import(*batch.masters, own.complete || own.discard, deadline), "masters of the primary");
  }
  std::vector<std::pair<base::Bytes, base::Bytes>> values;
  for (const auto& row : batch.rows) {
    if (!row.value) continue;
    if (same_space(row.key, Space::keystore_sessions)) {
      TRY(auto kept, parts_.take_session(row.key, row.value->reveal()), "session of a worker");
      values.emplace_back(row.key, std::move(kept));
    } else {
      values.emplace_back(row.key, base::to_bytes(row.value->reveal()));
    }
  }
  return parts_.fence.followed(
      batch.until,
      [&](state::WriteTxn& txn) -> Status {
        std::vector<base::Bytes> gone;
        for (const auto& row : batch.rows) {
          if (!row.value) gone.push_back(row.key);
        }
        if (batch.whole) {
          for (const auto space : kRowSpaces) {
            const std::array<std::uint8_t, 1> prefix{static_cast<std::uint8_t>(space)};
            TRY_OK(state::scan_each(txn, prefix, kMostRows, [&](base::ByteView key, base::ByteView) -> Status {
              if (!is_replica_state(key)) gone.push_back(base::to_bytes(key));
              return base::done();
            }));
          }
        }
        for (const auto& key : gone) TRY_OK(txn.erase(key));
        for (const auto& [key, value] : values) TRY_OK(txn.put(key, value));
        return base::done();
      },
      deadline);
}

}  // namespace attestry::secrets
