#include "appraisal/stored_appraisal.h"

#include <algorithm>
#include <map>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/hash.h"

namespace attestry::appraisal {
namespace {

using attestation::CollateralItem;
using attestation::CollateralKind;
using attestation::CollateralProblem;
using attestation::EvidenceFormat;
using attestation::SupplementKind;
using base::Code;
using base::Digest32;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;

constexpr std::string_view kDocumentType = "attestry/appraisal";
constexpr std::string_view kExportType = "attestry/appraisal-export";
constexpr std::size_t kMaxList = 64;  // supplements, collateral, roots, issuers: far above what a verifier takes

std::string_view slug(EvidenceFormat format) {
  switch (format) {
    case EvidenceFormat::dcap_quote:
      return "dcap_quote";
    case EvidenceFormat::snp_report:
      return "snp_report";
    case EvidenceFormat::nitro_document:
      return "nitro_document";
    case EvidenceFormat::maa_token:
      return "maa_token";
    case EvidenceFormat::unknown:
      return "unknown";
  }
  return "unknown";
}

std::string_view slug(SupplementKind kind) {
  switch (kind) {
    case SupplementKind::tcg_event_log:
      return "tcg_event_log";
    case SupplementKind::dstack_event_log:
      return "dstack_event_log";
  }
  return {};
}

/// The enumerator that `to_word` spells so; enumerators are consecutive from 0.
template <class Enum, class ToWord>
std::optional<Enum> named(std::string_view word, unsigned count, ToWord to_word) {
  for (unsigned i = 0; i < count; ++i) {
    if (to_word(static_cast<Enum>(i)) == word) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

Error unknown_word(std::string_view what, std::string_view word) {
  return {Code::malformed, std::string{what}, "a word that this version of attestry knows", std::string{word},
          "Use the attestry that stored the appraisal, or a newer one."};
}

Result<EvidenceFormat> format_from(std::string_view word) {
  const auto found = named<EvidenceFormat>(word, 32, [](EvidenceFormat f) { return slug(f); });
  if (found) return *found;
  return unknown_word("evidence.format", word);
}
Result<SupplementKind> supplement_from(std::string_view word) {
  const auto found = named<SupplementKind>(word, 32, [](SupplementKind k) { return slug(k); });
  if (found && !word.empty()) return *found;
  return unknown_word("supplements.kind", word);
}
Result<CollateralKind> collateral_from(std::string_view word) {
  const auto found = named<CollateralKind>(word, 128, [](CollateralKind k) { return attestation::to_text(k); });
  // "unknown" is what to_text() calls every number that is no kind.
  if (found && word != "unknown") return *found;
  return unknown_word("collateral.kind", word);
}

JsonOutObject bytes_json(base::ByteView bytes, const Digest32& sha256) {
  return {{"sha256", base::hex(sha256)}, {"size", bytes.size()}};
}
JsonOutObject bytes_json(base::ByteView bytes) { return bytes_json(bytes, crypto::sha256(bytes)); }

JsonOut evidence_json(const attestation::Evidence& evidence) {
  auto out = bytes_json(evidence.bytes);
  out.emplace_back("format", slug(evidence.format));
  return out;
}

JsonOut supplements_json(const attestation::Evidence& evidence) {
  JsonOutArray out;
  for (const auto& supplement : evidence.supplements) {
    auto one = bytes_json(supplement.bytes);
    one.emplace_back("kind", slug(supplement.kind));
    out.emplace_back(std::move(one));
  }
  return out;
}

JsonOut collateral_json(const attestation::Collateral& collateral) {
  JsonOutArray items;
  for (const CollateralItem& item : collateral.items()) {
    auto one = bytes_json(item.bytes, item.sha256);
    one.emplace_back("kind", attestation::to_text(item.kind));
    if (!item.origin.empty()) one.emplace_back("origin", item.origin);
    items.emplace_back(std::move(one));
  }
  JsonOutArray problems;
  for (const CollateralProblem& problem : collateral.problems()) {
    problems.emplace_back(JsonOutObject{
        {"kind", attestation::to_text(problem.kind)}, {"what", problem.what}, {"missing", problem.missing}});
  }
  const auto stale = collateral.stale_seconds();
  return JsonOutObject{{"items", std::move(items)},
                       {"problems", std::move(problems)},
                       {"stale_seconds", stale ? JsonOut{*stale} : JsonOut{nullptr}}};
}

JsonOut anchors_json(const attestation::TrustAnchors& anchors, const Digest32& sha256,
                     const std::vector<Digest32>& recorded_roots) {
  JsonOutArray roots;
  for (const Digest32& root : recorded_roots) roots.emplace_back(base::hex(root));
  JsonOutArray issuers;
  for (const std::string& issuer : anchors.token_issuers()) issuers.emplace_back(issuer);
  return JsonOutObject{{"realm", base::to_text(anchors.realm())},
                       {"sha256", base::hex(sha256)},
                       {"roots", std::move(roots)},
                       {"issuers", std::move(issuers)}};
}

JsonOut lists_json(const std::vector<std::string>& texts) {
  JsonOutArray out;
  for (const std::string& text : texts) out.emplace_back(bytes_json(base::as_bytes(text)));
  return out;
}

JsonOut binding_json(const std::optional<attestation::BindingStatement>& binding) {
  if (!binding) return nullptr;
  return JsonOutObject{{"purpose", static_cast<int>(binding->purpose)},
                       {"audience", binding->audience},
                       {"nonce", base::base64url(binding->nonce)},
                       {"tenant", binding->tenant.text()},
                       {"app", binding->app.text()},
                       {"csr_spki", base::base64url(binding->csr_spki)},
                       {"recipient", base::base64url(binding->recipient)},
                       {"subordinate_sha256", base::hex(binding->subordinate_sha256)}};
}

// ---- reading

Result<std::string> text(const JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  return value.string(key);
}

Result<Digest32> digest(const JsonValue& object, std::string_view key) {
  TRY(const std::string hex, text(object, key));
  Digest32 out{};
  TRY_OK(base::hex_decode_into(hex, out), key);
  return out;
}

Result<base::Bytes> base64(const JsonValue& object, std::string_view key) {
  TRY(const std::string encoded, text(object, key));
  return base::base64url_decode(encoded);
}

Result<JsonValue> list(const JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  if (!value.is_array() || value.size() > kMaxList) {
    return Error{Code::malformed, std::string{key}, "a list of at most " + std::to_string(kMaxList),
                 value.is_array() ? std::to_string(value.size()) : std::string{"something else"}};
  }
  return value;
}

/// Reads a document. Everything in it is somebody else's word; what it names by digest is checked against that.
class Restorer {
 public:
  explicit Restorer(const StoredAppraisal::FindBlob& find) : find_(find) {}

  Result<base::Bytes> bytes(const JsonValue& named) const {
    TRY(const Digest32 wanted, digest(named, "sha256"));
    TRY(const auto size_value, named.get("size"));
    TRY(const auto size, size_value.integer("size", 0, std::int64_t{kMaxExportBytes}));
    TRY(base::Bytes found, find_(wanted));
    const Digest32 got = crypto::sha256(found);
    if (got != wanted || found.size() != static_cast<std::size_t>(size)) {
      return Error{Code::malformed, "bytes that are not those that the appraisal names",
                   base::hex(wanted) + ", " + std::to_string(size) + " bytes",
                   base::hex(got) + ", " + std::to_string(found.size()) + " bytes"};
    }
    return found;
  }

  Result<attestation::Evidence> evidence(const JsonValue& root) const {
    TRY(const auto value, root.get("evidence"));
    TRY_OK(value.only({"format", "sha256", "size"}), "evidence");
    attestation::Evidence out;
    TRY(const std::string format, text(value, "format"));
    TRY(out.format, format_from(format));
    TRY(out.bytes, bytes(value), "evidence");
    TRY(const auto supplements, list(root, "supplements"));
    for (auto item = supplements.first(); item; item = item->next()) {
      TRY_OK(item->only({"kind", "sha256", "size"}), "supplements");
      TRY(const std::string word, text(*item, "kind"));
      TRY(const SupplementKind kind, supplement_from(word));
      TRY(base::Bytes content, bytes(*item), "supplements");
      if (std::ranges::count(out.supplements, kind, &attestation::Supplement::kind) != 0) {
        return Error{Code::malformed, "supplements", "at most one of a kind", word};
      }
      out.supplements.push_back({kind, std::move(content)});
    }
    return out;
  }

  Result<std::shared_ptr<const attestation::Collateral>> collateral(const JsonValue& root) const {
    TRY(const auto value, root.get("collateral"));
    TRY_OK(value.only({"items", "problems", "stale_seconds"}), "collateral");
    std::vector<CollateralItem> items;
    TRY(const auto given, list(value, "items"));
    for (auto item = given.first(); item; item = item->next()) {
      TRY_OK(item->only({"kind", "origin", "sha256", "size"}), "collateral.items");
      TRY(const std::string word, text(*item, "kind"));
      TRY(const CollateralKind kind, collateral_from(word));
      TRY(base::Bytes content, bytes(*item), "collateral " + word);
      std::string origin;
      if (item->find("origin")) {
        TRY(origin, text(*item, "origin"), "collateral " + word);
      }
      items.push_back({.kind = kind, .bytes = std::move(content), .sha256 = {}, .origin = std::move(origin)});
    }
    std::vector<CollateralProblem> problems;
    TRY(const auto troubles, list(value, "problems"));
    for (auto item = troubles.first(); item; item = item->next()) {
      TRY_OK(item->only({"kind", "missing", "what"}), "collateral.problems");
      TRY(const std::string word, text(*item, "kind"));
      TRY(const CollateralKind kind, collateral_from(word));
      TRY(std::string what, text(*item, "what"));
      TRY(const auto flag, item->get("missing"));
      TRY(const bool missing, flag.boolean("missing"));
      problems.push_back({kind, std::move(what), missing});
    }
    TRY(const auto stale, value.get("stale_seconds"));
    std::optional<std::int64_t> seconds;
    if (!stale.is_null()) {
      TRY(seconds, stale.integer("stale_seconds", 0, std::int64_t{1} << 40));
    }
    return attestation::Collateral::make(std::move(items), std::move(problems), seconds);
  }

  Result<attestation::TrustAnchors> anchors(const JsonValue& root, Digest32& recorded,
                                            std::vector<Digest32>& recorded_roots) const {
    TRY(const auto value, root.get("anchors"));
    TRY_OK(value.only({"issuers", "realm", "roots", "sha256"}), "anchors");
    TRY(recorded, digest(value, "sha256"));
    TRY(const std::string realm_word, text(value, "realm"));
    TRY(const base::Realm realm, base::realm_from(realm_word));
    std::vector<attestation::TestRoot> test_roots;
    TRY(const auto roots, list(value, "roots"));
    for (auto item = roots.first(); item; item = item->next()) {
      TRY(const std::string hex, item->string("anchors.roots"));
      Digest32 key{};
      TRY_OK(base::hex_decode_into(hex, key), "anchors.roots");
      recorded_roots.push_back(key);
      // A production root is never taken from a file: this program has its own.
      if (realm == base::Realm::production) continue;
      TRY(auto test_root, attestation::TestRoot::from_spki_sha256(key), "anchors.roots");
      test_roots.push_back(std::move(test_root));
    }
    std::vector<std::string> issuers;
    TRY(const auto names, list(value, "issuers"));
    for (auto item = names.first(); item; item = item->next()) {
      TRY(std::string issuer, item->string("anchors.issuers"));
      issuers.push_back(std::move(issuer));
    }
    const auto base_anchors = realm == base::Realm::production
                                  ? attestation::TrustAnchors::production()
                                  : attestation::TrustAnchors::simulated(std::move(test_roots));
    return base_anchors.with_token_issuers(std::move(issuers));
  }

  Result<attestation::Policy> policy(const JsonValue& root) const {
    TRY(const auto value, root.get("policy"));
    TRY_OK(value.only({"name", "sha256", "size"}), "policy");
    TRY(const base::Bytes document, bytes(value), "policy");
    return attestation::Policy::parse(base::as_text(document));
  }

  Result<std::vector<attestation::SignedList>> lists(const JsonValue& root) const {
    std::vector<attestation::SignedList> out;
    TRY(const auto given, list(root, "lists"));
    for (auto item = given.first(); item; item = item->next()) {
      TRY_OK(item->only({"sha256", "size"}), "lists");
      TRY(const base::Bytes envelope, bytes(*item), "lists");
      TRY(auto one, attestation::SignedList::parse(base::as_text(envelope)), "lists");
      out.push_back(std::move(one));
    }
    return out;
  }

  static Result<std::optional<attestation::BindingStatement>> binding(const JsonValue& root) {
    using Maybe = std::optional<attestation::BindingStatement>;
    TRY(const auto value, root.get("binding"));
    if (value.is_null()) return Maybe{};
    TRY_OK(value.only({"app", "audience", "csr_spki", "nonce", "purpose", "recipient", "subordinate_sha256", "tenant"}),
           "binding");
    TRY(const std::string app, text(value, "app"));
    TRY(const base::AppRef parsed, base::AppRef::parse(app));
    attestation::BindingStatement out{.purpose = base::Purpose::instance_release,
                                      .audience = {},
                                      .nonce = {},
                                      .tenant = base::Tenant::standard(),
                                      .app = parsed,
                                      .csr_spki = {},
                                      .recipient = {}};
    TRY(const auto purpose, value.get("purpose"));
    TRY(const auto number, purpose.integer("purpose", 1, 255));
    TRY(out.purpose, base::purpose_from(static_cast<std::uint8_t>(number)));
    TRY(out.audience, text(value, "audience"));
    TRY(out.nonce, base64(value, "nonce"), "nonce");
    TRY(const std::string tenant, text(value, "tenant"));
    TRY(out.tenant, base::Tenant::parse(tenant));
    TRY(out.csr_spki, base64(value, "csr_spki"), "csr_spki");
    TRY(out.recipient, base64(value, "recipient"), "recipient");
    TRY(const std::string subordinate, text(value, "subordinate_sha256"));
    TRY(out.subordinate_sha256, base::hex_decode(subordinate), "subordinate_sha256");
    return Maybe{std::move(out)};
  }

 private:
  const StoredAppraisal::FindBlob& find_;
};

/// The catalogue that a verdict says it was made with.
Result<std::string> catalogue_of(std::string_view verdict_json) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{verdict_json}, {.max_bytes = 4u << 20}), "verdict");
  return text(doc->root(), "catalogue");
}

}  // namespace

