#include "provision/registry_onboarding.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "attestation/key_binding.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"
#include "curves/ecies.h"
#include "provision/registry_identity.h"
#include "provision/registry_measurements.h"
#include "provision/registry_pki.h"
#include "state/keys.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::size_t kMaxBlob = 4096;

using Done = std::move_only_function<void(OnboardOutcome)>;

state::Key given_key(const base::Digest32& hash) {
  return state::Key(state::Space::onboarded, base::Tenant::standard()).lp(base::ByteView{hash});
}

struct Before {
  base::Digest32 identity{};  ///< that the contract allowed then
  base::Bytes blob;
};

Result<Before> parse_before(base::ByteView stored) {
  TRY(auto in, state::open_value(stored, kRecordVersion, "onboarded server"));
  Before out;
  TRY(const auto identity, in.lp("identity", out.identity.size()));
  if (identity.size() != out.identity.size()) return Error{Code::corrupt, "identity of an onboarded server"};
  std::ranges::copy(identity, out.identity.begin());
  TRY(const auto blob, in.lp("blob", kMaxBlob));
  out.blob = base::to_bytes(blob);
  return out;
}

Result<std::optional<Before>> given_before(const state::Store& store, const base::Digest32& hash) {
  TRY(const auto view, store.read());
  TRY(const auto stored, view->get(given_key(hash)));
  if (!stored) return std::optional<Before>{};
  TRY(auto before, parse_before(*stored));
  return std::optional{std::move(before)};
}

struct Work {
  base::Digest32 hash{};
  governance::OnboardRequest request;
  attestation::Evidence evidence;
  base::UtcTime now{};
  base::Deadline deadline{};
};

struct Given {
  base::Digest32 identity{};
  base::Bytes blob;
  audit::Leaf leaf;
};

std::unexpected<OnboardRefusal> refuse(OnboardStep step, Error error) {
  return std::unexpected(OnboardRefusal{.step = step, .error = std::move(error)});
}

audit::Leaf leaf_of(const OnboardingDeps& deps, const governance::OnboardGrant& grant, const Work& work,
                    base::ByteView report_data, base::ByteView blob) {
  audit::Leaf out;
  out.type = "release.onboard";
  out.realm = deps.store.realm();
  out.audience = deps.log.origin();
  out.time = work.now;
  out.binding = base::hex(report_data);
  out.policy = base::hex(grant.policy_sha256());
  out.reply = base::hex(crypto::sha256(blob));
  return out;
}

std::expected<Given, OnboardRefusal> decide(const OnboardingDeps& deps, const attestation::Policy& policy,
                                            const Work& work, Result<appraisal::Examined> examined) {
  if (!examined) return refuse(OnboardStep::attestation, std::move(examined).error());
  const auto& asked = work.request;
  if (onboard_request_hash(asked.pubkey, asked.nonce, asked.operator_address, asked.attestation) != work.hash) {
    return refuse(OnboardStep::request, {Code::denied,
                                         "the contract's onboard request has another hash",
                                         base::hex(work.hash),
                                         {},
                                         "Ask another endpoint of the chain."});
  }
  const auto report_data = onboard_report_data(deps.contract.address(), work.request.pubkey, work.request.nonce,
                                               work.request.operator_address);
  attestation::Verdict verdict = std::move(examined->verdict);
  auto report = attestation::appraise_report_data(policy, verdict, report_data);
  if (!report) return refuse(OnboardStep::attestation, std::move(report).error());
  const auto measurements = measurements_of(report->verdict());
  if (!measurements) return refuse(OnboardStep::measurements, measurements.error());
  auto identity = measurements->identity(deps.contract.address());
  if (deps.extended_on) {
    const auto facts = tdx_facts(report->verdict(), *deps.extended_on, deps.contract.address());
    if (!facts) return refuse(OnboardStep::measurements, {Code::malformed, "evidence that extended identities cover"});
    identity = extended_identity(*facts);
  }
  const auto approval = deps.contract.onboarding(work.hash, identity, work.deadline);
  if (!approval) return refuse(OnboardStep::identity, approval.error());
  // What was appraised is what is answered: the contract was read twice, and the master is sealed to what it says now.
  if (!(approval->request() == work.request)) {
    return refuse(
        OnboardStep::request,
        {Code::conflict, "the onboard request changed while it was looked at", base::hex(work.hash), {}, "Try again."});
  }
  const auto grant = governance::authorize_onboarding(*report, *approval, report_data, deps.store.realm(), work.now);
  if (!grant) return refuse(OnboardStep::identity, grant.error());
  const auto sealed = [&]() -> Result<base::Bytes> {
    TRY(const auto recipient, crypto::ec_public_key_from_pem(grant->request().pubkey), "pubkey");
    TRY(const auto master, deps.master.master(), "master key");
    return curves::ecies_v1_seal(recipient, master.reveal(), deps.random);
  }();
  if (!sealed) return refuse(OnboardStep::process, sealed.error());
  return Given{.identity = identity, .blob = *sealed, .leaf = leaf_of(deps, *grant, work, report_data, *sealed)};
}

