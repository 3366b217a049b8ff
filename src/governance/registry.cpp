#include "governance/registry.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/hash.h"
#include "governance/app_state.h"
#include "governance/instance_record.h"
#include "governance/measurement.h"
#include "governance/measurement_record.h"
#include "state/keys.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::size_t kMaxBlob = 1u << 20;
constexpr std::size_t kMaxOperators = 256;
constexpr std::size_t kMaxApps = 100'000;
constexpr std::size_t kMaxApprovals = 100'000;
constexpr std::uint8_t kRecordVersion = 1;

Key app_key(const base::Tenant& tenant, const base::AppRef& app) { return Key(Space::apps, tenant).lp(app.bytes()); }
Key blob_key(const base::Tenant& tenant, const base::Digest32& id) {
  return Key(Space::blobs, tenant).lp(base::ByteView{id});
}
Key approvals_prefix(const base::Tenant& tenant, const base::AppRef& app) {
  return Key(Space::approvals, tenant).lp(app.bytes());
}
/// Marks a revocation as seen, so that sending it again changes nothing even after a later approval of its subject.
Key revocation_key(const Approval& approval, base::ByteView payload_sha256) {
  return Key(Space::identities, approval.tenant).lp(approval.app.bytes()).lp(payload_sha256);
}

Result<std::optional<AppState>> read_app(const state::ReadView& view, const base::Tenant& tenant,
                                         const base::AppRef& app) {
  TRY(const auto stored, view.get(app_key(tenant, app)));
  if (!stored) return std::optional<AppState>{};
  TRY(auto state, decode_app_state(*stored, tenant, app));
  return std::optional{std::move(state)};
}

/// An identity of a set's entry as a policy has it, with where it came from: what rests on it is found by that.
Result<std::string> identity_of(const std::string& json, const std::string& name, const std::string& source) {
  TRY(const auto doc, base::JsonDocument::parse(json), "identity");
  TRY(const auto claims, doc->root().get("claims"));
  return base::JsonOut{base::JsonOutObject{{"name", name},
                                           {"source", source},
                                           {"claims", base::JsonOut::Raw{std::string{claims.source()}}}}}
      .compact();
}

/// The same for an identity that was approved for the app or in its policy. What the document says of its source itself
/// comes behind.
std::string with_source(const base::JsonValue& identity, std::string source) {
  std::string out = "{";
  for (auto member = identity.first(); member; member = member->next()) {
    if (member->key() == "source") {
      if (const auto own = member->string("source"); own.ok()) source.append(" (").append(*own).append(")");
      continue;
    }
    base::append_json_string(out, member->key());
    out.append(":").append(member->source()).append(",");
  }
  out += "\"source\":";
  base::append_json_string(out, source);
  return out + "}";
}

/// One document that covers the approved policy and every approved identity. `identities` is always there, so that an
/// app without any approved identity releases to nobody; `identities_from` stands resolved in `identities`.
std::string compose(const base::JsonValue& policy, const std::vector<std::string>& identities) {
  std::string out = "{";
  std::string list;
  for (auto member = policy.first(); member; member = member->next()) {
    if (member->key() == "identities_from") continue;
    if (member->key() == "identities") {
      for (auto item = member->first(); item; item = item->next())
        list += (list.empty() ? "" : ",") + with_source(*item, policy_source(item->source()));
      continue;
    }
    base::append_json_string(out, member->key());
    out += ":";
    out += member->source();
    out += ",";
  }
  for (const auto& identity : identities) list += (list.empty() ? "" : ",") + identity;
  return out + "\"identities\":[" + list + "]}";
}

/// Only the server says where an identity came from: instances end by that.
Status check_sources(const attestation::Policy& policy) {
  for (const auto& rule : policy.identities()) {
    if (!is_own_source(rule.source)) continue;
    return Error{Code::malformed, "an identity says that it came from a measurement set, or from governance",
                 "no source, or another", rule.source, "Name sets in identities_from of the policy."};
  }
  return base::done();
}

