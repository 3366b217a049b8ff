#include "provision/registry_provisioner.h"

#include <algorithm>
#include <utility>

#include "appraisal/replay.h"
#include "attestation/key_binding.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/hash.h"
#include "provision/named_policy.h"
#include "provision/registry_evidence.h"
#include "provision/registry_grants.h"
#include "provision/registry_pki.h"
#include "state/keys.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::uint8_t kRecordVersion = 1;
/// Beyond so many waiting writes a refusal is answered and not recorded, as for the main job.
constexpr std::size_t kBusyStore = 256;

state::Key used_key(const base::Tenant& tenant, const base::Digest32& evidence) {
  return state::Key(state::Space::used_evidence, tenant).lp(base::ByteView{evidence});
}

std::string error_json(const Error& error) {
  return base::JsonOut{base::JsonOutObject{{"code", base::slug(error.code)},
                                           {"what", error.what},
                                           {"expected", error.expected},
                                           {"found", error.found},
                                           {"remedy", error.remedy}}}
      .compact();
}

/// What is stored of evidence that was judged.
struct Recorded {
  std::shared_ptr<const appraisal::StoredAppraisal> appraisal;
  appraisal::Entry entry;
};

/// Everything that the transaction needs.
struct Decided {
  governance::ContractApproval approval;
  audit::Leaf leaf;
  std::optional<Recorded> recorded;
  std::optional<base::Digest32> used{};    ///< evidence that is used up
  bool first_use = false;                  ///< it must not have been used before
  std::optional<ContractGrant> granted{};  ///< what is to be remembered
  RegistryReply reply;
};

class Provisioning {
 public:
  Provisioning(const RegistryProvisionerDeps& deps, const RegistryRules& rules, OpenedSecrets& secrets,
               RegistryRegistration request, base::Deadline deadline)
      : deps_(deps), rules_(rules), secrets_(secrets), request_(std::move(request)), deadline_(deadline) {}

  /// Up to the evidence; false when `refusal()` says why it ends here.
  bool begin() {
    if (const auto usable = deps_.store.clock_usable(); !usable) return fail(RegistryStep::record, usable.error());
    now_ = deps_.store.now();
    auto csr = crypto::parse_csr_full(request_.csr);
    if (!csr) return fail(RegistryStep::csr, std::move(csr).error());
    csr_ = std::move(*csr);
    if (request_.vouched) return true;
    auto carried = carried_evidence(*csr_, request_.client_certificate.get());
    if (!carried) return fail(RegistryStep::measurements, std::move(carried).error());
    carried_ = std::move(*carried);
    return true;
  }

  bool has_evidence() const noexcept { return carried_.has_value(); }
  const attestation::Evidence& evidence() const noexcept { return carried_->evidence; }
  base::UtcTime now() const noexcept { return now_; }
  base::Deadline deadline() const noexcept { return deadline_; }
  const RegistryRefusal& refusal() const noexcept { return *refusal_; }
  /// Its digest, when it was read and counts once.
  std::optional<base::Digest32> evidence_used() const {
    if (!carried_ || !rules_.evidence_once) return std::nullopt;
    return crypto::sha256(carried_->evidence.bytes);
  }
  std::optional<Recorded> take_recorded() { return std::exchange(recorded_, std::nullopt); }
  const base::Tenant& tenant() const noexcept { return rules_.tenant; }
  const curves::Address& app() const noexcept { return request_.contract; }

  /// After begin(): nullopt when `refusal()` says why not.
  std::optional<Decided> decide(std::optional<Result<appraisal::Examined>> examined) {
    auto key = measured(std::move(examined));
    if (!key) return std::nullopt;
    auto approval = allowed(*key);
    if (!approval) return std::nullopt;
    auto grant = governance::authorize(*key, *approval, deps_.store.realm(), now_);
    if (!grant) {
      fail(RegistryStep::denied, std::move(grant).error());
      return std::nullopt;
    }
    return release(*key, *grant, *std::move(approval));
  }

 private:
  bool fail(RegistryStep step, Error error, std::string subject = {}) {
    refusal_ = RegistryRefusal{.step = step, .error = std::move(error), .subject = std::move(subject)};
    return false;
  }

  std::optional<governance::MeasuredKey> measured(std::optional<Result<appraisal::Examined>> examined) {
    if (!examined) {
      measurements_ = *request_.vouched;
      return governance::MeasuredKey::vouched(request_.voucher, csr_->spki, deps_.store.realm(),
                                              now_ + rules_.vouched_seconds);
    }
    auto key = appraise(*std::move(examined));
    if (!key) {
      fail(RegistryStep::measurements, std::move(key).error());
      return std::nullopt;
    }
    auto measurements = measurements_of_workload(key->verdict());
    if (!measurements) {
      fail(RegistryStep::measurements, std::move(measurements).error());
      return std::nullopt;
    }
    measurements_ = *measurements;
    return governance::MeasuredKey::proven(*std::move(key));
  }

