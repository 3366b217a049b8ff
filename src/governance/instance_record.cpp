#include "governance/instance_record.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "crypto/hash.h"
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

constexpr std::string_view kIdentityScheme = "identity:";
constexpr std::string_view kPolicyScheme = "policy:";
constexpr std::array<std::string_view, 3> kSchemes{"set:", kIdentityScheme, kPolicyScheme};

/// What follows is a document's own word.
std::string_view given_source(std::string_view source) { return source.substr(0, source.find(' ')); }

Key barred_key(const base::Tenant& tenant, const base::AppRef& app, std::string_view source) {
  return Key(Space::barred, tenant).lp(app.bytes()).lp(source);
}

}  // namespace

std::string identity_source(const base::Digest32& blob) { return std::string{kIdentityScheme} + base::hex(blob); }

std::string policy_source(std::string_view identity_json) {
  return std::string{kPolicyScheme} + base::hex(crypto::sha256(base::as_bytes(identity_json)));
}

bool is_own_source(std::string_view source) noexcept {
  return std::ranges::any_of(kSchemes, [&](std::string_view scheme) { return source.starts_with(scheme); });
}

Status put_instance(state::WriteTxn& txn, const base::Tenant& tenant, const base::AppRef& app,
                    std::string_view instance, const InstanceRecord& record) {
  auto value = state::value(kVersion);
  value.lp(record.appraisal).u64(record.leaf_index).u64(static_cast<std::uint64_t>(record.expires.seconds));
  const std::string_view source = is_own_source(record.source) ? given_source(record.source) : "";
  value.lp(source);
  TRY_OK(txn.put(Key(Space::instances, tenant).lp(app.bytes()).lp(instance), value.bytes()));
  if (source.empty()) return base::done();
  auto mark = state::value(kOldVersion);
  return txn.put(Key(Space::resting_on, tenant).lp(source).lp(app.bytes()).lp(instance), mark.bytes());
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

Status bar_source(state::WriteTxn& txn, const base::Tenant& tenant, const base::AppRef& app, std::string_view source,
                  std::uint64_t leaf_index) {
  auto value = state::value(kOldVersion);
  value.u64(leaf_index);
  return txn.put(barred_key(tenant, app, source), value.bytes());
}

Result<std::uint64_t> barred_below(const state::ReadView& view, const base::Tenant& tenant, const base::AppRef& app,
                                   std::string_view source) {
  TRY(const auto stored, view.get(barred_key(tenant, app, source)));
  if (!stored) return std::uint64_t{0};
  TRY(auto in, state::open_value(*stored, kOldVersion, "barred source"));
  return in.u64be("leaf");
}

}  // namespace attestry::governance
