#include "governance/instance_record.h"

#include "state/keys.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

/// Version 1 had no source.
constexpr std::uint8_t kOldVersion = 1;
constexpr std::uint8_t kVersion = 2;
constexpr std::size_t kMaxSource = 256;

}  // namespace

Status put_instance(state::WriteTxn& txn, const base::Tenant& tenant, const base::AppRef& app,
                    std::string_view instance, const InstanceRecord& record) {
  auto value = state::value(kVersion);
  value.lp(record.appraisal).u64(record.leaf_index).u64(static_cast<std::uint64_t>(record.expires.seconds));
  value.lp(record.source);
  TRY_OK(txn.put(Key(Space::instances, tenant).lp(app.bytes()).lp(instance), value.bytes()));
  if (record.source.empty()) return base::done();
  auto mark = state::value(kOldVersion);
  return txn.put(Key(Space::resting_on, tenant).lp(record.source).lp(app.bytes()).lp(instance), mark.bytes());
}

Result<InstanceRecord> decode_instance(base::ByteView stored) {
  const bool old = !stored.empty() && stored.front() == kOldVersion;
  TRY(auto in, state::open_value(stored, old ? kOldVersion : kVersion, "instance"));
  InstanceRecord out;
  TRY(const auto appraisal, in.lp("appraisal", 64));
  out.appraisal = std::string{base::as_text(appraisal)};
  TRY(out.leaf_index, in.u64be("leaf"));
  TRY(const auto expires, in.u64be("expires"));
  out.expires = {static_cast<std::int64_t>(expires)};
  if (!old) {
    TRY(const auto source, in.lp("source", kMaxSource));
    out.source = std::string{base::as_text(source)};
  }
  TRY_OK(in.finish("instance"));
  return out;
}

}  // namespace attestry::governance
