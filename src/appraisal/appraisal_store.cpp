#include "appraisal/appraisal_store.h"

#include <algorithm>
#include <array>

#include "appraisal/verdict_view.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "state/keys.h"

namespace attestry::appraisal {
namespace {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Digest32;
using base::Error;
using base::Result;
using base::Status;
using base::Tenant;
using state::Key;
using state::Space;

constexpr std::uint8_t kVerdictOnly = 1;  // records of before: the verdict and nothing else
constexpr std::uint8_t kRecord = 2;
constexpr std::uint8_t kRow = 1;
constexpr std::uint8_t kCountRow = 0;
constexpr std::uint8_t kContentRow = 1;
constexpr std::size_t kMaxField = 32u << 20;
constexpr std::size_t kMaxWord = 512;
constexpr std::size_t kEvictedPerPut = 4;
constexpr std::size_t kScanned = 5000;  // rows that one page looks at
constexpr std::size_t kShortestId = 8;
constexpr std::int64_t kDay = 24 * 3600;

/// What is counted and ended together.
enum class Class : std::uint8_t { attempt = 0, kept = 1, logged = 2 };
constexpr std::array kClasses{Class::attempt, Class::kept, Class::logged};

Class class_of(Origin origin) {
  switch (origin) {
    case Origin::release:
    case Origin::refusal:
      return Class::logged;
    case Origin::attempt:
      return Class::attempt;
    case Origin::verification:
    case Origin::import:
      return Class::kept;
  }
  return Class::logged;
}

Key record_key(const Tenant& tenant, const Digest32& id) { return Key(Space::appraisals, tenant).lp(base::hex(id)); }
Key blob_key(const Tenant& tenant, const Digest32& sha256, std::uint8_t row) {
  return Key(Space::appraisal_blobs, tenant).raw(sha256).u8(row);
}
/// Newest first: keys ascend.
Key time_key(const Tenant& tenant, base::UtcTime stored, const Digest32& id) {
  return Key(Space::appraisal_times, tenant).u64(~static_cast<std::uint64_t>(stored.seconds)).raw(id);
}
Key order_prefix(const Tenant& tenant, Class kind) {
  return Key(Space::appraisal_order, tenant).u8(static_cast<std::uint8_t>(kind));
}
Key order_key(const Tenant& tenant, Class kind, base::UtcTime stored, const Digest32& id) {
  return order_prefix(tenant, kind).u64(static_cast<std::uint64_t>(stored.seconds)).raw(id);
}
Key count_key(const Tenant& tenant, Class kind) {
  return Key(Space::appraisal_counts, tenant).u8(static_cast<std::uint8_t>(kind));
}

// ---- values

void write_entry(base::LpWriter& out, const Entry& entry) {
  out.u8(static_cast<std::uint8_t>(entry.origin)).u64(static_cast<std::uint64_t>(entry.stored.seconds));
  out.u8(entry.leaf_index ? 1 : 0).u64(entry.leaf_index.value_or(0)).lp(entry.app);
  out.lp(entry.summary.verdict).lp(entry.summary.evidence).lp(entry.summary.platform).lp(entry.summary.root_cause);
}

Result<std::string> word(base::Reader& in, std::string_view field) {
  TRY(const ByteView bytes, in.lp(field, kMaxWord));
  return std::string{base::as_text(bytes)};
}

Result<Entry> read_entry(base::Reader& in) {
  Entry out;
  TRY(const std::uint8_t origin, in.u8("origin"));
  out.origin = static_cast<Origin>(origin);
  TRY(const std::uint64_t stored, in.u64be("stored"));
  out.stored = base::UtcTime{static_cast<std::int64_t>(stored)};
  TRY(const std::uint8_t logged, in.u8("logged"));
  TRY(const std::uint64_t leaf, in.u64be("leaf"));
  if (logged != 0) out.leaf_index = leaf;
  TRY(out.app, word(in, "app"));
  TRY(out.summary.verdict, word(in, "verdict"));
  TRY(out.summary.evidence, word(in, "evidence"));
  TRY(out.summary.platform, word(in, "platform"));
  TRY(out.summary.root_cause, word(in, "root cause"));
  return out;
}

struct Record {
  Entry entry;
  std::string document;
  std::string verdict_json;
  std::vector<Digest32> blobs;  ///< evidence, supplements, policy: one reference each
  Digest32 set{};               ///< the collateral's digest
};

Bytes write_record(const Record& record) {
  auto out = state::value(kRecord);
  write_entry(out, record.entry);
  out.lp(record.entry.refusal_json).lp(record.document).lp(record.verdict_json).raw(record.set);
  out.u32(static_cast<std::uint32_t>(record.blobs.size()));
  for (const Digest32& blob : record.blobs) out.raw(blob);
  return std::move(out).take();
}

Result<Record> read_record(ByteView stored) {
  Record out;
  if (!stored.empty() && stored.front() == kVerdictOnly) {
    out.verdict_json = std::string{base::as_text(stored.subspan(1))};
    TRY(out.entry.summary, summary_of(out.verdict_json));
    out.entry.origin = out.entry.summary.verdict == "accepted" ? Origin::release : Origin::refusal;
    return out;
  }
  TRY(auto in, state::open_value(stored, kRecord, "appraisal"));
  TRY(out.entry, read_entry(in), "appraisal");
  TRY(const ByteView refusal, in.lp("refusal", kMaxField));
  TRY(const ByteView document, in.lp("document", kMaxField));
  TRY(const ByteView verdict, in.lp("verdict", kMaxField));
  out.entry.refusal_json = base::as_text(refusal);
  out.document = base::as_text(document);
  out.verdict_json = base::as_text(verdict);
  TRY(out.set, in.take_array<32>("collateral"));
  TRY(const std::uint32_t count, in.u32be("blobs"));
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(const auto blob, in.take_array<32>("blob"));
    out.blobs.push_back(blob);
  }
  TRY_OK(in.finish("appraisal"));
  return out;
}

// ---- bytes by digest, counted

/// How many appraisals or collateral sets rest on it; 0 when it is not there.
Result<std::uint64_t> references(const state::ReadView& view, const Tenant& tenant, const Digest32& sha256) {
  TRY(const auto row, view.get(blob_key(tenant, sha256, kCountRow)));
  if (!row) return std::uint64_t{0};
  TRY(auto in, state::open_value(*row, kRow, "references"));
  return in.u64be("references");
}

Status set_references(state::WriteTxn& txn, const Tenant& tenant, const Digest32& sha256, std::uint64_t count) {
  return txn.put(blob_key(tenant, sha256, kCountRow), state::value(kRow).u64(count).bytes());
}

/// True when it was not there before.
Result<bool> acquire(state::WriteTxn& txn, const Tenant& tenant, const Digest32& sha256, ByteView bytes) {
  TRY(const std::uint64_t count, references(txn, tenant, sha256));
  TRY_OK(set_references(txn, tenant, sha256, count + 1));
  if (count != 0) return false;
  TRY_OK(txn.put(blob_key(tenant, sha256, kContentRow), state::value(kRow).raw(bytes).bytes()));
  return true;
}

/// A collateral set is a row of its items' digests under the set's own; its items are held by the set, so that an
/// appraisal of known collateral touches one row.
Status acquire_set(state::WriteTxn& txn, const Tenant& tenant, const attestation::Collateral& collateral) {
  base::LpWriter members;
  for (const auto& item : collateral.items()) members.raw(item.sha256);
  TRY(const bool fresh, acquire(txn, tenant, collateral.digest(), members.bytes()));
  if (!fresh) return base::done();
  for (const auto& item : collateral.items()) {
    TRY([[maybe_unused]] const bool first, acquire(txn, tenant, item.sha256, item.bytes));
  }
  return base::done();
}

Result<Bytes> content(const state::ReadView& view, const Tenant& tenant, const Digest32& sha256) {
  TRY(const auto row, view.get(blob_key(tenant, sha256, kContentRow)));
  if (!row) return Error{Code::corrupt, "bytes of an appraisal are missing", base::hex(sha256), {}};
  TRY(auto in, state::open_value(*row, kRow, "appraisal bytes"));
  return base::to_bytes(in.rest());
}

/// Returns whether nothing rests on it any more; its rows are gone then.
Result<bool> release(state::WriteTxn& txn, const Tenant& tenant, const Digest32& sha256) {
  TRY(const std::uint64_t count, references(txn, tenant, sha256));
  if (count > 1) {
    TRY_OK(set_references(txn, tenant, sha256, count - 1));
    return false;
  }
  TRY_OK(txn.erase(blob_key(tenant, sha256, kCountRow)));
  TRY_OK(txn.erase(blob_key(tenant, sha256, kContentRow)));
  return true;
}

Status release_set(state::WriteTxn& txn, const Tenant& tenant, const Digest32& set) {
  TRY(const Bytes members, content(txn, tenant, set));
  TRY(const bool gone, release(txn, tenant, set));
  if (!gone) return base::done();
  base::Reader in{members};
  while (in.remaining() != 0) {
    TRY(const auto item, in.take_array<32>("collateral item"));
    TRY([[maybe_unused]] const bool last, release(txn, tenant, item));
  }
  return base::done();
}

// ---- counts and ends

struct Count {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
};

Result<Count> read_count(const state::ReadView& view, const Tenant& tenant, Class kind) {
  Count out;
  TRY(const auto row, view.get(count_key(tenant, kind)));
  if (!row) return out;
  TRY(auto in, state::open_value(*row, kRow, "count of appraisals"));
  TRY(out.number, in.u64be("number"));
  TRY(out.bytes, in.u64be("bytes"));
  return out;
}

Status write_count(state::WriteTxn& txn, const Tenant& tenant, Class kind, const Count& count) {
  return txn.put(count_key(tenant, kind), state::value(kRow).u64(count.number).u64(count.bytes).bytes());
}

struct Oldest {
  Digest32 id{};
  base::UtcTime stored;
  std::uint64_t bytes = 0;
};

/// But for `spared`.
Result<std::optional<Oldest>> oldest_of(const state::ReadView& view, const Tenant& tenant, Class kind,
                                        const Digest32& spared) {
  const Key prefix = order_prefix(tenant, kind);
  Bytes key;
  Bytes value;
  TRY_OK(view.scan(prefix, {}, 2, [&](ByteView found_key, ByteView found_value) {
    if (base::equal(found_key.last(spared.size()), spared)) return true;
    key = base::to_bytes(found_key.subspan(prefix.bytes().size()));
    value = base::to_bytes(found_value);
    return false;
  }));
  if (key.empty()) return std::optional<Oldest>{};
  Oldest out;
  base::Reader in{key};
  TRY(const std::uint64_t stored, in.u64be("stored"));
  out.stored = base::UtcTime{static_cast<std::int64_t>(stored)};
  TRY(out.id, in.take_array<32>("id"));
  TRY(auto row, state::open_value(value, kRow, "order of appraisals"));
  TRY(out.bytes, row.u64be("bytes"));
  return std::optional{out};
}

/// What an appraisal held. Rows that cannot be read any more stay behind: an old attempt that a disk spoiled must not
/// keep the next release from being written.
Status let_go(state::WriteTxn& txn, const Tenant& tenant, ByteView stored) {
  const auto unless_corrupt = [](Status status) {
    return status.ok() || status.error().code != Code::corrupt ? std::move(status) : base::done();
  };
  const auto record = read_record(stored);
  if (!record) return base::done();
  for (const Digest32& blob : record->blobs) {
    const auto released = release(txn, tenant, blob);
    if (!released) TRY_OK(unless_corrupt(released.error()));
  }
  return unless_corrupt(release_set(txn, tenant, record->set));
}

Status erase(state::WriteTxn& txn, const Tenant& tenant, Class kind, const Oldest& which) {
  TRY(const auto stored, txn.get(record_key(tenant, which.id)));
  if (stored) {
    TRY_OK(let_go(txn, tenant, *stored));
    TRY_OK(txn.erase(record_key(tenant, which.id)));
  }
  TRY_OK(txn.erase(time_key(tenant, which.stored, which.id)));
  return txn.erase(order_key(tenant, kind, which.stored, which.id));
}

bool too_old(const Retention& keep, Class kind, base::UtcTime stored, base::UtcTime now) {
  const std::int64_t days = kind == Class::attempt ? keep.attempt_days
                            : kind == Class::kept  ? keep.kept_days
                                                   : keep.logged_days;
  return days > 0 && stored.seconds < now.seconds - days * kDay;
}

Status put_rows(state::WriteTxn& txn, const Tenant& tenant, const Digest32& id, const Entry& entry,
                std::uint64_t bytes) {
  auto row = state::value(kRow);
  write_entry(row, entry);
  TRY_OK(txn.put(time_key(tenant, entry.stored, id), row.bytes()));
  const Class kind = class_of(entry.origin);
  TRY_OK(txn.put(order_key(tenant, kind, entry.stored, id), state::value(kRow).u64(bytes).bytes()));
  TRY(Count count, read_count(txn, tenant, kind));
  ++count.number;
  count.bytes += bytes;
  return write_count(txn, tenant, kind, count);
}

/// What was kept on request or as an attempt, and is named by a leaf of the log now, stays as long as leaves' do.
Status raise(state::WriteTxn& txn, const Tenant& tenant, const Digest32& id, Record record, const Entry& entry) {
  const Class before = class_of(record.entry.origin);
  const auto old_order = order_key(tenant, before, record.entry.stored, id);
  TRY(const auto order, txn.get(old_order));
  std::uint64_t bytes = 0;
  if (order) {
    TRY(auto in, state::open_value(*order, kRow, "order of appraisals"));
    TRY(bytes, in.u64be("bytes"));
  }
  TRY(Count count, read_count(txn, tenant, before));
  count.number -= std::min<std::uint64_t>(count.number, 1);
  count.bytes -= std::min(count.bytes, bytes);
  TRY_OK(write_count(txn, tenant, before, count));
  TRY_OK(txn.erase(old_order));
  TRY_OK(txn.erase(time_key(tenant, record.entry.stored, id)));
  record.entry = entry;
  TRY_OK(txn.put(record_key(tenant, id), write_record(record)));
  return put_rows(txn, tenant, id, entry, bytes);
}

/// Never `fresh`: what is just being answered with its id can be asked for.
Status collect(state::WriteTxn& txn, const Tenant& tenant, const Retention& keep, base::UtcTime now,
               const Digest32& fresh) {
  for (const Class kind : kClasses) {
    TRY(Count count, read_count(txn, tenant, kind));
    bool changed = false;
    for (std::size_t i = 0; i < kEvictedPerPut; ++i) {
      TRY(const auto oldest, oldest_of(txn, tenant, kind, fresh));
      if (!oldest) break;
      const bool too_many =
          kind == Class::attempt && (count.number > keep.attempts || count.bytes > keep.attempt_bytes);
      if (!too_many && !too_old(keep, kind, oldest->stored, now)) break;
      TRY_OK(erase(txn, tenant, kind, *oldest));
      --count.number;
      count.bytes -= std::min(count.bytes, oldest->bytes);
      changed = true;
    }
    if (changed) TRY_OK(write_count(txn, tenant, kind, count));
  }
  return base::done();
}

bool holds(const Filter& filter, const Entry& entry) {
  const auto same = [](const std::string& wanted, const std::string& found) {
    return wanted.empty() || wanted == found;
  };
  return same(filter.app, entry.app) && same(filter.verdict, entry.summary.verdict) &&
         same(filter.evidence, entry.summary.evidence) && same(filter.platform, entry.summary.platform) &&
         same(filter.root_cause, entry.summary.root_cause) && (!filter.origin || *filter.origin == entry.origin) &&
         (!filter.since || *filter.since <= entry.stored) && (!filter.until || entry.stored <= *filter.until);
}

Error not_found(std::string_view id) {
  return {Code::not_found, "no appraisal of that id", {}, std::string{id}, "`attestry appraisal list` shows them."};
}

}  // namespace

