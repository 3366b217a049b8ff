#include "provision/registrar.h"

#include <optional>
#include <variant>

#include "attestation/binding.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/utf8.h"
#include "crypto/hash.h"
#include "crypto/hpke.h"
#include "crypto/x509.h"
#include "governance/grant.h"
#include "provision/pki.h"
#include "provision/release.h"
#include "provision/template.h"
#include "state/keys.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::size_t kCollectedPerCommit = 4;
constexpr std::size_t kRecipientBytes = 34;  // KEM id u16 ‖ X25519 public key

/// The keys that every instance gets; a template may name others.
constexpr keys::Algorithm kInstanceKeys[] = {keys::Algorithm::p256, keys::Algorithm::secp256k1,
                                             keys::Algorithm::ed25519, keys::Algorithm::x25519,
                                             keys::Algorithm::aes256};

std::unexpected<InstanceRefusal> refuse(Error error, std::string verdict_json = {}) {
  return std::unexpected(InstanceRefusal{std::move(error), std::move(verdict_json)});
}

/// Everything that the transaction needs: decided before it, unchanged inside it.
struct Decided {
  appraisal::Fresh fresh;
  base::Tenant tenant;
  base::AppRef app;
  std::uint64_t governance_version = 0;
  audit::Leaf leaf;
  std::string verdict_json;
  bool released = false;
  base::Bytes reply;     ///< sealed bytes, or the JSON of a refusal
  std::string instance;  ///< empty for a refusal
  base::UtcTime expires{};
  std::optional<Error> refusal;
  std::uint64_t leaf_index = 0;
};

std::string refusal_json(const Error& error, const std::string& appraisal) {
  return base::JsonOut{base::JsonOutObject{{"code", base::slug(error.code)},
                                           {"what", error.what},
                                           {"expected", error.expected},
                                           {"found", error.found},
                                           {"remedy", error.remedy},
                                           {"appraisal", appraisal}}}
      .compact();
}

Key appraisal_key(const base::Tenant& tenant, const std::string& sha256_hex) {
  return Key(Space::appraisals, tenant).lp(sha256_hex);
}

/// Everything is said again as it was said first: the nonce is the idempotency key (FORMATS 3).
InstanceOutcome repeat_answer(const RegistrarDeps& deps, const appraisal::SpentNonce& spent,
                              const base::Tenant& tenant) {
  if (spent.released) {
    auto receipt = deps.log.receipt(spent.leaf_index);
    if (!receipt) return refuse(std::move(receipt).error());
    return InstanceReply{spent.reply, std::move(*receipt)};
  }
  const auto rebuilt = [&]() -> Result<InstanceRefusal> {
    TRY(const auto doc, base::JsonDocument::parse(std::string{base::as_text(spent.reply)}));
    const auto text = [&](std::string_view key) -> Result<std::string> {
      TRY(const auto value, doc->root().get(key));
      return value.string(key);
    };
    Error error{Code::denied, {}};
    TRY(error.what, text("what"));
    TRY(error.expected, text("expected"));
    TRY(error.found, text("found"));
    TRY(error.remedy, text("remedy"));
    TRY(const auto appraisal, text("appraisal"));
    TRY(const auto view, deps.store.read());
    TRY(const auto stored, view->get(appraisal_key(tenant, appraisal)));
    std::string verdict;
    if (stored) {
      TRY(const auto in, state::open_value(*stored, kRecordVersion, "appraisal"));
      verdict = std::string{base::as_text(in.rest())};
    }
    return InstanceRefusal{std::move(error), std::move(verdict)};
  }();
  if (!rebuilt) return refuse(rebuilt.error());
  return std::unexpected(*rebuilt);
}

/// Steps 7 and 8: keys, certificate, configuration and secrets of one grant.
class Collector {
 public:
  Collector(const RegistrarDeps& deps, const Issuer& issuer, const governance::Grant& grant, base::UtcTime now)
      : deps_(deps), issuer_(issuer), grant_(grant), now_(now) {}

