#include "provision/registrar.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "appraisal/refusal.h"
#include "appraisal/replay.h"
#include "attestation/binding.h"
#include "attestation/event_logs.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/utf8.h"
#include "crypto/hash.h"
#include "crypto/hpke.h"
#include "crypto/x509.h"
#include "governance/grant.h"
#include "governance/instance_record.h"
#include "provision/pki.h"
#include "provision/release.h"
#include "provision/template.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kCollectedPerCommit = 4;
constexpr std::size_t kRecipientBytes = 34;  // KEM id u16 ‖ X25519 public key
/// Beyond so many waiting writes a failed attempt is answered and not recorded: whoever sends false evidence may not
/// make honest workloads wait.
constexpr std::size_t kBusyStore = 256;

/// The keys that every instance gets; a template may name others.
constexpr std::size_t kMaxOutputs = 64;  // of a leaf
constexpr keys::Algorithm kInstanceKeys[] = {keys::Algorithm::p256, keys::Algorithm::secp256k1,
                                             keys::Algorithm::ed25519, keys::Algorithm::x25519,
                                             keys::Algorithm::aes256};

std::unexpected<InstanceRefusal> refuse(Error error, std::string verdict_json = {}, std::string appraisal = {}) {
  return std::unexpected(InstanceRefusal{std::move(error), std::move(verdict_json), std::move(appraisal)});
}

/// What is stored of a verdict, and beside it.
struct Recorded {
  std::shared_ptr<const appraisal::StoredAppraisal> appraisal;
  appraisal::Entry entry;
  std::string id() const { return base::hex(appraisal->id()); }
};

/// A registration that ended before a leaf, to be recorded.
struct Attempt {
  base::Tenant tenant;
  Recorded recorded;
  Error error;
};

/// Everything that the transaction needs: decided before it, unchanged inside it.
struct Decided {
  appraisal::Fresh fresh;
  base::Tenant tenant;
  base::AppRef app;
  std::uint64_t governance_version = 0;
  std::optional<std::uint64_t> references{};  ///< version of the sets and lists that the policy looked into
  audit::Leaf leaf;
  Recorded recorded;
  bool released = false;
  base::Bytes reply;     ///< sealed bytes, or the JSON of a refusal
  std::string instance;  ///< empty for a refusal
  base::UtcTime expires{};
  std::string source{};  ///< of the identity that matched: who removes it ends the instance
  std::optional<Error> refusal;
  std::uint64_t leaf_index = 0;
};

/// Everything is said again as it was said first: the nonce is the idempotency key (FORMATS 3).
InstanceOutcome repeat_answer(const RegistrarDeps& deps, const appraisal::SpentNonce& spent,
                              const base::Tenant& tenant) {
  if (spent.released) {
    auto receipt = deps.log.receipt(spent.leaf_index);
    if (!receipt) return refuse(std::move(receipt).error());
    return InstanceReply{spent.reply, std::move(*receipt)};
  }
  const auto rebuilt = [&]() -> Result<InstanceRefusal> {
    TRY(auto kept, appraisal::read_refusal(base::as_text(spent.reply)));
    base::Digest32 id{};
    TRY_OK(base::hex_decode_into(kept.appraisal, id), "appraisal");
    auto stored = deps.appraisals.get(tenant, id);
    // An operator's retention may have ended it; what was answered stays answered.
    if (!stored && stored.error().code != Code::not_found) return std::move(stored).error();
    if (!stored) return InstanceRefusal{std::move(kept.error), {}, {}};
    return InstanceRefusal{std::move(kept.error), std::move(stored->verdict_json), std::move(kept.appraisal)};
  }();
  if (!rebuilt) return refuse(rebuilt.error());
  return std::unexpected(*rebuilt);
}

/// Steps 7 and 8: keys, certificate, configuration and secrets of one grant.
class Collector {
 public:
  Collector(const RegistrarDeps& deps, const Issuer& issuer, const governance::Grant& grant, base::UtcTime now,
            base::Deadline deadline)
      : deps_(deps), issuer_(issuer), grant_(grant), now_(now), deadline_(deadline) {}

