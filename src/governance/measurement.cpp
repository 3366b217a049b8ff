#include "governance/measurement.h"

#include <algorithm>
#include <array>

#include "attestation/policy.h"
#include "attestation/signed_list.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxText = 500;
constexpr std::size_t kMaxIdentities = 256;
constexpr std::array<std::string_view, 5> kPlatforms{"sgx", "tdx", "snp", "nitro", "maa"};
constexpr std::array kVerbs{MeasurementVerb::add, MeasurementVerb::approve, MeasurementVerb::remove};

Result<std::string> text_member(const JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  return value.string(key);
}

Result<std::string> short_text(const JsonValue& value, std::string_view key) {
  TRY(std::string text, value.string(key));
  if (text.empty() || text.size() > kMaxText) {
    return Error{Code::malformed, std::string{key} + " has a wrong length", "1 to 500 bytes",
                 std::to_string(text.size())};
  }
  return text;
}

Result<std::optional<base::UtcTime>> time_member(const JsonValue& root, std::string_view key) {
  const auto value = root.find(key);
  if (!value) return std::optional<base::UtcTime>{};
  TRY(const std::string text, value->string(key));
  TRY(const auto time, base::parse_rfc3339(text), key);
  return std::optional{time};
}

bool is_hex_digest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Status read_provenance(const JsonValue& value, Measurement& out) {
  TRY_OK(value.only({"source", "commit", "statement_sha256", "by"}));
  for (const auto& [key, target] : {std::pair{"source", &out.source}, std::pair{"commit", &out.commit},
                                    std::pair{"statement_sha256", &out.statement_sha256}, std::pair{"by", &out.by}}) {
    if (const auto member = value.find(key)) {
      TRY(*target, short_text(*member, key));
    }
  }
  if (!out.statement_sha256.empty() && !is_hex_digest(out.statement_sha256)) {
    return Error{Code::malformed, "statement_sha256", "64 hex digits", out.statement_sha256};
  }
  return base::done();
}

bool is_of(const attestation::ClaimInfo& claim, std::string_view platform) {
  const std::string words = " " + std::string{claim.platforms} + " ";
  return words.find(" " + std::string{platform} + " ") != std::string::npos;
}

/// A claim of another platform would make a reference value that nothing matches.
Status check_claims(const attestation::IdentityRule& rule, std::string_view platform) {
  for (const auto& [name, values] : rule.claims) {
    const auto* claim = attestation::find_claim(name);
    if (claim == nullptr || !is_of(*claim, platform)) {
      return Error{Code::malformed, "a claim of another platform", "claims of " + std::string{platform}, name};
    }
  }
  return base::done();
}

Status read_identities(const JsonValue& list, Measurement& out) {
  if (!list.is_array() || list.size() == 0 || list.size() > kMaxIdentities) {
    return Error{Code::malformed, "identities", "1 to 256 identities", {}};
  }
  for (auto item = list.first(); item; item = item->next()) {
    // Where a rule came from is said by the server that puts it into a policy.
    TRY_OK(item->only({"name", "claims"}));
    const std::string json{item->source()};
    TRY(const auto policy, attestation::Policy::parse(R"({"format":1,"identities":[)" + json + "]}"));
    const auto& rule = policy.identities().front();
    TRY_OK(check_claims(rule, out.platform), rule.name);
    out.names.push_back(item->find("name") ? rule.name : out.role + " " + std::to_string(out.names.size() + 1));
    out.identities.push_back(json);
  }
  return base::done();
}

}  // namespace