StoredAppraisal::StoredAppraisal(AppraisalInputs inputs, std::string verdict_json)
    : inputs_(std::move(inputs)), verdict_json_(std::move(verdict_json)) {
  for (const auto& list : inputs_.lists) list_texts_.push_back(list.envelope().to_json());
}

StoredAppraisal StoredAppraisal::make(AppraisalInputs inputs, std::string verdict_json) {
  StoredAppraisal out{std::move(inputs), std::move(verdict_json)};
  out.catalogue_ = attestation::kCatalogueVersion;
  out.anchors_sha256_ = out.inputs_.anchors.sha256();
  out.roots_ = out.inputs_.anchors.roots();
  out.seal();
  return out;
}

void StoredAppraisal::seal() {
  const auto& in = inputs_;
  auto policy = bytes_json(base::as_bytes(in.policy.document()), in.policy.sha256());
  policy.emplace_back("name", in.policy.name());
  const JsonOut document{
      JsonOutObject{{"format", kAppraisalFormat},
                    {"type", kDocumentType},
                    {"catalogue", catalogue_},
                    {"at", base::to_rfc3339(in.at)},
                    {"evidence", evidence_json(in.evidence)},
                    {"supplements", supplements_json(in.evidence)},
                    {"collateral", collateral_json(*in.collateral)},
                    {"anchors", anchors_json(in.anchors, anchors_sha256_, roots_)},
                    {"policy", std::move(policy)},
                    {"lists", lists_json(list_texts_)},
                    {"nonce", in.nonce ? JsonOut{base::hex(*in.nonce)} : JsonOut{nullptr}},
                    {"report_data", in.report_data ? JsonOut{base::hex(*in.report_data)} : JsonOut{nullptr}},
                    {"binding", binding_json(in.binding)},
                    {"verdict", bytes_json(base::as_bytes(verdict_json_))}}};
  document_ = document.canonical();
  id_ = crypto::sha256(base::as_bytes(document_));
}