  Result<Release> collect() {
    Release release;
    release.instance = base::hex(deps_.random.bytes<16>());
    release.leaf_key = deps_.random.secret(32);
    TRY(root_, deps_.roots.app_root(grant_, deadline_), "app root");
    TRY(const auto certificate,
        issuer_.issue(grant_, root_, deps_.registry.audience(), release.instance, now_, deps_.random));
    release.certificate_chain_pem = certificate.chain_pem;
    release.expires = certificate.not_after;
    for (const auto algorithm : kInstanceKeys) {
      TRY(auto key, keys::derive_key(root_, "app", algorithm, ""));
      release.keys.push_back(std::move(key));
    }
    TRY_OK(add_former_keys(release), "keys of former epochs");
    TRY(auto secrets, deps_.secrets.release(grant_), "secrets");
    for (auto& secret : secrets) release.secrets.emplace_back(secret.info.name, std::move(secret.value));
    TRY_OK(configure(release), "configuration");
    return release;
  }

 private:
  /// What was written under them stays readable until operators retire their epochs.
  Status add_former_keys(Release& release) const {
    for (std::uint32_t epoch = grant_.oldest_epoch(); epoch < grant_.epoch(); ++epoch) {
      TRY(const auto root, deps_.roots.app_root(grant_, epoch, deadline_));
      for (const auto algorithm : kInstanceKeys) {
        TRY(auto key, keys::derive_key(root, "app", algorithm, ""));
        release.former_keys.emplace_back(epoch, std::move(key));
      }
    }
    return base::done();
  }

  Status configure(Release& release) {
    const auto& id = grant_.governance().configuration;
    if (!id) return base::done();
    TRY(const auto text, deps_.registry.blob(grant_.tenant(), *id));
    release.configuration_id = base::hex(*id);
    auto expanded =
        expand_template(base::as_text(text), [&](std::string_view reference) { return resolve(release, reference); });
    if (!expanded) {
      // The template is the operators': what is wrong with it is neither a malformed request nor a refusal by policy.
      auto error = std::move(expanded).error();
      error.code = Code::configuration;
      return error;
    }
    release.configuration = std::move(*expanded);
    return base::done();
  }

  Result<std::string> resolve(const Release& release, std::string_view reference) const {
    if (reference == "tenant") return grant_.tenant().text();
    if (reference == "app") return grant_.app().text();
    if (reference == "instance") return release.instance;
    if (reference == "audience") return deps_.registry.audience();
    if (reference.starts_with("secret:")) return secret(release, reference.substr(7));
    if (reference.starts_with("key:")) return key(reference.substr(4));
    return Error{Code::malformed, "unknown reference",
                 "tenant, app, instance, audience, secret:NAME or key:LABEL:ALG:PATH", std::string{reference}};
  }

  Result<std::string> secret(const Release& release, std::string_view name) const {
    for (const auto& [have, value] : release.secrets) {
      if (have != name) continue;
      const auto text = base::as_text(value.reveal());
      if (base::is_utf8(text)) return std::string{text};
      return Error{Code::configuration, "the secret is no text", "UTF-8", std::string{name},
                   "Let the workload read it from `secrets` of its release."};
    }
    return Error{Code::denied,
                 "the app has no approved secret of that name",
                 std::string{name},
                 {},
                 "Store and approve it: attestry secret put, attestry approve secret"};
  }

  Result<std::string> key(std::string_view rest) const {
    const auto first = rest.find(':');
    const auto second = first == std::string_view::npos ? first : rest.find(':', first + 1);
    if (second == std::string_view::npos)
      return Error{Code::malformed, "key reference", "key:LABEL:ALG:PATH", std::string{rest}};
    // The CA's key in a configuration would let every instance issue certificates for every other.
    if (rest.substr(0, first) == kAppCaLabel) {
      return Error{Code::denied, "this label is the service's own", "another label than app-ca", std::string{rest}};
    }
    TRY(const auto algorithm, keys::algorithm_from(rest.substr(first + 1, second - first - 1)));
    TRY(const auto derived, keys::derive_key(root_, rest.substr(0, first), algorithm, rest.substr(second + 1)));
    return base::hex(derived.private_key.reveal());
  }

  const RegistrarDeps& deps_;
  const Issuer& issuer_;
  const governance::Grant& grant_;
  base::UtcTime now_;
  base::Deadline deadline_;
  crypto::Secret root_;
};

std::string governance_snapshot(const governance::AppState& state) {
  return state.tenant.text() + "/" + state.app.text() + "#" + std::to_string(state.version) + "@" + state.prev;
}

