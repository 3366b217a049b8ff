// One GET of one document, and what a failure says about the service.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "collateral/fetcher.h"
#include "net/client.h"

namespace attestry::collateral::internal {

struct DocumentRequest {
  std::string url;
  base::Deadline deadline;
  std::size_t max_bytes = 0;
  bool bad_is_unknown = false;  ///< 400 too says that it does not know this (AMD's, of parameters of another product)
};

/// A reply of status 200. Errors: `collateral_missing` (404, 410, and 461 of a PCCS: the service does not know this),
/// `unavailable`, `deadline_exceeded`.
base::Result<net::Response> get_document(net::HttpTransport& transport, const DocumentRequest& request,
                                         Trouble& trouble);

/// Host of an http or https URL, without its port; lower case is what operators write.
std::string_view host_of(std::string_view url);
/// The same with the port, where there is one: who shares limits.
std::string authority_of(std::string_view url);
std::string without_query(std::string_view url);
std::string without_slash(std::string url);

/// Retry-After (RFC 9110 10.2.3) as seconds from `now`: a number, or an HTTP date in its one current form. Nothing for
/// anything else; never negative.
std::optional<std::int64_t> retry_after_seconds(std::string_view header, base::UtcTime now);

}  // namespace attestry::collateral::internal
