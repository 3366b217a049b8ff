// What operators do with a keystore's masters, on the admin listener: state, rotation, backup and restoration
// (docs/reference/keystore-masters.md).
#pragma once
#include "api/slow_lane.h"
#include "crypto/random.h"
#include "net/router.h"
#include "secrets/keystore_masters.h"
#include "secrets/keystore_rotation.h"
#include "state/store.h"

namespace attestry::api {

/// All of it outlives the router's server.
struct KeystoreOperations {
  state::Store& store;
  audit::Log& log;
  secrets::KeystoreMasters& masters;
  secrets::KeystoreRotation* rotation = nullptr;  ///< null: this keystore reads no secrets from anywhere
  SlowLane& lane;                                 ///< for what waits for the store, a device or a source
  crypto::Random& random;
  std::function<void()> wake{};  ///< called when there is something to walk
};

/// GET and POST beneath /v1/keystore/, for administrators.
base::Status add_keystore_operations(net::Router& router, const KeystoreOperations& deps);

}  // namespace attestry::api