std::string_view to_text(Origin origin) noexcept {
  switch (origin) {
    case Origin::release:
      return "release";
    case Origin::refusal:
      return "refusal";
    case Origin::attempt:
      return "attempt";
    case Origin::verification:
      return "verification";
    case Origin::import:
      return "import";
  }
  return "unknown";
}

std::optional<Origin> origin_from(std::string_view word) noexcept {
  for (const auto origin : {Origin::release, Origin::refusal, Origin::attempt, Origin::verification, Origin::import}) {
    if (to_text(origin) == word) return origin;
  }
  return std::nullopt;
}

Summary summary_of(const attestation::Verdict& verdict) {
  Summary out{.verdict = std::string{attestation::to_text(verdict.outcome)},
              .evidence = std::string{attestation::to_text(verdict.evidence)},
              .platform = std::string{attestation::to_text(verdict.platform)},
              .root_cause = {}};
  const auto* cause = verdict.outcome == attestation::Outcome::accepted ? nullptr : verdict.root_cause();
  if (cause != nullptr) out.root_cause = attestation::info(cause->check).id;
  return out;
}

Result<Summary> summary_of(std::string_view verdict_json) {
  TRY(const VerdictView view, read_verdict(verdict_json));
  for (const std::string* text : {&view.verdict, &view.evidence, &view.platform, &view.root_cause}) {
    if (text->size() > kMaxWord) return Error{Code::malformed, "verdict", "short words", "a long one"};
  }
  return Summary{
      .verdict = view.verdict, .evidence = view.evidence, .platform = view.platform, .root_cause = view.root_cause};
}

