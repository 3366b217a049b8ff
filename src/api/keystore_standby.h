// Operators look after two keystores, of which one serves (docs/how-to/run-a-standby-keystore.md): routes for the admin
// listener.
#pragma once
#include <functional>

#include "api/slow_lane.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "net/router.h"

namespace attestry::api {

/// Thread-safe; lives as long as the router. None of them waits for the other keystore.
struct KeystoreStandbyControl {
  std::function<base::JsonOutObject()> status;
  std::function<base::Status(bool force)> promote;
  std::function<base::Status(bool discard)> follow;
  SlowLane& lane;  ///< for the changes, which wait for the store
};

/// GET /v1/keystore/standby, POST /v1/keystore/standby/promote and …/follow: each answers with the status.
base::Status add_keystore_standby_routes(net::Router& router, const KeystoreStandbyControl& control);

}  // namespace attestry::api