/// What a blob must be to be approved as a policy or an identity: it must parse as what it will be used for.
Status check_document(Action action, const base::Bytes& bytes) {
  const std::string text{base::as_text(bytes)};
  if (action == Action::policy_approve) {
    TRY(const auto policy, attestation::Policy::parse(text), "policy document");
    TRY_OK(check_sources(policy), "policy document");
  } else if (action == Action::identity_approve) {
    TRY(const auto doc, base::JsonDocument::parse(text), "identity document");
    TRY(const auto policy,
        attestation::Policy::parse(R"({"format":1,"name":"check","identities":[)" + std::string{doc->root().source()} +
                                   "]}"),
        "identity document");
    TRY_OK(check_sources(policy), "identity document");
  }
  return base::done();
}

bool names_blob(Action action) {
  return action == Action::policy_approve || action == Action::identity_approve ||
         action == Action::configuration_approve;
}

/// An approval of a secret that nobody stored would make every release of the app fail: refused while the operator
/// watches, and in the same transaction, so that none is approved while it is being removed.
Status check_stored_secret(const state::ReadView& view, const Approval& approval) {
  if (approval.action != Action::secret_approve) return base::done();
  base::Digest32 id{};
  TRY_OK(base::hex_decode_into(approval.subject, id), "subject");
  TRY(const auto stored, view.get(state::secret_key(approval.tenant, approval.app).raw(id)));
  if (stored) return base::done();
  return Error{Code::not_found,
               "the app has no stored secret of that id",
               {},
               approval.subject,
               "Store it first: attestry secret put"};
}

Error too_few_signed(std::size_t threshold, std::size_t voices) {
  return {Code::denied, "too few operators signed", std::to_string(threshold) + " distinct operators",
          std::to_string(voices), "Have an operator of this tenant sign; list them with attestry operator list"};
}

Status check_addressed(const Approval& approval, base::Realm realm, const std::string& audience, base::UtcTime now) {
  if (approval.audience != audience) {
    return Error{Code::denied, "the approval is for another server", audience, approval.audience};
  }
  if (approval.realm != realm) {
    return Error{Code::denied, "the approval is for another realm", std::string{base::to_text(realm)},
                 std::string{base::to_text(approval.realm)}};
  }
  if (approval.expires < now) {
    return Error{Code::denied, "the approval has expired", "expires after " + base::to_rfc3339(now),
                 base::to_rfc3339(approval.expires)};
  }
  return base::done();
}

/// FORMATS 2: seq = last + 1 and prev = digest of the last payload; a revocation is accepted at any seq.
Status check_order(const AppState& state, const Approval& approval) {
  if (approval.action == Action::revoke) return base::done();
  if (approval.seq != state.seq + 1) {
    return Error{Code::conflict, "the approval is out of order or was sent before",
                 "seq " + std::to_string(state.seq + 1), "seq " + std::to_string(approval.seq),
                 "Read the app's state and sign a new approval."};
  }
  if (approval.prev != state.prev) {
    return Error{Code::conflict, "the approval does not follow the last one", "prev " + state.prev,
                 "prev " + approval.prev, "Read the app's state and sign a new approval."};
  }
  const std::string policy = state.policy ? base::hex(*state.policy) : std::string{};
  if (approval.policy_sha256 != policy) {
    return Error{Code::conflict, "the operator saw another policy", policy, approval.policy_sha256,
                 "Read the app's state and sign a new approval."};
  }
  return base::done();
}

/// Operators, among those in the store now, who signed the envelope. Signatures are checked before the transaction;
/// inside it only membership is looked at again, so that the committer does no cryptography.
std::size_t still_operators(const std::vector<base::Bytes>& signers, const std::vector<Operator>& now) {
  return static_cast<std::size_t>(std::ranges::count_if(signers, [&](const base::Bytes& id) {
    return std::ranges::any_of(now,
                               [&](const Operator& o) { return approves(o.right) && std::ranges::equal(o.id(), id); });
  }));
}

audit::Leaf leaf_of(std::string type, base::Realm realm, const std::string& audience, const base::Tenant& tenant,
                    base::UtcTime now) {
  audit::Leaf leaf;
  leaf.type = std::move(type);
  leaf.realm = realm;
  leaf.audience = audience;
  leaf.tenant = tenant;
  leaf.time = now;
  return leaf;
}