/// One for each epoch, over LP(algorithm) and LP(key) of each of its keys (docs/formats/log.md).
void add_former_outputs(audit::Leaf& leaf, const Release& release) {
  for (auto at = release.former_keys.begin(); at != release.former_keys.end() && leaf.outputs.size() < kMaxOutputs;) {
    const std::uint32_t epoch = at->first;
    base::LpWriter all;
    for (; at != release.former_keys.end() && at->first == epoch; ++at)
      all.lp(keys::to_text(at->second.algorithm)).lp(at->second.private_key.reveal());
    auto bytes = std::move(all).take();
    const auto wiped = crypto::Secret::absorb(bytes);
    const std::string label = "keys/epoch/" + std::to_string(epoch);
    leaf.outputs[label] = audit::commitment(release.leaf_key, label, wiped.reveal());
  }
}

void fill_outputs(audit::Leaf& leaf, const Release& release, const governance::Grant& grant) {
  const auto& k = release.leaf_key;
  leaf.governance = audit::commitment(k, "governance", base::as_bytes(governance_snapshot(grant.governance())));
  leaf.outputs["certificate"] = audit::commitment(k, "certificate", base::as_bytes(release.certificate_chain_pem));
  leaf.outputs["instance"] = audit::commitment(k, "instance", base::as_bytes(release.instance));
  if (!release.configuration_id.empty()) {
    leaf.outputs["configuration"] = audit::commitment(k, "configuration", release.configuration.reveal());
  }
  for (const auto& key : release.keys) {
    const std::string label = "key/" + key.purpose + "/" + std::string{keys::to_text(key.algorithm)};
    leaf.outputs[label] = audit::commitment(k, label, key.private_key.reveal());
  }
  for (const auto& [name, value] : release.secrets) {
    const std::string label = "secret/" + name;
    // The leaf has room for 64 outputs; what stands beyond is covered by the digest of the reply.
    if (leaf.outputs.size() < 60) leaf.outputs[label] = audit::commitment(k, label, value.reveal());
  }
  add_former_outputs(leaf, release);
}

class Registration {
 public:
  Registration(const RegistrarDeps& deps, const Issuer& issuer, InstanceRequest request, base::Deadline deadline)
      : deps_(deps), issuer_(issuer), request_(std::move(request)), deadline_(deadline) {}

  const attestation::Evidence& evidence() const noexcept { return request_.evidence; }
  base::UtcTime now() const noexcept { return now_; }

  /// An answer that needs neither verdict nor transaction, if there is one.
  std::optional<InstanceOutcome> begin() {
    if (const auto usable = deps_.store.clock_usable(); !usable) return InstanceOutcome{refuse(usable.error())};
    now_ = deps_.store.now();
    auto fresh = deps_.challenges.check(request_.nonce, base::Purpose::instance_release, request_.body, now_);
    if (!fresh) return InstanceOutcome{refuse(std::move(fresh).error())};
    auto answered = appraisal::Challenges::answered(deps_.store, *fresh);
    if (!answered) return InstanceOutcome{refuse(std::move(answered).error())};
    if (*answered) return repeat_answer(deps_, **answered, request_.tenant);
    auto bound_to = statement(*fresh);
    if (!bound_to) return InstanceOutcome{refuse(std::move(bound_to).error())};
    auto app = deps_.registry.policy_of(request_.tenant, request_.app, now_);
    if (!app) return InstanceOutcome{refuse(std::move(app).error())};
    fresh_ = std::move(*fresh);
    bound_to_ = std::move(*bound_to);
    app_ = std::move(*app);
    return std::nullopt;
  }

  /// After begin(): an answer that needs no transaction, or what the transaction has to write.
  std::variant<InstanceOutcome, Decided, Attempt> decide(Result<appraisal::Examined> examined) {
    auto decided = appraise(std::move(examined));
    if (decided) return std::move(*decided);
    if (!attempt_) return InstanceOutcome{refuse(std::move(decided).error())};
    attempt_->entry.origin = appraisal::Origin::attempt;
    attempt_->entry.refusal_json = base::JsonOut{appraisal::error_json(decided.error())}.compact();
    return Attempt{request_.tenant, std::move(*attempt_), std::move(decided).error()};
  }