  Result<attestation::VerifiedKey> appraise(Result<appraisal::Examined> maybe) {
    TRY(auto examined, std::move(maybe));
    const auto report_data = attestation::key_report_data(csr_->spki);
    appraisal::AppraisalInputs inputs{.evidence = carried_->evidence,
                                      .collateral = std::move(examined.collateral),
                                      .at = now_,
                                      .anchors = deps_.appraiser.verifier().anchors(),
                                      .policy = rules_.policy,
                                      .report_data = base::to_bytes(report_data)};
    attestation::Verdict verdict = std::move(examined.verdict);
    auto key = attestation::appraise_key(rules_.policy, verdict, csr_->spki);
    recorded_ =
        Recorded{.appraisal = std::make_shared<const appraisal::StoredAppraisal>(
                     appraisal::StoredAppraisal::make(std::move(inputs), attestation::to_json(verdict))),
                 .entry = {.stored = now_,
                           .app = governance::contract_app(deps_.authority.chain_id(), request_.contract).text(),
                           .summary = appraisal::summary_of(verdict)}};
    return key;
  }

  /// Storage may have taken longer than blocks take to come: what is recorded is what was allowed last.
  std::optional<governance::Grant> renew(const governance::MeasuredKey& key, governance::ContractApproval& approval) {
    auto renewed = deps_.authority.renew(*question_, std::move(approval), deadline_);
    if (!renewed) {
      const Code code = renewed.error().code;
      const auto otherwise = code == Code::conflict ? RegistryStep::record : RegistryStep::allowed;
      fail(code == Code::denied ? RegistryStep::denied : otherwise, std::move(renewed).error(), identity_);
      return std::nullopt;
    }
    approval = *std::move(renewed);
    auto grant = governance::authorize(key, approval, deps_.store.realm(), now_);
    if (grant) return *std::move(grant);
    fail(RegistryStep::denied, std::move(grant).error());
    return std::nullopt;
  }

  std::optional<governance::ContractApproval> allowed(const governance::MeasuredKey& key) {
    const OperatorRules rules{.v1 = rules_.operator_v1,
                              .digest = rules_.operator_digest,
                              .chain_id = deps_.authority.chain_id(),
                              .contract = request_.contract,
                              .now = now_};
    auto signer = recover_operator(*csr_, rules);
    if (!signer) {
      fail(RegistryStep::operator_signature, std::move(signer).error());
      return std::nullopt;
    }
    governance::ContractQuestion& question =
        question_.emplace(governance::ContractQuestion{.tenant = rules_.tenant,
                                                       .contract = request_.contract,
                                                       .identity = measurements_.identity(request_.contract),
                                                       .operator_address = signer->address,
                                                       .mrtd = measurements_.mrtd,
                                                       .domain_names = csr_->dns,
                                                       .verdict = key.verdict()});
    if (key.verdict() != nullptr) {
      if (const auto facts = tdx_facts(*key.verdict(), deps_.authority.chain_id(), request_.contract)) {
        question.extended = extended_identity(*facts);
      }
    }
    identity_ = base::hex(question.identity);
    operator_address_ = question.operator_address;
    auto approval = deps_.authority.decide(question, deadline_);
    if (!approval) {
      const bool denied = approval.error().code == Code::denied;
      fail(denied ? RegistryStep::denied : RegistryStep::allowed, std::move(approval).error(), identity_);
      return std::nullopt;
    }
    if (auto accepted = contract_policies(key, *approval); !accepted) {
      const Code code = accepted.error().code;
      const bool denied = code == Code::denied || code == Code::evidence_false;
      fail(denied ? RegistryStep::denied : RegistryStep::policy, std::move(accepted).error(), identity_);
      return std::nullopt;
    }
    return *std::move(approval);
  }

  /// The policies that contracts name, besides this server's own: the app's, and the key service's for this app.
  Status contract_policies(const governance::MeasuredKey& key, const governance::ContractApproval& approval) const {
    TRY_OK(contract_policy(key, approval.answer().policy, "app"));
    return contract_policy(key, approval.answer().service_policy, "key service");
  }

