#include "provision/registry_onboarding.h"

#include <memory>
#include <utility>

#include "attestation/key_binding.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"
#include "curves/ecies.h"
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

Result<std::optional<base::Bytes>> given_before(const state::Store& store, const base::Digest32& hash) {
  TRY(const auto view, store.read());
  TRY(const auto stored, view->get(given_key(hash)));
  if (!stored) return std::optional<base::Bytes>{};
  TRY(auto in, state::open_value(*stored, kRecordVersion, "onboarded server"));
  TRY(const auto blob, in.lp("blob", kMaxBlob));
  return std::optional{base::to_bytes(blob)};
}

struct Work {
  base::Digest32 hash{};
  governance::OnboardRequest request;
  attestation::Evidence evidence;
  base::UtcTime now{};
  base::Deadline deadline{};
};

struct Given {
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
  const auto report_data = onboard_report_data(deps.contract.address(), work.request.pubkey, work.request.nonce,
                                               work.request.operator_address);
  attestation::Verdict verdict = std::move(examined->verdict);
  auto report = attestation::appraise_report_data(policy, verdict, report_data);
  if (!report) return refuse(OnboardStep::attestation, std::move(report).error());
  const auto measurements = measurements_of(report->verdict());
  if (!measurements) return refuse(OnboardStep::measurements, measurements.error());
  const auto approval =
      deps.contract.onboarding(work.hash, measurements->identity(deps.contract.address()), work.deadline);
  if (!approval) return refuse(OnboardStep::identity, approval.error());
  const auto grant = governance::authorize_onboarding(*report, *approval, report_data, deps.store.realm(), work.now);
  if (!grant) return refuse(OnboardStep::identity, grant.error());
  const auto sealed = [&]() -> Result<base::Bytes> {
    TRY(const auto recipient, crypto::ec_public_key_from_pem(grant->request().pubkey), "pubkey");
    TRY(const auto master, deps.master.master(), "master key");
    return curves::ecies_v1_seal(recipient, master.reveal(), deps.random);
  }();
  if (!sealed) return refuse(OnboardStep::process, sealed.error());
  return Given{.blob = *sealed, .leaf = leaf_of(deps, *grant, work, report_data, *sealed)};
}

/// Inside the committer. Whoever was faster decides what both get.
Status commit(const OnboardingDeps& deps, const Work& work, Given& given, state::WriteTxn& txn) {
  TRY(const auto before, txn.get(given_key(work.hash)));
  if (before) {
    TRY(auto in, state::open_value(*before, kRecordVersion, "onboarded server"));
    TRY(const auto blob, in.lp("blob", kMaxBlob));
    given.blob = base::to_bytes(blob);
    return base::done();
  }
  auto record = state::value(kRecordVersion);
  record.lp(given.blob);
  TRY_OK(txn.put(given_key(work.hash), record.bytes()));
  TRY([[maybe_unused]] const auto index, deps.log.append(txn, given.leaf));
  return base::done();
}

}  // namespace

void RegistryOnboarding::give(const base::Digest32& hash, base::Deadline deadline, Done done) const {
  auto before = given_before(deps_.store, hash);
  if (!before) return done(refuse(OnboardStep::process, std::move(before).error()));
  if (*before) return done(**std::move(before));
  if (const auto usable = deps_.store.clock_usable(); !usable)
    return done(refuse(OnboardStep::process, usable.error()));
  auto request = deps_.contract.request(hash, deadline);
  if (!request) return done(refuse(OnboardStep::request, std::move(request).error()));
  auto work = std::make_shared<Work>(Work{
      .hash = hash, .request = *std::move(request), .evidence = {}, .now = deps_.store.now(), .deadline = deadline});
  work->evidence = {.format = attestation::detect_format(work->request.attestation),
                    .bytes = work->request.attestation};
  deps_.appraiser.examine_when_ready(
      work->evidence, work->now, work->now, deadline,
      [this, work, done = std::move(done)](Result<appraisal::Examined> examined) mutable {
        auto decided = decide(deps_, policy_, *work, std::move(examined));
        if (!decided) return done(std::unexpected(std::move(decided).error()));
        auto given = std::make_shared<Given>(*std::move(decided));
        deps_.store.write([this, work, given](state::WriteTxn& txn) { return commit(deps_, *work, *given, txn); },
                          [given, done = std::move(done)](const Status& status) mutable {
                            if (!status) return done(refuse(OnboardStep::process, status.error()));
                            done(given->blob);
                          });
      });
}

}  // namespace attestry::provision