 private:
  Result<attestation::BindingStatement> statement(const appraisal::Fresh& fresh) const {
    TRY(const auto csr, crypto::parse_csr(request_.csr), "csr");
    if (request_.recipient.size() != kRecipientBytes || request_.recipient[0] != 0 ||
        request_.recipient[1] != (crypto::kHpkeKemX25519 & 0xff)) {
      return Error{Code::malformed, "recipient", "KEM id 0x0020 and 32 bytes of X25519 public key",
                   std::to_string(request_.recipient.size()) + " bytes"};
    }
    return attestation::BindingStatement{.purpose = fresh.purpose(),
                                         .audience = deps_.registry.audience(),
                                         .nonce = fresh.nonce(),
                                         .tenant = request_.tenant,
                                         .app = request_.app,
                                         .csr_spki = csr.spki,
                                         .recipient = request_.recipient};
  }

  /// An error with attempt_ set had a verdict.
  Result<Decided> appraise(Result<appraisal::Examined> maybe) {
    TRY(auto examined, std::move(maybe));
    appraisal::Fresh fresh = *std::exchange(fresh_, std::nullopt);
    const governance::AppPolicy& app = *app_;
    appraisal::AppraisalInputs inputs{.evidence = request_.evidence,
                                      .collateral = std::move(examined.collateral),
                                      .at = now_,
                                      .anchors = deps_.appraiser.verifier().anchors(),
                                      .policy = app.policy(),
                                      .lists = app.lists(),
                                      .binding = std::exchange(bound_to_, std::nullopt)};
    auto judged = appraisal::judge(std::move(examined.verdict), inputs);
    auto recorded = record(std::move(inputs), judged.verdict);
    // Before the policy was asked nothing is a refusal by it: no leaf, and the nonce stays good.
    if (judged.refusal && judged.refusal->code != Code::denied) {
      attempt_ = std::move(recorded);
      return *std::move(judged.refusal);
    }
    if (judged.refusal) {
      return denied(std::move(fresh), app.state(), judged.verdict, std::move(recorded), *std::move(judged.refusal));
    }
    source_ = source_of(judged.verdict);
    auto grant = governance::authorize(*judged.verified, fresh, app, deps_.registry.realm(), now_);
    if (!grant && grant.error().code == Code::denied) {
      return denied(std::move(fresh), app.state(), judged.verdict, std::move(recorded), std::move(grant).error());
    }
    if (!grant) {
      attempt_ = std::move(recorded);
      return std::move(grant).error();
    }
    attempt_ = recorded;
    TRY(auto decided, release(std::move(fresh), std::move(*grant), std::move(recorded)));
    attempt_.reset();
    return decided;
  }

  /// The check repeats where the identity that matched came from.
  static std::string source_of(const attestation::Verdict& verdict) {
    const auto found = std::ranges::find(verdict.checks, attestation::CheckId::policy_measurement_allowed,
                                         &attestation::CheckResult::check);
    return found == verdict.checks.end() ? std::string{} : found->detail;
  }

  Recorded record(appraisal::AppraisalInputs inputs, const attestation::Verdict& verdict) const {
    appraisal::Entry entry{.stored = now_, .app = request_.app.text(), .summary = appraisal::summary_of(verdict)};
    return {std::make_shared<const appraisal::StoredAppraisal>(
                appraisal::StoredAppraisal::make(std::move(inputs), attestation::to_json(verdict))),
            std::move(entry)};
  }

  audit::Leaf leaf(std::string type, const governance::AppState& state, const Recorded& recorded,
                   const base::Digest32& policy, base::ByteView reply) const {
    audit::Leaf out;
    out.type = std::move(type);
    out.realm = deps_.registry.realm();
    out.audience = deps_.registry.audience();
    out.tenant = state.tenant;
    out.app = state.app.text();
    out.time = now_;
    out.appraisal = recorded.id();
    out.policy = base::hex(policy);
    out.epoch = state.epoch;
    out.reply = base::hex(crypto::sha256(reply));
    return out;
  }

  /// FORMATS 3: a refusal by policy consumes the nonce too and is a leaf.
  Decided denied(appraisal::Fresh fresh, const governance::AppState& state, const attestation::Verdict& judged,
                 Recorded recorded, Error error) {
    recorded.entry.origin = appraisal::Origin::refusal;
    recorded.entry.refusal_json = base::JsonOut{appraisal::error_json(error)}.compact();
    base::Bytes reply = base::to_bytes(appraisal::refusal_json(error, recorded.id()));
    auto entry = leaf("refusal", state, recorded, judged.policy_sha256.value_or(base::Digest32{}), reply);
    entry.binding = base::hex(judged.report_data);
    return Decided{.fresh = std::move(fresh),
                   .tenant = state.tenant,
                   .app = state.app,
                   .governance_version = state.version,
                   .references = state.references,
                   .leaf = std::move(entry),
                   .recorded = std::move(recorded),
                   .reply = std::move(reply),
                   .instance = {},
                   .refusal = std::move(error)};
  }

