// Vault's KV version 2 engine with certificate login: unknown certificates, missing and foreign tokens, paths outside a
// policy, a sealed server and an engine that is not there are refused as Vault refuses them.
#pragma once
#include "blobs/testing/support.h"

namespace attestry::blobs::testing {

class VaultStandIn final : public StandIn {
 public:
  struct Role {
    std::string name;
    std::string prefix;  ///< of paths below the mount's data/ and metadata/
  };
  std::map<std::string, Role> certificates{};      ///< by the client certificate's PEM
  std::map<std::string, std::string> tokens{};     ///< token -> prefix
  std::map<std::string, std::string> documents{};  ///< path -> the `data` object's JSON
  std::string mount = "secret";
  bool sealed = false;
  std::int64_t lease = 3600;
  int logins = 0;

  net::Response answer(const net::HttpRequest& request, const net::ClientOptions& client) override {
    const auto parts = parts_of(request.url);
    if (!parts.origin.starts_with("https://")) return errors(400, "Client sent an HTTP request to an HTTPS server.");
    if (parts.path == "/v1/sys/health") return plain(sealed ? 503 : 200, "{}");
    if (sealed) return errors(503, "Vault is sealed");
    if (parts.path == "/v1/auth/cert/login") return login(request, client);
    const std::string token{request.headers.get("x-vault-token")};
    const auto policy = tokens.find(token);
    if (policy == tokens.end()) return errors(403, token.empty() ? "missing client token" : "permission denied");
    const auto root = "/v1/" + mount + "/";
    if (!parts.path.starts_with(root)) return errors(404, "no handler for route");
    return engine(request, parts, parts.path.substr(root.size()), policy->second);
  }

 private:
  static net::Response errors(int status, const std::string& text) {
    return plain(status, R"({"errors":[")" + text + R"("]})");
  }

  net::Response login(const net::HttpRequest& request, const net::ClientOptions& client) {
    if (request.method != net::Method::post) return errors(405, "unsupported operation");
    const auto role = certificates.find(client.certificate_pem);
    if (role == certificates.end() || client.key_pem == nullptr || client.key_pem->empty()) {
      return errors(400, "invalid certificate or no client certificate supplied");
    }
    const auto body = base::JsonDocument::parse(request.body);
    if (!body) return errors(400, "error parsing JSON");
    const auto name = (*body)->root().find("name");
    if (name && name->plain_string() != role->second.name) return errors(400, "no certificate role of that name");
    const auto token = "hvs." + role->second.name + "." + std::to_string(++logins);
    tokens[token] = role->second.prefix;
    return plain(200, R"({"auth":{"client_token":")" + token + R"(","lease_duration":)" + std::to_string(lease) + "}}");
  }

  net::Response engine(const net::HttpRequest& request, const Parts& parts, const std::string& path,
                       const std::string& prefix) {
    const auto slash = path.find('/');
    const auto kind = path.substr(0, slash);
    const auto rest = slash == std::string::npos ? "" : path.substr(slash + 1);
    if (!rest.starts_with(prefix) || (kind != "data" && kind != "metadata")) return errors(403, "permission denied");
    if (kind == "metadata") return list(parts, rest);
    if (request.method == net::Method::get) {
      const auto found = documents.find(rest);
      if (found == documents.end()) return plain(404, R"({"errors":[]})");
      return plain(200, R"({"data":{"data":)" + found->second + R"(,"metadata":{"version":1}}})");
    }
    if (request.method != net::Method::post && request.method != net::Method::put)
      return errors(405, "unsupported operation");
    const auto body = base::JsonDocument::parse(request.body, {.max_bytes = 64u << 20});
    const auto data = body ? (*body)->root().find("data") : std::nullopt;
    if (!data || !data->is_object()) return errors(400, "no data provided");
    documents[rest] = std::string{data->source()};
    return plain(200, R"({"data":{"version":1}})");
  }

  net::Response list(const Parts& parts, const std::string& folder) const {
    if (parts.query.count("list") == 0) return errors(405, "unsupported operation");
    base::JsonOutArray keys;
    for (const auto& [path, document] : documents) {
      if (!path.starts_with(folder + "/")) continue;
      const auto name = path.substr(folder.size() + 1);
      if (name.find('/') == std::string::npos) keys.emplace_back(name);
    }
    if (keys.empty()) return plain(404, R"({"errors":[]})");
    return plain(
        200, base::JsonOut{base::JsonOutObject{{"data", base::JsonOutObject{{"keys", std::move(keys)}}}}}.compact());
  }
};

}  // namespace attestry::blobs::testing
