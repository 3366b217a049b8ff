#include "governance/revocation.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/hash.h"
#include "governance/app_state.h"
#include "governance/instance_record.h"
#include "governance/measurement_record.h"
#include "state/keys.h"
#include "state/scan.h"

namespace attestry::governance {

using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::size_t kMaxInstances = 100'000;

Result<AppState> changed(const AppState& state, Action action, const base::Digest32& subject) {
  AppState out = state;
  TRY_OK(apply_approval(out, Approval{.audience = {},
                                      .tenant = state.tenant,
                                      .app = state.app,
                                      .action = action,
                                      .subject = base::hex(subject),
                                      .policy_sha256 = {},
                                      .prev = {},
                                      .expires = {}}));
  return out;
}

/// An entry of a set rests on the set as a whole, too.
bool rests_on(const std::string& source, const std::vector<std::string>& gone) {
  return std::ranges::find(gone, source.substr(0, source.find('/'))) != gone.end();
}

Status collect(const state::ReadView& view, const base::Tenant& tenant, const base::AppRef& app,
               const std::vector<std::string>& gone, base::UtcTime now, RevocationImpact& out) {
  const Key prefix = Key(Space::instances, tenant).lp(app.bytes());
  return state::scan_each(view, prefix, kMaxInstances, [&](base::ByteView key, base::ByteView value) -> Status {
    base::Reader name{key.subspan(prefix.bytes().size())};
    TRY(const auto instance, name.lp("instance", 128));
    TRY(const auto record, decode_instance(value));
    if (record.expires <= now || !rests_on(record.source, gone)) return base::done();
    TRY(const bool holds, still_holds(view, tenant, app, record));
    if (!holds) return base::done();
    list_or_count(out, {app, std::string{base::as_text(instance)}, record.expires});
    return base::done();
  });
}

JsonOut impact_json(const base::AppRef& app, Action action, const base::Digest32& subject,
                    const RevocationImpact& impact) {
  JsonOutArray instances;
  for (const auto& one : impact.instances) {
    instances.emplace_back(JsonOutObject{{"instance", one.instance}, {"expires", base::to_rfc3339(one.expires)}});
  }
  return JsonOutObject{{"app", app.text()},
                       {"action", to_text(action)},
                       {"id", base::hex(subject)},
                       {"instances", std::move(instances)},
                       {"more_instances", std::uint64_t{impact.more_instances}},
                       {"identities_left", std::uint64_t{impact.identities_left}}};
}

}  // namespace

Result<RevocationImpact> revocation_impact(const state::Store& store, const Registry& registry,
                                           const base::Tenant& tenant, const base::AppRef& app, Action action,
                                           const base::Digest32& subject, base::UtcTime now) {
  TRY(const auto before, registry.app(tenant, app));
  TRY(const auto after, changed(before, action, subject));
  TRY(auto gone, registry.sources(before));
  TRY(const auto left, registry.sources(after));
  std::erase_if(gone, [&](const std::string& source) { return std::ranges::find(left, source) != left.end(); });
  RevocationImpact out;
  if (after.policy) {
    TRY(const auto policy, registry.effective_policy(after, now));
    out.identities_left = policy.identities().size();
  }
  TRY(const auto view, store.read());
  TRY_OK(collect(*view, tenant, app, gone, now, out));
  out.json = impact_json(app, action, subject, out).canonical();
  out.sha256 = base::hex(crypto::sha256(base::as_bytes(out.json)));
  return out;
}

}  // namespace attestry::governance
