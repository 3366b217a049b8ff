#include "provision/registry_onboarding.h"

#include <algorithm>
#include <utility>

#include "attestation/key_binding.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"
#include "curves/ecies.h"
#include "governance/contract_authority.h"
#include "provision/named_policy.h"
#include "provision/registry_identity.h"
#include "provision/registry_measurements.h"
#include "provision/registry_pki.h"
#include "state/keys.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

/// What was given for a request before.
struct GivenBefore {
  base::Digest32 identity{};               ///< that the contract allowed then
  std::optional<base::Digest32> policy{};  ///< that it had in force
  base::Bytes blob;
};

struct RegistryOnboarding::Work {
  base::Digest32 hash{};
  governance::OnboardRequest request;
  attestation::Evidence evidence;
  base::UtcTime now{};
  base::Deadline deadline{};
};

namespace {

constexpr std::uint8_t kWithoutPolicy = 1;  ///< records of before, when no contract had one in force
constexpr std::uint8_t kRecordVersion = 2;
constexpr std::size_t kMaxBlob = 4096;

state::Key given_key(const base::Digest32& hash) {
  return state::Key(state::Space::onboarded, base::Tenant::standard()).lp(base::ByteView{hash});
}

Result<base::Digest32> digest_of(base::ByteView bytes, std::string_view what) {
  base::Digest32 out{};
  if (bytes.size() != out.size()) return Error{Code::corrupt, "onboarded server: " + std::string{what}};
  std::ranges::copy(bytes, out.begin());
  return out;
}

Result<GivenBefore> parse_before(base::ByteView stored) {
  const bool old = !stored.empty() && stored.front() == kWithoutPolicy;
  TRY(auto in, state::open_value(stored, old ? kWithoutPolicy : kRecordVersion, "onboarded server"));
  GivenBefore out;
  TRY(const auto identity, in.lp("identity", out.identity.size()));
  TRY(out.identity, digest_of(identity, "identity"));
  TRY(const auto blob, in.lp("blob", kMaxBlob));
  out.blob = base::to_bytes(blob);
  if (old) return out;
  TRY(const auto policy, in.lp("policy", out.identity.size()));
  if (policy.empty()) return out;
  TRY(out.policy, digest_of(policy, "policy"));
  return out;
}

base::Bytes record_of(const GivenBefore& given) {
  auto record = state::value(kRecordVersion);
  record.lp(base::ByteView{given.identity}).lp(given.blob);
  record.lp(given.policy ? base::ByteView{*given.policy} : base::ByteView{});
  return base::to_bytes(record.bytes());
}

Result<std::optional<GivenBefore>> given_before(const state::Store& store, const base::Digest32& hash) {
  TRY(const auto view, store.read());
  TRY(const auto stored, view->get(given_key(hash)));
  if (!stored) return std::optional<GivenBefore>{};
  TRY(auto before, parse_before(*stored));
  return std::optional{std::move(before)};
}

struct Decided {
  GivenBefore given;
  audit::Leaf leaf;
  governance::AskedAt asked{};
};

std::unexpected<OnboardRefusal> refuse(OnboardStep step, Error error) {
  return std::unexpected(OnboardRefusal{.step = step, .error = std::move(error)});
}

/// A request may be withdrawn while it is looked at.
OnboardStep step_of(const Error& error) {
  return error.code == Code::not_found ? OnboardStep::request : OnboardStep::identity;
}

/// All that it commits to stands on the chain, so the request's own hash is the key of its commitments.
audit::Leaf leaf_of(const OnboardingDeps& deps, const governance::OnboardGrant& grant, const base::Digest32& hash,
                    base::UtcTime now, base::ByteView report_data, const GivenBefore& given) {
  const auto key = crypto::Secret::copy_of(hash);
  const auto commit = [&](std::string_view label, base::ByteView value) {
    return audit::commitment(key, label, value);
  };
  audit::Leaf out;
  out.type = "release.onboard";
  out.realm = deps.store.realm();
  out.audience = deps.log.origin();
  out.app = governance::contract_app(deps.contract.chain_id(), deps.contract.address()).text();
  out.time = now;
  out.binding = base::hex(report_data);
  out.policy = base::hex(grant.policy_sha256());
  out.governance = commit("governance", base::as_bytes(grant.snapshot()));
  out.outputs["identity"] = commit("identity", grant.identity());
  out.outputs["operator"] = commit("operator", grant.request().operator_address);
  if (given.policy) out.outputs["policy/service"] = commit("policy/service", *given.policy);
  out.reply = base::hex(crypto::sha256(given.blob));
  return out;
}

/// By which the contract knows the new server.
Result<base::Digest32> identity_of(const OnboardingDeps& deps, const attestation::Verdict& verdict) {
  TRY(const auto measurements, measurements_of(verdict));
  if (!deps.extended_on) return measurements.identity(deps.contract.address());
  const auto facts = tdx_facts(verdict, *deps.extended_on, deps.contract.address());
  if (!facts) return Error{Code::malformed, "evidence that extended identities cover"};
  return extended_identity(*facts);
}

/// The policy that the contract has in force, besides this server's own.
Status appraise_by_contract(const OnboardingDeps& deps, const std::optional<base::Digest32>& digest,
                            attestation::Verdict verdict, const base::FixedBytes<64>& report_data) {
  if (!digest) return base::done();
  TRY(const auto policy, named_policy(deps.registry, deps.tenant, *digest, "key service"));
  TRY_OK(attestation::appraise_report_data(policy, verdict, report_data));
  return base::done();
}

Result<base::Bytes> sealed_master(const OnboardingDeps& deps, const governance::OnboardGrant& grant) {
  TRY(const auto recipient, crypto::ec_public_key_from_pem(grant.request().pubkey), "pubkey");
  TRY(const auto master, deps.master.master(), "master key");
  return curves::ecies_v1_seal(recipient, master.reveal(), deps.random);
}

std::expected<Decided, OnboardRefusal> decide(const OnboardingDeps& deps, const attestation::Policy& policy,
                                              const base::Digest32& hash, const governance::OnboardRequest& request,
                                              base::UtcTime now, base::Deadline deadline,
                                              Result<appraisal::Examined> examined) {
  if (!examined) return refuse(OnboardStep::attestation, std::move(examined).error());
  const auto report_data =
      onboard_report_data(deps.contract.address(), request.pubkey, request.nonce, request.operator_address);
  attestation::Verdict own = examined->verdict;
  const auto report = attestation::appraise_report_data(policy, own, report_data);
  if (!report) return refuse(OnboardStep::attestation, report.error());
  const auto identity = identity_of(deps, report->verdict());
  if (!identity) return refuse(OnboardStep::measurements, identity.error());
  // Asked with the request that was appraised: the master is sealed to the key that the evidence binds, and to none
  // that the contract names by now.
  const auto approval = deps.contract.onboarding(hash, request, *identity, deadline);
  if (!approval) return refuse(step_of(approval.error()), approval.error());
  const auto accepted = appraise_by_contract(deps, approval->policy(), std::move(examined->verdict), report_data);
  if (!accepted) return refuse(OnboardStep::policy, accepted.error());
  const auto grant = governance::authorize_onboarding(*report, *approval, report_data, deps.store.realm(), now);
  if (!grant) return refuse(OnboardStep::identity, grant.error());
  auto sealed = sealed_master(deps, *grant);
  if (!sealed) return refuse(OnboardStep::process, std::move(sealed).error());
  GivenBefore given{.identity = *identity, .policy = approval->policy(), .blob = *std::move(sealed)};
  auto leaf = leaf_of(deps, *grant, hash, now, report_data, given);
  return Decided{.given = std::move(given), .leaf = std::move(leaf), .asked = grant->asked()};
}

/// Inside the committer. Whoever was faster decides what both get.
Status commit(const OnboardingDeps& deps, const base::Digest32& hash, Decided& decided, state::WriteTxn& txn) {
  TRY_OK(deps.contract.still_holds(decided.asked));
  TRY(const auto stored, txn.get(given_key(hash)));
  if (stored) {
    TRY(auto before, parse_before(*stored));
    decided.given.blob = std::move(before.blob);
    if (before.policy == decided.given.policy && before.identity == decided.given.identity) return base::done();
    decided.leaf.reply = base::hex(crypto::sha256(decided.given.blob));
  }
  TRY_OK(txn.put(given_key(hash), record_of(decided.given)));
  TRY([[maybe_unused]] const auto index, deps.log.append(txn, decided.leaf));
  return base::done();
}

Error too_many() { return {Code::unavailable, "too many requests wait for the chain", {}, {}, "Try again."}; }

}  // namespace