  Result<Decided> release(appraisal::Fresh fresh, governance::Grant grant, Recorded recorded) {
    TRY(const auto collected, (Collector{deps_, issuer_, grant, now_, deadline_}.collect()));
    const governance::AppState state = grant.governance();
    recorded.entry.origin = appraisal::Origin::release;
    auto entry = leaf("release", state, recorded, grant.policy_sha256(), {});
    entry.binding = base::hex(grant.binding());
    fill_outputs(entry, collected, grant);
    TRY(auto sealed, seal(std::move(grant), collected));
    entry.reply = base::hex(crypto::sha256(sealed));
    return Decided{.fresh = std::move(fresh),
                   .tenant = state.tenant,
                   .app = state.app,
                   .governance_version = state.version,
                   .references = state.references,
                   .leaf = std::move(entry),
                   .recorded = std::move(recorded),
                   .released = true,
                   .reply = std::move(sealed),
                   .instance = collected.instance,
                   .expires = collected.expires,
                   .source = std::move(source_),
                   .refusal = {}};
  }

  const RegistrarDeps& deps_;
  const Issuer& issuer_;
  const InstanceRequest request_;
  const base::Deadline deadline_;
  base::UtcTime now_{};
  std::optional<appraisal::Fresh> fresh_;
  std::optional<attestation::BindingStatement> bound_to_;
  std::optional<governance::AppPolicy> app_;
  std::string source_;               ///< of the identity that let the instance in
  std::optional<Recorded> attempt_;  ///< what an error of appraise() is to be recorded with
};

/// Step 10, inside the committer: everything or nothing.
Status commit(const RegistrarDeps& deps, Decided& d, state::WriteTxn& txn) {
  const auto now = deps.store.now();
  TRY_OK(governance::Registry::require_version(txn, d.tenant, d.app, d.governance_version, d.references));
  TRY(d.leaf_index, deps.log.append(txn, d.leaf));
  TRY_OK(d.fresh.spend(txn, now, d.released, d.leaf_index, d.reply));
  d.recorded.entry.leaf_index = d.leaf_index;
  TRY_OK(deps.appraisals.put(txn, d.tenant, *d.recorded.appraisal, d.recorded.entry));
  // Every registration adds one nonce and takes a few old ones away, so their number stays bounded without a timer.
  TRY_OK(appraisal::Challenges::collect_expired(txn, now, kCollectedPerCommit));
  if (!d.released) return base::done();
  return governance::put_instance(
      txn, d.tenant, d.app, d.instance,
      {.appraisal = d.leaf.appraisal, .leaf_index = d.leaf_index, .expires = d.expires, .source = d.source});
}

InstanceOutcome answer(const RegistrarDeps& deps, const Decided& d, const Status& status) {
  if (!status) {
    // Another request with the same nonce was faster, or its acknowledgement was lost: the nonce row tells what
    // happened.
    if (status.error().code == Code::replayed) {
      const auto answered = appraisal::Challenges::answered(deps.store, d.fresh);
      if (!answered) return refuse(answered.error());
      if (*answered) return repeat_answer(deps, **answered, d.tenant);
    }
    return refuse(status.error());
  }
  if (d.refusal) return refuse(*d.refusal, d.recorded.appraisal->verdict_json(), d.recorded.id());
  auto receipt = deps.log.receipt(d.leaf_index);
  if (!receipt) return refuse(std::move(receipt).error());
  return InstanceReply{d.reply, std::move(*receipt)};
}

/// Recorded or not, the answer is the same refusal; with an id only when somebody can ask for it.
void answer_attempt(const RegistrarDeps& deps, Attempt attempt, std::move_only_function<void(InstanceOutcome)> done) {
  auto shared = std::make_shared<Attempt>(std::move(attempt));
  if (deps.store.stats().queued > kBusyStore) {
    return done(refuse(std::move(shared->error), shared->recorded.appraisal->verdict_json()));
  }
  deps.store.write(
      [shared, &appraisals = deps.appraisals](state::WriteTxn& txn) {
        return appraisals.put(txn, shared->tenant, *shared->recorded.appraisal, shared->recorded.entry);
      },
      [shared, done = std::move(done)](Status status) mutable {
        done(refuse(std::move(shared->error), shared->recorded.appraisal->verdict_json(),
                    status ? shared->recorded.id() : std::string{}));
      });
}