Result<Measurement> Measurement::parse(std::string_view json) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{json}), "measurement");
  const auto root = doc->root();
  TRY_OK(root.only({"format", "set", "platform", "role", "not_before", "not_after", "provenance", "identities"}),
         "measurement");
  TRY(const auto format, root.get("format"), "measurement");
  TRY_OK(format.integer("format (this program knows format 1)", 1, 1), "measurement");
  Measurement out;
  TRY(const auto set, text_member(root, "set"), "measurement");
  TRY(out.set, attestation::parse_reference_name(set), "set");
  TRY(out.platform, text_member(root, "platform"), "measurement");
  if (std::ranges::find(kPlatforms, out.platform) == kPlatforms.end()) {
    return Error{Code::malformed, "platform", "sgx, tdx, snp, nitro or maa", out.platform};
  }
  TRY(const auto role, root.get("role"), "measurement");
  TRY(out.role, short_text(role, "role"));
  TRY(out.not_before, time_member(root, "not_before"));
  TRY(out.not_after, time_member(root, "not_after"));
  if (out.not_before && out.not_after && *out.not_after < *out.not_before) {
    return Error{Code::malformed, "not_after lies before not_before", base::to_rfc3339(*out.not_before) + " or later",
                 base::to_rfc3339(*out.not_after)};
  }
  if (const auto provenance = root.find("provenance")) {
    TRY_OK(read_provenance(*provenance, out), "provenance");
  }
  TRY(const auto identities, root.get("identities"), "measurement");
  TRY_OK(read_identities(identities, out), "identities");
  return out;
}

std::string_view to_text(MeasurementVerb verb) noexcept {
  switch (verb) {
    case MeasurementVerb::add:
      return "measurement.add";
    case MeasurementVerb::approve:
      return "measurement.approve";
    case MeasurementVerb::remove:
      return "measurement.remove";
  }
  return "measurement.unknown";
}

std::string MeasurementAction::payload() const {
  return base::JsonOut{base::JsonOutObject{{"v", 1},
                                           {"audience", audience},
                                           {"realm", base::to_text(realm)},
                                           {"tenant", tenant.text()},
                                           {"set", set},
                                           {"action", to_text(verb)},
                                           {"subject", base::hex(subject)},
                                           {"preview", preview},
                                           {"seq", seq},
                                           {"prev", prev},
                                           {"expires", base::to_rfc3339(expires)}}}
      .canonical();
}

Result<MeasurementAction> MeasurementAction::parse(std::string_view payload) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{payload}), "measurement action");
  const auto root = doc->root();
  TRY_OK(
      root.only({"v", "audience", "realm", "tenant", "set", "action", "subject", "preview", "seq", "prev", "expires"}),
      "measurement action");
  TRY(const auto v, root.get("v"));
  TRY_OK(v.integer("v", 1, 1), "measurement action");
  MeasurementAction out;
  TRY(out.audience, text_member(root, "audience"));
  TRY(const auto realm, text_member(root, "realm"));
  TRY(out.realm, base::realm_from(realm));
  TRY(const auto tenant, text_member(root, "tenant"));
  TRY(out.tenant, base::Tenant::parse(tenant));
  TRY(const auto set, text_member(root, "set"));
  TRY(out.set, attestation::parse_reference_name(set), "set");
  TRY(const auto action, text_member(root, "action"));
  const auto verb = std::ranges::find(kVerbs, action, [](MeasurementVerb one) { return to_text(one); });
  if (verb == kVerbs.end()) {
    return Error{Code::malformed, "unknown action", "measurement.add, measurement.approve, measurement.remove", action};
  }
  out.verb = *verb;
  TRY(const auto subject, text_member(root, "subject"));
  if (!is_hex_digest(subject)) return Error{Code::malformed, "subject", "64 hex digits", subject};
  TRY_OK(base::hex_decode_into(subject, out.subject), "subject");
  TRY(out.preview, text_member(root, "preview"));
  const bool may_have_preview = out.verb == MeasurementVerb::remove && is_hex_digest(out.preview);
  if (!out.preview.empty() && !may_have_preview) {
    return Error{Code::malformed, "preview", "empty, or of a removal 64 hex digits", out.preview};
  }
  TRY(const auto seq, root.get("seq"));
  TRY(const auto number, seq.integer("seq", 1, (std::int64_t{1} << 53) - 1));
  out.seq = static_cast<std::uint64_t>(number);
  TRY(out.prev, text_member(root, "prev"));
  if (!out.prev.empty() && !is_hex_digest(out.prev))
    return Error{Code::malformed, "prev", "64 hex digits or empty", out.prev};
  TRY(const auto expires, text_member(root, "expires"));
  TRY(out.expires, base::parse_rfc3339(expires), "expires");
  return out;
}

}  // namespace attestry::governance