/// What the leaf of an operator's enrolment says (docs/formats/approvals.md).
base::Digest32 operator_digest(const Operator& who) {
  if (approves(who.right)) return crypto::sha256(who.id());
  base::LpWriter both;
  both.lp(who.id()).lp(to_text(who.right));
  return crypto::sha256(both.bytes());
}

}  // namespace

Registry::Registry(state::Store& store, audit::Log& log, base::Realm realm, std::string audience)
    : store_(store), log_(log), realm_(realm), audience_(std::move(audience)) {}

Status Registry::set_operator(const base::Tenant& tenant, const Operator& who, base::UtcTime now,
                              base::Deadline deadline) {
  if (who.public_key.has_value() == who.address.has_value())
    return Error{Code::malformed, "operator", "a public key or an address", who.name};
  if (who.name.empty() || who.name.size() > 128)
    return Error{Code::malformed, "operator name", "1 to 128 bytes", who.name};
  if (who.right == OperatorRight::start && !who.address)
    return Error{Code::malformed, "the right to start workloads", "an account's address", "a public key"};
  if (who.right == OperatorRight::both) return Error{Code::malformed, "right", "approve or start", "both"};
  return store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY(const auto present, read_operators(txn, tenant));
        const bool known =
            std::ranges::any_of(present, [&](const Operator& o) { return std::ranges::equal(o.id(), who.id()); });
        if (!known && present.size() >= kMaxOperators)
          return Error{Code::too_large, "too many operators", "at most 256"};
        Operator stored = who;
        stored.since = now;
        TRY_OK(txn.put(operator_key(tenant, who.id()), encode_operator(stored)));
        auto leaf = leaf_of("operator.set", realm_, audience_, tenant, now);
        leaf.reply = base::hex(operator_digest(stored));
        TRY([[maybe_unused]] const auto index, log_.append(txn, leaf));
        return base::done();
      },
      deadline);
}

Status Registry::remove_operator(const base::Tenant& tenant, base::ByteView id, base::UtcTime now,
                                 base::Deadline deadline) {
  return store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        const auto key = operator_key(tenant, id);
        TRY(const auto present, txn.get(key));
        if (!present) return Error{Code::not_found, "no operator of this tenant has that key or address"};
        TRY_OK(txn.erase(key));
        auto leaf = leaf_of("operator.remove", realm_, audience_, tenant, now);
        leaf.reply = base::hex(crypto::sha256(id));
        TRY([[maybe_unused]] const auto index, log_.append(txn, leaf));
        return base::done();
      },
      deadline);
}

Result<std::vector<Operator>> Registry::operators(const base::Tenant& tenant) const {
  TRY(const auto view, store_.read());
  return read_operators(*view, tenant);
}

Result<base::Digest32> Registry::put_blob(const base::Tenant& tenant, base::ByteView bytes, base::Deadline deadline) {
  if (bytes.size() > kMaxBlob) {
    return Error{Code::too_large, "blob", "at most 1048576 bytes", std::to_string(bytes.size()) + " bytes"};
  }
  const base::Digest32 id = crypto::sha256(bytes);
  TRY_OK(store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        auto record = state::value(kRecordVersion);
        record.raw(bytes);
        return txn.put(blob_key(tenant, id), record.bytes());
      },
      deadline));
  return id;
}

Result<base::Bytes> Registry::blob(const base::Tenant& tenant, const base::Digest32& id) const {
  TRY(const auto view, store_.read());
  TRY(const auto stored, view->get(blob_key(tenant, id)));
  if (!stored)
    return Error{Code::not_found, "no blob " + base::hex(id), {}, {}, "Store it first: attestry blob put FILE"};
  TRY(const auto in, state::open_value(*stored, kRecordVersion, "blob"));
  const auto bytes = in.rest();
  if (crypto::sha256(bytes) != id) return Error{Code::corrupt, "blob " + base::hex(id) + " does not have its digest"};
  return base::to_bytes(bytes);
}

