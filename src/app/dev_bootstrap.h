// What `attestry dev` does once in a fresh data folder: an operator, an app, its approvals, a secret, trust settings.
#pragma once
#include <string>

#include "app/wire.h"
#include "base/result.h"
#include "forge/pki.h"

namespace attestry::app {

inline constexpr std::string_view kDevApp = "name:hello";

/// Files in `data`: operator.key, trust.json. Does nothing when the app is there already.
base::Status bootstrap_dev(const RunningServer& server, const std::string& data, const std::string& mrtd,
                           base::UtcTime now);

}  // namespace attestry::app
