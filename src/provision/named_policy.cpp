#include "provision/named_policy.h"

#include <string>

#include "base/encoding.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;

Result<attestation::Policy> named_policy(const governance::Registry& registry, const base::Tenant& tenant,
                                         const base::Digest32& digest, std::string_view whose) {
  const std::string contract = "the " + std::string{whose} + "'s contract";
  auto bytes = registry.blob(tenant, digest);
  if (!bytes) {
    if (bytes.error().code != Code::not_found) return std::move(bytes).error();
    return Error{Code::unavailable,
                 "the policy that " + contract + " names is not stored here: " + base::hex(digest),
                 {},
                 {},
                 "Store it: attestry blob put, or PUT /v1/blobs."};
  }
  auto parsed = attestation::Policy::parse(base::as_text(*bytes));
  if (parsed) return parsed;
  Error error = std::move(parsed.error().at("policy of " + contract));
  error.code = Code::configuration;
  return error;
}

}  // namespace attestry::provision
