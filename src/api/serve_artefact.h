// What the vault holds, given out as its vendor would: shared by the PCS's and the KDS's paths. Private to api.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "api/handlers.h"
#include "attestation/artefact.h"

namespace attestry::api {

/// Body, media type and the vendor's own header fields.
using Render = std::function<base::Result<net::Response>(const collateral::Held&)>;

/// Answers with what is held. Freshness as RFC 9111 has it: Age counts from the fetch, max-age lasts until the refresh,
/// an ETag is the digest of the body, and what could not be refreshed says so (Warning: 110). What is not held is 404,
/// or, where `Deps::serving` allows it, fetched first on the slow lane; a vendor that is away is 503 with Retry-After.
void serve_artefact(const Deps& deps, const attestation::Artefact& artefact, net::Request request,
                    net::Responder responder, Render render);

/// The document of that kind. Error `internal` when the artefact is without it.
base::Result<base::ByteView> document(const collateral::Held& held, attestation::CollateralKind kind);

/// The parameter of that name; empty when it is not there. Error `malformed` when it is given twice: which of the two
/// would count is a matter of taste.
base::Result<std::string> query_text(const net::Request& request, std::string_view name);

/// A public GET of one of these services. Unknown query parameters are ignored, as those services do.
net::Route vendor_route(std::string path, std::string id, std::string summary, std::string produces,
                        net::Handler handler);

}  // namespace attestry::api