void RegistryOnboarding::give(const base::Digest32& hash, base::Deadline deadline, Done done) const {
  auto shared = std::make_shared<Done>(std::move(done));
  std::move_only_function<void()> task = [this, hash, deadline, shared] { look(hash, deadline, std::move(*shared)); };
  if (deps_.run_strangers(task)) return;
  (*shared)(refuse(OnboardStep::process, too_many()));
}

void RegistryOnboarding::wait_for_chain(std::move_only_function<void(Done)> work, Done done) const {
  auto shared = std::make_shared<Done>(std::move(done));
  std::move_only_function<void()> task = [shared, work = std::move(work)]() mutable { work(std::move(*shared)); };
  if (deps_.run_waiting(task)) return;
  (*shared)(refuse(OnboardStep::process, too_many()));
}

void RegistryOnboarding::look(const base::Digest32& hash, base::Deadline deadline, Done done) const {
  if (auto covered = firmware_is_covered(policy_, deps_.extended_on.has_value()); !covered)
    return done(refuse(OnboardStep::measurements, std::move(covered).error()));
  if (const auto usable = deps_.store.clock_usable(); !usable)
    return done(refuse(OnboardStep::process, usable.error()));
  auto request = deps_.contract.request(hash, deadline);
  if (!request) return done(refuse(OnboardStep::request, std::move(request).error()));
  if (onboard_request_hash(request->pubkey, request->nonce, request->operator_address, request->attestation) != hash) {
    return done(refuse(OnboardStep::request, {Code::denied,
                                              "the contract's onboard request has another hash",
                                              base::hex(hash),
                                              {},
                                              "Ask another endpoint of the chain."}));
  }
  auto work = std::make_shared<Work>(Work{
      .hash = hash, .request = *std::move(request), .evidence = {}, .now = deps_.store.now(), .deadline = deadline});
  work->evidence = {.format = attestation::detect_format(work->request.attestation),
                    .bytes = work->request.attestation};
  auto before = given_before(deps_.store, hash);
  if (!before) return done(refuse(OnboardStep::process, std::move(before).error()));
  if (!*before) return examine(std::move(work), std::move(done));
  // Perhaps the first answer never arrived, and the contract takes the server back in the meantime, or puts another
  // policy in force.
  wait_for_chain(
      [this, work, given = **std::move(before)](Done then) mutable {
        auto still = deps_.contract.onboarding(work->hash, work->request, given.identity, work->deadline);
        if (!still) {
          const OnboardStep step = step_of(still.error());
          return then(refuse(step, std::move(still).error()));
        }
        if (still->policy() != given.policy) return examine(std::move(work), std::move(then));
        then(std::move(given.blob));
      },
      std::move(done));
}

void RegistryOnboarding::examine(std::shared_ptr<Work> work, Done done) const {
  auto shared = std::make_shared<Done>(std::move(done));
  const Work& asked = *work;
  deps_.appraiser.examine_when_ready(
      asked.evidence, asked.now, asked.now, asked.deadline, [this, work, shared](Result<appraisal::Examined> examined) {
        // Not on a thread of the collateral source: the chain may take its time.
        wait_for_chain(
            [this, work, examined = std::move(examined)](Done then) mutable {
              auto decided =
                  decide(deps_, policy_, work->hash, work->request, work->now, work->deadline, std::move(examined));
              if (!decided) return then(std::unexpected(std::move(decided).error()));
              auto kept = std::make_shared<Decided>(*std::move(decided));
              deps_.store.write(
                  [this, work, kept](state::WriteTxn& txn) { return commit(deps_, work->hash, *kept, txn); },
                  [kept, then = std::move(then)](const Status& status) mutable {
                    if (!status) return then(refuse(OnboardStep::process, status.error()));
                    then(std::move(kept->given.blob));
                  });
            },
            std::move(*shared));
      });
}

}  // namespace attestry::provision