/// Inside the committer. Whoever was faster decides what both get.
Status commit(const OnboardingDeps& deps, const Work& work, Given& given, state::WriteTxn& txn) {
  TRY(const auto before, txn.get(given_key(work.hash)));
  if (before) {
    TRY(auto first, parse_before(*before));
    given.blob = std::move(first.blob);
    return base::done();
  }
  auto record = state::value(kRecordVersion);
  record.lp(base::ByteView{given.identity}).lp(given.blob);
  TRY_OK(txn.put(given_key(work.hash), record.bytes()));
  TRY([[maybe_unused]] const auto index, deps.log.append(txn, given.leaf));
  return base::done();
}

void finish(const OnboardingDeps& deps, const attestation::Policy& policy, const std::shared_ptr<Work>& work,
            Result<appraisal::Examined> examined, Done done) {
  auto decided = decide(deps, policy, *work, std::move(examined));
  if (!decided) return done(std::unexpected(std::move(decided).error()));
  auto given = std::make_shared<Given>(*std::move(decided));
  deps.store.write([&deps, work, given](state::WriteTxn& txn) { return commit(deps, *work, *given, txn); },
                   [given, done = std::move(done)](const Status& status) mutable {
                     if (!status) return done(refuse(OnboardStep::process, status.error()));
                     done(given->blob);
                   });
}

Error too_many() { return {Code::unavailable, "too many requests wait for the chain", {}, {}, "Try again."}; }

OnboardStep step_of(const Error& error) {
  return error.code == Code::denied ? OnboardStep::identity : OnboardStep::request;
}

}  // namespace

void RegistryOnboarding::give(const base::Digest32& hash, base::Deadline deadline, Done done) const {
  auto shared = std::make_shared<Done>(std::move(done));
  std::move_only_function<void()> task = [this, hash, deadline, shared] {
    give_here(hash, deadline, std::move(*shared));
  };
  if (deps_.run_waiting(task)) return;
  (*shared)(refuse(OnboardStep::process, too_many()));
}

void RegistryOnboarding::give_here(const base::Digest32& hash, base::Deadline deadline, Done done) const {
  // The contract's own identity of a TD leaves its firmware out, and firmware can measure what it likes.
  if (!deps_.extended_on && !policy_.rules().require_identity) {
    return done(refuse(OnboardStep::measurements,
                       {Code::configuration, "this server cannot tell by whose firmware another one runs",
                        "registry.identity = extended, or identities in registry.policy", "neither",
                        "Set one of them on this server, then ask again."}));
  }
  auto before = given_before(deps_.store, hash);
  if (!before) return done(refuse(OnboardStep::process, std::move(before).error()));
  if (*before) {
    // Perhaps the first answer never arrived, and the contract takes the server back in the meantime.
    auto still = deps_.contract.onboarding(hash, (*before)->identity, deadline);
    if (!still) return done(refuse(step_of(still.error()), std::move(still).error()));
    return done(std::move((*before)->blob));
  }
  if (const auto usable = deps_.store.clock_usable(); !usable)
    return done(refuse(OnboardStep::process, usable.error()));
  auto request = deps_.contract.request(hash, deadline);
  if (!request) return done(refuse(OnboardStep::request, std::move(request).error()));
  auto work = std::make_shared<Work>(Work{
      .hash = hash, .request = *std::move(request), .evidence = {}, .now = deps_.store.now(), .deadline = deadline});
  work->evidence = {.format = attestation::detect_format(work->request.attestation),
                    .bytes = work->request.attestation};
  auto shared = std::make_shared<Done>(std::move(done));
  deps_.appraiser.examine_when_ready(
      work->evidence, work->now, work->now, deadline, [this, work, shared](Result<appraisal::Examined> examined) {
        // Not on a thread of the collateral source: the chain may take its time.
        std::move_only_function<void()> task = [this, work, shared, examined = std::move(examined)]() mutable {
          finish(deps_, policy_, work, std::move(examined), std::move(*shared));
        };
        if (!deps_.run_waiting(task)) (*shared)(refuse(OnboardStep::process, too_many()));
      });
}

}  // namespace attestry::provision