Status AppraisalStore::put(state::WriteTxn& txn, const Tenant& tenant, const StoredAppraisal& appraisal,
                           const Entry& entry) const {
  const auto key = record_key(tenant, appraisal.id());
  TRY(const auto known, txn.get(key));
  if (known) {
    TRY(auto before, read_record(*known));
    const bool higher = class_of(entry.origin) == Class::logged && class_of(before.entry.origin) != Class::logged;
    return higher ? raise(txn, tenant, appraisal.id(), std::move(before), entry) : base::done();
  }
  const auto& in = appraisal.inputs();
  Record record{.entry = entry,
                .document = appraisal.document(),
                .verdict_json = appraisal.verdict_json(),
                .blobs = {},
                .set = in.collateral->digest()};
  std::uint64_t bytes = record.document.size() + record.verdict_json.size();
  const auto hold = [&](ByteView content_bytes, const Digest32& sha256) -> Status {
    record.blobs.push_back(sha256);
    bytes += content_bytes.size();
    TRY([[maybe_unused]] const bool fresh, acquire(txn, tenant, sha256, content_bytes));
    return base::done();
  };
  const Digest32 verdict = crypto::sha256(base::as_bytes(record.verdict_json));
  for (const Blob& blob : appraisal.blobs()) {
    // The set holds the collateral; the record holds the verdict.
    if (!blob.collateral && blob.sha256 != verdict) TRY_OK(hold(blob.bytes, blob.sha256));
  }
  TRY_OK(acquire_set(txn, tenant, *in.collateral));
  TRY_OK(txn.put(key, write_record(record)));
  TRY_OK(put_rows(txn, tenant, appraisal.id(), entry, bytes));
  return collect(txn, tenant, retention_, entry.stored, appraisal.id());
}