using Done = std::move_only_function<void(InstanceOutcome)>;

/// Steps 5 to 10.
void go_on_here(const RegistrarDeps& deps, Registration& work, Result<appraisal::Examined> examined, Done done) {
  auto decided = work.decide(std::move(examined));
  if (auto* outcome = std::get_if<InstanceOutcome>(&decided)) return done(std::move(*outcome));
  if (auto* attempt = std::get_if<Attempt>(&decided)) {
    return answer_attempt(deps, std::move(*attempt), std::move(done));
  }
  auto shared = std::make_shared<Decided>(std::move(std::get<Decided>(decided)));
  deps.store.write(
      [shared, deps](state::WriteTxn& txn) { return commit(deps, *shared, txn); },
      [shared, done = std::move(done), deps](Status status) mutable { done(answer(deps, *shared, status)); });
}

}  // namespace

Result<InstanceRequest> InstanceRequest::parse(base::Bytes body) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{base::as_text(body)}, {.max_bytes = kMaxBytes}),
      "request body");
  const auto root = doc->root();
  TRY_OK(root.only({"evidence", "csr", "recipient", "nonce", "tenant", "app", "event_logs"}), "request body");
  const auto bytes_of = [&](std::string_view key) -> Result<base::Bytes> {
    TRY(const auto value, root.get(key));
    TRY(const auto text, value.string(key));
    auto decoded = base::base64url_decode(text);
    if (!decoded) decoded.error().at(key);
    return decoded;
  };
  TRY(auto evidence, bytes_of("evidence"));
  TRY(auto csr, bytes_of("csr"));
  TRY(auto recipient, bytes_of("recipient"));
  TRY(auto nonce, bytes_of("nonce"));
  auto tenant = base::Tenant::standard();
  if (const auto value = root.find("tenant")) {
    TRY(const auto text, value->string("tenant"));
    TRY(tenant, base::Tenant::parse(text));
  }
  TRY(const auto app_value, root.get("app"));
  TRY(const auto app_text, app_value.string("app"));
  TRY(auto app, base::AppRef::parse(app_text));
  std::vector<attestation::Supplement> logs;
  if (const auto value = root.find("event_logs")) TRY_OK(attestation::read_event_logs(*value, logs));
  const auto format = attestation::detect_format(evidence);
  return InstanceRequest{.evidence = {format, std::move(evidence), std::move(logs)},
                         .csr = std::move(csr),
                         .recipient = std::move(recipient),
                         .nonce = std::move(nonce),
                         .tenant = std::move(tenant),
                         .app = std::move(app),
                         .body = std::move(body)};
}

Registrar::Registrar(RegistrarDeps deps) : deps_(deps), issuer_(std::make_unique<Issuer>()) {}
Registrar::~Registrar() = default;

void Registrar::register_instance(const InstanceRequest& request, base::Deadline deadline,
                                  std::move_only_function<void(InstanceOutcome)> done) const {
  auto work = std::make_shared<Registration>(deps_, *issuer_, request, deadline);
  if (auto outcome = work->begin()) return done(std::move(*outcome));
  const attestation::Evidence& evidence = work->evidence();
  const base::UtcTime now = work->now();
  auto go_on = [work = std::move(work), done = std::move(done),
                deps = deps_](Result<appraisal::Examined> examined) mutable {
    if (!deps.roots.waits()) return go_on_here(deps, *work, std::move(examined), std::move(done));
    struct Waiting {
      std::shared_ptr<Registration> work;
      Result<appraisal::Examined> examined;
      Done done;
      RegistrarDeps deps;
    };
    auto waiting = std::make_shared<Waiting>(Waiting{work, std::move(examined), std::move(done), deps});
    std::move_only_function<void()> task = [waiting] {
      go_on_here(waiting->deps, *waiting->work, std::move(waiting->examined), std::move(waiting->done));
    };
    if (!deps.run_waiting(task)) {
      waiting->done(refuse(Error{Code::unavailable, "too many registrations wait for the threshold root"}));
    }
  };
  deps_.appraiser.examine_when_ready(evidence, now, now, deadline, std::move(go_on));
}

}  // namespace attestry::provision
