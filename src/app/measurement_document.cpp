#include "app/measurement_document.h"

#include <algorithm>
#include <map>

#include "attestation/claim_dictionary.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/hash.h"

namespace attestry::app {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kMaxInput = 8u << 20;

/// What evidence says, from a verdict or from the evidence itself.
struct Said {
  std::string platform;
  bool genuine = false;
  std::map<std::string, std::string> claims;  ///< name -> JSON of the value
};

Result<Said> said_by_verdict(const base::JsonValue& root) {
  Said out;
  TRY(const auto platform, root.get("platform"));
  TRY(out.platform, platform.string("platform"));
  TRY(const auto evidence, root.get("evidence"));
  TRY(const auto genuine, evidence.string("evidence"));
  out.genuine = genuine == "genuine";
  TRY(const auto claims, root.get("claims"));
  for (auto claim = claims.first(); claim; claim = claim->next()) out.claims[claim->key()] = claim->source();
  return out;
}

Result<Said> said_by(Context& context, const base::Bytes& bytes) {
  if (!bytes.empty() && bytes.front() == '{') {
    TRY(const auto document, base::JsonDocument::parse(std::string{base::as_text(bytes)}, {.max_bytes = kMaxInput}));
    return said_by_verdict(document->root());
  }
  // Read for what it says: without collateral nobody knows whether it is true.
  const attestation::Verifier verifier(attestation::TrustAnchors::production());
  TRY(const auto verdict, verifier.verify({.format = attestation::detect_format(bytes), .bytes = bytes},
                                          *attestation::Collateral::none(), context.clock.now()));
  TRY(const auto document, base::JsonDocument::parse(attestation::to_json(verdict)));
  return said_by_verdict(document->root());
}

/// What usually identifies code: without the registers that change with every boot or belong to the host.
std::vector<std::string> usual_claims(const Said& said) {
  if (said.platform == "tdx") return {"mrtd", "rtmr0", "rtmr1", "rtmr2"};
  if (said.platform == "sgx") return {"mrenclave"};
  if (said.platform == "snp") return {"measurement"};
  if (said.platform == "nitro") return {"pcr0", "pcr1", "pcr2"};
  std::vector<std::string> out;
  for (const auto& [name, value] : said.claims) {
    const auto* claim = attestation::find_claim(name);
    if (claim != nullptr && claim->identifies) out.push_back(name);
  }
  return out;
}

Result<base::JsonOutObject> provenance_of(Context& context, const MeasurementDocumentOptions& options) {
  base::JsonOutObject out;
  for (const auto& [key, value] :
       {std::pair{"source", &options.source}, std::pair{"commit", &options.commit}, std::pair{"by", &options.by}}) {
    if (!value->empty()) out.emplace_back(key, *value);
  }
  if (!options.statement.empty()) {
    TRY(const auto bytes, read_input(context, options.statement, kMaxInput), "--statement");
    out.emplace_back("statement_sha256", base::hex(crypto::sha256(bytes)));
  }
  return out;
}

}  // namespace

Result<std::string> make_measurement_document(Context& context, const MeasurementDocumentOptions& options) {
  if (options.set.empty() || options.role.empty()) {
    return Error{.code = Code::usage, .what = "--from-evidence needs --set and --role", .expected = "both"};
  }
  TRY(const auto bytes, read_input(context, options.evidence, kMaxInput), "--from-evidence");
  TRY(const auto said, said_by(context, bytes), "--from-evidence");
  if (!said.genuine && !options.unverified) {
    return Error{.code = Code::denied,
                 .what = "--from-evidence: nothing shows that this evidence is genuine",
                 .expected = "a verdict of genuine evidence",
                 .found = options.evidence,
                 .remedy =
                     "Judge it first: `attestry verify … --format json > verdict.json`, and give verdict.json; or "
                     "say --unverified when the values come from a build of your own."};
  }
  base::JsonOutObject claims;
  for (const std::string& name : options.claims.empty() ? usual_claims(said) : options.claims) {
    const auto value = said.claims.find(name);
    if (value == said.claims.end()) {
      return Error{.code = Code::not_found,
                   .what = "the evidence has no claim " + name,
                   .found = said.platform,
                   .remedy = "Name others with --claim; `attestry claims` lists them."};
    }
    claims.emplace_back(name, base::JsonOut::Raw{value->second});
  }
  base::JsonOutObject out{{"format", 1}, {"set", options.set}, {"platform", said.platform}, {"role", options.role}};
  if (!options.not_before.empty()) out.emplace_back("not_before", options.not_before);
  if (!options.not_after.empty()) out.emplace_back("not_after", options.not_after);
  TRY(auto provenance, provenance_of(context, options));
  if (!provenance.empty()) out.emplace_back("provenance", std::move(provenance));
  const std::string name = options.name.empty() ? options.role : options.name;
  out.emplace_back("identities",
                   base::JsonOutArray{base::JsonOutObject{{"name", name}, {"claims", std::move(claims)}}});
  return base::JsonOut{std::move(out)}.pretty() + "\n";
}

}  // namespace attestry::app
