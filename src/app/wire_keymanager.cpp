#include "app/wire_keymanager.h"

namespace attestry::app {

base::Result<std::unique_ptr<Service>> open_keymanager(const Settings& settings, const ServiceParts& /*parts*/) {
  if (settings.text("keymanager.listen").empty()) return std::unique_ptr<Service>{};
  return base::Error{base::Code::configuration, "keymanager.listen: this server cannot offer it yet"};
}

}  // namespace attestry::app
