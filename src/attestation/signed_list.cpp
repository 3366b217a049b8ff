#include "attestation/signed_list.h"

#include <algorithm>

#include "attestation/conditions.h"
#include "base/json.h"
#include "crypto/hash.h"

namespace attestry::attestation {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxDocumentBytes = 8u << 20;
constexpr std::size_t kMaxListValues = 65536;
constexpr std::size_t kMaxSignatures = 16;
constexpr std::int64_t kMaxVersion = (std::int64_t{1} << 53) - 1;

Result<base::UtcTime> time_member(const JsonValue& value, std::string_view name) {
  TRY(const std::string text, value.string(name));
  return base::parse_rfc3339(text);
}

Result<std::vector<std::string>> values_of(const ClaimInfo& claim, const JsonValue& list) {
  if (!list.is_array() || list.size() == 0 || list.size() > kMaxListValues) {
    return Error{.code = Code::malformed, .what = "no list of values", .expected = "1 to 65536 values"};
  }
  std::vector<std::string> out;
  out.reserve(list.size());
  for (auto item = list.first(); item; item = item->next()) {
    TRY(std::string text, parse_claim_value(claim, *item));
    out.push_back(std::move(text));
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace

Result<std::string> parse_reference_name(std::string_view text) {
  constexpr std::size_t kMost = 63;
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const bool good =
      !text.empty() && text.size() <= kMost && alphanumeric(text.front()) &&
      std::ranges::all_of(text, [&](char c) { return alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
  if (good) return std::string{text};
  return Error{.code = Code::malformed,
               .what = "not a name",
               .expected = "1 to 63 of a-z, 0-9, dot, underscore, hyphen; a letter or digit first",
               .found = std::string{text.substr(0, 120)}};
}

Result<SignedList> SignedList::parse(std::string_view envelope_json) {
  if (envelope_json.size() > 2 * kMaxDocumentBytes) return Error{.code = Code::too_large, .what = "list"};
  TRY(crypto::Envelope envelope, crypto::Envelope::parse(envelope_json), "list");
  return from_envelope(std::move(envelope));
}

Result<SignedList> SignedList::from_envelope(crypto::Envelope envelope) {
  if (envelope.payload_type != kSignedListPayloadType) {
    return Error{.code = Code::malformed,
                 .what = "the envelope holds no list",
                 .expected = std::string{kSignedListPayloadType},
                 .found = envelope.payload_type};
  }
  if (envelope.signatures.size() > kMaxSignatures) {
    return Error{.code = Code::too_large,
                 .what = "the list has too many signatures",
                 .expected = "at most 16",
                 .found = std::to_string(envelope.signatures.size())};
  }
  SignedList out;
  TRY_OK(out.read(envelope.payload), "list");
  out.sha256_ = crypto::sha256(base::as_bytes(envelope.payload));
  out.envelope_ = std::move(envelope);
  return out;
}

Status SignedList::check_document(std::string_view payload) {
  SignedList out;
  return out.read(payload);
}

Status SignedList::read(std::string_view payload) {
  TRY(const auto document, base::JsonDocument::parse(std::string{payload}, {.max_bytes = kMaxDocumentBytes}));
  const JsonValue root = document->root();
  TRY_OK(root.only({"format", "name", "version", "not_before", "not_after", "note", "claims"}));
  TRY(const JsonValue format, root.get("format"));
  TRY_OK(format.integer("format (this program knows format 1)", 1, 1));
  TRY(const JsonValue name, root.get("name"));
  TRY(const std::string name_text, name.string("name"));
  TRY(name_, parse_reference_name(name_text), "name");
  TRY(const JsonValue version, root.get("version"));
  TRY(const std::int64_t number, version.integer("version", 1, kMaxVersion));
  version_ = static_cast<std::uint64_t>(number);
  if (const auto begin = root.find("not_before")) {
    TRY(not_before_, time_member(*begin, "not_before"), "not_before");
  }
  // Without an end a list that was once signed could be shown for ever.
  TRY(const JsonValue end, root.get("not_after"));
  TRY(not_after_, time_member(end, "not_after"), "not_after");
  if (const auto note = root.find("note")) {
    TRY_OK(note->string("note"));
  }
  TRY(const JsonValue claims, root.get("claims"));
  if (!claims.is_object() || claims.size() == 0) {
    return Error{.code = Code::malformed, .what = "claims", .expected = "an object of claim names with their values"};
  }
  for (auto member = claims.first(); member; member = member->next()) {
    const std::string key = member->key();
    TRY(const ClaimInfo* claim, parse_claim_name(key), "claims");
    TRY(auto values, values_of(*claim, *member), "claims." + key);
    claims_.push_back({claim, std::move(values)});
  }
  return base::done();
}

std::size_t SignedList::size() const noexcept {
  std::size_t out = 0;
  for (const Values& entry : claims_) out += entry.values.size();
  return out;
}

bool SignedList::contains(const ClaimInfo& claim, std::string_view value) const noexcept {
  const auto found = std::ranges::find(claims_, &claim, &Values::claim);
  return found != claims_.end() && std::ranges::binary_search(found->values, value, std::less<>{});
}

}  // namespace attestry::attestation
