// The BitTorrent tracker with receipts, built out of the rooms.
#pragma once
#include <memory>

#include "app/service.h"
#include "app/settings.h"

namespace attestry::app {

/// Null when the settings do not ask for it.
base::Result<std::unique_ptr<Service>> open_tracker(const Settings& settings, const ServiceParts& parts);

}  // namespace attestry::app