Result<AcceptedApproval> Registry::submit(const Envelope& envelope, base::UtcTime now, base::Deadline deadline) {
  if (envelope.payload_type != kApprovalPayloadType) {
    return Error{Code::malformed, "payloadType", std::string{kApprovalPayloadType}, envelope.payload_type};
  }
  TRY(const auto approval, Approval::parse(envelope.payload), "approval");
  TRY_OK(check_addressed(approval, realm_, audience_, now));
  if (names_blob(approval.action)) {
    base::Digest32 id{};
    TRY_OK(base::hex_decode_into(approval.subject, id), "subject");
    TRY(const auto bytes, blob(approval.tenant, id), "subject");
    TRY_OK(check_document(approval.action, bytes), "subject");
  }
  TRY(const auto known, operators(approval.tenant));
  const auto signers = signers_of(envelope, known);
  if (signers.empty()) return too_few_signed(1, 0);  // what nobody signed does not come as far as the committer
  const auto digest = crypto::sha256(base::as_bytes(envelope.payload));
  const std::string digest_text = base::hex(digest);

  std::optional<AcceptedApproval> accepted;
  TRY_OK(store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        accepted.reset();
        TRY(auto present, read_app(txn, approval.tenant, approval.app));
        const bool creates = approval.action == Action::app_create;
        if (creates && present) return Error{Code::conflict, "the app exists already: " + approval.app.text()};
        if (!creates && !present)
          return Error{
              Code::not_found, "no app " + approval.app.text(), {}, {}, "Create it first: attestry app create"};
        AppState state = present ? std::move(*present)
                                 : AppState{.tenant = approval.tenant,
                                            .app = approval.app,
                                            .prev = {},
                                            .policy = {},
                                            .identities = {},
                                            .configuration = {},
                                            .secrets = {}};
        TRY(const auto operators_now, read_operators(txn, approval.tenant));
        const std::size_t voices = still_operators(signers, operators_now);
        if (voices < state.threshold) return too_few_signed(state.threshold, voices);
        TRY_OK(check_order(state, approval));
        TRY_OK(check_stored_secret(txn, approval));
        const auto seen = revocation_key(approval, digest);
        if (approval.action == Action::revoke) {
          TRY(const auto before, txn.get(seen));
          if (before) {  // idempotent: the state stays as it is
            base::Reader in{*before};
            TRY([[maybe_unused]] const auto version, in.u8("version"));
            TRY(const auto index, in.u64be("leaf"));
            accepted = AcceptedApproval{std::move(state), index, digest_text};
            return base::done();
          }
        }
        const bool takes_away = approval.action == Action::revoke || approval.action == Action::policy_approve;
        std::vector<std::string> sources_before;
        if (takes_away) {
          TRY(sources_before, sources(state));
        }
        TRY_OK(apply_approval(state, approval));
        // Each document was good by itself; together they must still be one policy, or every registration would fail.
        if (state.policy &&
            (approval.action == Action::policy_approve || approval.action == Action::identity_approve)) {
          TRY([[maybe_unused]] const auto policy, effective_policy(state, now),
              "together with what is approved already");
        }
        const auto voters = std::ranges::count_if(operators_now, approves, &Operator::right);
        if (approval.action == Action::threshold_set && state.threshold > static_cast<std::size_t>(voters)) {
          return Error{Code::malformed, "the threshold is above the number of operators", std::to_string(voters),
                       approval.subject, "More operators first: attestry operator add"};
        }
        ++state.version;
        ++state.seq;
        state.prev = digest_text;
        auto record = state::value(kRecordVersion);
        record.lp(envelope.to_json());
        TRY_OK(txn.put(approvals_prefix(approval.tenant, approval.app).u64(state.version), record.bytes()));
        TRY_OK(txn.put(app_key(approval.tenant, approval.app), encode_app_state(state)));
        auto leaf =
            leaf_of("approval." + std::string{to_text(approval.action)}, realm_, audience_, approval.tenant, now);
        leaf.app = approval.app.text();
        leaf.policy = state.policy ? base::hex(*state.policy) : std::string{};
        leaf.epoch = state.epoch;
        leaf.reply = digest_text;
        TRY(const auto index, log_.append(txn, leaf));
        if (takes_away) {
          TRY(const auto left, sources(state));
          for (const std::string& source : sources_before) {
            if (std::ranges::find(left, source) != left.end()) continue;
            TRY_OK(bar_source(txn, approval.tenant, approval.app, source, index));
          }
        }
        if (approval.action == Action::revoke) {
          auto mark = state::value(kRecordVersion);
          mark.u64(index);
          TRY_OK(txn.put(seen, mark.bytes()));
        }
        accepted = AcceptedApproval{std::move(state), index, digest_text};
        return base::done();
      },
      deadline));
  if (!accepted) return Error{Code::internal, "the approval was committed without a result"};
  return std::move(*accepted);
}