Result<StoredAppraisal> StoredAppraisal::restore(std::string_view document, const FindBlob& find) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{document}), "appraisal");
  const auto root = doc->root();
  TRY_OK(root.only({"anchors", "at", "binding", "catalogue", "collateral", "evidence", "format", "lists", "policy",
                    "nonce", "report_data", "supplements", "type", "verdict"}),
         "appraisal");
  TRY(const std::string type, text(root, "type"));
  if (type != kDocumentType) return Error{Code::malformed, "type", std::string{kDocumentType}, type};
  TRY(const auto format, root.get("format"));
  TRY([[maybe_unused]] const auto version, format.integer("format", kAppraisalFormat, kAppraisalFormat));
  const Restorer read{find};
  TRY(auto evidence, read.evidence(root));
  TRY(auto collateral, read.collateral(root));
  TRY(const std::string at_text, text(root, "at"));
  TRY(const auto at, base::parse_rfc3339(at_text), "at");
  Digest32 recorded{};
  std::vector<Digest32> roots;
  TRY(auto anchors, read.anchors(root, recorded, roots));
  TRY(auto policy, read.policy(root));
  TRY(auto lists, read.lists(root));
  TRY(auto binding, Restorer::binding(root));
  AppraisalInputs inputs{.evidence = std::move(evidence),
                         .collateral = std::move(collateral),
                         .at = at,
                         .anchors = std::move(anchors),
                         .policy = std::move(policy),
                         .lists = std::move(lists),
                         .binding = std::move(binding)};
  TRY(const auto nonce, root.get("nonce"));
  if (!nonce.is_null()) {
    TRY(const std::string hex, nonce.string("nonce"));
    TRY(inputs.nonce, base::hex_decode(hex), "nonce");
  }
  TRY(const auto report_data, root.get("report_data"));
  if (!report_data.is_null()) {
    TRY(const std::string hex, report_data.string("report_data"));
    TRY(inputs.report_data, base::hex_decode(hex), "report_data");
  }
  TRY(const auto verdict, root.get("verdict"));
  TRY_OK(verdict.only({"sha256", "size"}), "verdict");
  TRY(const base::Bytes verdict_bytes, read.bytes(verdict), "verdict");
  StoredAppraisal out{std::move(inputs), std::string{base::as_text(verdict_bytes)}};
  TRY(out.catalogue_, catalogue_of(out.verdict_json_));
  TRY(const std::string catalogue, text(root, "catalogue"));
  if (catalogue != out.catalogue_) return Error{Code::malformed, "catalogue", out.catalogue_, catalogue};
  out.anchors_sha256_ = recorded;
  out.roots_ = std::move(roots);
  out.seal();
  // Another order, a kind twice, a time in another spelling: what is not written as written here has no place in a
  // name that is a digest.
  if (out.document_ != JsonOut{JsonOut::Raw{std::string{root.source()}}}.canonical()) {
    return Error{Code::malformed, "the appraisal's document is not as the format says",
                 "sorted and without duplicates, as docs/formats/appraisal.md says", "another document",
                 "Export the appraisal anew."};
  }
  return out;
}

