#include "api/registry_blobs.h"

#include "api/handlers.h"
#include "base/encoding.h"

namespace attestry::api {

using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

/// As the registry's own blobs.
constexpr std::size_t kMaxBlob = 1u << 20;

Result<net::Response> put(const OpenLocalBlobs& open, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto app, app_of(request));
  TRY(const auto type, blobs::type_from(request.parameter("type")), "type");
  if (request.body.size() > kMaxBlob) {
    return base::Error{base::Code::too_large, "blob", "at most 1048576 bytes",
                       std::to_string(request.body.size()) + " bytes"};
  }
  TRY(const auto store, open(tenant, app));
  TRY(const auto id, store->put({tenant, app, type}, base::as_bytes(request.body), request.deadline));
  return net::json_response(201, JsonOut{JsonOutObject{{"id", base::hex(id)}, {"size", request.body.size()}}});
}

}  // namespace

Status register_registry_blobs(net::Router& router, OpenLocalBlobs open) {
  return router.add({.method = net::Method::post,
                     .path = "/v1/tenants/{tenant}/apps/{app}/blobs/{type}",
                     .role = net::Role::admin,
                     .auth = net::Auth::admin,
                     .operation_id = "put_app_blob",
                     .summary = "Store a configuration or a sealed secret in the app's own storage of this server",
                     .request_schema = "BlobBytes",
                     .response_schema = "Blob",
                     .success_status = 201,
                     .tag = "governance",
                     .consumes = {"application/octet-stream", "application/json", "text/plain"},
                     .handler = sync([open = std::move(open)](net::Request& request) { return put(open, request); })});
}

}  // namespace attestry::api