  Status contract_policy(const governance::MeasuredKey& key, const std::optional<base::Digest32>& digest,
                         std::string_view whose) const {
    if (!digest) return base::done();
    const std::string contract = "the " + std::string{whose} + "'s contract";
    if (key.verdict() == nullptr) {
      return Error{Code::denied, contract + " names a policy, and a proxy's word cannot be appraised", "evidence",
                   std::string{governance::to_text(key.voucher())}};
    }
    TRY(const auto policy, named_policy(deps_.registry, rules_.tenant, *digest, whose));
    attestation::Verdict verdict = *key.verdict();
    TRY_OK(attestation::appraise_key(policy, verdict, key.spki()), "policy of " + contract);
    return base::done();
  }

  std::optional<Decided> release(const governance::MeasuredKey& key, const governance::Grant& grant,
                                 governance::ContractApproval approval) {
    auto keys = deps_.keys.app_keys(grant);
    if (!keys) {
      fail(RegistryStep::key, std::move(keys).error());
      return std::nullopt;
    }
    RegistryRelease out;
    if (!certify(grant, approval, **keys, out)) return std::nullopt;
    if (request_.with_configuration && !configure(grant, approval, **keys, out)) return std::nullopt;
    out.leaf_key = deps_.random.secret(32);
    // May wait for this server's own evidence.
    auto body = request_.encode(out);
    if (!body) {
      fail(RegistryStep::key, std::move(body).error());
      return std::nullopt;
    }
    const auto renewed = renew(key, approval);
    if (!renewed) return std::nullopt;
    Decided decided{.approval = std::move(approval), .leaf = {}, .recorded = take_recorded(), .reply = {}};
    decided.reply.body = *std::move(body);
    decided.leaf = leaf(*renewed, out, decided);
    decided.reply.leaf_key = std::move(out.leaf_key);
    decided.used = evidence_used();
    decided.first_use = carried_ && !carried_->key_proved;
    if (rules_.remember_grants) {
      const governance::ContractAnswer& answer = decided.approval.answer();
      decided.granted = ContractGrant{.contract = request_.contract,
                                      .identity = answer.identity,
                                      .operator_address = operator_address_,
                                      .block = answer.version};
    }
    return decided;
  }

  /// What an app's operators list may not be another app's name, nor stand for names that nobody listed.
  static std::vector<std::string> own_names(std::vector<std::string> listed) {
    std::erase_if(
        listed, [](const std::string& name) { return name.find('*') != std::string::npos || name.ends_with(".app"); });
    return listed;
  }

  bool certify(const governance::Grant& grant, const governance::ContractApproval& approval,
               const keys::RegistryAppKeys& keys, RegistryRelease& out) {
    out.app_privkey_pem = registry_app_privkey_pem(keys);
    const std::int64_t until = grant.expires().seconds - now_.seconds;
    auto leaf = registry_leaf_pem(keys, request_.contract, *csr_,
                                  {.strict = rules_.strict_names, .domains = own_names(approval.answer().domain_names)},
                                  now_, deps_.random, std::min(until, rules_.certificate_seconds));
    if (!leaf) return fail(RegistryStep::certificate, std::move(leaf).error());
    out.leaf_pem = *std::move(leaf);
    return true;
  }

  bool configure(const governance::Grant& grant, const governance::ContractApproval& approval,
                 const keys::RegistryAppKeys& keys, RegistryRelease& out) {
    const auto& id = grant.governance().configuration;
    if (!id) {
      return fail(RegistryStep::config_lookup,
                  {Code::denied, "Config not mapped", "a configuration for the identity", {}}, identity_);
    }
    auto uris = approval.answer().storage;
    if (uris.size() > rules_.most_storage) uris.resize(rules_.most_storage);
    auto store = deps_.open_storage(grant, keys, uris);
    if (!store) return fail(RegistryStep::storage, std::move(store).error());
    const blobs::Place configs{.tenant = rules_.tenant, .app = grant.app(), .type = blobs::Type::config};
    auto text = (*store)->get(configs, *id, deadline_);
    if (!text) return fail(RegistryStep::config_fetch, std::move(text).error(), base::hex(*id));
    const TemplateSources sources{
        .fetch_many = [&](std::span<const RegistryReference> wanted) { return fetch(**store, configs, wanted); },
        .open_secret = [&](base::ByteView blob) { return secrets_.open(keys.app, request_.contract, blob); }};
    auto rendered = render_registry_template(base::as_text(*text), sources, rules_.templates);
    if (!rendered) return fail(RegistryStep::config_render, std::move(rendered).error());
    out.configuration = std::move(rendered->text);
    return true;
  }