std::vector<Blob> StoredAppraisal::blobs() const {
  std::vector<Blob> out;
  const auto add = [&out](base::ByteView bytes, const Digest32& sha256, bool collateral = false) {
    if (std::ranges::count(out, sha256, &Blob::sha256) == 0) out.push_back({sha256, bytes, collateral});
  };
  add(inputs_.evidence.bytes, crypto::sha256(inputs_.evidence.bytes));
  for (const auto& supplement : inputs_.evidence.supplements) add(supplement.bytes, crypto::sha256(supplement.bytes));
  for (const CollateralItem& item : inputs_.collateral->items()) add(item.bytes, item.sha256, true);
  add(base::as_bytes(inputs_.policy.document()), inputs_.policy.sha256());
  for (const std::string& list : list_texts_) add(base::as_bytes(list), crypto::sha256(base::as_bytes(list)));
  add(base::as_bytes(verdict_json_), crypto::sha256(base::as_bytes(verdict_json_)));
  return out;
}

std::string write_export(const StoredAppraisal& appraisal) {
  JsonOutObject blobs;
  for (const Blob& blob : appraisal.blobs()) blobs.emplace_back(base::hex(blob.sha256), base::base64url(blob.bytes));
  return JsonOut{JsonOutObject{{"type", kExportType},
                               {"id", base::hex(appraisal.id())},
                               {"appraisal", JsonOut::Raw{appraisal.document()}},
                               {"blobs", std::move(blobs)}}}
      .compact();
}

