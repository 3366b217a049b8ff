#include "tracker/spent.h"

#include <algorithm>
#include <memory>

#include "base/reader.h"
#include "state/keys.h"
#include "state/spaces.h"

namespace attestry::tracker {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Space;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kCollectPerClaim = 2;  // more than are added, so that an old store empties
constexpr std::size_t kCollectAtLeast = 4;

state::Key record_key(const ReceiptId& id) { return state::Key(Space::tracker_spent).u8(0).raw(id); }
state::Key times() { return state::Key(Space::tracker_spent).u8(1); }
/// In the order in which they may be forgotten.
state::Key time_key(base::UtcTime until, const ReceiptId& id) {
  return times().u64(static_cast<std::uint64_t>(until.seconds)).raw(id);
}
/// floor u64 ‖ number of records u64.
state::Key head_key() { return state::Key(Space::tracker_state).lp("spent"); }

struct Head {
  base::UtcTime floor{};
  std::uint64_t count = 0;
};
Result<Head> read_head(const state::ReadView& view) {
  Head out;
  TRY(const auto stored, view.get(head_key()));
  if (!stored) return out;
  TRY(base::Reader in, state::open_value(*stored, kVersion, "head of the spent receipts"));
  TRY(const auto floor, in.u64be("floor"));
  TRY(out.count, in.u64be("count"));
  TRY_OK(in.finish("head of the spent receipts"));
  out.floor.seconds = static_cast<std::int64_t>(floor);
  return out;
}

/// owner (32) ‖ bytes credited u64, 0 for one that is claimed ‖ last second u64 ‖ keep until u64.
struct Record {
  InstanceId owner{};
  std::uint64_t credited = 0;
  base::UtcTime last{}, until{};
};
Result<std::optional<Record>> read_record(const state::ReadView& view, const ReceiptId& id) {
  TRY(const auto stored, view.get(record_key(id)));
  if (!stored) return std::optional<Record>{};
  TRY(base::Reader in, state::open_value(*stored, kVersion, "spent receipt"));
  Record out;
  TRY(out.owner, in.take_array<32>("owner"));
  TRY(out.credited, in.u64be("bytes credited"));
  TRY(const auto last, in.u64be("last second"));
  TRY(const auto until, in.u64be("keep until"));
  TRY_OK(in.finish("spent receipt"));
  out.last.seconds = static_cast<std::int64_t>(last);
  out.until.seconds = static_cast<std::int64_t>(until);
  return std::optional{out};
}
base::Bytes encode(const Record& record) {
  return state::value(kVersion)
      .raw(record.owner)
      .u64(record.credited)
      .u64(static_cast<std::uint64_t>(record.last.seconds))
      .u64(static_cast<std::uint64_t>(record.until.seconds))
      .bytes();
}

}  // namespace

Result<SpentRecords> SpentRecords::load(state::WriteTxn& txn) {
  SpentRecords out{txn};
  TRY(const Head head, read_head(txn));
  out.floor_ = head.floor;
  out.count_ = head.count;
  return out;
}

Result<SpentRecords::Taken> SpentRecords::take(const InstanceId& owner, const SpentClaim& claim, std::uint64_t size,
                                               base::UtcTime keep_until) {
  TRY(const auto before, read_record(*txn_, claim.id));
  if (before && before->owner != owner) return Taken{};
  if (!before && claim.last <= floor_) return Taken{};  // it may be one of those that were forgotten
  // What was known longer stays so. A claim that is repeated may be of a later receipt with the same id: its owner will
  // credit that one, so it has to be known for as long as that one could be handed in elsewhere.
  Record now{owner, size, claim.last, keep_until};
  if (before) {
    now.credited = std::max(now.credited, before->credited);
    now.last = std::max(now.last, before->last);
    now.until = std::max(now.until, before->until);
    if (now.until != before->until) TRY_OK(txn_->erase(time_key(before->until, claim.id)));
  } else {
    ++count_;
    changed_ = true;
  }
  TRY_OK(txn_->put(record_key(claim.id), encode(now)));
  TRY_OK(txn_->put(time_key(now.until, claim.id), state::value(kVersion).bytes()));
  return Taken{.own = true, .before = before ? before->credited : 0};
}

