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
/// Where a server stands; no secret is in it.
net::Response keymanager_status(const provision::KeyManager& manager);
/// GET /status and /healthz for a role.
base::Status add_keymanager_standing(net::Router& router, net::Role role, const provision::KeyManager& manager);
net::Route keymanager_route(net::Role role, net::Method method, std::string path, std::string_view id,
                            std::string summary);
/// Text that programs of the known generations took for HTML or not: never kept by anybody.
net::Response secret_text(std::string text);
net::Response secret_json(const base::JsonOut& value);

}  // namespace attestry::api
