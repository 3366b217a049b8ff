// Signed lists in the store: of each name the newest, and how new the newest ever was.
#include "base/encoding.h"
#include "governance/measurement_record.h"
#include "governance/registry.h"
#include "state/keys.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::size_t kMaxEnvelope = 16u << 20;
constexpr std::size_t kMaxLists = 1000;

/// Of a list that was removed only the version stays, so that an old one never comes back as a new one.
struct StoredList {
  std::uint64_t version = 0;
  std::string envelope;
};

Key list_key(const base::Tenant& tenant, const std::string& name) { return Key(Space::lists, tenant).lp(name); }

Result<StoredList> decode(base::ByteView stored) {
  TRY(auto in, state::open_value(stored, kRecordVersion, "list"));
  StoredList out;
  TRY(out.version, in.u64be("version"));
  TRY(const auto envelope, in.lp("envelope", kMaxEnvelope));
  out.envelope = std::string{base::as_text(envelope)};
  TRY_OK(in.finish("list"));
  return out;
}

base::Bytes encode(const StoredList& list) {
  auto record = state::value(kRecordVersion);
  record.u64(list.version).lp(list.envelope);
  return std::move(record).take();
}

audit::Leaf leaf_of(const Registry& registry, std::string type, const base::Tenant& tenant, base::UtcTime now) {
  audit::Leaf leaf;
  leaf.type = std::move(type);
  leaf.realm = registry.realm();
  leaf.audience = registry.audience();
  leaf.tenant = tenant;
  leaf.time = now;
  return leaf;
}

Error no_list(const std::string& name) {
  return {Code::not_found, "no list " + name, {}, {}, "Store it: attestry place-list put FILE"};
}

/// Removed ones count: their versions are kept.
Status room_for_another(const state::WriteTxn& txn, const base::Tenant& tenant) {
  std::size_t count = 0;
  TRY_OK(txn.scan(Key(Space::lists, tenant), {}, kMaxLists, [&](auto, auto) { return ++count, true; }));
  if (count < kMaxLists) return base::done();
  return Error{Code::too_large, "too many lists",
               "at most " + std::to_string(kMaxLists) + " of a tenant, removed ones too", std::to_string(count),
               "Put more places into one list."};
}

}  // namespace

Status Registry::put_list(const base::Tenant& tenant, const attestation::SignedList& list, base::UtcTime now,
                          base::Deadline deadline) {
  const StoredList record{.version = list.version(), .envelope = list.envelope().to_json()};
  if (record.envelope.size() > kMaxEnvelope) return Error{Code::too_large, "list", "at most 16 MiB"};
  return store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        const auto key = list_key(tenant, list.name());
        TRY(const auto stored, txn.get(key));
        if (stored) {
          TRY(const auto before, decode(*stored));
          if (before.envelope == record.envelope) return base::done();
          // The same version may gain signatures, never another content: who signed is judged by each policy.
          bool same = false;
          if (!before.envelope.empty()) {
            TRY(const auto old, attestation::SignedList::parse(before.envelope));
            same = old.sha256() == list.sha256();
          }
          if (!same && before.version >= record.version) {
            return Error{Code::conflict, "a list of this or a higher version was stored already",
                         "a version above " + std::to_string(before.version), std::to_string(record.version),
                         "Give the list a higher version and have it signed again."};
          }
        }
        if (!stored) TRY_OK(room_for_another(txn, tenant));
        TRY_OK(txn.put(key, encode(record)));
        TRY_OK(bump_references_version(txn, tenant));
        auto leaf = leaf_of(*this, "list.put", tenant, now);
        leaf.reply = base::hex(list.sha256());
        TRY([[maybe_unused]] const auto index, log_.append(txn, leaf));
        return base::done();
      },
      deadline);
}

Status Registry::remove_list(const base::Tenant& tenant, const std::string& name, base::UtcTime now,
                             base::Deadline deadline) {
  return store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        const auto key = list_key(tenant, name);
        TRY(const auto stored, txn.get(key));
        if (!stored) return no_list(name);
        TRY(auto record, decode(*stored));
        if (record.envelope.empty()) return no_list(name);
        auto leaf = leaf_of(*this, "list.remove", tenant, now);
        TRY(const auto list, attestation::SignedList::parse(record.envelope));
        leaf.reply = base::hex(list.sha256());
        record.envelope.clear();
        TRY_OK(txn.put(key, encode(record)));
        TRY_OK(bump_references_version(txn, tenant));
        TRY([[maybe_unused]] const auto index, log_.append(txn, leaf));
        return base::done();
      },
      deadline);
}

Result<attestation::SignedList> Registry::list(const base::Tenant& tenant, const std::string& name) const {
  TRY(const auto view, store_.read());
  TRY(const auto stored, view->get(list_key(tenant, name)));
  if (!stored) return no_list(name);
  TRY(const auto record, decode(*stored));
  if (record.envelope.empty()) return no_list(name);
  return attestation::SignedList::parse(record.envelope);
}

Result<std::vector<attestation::SignedList>> Registry::lists(const base::Tenant& tenant) const {
  TRY(const auto view, store_.read());
  std::vector<attestation::SignedList> out;
  std::optional<Error> broken;
  TRY_OK(view->scan(Key(Space::lists, tenant), {}, kMaxLists, [&](base::ByteView, base::ByteView value) {
    const auto record = decode(value);
    if (!record) {
      broken = record.error();
      return false;
    }
    if (record->envelope.empty()) return true;
    auto list = attestation::SignedList::parse(record->envelope);
    if (!list) {
      broken = list.error();
      return false;
    }
    out.push_back(*std::move(list));
    return true;
  }));
  if (broken) return *broken;
  return out;
}

}  // namespace attestry::governance