Result<AppraisalStore::Found> AppraisalStore::get(const Tenant& tenant, const Digest32& id) const {
  TRY(const auto view, store_.read());
  TRY(const auto stored, view->get(record_key(tenant, id)));
  if (!stored) return not_found(base::hex(id));
  TRY(Record record, read_record(*stored));
  return Found{std::move(record.entry), std::move(record.document), std::move(record.verdict_json)};
}

Result<Digest32> AppraisalStore::resolve(const Tenant& tenant, std::string_view beginning) const {
  constexpr std::string_view kHex = "0123456789abcdef";
  if (beginning.size() < kShortestId || beginning.size() > 64 ||
      beginning.find_first_not_of(kHex) != std::string_view::npos) {
    return Error{Code::malformed, "id of an appraisal", "8 to 64 hex digits", std::string{beginning}};
  }
  // The key holds LP(hex): its length is always 64, and the beginning is a prefix behind it.
  base::LpWriter prefix;
  prefix.raw(Key(Space::appraisals, tenant).bytes()).u32(64).raw(base::as_bytes(beginning));
  std::vector<std::string> found;
  TRY(const auto view, store_.read());
  TRY_OK(view->scan(prefix.bytes(), {}, 2, [&](ByteView key, ByteView) {
    found.emplace_back(base::as_text(key.last(64)));
    return true;
  }));
  if (found.empty()) return not_found(beginning);
  if (found.size() > 1) {
    return Error{Code::malformed, "several appraisals begin so", "more digits of the id", std::string{beginning}};
  }
  Digest32 id{};
  TRY_OK(base::hex_decode_into(found.front(), id), "id");
  return id;
}