  Result<Release> collect() {
    Release release;
    release.instance = base::hex(deps_.random.bytes<16>());
    release.leaf_key = deps_.random.secret(32);
    TRY(root_, deps_.roots.app_root(grant_), "app root");
    TRY(const auto certificate,
        issuer_.issue(grant_, root_, deps_.registry.audience(), release.instance, now_, deps_.random));
    release.certificate_chain_pem = certificate.chain_pem;
    release.expires = certificate.not_after;
    for (const auto algorithm : kInstanceKeys) {
      TRY(auto key, keys::derive_key(root_, "app", algorithm, ""));
      release.keys.push_back(std::move(key));
    }
    TRY(auto secrets, deps_.secrets.release(grant_), "secrets");
    for (auto& secret : secrets) release.secrets.emplace_back(secret.info.name, std::move(secret.value));
    TRY_OK(configure(release), "configuration");
    return release;
  }

 private:
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
  crypto::Secret root_;
};

std::string governance_snapshot(const governance::AppState& state) {
  return state.tenant.text() + "/" + state.app.text() + "#" + std::to_string(state.version) + "@" + state.prev;
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
}

class Registration {
 public:
  Registration(const RegistrarDeps& deps, const Issuer& issuer, const InstanceRequest& request, base::Deadline deadline)
      : deps_(deps), issuer_(issuer), request_(request), deadline_(deadline) {}

  /// Either an answer that needs no transaction, or what the transaction has to write.
  std::variant<InstanceOutcome, Decided> decide() {
    if (const auto usable = deps_.store.clock_usable(); !usable) return InstanceOutcome{refuse(usable.error())};
    now_ = deps_.store.now();
    auto fresh = deps_.challenges.check(request_.nonce, base::Purpose::instance_release, request_.body, now_);
    if (!fresh) return InstanceOutcome{refuse(std::move(fresh).error())};
    auto answered = appraisal::Challenges::answered(deps_.store, *fresh);
    if (!answered) return InstanceOutcome{refuse(std::move(answered).error())};
    if (*answered) return repeat_answer(deps_, **answered, request_.tenant);
    auto decided = appraise(std::move(*fresh));
    if (!decided) return InstanceOutcome{std::unexpected(std::move(decided).error())};
    return std::move(*decided);
  }

 private:
  using Step = std::expected<Decided, InstanceRefusal>;

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

  Step appraise(appraisal::Fresh fresh) {
    auto bound_to = statement(fresh);
    if (!bound_to) return refuse(std::move(bound_to).error());
    auto app = deps_.registry.policy_of(request_.tenant, request_.app);
    if (!app) return refuse(std::move(app).error());
    auto verdict = deps_.appraiser.verify(request_.evidence, now_, now_, deadline_);
    if (!verdict) return refuse(std::move(verdict).error());
    auto bound = attestation::bind(*verdict, std::move(*bound_to));
    if (!bound) return refuse(std::move(bound).error(), attestation::to_json(*verdict));
    attestation::Verdict judged = *verdict;
    auto verified = attestation::appraise(app->policy(), std::move(*bound), judged);
    std::string verdict_json = attestation::to_json(judged);
    if (!verified)
      return denied(std::move(fresh), app->state(), judged, std::move(verdict_json), std::move(verified).error());
    auto grant = governance::authorize(*verified, fresh, *app, deps_.registry.realm(), now_);
    if (!grant && grant.error().code == Code::denied) {
      return denied(std::move(fresh), app->state(), judged, std::move(verdict_json), std::move(grant).error());
    }
    if (!grant) return refuse(std::move(grant).error(), std::move(verdict_json));
    return release(std::move(fresh), std::move(*grant), std::move(verdict_json));
  }

  audit::Leaf leaf(std::string type, const governance::AppState& state, const std::string& verdict_json,
                   const base::Digest32& policy, base::ByteView reply) const {
    audit::Leaf out;
    out.type = std::move(type);
    out.realm = deps_.registry.realm();
    out.audience = deps_.registry.audience();
    out.tenant = state.tenant;
    out.app = state.app.text();
    out.time = now_;
    out.appraisal = base::hex(crypto::sha256(base::as_bytes(verdict_json)));
    out.policy = base::hex(policy);
    out.epoch = state.epoch;
    out.reply = base::hex(crypto::sha256(reply));
    return out;
  }

