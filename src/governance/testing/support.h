// A registry on a store of its own, and operators who approve things in it: for tests of this room and those above.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "audit/testing/support.h"
#include "governance/registry.h"
#include "state/keys.h"

namespace attestry::governance::testing {

using audit::testing::key_named;
using audit::testing::kOrigin;
using audit::testing::kTime;
using state::testing::patient;

inline base::AppRef app_named(std::string_view name) { return *base::AppRef::parse(name); }

/// The store, log and registry of a simulated server whose clock stands at kTime.
struct House {
  explicit House(base::Realm in = base::Realm::simulated) : realm(in) {
    auto opened = state::Store::open({.path = folder.file("store.db"), .realm = realm, .clock = &clock});
    EXPECT_TRUE(opened.ok()) << opened.error().text();
    store = std::move(*opened);
    auto log_opened = audit::Log::open(*store, audit::testing::log_key(),
                                       {.origin = kOrigin, .checkpoint_path = folder.file("checkpoint")});
    EXPECT_TRUE(log_opened.ok()) << log_opened.error().text();
    log = std::move(*log_opened);
    registry = std::make_unique<Registry>(*store, *log, realm, kOrigin);
  }

  void add_operator(std::string_view name, const base::Tenant& tenant = base::Tenant::standard()) {
    const auto added = registry->set_operator(
        tenant, {.public_key = key_named(name).public_key(), .name = std::string{name}, .since = {}}, store->now(),
        patient());
    EXPECT_TRUE(added.ok()) << added.error().text();
  }

  /// The approval that would come next for the app.
  Approval next(const base::AppRef& app, Action action, std::string subject,
                const base::Tenant& tenant = base::Tenant::standard()) const {
    Approval approval{.audience = kOrigin,
                      .realm = realm,
                      .tenant = tenant,
                      .app = app,
                      .action = action,
                      .subject = std::move(subject),
                      .policy_sha256 = {},
                      .seq = 1,
                      .prev = {},
                      .expires = clock.now() + 3600};
    if (const auto state = registry->app(tenant, app)) {
      approval.seq = state->seq + 1;
      approval.prev = state->prev;
      if (state->policy) approval.policy_sha256 = base::hex(*state->policy);
    }
    return approval;
  }

  static Envelope signed_by(const Approval& approval, const std::vector<std::string>& operators) {
    Envelope envelope{
        .payload_type = std::string{kApprovalPayloadType}, .payload = approval.payload(), .signatures = {}};
    for (const auto& name : operators) envelope.sign(key_named(name));
    return envelope;
  }

  base::Result<AcceptedApproval> submit(const Approval& approval,
                                        const std::vector<std::string>& operators = {"alice"}) {
    return registry->submit(signed_by(approval, operators), store->now(), patient());
  }

  /// submit(next()), which must succeed.
  AppState approve(const base::AppRef& app, Action action, const std::string& subject,
                   const base::Tenant& tenant = base::Tenant::standard()) {
    const auto accepted = submit(next(app, action, subject, tenant));
    EXPECT_TRUE(accepted.ok()) << to_text(action) << ": " << accepted.error().text();
    return accepted ? accepted->state
                    : AppState{.tenant = tenant,
                               .app = app,
                               .prev = {},
                               .policy = {},
                               .identities = {},
                               .configuration = {},
                               .secrets = {}};
  }

  /// Hex of the blob's SHA-256.
  std::string blob(std::string_view text, const base::Tenant& tenant = base::Tenant::standard()) {
    const auto id = registry->put_blob(tenant, base::as_bytes(text), patient());
    EXPECT_TRUE(id.ok()) << id.error().text();
    return base::hex(id.value());
  }

  /// Hex of the id of a value that the app has, as far as the registry looks: 32 times `digit`.
  std::string stored_secret(const base::AppRef& app, std::uint8_t digit,
                            const base::Tenant& tenant = base::Tenant::standard()) {
    base::Digest32 id{};
    id.fill(digit);
    const auto written = store->write_and_wait(
        [&](state::WriteTxn& txn) { return txn.put(state::secret_key(tenant, app).raw(id), state::value(1).bytes()); },
        patient());
    EXPECT_TRUE(written.ok()) << written.error().text();
    return base::hex(id);
  }

  base::Realm realm;
  state::testing::TempFolder folder;
  state::testing::ManualClock clock{kTime};
  std::unique_ptr<state::Store> store;
  std::unique_ptr<audit::Log> log;
  std::unique_ptr<Registry> registry;
};

inline std::string identity_document(char digit) {
  return R"({"name":"web","claims":{"mrtd":")" + std::string(96, digit) + R"("}})";
}

}  // namespace attestry::governance::testing
