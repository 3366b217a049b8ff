// Bodies of administrators' requests, as the seed's clients and ours write them (docs/formats/registry.md). Private to
// api.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "crypto/secret.h"

namespace attestry::api {

struct AdminNumbers {
  std::optional<std::int64_t> threshold, total;
};
/// Of /admin/init/…: the oldest clients send {"threshold":t,"total_shares":n}, later ones nothing.
base::Result<AdminNumbers> admin_numbers(const std::string& body);

struct AdminSubmission {
  std::int64_t index = 0;
  crypto::Secret share;   ///< in clear (first version) …
  base::Bytes signature;  ///< … and the admin's signature over it
  base::Bytes sealed;     ///< or sealed to the server
};
/// Of POST /admin/share. Looked at in the seed's order; the error's `what` is the seed's text. The body is wiped.
base::Result<AdminSubmission> admin_submission(std::string body);

}  // namespace attestry::api