Result<AppState> Registry::app(const base::Tenant& tenant, const base::AppRef& app) const {
  TRY(const auto view, store_.read());
  TRY(auto state, read_app(*view, tenant, app));
  if (!state) {
    return Error{Code::not_found,
                 "no app " + app.text() + " of tenant " + tenant.text(),
                 {},
                 {},
                 "List them: attestry app list"};
  }
  return std::move(*state);
}

Result<std::vector<AppState>> Registry::apps(const base::Tenant& tenant) const {
  TRY(const auto view, store_.read());
  const Key prefix{Space::apps, tenant};
  std::vector<AppState> found;
  std::optional<Error> broken;
  TRY_OK(view->scan(prefix, {}, kMaxApps, [&](base::ByteView key, base::ByteView value) {
    const auto one = [&]() -> Result<AppState> {
      base::Reader name{key.subspan(prefix.bytes().size())};
      TRY(const auto bytes, name.lp("app", 1024));
      TRY(const auto app, base::AppRef::from_bytes(bytes));
      return decode_app_state(value, tenant, app);
    }();
    if (!one) {
      broken = one.error();
      return false;
    }
    found.push_back(*one);
    return true;
  }));
  if (broken) return *broken;
  return found;
}

Result<std::vector<std::string>> Registry::approvals(const base::Tenant& tenant, const base::AppRef& app) const {
  TRY(const auto view, store_.read());
  std::vector<std::string> found;
  std::optional<Error> broken;
  TRY_OK(view->scan(approvals_prefix(tenant, app), {}, kMaxApprovals, [&](base::ByteView, base::ByteView value) {
    const auto text = [&]() -> Result<std::string> {
      TRY(auto in, state::open_value(value, kRecordVersion, "approval"));
      TRY(const auto json, in.lp("envelope", kMaxBlob));
      return std::string{base::as_text(json)};
    }();
    if (!text) {
      broken = text.error();
      return false;
    }
    found.push_back(*text);
    return true;
  }));
  if (broken) return *broken;
  return found;
}

Result<attestation::Policy> Registry::effective_policy(const AppState& state, base::UtcTime now) const {
  if (!state.policy) {
    return Error{
        Code::denied, "no policy is approved for " + state.app.text(), {}, {}, "Approve one: attestry approve policy"};
  }
  TRY(const auto policy_bytes, blob(state.tenant, *state.policy), "policy");
  const std::string text{base::as_text(policy_bytes)};
  TRY(const auto doc, base::JsonDocument::parse(text), "policy");
  auto sorted = state.identities;
  std::ranges::sort(sorted);
  std::vector<std::string> identities;
  for (const auto& id : sorted) {
    TRY(const auto bytes, blob(state.tenant, id), "identity");
    TRY(const auto identity, base::JsonDocument::parse(std::string{base::as_text(bytes)}), "identity");
    identities.push_back(with_source(identity->root(), identity_source(id)));
  }
  if (doc->root().find("identities_from")) {
    TRY(const auto policy, attestation::Policy::parse(text), "policy");
    for (const auto& reference : policy.rules().identities_from) {
      TRY_OK(add_identities_of(state, reference, now, identities), "set " + reference.name);
    }
  }
  return attestation::Policy::parse(compose(doc->root(), identities));
}

