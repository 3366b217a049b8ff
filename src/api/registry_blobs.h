// Where administrators put the configurations and secrets that the server itself keeps for apps.
#pragma once
#include <functional>
#include <memory>

#include "blobs/store.h"
#include "net/router.h"

namespace attestry::api {

/// The server's own store of one app. Thread-safe.
using OpenLocalBlobs =
    std::function<base::Result<std::unique_ptr<blobs::BlobStore>>(const base::Tenant&, const base::AppRef&)>;

/// Adds POST /v1/tenants/{tenant}/apps/{app}/blobs/{type}, type config or secret, for Role::admin. Storing the same
/// bytes again changes nothing.
base::Status register_registry_blobs(net::Router& router, OpenLocalBlobs open);

}  // namespace attestry::api