Result<bool> SpentRecords::claim(const InstanceId& owner, const SpentClaim& claim, base::UtcTime keep_until) {
  TRY(const Taken taken, take(owner, claim, 0, keep_until));
  return taken.own;
}
Result<std::uint64_t> SpentRecords::credit(const InstanceId& owner, const SpentClaim& claim, std::uint64_t size,
                                           base::UtcTime keep_until) {
  TRY(const auto known, read_record(*txn_, claim.id));
  if (known && known->credited >= size) return std::uint64_t{0};  // nothing changes: neither is it kept for longer
  TRY(const Taken taken, take(owner, claim, size, keep_until));
  return taken.own ? size - taken.before : 0;
}

Status SpentRecords::collect(base::UtcTime now, std::size_t most) {
  constexpr std::size_t kTail = 8 + 32;
  std::vector<base::Bytes> over;
  const auto prefix = times();
  TRY_OK(txn_->scan(prefix, {}, most, [&](ByteView key, ByteView) {
    base::Reader in{key.subspan(key.size() - kTail)};
    const auto until = in.u64be("keep until");
    if (!until || static_cast<std::int64_t>(*until) >= now.seconds) return false;
    over.push_back(base::to_bytes(key));
    return true;
  }));
  for (const base::Bytes& key : over) {
    ReceiptId id{};
    std::ranges::copy(ByteView{key}.last(id.size()), id.begin());
    TRY(const auto record, read_record(*txn_, id));
    if (!record) return Error{Code::corrupt, "a spent receipt is in the order of times and nowhere else"};
    floor_ = std::max(floor_, record->last);
    TRY_OK(txn_->erase(record_key(id)));
    TRY_OK(txn_->erase(key));
    --count_;
    changed_ = true;
  }
  return base::done();
}

Status SpentRecords::finish() {
  if (!changed_) return base::done();
  return txn_->put(head_key(),
                   state::value(kVersion).u64(static_cast<std::uint64_t>(floor_.seconds)).u64(count_).bytes());
}

Result<bool> may_be_credited(const state::ReadView& view, const InstanceId& owner, const SpentClaim& claim,
                             std::uint64_t size) {
  TRY(const auto record, read_record(view, claim.id));
  if (record) return record->owner == owner && record->credited < size;
  TRY(const Head head, read_head(view));
  return claim.last > head.floor;
}

Result<std::uint64_t> count_spent(const state::ReadView& view) {
  TRY(const Head head, read_head(view));
  return head.count;
}

base::UtcTime keep_spent_until(const SpentClaim& claim, const ReceiptRules& rules, base::UtcTime now) noexcept {
  return std::max(now + 2 * rules.window, claim.last + rules.window + rules.skew) + 1;
}

void StoredSpent::claim(const InstanceId& owner, std::vector<SpentClaim> claims, std::string_view, Answer answer) {
  if (claims.size() > kMostClaims) {
    return answer(Error{Code::too_large, "claims of receipts", "at most " + std::to_string(kMostClaims),
                        std::to_string(claims.size())});
  }
  if (auto clock = store_.clock_usable(); !clock) return answer(std::move(clock).error());
  const base::UtcTime now = store_.now();
  auto granted = std::make_shared<std::vector<bool>>();
  store_.write(
      [granted, owner, now, rules = rules_(), claims = std::move(claims)](state::WriteTxn& txn) -> Status {
        granted->clear();
        TRY(SpentRecords records, SpentRecords::load(txn));
        for (const SpentClaim& claim : claims) {
          TRY(const bool own, records.claim(owner, claim, keep_spent_until(claim, rules, now)));
          granted->push_back(own);
        }
        TRY_OK(records.collect(now, kCollectAtLeast + kCollectPerClaim * claims.size()));
        return records.finish();
      },
      [granted, answer = std::move(answer)](Status kept) mutable {
        if (!kept) return answer(std::move(kept).error());
        answer(std::move(*granted));
      });
}

}  // namespace attestry::tracker
