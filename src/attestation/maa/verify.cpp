#include "attestation/maa/verify.h"

#include <algorithm>

#include "attestation/maa/claims.h"
#include "attestation/maa/jwt.h"
#include "base/encoding.h"
#include "base/utf8.h"
#include "crypto/hash.h"

namespace attestry::attestation::maa {
namespace {

using base::JsonValue;

constexpr std::string_view kCompliantVm = "azure-compliant-cvm";
/// Longer values of a token are cut in messages.
constexpr std::size_t kShown = 200;
/// Before nbf and iat.
constexpr std::int64_t kLeewaySeconds = 60;

std::string shown(std::string_view text) {
  return text.size() <= kShown ? std::string{text} : std::string{base::utf8_prefix(text, kShown)} + "…";
}

std::string shown_or_absent(const std::optional<std::string>& text) { return text ? shown(*text) : "absent"; }

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out.append(out.empty() ? "" : ", ").append(word);
  return out;
}

std::optional<std::string> text_member(const JsonValue& object, std::string_view key) {
  const auto member = object.find(key);
  if (!member) return std::nullopt;
  auto text = member->string(key);
  return text.ok() ? std::optional{*std::move(text)} : std::nullopt;
}

class Judge {
 public:
  Judge(base::ByteView evidence, const TokenDigests& digests, const Collateral& collateral, base::UtcTime at,
        const TrustAnchors& anchors, KeySets& key_sets, CheckRecorder& recorder, Verdict& verdict)
      : text_(base::as_text(evidence)),
        digests_(digests),
        collateral_(collateral),
        at_(at),
        anchors_(anchors),
        key_sets_(key_sets),
        recorder_(recorder),
        verdict_(verdict) {}

  void run() {
    structure();
    header();
    payload();
    issuer();
    key_set();
    key();
    signature();
    not_before();
    issued();
    expires();
    type();
    isolation();
    compliance();
    claims();
    runtime_data();
  }

 private:
  void require(CheckId check, bool good, std::string expected, std::string actual, std::string detail = {}) {
    if (good) return recorder_.pass(check);
    recorder_.fail(check, std::move(expected), std::move(actual), std::move(detail));
  }
  /// Words only where they are needed: a token passes most of its checks.
  void require_text(CheckId check, bool good, std::string_view expected, const std::optional<std::string>& actual) {
    if (good) return recorder_.pass(check);
    recorder_.fail(check, std::string{expected}, shown_or_absent(actual));
  }
  void require_time(CheckId check, bool good, std::string_view words, base::UtcTime bound) {
    if (good) return recorder_.pass(check);
    recorder_.fail(check, std::string{words} + base::to_rfc3339(bound), base::to_rfc3339(at_));
  }
  void refuse(CheckId check, const base::Error& error, std::string_view expected) {
    recorder_.fail(check, error.expected.empty() ? std::string{expected} : error.expected, shown(error.found),
                   error.what);
  }

  void structure();
  void header();
  void payload();
  void issuer();
  void jku();
  bool vouched_for(const CollateralItem& item);
  void key_set();
  void key();
  void signature();
  void not_before();
  void issued();
  void expires();
  void type();
  void isolation();
  void compliance();
  void claims();
  void runtime_data();
  std::optional<base::UtcTime> time_claim(CheckId check, std::string_view name);

  std::string_view text_;
  const TokenDigests& digests_;
  const Collateral& collateral_;
  base::UtcTime at_;
  const TrustAnchors& anchors_;
  KeySets& key_sets_;
  CheckRecorder& recorder_;
  Verdict& verdict_;