Result<StoredAppraisal> AppraisalStore::load(const Tenant& tenant, const Digest32& id) const {
  TRY(const auto view, store_.read());
  TRY(const auto stored, view->get(record_key(tenant, id)));
  if (!stored) return not_found(base::hex(id));
  TRY(const Record record, read_record(*stored));
  if (record.document.empty()) {
    return Error{Code::not_found,
                 "this appraisal was stored without what it rests on",
                 {},
                 base::hex(id),
                 "It can be shown and explained, but not exported or replayed."};
  }
  const auto verdict = crypto::sha256(base::as_bytes(record.verdict_json));
  return StoredAppraisal::restore(record.document, [&](const Digest32& sha256) -> Result<Bytes> {
    if (sha256 == verdict) return base::to_bytes(record.verdict_json);
    return content(*view, tenant, sha256);
  });
}

Result<Page> AppraisalStore::list(const Tenant& tenant, const Filter& filter, std::string_view cursor,
                                  std::size_t limit) const {
  limit = std::clamp<std::size_t>(limit, 1, 500);
  const Key prefix(Space::appraisal_times, tenant);
  Bytes from;
  if (!cursor.empty()) {
    TRY(const Bytes place, base::hex_decode(cursor), "cursor");
    if (place.size() != 40) return Error{Code::malformed, "cursor", "as an earlier answer gave it", {}};
    from = prefix.bytes();
    base::append(from, place);
    from.push_back(0);  // behind it
  }
  Page out;
  std::size_t seen = 0;
  Bytes last;
  Status broken = base::done();
  TRY(const auto view, store_.read());
  TRY_OK(view->scan(prefix, from, kScanned, [&](ByteView key, ByteView value) {
    ++seen;
    last = base::to_bytes(key.subspan(prefix.bytes().size()));
    const auto row = [&]() -> Result<Listed> {
      Listed listed;
      base::Reader place{last};
      TRY([[maybe_unused]] const std::uint64_t time, place.u64be("time"));
      TRY(listed.id, place.take_array<32>("id"));
      TRY(auto in, state::open_value(value, kRow, "listed appraisal"));
      TRY(listed.entry, read_entry(in));
      return listed;
    }();
    if (!row) {
      broken = row.error();
      return false;
    }
    if (holds(filter, row->entry)) out.rows.push_back(*row);
    return out.rows.size() < limit;
  }));
  TRY_OK(std::move(broken));
  if (out.rows.size() == limit || seen == kScanned) out.next = base::hex(last);
  return out;
}

}  // namespace attestry::appraisal