Result<std::vector<std::string>> Registry::sources(const AppState& state) const {
  std::vector<std::string> out;
  for (const auto& id : state.identities) out.push_back(identity_source(id));
  if (!state.policy) return out;
  TRY(const auto bytes, blob(state.tenant, *state.policy), "policy");
  // Not read as a policy: one that an earlier program took and this one refuses must be replaceable.
  TRY(const auto doc, base::JsonDocument::parse(std::string{base::as_text(bytes)}), "policy");
  if (const auto identities = doc->root().find("identities")) {
    for (auto item = identities->first(); item; item = item->next()) out.push_back(policy_source(item->source()));
  }
  if (const auto sets = doc->root().find("identities_from")) {
    for (auto item = sets->first(); item; item = item->next()) {
      const auto name = item->is_object() ? item->find("set") : std::optional{*item};
      const auto text = name ? name->string("set") : Result<std::string>{Error{Code::malformed, "set"}};
      if (text.ok()) out.push_back(text->starts_with("set:") ? *text : "set:" + *text);
    }
  }
  return out;
}

/// Of each entry that enough distinct operators approved: as many as the app asks for its own approvals, or more where
/// its policy says so.
Status Registry::add_identities_of(const AppState& state, const attestation::SetReference& reference, base::UtcTime now,
                                   std::vector<std::string>& out) const {
  TRY(const auto view, store_.read());
  TRY(const auto entries, read_entries(*view, state.tenant, reference.name));
  const std::size_t required = std::max(state.threshold, reference.approvals);
  for (const auto& [id, entry] : entries) {
    if (entry.state != MeasurementState::approved || entry.voices.size() < required) continue;
    TRY(const auto bytes, blob(state.tenant, id), "measurement");
    TRY(const auto document, Measurement::parse(base::as_text(bytes)));
    if (!document.in_force(now)) continue;
    for (std::size_t i = 0; i < document.identities.size(); ++i) {
      TRY(auto identity, identity_of(document.identities[i], document.names[i], source_of(reference.name, id)));
      out.push_back(std::move(identity));
    }
  }
  return base::done();
}

Result<AppPolicy> Registry::policy_of(const base::Tenant& tenant, const base::AppRef& app_ref,
                                      base::UtcTime now) const {
  // The version is read first: what changes while the rest is read is noticed when the release is committed.
  std::uint64_t version = 0;
  {
    TRY(const auto view, store_.read());
    TRY(version, references_version(*view, tenant));
  }
  TRY(auto state, app(tenant, app_ref));
  TRY(auto policy, effective_policy(state, now));
  TRY(const auto bytes, blob(tenant, *state.policy), "policy");
  TRY(const auto approved, attestation::Policy::parse(base::as_text(bytes)));
  std::vector<attestation::SignedList> lists;
  for (const auto& rule : approved.rules().lists) {
    auto stored = list(tenant, rule.name);
    if (!stored && stored.error().code != Code::not_found) return stored.error();
    if (stored) lists.push_back(*std::move(stored));
  }
  if (!approved.rules().identities_from.empty() || !approved.rules().lists.empty()) state.references = version;
  return AppPolicy{std::move(state), std::move(policy), std::move(lists)};
}

Status Registry::require_version(state::WriteTxn& txn, const base::Tenant& tenant, const base::AppRef& app,
                                 std::uint64_t version, std::optional<std::uint64_t> references) {
  TRY(const auto state, read_app(txn, tenant, app));
  if (!state || state->version != version) {
    return Error{Code::conflict, "the app's approvals changed while this was decided",
                 "version " + std::to_string(version), state ? "version " + std::to_string(state->version) : "no app",
                 "Ask for a new challenge and try again."};
  }
  if (!references) return base::done();
  TRY(const std::uint64_t present, references_version(txn, tenant));
  if (present == *references) return base::done();
  return Error{Code::conflict, "a measurement set or a list changed while this was decided",
               "version " + std::to_string(*references), "version " + std::to_string(present),
               "Ask for a new challenge and try again."};
}

}  // namespace attestry::governance