  /// FORMATS 3: a refusal by policy consumes the nonce too and is a leaf.
  Step denied(appraisal::Fresh fresh, const governance::AppState& state, const attestation::Verdict& judged,
              std::string verdict_json, Error error) {
    const std::string appraisal = base::hex(crypto::sha256(base::as_bytes(verdict_json)));
    base::Bytes reply = base::to_bytes(refusal_json(error, appraisal));
    auto entry = leaf("refusal", state, verdict_json, judged.policy_sha256.value_or(base::Digest32{}), reply);
    entry.binding = base::hex(judged.report_data);
    return Decided{.fresh = std::move(fresh),
                   .tenant = state.tenant,
                   .app = state.app,
                   .governance_version = state.version,
                   .leaf = std::move(entry),
                   .verdict_json = std::move(verdict_json),
                   .reply = std::move(reply),
                   .instance = {},
                   .refusal = std::move(error)};
  }

  Step release(appraisal::Fresh fresh, governance::Grant grant, std::string verdict_json) {
    auto collected = Collector{deps_, issuer_, grant, now_}.collect();
    if (!collected) return refuse(std::move(collected).error(), std::move(verdict_json));
    const governance::AppState state = grant.governance();
    auto entry = leaf("release", state, verdict_json, grant.policy_sha256(), {});
    entry.binding = base::hex(grant.binding());
    fill_outputs(entry, *collected, grant);
    auto sealed = seal(std::move(grant), *collected);
    if (!sealed) return refuse(std::move(sealed).error());
    entry.reply = base::hex(crypto::sha256(*sealed));
    return Decided{.fresh = std::move(fresh),
                   .tenant = state.tenant,
                   .app = state.app,
                   .governance_version = state.version,
                   .leaf = std::move(entry),
                   .verdict_json = std::move(verdict_json),
                   .released = true,
                   .reply = std::move(*sealed),
                   .instance = collected->instance,
                   .expires = collected->expires,
                   .refusal = {}};
  }

  const RegistrarDeps& deps_;
  const Issuer& issuer_;
  const InstanceRequest& request_;
  base::Deadline deadline_;
  base::UtcTime now_{};
};

/// Step 10, inside the committer: everything or nothing.
Status commit(const RegistrarDeps& deps, Decided& d, state::WriteTxn& txn) {
  const auto now = deps.store.now();
  TRY_OK(governance::Registry::require_version(txn, d.tenant, d.app, d.governance_version));
  TRY(d.leaf_index, deps.log.append(txn, d.leaf));
  TRY_OK(d.fresh.spend(txn, now, d.released, d.leaf_index, d.reply));
  auto appraisal = state::value(kRecordVersion);
  appraisal.raw(base::as_bytes(d.verdict_json));
  TRY_OK(txn.put(appraisal_key(d.tenant, d.leaf.appraisal), appraisal.bytes()));
  // Every registration adds one nonce and takes a few old ones away, so their number stays bounded without a timer.
  TRY_OK(appraisal::Challenges::collect_expired(txn, now, kCollectedPerCommit));
  if (!d.released) return base::done();
  auto instance = state::value(kRecordVersion);
  instance.lp(d.leaf.appraisal).u64(d.leaf_index).u64(static_cast<std::uint64_t>(d.expires.seconds));
  return txn.put(Key(Space::instances, d.tenant).lp(d.app.bytes()).lp(d.instance), instance.bytes());
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
  if (d.refusal) return refuse(*d.refusal, d.verdict_json);
  auto receipt = deps.log.receipt(d.leaf_index);
  if (!receipt) return refuse(std::move(receipt).error());
  return InstanceReply{d.reply, std::move(*receipt)};
}

}  // namespace

Result<InstanceRequest> InstanceRequest::parse(base::Bytes body) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{base::as_text(body)}), "request body");
  const auto root = doc->root();
  TRY_OK(root.only({"evidence", "csr", "recipient", "nonce", "tenant", "app"}), "request body");
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
  const auto format = attestation::detect_format(evidence);
  return InstanceRequest{.evidence = {format, std::move(evidence)},
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
  auto decided = Registration{deps_, *issuer_, request, deadline}.decide();
  if (auto* outcome = std::get_if<InstanceOutcome>(&decided)) return done(std::move(*outcome));
  auto shared = std::make_shared<Decided>(std::move(std::get<Decided>(decided)));
  deps_.store.write(
      [shared, deps = deps_](state::WriteTxn& txn) { return commit(deps, *shared, txn); },
      [shared, done = std::move(done), deps = deps_](Status status) mutable { done(answer(deps, *shared, status)); });
}

}  // namespace attestry::provision
