// "local://": what the server itself keeps of an app's configurations and secrets, for apps that no contract names a
// storage for (docs/how-to/govern-without-a-chain.md).
#pragma once
#include <memory>
#include <string>

#include "blobs/store.h"
#include "governance/registry.h"

namespace attestry::app {

/// Where they lie.
std::string local_blobs_folder(const std::string& data);

/// A file store in `data`/registry-local, sealed under the tenant's key, with a name space for each app and type. A
/// configuration that is approved for the app is found among the registry's blobs, too: whoever approved it put it
/// there. The registry, the sealer and the clock outlive it.
base::Result<std::unique_ptr<blobs::BlobStore>> open_local_blobs(const std::string& data, const base::Tenant& tenant,
                                                                 const base::AppRef& app, blobs::Sealer& sealer,
                                                                 const governance::Registry& registry,
                                                                 const base::Clock& clock);

}  // namespace attestry::app