Result<StoredAppraisal> read_export(std::string_view json) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{json}, {.max_bytes = kMaxExportBytes}),
      "exported appraisal");
  const auto root = doc->root();
  TRY_OK(root.only({"appraisal", "blobs", "id", "type"}), "exported appraisal");
  TRY(const std::string type, text(root, "type"));
  if (type != kExportType) return Error{Code::malformed, "type", std::string{kExportType}, type};
  TRY(const Digest32 id, digest(root, "id"));
  TRY(const auto document, root.get("appraisal"));
  TRY(const auto given, root.get("blobs"));
  std::map<std::string, JsonValue> blobs;
  for (auto item = given.first(); item; item = item->next()) blobs.emplace(item->key(), *item);
  TRY(auto appraisal,
      StoredAppraisal::restore(document.source(), [&blobs](const Digest32& sha256) -> Result<base::Bytes> {
        const auto found = blobs.find(base::hex(sha256));
        if (found == blobs.end()) {
          return Error{Code::malformed, "bytes are missing", base::hex(sha256), {}, "Export the appraisal anew."};
        }
        TRY(const std::string encoded, found->second.string("blobs"));
        return base::base64url_decode(encoded);
      }));
  if (appraisal.id() != id) {
    return Error{Code::malformed, "the appraisal was changed: its id is not the digest of its document", base::hex(id),
                 base::hex(appraisal.id()), "Export the appraisal anew."};
  }
  return appraisal;
}

}  // namespace attestry::appraisal