  std::vector<Result<base::Bytes>> fetch(blobs::BlobStore& store, blobs::Place place,
                                         std::span<const RegistryReference> wanted) const {
    std::vector<blobs::Wanted> all;
    all.reserve(wanted.size());
    for (const RegistryReference& reference : wanted) {
      place.type = reference.type == ReferenceType::config ? blobs::Type::config : blobs::Type::secret;
      all.push_back({place, reference.id});
    }
    return store.get_many(all, deadline_);
  }

  audit::Leaf leaf(const governance::Grant& grant, const RegistryRelease& out, const Decided& decided) const {
    audit::Leaf entry;
    entry.type = "release.registry";
    entry.realm = deps_.store.realm();
    entry.audience = deps_.log.origin();
    entry.tenant = grant.tenant();
    entry.app = grant.app().text();
    entry.time = now_;
    if (decided.recorded) {
      entry.binding = base::hex(grant.binding());
      entry.appraisal = base::hex(decided.recorded->appraisal->id());
      entry.policy = base::hex(grant.policy_sha256());
    }
    const auto commit = [&](std::string_view label, base::ByteView value) {
      return audit::commitment(out.leaf_key, label, value);
    };
    entry.governance = commit("governance", base::as_bytes(grant.governance().prev));
    entry.outputs["identity"] = commit("identity", decided.approval.answer().identity);
    // The account that the contract was asked about, and what it demands beyond the identity.
    const auto& answer = decided.approval.answer();
    if (answer.operator_address) entry.outputs["operator"] = commit("operator", *answer.operator_address);
    if (answer.policy) entry.outputs["policy/contract"] = commit("policy/contract", *answer.policy);
    if (answer.service_policy) entry.outputs["policy/service"] = commit("policy/service", *answer.service_policy);
    // Who vouched is the app's business, except where nobody did.
    const std::string label = voucher() == governance::Voucher::anybody ? "voucher/anybody" : "voucher";
    entry.outputs[label] = commit(label, base::as_bytes(governance::to_text(voucher())));
    entry.outputs["certificate"] = commit("certificate", base::as_bytes(out.leaf_pem));
    entry.outputs["key/app"] = commit("key/app", out.app_privkey_pem.reveal());
    if (out.configuration) entry.outputs["configuration"] = commit("configuration", out.configuration->reveal());
    entry.reply = base::hex(crypto::sha256(base::as_bytes(decided.reply.body)));
    return entry;
  }

  governance::Voucher voucher() const noexcept {
    return request_.vouched ? request_.voucher : governance::Voucher::evidence;
  }

  const RegistryProvisionerDeps& deps_;
  const RegistryRules& rules_;
  OpenedSecrets& secrets_;
  const RegistryRegistration request_;
  const base::Deadline deadline_;
  base::UtcTime now_{};
  std::optional<crypto::CsrFull> csr_;
  std::optional<CarriedEvidence> carried_;
  RegistryMeasurements measurements_{};
  std::string identity_;
  std::optional<governance::ContractQuestion> question_;  ///< its verdict is the measured key's
  curves::Address operator_address_{};
  std::optional<Recorded> recorded_;
  std::optional<RegistryRefusal> refusal_;
};

/// Whoever sees a request later must not be able to send it: used is used, however it came.
Status use_up(state::WriteTxn& txn, const base::Tenant& tenant, const base::Digest32& evidence, base::UtcTime now,
              bool first_use) {
  const auto key = used_key(tenant, evidence);
  TRY(const auto before, txn.get(key));
  if (before && !first_use) return base::done();
  if (before) {
    return Error{Code::replayed, "this evidence was used before", "evidence that was made for this request", "",
                 "Make a new key, new evidence and a new request; or connect with the key's certificate."};
  }
  auto record = state::value(kRecordVersion);
  record.u64(static_cast<std::uint64_t>(now.seconds));
  return txn.put(key, record.bytes());
}

/// Inside the committer: everything or nothing.
Status commit(const RegistryProvisionerDeps& deps, Decided& d, state::WriteTxn& txn) {
  TRY_OK(deps.authority.still_holds(txn, d.approval));
  if (d.used) TRY_OK(use_up(txn, d.approval.tenant(), *d.used, d.leaf.time, d.first_use));
  TRY(d.reply.leaf_index, deps.log.append(txn, d.leaf));
  if (d.granted) {
    const auto appraisal = d.recorded ? std::optional{d.recorded->appraisal->id()} : std::nullopt;
    TRY_OK(remember_grant(txn, d.approval.tenant(), *d.granted, appraisal));
  }
  if (!d.recorded) return base::done();
  d.recorded->entry.origin = appraisal::Origin::release;
  d.recorded->entry.leaf_index = d.reply.leaf_index;
  return deps.appraisals.put(txn, d.approval.tenant(), *d.recorded->appraisal, d.recorded->entry);
}

