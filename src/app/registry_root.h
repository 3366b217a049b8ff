// Where the registry's master key comes from: a file with it, or administrators who bring their shares.
#pragma once
#include <memory>
#include <vector>

#include "app/settings.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "keys/bootstrap.h"
#include "state/store.h"

namespace attestry::app {

/// registry.master, of kms simple: exactly 32 bytes, as the seed's servers want it (docs/formats/registry.md).
base::Result<crypto::Secret> read_registry_master(const Settings& settings);

/// Of kms shamir. All outlive it.
base::Result<std::unique_ptr<keys::Bootstrap>> open_bootstrap(const Settings& settings, state::Store& store,
                                                              audit::Log& log, crypto::Random& random,
                                                              const base::Clock& clock);

/// Appends what can be told of those settings before anything is made.
void check_registry_root(const Settings& settings, std::vector<base::Error>& mistakes);

}  // namespace attestry::app
