// What both sides of the key manager's dialect write alike. Private to api.
#pragma once
#include <string>

#include "net/router.h"
#include "provision/keymanager.h"

namespace attestry::api {

/// Whether the client asks for JSON; text is what the known generations answer.
bool wants_json(const net::Request& request);
/// Errors: problem documents, or in a known dialect its one status for everything that fails, and text.
net::Response keymanager_error(const base::Error& error, provision::KeyManagerDialect dialect,
                               const net::TraceContext& trace);
/// How much GET /status says: workloads need not know which keys and newcomers there are.
enum class StatusDetail : std::uint8_t { little, all };
/// Where a server stands; no secret is in it.
net::Response keymanager_status(const provision::KeyManager& manager, StatusDetail detail);
/// GET /status and /healthz for a role, and in a known dialect its 404 for every other path.
base::Status add_keymanager_standing(net::Router& router, net::Role role, const provision::KeyManager& manager,
                                     StatusDetail detail);
/// Refuses what a page in a browser of this machine asks for: GET changes something here, and the browser of whoever
/// administers the machine reaches the host's port. `denied` when a header says so that programs do not send.
base::Status require_no_browser(const net::Request& request);
net::Route keymanager_route(net::Role role, net::Method method, std::string path, std::string_view id,
                            std::string summary);
/// Natively a parameter that a route does not know is refused with 400: a slip of `purpose` would give another key. The
/// known generations let pass whatever stands there.
void know_query(net::Route& route, provision::KeyManagerDialect dialect, std::vector<net::QueryParameter> known = {});
/// Text that nobody keeps: a GET changes something here, and an answer to it is of one moment.
net::Response keymanager_text(int status, std::string text);
/// The same with a secret in it, which programs of the known generations took for HTML or not.
net::Response secret_text(std::string text);
net::Response secret_json(const base::JsonOut& value);

}  // namespace attestry::api
