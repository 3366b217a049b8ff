#include "collateral/artefacts.h"

#include <algorithm>
#include <string>

namespace attestry::collateral {

using attestation::Artefact;
using base::Code;
using base::Error;

namespace {

/// "9 days", or less in hours.
std::string span_text(std::int64_t seconds) {
  const std::int64_t days = seconds / 86400;
  if (days >= 2) return std::to_string(days) + " days";
  return std::to_string(seconds / 3600) + " hours";
}

}  // namespace

std::optional<Artefact> signer_of(const Artefact& artefact) {
  if (const auto* vcek = std::get_if<attestation::VcekOf>(&artefact)) {
    return attestation::AmdChainOf{vcek->product, false};
  }
  if (const auto* vlek = std::get_if<attestation::VlekOf>(&artefact)) {
    return attestation::AmdChainOf{vlek->product, true};
  }
  if (const auto* crl = std::get_if<attestation::AmdCrlOf>(&artefact)) {
    return attestation::AmdChainOf{crl->product, crl->vlek};
  }
  return std::nullopt;
}

bool name_begins(const Artefact& artefact, std::string_view beginning) {
  const std::string name = to_text(artefact);
  if (!name.starts_with(beginning)) return false;
  if (beginning.empty() || name.size() == beginning.size()) return true;
  return name[beginning.size()] == '/' || std::ranges::count(beginning, '/') >= 2 || beginning.back() == '/';
}

base::Status date_key_set(const Artefact& artefact, base::UtcTime fetched_at, base::UtcTime now, std::int64_t seconds,
                          attestation::Accepted& accepted) {
  if (!std::holds_alternative<attestation::JwksOf>(artefact)) return base::done();
  accepted.issued = fetched_at;
  accepted.expires = fetched_at + seconds;
  if (now <= accepted.expires) return base::done();
  return Error{.code = Code::unavailable,
               .what = to_text(artefact) + ": fetched too long ago",
               .expected = "at most " + span_text(seconds) + " ago",
               .found = span_text(now.seconds - fetched_at.seconds) + " ago, at " + base::to_rfc3339(fetched_at),
               .remedy = "Fetch it again: nothing in a key set says that its keys are still the issuer's."};
}

}  // namespace attestry::collateral