using Done = std::move_only_function<void(RegistryOutcome)>;

RegistryOutcome answer(const RegistryProvisionerDeps& deps, Decided& d, const Status& status) {
  if (!status) return std::unexpected(RegistryRefusal{.step = RegistryStep::record, .error = status.error()});
  auto receipt = deps.log.receipt(d.reply.leaf_index);
  if (!receipt) {
    return std::unexpected(RegistryRefusal{.step = RegistryStep::record, .error = std::move(receipt).error()});
  }
  d.reply.receipt = *std::move(receipt);
  return std::move(d.reply);
}

/// With an id for `attestry why` when evidence was judged and the store is not busy. Evidence that governance refused
/// is used up like evidence that it accepted: it must not wait in somebody's drawer for the day on which it is allowed.
void refuse(const RegistryProvisionerDeps& deps, Provisioning& work, Done done) {
  RegistryRefusal refusal = work.refusal();
  auto recorded = work.take_recorded();
  if (!recorded || deps.store.stats().queued > kBusyStore) return done(std::unexpected(std::move(refusal)));
  recorded->entry.origin = appraisal::Origin::attempt;
  recorded->entry.refusal_json = error_json(refusal.error);
  auto shared = std::make_shared<Recorded>(*std::move(recorded));
  const auto used = refusal.step == RegistryStep::denied ? work.evidence_used() : std::nullopt;
  deps.store.write(
      [shared, used, tenant = work.tenant(), &appraisals = deps.appraisals](state::WriteTxn& txn) -> Status {
        if (used) TRY_OK(use_up(txn, tenant, *used, shared->entry.stored, false));
        return appraisals.put(txn, tenant, *shared->appraisal, shared->entry);
      },
      [shared, refusal = std::move(refusal), done = std::move(done)](const Status& status) mutable {
        if (status) refusal.appraisal = base::hex(shared->appraisal->id());
        done(std::unexpected(std::move(refusal)));
      });
}

void finish(const RegistryProvisionerDeps& deps, Provisioning& work,
            std::optional<Result<appraisal::Examined>> examined, Done done) {
  auto decided = work.decide(std::move(examined));
  if (!decided) return refuse(deps, work, std::move(done));
  auto shared = std::make_shared<Decided>(*std::move(decided));
  deps.store.write(
      [shared, &deps](state::WriteTxn& txn) { return commit(deps, *shared, txn); },
      [shared, &deps, done = std::move(done)](const Status& status) mutable { done(answer(deps, *shared, status)); });
}

/// Neither a worker of the server nor a thread of the collateral source waits for a chain or for somebody's storage.
void wait_elsewhere(const RegistryProvisionerDeps& deps, const std::shared_ptr<Provisioning>& work,
                    std::optional<Result<appraisal::Examined>> examined, Done done) {
  auto shared_done = std::make_shared<Done>(std::move(done));
  std::move_only_function<void()> task = [&deps, work, shared_done, examined = std::move(examined)]() mutable {
    finish(deps, *work, std::move(examined), std::move(*shared_done));
  };
  if (deps.run_waiting(work->app(), task)) return;
  (*shared_done)(std::unexpected(RegistryRefusal{
      .step = RegistryStep::record,
      .error = {Code::unavailable, "too many registrations wait for the chain or for storage", {}, {}, "Try again."}}));
}

}  // namespace

RegistryProvisioner::RegistryProvisioner(RegistryProvisionerDeps deps, RegistryRules rules)
    : deps_(std::move(deps)), rules_(std::move(rules)) {}
RegistryProvisioner::~RegistryProvisioner() = default;

void RegistryProvisioner::provision(RegistryRegistration request, base::Deadline deadline, Done done) const {
  auto work = std::make_shared<Provisioning>(deps_, rules_, secrets_, std::move(request), deadline);
  if (!work->begin()) return refuse(deps_, *work, std::move(done));
  if (!work->has_evidence()) return wait_elsewhere(deps_, work, std::nullopt, std::move(done));
  const attestation::Evidence& evidence = work->evidence();
  const base::UtcTime now = work->now();
  deps_.appraiser.examine_when_ready(
      evidence, now, now, deadline, [work, this, done = std::move(done)](Result<appraisal::Examined> examined) mutable {
        wait_elsewhere(deps_, work, std::move(examined), std::move(done));
      });
}

}  // namespace attestry::provision