  std::optional<Jws> jws_;
  std::optional<JwsHeader> header_;
  std::shared_ptr<const base::JsonDocument> payload_;
  std::shared_ptr<const KeySet> keys_;
  const Jwk* key_ = nullptr;
  std::optional<TokenType> type_;
  std::optional<TokenType> tee_;        ///< never azurevm
  std::optional<JsonValue> tee_level_;  ///< where the TEE's claims stand
};

void Judge::structure() {
  auto jws = parse_jws(text_);
  if (!jws.ok()) return refuse(CheckId::maa_token_structure, jws.error(), "header.payload.signature");
  jws_ = *std::move(jws);
  verdict_.platform = Platform::maa;
  recorder_.pass(CheckId::maa_token_structure);
}

void Judge::header() {
  if (recorder_.may_run(CheckId::maa_header_format)) {
    auto header = parse_jws_header(jws_->header);
    if (header.ok()) {
      header_ = *std::move(header);
      recorder_.pass(CheckId::maa_header_format);
    } else {
      refuse(CheckId::maa_header_format, header.error(), "a JSON object");
    }
  }
  // RFC 8725, 3.1: the verifier chooses the algorithm, not the token. Letter case counts.
  if (recorder_.may_run(CheckId::maa_header_alg)) {
    require_text(CheckId::maa_header_alg, header_->alg == "RS256", "RS256", header_->alg);
  }
  if (recorder_.may_run(CheckId::maa_header_typ)) {
    require_text(CheckId::maa_header_typ, header_->typ == "JWT", "JWT", header_->typ);
  }
  if (recorder_.may_run(CheckId::maa_header_crit)) {
    require(CheckId::maa_header_crit, !header_->has_crit, "no crit", "crit");
  }
  if (recorder_.may_run(CheckId::maa_header_kid)) {
    require_text(CheckId::maa_header_kid, header_->kid && !header_->kid->empty(), "a key id", header_->kid);
  }
}

void Judge::payload() {
  if (!recorder_.may_run(CheckId::maa_payload_format)) return;
  auto payload = parse_claims(jws_->payload);
  if (!payload.ok()) return refuse(CheckId::maa_payload_format, payload.error(), "a JSON object");
  payload_ = *std::move(payload);
  recorder_.pass(CheckId::maa_payload_format);
}

/// RFC 8725, 3.8. The same regional key signs for all tenants, so this comparison is all that tells them apart: whole
/// strings, no prefixes or suffixes.
void Judge::issuer() {
  const auto& named = anchors_.token_issuers();
  if (named.empty()) {
    recorder_.fail_undecided(CheckId::maa_issuer_named, "an issuer (--issuer)", "none");
  } else {
    recorder_.pass(CheckId::maa_issuer_named);
  }
  if (recorder_.may_run(CheckId::maa_issuer)) {
    const auto iss = text_member(payload_->root(), "iss");
    if (iss && anchors_.trusts_token_issuer(*iss)) {
      recorder_.pass(CheckId::maa_issuer);
    } else {
      recorder_.fail(CheckId::maa_issuer, joined(named), shown_or_absent(iss));
    }
  }
  if (recorder_.may_run(CheckId::maa_header_jku)) jku();
}

void Judge::jku() {
  constexpr std::string_view kCerts = "/certs";
  if (!header_->jku) return recorder_.pass(CheckId::maa_header_jku, "absent");
  std::vector<std::string> addresses;
  for (const std::string& issuer : anchors_.token_issuers()) addresses.push_back(issuer + std::string{kCerts});
  // Of a token whose issuer is believed, only that issuer's own address.
  if (recorder_.passed(CheckId::maa_issuer)) {
    addresses = {*text_member(payload_->root(), "iss") + std::string{kCerts}};
  }
  require_text(CheckId::maa_header_jku, std::ranges::find(addresses, *header_->jku) != addresses.end(),
               joined(addresses), header_->jku);
}

/// RFC 8725, 3.8: a key counts for the tokens of the issuer whose it is, and nothing in a key set says that. Where it
/// came from does; a set from nowhere can only be meant for the one issuer that is named.
bool Judge::vouched_for(const CollateralItem& item) {
  const auto iss = payload_ ? text_member(payload_->root(), "iss") : std::nullopt;
  const auto& named = anchors_.token_issuers();
  if (item.origin.empty()) {
    verdict_.token_keys_unvouched = true;
    if (named.size() == 1) return true;
    recorder_.fail_undecided(CheckId::maa_jwks_present, "keys of " + (iss ? shown(*iss) : "the token's issuer"),
                             "keys of nobody knows whom", std::to_string(named.size()) + " issuers are named");
    return false;
  }
  if (iss == item.origin) return true;
  recorder_.fail_undecided(CheckId::maa_jwks_present, "keys of " + shown_or_absent(iss), "keys of " + item.origin);
  return false;
}

void Judge::key_set() {
  const CollateralItem* item = collateral_.find(CollateralKind::jwks);
  if (item == nullptr) {
    const auto problem = std::ranges::find(collateral_.problems(), CollateralKind::jwks, &CollateralProblem::kind);
    if (problem != collateral_.problems().end() && !problem->missing) {
      return recorder_.fail(CheckId::maa_jwks_present, "a key set", "unreadable", problem->what);
    }
    return recorder_.fail_undecided(CheckId::maa_jwks_present, "a key set (jwks.json)", "none",
                                    problem == collateral_.problems().end() ? "" : problem->what);
  }
  if (!vouched_for(*item)) return;
  recorder_.pass(CheckId::maa_jwks_present);
  keys_ = key_sets_.find(item->sha256);
  if (!keys_) {
    auto read = parse_jwks(base::as_text(item->bytes));
    if (!read.ok()) return refuse(CheckId::maa_jwks_format, read.error(), R"({"keys": [...]})");
    keys_ = std::make_shared<const KeySet>(*std::move(read));
    // Sets that can verify nothing would push those out that do.
    if (keys_->usable()) key_sets_.put(item->sha256, keys_);
  }
  recorder_.pass(CheckId::maa_jwks_format);
  verdict_.collateral.push_back({.kind = CollateralKind::jwks, .sha256 = item->sha256});
}

void Judge::key() {
  if (recorder_.may_run(CheckId::maa_key_known)) {
    const auto same = [this](const Jwk& key) { return key.kid == *header_->kid; };
    const auto count = std::ranges::count_if(keys_->keys, same);
    if (count == 1) key_ = &*std::ranges::find_if(keys_->keys, same);
    if (count == 1) {
      recorder_.pass(CheckId::maa_key_known);
    } else {
      std::string expected = "one key " + shown(*header_->kid);
      std::string actual = std::to_string(count) + " of " + std::to_string(keys_->keys.size()) + " keys";
      // Nothing in a key set says when it was fetched: the service may have taken the key into use since. But two keys
      // of one name would leave it to the order of the set which one counts.
      if (count == 0) {
        recorder_.fail_undecided(CheckId::maa_key_known, std::move(expected), std::move(actual));
      } else {
        recorder_.fail(CheckId::maa_key_known, std::move(expected), std::move(actual));
      }
    }
  }
  if (recorder_.may_run(CheckId::maa_key_usable)) {
    if (key_->key.has_value()) {
      recorder_.pass(CheckId::maa_key_usable);
    } else {
      recorder_.fail(CheckId::maa_key_usable, "an RSA key for RS256", shown(key_->kid), shown(key_->problem));
    }
  }
}

void Judge::signature() {
  if (!recorder_.may_run(CheckId::maa_signature)) return;
  const base::ByteView text = base::as_bytes(jws_->signed_text);
  const auto digest = digests_.signed_size == text.size() ? digests_.signed_text : crypto::sha256(text);
  if (key_->key->verify_pkcs1(digest, jws_->signature)) return recorder_.pass(CheckId::maa_signature);
  std::string detail = "covers header and payload as sent, characters 0 to " +
                       std::to_string(jws_->signed_text.size() - 1) + "; signature, from character " +
                       std::to_string(jws_->signed_text.size() + 1);
  if (header_->brings_key) detail.append("; the header brings a key of its own, which counts for nothing");
  recorder_.fail(CheckId::maa_signature, "signed by key " + shown(key_->kid) + " of the issuer's key set",
                 "the signature does not verify: header, payload or signature was changed, or another key signed it",
                 std::move(detail));
}

std::optional<base::UtcTime> Judge::time_claim(CheckId check, std::string_view name) {
  if (!recorder_.may_run(check)) return std::nullopt;
  constexpr std::int64_t kEndOf9999 = 253'402'300'799;
  const auto member = payload_->root().find(name);
  const auto seconds = member ? member->integer(name, 0, kEndOf9999) : base::Error{.what = "absent"};
  if (seconds.ok()) return base::UtcTime{*seconds};
  recorder_.fail(check, std::string{name} + " in seconds since 1970", member ? shown(member->source()) : "absent");
  return std::nullopt;
}

// A token may be used in the second it was issued in by clocks that differ a little (attestation_checks 4.4). A
// constant: a verdict must not depend on how generous somebody is. The end has none.
void Judge::not_before() {
  const auto from = time_claim(CheckId::maa_time_not_before, "nbf");
  if (!from) return;
  const base::UtcTime earliest = *from - kLeewaySeconds;
  require_time(CheckId::maa_time_not_before, earliest <= at_, "a time from ", earliest);
}

void Judge::issued() {
  const auto issued = time_claim(CheckId::maa_time_issued, "iat");
  if (!issued) return;
  const base::UtcTime earliest = *issued - kLeewaySeconds;
  require_time(CheckId::maa_time_issued, earliest <= at_, "a time from ", earliest);
}

/// RFC 7519, 4.1.4: not accepted on or after this time.
void Judge::expires() {
  const auto end = time_claim(CheckId::maa_time_expires, "exp");
  if (!end) return;
  verdict_.valid_until = *end - 1;
  require_time(CheckId::maa_time_expires, at_ < *end, "a time before ", *end);
}

void Judge::type() {
  if (!recorder_.may_run(CheckId::maa_type)) return;
  const auto name = text_member(payload_->root(), kTypeClaim);
  if (name) type_ = token_type(*name);
  require_text(CheckId::maa_type, type_.has_value(), "sgx, sevsnpvm, tdxvm or azurevm", name);
}

/// Of azurevm the TEE's claims count at the nested level only; the outer level describes the guest's boot.
void Judge::isolation() {
  if (!recorder_.may_run(CheckId::maa_isolation)) return;
  const JsonValue root = payload_->root();
  if (type_ != TokenType::azurevm) {
    tee_ = type_;
    tee_level_ = root;
    return recorder_.pass(CheckId::maa_isolation);
  }
  const auto nested = root.find(kIsolationClaim);
  if (!nested || !nested->is_object()) {
    return recorder_.fail(CheckId::maa_isolation, std::string{kIsolationClaim}, nested ? "no object" : "absent");
  }
  const auto name = text_member(*nested, kTypeClaim);
  const auto tee = name ? token_type(*name) : std::nullopt;
  const bool known = tee == TokenType::sevsnpvm || tee == TokenType::tdxvm;
  if (known) {
    tee_ = tee;
    tee_level_ = *nested;
  }
  require_text(CheckId::maa_isolation, known, "sevsnpvm or tdxvm inside " + std::string{kIsolationClaim}, name);
}

/// Only Microsoft's own virtual machine images have the status; a token of a container group (sevsnpvm at the root) has
/// another one, which its owner may compare by a policy.
void Judge::compliance() {
  if (!recorder_.may_run(CheckId::maa_compliance)) return;
  if (type_ != TokenType::azurevm) return recorder_.pass(CheckId::maa_compliance);
  const auto status = text_member(*tee_level_, kComplianceClaim);
  require_text(CheckId::maa_compliance, status == kCompliantVm, kCompliantVm, status);
}

void Judge::claims() {
  if (!recorder_.may_run(CheckId::maa_claims)) return;
  ClaimsRead read = read_claims(payload_->root(), *type_, *tee_level_, *tee_);
  verdict_.claims = std::move(read.claims);
  verdict_.report_data = std::move(read.report_data);
  verdict_.debug = read.debug;
  if (read.faults.empty()) return recorder_.pass(CheckId::maa_claims);
  const ClaimFault& first = read.faults.front();
  const std::string others = read.faults.size() == 1 ? "" : std::to_string(read.faults.size() - 1) + " more like this";
  recorder_.fail(CheckId::maa_claims, first.name + ": " + first.expected, shown(first.actual), others);
}

/// The service has compared them when it made the token; a token in which they differ is not the service's.
void Judge::runtime_data() {
  if (!recorder_.may_run(CheckId::maa_runtime_data)) return;
  const Claim* held = verdict_.claim("x-ms-sgx-ehd");
  if (held == nullptr || verdict_.report_data.empty()) return recorder_.pass(CheckId::maa_runtime_data, "none");
  const auto data = base::base64url_decode(held->value);
  if (!data.ok()) return recorder_.fail(CheckId::maa_runtime_data, "base64url", shown(held->value));
  const base::Digest32 digest = crypto::sha256(*data);
  const base::ByteView carried = base::ByteView{verdict_.report_data}.first(digest.size());
  require(CheckId::maa_runtime_data, base::equal(carried, digest), base::hex(digest), base::hex(carried),
          "SHA-256 of x-ms-sgx-ehd");
}

}  // namespace

TokenDigests digest_token(base::ByteView evidence) {
  const std::size_t last_dot = base::as_text(evidence).rfind('.');
  const std::size_t size = last_dot == std::string_view::npos ? 0 : last_dot;
  const auto hashed = crypto::sha256_with_prefix(evidence, size);
  return {hashed.whole, hashed.prefix, size};
}

void judge_token(base::ByteView evidence, const TokenDigests& digests, const Collateral& collateral, base::UtcTime at,
                 const TrustAnchors& anchors, KeySets& key_sets, CheckRecorder& recorder, Verdict& verdict) {
  Judge{evidence, digests, collateral, at, anchors, key_sets, recorder, verdict}.run();
}

}  // namespace attestry::attestation::maa
