// OpenAPI 3.1 made from the route table, so that the document cannot name what is not served, nor miss what is.
#include <map>

#include "api/handlers.h"

namespace attestry::api {

using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;

namespace {

JsonOut reference(std::string_view schema) {
  return JsonOutObject{{"$ref", "#/components/schemas/" + std::string{schema}}};
}

std::string lower(net::Method method) {
  std::string text{net::to_text(method)};
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

JsonOutArray parameters(const net::Route& route) {
  JsonOutArray list;
  for (std::size_t at = route.path.find('{'); at != std::string::npos; at = route.path.find('{', at + 1)) {
    const auto end = route.path.find('}', at);
    const std::string name = route.path.substr(at + 1, end - at - 1);
    const std::string schema = "Path_" + name;
    list.emplace_back(JsonOutObject{{"name", name}, {"in", "path"}, {"required", true}, {"schema", reference(schema)}});
  }
  const auto named = [&list](const std::vector<net::QueryParameter>& more, std::string_view where) {
    for (const auto& parameter : more) {
      list.emplace_back(JsonOutObject{{"name", parameter.name},
                                      {"in", where},
                                      {"required", parameter.required},
                                      {"description", parameter.description},
                                      {"schema", JsonOut::Raw{parameter.schema_json}}});
    }
  };
  named(route.query, "query");
  named(route.headers, "header");
  return list;
}

JsonOutObject content(const std::vector<std::string>& types, std::string_view schema) {
  JsonOutObject out;
  for (const auto& type : types) out.emplace_back(type, JsonOutObject{{"schema", reference(schema)}});
  return out;
}

JsonOutObject responses(const net::Route& route) {
  JsonOutObject success{{"description", route.success_status == 204 ? "Done" : "Success"}};
  if (!route.response_schema.empty()) {
    std::vector<std::string> types{route.produces};
    types.insert(types.end(), route.also_produces.begin(), route.also_produces.end());
    success.emplace_back("content", content(types, route.response_schema));
  }
  JsonOutObject out{{std::to_string(route.success_status), std::move(success)}};
  if (route.operation_id == "health_ready") {
    out.emplace_back("503",
                     JsonOutObject{{"description", "Not ready"}, {"content", content({"application/json"}, "Health")}});
  }
  out.emplace_back("default", JsonOutObject{{"description", "A problem document (RFC 9457)"},
                                            {"content", content({"application/problem+json"}, "Problem")}});
  return out;
}

JsonOutObject operation(const net::Route& route) {
  JsonOutObject out{{"operationId", route.operation_id}, {"summary", route.summary}};
  if (!route.description.empty()) out.emplace_back("description", route.description);
  out.emplace_back("tags", JsonOutArray{JsonOut{route.tag}});
  out.emplace_back("x-attestry-role", net::to_text(route.role));
  out.emplace_back("x-attestry-auth", net::to_text(route.auth));
  if (auto list = parameters(route); !list.empty()) out.emplace_back("parameters", std::move(list));
  if (!route.request_schema.empty()) {
    const bool optional = route.operation_id == "create_challenge";
    out.emplace_back("requestBody", JsonOutObject{{"required", !optional},
                                                  {"content", content(route.consumes, route.request_schema)}});
  }
  out.emplace_back("responses", responses(route));
  if (route.auth == net::Auth::admin) {
    out.emplace_back("security", JsonOutArray{JsonOut{JsonOutObject{{"adminToken", JsonOutArray{}}}}});
  }
  return out;
}

}  // namespace

std::string openapi_json(const net::Router& router, std::string_view version) {
  std::map<std::string, JsonOutObject> by_path;
  for (const net::Route* route : router.routes()) {
    // Vault's HTTP API is another project's, and its paths have no place in this document.
    if (route->role == net::Role::vault) continue;
    by_path[route->path].emplace_back(lower(route->method), operation(*route));
  }
  JsonOutObject paths;
  for (auto& [path, operations] : by_path) paths.emplace_back(path, std::move(operations));
  return JsonOut{
      JsonOutObject{
          {"openapi", "3.1.0"},
          {"info", JsonOutObject{{"title", "attestry"},
                                 {"version", version},
                                 {"description",
                                  "The trust plane for confidential computing: verify evidence, release keys "
                                  "and configuration to approved workloads, log every release."},
                                 {"license",
                                  JsonOutObject{{"name", "MIT OR Apache-2.0"}, {"identifier", "MIT OR Apache-2.0"}}}}},
          {"paths", std::move(paths)},
          {"components",
           JsonOutObject{{"schemas", JsonOut::Raw{std::string{schemas_json()}}},
                         {"securitySchemes",
                          JsonOutObject{{"adminToken", JsonOutObject{{"type", "http"}, {"scheme", "bearer"}}}}}}}}}
      .pretty();
}

}  // namespace attestry::api
